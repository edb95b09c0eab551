/*
 * Changing the layout under way, between windows: to a smaller one when others take memory or when an allocation failed, to a
 * larger one when that is over. The next layout is planned beside the one that runs, which stays when the change cannot be had;
 * weights that both keep are not read again. The bits stay the same.
 */
#include <stdio.h>
#include <string.h>

#include "run/run_job.h"

/* Failures of one window after which the run ends: smaller layouts first, then the least there is, twice. */
#define MAX_FAILURES 6
/* Windows without a failure before a larger layout is tried again; twice as many after each that failed. */
#define FIRST_WAIT 4
#define LONGEST_WAIT 256
#define REASON_BYTES ((int)sizeof(((ms_run_change *)NULL)->reason))

ms_run_pressure_device ms_job_pressure_device(const ms_job *j) {
    const int64_t *value = j->policy.profile.value;
    if (j->compute.dev->caps.host_memory)
        return (ms_run_pressure_device){0};
    return (ms_run_pressure_device){
        .dev = j->compute.dev,
        .mem = j->device_mem,
        .budget_bytes = j->policy.budget_bytes,
        .share = value[MS_FIELD_BUDGET] ? 1 : (double)(100 - value[MS_FIELD_SAFETY_MARGIN]) / 100};
}

/* Of the budget of the engine's memory, what pressure leaves. */
static size_t budget_now(const ms_job *j) {
    return j->pressure.device.dev
               ? j->pressure.device_bytes
               : (size_t)(ms_run_pressure_share(j->pressure.level) * (double)j->policy.budget_bytes);
}

/* Beside a device: never less than the layout takes that runs. */
static size_t host_budget_now(const ms_job *j) {
    size_t bytes = (size_t)(ms_run_pressure_share(j->pressure.level) * (double)j->policy.host_budget_bytes);
    return bytes > j->plan.host_bytes ? bytes : j->plan.host_bytes;
}

static bool is_pressed(const ms_job *j) {
    return j->pressure.level != MS_PRESSURE_NONE ||
           (j->pressure.device.dev && j->pressure.device_bytes < j->policy.budget_bytes);
}

ms_run_plan_params ms_job_plan_params(const ms_job *j, size_t budget) {
    return (ms_run_plan_params){.engine = j->engine,
                                .engine_params = &j->engine_params,
                                .speed = &j->speed,
                                .profile = &j->policy.profile,
                                .other_bytes = j->other_bytes,
                                .budget_bytes = budget,
                                .host_other_bytes = j->host_other_bytes,
                                .host_budget_bytes = host_budget_now(j),
                                .forced = j->p->rung,
                                .pressed = is_pressed(j) || j->failures > 0};
}

static void note_change(ms_job *j, const char *reason) {
    if (j->report.n_changes == MS_RUN_MAX_CHANGES)
        return;
    ms_run_change *change = &j->report.change[j->report.n_changes++];
    *change = (ms_run_change){.frame = j->collected ? j->window[0].number : j->here.frame,
                              .seconds = ms_now_s() - j->started,
                              .rung = j->plan.rung,
                              .read_bytes = ms_engine_kept_bytes(j->engine) - j->kept_bytes};
    j->kept_bytes += change->read_bytes;
    snprintf(change->level, sizeof(change->level), "%s", ms_pressure_name(j->pressure.level));
    snprintf(change->reason, sizeof(change->reason), "%s", reason);
}

static void keep_reason(char reason[REASON_BYTES], const ms_error *err, ms_status status) {
    snprintf(reason, REASON_BYTES, "%.*s", REASON_BYTES - 1,
             err && err->message[0] ? err->message : ms_status_text(status));
}

/* Changes to a plan, which becomes the job's. On failure that one stays, as far as the engine could go back to it. */
static ms_status take_plan(ms_job *j, const ms_run_plan *plan, ms_error *err) {
    ms_engine_program *program = NULL;
    MS_TRY(ms_engine_program_create(j->engine, &plan->layout, &program, err));
    MS_TRY(ms_engine_use(j->engine, &program, err));
    if (plan != &j->plan)
        j->plan = *plan;
    ms_job_follow_layout(j);
    return MS_OK;
}

/* The first plan. Memory that is not to be had after all is answered with the least
   plan, and that is noted. */
static ms_status start_engine(ms_job *j, ms_error *err) {
    char reason[REASON_BYTES] = "";
    for (int failures = 0;; failures++) {
        ms_status status = take_plan(j, &j->plan, err);
        if (status == MS_OK)
            break;
        if (!ms_is_out_of_memory(status) || failures == 2)
            return status;
        keep_reason(reason, err, status);
        j->report.recoveries++;
        ms_mem_trim();
        const ms_run_plan_params ask = ms_job_plan_params(j, j->policy.budget_bytes);
        if (j->p->rung != MS_RUNG_AUTO)
            continue;
        MS_TRY(ms_run_plan_least(&ask, &j->plan, err));
        if (j->failures == 0) { /* a larger one is tried again later */
            j->failures = 1;
            j->good = 0;
            j->wait = FIRST_WAIT;
        }
    }
    ms_engine_set_latents(j->engine, j->latents.cache);
    j->kept_bytes = ms_engine_kept_bytes(j->engine);
    if (reason[0])
        note_change(j, reason);
    return MS_OK;
}

