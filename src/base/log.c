#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define NOBODY (-1)

/* one call of the callback at a time, and none after ms_log_set() */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static ms_log_callback log_callback;
static void *log_arg;
static _Atomic int most_told =
    /* read without the lock, so that telling costs nothing while there is no callback */
    NOBODY;
static _Thread_local bool telling; /* this thread holds the lock and is in the callback */

/* Of the threads that were in the callback, or waited, only this one is there. */
static void free_after_fork(void) {
    if (!telling)
        log_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static void mind_forks(void) {
    pthread_atfork(NULL, NULL, free_after_fork);
}

void ms_log_set(ms_log_callback callback, void *arg, ms_log_level most) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if ((int)most < MS_LOG_WARNING || (int)most > MS_LOG_DETAIL)
        return;
    pthread_once(&once, mind_forks);
    if (!telling)
        pthread_mutex_lock(&log_lock);
    log_callback = callback;
    log_arg = arg;
    atomic_store(&most_told, callback ? (int)most : NOBODY);
    if (!telling)
        pthread_mutex_unlock(&log_lock);
}

bool ms_log_wants(ms_log_level level) {
    return !telling && (int)level <= atomic_load(&most_told);
}

void ms_log_tell(ms_log_level level, const char *code, const char *fmt, ...) {
    char text[512];
    if (!ms_log_wants(level))
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const ms_log_message message = {.level = level, .code = code, .text = text};
    pthread_mutex_lock(&log_lock);
    telling = true;
    /* the callback may have been changed meanwhile */
    if (log_callback && (int)level <= atomic_load(&most_told))
        log_callback(log_arg, &message);
    telling = false;
    pthread_mutex_unlock(&log_lock);
}
