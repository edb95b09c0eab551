#include "planner/run_share.h"

#include <pthread.h>

#include "base/error.h"
#include "base/mem.h"
#include "system/host.h"
#include "text/size.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ms_run_share *runs;

void ms_run_share_enter(ms_run_share *s) {
    pthread_mutex_lock(&lock);
    *s = (ms_run_share){.entered = true, .alone = !runs, .next = runs};
    for (ms_run_share *other = runs; other; other = other->next)
        other->alone = false;
    runs = s;
    pthread_mutex_unlock(&lock);
}

ms_status ms_run_share_join(ms_run_share *s, size_t budget_bytes, ms_error *err) {
    char theirs[MS_SIZE_TEXT_BYTES], own[MS_SIZE_TEXT_BYTES];
    pthread_mutex_lock(&lock);
    /* Each budget has those in it that joined before: the largest is what all may hold. */
    for (const ms_run_share *other = runs; other; other = other->next)
        if (other != s && other->budget_bytes > s->others_bytes)
            s->others_bytes = other->budget_bytes;
    /* What is held now is the others' in part, and they may come to hold more: their budget has both in it. */
    s->base_bytes = s->others_bytes;
    if (!s->others_bytes) {
        ms_mem_trim(); /* what earlier runs freed is not held */
        s->base_bytes = ms_host_resident_bytes();
    }
    bool room = s->others_bytes < budget_bytes;
    if (room)
        s->budget_bytes = budget_bytes;
    pthread_mutex_unlock(&lock);
    if (room)
        return MS_OK;
    return ms_fail(err, MS_BUDGET,
                   "another run in this process may come to hold its budget of %s, which leaves nothing of "
                   "this run's %s: a budget "
                   "is the whole process's. Wait for the other run, or give this one more than that",
                   ms_size_format(theirs, s->others_bytes), ms_size_format(own, budget_bytes));
}

bool ms_run_share_measure(const ms_run_share *s, size_t *ret_bytes) {
    pthread_mutex_lock(&lock);
    bool alone = s->alone;
    if (alone) /* nobody can enter meanwhile */
        *ret_bytes = ms_host_resident_bytes();
    pthread_mutex_unlock(&lock);
    return alone;
}

void ms_run_share_leave(ms_run_share *s) {
    if (!s->entered)
        return;
    pthread_mutex_lock(&lock);
    ms_run_share **link = &runs;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    pthread_mutex_unlock(&lock);
    s->entered = false;
}
