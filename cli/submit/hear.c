#include "submit/hear.h"

#include <string.h>

#include "base/hash.h"
#include "console/console.h"

/* Each task would say the same of the input and the model. */
static void pass_on_warning(cli_hearing *h, const ms_json *line) {
    static const uint64_t key[2] = {1, 2};
    const char *text = ms_json_get_text(line, "message"), *code = ms_json_get_text(line, "code");
    const uint64_t hash = ms_siphash(key, text, strlen(text));
    for (int i = 0; i < h->n_warned; i++)
        if (h->warned[i] == hash)
            return;
    if (h->n_warned < CLI_MOST_WARNINGS)
        h->warned[h->n_warned++] = hash;
    cli_warn(code, "%s", text);
}

static void take_end(cli_hearing *h, cli_task *t, const ms_json *line) {
    cli_job_result *r = &h->result;
    t->totals = (cli_batch_totals){.made = (int)ms_json_get_integer(line, "made", 0),
                                   .before = (int)ms_json_get_integer(line, "finished_before", 0),
                                   .failed = (int)ms_json_get_integer(line, "failed", 0)};
    if (t->heard.peak_bytes > r->peak_bytes)
        r->peak_bytes = t->heard.peak_bytes;
    if (t->step == CLI_STEP_SPLIT && t->heard.done) {
        r->already_finished = ms_json_get_flag(line, "already_finished");
        r->frames_resumed = ms_json_get_integer(line, "frames_resumed", 0);
        h->progress.merge.total = ms_json_get_integer(line, "frames", 0);
        h->progress.merge.before = r->frames_resumed;
    }
    if (t->step == CLI_STEP_SPLIT || t->step == CLI_STEP_JOIN) {
        r->frames = ms_json_get_integer(line, "frames", 0);
        r->frames_without_face = ms_json_get_integer(line, "frames_without_face", 0);
        r->width = (int)ms_json_get_integer(line, "width", 0);
        r->height = (int)ms_json_get_integer(line, "height", 0);
        r->fps = ms_json_get_number(line, "fps", 0);
    }
}

typedef struct listener {
    cli_hearing *h;
    cli_task *t;
} listener;

static void hear_event(void *arg, const char *event, const ms_json *line) {
    const listener *l = arg;
    cli_task *t = l->t;
    if (strcmp(event, "start") == 0) {
        t->clips = 0;
        t->shared = false;
        t->totals = (cli_batch_totals){0};
    } else if (strcmp(event, "job") == 0) {
        t->clips++;
        t->shared = ms_json_get_text(line, "device")[0] != 0;
        if (!t->shared)
            t->heard.fraction = t->heard.first_fraction = -1; /* the next clip's begin anew */
    } else if (strcmp(event, "warning") == 0) {
        pass_on_warning(l->h, line);
    } else if (strcmp(event, "progress") == 0 && t->step == CLI_STEP_SPLIT) {
        l->h->progress.split_frames = ms_json_get_integer(line, "frames_done", 0);
    } else if (strcmp(event, "done") == 0 || strcmp(event, "error") == 0) {
        take_end(l->h, t, line);
    }
}

void cli_hear_logs(cli_hearing *h, cli_job *job) {
    for (int i = 0; i < job->count; i++) {
        cli_task *t = &job->task[i];
        listener l = {.h = h, .t = t};
        t->heard.heard = hear_event;
        t->heard.arg = &l;
        cli_task_read(job, t);
        t->heard.arg = NULL;
        t->heard.heard = NULL;
    }
}
