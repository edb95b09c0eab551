/*
 * Memory over time in a bounded number of points, however long a run takes: when the
 * room is used up, each two neighbouring intervals become one. Of the moments in an
 * interval the one with the largest resident set stays, so that peaks are never lost.
 */
#ifndef MS_SYSTEM_SERIES_H
#define MS_SYSTEM_SERIES_H

#include "memsafe/memory.h"

typedef struct ms_series {
    double interval_s; /* that a point stands for */
    int n;
    ms_memory_sample point[MS_MEMORY_SAMPLES]; /* in order of time */
} ms_series;

void ms_series_init(ms_series *ret_series, double interval_s);

/* Samples must come in order; one with a time before 0 or not a number is left out. */
void ms_series_add(ms_series *series, const ms_memory_sample *sample);

#endif
