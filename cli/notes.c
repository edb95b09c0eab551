#include "notes.h"

#include "console.h"

void cli_show_notes(const ms_run_report *r) {
    for (int i = 0; i < r->n_notes; i++)
        cli_warn_as("note: ", r->note[i].code, "%s", r->note[i].text);
}

void cli_notes_json(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b, "\"notes\": [");
    for (int i = 0; i < r->n_notes; i++) {
        ms_buf_printf(b, "%s{\"code\": ", i ? ", " : "");
        ms_buf_json_string(b, r->note[i].code);
        ms_buf_printf(b, ", \"text\": ");
        ms_buf_json_string(b, r->note[i].text);
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
