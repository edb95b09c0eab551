/* `memsafe run`, the whole job, and its steps: `split`, `run --part`, `join`. Options are in
   run_options.c. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "console/budget_note.h"
#include "commands/commands.h"
#include "console/console.h"
#include "memsafe/run.h"
#include "options/model_choice.h"
#include "console/signals.h"
#include "results/run_events.h"
#include "results/run_report.h"
#include "results/run_text.h"
#include "results/notes.h"
#include "options/recall.h"
#include "workers/made.h"
#include "workers/worker_process.h"
#include "workers/workers.h"

/* What the library's callbacks get. */
typedef struct run_view {
    const ms_run_params *p;
    const cli_model_choice *model; /* NULL: a worker's, which the run has told */
    bool to_remember;              /* the command, once the job's folder is there */
} run_view;

/* The first lines: what was decided before any work. */
static void show_plan(void *arg, const ms_run_report *r) {
    const run_view *view = arg;
    if (view->model)
        cli_say_choice(view->model);
    cli_run_plan_event(view->p, r);
    cli_run_say_plan(view->p, r);
    cli_show_notes(r, false);
    /* The one that holds here, wherever it is from: of the host beside a device
       with memory of its own, else the lesser of both. */
    if (r->host_budget_bytes)
        cli_note_budget("host budget", r->host_budget_bytes);
    else
        cli_note_budget("budget", r->budget_bytes);
}

/* Of a split, when it begins to find faces: one that is killed can be gone on with by its output's name. What
   is wrong with that is said at its end. */
static void show_progress(void *arg, const ms_run_progress *progress) {
    run_view *view = arg;
    if (view->to_remember && progress->stage && strcmp(progress->stage, ms_stage_name(MS_STAGE_FACES)) == 0) {
        view->to_remember = false;
        cli_run_remember(view->p->output, NULL);
    }
    cli_show_progress(arg, progress);
}

/* Tells the error, and what is left of the work. The command that goes on is a line of its own. */
static int fail(const cli_run_state *s, const cli_model_choice *model, const ms_run_report *r,
                const ms_error *err) {
    cli_run_kept_members(r);
    ms_error told = *err;
    cli_explain_no_face(model, &told);
    const bool resumes = err->hints & MS_HINT_BIT(MS_HINT_RESUME), lines = !cli_console_is_json(),
               split = resumes && lines && (s->p.work == MS_RUN_WORK_PART || s->p.work == MS_RUN_WORK_JOIN) &&
                       cli_run_is_remembered(s->p.output);
    if ((r->frames_resumable && lines) || split)
        told.hints &= ~MS_HINT_BIT(MS_HINT_RESUME);
    int code = cli_fail(&told);
    if (split)
        cli_tell_command("  to go on: ", cli_command_of("split --resume", s->p.output), "");
    else if (r->frames_resumable || !resumes) /* else the message has said what is kept */
        cli_run_say_kept(&s->p, r, err->code);
    return code;
}

/* Several devices make segments; a job that cannot be cut is refused by the library, with the reason. */
static ms_status work_on(const cli_run_state *s, const cli_model_choice *model, ms_run_report *r,
                         cli_workers_report *workers, ms_error *err) {
    cli_device_list devices = {.count = 1};
    if (!s->is_worker)
        MS_TRY(cli_device_list_parse(s->p.device, &devices, err));
    if (devices.count == 1 || s->p.work == MS_RUN_WORK_SPLIT || s->p.work == MS_RUN_WORK_JOIN) {
        ms_run_params p = s->p;
        if (devices.count > 1 || devices.cpus) /* "cpu:1" */
            p.device = devices.name[0];
        return ms_run(&p, r, err);
    }
    cli_say_choice(model);
    return cli_workers_run(s, &devices, r, workers, err);
}

static void say_next(const cli_run_state *s, const ms_run_report *r) {
    if (s->is_worker)
        return;
    if (r->segments_finished == r->segments)
        cli_say_command("  next: ", cli_command_of("join", s->p.output));
    else
        cli_say_command("  next, wherever this folder is seen: ",
                        cli_command_of("run --part auto", s->p.output));
}

static void say_end(const cli_run_state *s, const ms_run_report *r, const cli_workers_report *workers) {
    if (s->p.work == MS_RUN_WORK_SPLIT && !r->already_finished) {
        cli_say("%s.memsafe has the faces of %" PRId64 " frames, to be made in %" PRId64 " segments\n",
                s->p.output, r->frames, r->segments);
        say_next(s, r);
    } else if (s->p.work == MS_RUN_WORK_PART && r->already_finished) {
        cli_run_say_result(&s->p, r);
    } else if (s->p.work == MS_RUN_WORK_PART &&
               r->segments == 0) { /* of workers' segments nobody keeps count */
        cli_say("%s.memsafe: %" PRId64 " frames made here\n", s->p.output, r->frames);
        cli_workers_say(workers);
    } else if (s->p.work == MS_RUN_WORK_PART) {
        cli_say("%s.memsafe has %" PRId64 " of %" PRId64 " segments\n", s->p.output, r->segments_finished,
                r->segments);
        say_next(s, r);
    } else {
        cli_run_say_result(&s->p, r);
        cli_workers_say(workers);
    }
}

