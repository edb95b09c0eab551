/*
 * Scripted pressure: a file of JSON lines that says what the monitor shall see at which safe point, so that
 * tests and identity runs change their plan at exactly known places. docs/pressure.md has the format.
 */
#ifndef MS_SYSTEM_PRESSURE_TRACE_H
#define MS_SYSTEM_PRESSURE_TRACE_H

#include "base/mem.h"
#include "system/pressure.h"

#define MS_PRESSURE_TRACE_MAX_BYTES ((size_t)1 << 20)
#define MS_PRESSURE_TRACE_MAX_AT 1e12 /* safe points or seconds */

typedef struct ms_pressure_trace ms_pressure_trace;

typedef struct ms_pressure_trace_entry {
    double at;                 /* safe points or seconds */
    ms_pressure_sample sample; /* all that is in force from there on; time_s is 0 */
    bool forced;
    ms_pressure_level level; /* when forced */
} ms_pressure_trace_entry;

/* MS_IO when the file cannot be read; MS_INVALID_ARGUMENT, with file, line and field, when it is no trace. */
ms_status ms_pressure_trace_load(ms_mem *mem, const char *path, ms_pressure_trace **ret_trace, ms_error *err);

/* The same from memory; name stands for the file in messages. */
ms_status ms_pressure_trace_parse(ms_mem *mem, const char *name, const char *text, size_t length,
                                  ms_pressure_trace **ret_trace, ms_error *err);
void ms_pressure_trace_destroy(ms_pressure_trace **trace);

size_t ms_pressure_trace_count(const ms_pressure_trace *trace);
const ms_pressure_trace_entry *ms_pressure_trace_get(const ms_pressure_trace *trace, size_t index);

/* True when the file counts in seconds ("t"), false when in safe points ("at"). */
bool ms_pressure_trace_in_seconds(const ms_pressure_trace *trace);

#endif
