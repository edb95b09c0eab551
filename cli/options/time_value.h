/* Times as FFmpeg's users type them. */
#ifndef CLI_TIME_VALUE_H
#define CLI_TIME_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#define CLI_TIME_EXAMPLES "a time like 90, 12.5, 500ms, 1:30 or 1:02:03.25"

/* [HH:]MM:SS[.m...] or S[.m...][s|ms|us] to microseconds; more digits are cut off.
   False: no time, negative, or over a million hours. */
bool cli_parse_time(const char *text, int64_t *ret_us);

#endif
