/* Times as people read them. */
#ifndef MS_TEXT_DURATION_H
#define MS_TEXT_DURATION_H

#define MS_DURATION_TEXT_BYTES 32

/* "3 h 21 min", "2 min 5 s", "42 s", "8.3 s", "0.25 s", "4 ms": two units, or two digits of one.
   What people are told of time is written so. Negative and no number: "?". Returns ret_text. */
const char *ms_duration_format(char ret_text[MS_DURATION_TEXT_BYTES], double seconds);

#endif
