#include "session/redraw.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

/* Failures of one window after which the run ends: smaller layouts first, then the least there is, twice. */
#define MAX_FAILURES 6
/* Windows without a failure before a larger layout is tried again; twice as many after each that failed. */
#define FIRST_WAIT 4
#define LONGEST_WAIT 256
#define REASON_BYTES ((int)sizeof(((ms_run_change *)NULL)->reason))

ms_status ms_redraw_watch(ms_redraw *r, const char *trace, ms_error *err) {
    const ms_model *m = r->model;
    const int64_t *value = m->policy.profile.value;
    ms_run_pressure_device apart = {0};
    if (m->apart)
        apart = (ms_run_pressure_device){
            .dev = m->compute.dev,
            .mem = m->device_mem,
            .budget_bytes = m->policy.budget_bytes,
            .share = value[MS_FIELD_BUDGET] ? 1 : (double)(100 - value[MS_FIELD_SAFETY_MARGIN]) / 100};
    return ms_run_pressure_open(m->mem, trace, &apart, &r->pressure, err);
}

/* What pressure leaves of the budget of the engine's memory. */
static size_t budget_now(const ms_redraw *r) {
    return r->pressure.device.dev
               ? r->pressure.device_bytes
               : (size_t)(ms_run_pressure_share(r->pressure.level) * (double)r->model->policy.budget_bytes);
}

/* Beside a device it is never less than what the layout that runs takes. */
static size_t host_budget_now(const ms_redraw *r) {
    size_t bytes =
        (size_t)(ms_run_pressure_share(r->pressure.level) * (double)r->model->policy.host_budget_bytes);
    return bytes > r->plan.host_bytes ? bytes : r->plan.host_bytes;
}

static bool is_pressed(const ms_redraw *r) {
    return r->pressure.level != MS_PRESSURE_NONE ||
           (r->pressure.device.dev && r->pressure.device_bytes < r->model->policy.budget_bytes);
}

static ms_run_plan_params plan_params(const ms_redraw *r, size_t budget) {
    return (ms_run_plan_params){.engine = r->engine,
                                .engine_params = &r->engine_params,
                                .speed = &r->model->speed,
                                .profile = &r->model->policy.profile,
                                .other_bytes = r->other_bytes,
                                .budget_bytes = budget,
                                .host_other_bytes = r->host_other_bytes,
                                .host_budget_bytes = host_budget_now(r),
                                .forced = r->rung,
                                .pressed = is_pressed(r) || r->failures > 0};
}

static void note_change(ms_redraw *r, int64_t frame, const char *reason) {
    ms_log_tell(MS_LOG_NOTE, "layout", "from frame %" PRId64 " on %s: %s", frame, ms_rung_name(r->plan.rung),
                reason);
    if (r->n_changes == MS_RUN_MAX_CHANGES)
        return;
    ms_run_change *change = &r->change[r->n_changes++];
    *change = (ms_run_change){.frame = frame,
                              .seconds = ms_now_s() - r->started,
                              .rung = r->plan.rung,
                              .read_bytes = ms_engine_kept_bytes(r->engine) - r->kept_bytes};
    r->kept_bytes += change->read_bytes;
    snprintf(change->level, sizeof(change->level), "%s", ms_pressure_name(r->pressure.level));
    snprintf(change->reason, sizeof(change->reason), "%s", reason);
}

static void keep_reason(char reason[REASON_BYTES], const ms_error *err, ms_status status) {
    snprintf(reason, REASON_BYTES, "%.*s", REASON_BYTES - 1,
             err && err->message[0] ? err->message : ms_status_text(status));
}

/* Changes to a plan, which becomes the job's. On failure that one stays, as far as
   the engine could go back to it. */
static ms_status take_plan(ms_redraw *r, const ms_run_plan *plan, ms_error *err) {
    ms_engine_program *program = NULL;
    MS_TRY(ms_engine_program_create(r->engine, &plan->layout, &program, err));
    MS_TRY(ms_engine_use(r->engine, &program, err));
    if (plan != &r->plan)
        r->plan = *plan;
    if (r->layout_changed)
        r->layout_changed(r->arg);
    return MS_OK;
}

static bool same_graphs(const ms_engine_params *a, const ms_engine_params *b) {
    return a->resolution == b->resolution && a->steps == b->steps && a->guidance == b->guidance &&
           a->deepcache == b->deepcache && a->fps == b->fps &&
           ms_engine_most_frames(a) == ms_engine_most_frames(b);
}

