#include "submit/follow.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "console/console.h"
#include "console/signals.h"
#include "submit/ending.h"
#include "submit/log_folder.h"
#include "submit/progress.h"

#define LOOK_NS 250000000L /* at the logs */
#define ASK_S 3            /* Slurm: it answers all users */
#define SILENCE_S 20       /* of Slurm; then one is told */
#define CANCEL_S 20        /* for tasks to end once they are cancelled */

typedef struct follower {
    cli_job *job;
    cli_hearing hearing;
    double asked_s;
    bool no_accounting;
    double silent_s; /* since when it does not answer; 0 = it does */
    bool told_silence;
    bool known[CLI_STEP_COUNT * CLI_SUBMIT_MOST_TASKS]; /* by the last answer; [job->count] are used */
    char waits_for[128];
} follower;

/* ---- what Slurm says ---- */

static void hear_slurm(void *arg, const cli_slurm_told *told) {
    follower *f = arg;
    cli_task *t = cli_job_find(f->job, told->id, told->place);
    if (!t)
        return;
    if (t->state == CLI_SLURM_RUNS && told->state == CLI_SLURM_WAITS)
        t->put_back++;
    const bool ended = told->state == CLI_SLURM_ENDED || told->state == CLI_SLURM_FAILED;
    if (!ended || !t->ended_s)
        t->ended_s = ended ? ms_now_s() : 0;
    t->gone_s = 0;
    t->state = told->state;
    snprintf(t->word, sizeof(t->word), "%s", told->word);
    snprintf(t->reason, sizeof(t->reason), "%s", told->reason);
    f->known[t - f->job->task] = true;
}

static bool has_ended(const cli_task *t) {
    return t->heard.done || t->let_go || t->state == CLI_SLURM_ENDED || t->state == CLI_SLURM_FAILED;
}

/* Of those that have not ended as far as is known; true: there is one. */
static bool misses_some(const follower *f) {
    for (int i = 0; i < f->job->count; i++)
        if (!f->known[i] && !has_ended(&f->job->task[i]))
            return true;
    return false;
}

static void ask_slurm(follower *f) {
    const cli_slurm_jobs jobs = cli_job_numbers(f->job);
    ms_error err;
    ms_error_clear(&err);
    memset(f->known, 0, sizeof(f->known));
    f->asked_s = ms_now_s();
    if (cli_slurm_look(&jobs, hear_slurm, f, &err) != MS_OK) {
        if (f->silent_s <= 0)
            f->silent_s = f->asked_s;
        if (!f->told_silence && ms_now_s() - f->silent_s >= SILENCE_S)
            cli_warn("slurm", "Slurm does not answer (%s); its jobs go on", err.message);
        f->told_silence = ms_now_s() - f->silent_s >= SILENCE_S;
        return;
    }
    f->silent_s = 0;
    f->told_silence = false;
    if (misses_some(f) && !f->no_accounting)
        f->no_accounting = !cli_slurm_look_back(&jobs, hear_slurm, f);
    for (int i = 0; i < f->job->count; i++) {
        cli_task *t = &f->job->task[i];
        if (!f->known[i] && !has_ended(t) && !t->gone_s)
            t->gone_s = ms_now_s();
    }
}

/* Its log should be there, and is not seen. */
static bool misses_log(const cli_job *j) {
    for (int i = 0; i < j->count; i++)
        if (j->task[i].read == 0 && (j->task[i].state == CLI_SLURM_RUNS || has_ended(&j->task[i])))
            return true;
    return false;
}

/* ---- what is told ---- */

static bool is_idle(const cli_task *t) {
    return t->step == CLI_STEP_PARTS && t->state == CLI_SLURM_WAITS && !t->let_go && !t->heard.done;
}

static void tell_put_back(const cli_job *j, cli_task *t) {
    char name[CLI_TASK_NAME_BYTES];
    if (t->heard.starts - 1 > t->put_back) /* it was not seen in the queue */
        t->put_back = t->heard.starts - 1;
    if (t->put_back > t->told_back)
        cli_warn("requeued", "%s was put back into the queue by Slurm%s; what it had finished stays",
                 cli_task_name(j, t, name),
                 strcmp(t->reason, "BeginTime") == 0 ? " and will begin again in a while" : "");
    t->told_back = t->put_back;
}

