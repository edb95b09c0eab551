#include "text/size.h"

#include <stdio.h>
#include <string.h>

#include "text/decimal.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Bits to shift by for a unit at the start of text; *text moves behind it. */
static int take_unit(const char **text) {
    static const char units[] = "KMGT";
    int shift = 0;
    const char upper = (char)(**text & ~0x20), *unit = upper ? strchr(units, upper) : NULL;
    if (unit) {
        shift = 10 * (int)(unit - units + 1);
        (*text)++;
        if (**text == 'i')
            (*text)++;
    }
    if (**text == 'B' || **text == 'b')
        (*text)++;
    return shift;
}

bool ms_size_parse(const char *text, uint64_t *ret_bytes) {
    uint64_t whole = 0;
    double part = 0, digit = 0.1;
    if (!is_digit(*text))
        return false;
    for (; is_digit(*text); text++) {
        if (whole > (UINT64_MAX >> 1) / 10)
            return false;
        whole = whole * 10 + (uint64_t)(*text - '0');
    }
    if (*text == '.') {
        if (!is_digit(*++text))
            return false;
        for (; is_digit(*text); text++, digit /= 10)
            part += (*text - '0') * digit;
    }
    while (*text == ' ')
        text++;
    int shift = take_unit(&text);
    if (*text || whole >= (UINT64_C(1) << 63) >> shift)
        return false;
    *ret_bytes = (whole << shift) + (uint64_t)(part * (double)(UINT64_C(1) << shift) + 1e-6);
    return true;
}

const char *ms_size_format(char ret_text[MS_SIZE_TEXT_BYTES], uint64_t bytes) {
    static const char units[] = "KMGT";
    char number[MS_DECIMAL_TEXT_BYTES];
    int unit = -1;
    double value = (double)bytes;
    for (; value >= (unit < 0 ? 1024 : 1023.5) && unit < 3; unit++)
        value /= 1024;
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    if (unit < 0)
        snprintf(ret_text, MS_SIZE_TEXT_BYTES, "%d byte%s", (int)bytes, bytes == 1 ? "" : "s");
    else
        snprintf(ret_text, MS_SIZE_TEXT_BYTES, "%s %ciB", ms_decimal_format(number, value, decimals),
                 units[unit]);
    return ret_text;
}

const char *ms_size_format_budget(char ret_text[MS_SIZE_TEXT_BYTES], uint64_t bytes) {
    if (bytes < UINT64_C(1) << 20)
        return ms_size_format(ret_text, bytes);
    if (bytes < UINT64_C(10) << 20) {
        unsigned hundredths = (unsigned)(bytes * 100 >> 20);
        snprintf(ret_text, MS_SIZE_TEXT_BYTES, "%u.%02u MiB", hundredths / 100, hundredths % 100);
        return ret_text;
    }
    snprintf(ret_text, MS_SIZE_TEXT_BYTES, "%llu MiB", (unsigned long long)(bytes >> 20));
    return ret_text;
}

uint64_t ms_size_whole_mib(uint64_t bytes) {
    return (bytes >> 20) + ((bytes & 0xfffff) != 0);
}
