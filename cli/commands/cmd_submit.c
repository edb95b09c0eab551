/* `memsafe submit slurm`: a run or a batch that a cluster makes. Its steps and how they are followed are in
   submit/. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "batch/batch_list.h"
#include "batch/batch_totals.h"
#include "commands/commands.h"
#include "console/signals.h"
#include "files/new_file.h"
#include "results/run_events.h"
#include "results/run_report.h"
#include "results/run_text.h"
#include "run/run_files.h"
#include "submit/follow.h"

#define FEW_TASKS 8 /* one that finds nothing left ends at once */

/* ---- before ---- */

static ms_status refuse(const cli_run_state *s, ms_error *err) {
    if (s->part)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "--part: the tasks share the work out; --tasks says how many");
    if (s->preview)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--preview is of `memsafe run` alone");
    if (s->p.threads < 0) /* how many there may be, the nodes know */
        return ms_fail(err, MS_INVALID_ARGUMENT, "--threads: %d is no number of threads", s->p.threads);
    return MS_OK;
}

static ms_status prepare_video(cli_submit_asked *a, char **arguments, int n_arguments, cli_job *j,
                               ms_error *err) {
    cli_run_state *s = &a->run;
    MS_TRY(cli_run_options_apply(s, arguments, n_arguments, err));
    MS_TRY(cli_run_options_named(s, err));
    MS_TRY(cli_run_options_inputs(s, err));
    MS_TRY(ms_run_spare(&s->p, s->p.output, "output", err));
    MS_TRY(ms_new_file_check(s->p.output, s->p.force || s->p.resume, err));
    MS_TRY(cli_run_report_check(s, err));
    j->output = s->p.output;
    j->n_tasks = a->tasks ? a->tasks : FEW_TASKS;
    return MS_OK;
}

/* Its lines are looked at here, before anything waits for a node. */
static ms_status prepare_batch(cli_submit_asked *a, const char *path, cli_job *j, ms_error *err) {
    cli_batch_list list = {.count = 0};
    if (strcmp(path, "-") == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "a batch under Slurm is a file or a folder that its nodes see");
    ms_status status = cli_batch_read(path, &a->run, &list, err);
    j->output = path;
    j->clips = list.count;
    j->n_tasks = a->tasks ? a->tasks : FEW_TASKS;
    if (j->n_tasks > j->clips)
        j->n_tasks = j->clips;
    cli_batch_free(&list);
    return status;
}

static ms_status prepare(cli_submit_asked *a, char **arguments, int n_arguments, cli_job *j, ms_error *err) {
    if (strcmp(arguments[0], "slurm") != 0)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "\"%s\" is no scheduler that memsafe knows: memsafe submit slurm", arguments[0]);
    MS_TRY(refuse(&a->run, err));
    MS_TRY(cli_slurm_check(err));
    if (a->run.inputs.count)
        return prepare_video(a, arguments + 1, n_arguments - 1, j, err);
    if (n_arguments == 2)
        return prepare_batch(a, arguments[1], j, err);
    return ms_fail(err, MS_INVALID_ARGUMENT,
                   "a video (-i FILE) is missing, or a batch's file or folder; see `memsafe help submit`");
}

/* ---- what is said ---- */