static bool others_go_on(const cli_job *j, const cli_task *t) {
    for (int i = 0; i < j->count; i++)
        if (&j->task[i] != t && j->task[i].place && !has_ended(&j->task[i]))
            return true;
    return false;
}

static void tell_failure(const cli_job *j, cli_task *t) {
    char name[CLI_TASK_NAME_BYTES];
    ms_error err;
    if (t->told_failure || !t->place || t->totals.failed > 0 || (!j->clips && !j->task[0].heard.done))
        return; /* of clips it is told already, and where the split failed, that is the cause */
    t->told_failure = true;
    cli_task_error(j, t, &err);
    const bool named = strstr(err.message, cli_task_name(j, t, name)) != NULL;
    cli_warn("task-failed", "%s%s%s%s", named ? "" : name, named ? "" : " failed: ", err.message,
             others_go_on(j, t) ? "; the others go on" : "");
}

/* Where nothing runs, why: once for each reason. */
static void tell_waiting(follower *f) {
    const char *reason = "";
    for (int i = 0; i < f->job->count; i++) {
        const cli_task *t = &f->job->task[i];
        if (t->state == CLI_SLURM_RUNS)
            return;
        if (t->state == CLI_SLURM_WAITS && strcmp(t->reason, "Dependency") != 0 &&
            strcmp(t->reason, "None") != 0)
            reason = t->reason;
    }
    if (!reason[0] || strcmp(reason, f->waits_for) == 0)
        return;
    snprintf(f->waits_for, sizeof(f->waits_for), "%s", reason);
    cli_say("  waiting for Slurm: %s\n", reason);
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "\"reason\": ");
    ms_buf_json_string(&b, reason);
    if (!b.failed)
        cli_event("waiting", b.data);
    ms_buf_free(&b);
}

/* One of the array ends well when no segment is left. What then still waits for a node, perhaps because its
   first one died, would keep the join from beginning. */
static void let_go(follower *f) {
    cli_job *j = f->job;
    bool all_made = false, waits = false;
    for (int i = 0; i < j->count; i++) {
        all_made = all_made || (j->task[i].step == CLI_STEP_PARTS && j->task[i].heard.done);
        waits = waits || is_idle(&j->task[i]);
    }
    if (!all_made || !waits || cli_slurm_let_go(j->cluster, j->id[CLI_STEP_PARTS], NULL) != MS_OK)
        return;
    for (int i = 0; i < j->count; i++)
        j->task[i].let_go = j->task[i].let_go || is_idle(&j->task[i]);
}

static void tell(follower *f) {
    ms_run_progress p;
    for (int i = 0; i < f->job->count; i++) {
        cli_task *t = &f->job->task[i];
        tell_put_back(f->job, t);
        if (cli_task_ending(t, ms_now_s()) == CLI_ENDING_BADLY)
            tell_failure(f->job, t);
    }
    tell_waiting(f);
    cli_job_progress_look(&f->hearing.progress, f->job, &p);
    cli_show_progress(NULL, &p);
}

/* ---- the end ---- */

static void add_clips(const cli_job *j, cli_job_result *r) {
    for (int i = 0; i < j->count; i++) {
        r->clips.made += j->task[i].totals.made;
        r->clips.before += j->task[i].totals.before;
        r->clips.failed += j->task[i].totals.failed;
    }
    r->clips.left = j->clips ? j->clips - r->clips.made - r->clips.before - r->clips.failed : 0;
}

static bool is_over(const follower *f) {
    const cli_job *j = f->job;
    const double now_s = ms_now_s();
    if (j->clips) {
        for (int i = 0; i < j->count; i++)
            if (cli_task_ending(&j->task[i], now_s) == CLI_ENDING_NONE)
                return false;
        return true;
    }
    return f->hearing.result.already_finished || cli_task_ending(&j->task[0], now_s) == CLI_ENDING_BADLY ||
           cli_task_ending(&j->task[j->count - 1], now_s) != CLI_ENDING_NONE;
}

