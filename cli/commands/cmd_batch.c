/* `memsafe batch`: many runs with one model that is loaded once, on one device or several. */
#include <stdio.h>

#include "base/error.h"
#include "batch/batch.h"
#include "batch/batch_crew.h"
#include "commands/commands.h"
#include "console/signals.h"
#include "workers/worker_process.h"

/* Before hours of work, what will fail if it stays as it is. It is no error yet: another program may be about
   to write the file. */
static void look_at_inputs(const cli_batch *b) {
    char name[1024];
    for (int i = 0; i < b->list.count; i++) {
        ms_error err;
        ms_error_clear(&err);
        if (cli_batch_is_ours(b, i) && cli_run_options_inputs(&b->list.job[i].state, &err) != MS_OK)
            cli_warn("job-input", "%s: %s; it is looked for again when its turn comes",
                     cli_batch_name(b, i, name, sizeof(name)), err.message);
    }
}

static void run_all(cli_batch *b) {
    for (int i = 0; i < b->list.count; i++) {
        ms_run_report r = {0};
        ms_error err;
        if (!cli_batch_is_ours(b, i))
            continue;
        if (b->first == MS_CANCELLED) {
            b->totals.left++;
            continue;
        }
        ms_error_clear(&err);
        cli_batch_say_begin(b, i, NULL);
        ms_status status = cli_batch_make(b, i, &r, &err);
        cli_progress_pause();
        cli_batch_say_end(b, i, &r, status == MS_OK ? NULL : &err);
    }
}

static int finish(cli_batch *b) {
    cli_progress_over();
    cli_batch_say_totals(&b->totals);
    if (b->first == MS_OK)
        return 0;
    cli_flush_now(); /* the error is the last thing that one sees */
    ms_error err;
    ms_error_clear(&err);
    if (b->first == MS_CANCELLED)
        ms_fail(&err, b->first, "cancelled: %d of %d jobs are left", b->totals.left, b->list.count);
    else if (b->totals.left)
        ms_fail(&err, b->first, "%d of %d jobs are left, and no worker", b->totals.left, b->list.count);
    else
        ms_fail(&err, b->first, "%d of %d jobs failed", b->totals.failed, b->list.count);
    return cli_fail(&err);
}

static int run(cli_batch *b, ms_error *err) {
    const bool alone = b->devices.count == 1;
    if (alone && cli_batch_open_model(b, err) != MS_OK)
        return cli_fail(err);
    cli_say_choice(&b->model);
    look_at_inputs(b);
    cli_catch_signals(); /* before that an interrupt loses nothing */
    if (alone)
        run_all(b);
    else if (cli_batch_crew(b, err) != MS_OK)
        return cli_fail(err);
    return finish(b);
}

int cli_batch_run(const void *state, char **arguments, int n_arguments) {
    static cli_batch b;
    ms_error err;
    (void)n_arguments;
    ms_error_clear(&err);
    cli_console_begin(&((const cli_run_state *)state)->console);
    int code = cli_batch_prepare(&b, state, arguments[0], &err) == MS_OK ? run(&b, &err) : cli_fail(&err);
    cli_batch_close(&b);
    return code;
}

int cli_batch_worker(int argc, char **argv) {
    static cli_run_state s;
    static cli_batch b;
    cli_worker_order order;
    char **words;
    int n_words;
    ms_error err;
    ms_error_clear(&err);
    if (cli_worker_read(&cli_batch_command, argc, argv, &order, &s, &words, &n_words, &err) != MS_OK)
        return cli_fail(&err);
    cli_console_begin(&s.console);
    cli_worker_apply(&order, &s);
    ms_status status = cli_batch_prepare(&b, &s, words[0], &err);
    if (status == MS_OK)
        status = cli_batch_open_model(&b, &err);
    if (status == MS_OK) {
        cli_catch_signals();
        status = cli_batch_take_clips(&b, &err);
    }
    cli_batch_close(&b);
    return status == MS_OK ? 0 : cli_fail(&err);
}
