#include "weights/weight_stream.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/error.h"
#include "weights/weight_upload.h"

/* A matrix on its way into a slot. Whoever is free takes the next task: the
   stream's thread, and the pool when the compute thread waits. */
typedef struct fetch {
    ms_weights *w; /* NULL = the slot is empty */
    ms_param param;
    void *dst;
    int64_t tasks;
    _Atomic int64_t next, done;
    ms_status status;
    ms_error err;
    /* For a device that prepares weights itself; else NULL. passed: the work that
       read the slot's last matrix is done. ready: this matrix is there. */
    ms_event *passed, *ready;
} fetch;

struct ms_weight_stream {
    ms_compute compute;
    char *buffer;
    size_t buffer_bytes;
    ms_weight_upload *upload; /* for a device that prepares weights itself */
    float *scratch;           /* for other devices: one for each worker of the pool, then the thread's */
    size_t scratch_floats;
    fetch slot[2]; /* front, back */
    int current;   /* the slot that the compute thread reads */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    fetch *job; /* what the thread is to work on */
    bool quit;
    ms_weight_stream_stats stats;
};

/* ---- the work ---- */

static void finish_task(ms_weight_stream *s, fetch *f) {
    if (atomic_fetch_add(&f->done, 1) + 1 < f->tasks)
        return;
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->finished);
    pthread_mutex_unlock(&s->lock);
}

/* The whole matrix at once: copies are the device's work, and one thread at a time gives it. */
static ms_status upload_matrix(ms_weight_stream *s, const fetch *f, ms_error *err) {
    const ms_backend *b = s->compute.dev->backend;
    ms_queue *queue = ms_weight_upload_queue(s->upload);
    ms_status status = b->wait(queue, f->passed);
    if (status == MS_OK)
        MS_TRY(ms_weight_upload_param(s->upload, &f->w->source, &f->w->items[f->param], f->dst, err));
    if (status == MS_OK)
        status = b->record(queue, f->ready);
    return status == MS_OK ? MS_OK : ms_fail(err, status, "streaming weights: %s", ms_status_text(status));
}

/* One task of a fetch; false when none is left to take. */
static bool work(ms_weight_stream *s, fetch *f, int worker) {
    int64_t task = atomic_fetch_add(&f->next, 1);
    if (task >= f->tasks)
        return false;
    ms_error err;
    ms_error_clear(&err);
    ms_status status = s->upload ? upload_matrix(s, f, &err)
                                 : ms_source_run_task(&f->w->source, &f->w->items[f->param], task, f->dst,
                                                      s->scratch + (size_t)worker * s->scratch_floats, &err);
    if (status != MS_OK) {
        pthread_mutex_lock(&s->lock);
        if (f->status == MS_OK) {
            f->status = status;
            f->err = err;
        }
        pthread_mutex_unlock(&s->lock);
    }
    finish_task(s, f);
    return true;
}

