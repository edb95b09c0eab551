/* Filling parameters from a checkpoint or with random values, all at once and in parallel. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "weights/weight_stream.h"
#include "weights/weight_upload.h"

typedef struct load_job {
    const ms_weight_source *from;
    const ms_weights_load_params *params; /* whom to tell; NULL = nobody */
    atomic_int_fast64_t done;             /* of `all` bytes */
    int64_t all;
    atomic_bool ended; /* by whom was told */
    ms_param *todo;    /* what is to be read, in order */
    int n_todo;
    int64_t *first_task; /* of each of them, n_todo + 1 */
    float *scratch;      /* per worker */
    size_t scratch_floats;
    pthread_mutex_t lock;
    int64_t failed_task; /* lowest that failed */
    ms_status status;
    ms_error err;
} load_job;

static void note_failure(load_job *job, int64_t task, ms_status status, const ms_error *err) {
    pthread_mutex_lock(&job->lock);
    if (job->status == MS_OK || task < job->failed_task) {
        job->failed_task = task;
        job->status = status;
        job->err = *err;
    }
    pthread_mutex_unlock(&job->lock);
}

static ms_loaded_param *todo(const load_job *job, int i) {
    return &job->from->w->items[job->todo[i]];
}

static int64_t tasks_of(const load_job *job, int i) {
    return job->first_task[i + 1] - job->first_task[i];
}

static int64_t task_bytes(const load_job *job, int i) {
    return (int64_t)ms_loaded_bytes(job->from->w, todo(job, i)) / tasks_of(job, i);
}

/* Says how far the loading is, and hears whether it shall end. */
static void tell(load_job *job, int64_t task) {
    ms_error err;
    double done = (double)atomic_load(&job->done);
    ms_status status = job->params->progress(job->params->arg, done / (double)job->all);
    if (status == MS_OK)
        return;
    ms_error_clear(&err);
    ms_fail(&err, status, "cancelled while %s was read",
            job->from->file ? ms_tensor_file_path(job->from->file) : "nothing");
    note_failure(job, task, status, &err);
    atomic_store(&job->ended, true);
}

static void load_task(void *arg, int64_t task, int worker) {
    load_job *job = arg;
    if (atomic_load(&job->ended))
        return;
    int low = 0, high = job->n_todo - 1; /* the last parameter whose first task is not after this one */
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (job->first_task[middle] <= task)
            low = middle;
        else
            high = middle - 1;
    }
    ms_loaded_param *p = todo(job, low);
    ms_error err;
    ms_error_clear(&err);
    ms_status status = ms_source_run_task(job->from, p, task - job->first_task[low], p->data,
                                          job->scratch + (size_t)worker * job->scratch_floats, &err);
    if (status != MS_OK)
        note_failure(job, task, status, &err);
    atomic_fetch_add(&job->done, task_bytes(job, low));
    if (worker == 0 && job->params && job->params->progress) /* the caller's own thread */
        tell(job, task);
}

static ms_status allocate(ms_weights *w, ms_loaded_param *p, ms_error *err) {
    size_t bytes = ms_loaded_bytes(w, p);
    w->generation++;
    return ms_device_alloc(w->compute.dev, MS_LEDGER_WEIGHTS, bytes, "weights", &p->data, err);
}

/* Checks every tensor and makes room for those that stay; counts tasks and scratch. */
static ms_status prepare(load_job *job, ms_error *err) {
    ms_weights *w = job->from->w;
    int64_t tasks = 0;
    for (int i = 0; i < job->n_todo; i++) {
        ms_loaded_param *p = todo(job, i);
        MS_TRY(ms_source_describe(job->from, p, &p->dtype, err));
        job->first_task[i] = tasks;
        tasks += ms_source_tasks(job->from, p);
        size_t floats = ms_source_scratch_floats(p);
        if (floats > job->scratch_floats)
            job->scratch_floats = floats;
    }
    job->first_task[job->n_todo] = tasks;
    for (int i = 0; i < job->n_todo; i++)
        job->all += task_bytes(job, i) * tasks_of(job, i);
    for (int i = 0; i < job->n_todo; i++)
        if (!todo(job, i)->streamed)
            MS_TRY(allocate(w, todo(job, i), err));
    return MS_OK;
}

/* Loads one parameter after the other, through the slots of an upload. */
static ms_status load_onto_device(load_job *job, ms_error *err) {
    ms_weights *w = job->from->w;
    ms_weight_upload *upload = NULL;
    ms_status status = ms_weight_upload_create(&w->compute, ms_params_slot_bytes(w->params), &upload, err);
    for (int i = 0; i < job->n_todo && status == MS_OK && !atomic_load(&job->ended); i++) {
        status = ms_weight_upload_param(upload, job->from, todo(job, i), todo(job, i)->data, err);
        atomic_fetch_add(&job->done, task_bytes(job, i) * tasks_of(job, i));
        if (status == MS_OK && job->params && job->params->progress)
            tell(job, i);
    }
    if (status == MS_OK)
        status = ms_weight_upload_finish(upload, err);
    ms_weight_upload_destroy(&upload);
    if (status == MS_OK && job->status != MS_OK) {
        if (err)
            *err = job->err;
        status = job->status;
    }
    return status;
}

