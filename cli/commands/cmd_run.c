/* `memsafe run`: the whole job. Its options are in run_options.c. */
#include <unistd.h>

#include "base/error.h"
#include "console/budget_note.h"
#include "commands/commands.h"
#include "console/console.h"
#include "memsafe/run.h"
#include "options/model_choice.h"
#include "console/signals.h"
#include "results/run_report.h"
#include "results/run_text.h"
#include "results/notes.h"

/* What the library's callbacks get. */
typedef struct run_view {
    const ms_run_params *p;
    const cli_model_choice *model;
} run_view;

static void show_progress(void *arg, const ms_run_progress *progress) {
    (void)arg;
    cli_show_progress(progress);
}

/* The first lines: what was decided before any work. */
static void show_plan(void *arg, const ms_run_report *r) {
    const run_view *view = arg;
    cli_say_choice(view->model);
    cli_run_plan_event(view->p, r);
    cli_run_say_plan(view->p, r);
    cli_show_notes(r);
    /* The one that holds here, wherever it is from: of the host beside a device
       with memory of its own, else the lesser of both. */
    if (r->host_budget_bytes)
        cli_note_budget("host budget", r->host_budget_bytes);
    else
        cli_note_budget("budget", r->budget_bytes);
}

/* Tells the error, and what is left of the work. */
static int fail(const cli_run_state *s, const cli_model_choice *model, const ms_run_report *r,
                const ms_error *err) {
    cli_run_kept_members(r);
    ms_error told = *err;
    cli_explain_no_face(model, &told);
    if (r->frames_resumable && !cli_console_is_json()) /* the command that goes on is the next line */
        told.hints &= ~MS_HINT_BIT(MS_HINT_RESUME);
    int code = cli_fail(&told);
    cli_run_say_kept(&s->p, r, err->code, cli_command_line());
    return code;
}

int cli_run(const void *state, char **arguments, int n_arguments) {
    cli_run_state s = *(const cli_run_state *)state;
    cli_model_choice model;
    ms_run_report report = {0};
    ms_error err;
    ms_error_clear(&err);
    cli_console_begin(&s.console);
    bool named = s.p.config && s.p.unet && s.p.vae && s.p.whisper;
    if (cli_run_options_apply(&s, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_run_options_named(&s, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_choose_model(&s.p.model, s.demo, named, CLI_NEEDS_ALL, &model, &err) != MS_OK) {
        cli_run_options_inputs(&s, &err);
        return cli_fail(&err);
    }
    if (cli_run_report_check(&s, &err) != MS_OK)
        return cli_fail(&err);
    run_view view = {.p = &s.p, .model = &model};
    s.p.progress = show_progress;
    s.p.planned = show_plan;
    s.p.arg = &view;
    s.p.cancelled = cli_interrupted;
    cli_catch_signals();
    ms_status status = ms_run(&s.p, &report, &err);
    cli_progress_over();
    if (status == MS_OK && s.report && !report.already_finished)
        status = cli_run_report_write(&s, &report, &err);
    if (status != MS_OK)
        return fail(&s, &model, &report, &err);
    if (s.report && report.already_finished && access(s.report, F_OK) != 0)
        cli_warn("no-report", "no report is written to %s: an earlier run did the work", s.report);
    cli_run_done_members(&s.p, &report);
    cli_run_say_result(&s.p, &report);
    cli_show_doubt(&report);
    return 0;
}
