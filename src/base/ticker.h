/* A thread that does one thing now and then until it is stopped. */
#ifndef MS_BASE_TICKER_H
#define MS_BASE_TICKER_H

#include <pthread.h>
#include <stdbool.h>

/* Returns how many seconds later it is called again, counted from its return: after a stall nothing is made
   up for. */
typedef double (*ms_tick_fn)(void *arg);

typedef struct ms_ticker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool stop; /* under the lock */
    bool has_thread;
    double first_s;
    ms_tick_fn tick;
    void *arg;
} ms_ticker;

/*
 * First calls tick after first_s. Its thread takes no signals: Ctrl-C is for others. Returns 0, or the error
 * of pthread_create(3): then there is nothing to stop.
 */
int ms_ticker_start(ms_ticker *ticker, double first_s, ms_tick_fn tick, void *arg);

/* Waits for the tick that is under way. One that was never started, all zero, may be stopped too. */
void ms_ticker_stop(ms_ticker *ticker);

#endif
