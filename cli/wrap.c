#include "wrap.h"

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

char *cli_wrap(const char *text, int columns, int *at) {
    size_t length = strlen(text);
    char *wrapped = malloc(length * (MOST_INDENT + 4) + 1), *to = wrapped;
    int most = columns < LEAST_COLUMNS ? LEAST_COLUMNS : columns, indent = 2;
    if (!wrapped)
        return NULL;
    while (*text) {
        size_t spaces = strspn(text, " "), word = strcspn(text + spaces, " \n");
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
