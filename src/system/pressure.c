#include "system/pressure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define STEPS (MS_PRESSURE_LEVELS - 1)

static const char *const names[MS_PRESSURE_LEVELS] = {
#define X(name, text) text,
    MS_PRESSURE_MAP(X)
#undef X
};

const char *ms_pressure_name(ms_pressure_level level) {
    return names[level];
}

bool ms_pressure_from_name(const char *text, ms_pressure_level *ret_level) {
    for (int i = 0; i < MS_PRESSURE_LEVELS; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_level = (ms_pressure_level)i;
            return true;
        }
    return false;
}

void ms_pressure_sample_init(ms_pressure_sample *ret_sample) {
    const int64_t none = MS_PRESSURE_UNKNOWN;
    *ret_sample = (ms_pressure_sample){
        .host_total = none,
        .host_available = none,
        .swap_total = none,
        .swap_used = none,
        .cgroup_depth = none,
        .cgroup_current = none,
        .cgroup_cache = none,
        .cgroup_max = none,
        .cgroup_high = none,
        .events_high = none,
        .events_max = none,
        .events_oom = none,
        .psi_some = -1,
        .psi_full = -1,
        .psi_some_us = none,
        .psi_full_us = none,
        .device_free = none,
        .device_total = none,
    };
}

int64_t ms_pressure_cgroup_limit(const ms_pressure_sample *s) {
    int64_t limit = MS_PRESSURE_NO_LIMIT;
    if (s->cgroup_max >= 0 && s->cgroup_max < limit)
        limit = s->cgroup_max;
    if (s->cgroup_high >= 0 && s->cgroup_high < limit)
        limit = s->cgroup_high;
    return limit == MS_PRESSURE_NO_LIMIT ? MS_PRESSURE_UNKNOWN : limit;
}

int64_t ms_pressure_cgroup_free(const ms_pressure_sample *s) {
    int64_t limit = ms_pressure_cgroup_limit(s);
    if (limit < 0 || s->cgroup_current < 0)
        return MS_PRESSURE_UNKNOWN;
    int64_t cache = s->cgroup_cache > 0 ? s->cgroup_cache : 0;
    int64_t used = s->cgroup_current > cache ? s->cgroup_current - cache : 0;
    return limit > used ? limit - used : 0;
}

void ms_pressure_thresholds_init(ms_pressure_thresholds *ret_thresholds) {
    *ret_thresholds = (ms_pressure_thresholds){
        .share = {0.08, 0.05, 0.025},
        .share_of_bytes = (int64_t)64 << 30,
        .psi_some = {5, 20, 60},
        .psi_full = {2, 10, 40},
        .event_share = 0.2,
        .hold_s = 5,
        .margin_share = 0.05,
        .margin_psi = 0.5,
    };
}

ms_status ms_pressure_thresholds_check(const ms_pressure_thresholds *t, ms_error *err) {
    for (int i = 0; i < STEPS; i++) {
        if (!(t->share[i] >= 0 && t->share[i] <= 1) || (i > 0 && t->share[i] > t->share[i - 1]))
            return ms_fail(err, MS_INVALID_ARGUMENT, "pressure: the share for %s must be in 0 to %g, not %g",
                           names[i + 1], i ? t->share[i - 1] : 1.0, t->share[i]);
        const double *const psi[] = {t->psi_some, t->psi_full};
        for (int k = 0; k < 2; k++)
            if (!(psi[k][i] > 0 && isfinite(psi[k][i])) || (i > 0 && psi[k][i] < psi[k][i - 1]))
                return ms_fail(err, MS_INVALID_ARGUMENT,
                               "pressure: PSI %s for %s must be above 0 and no less than for a lower level, "
                               "not %g",
                               k ? "full" : "some", names[i + 1], psi[k][i]);
    }
    if (t->share_of_bytes <= 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "pressure: shares must be of at least one byte, not %lld",
                       (long long)t->share_of_bytes);
    if (!(t->hold_s >= 0 && isfinite(t->hold_s)))
        return ms_fail(err, MS_INVALID_ARGUMENT, "pressure: hold must be 0 s or more, not %g", t->hold_s);
    if (!(t->margin_share >= 0 && t->margin_share <= 1) || !(t->margin_psi > 0 && t->margin_psi <= 1) ||
        !(t->event_share >= 0 && t->event_share <= 1))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "pressure: margins and the share for events must be in 0 to 1, not %g, %g, %g",
                       t->margin_share, t->margin_psi, t->event_share);
    return MS_OK;
}

/* ---- judging ---- */

/* The worst cause so far. Text is made only where somebody wants it: a scripted run judges every safe point
   that it skips. */
typedef struct verdict {
    ms_pressure_level level;
    char *reason; /* NULL = not wanted */
} verdict;

static bool worse(const verdict *v, ms_pressure_level level) {
    return level > v->level;
}

/* What the share is of; 0 when it cannot be told. */
static double share_base(int64_t free_bytes, int64_t total, const ms_pressure_thresholds *t) {
    if (free_bytes < 0 || total <= 0)
        return 0;
    return (double)(total < t->share_of_bytes ? total : t->share_of_bytes);
}