/* The kept plan with as much as there is now beside it. False where another may be
   the fastest that fits: it is over the budget, or much memory has become free. */
static bool take_kept_plan(ms_redraw *r) {
    const ms_kept_plan *kept = &r->model->kept;
    const ms_run_policy *policy = &r->model->policy;
    if (!kept->there || kept->rung != r->rung || !same_graphs(&kept->of, &r->engine_params))
        return false;
    ms_run_plan plan = kept->plan;
    const size_t peak = plan.peak_bytes - plan.other_bytes + r->other_bytes,
                 host = plan.host_bytes ? plan.host_bytes - kept->host_other_bytes + r->host_other_bytes : 0;
    if (peak > policy->budget_bytes || host > policy->host_budget_bytes ||
        plan.other_bytes - r->other_bytes + policy->budget_bytes / 16 > policy->budget_bytes / 8)
        return false;
    for (int i = 0; i < plan.n_choices; i++)
        plan.choice[i].peak_bytes += r->other_bytes - plan.other_bytes;
    plan.whole_bytes += r->other_bytes - plan.other_bytes;
    plan.peak_bytes = peak;
    plan.host_bytes = host;
    plan.other_bytes = r->other_bytes;
    r->plan = plan;
    return true;
}

ms_status ms_redraw_choose(ms_redraw *r, ms_error *err) {
    r->plan = (ms_run_plan){0}; /* one that was refused at a higher resolution raises no budget */
    const ms_run_plan_params ask = plan_params(r, r->model->policy.budget_bytes);
    if (take_kept_plan(r))
        return MS_OK;
    ms_status status = ms_run_plan_choose(&ask, &r->plan, err);
    if (status == MS_BUDGET &&
        !r->model->apart) /* else it is the device's, of which nobody else has a part */
        ms_run_share_explain(&r->model->share, err);
    MS_TRY(status);
    r->model->kept = (ms_kept_plan){.there = true,
                                    .of = r->engine_params,
                                    .rung = r->rung,
                                    .host_other_bytes = r->host_other_bytes,
                                    .plan = r->plan};
    return MS_OK;
}

ms_status ms_redraw_begin(ms_redraw *r, int64_t frame, ms_error *err) {
    r->weights_before = ms_engine_kept_bytes(r->engine);
    char reason[REASON_BYTES] = "";
    for (int failures = 0;; failures++) {
        ms_status status = take_plan(r, &r->plan, err);
        if (status == MS_OK)
            break;
        if (!ms_is_out_of_memory(status) || failures == 2)
            return status;
        keep_reason(reason, err, status);
        r->recoveries++;
        ms_mem_trim();
        const ms_run_plan_params ask = plan_params(r, r->model->policy.budget_bytes);
        if (r->rung != MS_RUNG_AUTO)
            continue;
        MS_TRY(ms_run_plan_least(&ask, &r->plan, err));
        if (r->failures == 0) { /* a larger one is tried again later */
            r->failures = 1;
            r->good = 0;
            r->wait = FIRST_WAIT;
        }
    }
    ms_engine_set_latents(r->engine, r->latents.cache);
    r->kept_bytes = ms_engine_kept_bytes(r->engine);
    if (reason[0])
        note_change(r, frame, reason);
    ms_error_clear(err);
    return MS_OK;
}

/* The cache of latents is what can be given up first. */
static void set_cache(ms_redraw *r, bool wanted) {
    ms_engine_set_latents(r->engine, NULL);
    ms_run_latents_follow(&r->latents, !wanted);
    ms_engine_set_latents(r->engine, r->latents.cache);
}

/* The fastest layout within part of the budget, or the least there is. */
static ms_status choose(ms_redraw *r, size_t budget_bytes, ms_run_plan *ret_plan, ms_error *err) {
    const ms_run_plan_params ask = plan_params(r, budget_bytes);
    ms_status status = MS_BUDGET;
    if (budget_bytes > 0)
        status = ms_run_plan_choose(&ask, ret_plan, NULL);
    return status == MS_BUDGET ? ms_run_plan_least(&ask, ret_plan, err) : status;
}

static ms_status change_to(ms_redraw *r, size_t budget_bytes, ms_error *err) {
    ms_run_plan plan;
    MS_TRY(choose(r, budget_bytes, &plan, err));
    return take_plan(r, &plan, err);
}