static void say_submitted(const cli_job *j) {
    char members[384];
    size_t at = 0;
    if (j->before)
        cli_say("what was handed over before is still at work and is followed again:\n");
    if (j->clips)
        cli_say("%d clips of %s in Slurm, as job %s of %d task%s\n", j->clips, j->output,
                j->id[CLI_STEP_BATCH], j->n_tasks, j->n_tasks == 1 ? "" : "s");
    else
        cli_say("%s in Slurm: split is job %s, %d task%s are job %s, join is job %s\n", j->output,
                j->id[CLI_STEP_SPLIT], j->n_tasks, j->n_tasks == 1 ? "" : "s", j->id[CLI_STEP_PARTS],
                j->id[CLI_STEP_JOIN]);
    at = (size_t)snprintf(members, sizeof(members), "\"tasks\": %d, \"resumed\": %s", j->n_tasks,
                          j->before ? "true" : "false");
    for (int i = 0; i < CLI_STEP_COUNT; i++)
        if (j->id[i][0])
            at += (size_t)snprintf(members + at, sizeof(members) - at, ", \"%s\": \"%s\"",
                                   cli_step_name((cli_step)i), j->id[i]);
    if (j->cluster[0])
        snprintf(members + at, sizeof(members) - at, ", \"cluster\": \"%s\"", j->cluster);
    cli_event("slurm", members);
}

static void say_how_to_go_on(const cli_job *j) {
    char commas[CLI_SLURM_IDS_BYTES], spaces[CLI_SLURM_IDS_BYTES], of[CLI_SLURM_OF_BYTES];
    const cli_slurm_jobs jobs = cli_job_numbers(j);
    cli_slurm_ids(&jobs, ',', commas);
    cli_slurm_ids(&jobs, ' ', spaces);
    cli_slurm_of(j->cluster, of);
    cli_say("  squeue%s -j %s shows them, scancel%s %s ends them; what they say is in %s\n", of, commas, of,
            spaces, j->shown);
    if (!j->clips)
        cli_say("  %s appears when join has ended\n", j->output);
}

static void say_video(const cli_job *j, const cli_job_result *got) {
    const ms_run_report r = {.already_finished = got->already_finished,
                             .frames = got->frames,
                             .frames_without_face = got->frames_without_face,
                             .frames_resumed = got->already_finished ? got->frames : got->frames_resumed,
                             .width = got->width,
                             .height = got->height,
                             .fps = got->fps,
                             .seconds = cli_console_seconds(),
                             .peak_resident_bytes = (size_t)got->peak_bytes};
    cli_run_done_members(&j->asked->run.p, &r);
    cli_run_say_result(&j->asked->run.p, &r);
}

/* ---- the whole ---- */

/* Errors that need not come again. */
static bool may_go_on(const cli_job *j, ms_status code) {
    static const ms_status some[] = {MS_CANCELLED,     MS_IO,          MS_HOST_MEMORY,
                                     MS_DEVICE_MEMORY, MS_DEVICE_LOST, MS_INTERNAL};
    char folder[PATH_MAX];
    int n = snprintf(folder, sizeof(folder), "%s.memsafe", j->output);
    bool some_is = false;
    for (int i = 0; i < CLI_COUNT(some); i++)
        some_is = some_is || some[i] == code;
    return some_is && (j->clips || (n > 0 && n < (int)sizeof(folder) && access(folder, F_OK) == 0));
}

static int end_badly(const cli_job *j, ms_error *err) {
    const bool resumed = j->asked->run.p.resume;
    const bool goes_on = may_go_on(j, err->code);
    if (goes_on && !cli_console_is_json()) /* the command is the next line */
        err->hints &= ~MS_HINT_BIT(MS_HINT_RESUME);
    int code = cli_fail(err);
    cli_tell("  what the steps said is in %s\n", j->shown);
    if (goes_on)
        cli_tell_command("  to go on: ", cli_command_line(), resumed ? "" : " --resume");
    return code;
}

static int follow(cli_job *j) {
    cli_job_result got;
    ms_error err;
    ms_error_clear(&err);
    ms_status status = cli_job_follow(j, &got, &err);
    cli_progress_over();
    if (j->clips) {
        cli_batch_say_totals(&got.clips);
        cli_flush_now();
    }
    if (status != MS_OK)
        return end_badly(j, &err);
    if (!j->clips)
        say_video(j, &got);
    cli_job_remove_logs(j);
    return 0;
}

