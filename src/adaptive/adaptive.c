#include "memsafe/adaptive.h"

#include <limits.h>

#include "base/sized.h"

#define GROW_AFTER 4
/* A limit that stays costs one failure in so many times grow_after full batches at most. */
#define MAX_WAIT_FACTOR 64

typedef struct loop {
    const ms_adaptive_params *p;
    ms_adaptive_state *s;
    int64_t at, end;
    int grow_after;
    int clean_up_items; /* 0 = under pressure only */
    bool tried_alone;   /* the item at `at` has failed on its own before */
} loop;

static int min_int(int a, int b) {
    return a < b ? a : b;
}

/* ---- how many ---- */

static int cap_without_optimizer(const ms_adaptive_params *p, int pressure) {
    int cap = p->max_batch ? p->max_batch : MS_BATCH_LIMIT;
    int lowered = pressure >= 3 ? 1 : cap >> pressure;
    return lowered < 1 ? 1 : lowered;
}

/* What memory, pressure and the caller allow for now, failures aside. */
static ms_status ask_cap(const loop *l, int *ret_cap, ms_error *err) {
    const ms_adaptive_params *p = l->p;
    int64_t left = l->end - l->at;
    int cap = cap_without_optimizer(p, l->s->pressure);
    if (p->optimizer) {
        ms_batch_request request = {.height = p->height,
                                    .width = p->width,
                                    .frames = left > INT_MAX ? INT_MAX : (int)left,
                                    .pressure = l->s->pressure};
        int batch = 1;
        ms_status status = ms_optimizer_get_optimal_batch_size(p->optimizer, p->task, &request, &batch, err);
        if (ms_is_out_of_memory(status))
            batch = 1; /* no room even for the question */
        else if (status != MS_OK)
            return status;
        cap = p->max_batch ? min_int(batch, cap) : batch;
    }
    *ret_cap = cap;
    return MS_OK;
}

/* ---- what is learned ---- */

static void note_failure(loop *l, ms_status status, int64_t count) {
    ms_adaptive_state *s = l->s;
    if (status == MS_HOST_MEMORY)
        s->host_failures++;
    else
        s->device_failures++;
    if (l->p->trim) {
        l->p->trim(l->p->arg);
        s->trims++;
    }
    if (s->grown && s->wait < MAX_WAIT_FACTOR * l->grow_after)
        s->wait *= 2;
    s->grown = false;
    s->good = 0;
    if (count > 1)
        s->halvings++;
    s->batch = count > 1 ? (int)(count / 2) : 1;
}

/* A full batch went through: time to try a larger one? */
static void note_success(loop *l, int64_t count, int cap) {
    ms_adaptive_state *s = l->s;
    if (!s->batch || count < s->batch || s->batch >= cap || ++s->good < s->wait)
        return;
    if (s->grown && s->wait > l->grow_after)
        s->wait /= 2;
    s->batch = s->batch > INT_MAX / 2 ? INT_MAX : s->batch * 2;
    s->good = 0;
    s->grown = true;
    s->growths++;
}

static void clean_up(loop *l) {
    if (l->p->clean_up) {
        l->p->clean_up(l->p->arg);
        l->s->clean_ups++;
    }
    l->s->since_clean_up = 0;
}

static void follow_pressure(loop *l) {
    ms_adaptive_state *s = l->s;
    int before = s->pressure;
    s->pressure = ms_pressure_watch_step(l->p->watch);
    if (s->pressure > s->worst_pressure)
        s->worst_pressure = s->pressure;
    if (s->pressure > before)
        clean_up(l);
}

static void count_batch(ms_adaptive_state *s, int count) {
    s->last_batch = count;
    if (!s->smallest_batch || count < s->smallest_batch)
        s->smallest_batch = count;
    if (count > s->largest_batch)
        s->largest_batch = count;
}

/* ---- the loop ---- */

static ms_status give_up(const loop *l, ms_status status, ms_error *err) {
    if (err && err->code != status)
        ms_fail(err, status, "%s with item %lld alone, twice", ms_status_text(status), (long long)l->at);
    return status;
}

/* One batch, done or not. */
static ms_status step(loop *l, ms_error *err) {
    ms_adaptive_state *s = l->s;
    int cap = 1;
    if (l->p->cancelled && l->p->cancelled(l->p->arg))
        return ms_fail(err, MS_CANCELLED, "cancelled before item %lld", (long long)l->at);
    follow_pressure(l);
    MS_TRY(ask_cap(l, &cap, err));
    int64_t count = s->batch && s->batch < cap ? s->batch : cap;
    if (count > l->end - l->at)
        count = l->end - l->at;
    count_batch(s, (int)count);
    ms_error_clear(err);
    ms_status status = l->p->process(l->p->arg, l->at, count, err);
    if (ms_is_out_of_memory(status)) {
        note_failure(l, status, count);
        if (count == 1 && l->tried_alone)
            return give_up(l, status, err);
        l->tried_alone = count == 1;
        return MS_OK;
    }
    if (status != MS_OK)
        return status;
    note_success(l, count, cap);
    l->at += count;
    l->tried_alone = false;
    s->items += count;
    s->batches++;
    s->since_clean_up += count;
    if (l->clean_up_items > 0 && s->since_clean_up >= l->clean_up_items)
        clean_up(l);
    return MS_OK;
}

static ms_status check(const ms_adaptive_params *p, int64_t first, int64_t count, ms_error *err) {
    if (!p->process)
        return ms_fail(err, MS_INVALID_ARGUMENT, "an adaptive loop without a function to process");
    if (first < 0 || count < 0 || first > INT64_MAX - count)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%lld items from item %lld", (long long)count,
                       (long long)first);
    if (p->task < 0 || p->task >= MS_TASK_COUNT)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d is no task", (int)p->task);
    if (p->max_batch < 0 || p->grow_after < 0 || p->grow_after > INT_MAX / MAX_WAIT_FACTOR / 2)
        return ms_fail(err, MS_INVALID_ARGUMENT, "max_batch %d, grow_after %d", p->max_batch, p->grow_after);
    return MS_OK;
}

static int clean_up_interval(const ms_adaptive_params *p) {
    if (p->clean_up_items < 0)
        return 0;
    if (p->clean_up_items > 0)
        return p->clean_up_items > INT_MAX ? INT_MAX : (int)p->clean_up_items;
    return p->optimizer ? ms_optimizer_clean_up_frames(p->optimizer) : 0;
}

ms_status ms_adaptive_process_sized(const ms_adaptive_params *params, size_t params_bytes, int64_t first,
                                    int64_t count, ms_adaptive_state *state, size_t state_bytes,
                                    int64_t *ret_done, ms_error *err) {
    ms_adaptive_params p = {0};
    ms_adaptive_state own = {0};
    if (ret_done)
        *ret_done = 0;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    if (state)
        MS_READ_SIZED(&own, state, state_bytes, err);
    MS_TRY(check(&p, first, count, err));
    loop l = {.p = &p,
              .s = &own,
              .at = first,
              .end = first + count,
              .grow_after = p.grow_after ? p.grow_after : GROW_AFTER,
              .clean_up_items = clean_up_interval(&p)};
    if (!l.s->wait)
        l.s->wait = l.grow_after;
    ms_status status = MS_OK;
    while (status == MS_OK && l.at < l.end) {
        status = step(&l, err);
        ms_sized_fill(state, state_bytes, &own, sizeof(own));
    }
    if (ret_done)
        *ret_done = l.at - first;
    if (status == MS_OK)
        ms_error_clear(err); /* of failures that were got over */
    return status;
}
