#ifndef CLI_SHELL_WORD_H
#define CLI_SHELL_WORD_H

#include "text/json.h"

/* A word as a shell takes it back: in single quotes where it needs any. */
void cli_put_shell_word(ms_buf *b, const char *word);

#endif