/* Where none of the array could do anything, the first one's error says more than what the join misses. */
static const cli_task *who_failed(const cli_job *j) {
    const double now_s = ms_now_s();
    const cli_task *first = NULL;
    bool any_well = false;
    for (int i = 0; i < j->count; i++) {
        const cli_task *t = &j->task[i];
        const cli_ending ending = cli_task_ending(t, now_s);
        if (t->step == CLI_STEP_SPLIT && ending == CLI_ENDING_BADLY)
            return t;
        any_well = any_well || (t->place && ending == CLI_ENDING_WELL);
        if (!first && t->place && ending == CLI_ENDING_BADLY)
            first = t;
    }
    if (j->clips || (first && !any_well))
        return first;
    return &j->task[j->count - 1];
}

static ms_status judge(follower *f, ms_error *err) {
    const cli_job *j = f->job;
    add_clips(j, &f->hearing.result);
    if (f->hearing.result.already_finished ||
        (!j->clips && cli_task_ending(&j->task[j->count - 1], ms_now_s()) == CLI_ENDING_WELL))
        return MS_OK;
    const cli_task *t = who_failed(j);
    if (!t)
        return MS_OK;
    ms_status status = cli_task_error(j, t, err);
    if (f->hearing.result.clips.failed > 0)
        ms_fail(err, status, "%d of %d jobs failed", f->hearing.result.clips.failed, j->clips);
    return status;
}

static bool all_have_ended(const cli_job *j) {
    for (int i = 0; i < j->count; i++)
        if (!has_ended(&j->task[i]) && !j->task[i].gone_s)
            return false;
    return true;
}

/* Tasks are waited for, so that what comes next meets none of them at work. */
static ms_status cancel(follower *f, ms_error *err) {
    ms_error why;
    ms_error_clear(&why);
    if (cli_job_cancel(f->job, &why) != MS_OK)
        return ms_fail(err, MS_CANCELLED, "cancelled, but Slurm's jobs may go on: %s", why.message);
    const double began_s = ms_now_s();
    do {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
        if (ms_now_s() - f->asked_s >= 1)
            ask_slurm(f);
    } while (!all_have_ended(f->job) && f->silent_s <= 0 && ms_now_s() - began_s < CANCEL_S);
    cli_hear_logs(&f->hearing, f->job);
    add_clips(f->job, &f->hearing.result);
    return ms_fail(err, MS_CANCELLED, "cancelled, and all its jobs in Slurm with it");
}

static void show_whole(follower *f) {
    ms_run_progress p;
    cli_job_progress_look(&f->hearing.progress, f->job, &p);
    p.fraction = 1;
    p.eta_s = 0;
    p.frames_done = p.frames_total;
    cli_show_progress(NULL, &p);
}

static ms_status follow(follower *f, ms_error *err) {
    for (;;) {
        if (f->asked_s <= 0 || ms_now_s() - f->asked_s >= ASK_S) {
            ask_slurm(f);
            if (misses_log(f->job))
                cli_log_folder_refresh(f->job->folder);
        }
        cli_hear_logs(&f->hearing, f->job);
        tell(f);
        let_go(f);
        if (is_over(f))
            break;
        if (cli_interrupted(NULL))
            return cancel(f, err);
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    ms_status status = judge(f, err);
    if (status == MS_OK)
        show_whole(f);
    if (status != MS_OK || f->hearing.result.already_finished)
        cli_job_cancel(f->job, NULL); /* what has ended is not touched */
    return status;
}

ms_status cli_job_follow(cli_job *j, cli_job_result *ret, ms_error *err) {
    static follower f; /* too much for the stack */
    memset(&f, 0, sizeof(f));
    f.job = j;
    f.hearing.progress.began_s = f.hearing.progress.merge.began_s = ms_now_s();
    ms_status status = follow(&f, err);
    *ret = f.hearing.result;
    return status;
}
