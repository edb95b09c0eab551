/* What the library hints at, in the words of the command: its options. */
#ifndef CLI_HINTS_H
#define CLI_HINTS_H

#include <stddef.h>

#include "memsafe/run.h"

/* "--resume goes on from there"; "" for MS_HINT_NONE. */
const char *cli_hint_words(ms_hint hint);

/* What is wrong and what can be done about it: "...; -y replaces it". Returns ret_text. */
#define CLI_ERROR_BYTES 1024
const char *cli_error_text(const ms_error *err, char ret_text[CLI_ERROR_BYTES]);

/* Likewise of a note: "... (--loop says how)". Returns ret_text. */
#define CLI_NOTE_BYTES 320
const char *cli_note_text(const ms_run_note *note, char ret_text[CLI_NOTE_BYTES]);

#endif
