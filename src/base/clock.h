/* The clock that only goes forward, and condition variables that wait by it. */
#ifndef MS_BASE_CLOCK_H
#define MS_BASE_CLOCK_H

#include <pthread.h>
#include <time.h>

/* Seconds; differences are what counts. */
static inline double ms_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void ms_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &clock);
    pthread_condattr_destroy(&clock);
}

/* For pthread_cond_timedwait(): so many seconds from now; 0 or more. */
static inline struct timespec ms_cond_deadline(double seconds) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double at = (double)t.tv_nsec * 1e-9 + seconds;
    t.tv_sec += (time_t)at;
    t.tv_nsec = (long)((at - (double)(time_t)at) * 1e9);
    return t;
}

#endif