static void judge_free(verdict *v, const char *what, int64_t free_bytes, int64_t total,
                       const ms_pressure_thresholds *t) {
    double base = share_base(free_bytes, total, t);
    int level = 0;
    while (base > 0 && level < STEPS && (double)free_bytes < t->share[level] * base)
        level++;
    if (!worse(v, (ms_pressure_level)level))
        return;
    v->level = (ms_pressure_level)level;
    bool small = total < (int64_t)1 << 30;
    double unit = small ? 0x1p20 : 0x1p30;
    if (v->reason)
        snprintf(v->reason, MS_PRESSURE_REASON_BYTES, "%s memory: %.2f of %.2f %s free, below %.2f", what,
                 (double)free_bytes / unit, (double)total / unit, small ? "MiB" : "GiB",
                 t->share[level - 1] * base / unit);
}

static void judge_psi(verdict *v, const char *what, double avg10, const double limits[STEPS]) {
    int level = 0;
    while (level < STEPS && avg10 >= limits[level])
        level++;
    if (!worse(v, (ms_pressure_level)level))
        return;
    v->level = (ms_pressure_level)level;
    if (v->reason)
        snprintf(v->reason, MS_PRESSURE_REASON_BYTES, "memory stalls: %s avg10 %.2f %%, at least %g", what,
                 avg10, limits[level - 1]);
}

static void judge_events(verdict *v, const char *what, int64_t now, int64_t before, ms_pressure_level level) {
    if (before < 0 || now <= before || !worse(v, level))
        return;
    v->level = level;
    if (v->reason)
        snprintf(v->reason, MS_PRESSURE_REASON_BYTES, "cgroup: %lld new %s events", (long long)(now - before),
                 what);
}

void ms_pressure_judge(const ms_pressure_sample *sample, const ms_pressure_sample *previous,
                       const ms_pressure_thresholds *t, ms_pressure_level *ret_level,
                       char ret_reason[MS_PRESSURE_REASON_BYTES]) {
    verdict v = {MS_PRESSURE_NONE, ret_reason};
    if (ret_reason)
        snprintf(ret_reason, MS_PRESSURE_REASON_BYTES, "enough free memory");
    int64_t limit = ms_pressure_cgroup_limit(sample), left = ms_pressure_cgroup_free(sample);
    judge_free(&v, "device", sample->device_free, sample->device_total, t);
    judge_free(&v, "cgroup", left, limit, t);
    judge_free(&v, "host", sample->host_available, sample->host_total, t);
    judge_psi(&v, "full", sample->psi_full, t->psi_full);
    judge_psi(&v, "some", sample->psi_some, t->psi_some);
    /* Counters of another cgroup than last time say nothing. */
    if (previous && previous->cgroup_depth == sample->cgroup_depth) {
        double base = share_base(left, limit, t);
        judge_events(&v, "oom", sample->events_oom, previous->events_oom, MS_PRESSURE_CRITICAL);
        if (base <= 0 || (double)left < t->event_share * base) {
            judge_events(&v, "max", sample->events_max, previous->events_max, MS_PRESSURE_HIGH);
            judge_events(&v, "high", sample->events_high, previous->events_high, MS_PRESSURE_LOW);
        }
    }
    *ret_level = v.level;
}

/* ---- following ---- */

/* The thresholds that a sample must stay clear of to come down: the margin on top. */
static ms_pressure_thresholds with_margin(const ms_pressure_thresholds *t) {
    ms_pressure_thresholds wide = *t;
    for (int i = 0; i < STEPS; i++) {
        wide.share[i] += t->margin_share;
        wide.psi_some[i] *= t->margin_psi;
        wide.psi_full[i] *= t->margin_psi;
    }
    wide.event_share += t->margin_share;
    return wide;
}

static bool change_to(ms_pressure_state *state, ms_pressure_level to, ms_pressure_change *ret_change) {
    ret_change->from = state->level;
    ret_change->to = to;
    ret_change->number = state->samples - 1;
    ret_change->safe_point = -1;
    ret_change->sample = state->last;
    state->level = to;
    state->falling = false;
    return true;
}

bool ms_pressure_advance(ms_pressure_state *state, const ms_pressure_thresholds *t,
                         const ms_pressure_sample *sample, const ms_pressure_level *forced,
                         ms_pressure_change *ret_change) {
    const ms_pressure_sample before = state->last, *previous = state->samples ? &before : NULL;
    state->last = *sample;
    state->samples++;
    if (forced) {
        state->falling = false;
        if (*forced == state->level)
            return false;
        snprintf(ret_change->reason, sizeof(ret_change->reason), "forced by the trace");
        return change_to(state, *forced, ret_change);
    }
    ms_pressure_level level, calm;
    ms_pressure_judge(sample, previous, t, &level, NULL);
    if (level > state->level) {
        ms_pressure_judge(sample, previous, t, &level, ret_change->reason);
        return change_to(state, level, ret_change);
    }
    const ms_pressure_thresholds wide = with_margin(t);
    ms_pressure_judge(sample, previous, &wide, &calm, NULL);
    if (calm >= state->level) {
        state->falling = false;
        return false;
    }
    if (!state->falling) {
        state->falling = true;
        state->falling_since_s = sample->time_s;
    }
    if (sample->time_s - state->falling_since_s < t->hold_s)
        return false;
    snprintf(ret_change->reason, sizeof(ret_change->reason), "%s: no longer, for %.1f s", names[state->level],
             sample->time_s - state->falling_since_s);
    change_to(state, state->level - 1, ret_change);
    /* The next level down needs a hold of its own, which begins now. */
    state->falling = calm < state->level;
    state->falling_since_s = sample->time_s;
    return true;
}
