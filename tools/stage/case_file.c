#include "case_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct case_entry {
    char *name;
    ms_dtype dtype;
    int rank;
    int64_t shape[MS_TENSOR_MAX_RANK];
    size_t bytes;
    void *data;
};

ms_status case_read(const ms_tensor_file *file, const char *name, int rank, case_tensor *ret_tensor,
                    ms_error *err) {
    const ms_tensor_info *t = ms_tensor_file_find(file, name);
    if (!t)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: has no tensor %s", ms_tensor_file_path(file), name);
    if (rank && t->rank != rank)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: %s has %d dimensions, not %d",
                       ms_tensor_file_path(file), name, t->rank, rank);
    case_tensor c = {.rank = t->rank, .elements = t->elements};
    memcpy(c.shape, t->shape, sizeof(c.shape));
    c.data = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)t->elements, sizeof(float));
    if (!c.data)
        return ms_fail_alloc(err, NULL, (size_t)t->elements * sizeof(float), name);
    ms_status status = ms_tensor_file_read_f32(file, t, 0, t->elements, c.data, err);
    if (status != MS_OK) {
        ms_mem_free(c.data);
        return status;
    }
    *ret_tensor = c;
    return MS_OK;
}

ms_status case_add(case_output *out, const char *name, ms_dtype dtype, int rank, const int64_t *shape,
                   const void *data, ms_error *err) {
    if (out->count == out->capacity) {
        int wanted = out->capacity ? 2 * out->capacity : 16;
        struct case_entry *fresh = realloc(out->entries, (size_t)wanted * sizeof(*fresh));
        if (!fresh)
            return ms_fail(err, MS_HOST_MEMORY, "cannot keep the output %s", name);
        out->entries = fresh;
        out->capacity = wanted;
    }
    struct case_entry *e = &out->entries[out->count];
    *e = (struct case_entry){.dtype = dtype, .rank = rank, .bytes = ms_dtype_bytes(dtype)};
    for (int i = 0; i < rank; i++) {
        e->shape[i] = shape[i];
        e->bytes *= (size_t)shape[i];
    }
    e->name = ms_strdup(NULL, name);
    e->data = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, e->bytes);
    if (!e->name || !e->data) {
        ms_mem_free(e->name);
        ms_mem_free(e->data);
        return ms_fail_alloc(err, NULL, e->bytes, name);
    }
    memcpy(e->data, data, e->bytes);
    out->count++;
    return MS_OK;
}

ms_status case_write(const case_output *out, const char *path, ms_error *err) {
    ms_tensor_writer *writer = NULL;
    MS_TRY(ms_tensor_writer_create(NULL, path, MS_FORMAT_SAFETENSORS, &writer, err));
    ms_status status = MS_OK;
    for (int i = 0; i < out->count && status == MS_OK; i++) {
        const struct case_entry *e = &out->entries[i];
        status = ms_tensor_writer_declare(writer, e->name, e->dtype, e->rank, e->shape, err);
    }
    for (int i = 0; i < out->count && status == MS_OK; i++)
        status = ms_tensor_writer_write(writer, out->entries[i].data, out->entries[i].bytes, err);
    if (status == MS_OK)
        return ms_tensor_writer_finish(&writer, err);
    ms_tensor_writer_abort(&writer);
    return status;
}

void case_free(case_output *out) {
    for (int i = 0; i < out->count; i++) {
        ms_mem_free(out->entries[i].name);
        ms_mem_free(out->entries[i].data);
    }
    free(out->entries);
    *out = (case_output){0};
}

void case_swap_inner(const float *src, int64_t a, int64_t b, int64_t c, float *ret_dst) {
    for (int64_t i = 0; i < a; i++)
        for (int64_t j = 0; j < b; j++)
            for (int64_t k = 0; k < c; k++)
                ret_dst[(i * c + k) * b + j] = src[(i * b + j) * c + k];
}
