/* Filling parameters from a checkpoint or with random values: checks, rounding, packing into the back end's
 * layout. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "weights/weights_internal.h"

#define NAME_MAX_BYTES 512
#define PANEL_ROWS 16

/* ---- finding and checking
 * --------------------------------------------------------------------------------------- */

static const ms_tensor_info *find_tensor(const ms_tensor_file *file, const char *prefix, const char *name) {
    char full[NAME_MAX_BYTES];
    if (!name)
        return NULL;
    if (!prefix || !prefix[0])
        return ms_tensor_file_find(file, name);
    int n = snprintf(full, sizeof(full), "%s%s", prefix, name);
    return n < 0 || (size_t)n >= sizeof(full) ? NULL : ms_tensor_file_find(file, full);
}

static const ms_tensor_info *find_part(const ms_tensor_file *file, const char *prefix, const ms_param_decl *d,
                                       int part) {
    const ms_tensor_info *t = find_tensor(file, prefix, d->name[part]);
    return t ? t : find_tensor(file, prefix, d->other_name[part]);
}

static void print_shape(char *text, size_t size, int rank, const int64_t *shape) {
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%" PRId64, i ? ", " : "", shape[i]);
}

static ms_status check_part(const ms_tensor_file *file, const char *prefix, const ms_loaded_param *p,
                            int part, ms_error *err) {
    const ms_param_decl *d = &p->decl;
    const ms_tensor_info *t = find_part(file, prefix, d, part);
    char want[96], have[192];
    print_shape(want, sizeof(want), d->rank, d->shape);
    if (!t)
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s is missing (shape [%s] by the config)",
                       ms_tensor_file_path(file), d->name[part], want);
    bool same = t->rank == d->rank;
    for (int i = 0; i < d->rank && same; i++)
        same = t->shape[i] == d->shape[i];
    if (!same) {
        print_shape(have, sizeof(have), t->rank, t->shape);
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s has shape [%s], the config asks for [%s]",
                       ms_tensor_file_path(file), t->name, have, want);
    }
    if (!ms_dtype_is_float(t->dtype))
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s has type %s, which is no floating type",
                       ms_tensor_file_path(file), t->name, ms_dtype_name(t->dtype));
    return MS_OK;
}

static float round_to(float x, ms_dtype precision) {
    if (precision == MS_F16)
        return ms_f16_to_f32(ms_f32_to_f16(x));
    if (precision == MS_BF16)
        return ms_bf16_to_f32(ms_f32_to_bf16(x));
    return x;
}

/* Which element is too large for the precision, or is none at all. Only called when there is one. */
static ms_status refuse_values(const ms_tensor_file *file, const ms_tensor_info *t, int64_t first,
                               const float *values, int64_t count, ms_dtype precision, ms_error *err) {
    int64_t i = 0;
    while (i + 1 < count && isfinite(round_to(values[i], precision)))
        i++;
    float x = values[i];
    if (!isfinite(x))
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s holds %s at element %" PRId64,
                       ms_tensor_file_path(file), t->name, isnan(x) ? "NaN" : "infinity", first + i);
    return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s holds %g at element %" PRId64 ", too large for %s",
                   ms_tensor_file_path(file), t->name, (double)x, first + i, ms_dtype_name(precision));
}

/* Bits of the smallest magnitude that becomes infinite. */
static uint32_t limit_bits(ms_dtype precision) {
    return precision == MS_F16 ? 0x477ff000u : precision == MS_BF16 ? 0x7f7f8000u : 0x7f800000u;
}

/* Rounds in place and refuses what is not finite, before or after. The magnitudes of floats are in the order
   of their bits, so that one maximum decides for all: a loop without branches. */
