#include "options/time_value.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define MAX_WHOLE INT64_C(3600000000) /* a million hours in seconds */
#define US_PER_S INT64_C(1000000)

static bool take_whole(const char **text, int64_t *ret_value) {
    const char *at = *text;
    int64_t value = 0;
    for (; isdigit((unsigned char)*at); at++) {
        value = value * 10 + (*at - '0');
        if (value > MAX_WHOLE)
            return false;
    }
    bool any = at != *text;
    *text = at;
    *ret_value = value;
    return any;
}

/* The digits after the point, as millionths. */
static int64_t take_millionths(const char **text) {
    int64_t value = 0, unit = US_PER_S / 10;
    for (; isdigit((unsigned char)**text); ++*text, unit /= 10)
        value += unit * (**text - '0');
    return value;
}

bool cli_parse_time(const char *text, int64_t *ret_us) {
    const char *at = text;
    int64_t part[3] = {0}, seconds = 0, millionths = 0;
    int n = 0;
    bool whole = true;
    for (;;) {
        bool last = n == 2 || !strchr(at, ':');
        whole = take_whole(&at, &part[n]);
        if (!whole && !(n == 0 && *at == '.' && isdigit((unsigned char)at[1])))
            return false;
        n++;
        if (last)
            break;
        if (*at++ != ':')
            return false;
    }
    for (int i = 0; i < n; i++) {
        if (i > 0 && part[i] > 59)
            return false;
        seconds = seconds * 60 + part[i];
    }
    if (*at == '.') {
        at++;
        millionths = take_millionths(&at);
    }
    if (seconds > MAX_WHOLE)
        return false;
    int64_t us = seconds * US_PER_S + millionths;
    if (n == 1 && strcmp(at, "ms") == 0)
        us /= 1000;
    else if (n == 1 && strcmp(at, "us") == 0)
        us /= US_PER_S;
    else if (*at && !(n == 1 && strcmp(at, "s") == 0))
        return false;
    *ret_us = us;
    return true;
}