/* Loads in parallel, where the host packs. */
static ms_status load_on_host(load_job *job, ms_pool *pool, ms_error *err) {
    ms_weights *w = job->from->w;
    size_t scratch = (size_t)ms_pool_threads(pool) * job->scratch_floats;
    if (scratch) {
        job->scratch = ms_alloc_array(w->compute.mem, MS_LEDGER_STAGING, scratch, sizeof(float));
        if (!job->scratch)
            return ms_fail_alloc(err, w->compute.mem, scratch * sizeof(float), "reading weights");
    }
    ms_pool_run(pool, job->first_task[job->n_todo], load_task, job);
    ms_mem_free(job->scratch);
    if (job->status != MS_OK && err)
        *err = job->err;
    return job->status;
}

static ms_status read_todo(load_job *job, ms_pool *pool, ms_error *err) {
    const bool raw = job->from->w->compute.dev->caps.raw_weights;
    pthread_mutex_init(&job->lock, NULL);
    ms_status status = prepare(job, err);
    if (status == MS_OK)
        status = raw ? load_onto_device(job, err) : load_on_host(job, pool, err);
    pthread_mutex_destroy(&job->lock);
    return status;
}

/* Reads all that has no data. What was allocated for it is given back on failure. */
static ms_status fill(const ms_weight_source *from, bool streamed_too, ms_pool *pool,
                      const ms_weights_load_params *params, ms_error *err) {
    ms_weights *w = from->w;
    load_job state = {.from = from, .params = params}, *job = &state;
    size_t count = 0;
    ms_status status = MS_OK;
    for (int i = 0; i < w->count; i++)
        count += !w->items[i].data && (streamed_too || !w->items[i].streamed);
    if (count == 0) /* so that streaming more cannot fail */
        return MS_OK;
    job->todo = ms_alloc_array(w->compute.mem, MS_LEDGER_GENERAL, count + 1, sizeof(*job->todo));
    job->first_task = ms_alloc_array(w->compute.mem, MS_LEDGER_GENERAL, count + 1, sizeof(int64_t));
    if (!job->todo || !job->first_task)
        status = ms_fail_alloc(err, w->compute.mem, count * sizeof(int64_t), "loading weights");
    for (int i = 0; i < w->count && status == MS_OK; i++)
        if (!w->items[i].data && (streamed_too || !w->items[i].streamed))
            job->todo[job->n_todo++] = i;
    if (status == MS_OK)
        status = read_todo(job, pool, err);
    for (int i = 0; i < job->n_todo; i++) {
        ms_loaded_param *p = todo(job, i);
        if (status == MS_OK) {
            w->kept_bytes += p->data ? ms_loaded_bytes(w, p) : 0;
        } else {
            ms_device_free(w->compute.dev, p->data);
            p->data = NULL;
        }
    }
    ms_mem_free(job->todo);
    ms_mem_free(job->first_task);
    return status;
}

static ms_status load(const ms_weight_source *from, ms_residency residency, ms_pool *pool,
                      const ms_weights_load_params *params, ms_error *err) {
    ms_weights *w = from->w;
    MS_TRY(ms_weights_follow_params(w, err));
    for (int i = 0; i < w->count; i++) {
        if (w->items[i].data || w->source.w)
            return ms_fail(err, MS_INTERNAL, "these weights are loaded already");
        w->items[i].streamed = ms_params_is_streamed(w->params, i, residency);
    }
    MS_TRY(fill(from, true, pool, params, err));
    w->source = *from;
    w->residency = residency;
    return MS_OK;
}

ms_status ms_weights_load(ms_weights *w, const ms_tensor_file *file, ms_residency residency,
                          const ms_weights_load_params *params, ms_error *err) {
    ms_weight_source from = {.w = w, .file = file, .prefix = params->prefix, .precision = params->precision};
    return load(&from, residency, params->pool, params, err);
}

ms_status ms_weights_randomize(ms_weights *w, uint64_t seed, ms_residency residency, ms_dtype precision,
                               ms_pool *pool, ms_error *err) {
    ms_weight_source from = {.w = w, .seed = seed, .precision = precision};
    return load(&from, residency, pool, NULL, err);
}

/* Frees what is now streamed. */
static void mark(ms_weights *w, ms_residency residency) {
    for (int i = 0; i < w->count; i++) {
        ms_loaded_param *p = &w->items[i];
        bool streamed = ms_params_is_streamed(w->params, i, residency);
        if (streamed && !p->streamed) {
            ms_device_free(w->compute.dev, p->data);
            p->data = NULL;
            w->generation++;
        }
        p->streamed = streamed;
    }
    w->residency = residency;
}

