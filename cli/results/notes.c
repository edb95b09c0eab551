#include "results/notes.h"

#include <string.h>

#include "console/console.h"
#include "files/numbered.h"
#include "console/hints.h"

/* So it is with nearly every run, and it costs nothing that one hears: for who asks, and for programs. */
static bool is_detail(const char *code) {
    return strcmp(code, "sound") == 0;
}

bool cli_note_is_shown(const char *code) {
    return !is_detail(code) || cli_console_is_verbose() || cli_console_is_json();
}

bool cli_note_is_of_model(const char *code) {
    return strcmp(code, "random-weights") == 0;
}

void cli_show_notes(const ms_run_report *r, bool again) {
    char text[CLI_NOTE_BYTES];
    for (int i = 0; i < r->n_notes; i++)
        if (cli_note_is_shown(r->note[i].code) && !(again && cli_note_is_of_model(r->note[i].code)))
            cli_warn_as("note: ", r->note[i].code, "%s", cli_note_text(&r->note[i], text));
}

void cli_note_gap(const char *path) {
    char text[240];
    if (ms_numbered_gap(path, text, sizeof(text)))
        cli_warn_as("note: ", "gap", "%s", text);
}

void cli_notes_json(ms_buf *b, const ms_run_report *r) {
    char text[CLI_NOTE_BYTES];
    ms_buf_printf(b, "\"notes\": [");
    for (int i = 0; i < r->n_notes; i++) {
        ms_buf_printf(b, "%s{\"code\": ", i ? ", " : "");
        ms_buf_json_string(b, r->note[i].code);
        ms_buf_printf(b, ", \"text\": ");
        ms_buf_json_string(b, cli_note_text(&r->note[i], text));
        ms_buf_printf(b, "}");
    }
    ms_buf_printf(b, "]");
}

void cli_show_doubt(const ms_run_report *r) {
    if (r->faces.doubt[0])
        cli_warn_as("warning: ", "doubtful-faces", "the faces are doubtful: %s", r->faces.doubt);
}

void cli_faces_json(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b, "\"faces\": {\"score\": ");
    ms_buf_json_number(b, r->faces.score);
    ms_buf_printf(b, ", \"jitter\": ");
    ms_buf_json_number(b, r->faces.jitter);
    ms_buf_printf(b, ", \"doubt\": ");
    if (r->faces.doubt[0])
        ms_buf_json_string(b, r->faces.doubt);
    else
        ms_buf_printf(b, "null");
    ms_buf_printf(b, "}");
}
