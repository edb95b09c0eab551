/* `memsafe run`: the whole job. Its options are in run_options.c. */
#include <unistd.h>

#include "base/error.h"
#include "commands.h"
#include "console.h"
#include "demo_model.h"
#include "memsafe/run.h"
#include "signals.h"
#include "run_report.h"
#include "run_text.h"
#include "notes.h"

/* What the library's callbacks get. */
typedef struct run_view {
    const ms_run_params *p;
    const char *demo_model; /* "" when a model was named */
} run_view;

static void show_progress(void *arg, const ms_run_progress *progress) {
    (void)arg;
    cli_show_progress(progress);
}

/* The first lines: what was decided before any work. */
static void show_plan(void *arg, const ms_run_report *r) {
    const run_view *view = arg;
    if (view->demo_model[0])
        cli_warn("demo_model",
                 "no --model: using the demo model, which knows drawn faces only (%s); "
                 "scripts/fetch-models gets the official weights for real ones",
                 view->demo_model);
    cli_run_plan_event(view->p, r);
    cli_run_say_plan(view->p, r);
    cli_show_notes(r);
}

/* Without a model, or all of its parts by name, the one that comes with the program. */
static ms_status default_model(cli_run_state *s, char *path, size_t bytes, ms_error *err) {
    path[0] = 0;
    if (s->p.model || (s->p.config && s->p.unet && s->p.vae && s->p.whisper))
        return MS_OK;
    MS_TRY(cli_demo_model(path, bytes, err));
    s->p.model = path;
    return MS_OK;
}

/* Tells the error, and what is left of the work. */
static int fail(const cli_run_state *s, const ms_run_report *r, const ms_error *err) {
    cli_run_kept_members(r);
    int code = cli_fail(err);
    cli_run_say_kept(&s->p, r, cli_command_line());
    return code;
}

int cli_run(const void *state, char **arguments, int n_arguments) {
    cli_run_state s = *(const cli_run_state *)state;
    char demo_model[4096];
    ms_run_report report = {0};
    ms_error err;
    ms_error_clear(&err);
    cli_console_begin(&s.console);
    if (default_model(&s, demo_model, sizeof(demo_model), &err) != MS_OK)
        return cli_fail(&err);
    if (cli_run_options_apply(&s, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_run_report_check(&s, &err) != MS_OK)
        return cli_fail(&err);
    run_view view = {.p = &s.p, .demo_model = demo_model};
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
        return fail(&s, &report, &err);
    if (s.report && report.already_finished && access(s.report, F_OK) != 0)
        cli_warn("no_report", "no report is written to %s: an earlier run did the work", s.report);
    cli_run_done_members(&s.p, &report);
    cli_run_say_result(&s.p, &report);
    return 0;
}
