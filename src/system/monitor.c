#include "system/monitor.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/ticker.h"

struct ms_monitor {
    atomic_int level;
    ms_pressure_thresholds thresholds;

    pthread_mutex_t lock; /* what follows, up to the next remark */
    ms_pressure_state state;
    ms_pressure_change last_change;
    bool changed;
    ms_pressure_change changes[MS_MONITOR_MAX_CHANGES]; /* a ring */
    size_t first_change, n_changes;
    uint64_t dropped;

    ms_ticker ticker; /* the live kind's */
    ms_pressure_source source;
    double interval_s;

    const ms_pressure_trace *trace; /* only the stepping thread uses these */
    bool host_only;
    double safe_point_s;
    int64_t safe_point; /* the last one; -1 before the first */
    size_t next_entry;
};

void ms_monitor_params_init(ms_monitor_params *ret_params) {
    *ret_params = (ms_monitor_params){.samples_per_s = 4, .safe_point_s = 1};
    ms_pressure_thresholds_init(&ret_params->thresholds);
}

/* ---- both kinds ---- */

static void put_change(ms_monitor *m, const ms_pressure_change *change) {
    if (m->n_changes == MS_MONITOR_MAX_CHANGES) {
        m->first_change = (m->first_change + 1) % MS_MONITOR_MAX_CHANGES;
        m->n_changes--;
        m->dropped++;
    }
    m->changes[(m->first_change + m->n_changes++) % MS_MONITOR_MAX_CHANGES] = *change;
    m->last_change = *change;
    m->changed = true;
}

static void take_sample(ms_monitor *m, const ms_pressure_sample *sample, const ms_pressure_level *forced,
                        int64_t safe_point) {
    ms_pressure_change change;
    pthread_mutex_lock(&m->lock);
    if (ms_pressure_advance(&m->state, &m->thresholds, sample, forced, &change)) {
        change.safe_point = safe_point;
        put_change(m, &change);
        atomic_store(&m->level, (int)m->state.level);
    }
    pthread_mutex_unlock(&m->lock);
}

ms_pressure_level ms_monitor_level(const ms_monitor *monitor) {
    return monitor ? (ms_pressure_level)atomic_load(&monitor->level) : MS_PRESSURE_NONE;
}

bool ms_monitor_last_change(ms_monitor *m, ms_pressure_change *ret_change) {
    pthread_mutex_lock(&m->lock);
    bool changed = m->changed;
    if (changed)
        *ret_change = m->last_change;
    pthread_mutex_unlock(&m->lock);
    return changed;
}

bool ms_monitor_poll(ms_monitor *m, ms_pressure_change *ret_change) {
    pthread_mutex_lock(&m->lock);
    bool any = m->n_changes > 0;
    if (any) {
        *ret_change = m->changes[m->first_change];
        m->first_change = (m->first_change + 1) % MS_MONITOR_MAX_CHANGES;
        m->n_changes--;
    }
    pthread_mutex_unlock(&m->lock);
    return any;
}

uint64_t ms_monitor_dropped(ms_monitor *m) {
    pthread_mutex_lock(&m->lock);
    uint64_t dropped = m->dropped;
    pthread_mutex_unlock(&m->lock);
    return dropped;
}

void ms_monitor_sample(ms_monitor *m, ms_pressure_sample *ret_sample) {
    pthread_mutex_lock(&m->lock);
    *ret_sample = m->state.last;
    pthread_mutex_unlock(&m->lock);
}

/* ---- live ---- */

static double read_and_take(void *arg) {
    ms_monitor *m = arg;
    ms_pressure_sample sample;
    /* outside the lock: /proc may be slow just when it matters */
    ms_pressure_sample_read(&m->source, &sample);
    take_sample(m, &sample, NULL, -1);
    return m->interval_s;
}

static ms_status start_thread(ms_monitor *m, ms_error *err) {
    int error = ms_ticker_start(&m->ticker, m->interval_s, read_and_take, m);
    return error ? ms_fail(err, MS_HOST_MEMORY, "cannot start the pressure monitor: %s", strerror(error))
                 : MS_OK;
}

