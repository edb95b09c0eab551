#include "submit/job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "console/console.h"
#include "console/signals.h"
#include "submit/log_folder.h"
#include "submit/record.h"

/* ---- before ---- */

static ms_status make_folder(cli_job *j, const char *here, ms_error *err) {
    size_t length = strlen(j->output);
    while (length > 1 && j->output[length - 1] == '/')
        length--;
    int n = snprintf(j->shown, sizeof(j->shown), "%.*s.slurm", (int)length, j->output),
        whole = snprintf(j->folder, sizeof(j->folder), "%s%s%s", j->output[0] == '/' ? "" : here,
                         j->output[0] == '/' ? "" : "/", j->shown);
    if (n < 0 || n >= (int)sizeof(j->shown) || whole < 0 || whole >= (int)sizeof(j->folder))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the output's name is too long");
    return cli_log_folder_take(j->folder, j->shown, &j->lock, err);
}

static ms_status find_place(cli_step_place *p, char program[PATH_MAX], char here[PATH_MAX], ms_error *err) {
    ssize_t n = readlink("/proc/self/exe", program, PATH_MAX - 1);
    if (n <= 0)
        return ms_fail(err, MS_IO, "this program's own file has no name: %s", strerror(errno));
    program[n] = 0;
    if (!getcwd(here, PATH_MAX))
        return ms_fail(err, MS_IO, "the current folder has no name: %s", strerror(errno));
    p->program = program;
    p->folder = here;
    return MS_OK;
}

static ms_status make_tasks(cli_job *j, ms_error *err) {
    int n = j->n_tasks + (j->clips ? 0 : 2);
    j->task = calloc((size_t)n, sizeof(*j->task));
    if (!j->task)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for %d tasks", n);
    j->count = n;
    for (int i = 0; i < n; i++) {
        cli_task *t = &j->task[i];
        t->step = j->clips     ? CLI_STEP_BATCH
                  : i == 0     ? CLI_STEP_SPLIT
                  : i == n - 1 ? CLI_STEP_JOIN
                               : CLI_STEP_PARTS;
        t->place = t->step == CLI_STEP_BATCH ? i + 1 : t->step == CLI_STEP_PARTS ? i : 0;
        cli_events_begin(&t->heard);
    }
    return MS_OK;
}

/* ---- submitting ---- */

/* Nothing of an array is begun before its split is good; a task that fails does not matter to the join when
   the others made all there is to be made. */
static const char *name_after(const cli_job *j, cli_step step, char *text, size_t bytes) {
    if (step == CLI_STEP_PARTS)
        snprintf(text, bytes, "afterok:%s", j->id[CLI_STEP_SPLIT]);
    else if (step == CLI_STEP_JOIN)
        snprintf(text, bytes, "afterok:%s,afterany:%s", j->id[CLI_STEP_SPLIT], j->id[CLI_STEP_PARTS]);
    else
        return NULL;
    return text;
}

static ms_status submit_step(cli_job *j, cli_step step, const cli_command *command,
                             const cli_step_place *place, ms_error *err) {
    char name[CLI_STEP_JOB_BYTES], log[48], after[96], cluster[CLI_SLURM_CLUSTER_BYTES];
    const bool array = step == CLI_STEP_PARTS || step == CLI_STEP_BATCH;
    ms_buf script;
    ms_buf_init(&script, NULL);
    ms_status status = cli_step_script(step, command, j->asked, place, &script, err);
    cli_step_job_name(step, name);
    snprintf(log, sizeof(log), array ? "%s-%%A-%%a.log" : "%s-%%j.log", cli_step_name(step));
    const cli_slurm_order order = {.name = name,
                                   .script = script.data,
                                   .folder = j->folder,
                                   .log = log,
                                   .after = name_after(j, step, after, sizeof(after)),
                                   .array = array ? j->n_tasks : 0,
                                   .cluster = j->cluster,
                                   .asked = j->asked};
    if (status == MS_OK)
        status = cli_slurm_submit(&order, j->id[step], cluster, err);
    if (status == MS_OK)
        memcpy(j->cluster, cluster, sizeof(cluster));
    ms_buf_free(&script);
    return status;
}

static ms_status submit_steps(cli_job *j, const cli_command *command, const cli_step_place *place,
                              ms_error *err) {
    static const cli_step video[] = {CLI_STEP_SPLIT, CLI_STEP_PARTS, CLI_STEP_JOIN},
                          batch[] = {CLI_STEP_BATCH};
    const cli_step *steps = j->clips ? batch : video;
    const int n_steps = j->clips ? CLI_COUNT(batch) : CLI_COUNT(video);
    ms_error why;
    for (int i = 0; i < n_steps && !cli_interrupted(NULL); i++)
        MS_TRY(submit_step(j, steps[i], command, place, err));
    if (!cli_interrupted(NULL))
        return MS_OK;
    ms_error_clear(&why);
    if (cli_job_cancel(j, &why) != MS_OK)
        return ms_fail(err, MS_CANCELLED, "cancelled, but Slurm's jobs may go on: %s", why.message);
    return ms_fail(err, MS_CANCELLED, "cancelled, and what was submitted with it");
}

/* ---- what an earlier submit left there ---- */

typedef struct remains {
    const cli_job *job;
    bool any;
} remains;

/* By its number alone it might be somebody else's: a cluster that was set up anew counts from 1. */
static void hear_remains(void *arg, const cli_slurm_told *told) {
    remains *r = arg;
    char name[CLI_STEP_JOB_BYTES];
    for (int i = 0; i < CLI_STEP_COUNT; i++) {
        cli_step_job_name((cli_step)i, name);
        r->any = r->any || ((told->state == CLI_SLURM_WAITS || told->state == CLI_SLURM_RUNS) &&
                            strcmp(told->id, r->job->id[i]) == 0 && strcmp(told->name, name) == 0);
    }
}