static void *thread_main(void *arg) {
    ms_weight_stream *s = arg;
    int worker = ms_pool_threads(s->compute.pool);
    pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        fetch *f = s->job;
        if (!f) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        while (work(s, f, worker)) {
        }
        pthread_mutex_lock(&s->lock);
        if (s->job == f)
            s->job = NULL;
        pthread_cond_broadcast(&s->finished);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static ms_status begin(ms_weight_stream *s, fetch *f, ms_weights *w, ms_param param, bool in_background,
                       ms_error *err) {
    ms_loaded_param *p = &w->items[param];
    size_t bytes = ms_align_up(ms_loaded_bytes(w, p), MS_MEM_ALIGN);
    f->w = w;
    f->param = param;
    f->dst = f == &s->slot[0] ? s->buffer : s->buffer + s->buffer_bytes - bytes;
    f->tasks = ms_source_tasks(&w->source, p);
    f->status = MS_OK;
    ms_error_clear(&f->err);
    atomic_store(&f->done, 0);
    atomic_store(&f->next, 0);
    s->stats.loads++;
    s->stats.bytes += bytes;
    ms_device *dev = s->compute.dev;
    ms_status status = s->upload ? dev->backend->record(s->compute.queue, f->passed) : MS_OK;
    if (status != MS_OK) {
        f->w = NULL;
        return ms_fail(err, status, "streaming weights: %s", ms_status_text(status));
    }
    if (!in_background)
        return MS_OK;
    pthread_mutex_lock(&s->lock);
    s->job = f;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    return MS_OK;
}

typedef struct helping {
    ms_weight_stream *s;
    fetch *f;
} helping;

static void help(void *arg, int64_t task, int worker) {
    (void)task;
    const helping *h = arg;
    while (work(h->s, h->f, worker)) {
    }
}

/* Waits until every task is done and the thread has let go. */
static void wait_for(ms_weight_stream *s, fetch *f) {
    pthread_mutex_lock(&s->lock);
    while (atomic_load(&f->done) < f->tasks || s->job == f)
        pthread_cond_wait(&s->finished, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static ms_status complete(ms_weight_stream *s, fetch *f, ms_error *err) {
    bool late = atomic_load(&f->done) < f->tasks;
    double began = ms_now_s();
    if (late) {
        helping h = {s, f};
        ms_pool_run(s->compute.pool, ms_pool_threads(s->compute.pool), help, &h);
    }
    wait_for(s, f);
    if (late) {
        s->stats.waits++;
        s->stats.wait_s += ms_now_s() - began;
    }
    if (f->status != MS_OK && err)
        *err = f->err;
    return f->status;
}

/* Empties a slot; a fetch under way is cut short: tasks that nobody took count as done. */
static void drop(ms_weight_stream *s, fetch *f) {
    if (!f->w)
        return;
    int64_t taken = atomic_exchange(&f->next, f->tasks);
    if (taken < f->tasks)
        atomic_fetch_add(&f->done, f->tasks - taken);
    wait_for(s, f);
    if (f->w->items[f->param].data == f->dst)
        f->w->items[f->param].data = NULL;
    f->w = NULL;
}

ms_status ms_weights_need(ms_weights *w, ms_param param, ms_param next, ms_error *err) {
    ms_weight_stream *s = w->stream;
    if (!s)
        return ms_fail(err, MS_INTERNAL, "streamed weights without a stream");
    fetch *now = &s->slot[s->current], *other = &s->slot[1 - s->current];
    if (now->w != w || now->param != param) {
        bool fetched = other->w == w && other->param == param;
        drop(s, now);
        if (!fetched) {
            drop(s, other);
            MS_TRY(begin(s, other, w, param, false, err));
        }
        s->current = 1 - s->current;
        now = &s->slot[s->current];
        other = &s->slot[1 - s->current];
        ms_status status = complete(s, now, err);
        if (status != MS_OK) {
            drop(s, now);
            return status;
        }
        ms_device *dev = s->compute.dev;
        status = s->upload ? dev->backend->wait(s->compute.queue, now->ready) : MS_OK;
        if (status != MS_OK) {
            drop(s, now);
            return ms_fail(err, status, "streaming weights: %s", ms_status_text(status));
        }
        w->items[param].data = now->dst;
    }
    if (next == MS_NO_PARAM || next == param || (other->w == w && other->param == next))
        return MS_OK;
    drop(s, other);
    return begin(s, other, w, next, true, err);
}

void ms_weight_stream_forget(ms_weight_stream *s, ms_weights *w) {
    for (int i = 0; i < 2; i++)
        if (s->slot[i].w == w)
            drop(s, &s->slot[i]);
}

void ms_weights_attach_stream(ms_weights *w, ms_weight_stream *stream) {
    if (w->stream)
        ms_weight_stream_forget(w->stream, w);
    w->stream = stream;
}

ms_weight_stream_stats ms_weight_stream_get_stats(const ms_weight_stream *s) {
    return s->stats;
}

/* ---- making it ---- */

static ms_status make_upload(ms_weight_stream *s, size_t slot_bytes, ms_error *err) {
    ms_device *dev = s->compute.dev;
    MS_TRY(ms_weight_upload_create(&s->compute, slot_bytes, &s->upload, err));
    ms_status status = MS_OK;
    for (int i = 0; i < 2 && status == MS_OK; i++) {
        status = dev->backend->event_create(dev, &s->slot[i].passed);
        if (status == MS_OK)
            status = dev->backend->event_create(dev, &s->slot[i].ready);
    }
    return status == MS_OK ? MS_OK : ms_fail(err, status, "streaming weights: %s", ms_status_text(status));
}

ms_status ms_weight_stream_create(const ms_compute *compute, size_t buffer_bytes, size_t scratch_floats,
                                  size_t slot_bytes, ms_weight_stream **ret_stream, ms_error *err) {
    ms_weight_stream *s = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, compute->mem, sizeof(*s), "the weight stream");
    size_t workers = (size_t)ms_pool_threads(compute->pool) + 1;
    s->compute = *compute;
    s->buffer_bytes = ms_align_up(buffer_bytes, MS_MEM_ALIGN);
    s->scratch_floats = scratch_floats;
    void *buffer;
    ms_status status =
        ms_device_alloc(compute->dev, MS_LEDGER_WEIGHTS, s->buffer_bytes, "streamed weights", &buffer, err);
    s->buffer = buffer;
    s->scratch = ms_alloc_array(compute->mem, MS_LEDGER_STAGING, workers * scratch_floats, sizeof(float));
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    pthread_cond_init(&s->finished, NULL);
    if (status == MS_OK && scratch_floats && !s->scratch)
        status =
            ms_fail_alloc(err, compute->mem, workers * scratch_floats * sizeof(float), "streamed weights");
    if (status == MS_OK && slot_bytes)
        status = make_upload(s, slot_bytes, err);
    if (status == MS_OK && pthread_create(&s->thread, NULL, thread_main, s) != 0)
        status = ms_fail(err, MS_HOST_MEMORY, "cannot start the thread that reads weights");
    s->has_thread = status == MS_OK;
    if (status != MS_OK) {
        ms_weight_stream_destroy(&s);
        return status;
    }
    *ret_stream = s;
    return MS_OK;
}

void ms_weight_stream_destroy(ms_weight_stream **stream) {
    if (!stream || !*stream)
        return;
    ms_weight_stream *s = *stream;
    drop(s, &s->slot[0]);
    drop(s, &s->slot[1]);
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->quit = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->finished);
    ms_weight_upload_destroy(&s->upload);
    for (int i = 0; i < 2; i++) {
        if (s->slot[i].passed)
            s->compute.dev->backend->event_destroy(&s->slot[i].passed);
        if (s->slot[i].ready)
            s->compute.dev->backend->event_destroy(&s->slot[i].ready);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    ms_device_free(s->compute.dev, s->buffer);
    ms_mem_free(s->scratch);
    ms_mem_free(s);
    *stream = NULL;
}
