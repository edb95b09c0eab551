#include "batch/batch.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "console/console.h"
#include "console/signals.h"
#include "files/in_use.h"
#include "results/notes.h"
#include "results/run_events.h"
#include "results/run_report.h"
#include "results/run_text.h"

/* ---- before the work ---- */

static ms_status take_part(cli_batch *b, ms_error *err) {
    char end;
    const char *part = b->common.part;
    b->common.part = NULL;
    if (!part)
        return MS_OK;
    if (sscanf(part, "%d/%d%c", &b->part, &b->parts, &end) != 2 || b->part < 1 || b->part > b->parts)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--part: \"%s\" is not like 3/8, the third of eight", part);
    return MS_OK;
}

static ms_status make_folder(const char *path, const char *what, ms_error *err) {
    struct stat st;
    /* Made first: another part of the batch may be about to make it too. */
    if (!path || mkdir(path, 0777) == 0 || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return MS_OK;
    return ms_fail(err, MS_IO, "%s is not a folder for %s, and cannot become one", path, what);
}

/* Workers read the list themselves, so it must be one that can be read twice: their standard input is
   another. */
static bool is_lasting(const char *path) {
    struct stat st, in;
    if (stat(path, &st) != 0)
        return true;
    return (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
           !(fstat(STDIN_FILENO, &in) == 0 && in.st_dev == st.st_dev && in.st_ino == st.st_ino);
}

/* What is written must not be what the jobs are read from. */
static ms_status spare_list(const cli_batch *b, ms_error *err) {
    const char *const files[] = {b->list.path};
    const ms_in_use use = {.files = files, .n_files = 1};
    for (int i = 0; i < b->list.count; i++) {
        const cli_run_state *s = &b->list.job[i].state;
        MS_TRY(ms_in_use_spare(&use, s->p.output, "output", err));
        MS_TRY(ms_in_use_spare(&use, s->report, "report", err));
    }
    return MS_OK;
}

static ms_status take_devices(cli_batch *b, const char *path, ms_error *err) {
    cli_run_state *c = &b->common;
    MS_TRY(cli_device_list_parse(c->p.device, &b->devices, err));
    if (b->devices.count > 1 && (strcmp(path, "-") == 0 || !is_lasting(path)))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s: for %d devices the list must be a file or a folder, no pipe",
                       strcmp(path, "-") == 0 ? "the standard input" : path, b->devices.count);
    if (b->devices.cpus == 1 && b->devices.count == 1) /* "cpu:1" */
        c->p.device = b->devices.name[0];
    return MS_OK;
}

/* The output is a folder here, and the format is that of the files in it. */
static ms_status apply_common(cli_run_state *c, ms_error *err) {
    const char *folder = c->p.output;
    const int format = c->format;
    c->p.output = NULL;
    c->format = 0;
    ms_status status = cli_run_options_apply(c, NULL, 0, err);
    c->p.output = folder;
    c->format = format;
    return status;
}

ms_status cli_batch_prepare(cli_batch *b, const void *state, const char *path, ms_error *err) {
    cli_run_state *c = &b->common;
    *b = (cli_batch){.common = *(const cli_run_state *)state};
    MS_TRY(take_part(b, err));
    if (c->inputs.count)
        return ms_fail(err, MS_INVALID_ARGUMENT, "-i %s: the videos are those of %s", c->inputs.items[0],
                       path);
    if (c->preview)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--preview is of `memsafe run` alone");
    MS_TRY(take_devices(b, path, err));
    bool named = c->p.config && c->p.unet && c->p.vae && c->p.whisper;
    MS_TRY(cli_batch_read(path, c, &b->list, err));
    MS_TRY(spare_list(b, err));
    MS_TRY(cli_choose_model(&c->p.model, c->demo, named, CLI_NEEDS_ALL, &b->model, err));
    MS_TRY(apply_common(c, err));
    MS_TRY(make_folder(c->p.output, "results", err));
    return make_folder(c->report, "reports", err);
}

/* Whether one of the jobs has its faces found. */
static bool finds_faces(const cli_batch_list *l) {
    for (int i = 0; i < l->count; i++)
        if (!l->job[i].state.p.track)
            return true;
    return false;
}

ms_status cli_batch_open_model(cli_batch *b, ms_error *err) {
    const ms_run_params *p = &b->common.p;
    ms_model_params m;
    ms_model_params_init(&m);
    m.model = p->model;
    m.config = p->config;
    m.unet = p->unet;
    m.vae = p->vae;
    m.whisper = p->whisper;
    m.faces = p->faces;
    m.no_faces = !finds_faces(&b->list);
    m.device = p->device;
    m.threads = p->threads;
    m.precision = p->precision;
    m.profile = p->profile;
    m.budget_bytes = p->budget_bytes;
    m.host_budget_bytes = p->host_budget_bytes;
    return ms_model_open(&m, &b->loaded, err);
}

void cli_batch_close(cli_batch *b) {
    ms_model_close(&b->loaded);
    cli_batch_free(&b->list);
}

bool cli_batch_is_ours(const cli_batch *b, int place) {
    return !b->parts || place % b->parts == b->part - 1;
}

const char *cli_batch_name(const cli_batch *b, int place, char *ret_name, size_t bytes) {
    const cli_batch_job *j = &b->list.job[place];
    char where[64] = "";
    if (!b->list.is_folder)
        snprintf(where, sizeof(where), ":%d", j->line);
    snprintf(ret_name, bytes, "%s%s: %s", b->list.path, where, j->state.p.output);
    return ret_name;
}

/* ---- a job ---- */

/* What a loaded model has decided is not said again. */
static void strip(ms_run_params *p) {
    ms_run_params none;
    ms_run_params_init(&none);
    p->model = p->config = p->unet = p->vae = p->whisper = p->faces = NULL;
    p->device = NULL;
    p->threads = 0;
    p->precision = MS_PRECISION_AUTO;
    p->budget_bytes = p->host_budget_bytes = 0;
    p->profile = none.profile;
}

/* What the clip will lose, below the line that names it. */
static void say_notes(void *arg, const ms_run_report *r) {
    cli_batch *b = arg;
    cli_show_notes(r, b->noted);
    b->noted = true;
}

ms_status cli_batch_make(cli_batch *b, int place, ms_run_report *r, ms_error *err) {
    cli_run_state *s = &b->list.job[place].state;
    MS_TRY(cli_run_options_inputs(s, err));
    s->p.model = b->common.p.model; /* for the report */
    s->p.profile = cli_profile_source(&s->profile);
    MS_TRY(cli_run_report_check(s, err));
    s->p.progress = cli_show_progress;
    s->p.planned = say_notes;
    s->p.arg = b;
    s->p.cancelled = cli_interrupted;
    ms_run_params p = s->p;
    strip(&p);
    p.loaded = b->loaded;
    MS_TRY(ms_run(&p, r, err));
    return s->report && !r->already_finished ? cli_run_report_write(s, r, NULL, err) : MS_OK;
}

/* ---- what is said of it ---- */

static void put_place(ms_buf *text, const cli_batch *b, int place) {
    ms_buf_printf(text, "\"job\": %d, \"jobs\": %d", place + 1, b->list.count);
}

/* False: there was no memory for it. */
static bool tell_event(const char *event, ms_buf *text) {
    const bool told = !text->failed;
    if (told)
        cli_event(event, text->data);
    ms_buf_free(text);
    return told;
}

/* A worker's events have a length (workers/events.h), and who started it knows the name. */
static const char *output_to_tell(const cli_batch *b, int place) {
    return b->common.is_worker ? "" : b->list.job[place].state.p.output;
}

void cli_batch_say_begin(const cli_batch *b, int place, const char *device) {
    const char *output = b->list.job[place].state.p.output;
    ms_buf text;
    cli_say("[%d/%d] %s%s%s\n", place + 1, b->list.count, output, device ? " on " : "", device ? device : "");
    ms_buf_init(&text, NULL);
    put_place(&text, b, place);
    ms_buf_json_member(&text, ", ", "output", output_to_tell(b, place));
    if (device)
        ms_buf_json_member(&text, ", ", "device", device);
    tell_event("job", &text);
}

static void say_made(cli_batch *b, int place, const ms_run_report *r) {
    const ms_run_params *p = &b->list.job[place].state.p;
    ms_buf text;
    b->totals.made += !r->already_finished;
    b->totals.before += r->already_finished;
    cli_run_say_result(p, r);
    cli_show_doubt(r);
    ms_buf_init(&text, NULL);
    put_place(&text, b, place);
    ms_buf_json_member(&text, ", ", "state", r->already_finished ? "finished-before" : "made");
    cli_run_put_result(&text, output_to_tell(b, place), r);
    cli_run_put_rest(&text, r);
    b->untold |= !tell_event("job-end", &text);
}

static void say_ended(cli_batch *b, int place, const ms_error *err) {
    ms_buf text;
    ms_buf_init(&text, NULL);
    put_place(&text, b, place);
    ms_buf_json_member(&text, ", ", "state", err->code == MS_CANCELLED ? "cancelled" : "failed");
    ms_buf_printf(&text, ", \"code\": %d", ms_status_exit_code(err->code));
    ms_buf_json_member(&text, ", ", "name", ms_status_name(err->code));
    ms_buf_json_member(&text, ", ", "message", err->message);
    ms_buf_json_member(&text, ", ", "output", output_to_tell(b, place));
    b->untold |= !tell_event("job-end", &text);
}

static void say_failed(cli_batch *b, int place, const ms_error *err) {
    char name[1024];
    cli_batch_name(b, place, name, sizeof(name));
    if (cli_console_is_json())
        cli_warn("job-failed", "%s: %s", name, err->message);
    else /* with -q too: it is an error */
        cli_tell("memsafe: %s: %s\n", name, err->message);
    b->totals.failed++;
    if (b->first == MS_OK)
        b->first = err->code;
}

void cli_batch_say_end(cli_batch *b, int place, const ms_run_report *r, const ms_error *err) {
    if (!err) {
        say_made(b, place, r);
        return;
    }
    if (err->code == MS_CANCELLED) {
        b->first = MS_CANCELLED;
        b->totals.left++;
    } else {
        say_failed(b, place, err);
    }
    say_ended(b, place, err);
}
