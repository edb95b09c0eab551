#include "planner/run_share.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "system/host.h"
#include "text/size.h"

static const char what_helps[] =
    "a budget is the whole process's. Wait for the other run, or name a budget for "
    "each, the larger one for the run that begins later";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ms_run_share *runs;

/* In a process that was forked: the runs of the other one are not under way here, and whatever thread had the
   lock is not here to let go. What of theirs is in this process's memory, it measures. */
static void forget(void) {
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    runs = NULL;
}

/* Before the lock is first taken. Two threads may register it both, and once more does no harm; where there
   was no room for it, the next one tries again. */
static void forget_when_forked(void) {
    static atomic_bool is_registered;
    if (!atomic_load(&is_registered) && pthread_atfork(NULL, NULL, forget) == 0)
        atomic_store(&is_registered, true);
}

/* Where it hangs, or the list's end: a fork's copy of one that has entered is not among them. Lock held. */
static ms_run_share **link_to(const ms_run_share *s) {
    ms_run_share **link = &runs;
    while (*link && *link != s)
        link = &(*link)->next;
    return link;
}

void ms_run_share_enter(ms_run_share *s) {
    forget_when_forked();
    pthread_mutex_lock(&lock);
    const bool known = *link_to(s) != NULL;
    *s = (ms_run_share){.entered = true, .alone = true, .next = known ? s->next : runs};
    if (!known)
        runs = s;
    for (ms_run_share *other = runs; other; other = other->next) {
        if (other == s)
            continue;
        s->alone = s->alone && other->resting;
        other->alone = false;
    }
    pthread_mutex_unlock(&lock);
}

void ms_run_share_rest(ms_run_share *s, size_t held_bytes) {
    pthread_mutex_lock(&lock);
    s->resting = true;
    s->budget_bytes = 0;
    s->rest_bytes = held_bytes;
    pthread_mutex_unlock(&lock);
}

/* Each budget has those in it that joined before: the largest is what all may hold that do not rest. Of those
   that rest some may be in it, too; others were filled since. */
static void count_others(const ms_run_share *s, size_t *ret_budget, size_t *ret_resting) {
    *ret_budget = *ret_resting = 0;
    for (const ms_run_share *other = runs; other; other = other->next) {
        if (other == s)
            continue;
        if (other->resting)
            *ret_resting += other->rest_bytes;
        else if (other->budget_bytes > *ret_budget)
            *ret_budget = other->budget_bytes;
    }
}

static ms_status refuse(size_t theirs_bytes, size_t resting_bytes, size_t own_bytes, ms_error *err) {
    char theirs[MS_SIZE_TEXT_BYTES], resting[MS_SIZE_TEXT_BYTES], own[MS_SIZE_TEXT_BYTES];
    char beside[MS_SIZE_TEXT_BYTES + 64] = "";
    if (resting_bytes)
        snprintf(beside, sizeof(beside), ", besides %s that loaded models hold",
                 ms_size_format(resting, resting_bytes));
    return ms_fail(err, MS_BUDGET,
                   "another run in this process may come to hold its budget of %s%s, which leaves nothing of "
                   "this run's %s: %s",
                   ms_size_format(theirs, theirs_bytes), beside, ms_size_format(own, own_bytes), what_helps);
}

void ms_run_share_explain(const ms_run_share *s, ms_error *err) {
    char theirs[MS_SIZE_TEXT_BYTES];
    if (s->others_bytes)
        ms_error_add(err, ", with %s that another run in this process may come to hold: %s",
                     ms_size_format(theirs, s->others_bytes), what_helps);
}

ms_status ms_run_share_join(ms_run_share *s, size_t budget_bytes, ms_error *err) {
    size_t theirs = 0, resting = 0;
    pthread_mutex_lock(&lock);
    count_others(s, &theirs, &resting);
    s->others_bytes = theirs ? theirs + resting : 0;
    /* What is held now is the others' in part, and they may come to hold more: their budget has both in it.
       Who rests holds what is held. */
    s->base_bytes = s->others_bytes;
    if (!s->others_bytes) {
        ms_mem_trim(); /* what earlier runs freed is not held */
        s->base_bytes = ms_host_resident_bytes();
    }
    bool room = s->others_bytes < budget_bytes;
    if (room)
        s->budget_bytes = budget_bytes;
    pthread_mutex_unlock(&lock);
    return room ? MS_OK : refuse(theirs, resting, budget_bytes, err);
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
    ms_run_share **link = link_to(s);
    if (*link)
        *link = s->next;
    pthread_mutex_unlock(&lock);
    s->entered = false;
}