ms_status ms_job_begin_engine(ms_job *j, ms_error *err) {
    ms_run_report *r = &j->report;
    MS_TRY(start_engine(j, err));
    if (r->recoveries == 0)
        return MS_OK;
    r->fell_back = j->p->rung == MS_RUNG_AUTO;
    for (int i = 0; r->fell_back && i < r->n_choices; i++)
        r->choice[i].taken = false;
    r->rung = j->plan.rung;
    r->planned_bytes = j->plan.peak_bytes + j->latents.bytes;
    ms_run_report_layout(r, &j->plan);
    r->other_bytes += j->latents.bytes;
    return MS_OK;
}

/* The cache of latents is what can be given up first. */
static void set_cache(ms_job *j, bool wanted) {
    ms_engine_set_latents(j->engine, NULL);
    ms_run_latents_follow(&j->latents, !wanted);
    ms_engine_set_latents(j->engine, j->latents.cache);
}

/* The fastest layout within part of the budget, or the least there is. */
static ms_status choose(ms_job *j, size_t budget_bytes, ms_run_plan *ret_plan, ms_error *err) {
    const ms_run_plan_params ask = ms_job_plan_params(j, budget_bytes);
    ms_status status = MS_BUDGET;
    if (budget_bytes > 0)
        status = ms_run_plan_choose(&ask, ret_plan, NULL);
    return status == MS_BUDGET ? ms_run_plan_least(&ask, ret_plan, err) : status;
}

static ms_status change_to(ms_job *j, size_t budget_bytes, ms_error *err) {
    ms_run_plan plan;
    MS_TRY(choose(j, budget_bytes, &plan, err));
    return take_plan(j, &plan, err);
}

/* Until a larger layout is tried again. */
static void wait_longer(ms_job *j) {
    j->good = 0;
    j->wait = j->wait == 0 ? FIRST_WAIT : j->wait < LONGEST_WAIT ? 2 * j->wait : LONGEST_WAIT;
}

/* What the budget allows now: less of it under pressure. */
static ms_status follow(ms_job *j, const char *reason, ms_error *err) {
    bool failed = j->failures > 0; /* and it is not yet time to grow */
    set_cache(j, j->pressure.level == MS_PRESSURE_NONE && !failed);
    size_t bytes = budget_now(j);
    if (failed && bytes > j->plan.peak_bytes)
        bytes = j->plan.peak_bytes;
    const bool grows = bytes > j->plan.peak_bytes;
    ms_status status = change_to(j, bytes, err);
    if (grows && ms_is_out_of_memory(status) && ms_engine_program_of(j->engine)) {
        char why[REASON_BYTES]; /* the layout that runs stays, and the larger one is tried again later */
        keep_reason(why, err, status);
        j->report.recoveries++;
        j->failures = 1;
        wait_longer(j);
        note_change(j, why);
        ms_error_clear(err);
        return MS_OK;
    }
    if (status == MS_OK)
        note_change(j, reason);
    return status;
}

/* True when it is time to try a larger layout again after failures. */
static bool wait_is_over(ms_job *j) {
    if (j->wait == 0 || ++j->good < j->wait)
        return false;
    j->good = 0;
    j->failures = 0;
    return true;
}

ms_status ms_job_follow_memory(ms_job *j, ms_error *err) {
    bool changed = false;
    char reason[REASON_BYTES];
    MS_TRY(ms_run_pressure_check(&j->pressure, &changed, reason, sizeof(reason), err));
    if (changed)
        ms_mem_trim();
    if (changed && j->pressure.device.dev) { /* the host's: the device's memory is another matter */
        set_cache(j, j->pressure.level == MS_PRESSURE_NONE && j->failures == 0);
        note_change(j, reason);
    }
    if (j->pressure.device.dev)
        changed = ms_run_pressure_check_device(&j->pressure, j->plan.peak_bytes, reason, sizeof(reason));
    if (!changed && j->failures > 0 && wait_is_over(j)) {
        snprintf(reason, sizeof(reason), "%d windows without a failure", j->wait);
        changed = true;
    }
    if (!changed || j->p->rung != MS_RUNG_AUTO)
        return MS_OK;
    ms_status status = follow(j, reason, err);
    if (ms_is_out_of_memory(status))
        status = ms_job_recover(j, status, err);
    if (ms_is_out_of_memory(status) && ms_engine_program_of(j->engine)) {
        j->failures = 1; /* no smaller one can be had either; the one that runs works */
        wait_longer(j);
        ms_error_clear(err);
        status = MS_OK;
    }
    return status;
}

/* Half of what the engine had; a rung that the user named stays, with its caches trimmed. */
static ms_status step_down(ms_job *j, ms_error *err) {
    set_cache(j, false);
    ms_mem_trim();
    size_t engine_bytes = j->plan.peak_bytes - j->plan.other_bytes;
    bool least = j->failures >= MAX_FAILURES - 2;
    if (j->p->rung == MS_RUNG_AUTO)
        return change_to(j, least ? 0 : j->plan.other_bytes + engine_bytes / 2, err);
    return take_plan(j, &j->plan, err);
}

ms_status ms_job_recover(ms_job *j, ms_status status, ms_error *err) {
    char reason[REASON_BYTES] = "";
    while (ms_is_out_of_memory(status) && j->failures < MAX_FAILURES) {
        keep_reason(reason, err, status);
        j->failures++;
        j->report.recoveries++;
        wait_longer(j);
        status = step_down(j, err);
    }
    if (status == MS_OK)
        note_change(j, reason);
    return status;
}
