#include "system/sampler.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/ticker.h"
#include "system/host.h"

/* Short runs are seen in detail; a look costs about 10 us, so even this rate is nothing. */
#define FIRST_INTERVAL_S 0.02
/* The rate falls with the series' interval, but not below this, or peaks between looks would be missed. */
#define LONGEST_WAIT_S 0.25

struct ms_sampler {
    ms_mem *mem;
    double began_s;
    ms_ticker ticker;
    pthread_mutex_t lock; /* what follows */
    ms_series series;
};

/* Returns when to look again, in seconds. */
static double look(void *arg) {
    ms_sampler *s = arg;
    ms_mem_usage usage;
    ms_memory_sample sample = {.resident_bytes = ms_host_resident_bytes()};
    ms_mem_get_usage(s->mem, &usage);
    for (int i = 0; i < MS_LEDGER_COUNT; i++)
        sample.ledger_bytes[i] = usage.ledger_current[i];
    pthread_mutex_lock(&s->lock);
    sample.seconds = ms_now_s() - s->began_s;
    ms_series_add(&s->series, &sample);
    double wait_s = s->series.interval_s;
    pthread_mutex_unlock(&s->lock);
    return wait_s < LONGEST_WAIT_S ? wait_s : LONGEST_WAIT_S;
}

ms_status ms_sampler_create(ms_mem *mem, ms_sampler **ret_sampler, ms_error *err) {
    ms_sampler *s = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, mem, sizeof(*s), "the record of memory over time");
    s->mem = mem;
    ms_series_init(&s->series, FIRST_INTERVAL_S);
    s->began_s = ms_now_s();
    pthread_mutex_init(&s->lock, NULL);
    int error = ms_ticker_start(&s->ticker, look(s), look, s);
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
    ms_ticker_stop(&s->ticker);
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
