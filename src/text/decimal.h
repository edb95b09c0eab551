/* Numbers with a decimal point, whatever the process's locale. */
#ifndef MS_TEXT_DECIMAL_H
#define MS_TEXT_DECIMAL_H

#define MS_DECIMAL_TEXT_BYTES 24

/* 0 to 10^12, with 0 to 3 decimals. Returns ret_text. */
const char *ms_decimal_format(char ret_text[MS_DECIMAL_TEXT_BYTES], double value, int decimals);

#endif
