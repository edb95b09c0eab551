#include "text/duration.h"

#include <math.h>
#include <stdio.h>

#include "text/decimal.h"

/* "3 h", "3 h 21 min": the smaller unit is left out where there is none of it. */
static void two_units(char *text, double whole, const char *large, double rest, const char *small) {
    if (rest > 0)
        snprintf(text, MS_DURATION_TEXT_BYTES, "%.0f %s %.0f %s", whole, large, rest, small);
    else
        snprintf(text, MS_DURATION_TEXT_BYTES, "%.0f %s", whole, large);
}

const char *ms_duration_format(char ret_text[MS_DURATION_TEXT_BYTES], double seconds) {
    double s = round(seconds), minutes = round(seconds / 60);
    char number[MS_DECIMAL_TEXT_BYTES];
    if (!(seconds >= 0) || seconds > 1e12)
        snprintf(ret_text, MS_DURATION_TEXT_BYTES, "?");
    else if (seconds == 0)
        snprintf(ret_text, MS_DURATION_TEXT_BYTES, "0 s");
    else if (seconds < 0.0095)
        snprintf(ret_text, MS_DURATION_TEXT_BYTES, "%s ms",
                 ms_decimal_format(number, 1e3 * seconds, seconds < 0.00095 ? 2 : 1));
    else if (seconds < 0.995)
        snprintf(ret_text, MS_DURATION_TEXT_BYTES, "%s s", ms_decimal_format(number, seconds, 2));
    else if (seconds < 9.95)
        snprintf(ret_text, MS_DURATION_TEXT_BYTES, "%s s", ms_decimal_format(number, seconds, 1));
    else if (s < 60)
        snprintf(ret_text, MS_DURATION_TEXT_BYTES, "%.0f s", s);
    else if (s < 3600)
        two_units(ret_text, floor(s / 60), "min", fmod(s, 60), "s");
    else
        two_units(ret_text, floor(minutes / 60), "h", fmod(minutes, 60), "min");
    return ret_text;
}
