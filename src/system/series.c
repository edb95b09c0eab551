#include "system/series.h"

#include <math.h>

void ms_series_init(ms_series *ret_series, double interval_s) {
    ret_series->interval_s = interval_s;
    ret_series->n = 0;
}

static double interval_of(const ms_series *s, const ms_memory_sample *sample) {
    return floor(sample->seconds / s->interval_s);
}

/* As a new point, or in place of the last one if that stands for the same interval and was lower. */
static void put(ms_series *s, const ms_memory_sample *sample) {
    ms_memory_sample *last = s->n ? &s->point[s->n - 1] : NULL;
    if (!last || interval_of(s, last) < interval_of(s, sample))
        s->point[s->n++] = *sample;
    else if (sample->resident_bytes > last->resident_bytes)
        *last = *sample;
}

static void coarsen(ms_series *s) {
    int n = s->n;
    s->interval_s *= 2;
    s->n = 0;
    for (int i = 0; i < n; i++) {
        ms_memory_sample moved = s->point[i];
        put(s, &moved);
    }
}

void ms_series_add(ms_series *s, const ms_memory_sample *sample) {
    if (!(sample->seconds >= 0) || !isfinite(sample->seconds))
        return;
    while (interval_of(s, sample) >= MS_MEMORY_SAMPLES)
        coarsen(s);
    put(s, sample);
}
