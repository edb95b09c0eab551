/*
 * Memory pressure: what other programs leave us, as one of four levels. A sample is
 * what the system says at one moment (pressure_source.h reads it, a trace may make
 * it up); judging a sample and following a sequence of them are pure functions, so
 * that tables test them. docs/pressure.md says why the thresholds are what they are.
 */
#ifndef MS_SYSTEM_PRESSURE_H
#define MS_SYSTEM_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memsafe/status.h"

/* X(name, text) */
#define MS_PRESSURE_MAP(X)                                                                                   \
    X(NONE, "none")                                                                                          \
    X(LOW, "low")                                                                                            \
    X(HIGH, "high")                                                                                          \
    X(CRITICAL, "critical")

typedef enum ms_pressure_level {
#define X(name, text) MS_PRESSURE_##name,
    MS_PRESSURE_MAP(X)
#undef X
        MS_PRESSURE_LEVELS
} ms_pressure_level;

const char *ms_pressure_name(ms_pressure_level level);

/* False when text names no level. */
bool ms_pressure_from_name(const char *text, ms_pressure_level *ret_level);

#define MS_PRESSURE_UNKNOWN ((int64_t)-1)         /* the system does not say: no cgroup, no PSI, no device */
#define MS_PRESSURE_NO_LIMIT ((int64_t)INT64_MAX) /* "max" */

/* Bytes, counts or microseconds; MS_PRESSURE_UNKNOWN where the system does not say. */
typedef struct ms_pressure_sample {
    double time_s; /* of the monotonic clock, or of the trace */

    int64_t host_total, host_available; /* MemTotal, MemAvailable */
    int64_t swap_total, swap_used;      /* shown, not judged: idle pages out on disk hurt nobody */

    /* The cgroup, this process's or one above it, whose limit has the least share left. */
    int64_t cgroup_depth;   /* 0 = this process's own, 1 = its parent, ... */
    int64_t cgroup_current; /* memory.current */
    int64_t cgroup_cache;   /* inactive_file of memory.stat: counted in current, dropped without pain */
    int64_t cgroup_max, cgroup_high;
    int64_t events_high, events_max, events_oom; /* memory.events; oom with the kills */

    /* Stall information: of this process's own cgroup, else of the machine. */
    double psi_some, psi_full; /* avg10, in percent; negative = unknown */
    int64_t psi_some_us, psi_full_us;

    int64_t device_free, device_total;
} ms_pressure_sample;

/* Everything unknown. */
void ms_pressure_sample_init(ms_pressure_sample *ret_sample);

/* The limit that binds (the lesser of max and high), what is left of it, or unknown. */
int64_t ms_pressure_cgroup_limit(const ms_pressure_sample *sample);
int64_t ms_pressure_cgroup_free(const ms_pressure_sample *sample);

/* Index 0 is for LOW, 1 for HIGH, 2 for CRITICAL. */
typedef struct ms_pressure_thresholds {
    /* Of host, cgroup and device: the level holds below this share of free memory. The share is of the total,
       or of share_of_bytes where that is less: 40 GB free are no shortage, whatever they are a share of. */
    double share[MS_PRESSURE_LEVELS - 1];
    int64_t share_of_bytes;
    double psi_some[MS_PRESSURE_LEVELS - 1], psi_full[MS_PRESSURE_LEVELS - 1]; /* at or above, percent */
    /* New high events mean LOW, new max events HIGH, if less than this share of the limit is left: a cgroup
       that only recycles its page cache has such events all the time. New oom events mean CRITICAL. */
    double event_share;
    /* On the way down. */
    double hold_s;       /* the lower level must hold for so long */
    double margin_share; /* with so much more free than what raised the level */
    double margin_psi;   /* and PSI below this part of what raised it */
} ms_pressure_thresholds;

void ms_pressure_thresholds_init(ms_pressure_thresholds *ret_thresholds);

/* MS_INVALID_ARGUMENT when they are not in order or not numbers. */
ms_status ms_pressure_thresholds_check(const ms_pressure_thresholds *thresholds, ms_error *err);

#define MS_PRESSURE_REASON_BYTES 128

/* The level of one sample and, unless ret_reason is NULL, the worst cause in words. previous is the sample
   before it, for the events; NULL = there is none. */
void ms_pressure_judge(const ms_pressure_sample *sample, const ms_pressure_sample *previous,
                       const ms_pressure_thresholds *thresholds, ms_pressure_level *ret_level,
                       char ret_reason[MS_PRESSURE_REASON_BYTES]);

typedef struct ms_pressure_change {
    ms_pressure_level from, to;
    int64_t number;     /* of the sample, from 0 */
    int64_t safe_point; /* of a scripted trace; -1 otherwise */
    ms_pressure_sample sample;
    char reason[MS_PRESSURE_REASON_BYTES];
} ms_pressure_change;

/* Follows samples: up at once, down one level at a time. All zero is the beginning. */
typedef struct ms_pressure_state {
    ms_pressure_level level;
    bool falling; /* a lower level holds, with the margin, since falling_since_s */
    double falling_since_s;
    int64_t samples;
    ms_pressure_sample last;
} ms_pressure_state;

/* Takes the next sample; true when the level changed, which ret_change then tells (safe_point is -1). forced:
   NULL, or the level to take whatever the sample says. */
bool ms_pressure_advance(ms_pressure_state *state, const ms_pressure_thresholds *thresholds,
                         const ms_pressure_sample *sample, const ms_pressure_level *forced,
                         ms_pressure_change *ret_change);

#endif