static int finish(cli_run_state *s, const cli_model_choice *model, ms_status status, ms_run_report *r,
                  const cli_workers_report *workers, ms_error *err) {
    cli_progress_over();
    if (status == MS_OK && s->p.work == MS_RUN_WORK_SPLIT && !r->already_finished && !s->is_recalled)
        status = cli_run_remember(s->p.output, err);
    if (status == MS_OK && s->report && !r->already_finished)
        status = cli_run_report_write(s, r, workers, err);
    if (status != MS_OK)
        return fail(s, model, r, err);
    if (s->report && r->already_finished && access(s->report, F_OK) != 0)
        cli_warn("no-report", "no report is written to %s: an earlier run did the work", s->report);
    cli_run_done_members(&s->p, r);
    if (s->is_worker)
        cli_made_tell(r);
    if (s->p.work == MS_RUN_WORK_SPLIT) /* which has no plan to tell them with */
        cli_show_notes(r, false);
    say_end(s, r, workers);
    cli_show_doubt(r);
    return 0;
}

/* A part, or the end, of a job that was split need not be described again; nor the rest of its splitting. */
static bool is_recalled(const cli_run_state *s, ms_run_work work) {
    return !s->inputs.count &&
           (s->part || work == MS_RUN_WORK_JOIN || (work == MS_RUN_WORK_SPLIT && s->p.resume));
}

/* Somebody else has joined it: a part that comes late has nothing to do. A join says more than that: it
   fails, for what is there may be of another day. */
static int say_over(cli_run_state *s, const char *output) {
    const ms_run_report none = {.already_finished = true};
    s->p.output = output;
    cli_run_done_members(&s->p, &none);
    cli_say("%s is there, and no job beside it: nothing to do\n", output);
    return 0;
}

/* What was typed for the whole, for one of its workers. */
static void make_worker(const cli_worker_order *order, cli_run_state *s) {
    cli_worker_apply(order, s);
    s->part = s->part ? s->part : "auto";
    s->report = NULL;
    s->p.force = s->p.resume = false; /* it was decided before */
}

static int run_as(cli_run_state *s, ms_run_work work, const cli_worker_order *order, char **arguments,
                  int n_arguments) {
    cli_model_choice model;
    cli_workers_report workers = {.count = 0};
    ms_run_report report = {0};
    ms_error err;
    ms_error_clear(&err);
    cli_console_begin(&s->console);
    const char *output = s->p.output ? s->p.output : n_arguments ? arguments[0] : NULL;
    if (s->part && work != MS_RUN_WORK_ALL)
        return ms_fail(&err, MS_INVALID_ARGUMENT, "--part is of `memsafe run` alone"), cli_fail(&err);
    if (work == MS_RUN_WORK_JOIN && !output)
        return ms_fail(&err, MS_INVALID_ARGUMENT,
                       "the output (OUT) of the job that was split is missing; see `memsafe help join`"),
               cli_fail(&err);
    if (output && work == MS_RUN_WORK_ALL && is_recalled(s, work) && cli_run_is_over(output))
        return say_over(s, output);
    const bool recalled = output && is_recalled(s, work);
    if (recalled && cli_run_recall(output, s, &arguments, &n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    s->is_recalled = recalled;
    s->p.work = work;
    if (order)
        make_worker(order, s);
    bool named = s->p.config && s->p.unet && s->p.vae && s->p.whisper;
    if (cli_run_options_apply(s, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_run_options_named(s, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_choose_model(&s->p.model, s->demo, named, CLI_NEEDS_ALL, &model, &err) != MS_OK) {
        cli_run_options_inputs(s, &err);
        return cli_fail(&err);
    }
    if (cli_run_report_check(s, &err) != MS_OK)
        return cli_fail(&err);
    run_view view = {.p = &s->p,
                     .model = s->is_worker ? NULL : &model,
                     .to_remember = work == MS_RUN_WORK_SPLIT && !recalled};
    s->p.progress = show_progress;
    s->p.planned = show_plan;
    s->p.arg = &view;
    s->p.cancelled = cli_interrupted;
    cli_catch_signals();
    ms_status status = work_on(s, &model, &report, &workers, &err);
    s->p.arg = NULL; /* the view ends with this call */
    return finish(s, &model, status, &report, &workers, &err);
}

int cli_run(const void *state, char **arguments, int n_arguments) {
    cli_run_state s = *(const cli_run_state *)state;
    return run_as(&s, MS_RUN_WORK_ALL, NULL, arguments, n_arguments);
}

int cli_split(const void *state, char **arguments, int n_arguments) {
    cli_run_state s = *(const cli_run_state *)state;
    return run_as(&s, MS_RUN_WORK_SPLIT, NULL, arguments, n_arguments);
}

int cli_join(const void *state, char **arguments, int n_arguments) {
    cli_run_state s = *(const cli_run_state *)state;
    return run_as(&s, MS_RUN_WORK_JOIN, NULL, arguments, n_arguments);
}

int cli_run_worker(int argc, char **argv) {
    static cli_run_state s;
    cli_worker_order order;
    char **words;
    int n_words;
    ms_error err;
    ms_error_clear(&err);
    if (cli_worker_read(&cli_run_command, argc, argv, &order, &s, &words, &n_words, &err) != MS_OK)
        return cli_fail(&err);
    return run_as(&s, MS_RUN_WORK_ALL, &order, words, n_words);
}
