/* The log: what is told to whom, one call at a time, and that nobody is told who
   does not want to be any more. */
#include "base/log.h"
#include "memsafe_have.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "planner/run_history.h"
#include "support/cli.h"

typedef struct listener {
    char code[32], text[600];
    ms_log_level level;
    int messages;
    void (*then)(struct listener *l);
} listener;

static void listen(void *arg, const ms_log_message *message) {
    listener *l = arg;
    snprintf(l->code, sizeof(l->code), "%s", message->code);
    snprintf(l->text, sizeof(l->text), "%s", message->text);
    l->level = message->level;
    l->messages++;
    if (l->then)
        l->then(l);
}

static void levels_are_kept(void **state) {
    (void)state;
    listener l = {0};
    assert_false(ms_log_wants(MS_LOG_WARNING));
    ms_log_tell(MS_LOG_WARNING, "early", "nobody hears this");
    ms_log_set(listen, &l, MS_LOG_NOTE);
    ms_log_tell(MS_LOG_DETAIL, "fine", "nor this");
    assert_int_equal(l.messages, 0);
    assert_false(ms_log_wants(MS_LOG_DETAIL));
    assert_true(ms_log_wants(MS_LOG_NOTE));
    ms_log_tell(MS_LOG_NOTE, "alpha", "%d of %s", 3, "four");
    assert_int_equal(l.messages, 1);
    assert_int_equal(l.level, MS_LOG_NOTE);
    assert_string_equal(l.code, "alpha");
    assert_string_equal(l.text, "3 of four");
    ms_log_set(listen, &l, (ms_log_level)7); /* no level: all stays */
    ms_log_set(listen, &l, (ms_log_level)-1);
    ms_log_tell(MS_LOG_DETAIL, "fine", "nor this");
    ms_log_tell(MS_LOG_WARNING, "history", "%0600d", 1);
    assert_int_equal(l.messages, 2);
    assert_int_equal(strlen(l.text), 511);
    ms_log_set(NULL, NULL, MS_LOG_DETAIL);
    ms_log_tell(MS_LOG_WARNING, "late", "nor this");
    assert_int_equal(l.messages, 2);
    assert_false(ms_log_wants(MS_LOG_WARNING));
}

static void leave(listener *l) {
    (void)l;
    ms_log_tell(MS_LOG_WARNING, "inner", "what a callback causes is not told");
    ms_log_set(NULL, NULL, MS_LOG_WARNING);
}

static void a_callback_may_end_it(void **state) {
    (void)state;
    listener l = {.then = leave};
    ms_log_set(listen, &l, MS_LOG_DETAIL);
    ms_log_tell(MS_LOG_WARNING, "outer", "one");
    ms_log_tell(MS_LOG_WARNING, "outer", "two");
    assert_int_equal(l.messages, 1);
    assert_string_equal(l.text, "one");
}

static _Atomic int inside, most_inside, is_set, heard, enough;

static void count_inside(listener *l) {
    (void)l;
    int now = atomic_fetch_add(&inside, 1) + 1;
    if (now > atomic_load(&most_inside))
        atomic_store(&most_inside, now);
    if (!atomic_load(&is_set))
        atomic_store(&most_inside, 99);
    usleep(50);
    atomic_fetch_add(&heard, 1);
    atomic_fetch_sub(&inside, 1);
}

static void *talk(void *arg) {
    for (int i = 0; !atomic_load(&enough); i++)
        ms_log_tell(MS_LOG_WARNING, "thread", "%s %d", (const char *)arg, i);
    return NULL;
}

/* Threads tell while the callback comes and goes: it is never called twice at once,
   nor after ms_log_set() took it away. */
static void threads_take_turns(void **state) {
    (void)state;
    static char name[4][2] = {"a", "b", "c", "d"};
    pthread_t thread[4];
    listener l = {.then = count_inside};
    atomic_store(&is_set, 1);
    ms_log_set(listen, &l, MS_LOG_DETAIL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, talk, name[i]), 0);
    for (int i = 0; i < 50; i++) {
        ms_log_set(NULL, NULL, MS_LOG_DETAIL);
        atomic_store(&is_set, 0);
        usleep(200);
        atomic_store(&is_set, 1);
        int before = atomic_load(&heard);
        ms_log_set(listen, &l, MS_LOG_DETAIL);
        while (atomic_load(&heard) == before)
            usleep(50);
    }
    atomic_store(&enough, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    ms_log_set(NULL, NULL, MS_LOG_DETAIL);
    assert_int_equal(atomic_load(&most_inside), 1);
    assert_true(l.messages > 0);
}

static atomic_int is_inside, may_leave;

static void stay(void *arg, const ms_log_message *message) {
    (void)arg, (void)message;
    atomic_store(&is_inside, 1);
    while (!atomic_load(&may_leave))
        usleep(200);
}

static void *tell_once(void *arg) {
    ms_log_tell(MS_LOG_WARNING, "test", "from another thread");
    return arg;
}

/* The thread that is in the callback then is not there. */
static void a_fork_has_a_log(void **state) {
    (void)state;
    pthread_t thread;
    int ended = 0;
    ms_log_set(stay, NULL, MS_LOG_WARNING);
    assert_int_equal(pthread_create(&thread, NULL, tell_once, NULL), 0);
    while (!atomic_load(&is_inside))
        usleep(200);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        listener l = {0};
        ms_log_set(listen, &l, MS_LOG_WARNING);
        ms_log_tell(MS_LOG_WARNING, "test", "from a fork");
        _exit(l.messages == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    atomic_store(&may_leave, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ms_log_set(NULL, NULL, MS_LOG_WARNING);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), 0);
}

/* A warning that a caller without a report had no way to see. */
static void what_is_wrong_with_the_history_is_told(void **state) {
    (void)state;
    if (!MS_HAVE_SQLITE)
        skip();
    char warning[MS_HISTORY_TEXT_BYTES];
    const char *path = test_file("history.db");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 4096; i++)
        fputs("no history", f);
    fclose(f);
    listener l = {0};
    static const ms_history_run run;
    ms_log_set(listen, &l, MS_LOG_WARNING);
    ms_run_history_record(path, &run, warning);
    ms_log_set(NULL, NULL, MS_LOG_WARNING);
    assert_int_equal(l.messages, 1);
    assert_string_equal(l.code, "history");
    assert_true(warning[0]);
    assert_non_null(strstr(l.text, "history.db"));
    test_dir_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_kept),
        cmocka_unit_test(a_callback_may_end_it),
        cmocka_unit_test(threads_take_turns),
        cmocka_unit_test(a_fork_has_a_log),
        cmocka_unit_test(what_is_wrong_with_the_history_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
