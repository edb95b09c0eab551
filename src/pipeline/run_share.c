#include "pipeline/run_share.h"

#include <pthread.h>

#include "base/error.h"
#include "base/size.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ms_run_share *runs;

ms_status ms_run_share_join(ms_run_share *s, size_t budget_bytes, ms_error *err) {
    char theirs[MS_SIZE_TEXT_BYTES], own[MS_SIZE_TEXT_BYTES];
    *s = (ms_run_share){.budget_bytes = budget_bytes};
    pthread_mutex_lock(&lock);
    /* Each budget has those in it that began before: the largest is what all may hold. */
    for (const ms_run_share *other = runs; other; other = other->next)
        if (other->budget_bytes > s->others_bytes)
            s->others_bytes = other->budget_bytes;
    s->joined = s->others_bytes < budget_bytes;
    if (s->joined) {
        s->next = runs;
        runs = s;
    }
    pthread_mutex_unlock(&lock);
    if (s->joined)
        return MS_OK;
    return ms_fail(err, MS_BUDGET,
                   "another run in this process may come to hold its budget of %s, which leaves nothing of "
                   "this run's %s: a budget "
                   "is the whole process's. Wait for the other run, or give this one more than that",
                   ms_size_format(theirs, s->others_bytes), ms_size_format(own, budget_bytes));
}

void ms_run_share_leave(ms_run_share *s) {
    if (!s->joined)
        return;
    pthread_mutex_lock(&lock);
    ms_run_share **link = &runs;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    pthread_mutex_unlock(&lock);
    s->joined = false;
}
