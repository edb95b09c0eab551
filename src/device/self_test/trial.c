#include "device/self_test/trial.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "device/weight.h"
#include "base/splitmix.h"

static const uint64_t hash_key[2] = {0x6d656d7361666531u, 0x73656c6674657374u};

ms_status ms_trial_begin(trial *t, ms_device *dev, ms_dtype given, ms_dtype dtype, uint64_t seed) {
    *t = (trial){.dev = dev, .given = given, .dtype = dtype, .seed = seed};
    ms_status status = dev->backend->queue_create(dev, &t->queue);
    return status == MS_OK ? dev->backend->event_create(dev, &t->done) : status;
}

static ms_status finish(trial *t) {
    ms_status status = t->dev->backend->record(t->queue, t->done);
    return status == MS_OK ? t->dev->backend->finish(t->done) : status;
}

void ms_trial_end(trial *t) {
    if (t->queue && t->done)
        (void)finish(t); /* what uses the blocks is done, or the device is lost */
    if (t->done)
        t->dev->backend->event_destroy(&t->done);
    if (t->queue)
        t->dev->backend->queue_destroy(&t->queue);
    for (int i = 0; i < t->blocks; i++)
        t->dev->backend->free(t->dev, t->block[i]);
    for (int i = 0; i < t->stagings; i++)
        t->dev->backend->host_free(t->dev, t->staging[i]);
    *t = (trial){0};
}

/* The sum of four uniform numbers is nearly normal, and alike on every machine. */
static float normal(uint64_t *state) {
    const uint64_t u = ms_splitmix64(state);
    int sum = (int)(u & 0xffff) + (int)(u >> 16 & 0xffff) + (int)(u >> 32 & 0xffff) + (int)(u >> 48);
    return (float)(sum - 2 * 0xffff) * (1.75f / 0x10000);
}

static void put(void *to, ms_dtype dtype, int64_t at, float value) {
    if (dtype == MS_F16)
        ((uint16_t *)to)[at] = ms_f32_to_f16(value);
    else if (dtype == MS_BF16)
        ((uint16_t *)to)[at] = ms_f32_to_bf16(value);
    else
        ((float *)to)[at] = value;
}

static float get(const void *from, ms_dtype dtype, int64_t at) {
    if (dtype == MS_F16)
        return ms_f16_to_f32(((const uint16_t *)from)[at]);
    if (dtype == MS_BF16)
        return ms_bf16_to_f32(((const uint16_t *)from)[at]);
    return ((const float *)from)[at];
}

static float rounded(ms_dtype dtype, float value) {
    float kept;
    put(&kept, dtype, 0, value);
    return get(&kept, dtype, 0);
}

void *ms_trial_block(trial *t, size_t bytes) {
    if (t->status == MS_OK && t->blocks == TRIAL_BLOCKS)
        t->status = MS_INTERNAL;
    if (t->status != MS_OK)
        return NULL;
    void *block = t->dev->backend->alloc(t->dev, MS_LEDGER_GENERAL, bytes);
    if (!block)
        t->status = t->dev->caps.host_memory ? MS_HOST_MEMORY : MS_DEVICE_MEMORY;
    else
        t->block[t->blocks++] = block;
    return block;
}

/* Memory that a copy to the device may read until the trial ends. */
static void *stage(trial *t, size_t bytes) {
    if (t->status == MS_OK && t->stagings == TRIAL_BLOCKS)
        t->status = MS_INTERNAL;
    if (t->status != MS_OK)
        return NULL;
    void *staging = t->dev->backend->host_alloc(t->dev, MS_LEDGER_GENERAL, bytes);
    if (!staging)
        t->status = MS_HOST_MEMORY;
    else
        t->staging[t->stagings++] = staging;
    return staging;
}

static void *upload(trial *t, void *staged, size_t bytes) {
    void *block = ms_trial_block(t, bytes);
    if (block && staged)
        t->status = t->dev->backend->upload(t->queue, block, staged, bytes);
    return t->status == MS_OK ? block : NULL;
}

void *ms_trial_values(trial *t, int64_t count) {
    size_t bytes = (size_t)count * ms_dtype_bytes(t->dtype);
    void *staged = stage(t, bytes);
    for (int64_t i = 0; staged && i < count; i++)
        put(staged, t->dtype, i, rounded(t->given, normal(&t->seed)));
    return upload(t, staged, bytes);
}

float *ms_trial_floats(trial *t, int64_t count, float middle, float spread) {
    float *staged = stage(t, (size_t)count * sizeof(float));
    for (int64_t i = 0; staged && i < count; i++)
        staged[i] = middle + spread * normal(&t->seed);
    return upload(t, staged, (size_t)count * sizeof(float));
}

void *ms_trial_words(trial *t, const void *words, size_t bytes) {
    void *staged = stage(t, bytes);
    if (staged)
        memcpy(staged, words, bytes);
    return upload(t, staged, bytes);
}

void *ms_trial_output(trial *t, int64_t count, ms_dtype dtype) {
    size_t bytes = (size_t)count * ms_dtype_bytes(dtype);
    t->output = ms_trial_block(t, bytes);
    t->output_dtype = dtype;
    t->outputs = count;
    if (t->output)
        t->status = t->dev->backend->fill(t->queue, t->output, 0, bytes);
    return t->output;
}