/* ---- scripted ---- */

static void take_entry(ms_monitor *m, const ms_pressure_trace_entry *entry, double time_s,
                       int64_t safe_point) {
    ms_pressure_sample sample;
    ms_pressure_sample_init(&sample);
    if (entry)
        sample = entry->sample;
    if (m->host_only)
        sample.device_free = sample.device_total = -1;
    sample.time_s = time_s;
    take_sample(m, &sample, entry && entry->forced ? &entry->level : NULL, safe_point);
}

static void step_once(ms_monitor *m) {
    const ms_pressure_trace *trace = m->trace;
    double unit_s = ms_pressure_trace_in_seconds(trace) ? 1 : m->safe_point_s;
    double now_s = (double)++m->safe_point * m->safe_point_s;
    bool taken = false; /* an entry for this very moment */
    while (m->next_entry < ms_pressure_trace_count(trace)) {
        const ms_pressure_trace_entry *entry = ms_pressure_trace_get(trace, m->next_entry);
        double at_s = entry->at * unit_s;
        if (at_s > now_s)
            break;
        take_entry(m, entry, at_s, m->safe_point);
        taken = at_s == now_s;
        m->next_entry++;
    }
    if (!taken)
        take_entry(m, m->next_entry ? ms_pressure_trace_get(trace, m->next_entry - 1) : NULL, now_s,
                   m->safe_point);
}

ms_status ms_monitor_step(ms_monitor *m, int64_t safe_point, ms_error *err) {
    if (!m->trace)
        return MS_OK;
    if (safe_point < 0 || safe_point < m->safe_point)
        return ms_fail(err, MS_INVALID_ARGUMENT, "pressure trace: safe point %lld comes after %lld",
                       (long long)safe_point, (long long)m->safe_point);
    while (m->safe_point < safe_point)
        step_once(m);
    return MS_OK;
}

/* ---- life ---- */

static ms_status check_params(const ms_monitor_params *params, ms_error *err) {
    MS_TRY(ms_pressure_thresholds_check(&params->thresholds, err));
    if (!params->trace && !(params->samples_per_s > 0.001 && params->samples_per_s <= 1000))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "samples per second must be above 0.001 and up to 1000, not %g",
                       params->samples_per_s);
    if (params->trace && !(params->safe_point_s > 0 && isfinite(params->safe_point_s)))
        return ms_fail(err, MS_INVALID_ARGUMENT, "a safe point must count as more than 0 s, not %g",
                       params->safe_point_s);
    return MS_OK;
}

ms_status ms_monitor_create(const ms_monitor_params *params, ms_monitor **ret_monitor, ms_error *err) {
    MS_TRY(check_params(params, err));
    ms_monitor *m = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*m));
    if (!m)
        return ms_fail_alloc(err, params->mem, sizeof(*m), "the pressure monitor");
    m->thresholds = params->thresholds;
    m->trace = params->trace;
    m->safe_point_s = params->safe_point_s;
    m->host_only = params->host_only;
    m->safe_point = -1;
    pthread_mutex_init(&m->lock, NULL);
    ms_status status = MS_OK;
    if (m->trace) {
        ms_pressure_sample_init(&m->state.last);
    } else {
        m->interval_s = 1 / params->samples_per_s;
        MS_GOTO(ms_pressure_source_init(&params->roots, params->device, &m->source, err));
        read_and_take(m);
        MS_GOTO(start_thread(m, err));
    }
    *ret_monitor = m;
    return MS_OK;
fail:
    ms_monitor_destroy(&m);
    return status;
}

void ms_monitor_destroy(ms_monitor **monitor) {
    if (!monitor || !*monitor)
        return;
    ms_monitor *m = *monitor;
    ms_ticker_stop(&m->ticker);
    pthread_mutex_destroy(&m->lock);
    ms_mem_free(m);
    *monitor = NULL;
}
