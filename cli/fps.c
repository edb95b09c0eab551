#include "fps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

ms_status cli_parse_fps(const char *text, int *ret_num, int *ret_den, ms_error *err) {
    int num = 0, den = 0, used = 0;
    if (strcmp(text, "source") == 0) {
        *ret_num = 0;
        *ret_den = 1;
        return MS_OK;
    }
    if (sscanf(text, "%d/%d%n", &num, &den, &used) == 2 && text[used] == 0 && num > 0 && den > 0) {
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