ms_rows ms_trial_rows(const trial *t, void *data, int64_t outer, int64_t inner, int64_t channels) {
    return (ms_rows){.data = data,
                     .outer = outer,
                     .inner = inner,
                     .channels = channels,
                     .outer_stride = inner * channels,
                     .inner_stride = channels,
                     .dtype = t->dtype};
}

/* A device that packs itself gets the matrix in two pieces, as when it is loaded: one of the stored type, one
   that is float32, as checkpoints may be. Values are of the type `given` in both. */
static void pack_there(trial *t, const ms_weight_shape *shape, const void *raw, int64_t row, void *dst,
                       size_t bytes) {
    const ms_backend *b = t->dev->backend;
    const int64_t first = shape->n / 3, rest = shape->n - first;
    const size_t row_bytes = (size_t)row * ms_dtype_bytes(shape->dtype);
    float *wide = stage(t, (size_t)(rest * row) * sizeof(float));
    for (int64_t i = 0; wide && i < rest * row; i++)
        wide[i] = get(raw, shape->dtype, first * row + i);
    const void *narrow_there = upload(t, (void *)(uintptr_t)raw, (size_t)first * row_bytes);
    const void *wide_there = upload(t, wide, (size_t)(rest * row) * sizeof(float));
    if (t->status == MS_OK)
        t->status = b->fill(t->queue, dst, 0, bytes);
    if (t->status == MS_OK && first > 0)
        t->status = b->weight_prepare(t->queue, shape, shape->dtype, 0, first, narrow_there, dst);
    if (t->status == MS_OK)
        t->status = b->weight_prepare(t->queue, shape, MS_F32, first, rest, wide_there, dst);
}

ms_weight ms_trial_weight(trial *t, const ms_weight_shape *given) {
    ms_weight_shape shape = *given;
    shape.dtype = t->dtype;
    int64_t k = shape.c_in * shape.kernel_h * shape.kernel_w;
    size_t row = (size_t)k * ms_dtype_bytes(shape.dtype), bytes = t->dev->backend->weight_bytes(&shape);
    void *raw = stage(t, (size_t)shape.n * row), *dst = ms_trial_block(t, bytes);
    float spread = 1.0f;
    for (int64_t i = k; i > 1; i /= 4) /* about the root of k, so that sums keep their size */
        spread /= 2;
    for (int64_t i = 0; raw && i < shape.n * k; i++)
        put(raw, shape.dtype, i, rounded(t->given, spread * normal(&t->seed)));
    if (t->status == MS_OK && t->dev->caps.raw_weights)
        pack_there(t, &shape, raw, k, dst, bytes);
    else if (t->status == MS_OK) {
        memset(dst, 0, bytes);
        t->status = ms_weight_prepare(&shape, shape.dtype, 0, shape.n, raw, dst);
    }
    return (ms_weight){.data = dst, .dtype = shape.dtype, .layout = shape.layout, .n = shape.n, .k = k};
}

static size_t output_bytes(const trial *t) {
    return (size_t)t->outputs * ms_dtype_bytes(t->output_dtype);
}

/* Waits for it. */
static ms_status fetch_output(trial *t) {
    if (!t->output_staged)
        t->output_staged = stage(t, output_bytes(t));
    if (t->status == MS_OK)
        t->status = t->dev->backend->download(t->queue, t->output_staged, t->output, output_bytes(t));
    if (t->status == MS_OK)
        t->status = finish(t);
    return t->status;
}

static uint64_t hash_of_output(const trial *t) {
    return ms_siphash(hash_key, t->output_staged, output_bytes(t));
}

/* The output is cleared before, so that it is a form's own. */
static ms_status run_form(trial *t, int form, trial_call call, const void *args, void *workspace) {
    t->dev->backend->choose_form(t->dev, form);
    t->status = t->dev->backend->fill(t->queue, t->output, 0, output_bytes(t));
    if (t->status == MS_OK)
        t->status = call(t, args, workspace);
    t->dev->backend->choose_form(t->dev, 0);
    return t->status == MS_OK ? fetch_output(t) : t->status;
}

ms_status ms_trial_run(trial *t, trial_call call, const void *args, size_t workspace_bytes) {
    const int forms = t->dev->caps.forms;
    void *workspace = ms_trial_block(t, workspace_bytes ? workspace_bytes : 1);
    uint64_t first = 0;
    if (t->status == MS_OK && forms == 0)
        t->status = call(t, args, workspace);
    for (int form = 1; form <= forms && t->status == MS_OK && !t->differs; form++) {
        MS_TRY(run_form(t, form, call, args, workspace));
        const uint64_t hash = hash_of_output(t);
        first = form == 1 ? hash : first;
        t->differs = hash != first;
    }
    return t->status;
}

ms_status ms_trial_read(trial *t, float **ret_values, uint64_t *ret_hash) {
    float *values = ms_mem_alloc(t->dev->mem, MS_LEDGER_GENERAL, (size_t)t->outputs * sizeof(*values));
    if (t->status == MS_OK && !values)
        t->status = MS_HOST_MEMORY;
    if (t->status == MS_OK)
        (void)fetch_output(t);
    if (t->status != MS_OK) {
        ms_mem_free(values);
        return t->status;
    }
    for (int64_t i = 0; i < t->outputs; i++)
        values[i] = get(t->output_staged, t->output_dtype, i);
    *ret_hash = hash_of_output(t);
    *ret_values = values;
    return MS_OK;
}
