#include "system/sampler.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "system/host.h"

/* Short runs are seen in detail; a look costs about 10 us, so even this rate is nothing. */
#define FIRST_INTERVAL_S 0.02
/* The rate falls with the series' interval, but not below this, or peaks between looks would be missed. */
#define LONGEST_WAIT_S 0.25

struct ms_sampler {
    ms_mem *mem;
    double began_s;
    pthread_mutex_t lock; /* what follows */
    ms_series series;
    bool stop;
    pthread_cond_t wake;
    pthread_t thread;
    bool has_thread;
};

static void look(ms_sampler *s) {
    ms_mem_usage usage;
    ms_memory_sample sample = {.resident_bytes = ms_host_resident_bytes()};
    ms_mem_get_usage(s->mem, &usage);
    for (int i = 0; i < MS_LEDGER_COUNT; i++)
        sample.ledger_bytes[i] = usage.ledger_current[i];
    pthread_mutex_lock(&s->lock);
    sample.seconds = ms_now_s() - s->began_s;
    ms_series_add(&s->series, &sample);
    pthread_mutex_unlock(&s->lock);
}

/* False when it is time to stop. */
static bool wait_a_while(ms_sampler *s) {
    struct timespec until;
    pthread_mutex_lock(&s->lock);
    double wait_s = s->series.interval_s < LONGEST_WAIT_S ? s->series.interval_s : LONGEST_WAIT_S;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (int64_t)(wait_s * 1e9);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    while (!s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0) {
    }
    bool go_on = !s->stop;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void *sampler_main(void *arg) {
    ms_sampler *s = arg;
    while (wait_a_while(s))
        look(s);
    return NULL;
}

ms_status ms_sampler_create(ms_mem *mem, ms_sampler **ret_sampler, ms_error *err) {
    ms_sampler *s = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, mem, sizeof(*s), "the record of memory over time");
    s->mem = mem;
    ms_series_init(&s->series, FIRST_INTERVAL_S);
    s->began_s = ms_now_s();
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    look(s);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the thread inherits it: Ctrl-C is for others */
    int error = pthread_create(&s->thread, NULL, sampler_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->has_thread = error == 0;
    if (error) {
        ms_sampler_destroy(&s);
        return ms_fail(err, MS_HOST_MEMORY, "cannot start the thread that records memory: %s",
                       strerror(error));
    }
    *ret_sampler = s;
    return MS_OK;
}

void ms_sampler_destroy(ms_sampler **sampler) {
    if (!sampler || !*sampler)
        return;
    ms_sampler *s = *sampler;
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    ms_mem_free(s);
    *sampler = NULL;
}

void ms_sampler_get(ms_sampler *s, ms_series *ret_series) {
    look(s);
    pthread_mutex_lock(&s->lock);
    *ret_series = s->series;
    pthread_mutex_unlock(&s->lock);
}