static ms_status refuse_remains(const cli_slurm_jobs *jobs, const char *output, const char *how,
                                ms_error *err) {
    char commas[CLI_SLURM_IDS_BYTES], spaces[CLI_SLURM_IDS_BYTES], of[CLI_SLURM_OF_BYTES];
    cli_slurm_ids(jobs, ',', commas);
    cli_slurm_ids(jobs, ' ', spaces);
    cli_slurm_of(jobs->cluster, of);
    return ms_fail(err, MS_IO,
                   "%s: jobs %s of an earlier submit are still in Slurm%s; scancel%s %s ends them", output,
                   commas, how, of, spaces);
}

/* To hand over the same once more would have both at work on one output. */
static ms_status take_up(cli_job *j, uint64_t hash, ms_error *err) {
    cli_job earlier = *j;
    uint64_t noted;
    if (!cli_record_find(&earlier, &noted))
        return MS_OK;
    const cli_slurm_jobs jobs = cli_job_numbers(&earlier);
    remains r = {.job = &earlier};
    MS_TRY(cli_slurm_look(&jobs, hear_remains, &r, err));
    if (!r.any)
        return MS_OK;
    if (!j->asked->run.p.resume)
        return refuse_remains(&jobs, j->output, "; --resume follows them", err);
    if (noted != hash)
        return refuse_remains(&jobs, j->output, ", and they were asked for otherwise", err);
    if (j->asked->tasks && j->asked->tasks != earlier.n_tasks)
        cli_warn("slurm", "--tasks %d is not for jobs that are in Slurm already: they are %d",
                 j->asked->tasks, earlier.n_tasks);
    *j = earlier;
    j->before = true;
    return MS_OK;
}

static void note_steps(const cli_job *j, uint64_t hash) {
    ms_error err;
    ms_error_clear(&err);
    if (cli_record_keep(j, hash, &err) != MS_OK)
        cli_warn("slurm", "--resume will not know these jobs: %s", err.message);
}

ms_status cli_job_submit(cli_job *j, const cli_command *command, ms_error *err) {
    char program[PATH_MAX], here[PATH_MAX];
    cli_step_place place = {.tasks = 0};
    uint64_t hash = 0;
    MS_TRY(find_place(&place, program, here, err));
    MS_TRY(cli_record_hash(j, command, &place, &hash, err));
    MS_TRY(make_folder(j, here, err));
    MS_TRY(take_up(j, hash, err));
    ms_status status = make_tasks(j, err);
    if (status != MS_OK || j->before)
        return status;
    place.tasks = j->n_tasks;
    status = submit_steps(j, command, &place, err);
    if (status == MS_OK)
        note_steps(j, hash);
    if (status != MS_OK && status != MS_CANCELLED)
        cli_job_cancel(j, NULL);
    j->over = status != MS_OK;
    return status;
}

cli_slurm_jobs cli_job_numbers(const cli_job *j) {
    cli_slurm_jobs jobs = {.cluster = j->cluster, .n = CLI_STEP_COUNT};
    for (int i = 0; i < CLI_STEP_COUNT; i++)
        jobs.id[i] = j->id[i];
    return jobs;
}

ms_status cli_job_cancel(const cli_job *j, ms_error *err) {
    const cli_slurm_jobs jobs = cli_job_numbers(j);
    return cli_slurm_cancel(&jobs, err);
}

/* ---- tasks ---- */

cli_task *cli_job_find(cli_job *j, const char *id, int place) {
    for (int i = 0; i < j->count; i++)
        if (j->task[i].place == place && strcmp(j->id[j->task[i].step], id) == 0)
            return &j->task[i];
    return NULL;
}

const char *cli_task_name(const cli_job *j, const cli_task *t, char ret_text[CLI_TASK_NAME_BYTES]) {
    const char *id = j->id[t->step];
    if (t->place)
        snprintf(ret_text, CLI_TASK_NAME_BYTES, "task %d of %d (job %s_%d)", t->place, j->n_tasks, id,
                 t->place);
    else
        snprintf(ret_text, CLI_TASK_NAME_BYTES, "%s (job %s)", cli_step_name(t->step), id);
    return ret_text;
}

/* Opened anew each time: a network file system then asks its server. */
void cli_task_read(const cli_job *j, cli_task *t) {
    char path[PATH_MAX + 64], text[8192], place[16] = "";
    if (t->place)
        snprintf(place, sizeof(place), "-%d", t->place);
    snprintf(path, sizeof(path), "%s/%s-%s%s.log", j->folder, cli_step_name(t->step), j->id[t->step], place);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n;
    while ((n = pread(fd, text, sizeof(text), (off_t)t->read)) > 0) {
        t->read += n;
        cli_events_take(&t->heard, text, (size_t)n);
    }
    close(fd);
}

/* ---- after ---- */

static bool is_log(const char *name) {
    size_t length = strlen(name);
    if (length < 4 || strcmp(name + length - 4, ".log") != 0)
        return false;
    for (int i = 0; i < CLI_STEP_COUNT; i++) {
        const char *step = cli_step_name((cli_step)i);
        if (strncmp(name, step, strlen(step)) == 0 && name[strlen(step)] == '-')
            return true;
    }
    return false;
}

void cli_job_remove_logs(cli_job *j) {
    DIR *dir = opendir(j->folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL)
        if (is_log(entry->d_name) || strcmp(entry->d_name, CLI_RECORD_NAME) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    j->over = true;
}

void cli_job_free(cli_job *j) {
    cli_log_folder_let_go(j->folder, j->lock, j->over);
    j->lock = -1;
    free(j->task);
    j->task = NULL;
    j->count = 0;
}