static int submit_run(const void *state, char **arguments, int n_arguments) {
    static cli_submit_asked asked;
    static cli_job job;
    ms_error err;
    ms_error_clear(&err);
    asked = *(const cli_submit_asked *)state;
    job = (cli_job){.asked = &asked, .lock = -1};
    cli_console_begin(&asked.run.console);
    if (prepare(&asked, arguments, n_arguments, &job, &err) != MS_OK)
        return cli_fail(&err);
    cli_catch_signals();
    cli_let_hangup_end(); /* the cluster goes on when the terminal goes */
    int code = 0;
    if (cli_job_submit(&job, &cli_submit_command, &err) != MS_OK) {
        code = cli_fail(&err);
    } else {
        say_submitted(&job);
        if (asked.no_follow)
            say_how_to_go_on(&job);
        else
            code = follow(&job);
    }
    cli_job_free(&job);
    return code;
}

static void submit_defaults(void *state) {
    cli_run_command.defaults(&((cli_submit_asked *)state)->run);
}

static const cli_option submit_options[] = {
    CLI_GROUP("Slurm"),
    {"tasks", 0, CLI_INT, offsetof(cli_submit_asked, tasks), "N",
     "tasks that make segments, or clips of a batch (default 8); one that finds nothing left ends at once", 1,
     CLI_SUBMIT_MOST_TASKS},
    {"partition", 0, CLI_TEXT, offsetof(cli_submit_asked, partition), "NAME", "of the cluster, for all steps",
     0, 0},
    {"gres", 0, CLI_TEXT, offsetof(cli_submit_asked, gres), "LIST",
     "what each task needs of a node, like gpu:1; split and join too, for a job is of one kind of device", 0,
     0},
    {"time-limit", 0, CLI_TEXT, offsetof(cli_submit_asked, time_limit), "TIME",
     "of each task, as sbatch takes it: minutes, or [DAYS-]HOURS:MINUTES:SECONDS", 0, 0},
    {"cpus", 0, CLI_INT, offsetof(cli_submit_asked, cpus), "N",
     "processors for each task, and its threads where --threads does not say (default: Slurm's)", 1, 1024},
    {"sbatch", 0, CLI_LIST, offsetof(cli_submit_asked, passed_on), "OPTION",
     "passed on to sbatch as it is, like --sbatch=--account=film; may be repeated", 0, 0},
    {"no-follow", 0, CLI_FLAG, offsetof(cli_submit_asked, no_follow), NULL,
     "submit, say the jobs' numbers, and return", 0, 0},
};

const cli_command cli_submit_command = {
    .name = "submit",
    .summary = "Have a Slurm cluster make a run or a batch, and follow it",
    .usage = "slurm {-i VIDEO -a SPEECH OUT | FILE.jsonl|FOLDER} [OPTIONS]",
    .text =
        "Splits the video in one task, has its segments made by an array of tasks, and joins them in one. "
        "Of a batch (see `memsafe help batch`) each task makes some of the clips. All nodes must see the "
        "program, the inputs and the output under the same names. The file is the one that a single run "
        "makes, to the last byte. Ctrl-C cancels all of it; --resume follows what is still in Slurm, or "
        "makes what is missing.",
    .examples = {{"memsafe submit slurm -i talking.mp4 -a speech.wav out.mp4 --tasks 16 --gres gpu:1",
                  "16 tasks with a card each"},
                 {"memsafe submit slurm jobs.jsonl --partition long --sbatch=--account=film",
                  "each line a clip (docs/scale.md)"},
                 {"memsafe submit slurm -i talking.mp4 -a speech.wav out.mp4 --resume",
                  "make what is missing after Ctrl-C or an error"}},
    .min_arguments = 1,
    .max_arguments = 2,
    .options = submit_options,
    .n_options = CLI_COUNT(submit_options),
    .also = &cli_run_command,
    .state_bytes = sizeof(cli_submit_asked),
    .defaults = submit_defaults,
    .run = submit_run,
};
