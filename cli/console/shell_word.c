#include "console/shell_word.h"

#include <string.h>

void cli_put_shell_word(ms_buf *b, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
    if (word[0] && !word[strspn(word, plain)]) {
        ms_buf_append(b, word, strlen(word));
        return;
    }
    ms_buf_append(b, "'", 1);
    while (*word) {
        size_t n = strcspn(word, "'");
        ms_buf_append(b, word, n);
        word += n;
        if (*word)
            ms_buf_append(b, "'\\''", 4);
        word += *word != 0;
    }
    ms_buf_append(b, "'", 1);
}
