#include "base/ticker.h"

#include <signal.h>

#include "base/clock.h"

/* False when it is time to stop. */
static bool wait_for(ms_ticker *t, double seconds) {
    const struct timespec until = ms_cond_deadline(seconds);
    pthread_mutex_lock(&t->lock);
    while (!t->stop && pthread_cond_timedwait(&t->woken, &t->lock, &until) == 0) {
    }
    bool go_on = !t->stop;
    pthread_mutex_unlock(&t->lock);
    return go_on;
}

static void *ticker_main(void *arg) {
    ms_ticker *t = arg;
    for (double wait_s = t->first_s; wait_for(t, wait_s);)
        wait_s = t->tick(t->arg);
    return NULL;
}

int ms_ticker_start(ms_ticker *t, double first_s, ms_tick_fn tick, void *arg) {
    sigset_t all, old;
    *t = (ms_ticker){.first_s = first_s, .tick = tick, .arg = arg};
    pthread_mutex_init(&t->lock, NULL);
    ms_cond_init(&t->woken);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the thread inherits it */
    int error = pthread_create(&t->thread, NULL, ticker_main, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    t->has_thread = error == 0;
    if (error) {
        pthread_cond_destroy(&t->woken);
        pthread_mutex_destroy(&t->lock);
    }
    return error;
}

void ms_ticker_stop(ms_ticker *t) {
    if (!t->has_thread)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->woken);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->woken);
    pthread_mutex_destroy(&t->lock);
    t->has_thread = false;
}
