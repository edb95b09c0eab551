/* `memsafe batch`: many runs with one model that is loaded once. Which ones is in batch/. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "batch/batch_list.h"
#include "batch/batch_totals.h"
#include "commands/commands.h"
#include "console/signals.h"
#include "memsafe/model.h"
#include "options/model_choice.h"
#include "results/notes.h"
#include "results/run_report.h"
#include "results/run_text.h"
#include "workers/device_list.h"

typedef struct batch {
    cli_run_state common;
    cli_batch_list list;
    cli_model_choice model;
    ms_model *loaded;
    int part, parts; /* of the list; parts 0 = all of it */
    cli_batch_totals totals;
    ms_status first; /* of the failures */
} batch;

/* ---- before the work ---- */

static ms_status take_part(batch *b, ms_error *err) {
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

/* Whether one of the jobs has its faces found. */
static bool finds_faces(const cli_batch_list *l) {
    for (int i = 0; i < l->count; i++)
        if (!l->job[i].state.p.track)
            return true;
    return false;
}

static ms_status open_model(batch *b, ms_error *err) {
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

/* The jobs of a batch are shared out whole: a process for each device has the model to itself. */
static ms_status check_device(const char *device, ms_error *err) {
    cli_device_list l;
    MS_TRY(cli_device_list_parse(device, &l, err));
    return l.count == 1
               ? MS_OK
               : ms_fail(err, MS_INVALID_ARGUMENT,
                         "--device: a batch has one; for %d devices start %d of them, with --part 1/%d to "
                         "%d/%d",
                         l.count, l.count, l.count, l.count, l.count);
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

static ms_status prepare(batch *b, const char *path, ms_error *err) {
    cli_run_state *c = &b->common;
    MS_TRY(take_part(b, err));
    if (c->inputs.count)
        return ms_fail(err, MS_INVALID_ARGUMENT, "-i %s: the videos are those of %s", c->inputs.items[0],
                       path);
    if (c->preview)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--preview is of `memsafe run` alone");
    MS_TRY(check_device(c->p.device, err));
    bool named = c->p.config && c->p.unet && c->p.vae && c->p.whisper;
    MS_TRY(cli_batch_read(path, c, &b->list, err));
    MS_TRY(cli_choose_model(&c->p.model, c->demo, named, CLI_NEEDS_ALL, &b->model, err));
    MS_TRY(apply_common(c, err));
    MS_TRY(make_folder(c->p.output, "results", err));
    MS_TRY(make_folder(c->report, "reports", err));
    return open_model(b, err);
}

/* ---- a job ---- */

static void say_job(const batch *b, int place, const cli_batch_job *j) {
    ms_buf text;
    cli_say("[%d/%d] %s\n", place + 1, b->list.count, j->state.p.output);
    ms_buf_init(&text, NULL);
    ms_buf_printf(&text, "\"job\": %d, \"jobs\": %d, \"output\": ", place + 1, b->list.count);
    ms_buf_json_string(&text, j->state.p.output);
    if (!text.failed)
        cli_event("job", text.data);
    ms_buf_free(&text);
}

static ms_status run_one(batch *b, cli_batch_job *j, ms_run_report *r, ms_error *err) {
    cli_run_state *s = &j->state;
    MS_TRY(cli_run_options_inputs(s, err));
    s->p.model = b->common.p.model; /* for the report */
    s->p.profile = cli_profile_source(&s->profile);
    MS_TRY(cli_run_report_check(s, err));
    s->p.progress = cli_show_progress;
    s->p.cancelled = cli_interrupted;
    ms_run_params p = s->p;
    strip(&p);
    p.loaded = b->loaded;
    MS_TRY(ms_run(&p, r, err));
    return s->report && !r->already_finished ? cli_run_report_write(s, r, NULL, err) : MS_OK;
}

static bool is_ours(const batch *b, int place) {
    return !b->parts || place % b->parts == b->part - 1;
}

/* "jobs.jsonl:3: c.mp4" */
static const char *name_job(const batch *b, const cli_batch_job *j, char *ret_name, size_t bytes) {
    char where[64] = "";
    if (!b->list.is_folder)
        snprintf(where, sizeof(where), ":%d", j->line);
    snprintf(ret_name, bytes, "%s%s: %s", b->list.path, where, j->state.p.output);
    return ret_name;
}

/* Before hours of work, what will fail if it stays as it is. It is no error yet: another program may be about
   to write the file. */
static void look_at_inputs(const batch *b) {
    char name[1024];
    for (int i = 0; i < b->list.count; i++) {
        ms_error err;
        ms_error_clear(&err);
        if (is_ours(b, i) && cli_run_options_inputs(&b->list.job[i].state, &err) != MS_OK)
            cli_warn("job-input", "%s: %s; it is looked for again when its turn comes",
                     name_job(b, &b->list.job[i], name, sizeof(name)), err.message);
    }
}

static void tell_failure(batch *b, const cli_batch_job *j, const ms_error *err) {
    char name[1024];
    name_job(b, j, name, sizeof(name));
    if (cli_console_is_json())
        cli_warn("job-failed", "%s: %s", name, err->message);
    else /* with -q too: it is an error */
        cli_tell("memsafe: %s: %s\n", name, err->message);
    b->totals.failed++;
    if (b->first == MS_OK)
        b->first = err->code;
}

/* False: no more of them. */
static bool work_off(batch *b, int place) {
    cli_batch_job *j = &b->list.job[place];
    ms_run_report r = {0};
    ms_error err;
    ms_error_clear(&err);
    say_job(b, place, j);
    ms_status status = run_one(b, j, &r, &err);
    cli_progress_pause();
    if (status == MS_CANCELLED) {
        b->first = status;
        b->totals.left++;
        return false;
    }
    if (status != MS_OK) {
        tell_failure(b, j, &err);
    } else {
        b->totals.made += !r.already_finished;
        b->totals.before += r.already_finished;
        cli_run_say_result(&j->state.p, &r);
        cli_show_doubt(&r);
    }
    return true;
}

static void run_all(batch *b) {
    bool going = true;
    for (int i = 0; i < b->list.count; i++) {
        if (!is_ours(b, i))
            continue;
        if (going)
            going = work_off(b, i);
        else
            b->totals.left++;
    }
}

static int finish(batch *b) {
    cli_progress_over();
    cli_batch_say_totals(&b->totals);
    if (b->first == MS_OK)
        return 0;
    cli_flush_now(); /* the error is the last thing that one sees */
    ms_error err;
    ms_error_clear(&err);
    if (b->first == MS_CANCELLED)
        ms_fail(&err, b->first, "cancelled: %d of %d jobs are left", b->totals.left, b->list.count);
    else
        ms_fail(&err, b->first, "%d of %d jobs failed", b->totals.failed, b->list.count);
    return cli_fail(&err);
}

int cli_batch(const void *state, char **arguments, int n_arguments) {
    static batch b;
    ms_error err;
    (void)n_arguments;
    ms_error_clear(&err);
    b = (batch){.common = *(const cli_run_state *)state};
    cli_console_begin(&b.common.console);
    int code;
    if (prepare(&b, arguments[0], &err) != MS_OK) {
        code = cli_fail(&err);
    } else {
        cli_say_choice(&b.model);
        look_at_inputs(&b);
        cli_catch_signals(); /* before that an interrupt loses nothing */
        run_all(&b);
        code = finish(&b);
    }
    ms_model_close(&b.loaded);
    cli_batch_free(&b.list);
    return code;
}
