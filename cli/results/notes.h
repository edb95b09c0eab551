/* What a run's output will not have as the input has it, for people and for programs. */
#ifndef CLI_NOTES_H
#define CLI_NOTES_H

#include "memsafe/run.h"
#include "text/json.h"

/* One line each on stderr. again: what holds of the model was said before. */
void cli_show_notes(const ms_run_report *report, bool again);

/* Whether a note of that code is of the model, and so the same for all runs with it. */
bool cli_note_is_of_model(const char *code);

/* Whether a note of that code is one of those lines: some are for programs and with -v. */
bool cli_note_is_shown(const char *code);

/* Of numbered pictures that a command without a report reads: a gap among them. path may be NULL. */
void cli_note_gap(const char *path);

/* "notes": [{"code": ..., "text": ...}] without what surrounds a member. */
void cli_notes_json(ms_buf *b, const ms_run_report *report);

/* The last line of a run whose faces may be none, on stderr; nothing where there is nothing to doubt. */
void cli_show_doubt(const ms_run_report *report);

/* "faces": {"score": ..., "jitter": ..., "doubt": ...}, likewise; null for what is not known. */
void cli_faces_json(ms_buf *b, const ms_run_report *report);

#endif
