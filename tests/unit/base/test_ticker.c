#include "test.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/ticker.h"

typedef struct counted {
    atomic_int count;
    int enough;
    double wait_s;
    bool takes_signals;
    sem_t reached;
} counted;

static double count(void *arg) {
    counted *c = arg;
    sigset_t masked;
    pthread_sigmask(SIG_SETMASK, NULL, &masked);
    c->takes_signals = !sigismember(&masked, SIGINT) || !sigismember(&masked, SIGTERM);
    if (atomic_fetch_add(&c->count, 1) + 1 == c->enough)
        sem_post(&c->reached);
    return c->wait_s;
}

static void ticks_until_it_is_stopped(void **state) {
    (void)state;
    counted c = {.enough = 5, .wait_s = 1e-3};
    ms_ticker ticker;
    sem_init(&c.reached, 0, 0);
    assert_int_equal(ms_ticker_start(&ticker, 0, count, &c), 0);
    while (sem_wait(&c.reached) != 0) {
    }
    ms_ticker_stop(&ticker);
    const int counted_then = atomic_load(&c.count);
    const struct timespec a_while = {.tv_nsec = 20000000};
    nanosleep(&a_while, NULL);
    assert_int_equal(atomic_load(&c.count), counted_then);
    assert_false(c.takes_signals);
    sem_destroy(&c.reached);
}

/* What follows would not end before the test's time is over. */
static void a_long_wait_is_cut_short(void **state) {
    (void)state;
    counted c = {.enough = 1, .wait_s = 1e6};
    ms_ticker ticker;
    sem_init(&c.reached, 0, 0);
    assert_int_equal(ms_ticker_start(&ticker, 1e6, count, &c), 0);
    ms_ticker_stop(&ticker);
    assert_int_equal(atomic_load(&c.count), 0);
    assert_int_equal(ms_ticker_start(&ticker, 0, count, &c), 0);
    while (sem_wait(&c.reached) != 0) {
    }
    ms_ticker_stop(&ticker);
    assert_int_equal(atomic_load(&c.count), 1);
    sem_destroy(&c.reached);
}

static void stops_twice_and_without_a_start(void **state) {
    (void)state;
    counted c = {.wait_s = 1e6};
    ms_ticker ticker = {.has_thread = false};
    ms_ticker_stop(&ticker);
    assert_int_equal(ms_ticker_start(&ticker, 1e6, count, &c), 0);
    ms_ticker_stop(&ticker);
    ms_ticker_stop(&ticker);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_until_it_is_stopped),
        cmocka_unit_test(a_long_wait_is_cut_short),
        cmocka_unit_test(stops_twice_and_without_a_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
