#include "options/fps.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* A whole number from 1 on that an int holds; *text moves behind it. */
static bool take_int(const char **text, int *ret_value) {
    char *end;
    errno = 0;
    long value = isdigit((unsigned char)**text) ? strtol(*text, &end, 10) : 0;
    if (value < 1 || value > INT_MAX || errno)
        return false;
    *ret_value = (int)value;
    *text = end;
    return true;
}

ms_status cli_parse_fps(const char *text, int *ret_num, int *ret_den, ms_error *err) {
    int num = 0, den = 0;
    const char *at = text;
    if (strcmp(text, "source") == 0) {
        *ret_num = 0;
        *ret_den = 1;
        return MS_OK;
    }
    if (take_int(&at, &num) && *at++ == '/' && take_int(&at, &den) && *at == 0) {
        *ret_num = num;
        *ret_den = den;
        return MS_OK;
    }
    char *end;
    double rate = strtod(text, &end), ntsc = rate * 1.001;
    if (end == text || *end || !(rate >= 0.01) || rate > 1000)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "--fps: \"%s\" is no rate: a number from 0.01 to 1000, a fraction like 30000/1001, or source",
            text);
    /* 23.976, 29.97 and 59.94 mean 24, 30 and 60 over 1.001. */
    if (fabs(rate - round(rate)) > 1e-9 && fabs(ntsc - round(ntsc)) < 0.001) {
        *ret_num = (int)round(ntsc) * 1000;
        *ret_den = 1001;
    } else {
        *ret_num = (int)round(rate * 1000);
        *ret_den = 1000;
    }
    return MS_OK;
}