static ms_status round_and_check(const ms_tensor_file *file, const ms_tensor_info *t, int64_t first,
                                 float *values, int64_t count, ms_dtype precision, ms_error *err) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t magnitude = ms_float_bits(values[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    if (largest >= limit_bits(precision))
        return refuse_values(file, t, first, values, count, precision, err);
    if (t->dtype == precision || precision == MS_F32)
        return MS_OK;
    for (int64_t i = 0; i < count; i++)
        values[i] = round_to(values[i], precision);
    return MS_OK;
}

static ms_status read_values(const ms_tensor_file *file, const ms_tensor_info *t, int64_t first,
                             int64_t count, ms_dtype precision, float *dst, ms_error *err) {
    MS_TRY(ms_tensor_file_read_f32(file, t, first, count, dst, err));
    return round_and_check(file, t, first, dst, count, precision, err);
}

/* ---- panels
 * ----------------------------------------------------------------------------------------------------- */

/* Row of the checkpoint's matrix that is lane `lane` of a panel; -1 = padding. */
static int64_t row_of(const ms_weight_shape *s, int64_t panel, int lane) {
    if (s->layout == MS_LAYOUT_GEGLU) {
        int64_t half = s->n / 2, i = panel / 2 * PANEL_ROWS + lane;
        return i < half ? i + (panel % 2) * half : -1;
    }
    int64_t groups = s->layout == MS_LAYOUT_DEPTHWISE ? 1 : s->groups, n = s->n / groups;
    int64_t per_group = (n + PANEL_ROWS - 1) / PANEL_ROWS;
    int64_t i = panel % per_group * PANEL_ROWS + lane;
    return i < n ? panel / per_group * n + i : -1;
}

/* In-memory type: what the precision says, or, at full precision, what the file has (a double becomes a
 * float). */
static ms_dtype memory_dtype(ms_dtype precision, ms_dtype stored) {
    if (precision != MS_F32)
        return precision;
    return stored == MS_F16 || stored == MS_BF16 ? stored : MS_F32;
}

typedef struct load_job {
    ms_weights *w;
    const ms_tensor_file *file; /* NULL = random values from the seed */
    const char *prefix;
    uint64_t seed;
    ms_dtype precision;
    int64_t *first_task; /* per parameter, count + 1 of them */
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

/* Random values that keep activations in range: norms around 1, biases around 0, matrices by their number of
   inputs. A value depends on the seed, the parameter and its place, not on who fills it. */
static void random_values(const load_job *job, const ms_loaded_param *p, int64_t first, int64_t count,
                          ms_dtype dtype, float *dst) {
    const char *name = p->decl.name[0] ? p->decl.name[0] : p->decl.name[1];
    bool centre = p->decl.vector && strstr(name, "norm") && strstr(name, "weight");
    float spread = p->decl.vector ? 0.05f : sqrtf(3.0f / (float)(p->elements / p->decl.shape[0]));
    uint64_t param = (uint64_t)(p - job->w->params);
    for (int64_t i = 0; i < count; i++) { /* splitmix64 (Steele, Lea, Flood 2014) of the place */
        uint64_t z = job->seed + (param << 40) + (uint64_t)(first + i) * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        float x = (float)(int32_t)(z >> 32) * 0x1p-31f * spread;
        dst[i] = round_to(centre ? 1.0f + x : x, dtype);
    }
}

/* Elements first .. of one part, rounded to the dtype and checked. */
static ms_status get_values(const load_job *job, const ms_loaded_param *p, int part, int64_t first,
                            int64_t count, ms_dtype dtype, float *dst, ms_error *err) {
    if (!job->file) {
        random_values(job, p, part * p->elements + first, count, dtype, dst);
        return MS_OK;
    }
    return read_values(job->file, find_part(job->file, job->prefix, &p->decl, part), first, count, dtype, dst,
                       err);
}

static ms_dtype part_dtype(const load_job *job, const ms_loaded_param *p, int part) {
    return memory_dtype(job->precision,
                        job->file ? find_part(job->file, job->prefix, &p->decl, part)->dtype : MS_F32);
}

static ms_status load_vector(load_job *job, ms_loaded_param *p, ms_error *err) {
    float *dst = p->data;
    for (int part = 0; part < p->decl.parts; part++) {
        float *at = dst + part * p->elements;
        if (!p->decl.name[part])
            memset(at, 0, (size_t)p->elements * sizeof(float));
        else
            MS_TRY(get_values(job, p, part, 0, p->elements, part_dtype(job, p, part), at, err));
    }
    return MS_OK;
}

static ms_status load_panel(load_job *job, ms_loaded_param *p, int64_t panel, float *scratch, ms_error *err) {
    ms_weight_shape s = ms_param_weight_shape(p, p->dtype);
    int64_t row_elements = p->elements / p->decl.shape[0], part_rows = p->decl.shape[0];
    const float *rows[PANEL_ROWS] = {0};
    for (int lane = 0; lane < PANEL_ROWS;) {
        int64_t row = row_of(&s, panel, lane);
        if (row < 0)
            break;   /* padding comes last */
        int run = 1; /* rows that follow each other in the same part are read at once */
        while (lane + run < PANEL_ROWS && row_of(&s, panel, lane + run) == row + run &&
               (row + run) / part_rows == row / part_rows)
            run++;
        MS_TRY(get_values(job, p, (int)(row / part_rows), row % part_rows * row_elements, run * row_elements,
                          p->dtype, scratch + lane * row_elements, err));
        for (int i = 0; i < run; i++)
            rows[lane + i] = scratch + (lane + i) * row_elements;
        lane += run;
    }
    job->w->dev->backend->weight_pack(&s, panel, rows, p->data);
    return MS_OK;
}

static void load_task(void *arg, int64_t task, int worker) {
    load_job *job = arg;
    int low = 0, high = job->w->count - 1; /* the last parameter whose first task is not after this one */
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (job->first_task[middle] <= task)
            low = middle;
        else
            high = middle - 1;
    }
    ms_loaded_param *p = &job->w->params[low];
    ms_error err;
    ms_error_clear(&err);
    ms_status status = p->decl.vector ? load_vector(job, p, &err)
                                      : load_panel(job, p, task - job->first_task[low],
                                                   job->scratch + (size_t)worker * job->scratch_floats, &err);
    if (status != MS_OK)
        note_failure(job, task, status, &err);
}

static ms_status allocate(ms_weights *w, ms_loaded_param *p, ms_error *err) {
    size_t bytes = ms_param_bytes(w, p, p->dtype);
    p->data = w->dev->backend->alloc(w->dev, MS_LEDGER_WEIGHTS, bytes);
    if (!p->data)
        return ms_fail_alloc(err, w->dev->mem, bytes, "weights");
    return MS_OK;
}

/* Checks every tensor and makes room; counts tasks and scratch. A parameter that was set before has no task.
 */
static ms_status prepare(load_job *job, ms_error *err) {
    ms_weights *w = job->w;
    int64_t tasks = 0;
    for (int i = 0; i < w->count; i++) {
        ms_loaded_param *p = &w->params[i];
        job->first_task[i] = tasks;
        ms_dtype dtype = MS_F32;
        for (int part = 0; part < p->decl.parts; part++) {
            if (!p->decl.name[part])
                continue;
            if (job->file)
                MS_TRY(check_part(job->file, job->prefix, p, part, err));
            ms_dtype this_one = part_dtype(job, p, part);
            if (part > 0 && this_one != dtype)
                this_one = MS_F32; /* parts of different types: the one that holds all exactly */
            dtype = this_one;
        }
        p->dtype = dtype;
        if (p->decl.vector) {
            tasks++;
            continue;
        }
        ms_weight_shape s = ms_param_weight_shape(p, p->dtype);
        tasks += w->dev->backend->weight_panels(&s);
        size_t floats = (size_t)(p->elements / p->decl.shape[0]) * PANEL_ROWS;
        if (floats > job->scratch_floats)
            job->scratch_floats = floats;
    }
    job->first_task[w->count] = tasks;
    for (int i = 0; i < w->count; i++)
        MS_TRY(allocate(w, &w->params[i], err));
    return MS_OK;
}

/* Parameters with no tasks of their own confuse the search for a task's parameter: it wants the last one that
   starts at or before the task, so an empty parameter must not share its start with the one before it. They
   come from ms_weights_set, and graphs either set all parameters or none. */
static bool partly_set(const ms_weights *w) {
    for (int i = 0; i < w->count; i++)
        if (w->params[i].data)
            return true;
    return false;
}

static ms_status fill(load_job *job, ms_pool *pool, ms_error *err) {
    ms_weights *w = job->w;
    int workers = ms_pool_threads(pool);
    if (partly_set(w))
        return ms_fail(err, MS_INTERNAL, "these weights are loaded already");
    job->first_task = ms_alloc_array(w->dev->mem, MS_LEDGER_GENERAL, (size_t)w->count + 1, sizeof(int64_t));
    if (!job->first_task)
        return ms_fail_alloc(err, w->dev->mem, (size_t)w->count * sizeof(int64_t), "loading weights");
    ms_status status = prepare(job, err);
    size_t scratch = (size_t)workers * job->scratch_floats;
    if (status == MS_OK && scratch) {
        job->scratch = ms_alloc_array(w->dev->mem, MS_LEDGER_STAGING, scratch, sizeof(float));
        if (!job->scratch)
            status = ms_fail_alloc(err, w->dev->mem, scratch * sizeof(float), "reading weights");
    }
    if (status == MS_OK) {
        pthread_mutex_init(&job->lock, NULL);
        ms_pool_run(pool, job->first_task[w->count], load_task, job);
        pthread_mutex_destroy(&job->lock);
        status = job->status;
        if (status != MS_OK && err)
            *err = job->err;
    }
    ms_free(job->scratch);
    ms_free(job->first_task);
    if (status != MS_OK)
        ms_weights_release(w);
    return status;
}

ms_status ms_weights_load(ms_weights *w, const ms_tensor_file *file, const ms_weights_load_params *params,
                          ms_error *err) {
    load_job job = {.w = w, .file = file, .prefix = params->prefix, .precision = params->precision};
    return fill(&job, params->pool, err);
}

ms_status ms_weights_randomize(ms_weights *w, uint64_t seed, ms_dtype precision, ms_pool *pool,
                               ms_error *err) {
    load_job job = {.w = w, .seed = seed, .precision = precision};
    return fill(&job, pool, err);
}

ms_status ms_weights_set(ms_weights *w, ms_param param, const float *values, ms_error *err) {
    ms_loaded_param *p = &w->params[param];
    if (p->data)
        return ms_fail(err, MS_INTERNAL, "parameter %s is set already", p->decl.name[0]);
    p->dtype = MS_F32;
    MS_TRY(allocate(w, p, err));
    if (p->decl.vector)
        return w->dev->backend->upload(w->dev, p->data, values,
                                       (size_t)(p->elements * p->decl.parts) * sizeof(float));
    ms_weight_shape s = ms_param_weight_shape(p, p->dtype);
    int64_t row_elements = p->elements / p->decl.shape[0];
    for (int64_t panel = 0; panel < w->dev->backend->weight_panels(&s); panel++) {
        const float *rows[PANEL_ROWS] = {0};
        for (int lane = 0; lane < PANEL_ROWS; lane++) {
            int64_t row = row_of(&s, panel, lane);
            if (row >= 0)
                rows[lane] = values + row * row_elements;
        }
        w->dev->backend->weight_pack(&s, panel, rows, p->data);
    }
    return MS_OK;
}

/* ---- verifying
 * -------------------------------------------------------------------------------------------------- */

#define VERIFY_BLOCK 65536

static ms_status verify_values(const ms_tensor_file *file, const ms_tensor_info *t, float *block,
                               ms_error *err) {
    for (int64_t first = 0; first < t->elements; first += VERIFY_BLOCK) {
        int64_t count = t->elements - first < VERIFY_BLOCK ? t->elements - first : VERIFY_BLOCK;
        MS_TRY(read_values(file, t, first, count, MS_F32, block, err));
    }
    return MS_OK;
}

ms_status ms_weights_verify(const ms_weights *w, const ms_tensor_file *file, const char *prefix,
                            bool check_values, ms_weights_report_fn report, void *arg, ms_error *err) {
    float *block = NULL;
    if (check_values) {
        block = ms_alloc_array(w->dev->mem, MS_LEDGER_STAGING, VERIFY_BLOCK, sizeof(float));
        if (!block)
            return ms_fail_alloc(err, w->dev->mem, VERIFY_BLOCK * sizeof(float), "checking weights");
    }
    ms_status result = MS_OK;
    for (int i = 0; i < w->count; i++) {
        for (int part = 0; part < w->params[i].decl.parts; part++) {
            if (!w->params[i].decl.name[part])
                continue;
            ms_error problem;
            ms_error_clear(&problem);
            ms_status status = check_part(file, prefix, &w->params[i], part, &problem);
            if (status == MS_OK && check_values)
                status =
                    verify_values(file, find_part(file, prefix, &w->params[i].decl, part), block, &problem);
            if (status == MS_OK)
                continue;
            if (result == MS_OK && err)
                *err = problem;
            result = status;
            if (report)
                report(arg, problem.message);
        }
    }
    ms_free(block);
    return result;
}
