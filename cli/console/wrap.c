#include "console/wrap.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_COLUMNS 20
#define MOST_INDENT 8

/* Columns of UTF-8: bytes that go on with a character take none. */
static int width_of(const char *text, size_t bytes) {
    int n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* Of a number and its unit, which stay together: what the unit and the space before
   it take; 0 = that is none. */
static size_t unit_behind(const char *text, size_t word) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "bytes", "h",
                                        "min", "s",   "ms",  "%",   "px",    "dB"};
    if (word == 0 || text[word - 1] < '0' || text[word - 1] > '9' || text[word] != ' ')
        return 0;
    const char *unit = text + word + 1;
    size_t length = strcspn(unit, " \n,.;:)/");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strlen(units[i]) == length && strncmp(units[i], unit, length) == 0)
            return 1 + strcspn(unit, " \n");
    return 0;
}

char *cli_wrap(const char *text, int columns, int *at) {
    size_t length = strlen(text);
    char *wrapped = malloc(length * (MOST_INDENT + 4) + 1), *to = wrapped;
    int most = columns < LEAST_COLUMNS ? LEAST_COLUMNS : columns, indent = 2;
    if (!wrapped)
        return NULL;
    while (*text) {
        size_t spaces = strspn(text, " "), word = strcspn(text + spaces, " \n");
        word += unit_behind(text + spaces, word);
        int wide = width_of(text + spaces, word);
        if (*at == 0)
            indent = 2 + (spaces < MOST_INDENT ? (int)spaces : MOST_INDENT - 2);
        if (*at > indent && word > 0 && *at + (int)spaces + wide > most) {
            *to++ = '\n';
            memset(to, ' ', (size_t)indent);
            to += indent;
            *at = indent;
        } else {
            memset(to, ' ', spaces);
            to += spaces;
            *at += (int)spaces;
        }
        memcpy(to, text + spaces, word);
        to += word;
        *at += wide;
        text += spaces + word;
        if (*text == '\n') {
            *to++ = *text++;
            *at = 0;
        }
    }
    *to = 0;
    return wrapped;
}