ms_status ms_weights_set_residency(ms_weights *w, const ms_tensor_file *file, ms_residency residency,
                                   const ms_weights_load_params *params, ms_error *err) {
    if (!w->source.w)
        return ms_fail(err, MS_INTERNAL, "the residency of weights that are not loaded");
    const ms_residency before = w->residency;
    if (w->stream) /* what it reads ahead comes from the source as it is */
        ms_weight_stream_forget(w->stream, w);
    w->source.file = file;
    mark(w, residency);
    ms_status status = fill(&w->source, false, params->pool, params, err);
    if (status != MS_OK) /* more was to stay, so nothing that was there is gone */
        mark(w, before);
    return status;
}

static ms_status prepare_on_device(ms_weights *w, const ms_weight_shape *s, const float *values, size_t bytes,
                                   void *dst, ms_error *err) {
    ms_device *dev = w->compute.dev;
    void *raw;
    MS_TRY(ms_device_alloc(dev, MS_LEDGER_STAGING, bytes, "weights", &raw, err));
    ms_status status = dev->backend->fill(w->compute.queue, dst, 0, dev->backend->weight_bytes(s));
    if (status == MS_OK)
        status = dev->backend->upload(w->compute.queue, raw, values, bytes);
    if (status == MS_OK)
        status = dev->backend->weight_prepare(w->compute.queue, s, MS_F32, 0, s->n, raw, dst);
    ms_status finished = ms_compute_finish(&w->compute); /* before raw is freed */
    ms_device_free(dev, raw);
    status = status == MS_OK ? finished : status;
    return status == MS_OK ? MS_OK : ms_fail(err, status, "uploading weights: %s", ms_status_text(status));
}

/* p->data has room. */
static ms_status set_values(ms_weights *w, const ms_loaded_param *p, const float *values, ms_error *err) {
    const size_t bytes = (size_t)(p->elements * p->decl->parts) * sizeof(float);
    if (p->decl->vector) {
        ms_status status = ms_compute_upload(&w->compute, p->data, values, bytes);
        return status == MS_OK ? MS_OK
                               : ms_fail(err, status, "uploading weights: %s", ms_status_text(status));
    }
    ms_weight_shape s = ms_loaded_shape(w, p);
    int64_t row_elements = p->elements / p->decl->shape[0];
    if (w->compute.dev->caps.raw_weights)
        return prepare_on_device(w, &s, values, bytes, p->data, err);
    for (int64_t panel = 0; panel < w->compute.dev->backend->weight_panels(&s); panel++) {
        const float *rows[MS_PANEL_ROWS] = {0};
        for (int lane = 0; lane < MS_PANEL_ROWS; lane++) {
            int64_t row = ms_weight_row(&s, panel, lane);
            if (row >= 0)
                rows[lane] = values + row * row_elements;
        }
        w->compute.dev->backend->weight_pack(&s, panel, rows, p->data);
    }
    return MS_OK;
}

ms_status ms_weights_set(ms_weights *w, ms_param param, const float *values, ms_error *err) {
    MS_TRY(ms_weights_follow_params(w, err));
    ms_loaded_param *p = &w->items[param];
    if (p->data)
        return ms_fail(err, MS_INTERNAL, "parameter %s is set already", p->decl->name[0]);
    p->dtype = MS_F32;
    MS_TRY(allocate(w, p, err));
    ms_status status = set_values(w, p, values, err);
    if (status != MS_OK) {
        ms_device_free(w->compute.dev, p->data);
        p->data = NULL;
    }
    return status;
}

ms_status ms_weights_verify(ms_weights *w, const ms_tensor_file *file, const char *prefix, bool check_values,
                            ms_weights_report_fn report, void *arg, ms_error *err) {
    ms_weight_source from = {.w = w, .file = file, .prefix = prefix, .precision = MS_F32};
    float *block = NULL;
    MS_TRY(ms_weights_follow_params(w, err));
    if (check_values) {
        block = ms_alloc_array(w->compute.mem, MS_LEDGER_STAGING, MS_SOURCE_VERIFY_FLOATS, sizeof(float));
        if (!block)
            return ms_fail_alloc(err, w->compute.mem, MS_SOURCE_VERIFY_FLOATS * sizeof(float),
                                 "checking weights");
    }
    ms_status result = MS_OK;
    for (int i = 0; i < w->count; i++) {
        for (int part = 0; part < w->items[i].decl->parts; part++) {
            if (!w->items[i].decl->name[part])
                continue;
            ms_error problem;
            ms_error_clear(&problem);
            ms_status status = ms_source_verify_part(&from, &w->items[i], part, block, &problem);
            if (status == MS_OK)
                continue;
            if (result == MS_OK && err)
                *err = problem;
            result = status;
            if (report)
                report(arg, problem.message);
        }
    }
    ms_mem_free(block);
    return result;
}