/* Makes the wait until a larger layout is tried again longer. */
static void wait_longer(ms_redraw *r) {
    r->good = 0;
    r->wait = r->wait == 0 ? FIRST_WAIT : r->wait < LONGEST_WAIT ? 2 * r->wait : LONGEST_WAIT;
}

/* Follows what the budget allows now, which is less under pressure. */
static ms_status follow(ms_redraw *r, int64_t frame, const char *reason, ms_error *err) {
    bool failed = r->failures > 0; /* and it is not yet time to grow */
    set_cache(r, r->pressure.level == MS_PRESSURE_NONE && !failed);
    size_t bytes = budget_now(r);
    if (failed && bytes > r->plan.peak_bytes)
        bytes = r->plan.peak_bytes;
    const bool grows = bytes > r->plan.peak_bytes;
    ms_status status = change_to(r, bytes, err);
    if (grows && ms_is_out_of_memory(status) && ms_engine_program_of(r->engine)) {
        char why[REASON_BYTES]; /* the layout that runs stays, and the larger one is tried again later */
        keep_reason(why, err, status);
        r->recoveries++;
        r->failures = 1;
        wait_longer(r);
        note_change(r, frame, why);
        ms_error_clear(err);
        return MS_OK;
    }
    if (status == MS_OK)
        note_change(r, frame, reason);
    return status;
}

/* True when it is time to try a larger layout again after failures. */
static bool wait_is_over(ms_redraw *r) {
    if (r->wait == 0 || ++r->good < r->wait)
        return false;
    r->good = 0;
    r->failures = 0;
    return true;
}

ms_status ms_redraw_follow(ms_redraw *r, int64_t frame, ms_error *err) {
    bool changed = false;
    char reason[REASON_BYTES];
    MS_TRY(ms_run_pressure_check(&r->pressure, &changed, reason, sizeof(reason), err));
    if (changed)
        ms_mem_trim();
    if (changed && r->pressure.device.dev) { /* the host's: the device's memory is another matter */
        set_cache(r, r->pressure.level == MS_PRESSURE_NONE && r->failures == 0);
        note_change(r, frame, reason);
    }
    if (r->pressure.device.dev)
        changed = ms_run_pressure_check_device(&r->pressure, r->plan.peak_bytes, reason, sizeof(reason));
    if (!changed && r->failures > 0 && wait_is_over(r)) {
        snprintf(reason, sizeof(reason), "%d windows without a failure", r->wait);
        changed = true;
    }
    if (!changed || r->rung != MS_RUNG_AUTO)
        return MS_OK;
    ms_status status = follow(r, frame, reason, err);
    if (ms_is_out_of_memory(status))
        status = ms_redraw_recover(r, frame, status, err);
    if (ms_is_out_of_memory(status) && ms_engine_program_of(r->engine)) {
        r->failures = 1; /* no smaller one can be had either; the one that runs works */
        wait_longer(r);
        ms_error_clear(err);
        status = MS_OK;
    }
    return status;
}

/* Takes half of what the engine had. A rung that the user named stays, with its caches trimmed. */
static ms_status step_down(ms_redraw *r, ms_error *err) {
    set_cache(r, false);
    ms_mem_trim();
    size_t engine_bytes = r->plan.peak_bytes - r->plan.other_bytes;
    bool least = r->failures >= MAX_FAILURES - 2;
    if (r->rung == MS_RUNG_AUTO)
        return change_to(r, least ? 0 : r->plan.other_bytes + engine_bytes / 2, err);
    return take_plan(r, &r->plan, err);
}

ms_status ms_redraw_recover(ms_redraw *r, int64_t frame, ms_status status, ms_error *err) {
    char reason[REASON_BYTES] = "";
    while (ms_is_out_of_memory(status) && r->failures < MAX_FAILURES) {
        keep_reason(reason, err, status);
        r->failures++;
        r->recoveries++;
        wait_longer(r);
        status = step_down(r, err);
    }
    if (status == MS_OK) {
        note_change(r, frame, reason);
        ms_error_clear(err);
    }
    return status;
}

uint64_t ms_redraw_read_bytes(const ms_redraw *r) {
    return r->engine ? ms_engine_kept_bytes(r->engine) - r->weights_before : 0;
}

void ms_redraw_end(ms_redraw *r) {
    ms_run_pressure_close(&r->pressure);
    ms_engine_destroy(&r->engine);
    ms_run_latents_close(&r->latents);
}
