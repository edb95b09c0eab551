#include "weights/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "weights/weight_stream.h"
#include "weights/weights_internal.h"

ms_status ms_weights_create(const ms_compute *compute, ms_weights **ret_weights, ms_error *err) {
    ms_weights *w = ms_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, compute->mem, sizeof(*w), "the weights' directory");
    w->compute = *compute;
    ms_region_init(&w->region, compute->mem, SIZE_MAX);
    ms_strmap_init(&w->by_name, &w->region);
    *ret_weights = w;
    return MS_OK;
}

uint64_t ms_weights_generation(const ms_weights *w) {
    return w->generation;
}

bool ms_weights_any_streamed(const ms_weights *w) {
    for (int i = 0; i < w->count; i++)
        if (w->params[i].streamed)
            return true;
    return false;
}

void ms_weights_release(ms_weights *w) {
    w->generation++;
    for (int i = 0; i < w->count; i++) {
        if (!w->params[i].streamed)
            ms_device_free(w->compute.dev, w->params[i].data);
        w->params[i].data = NULL;
    }
}

void ms_weights_destroy(ms_weights **weights) {
    if (!weights || !*weights)
        return;
    ms_weights *w = *weights;
    if (w->stream)
        ms_weight_stream_forget(w->stream, w);
    ms_weights_release(w);
    ms_region_free(&w->region);
    ms_free(w->params);
    ms_free(w);
    *weights = NULL;
}

/* ---- declaring
 * -------------------------------------------------------------------------------------------------- */

static const char *key_of(const ms_param_decl *d) {
    for (int i = 0; i < d->parts; i++)
        if (d->name[i])
            return d->name[i];
    return "";
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_decl(const ms_param_decl *a, const ms_param_decl *b) {
    bool same = a->parts == b->parts && a->rank == b->rank && a->vector == b->vector &&
                a->layout == b->layout && a->groups == b->groups;
    for (int i = 0; i < a->rank && same; i++)
        same = a->shape[i] == b->shape[i];
    for (int i = 0; i < a->parts && same; i++)
        same = same_text(a->name[i], b->name[i]);
    return same;
}

/* A copy of the declaration whose names live as long as the weights; false when memory is out. */
static bool copy_decl(ms_weights *w, const ms_param_decl *decl, ms_param_decl *ret_copy) {
    *ret_copy = *decl;
    for (int i = 0; i < decl->parts; i++) {
        const char *const from[2] = {decl->name[i], decl->other_name[i]};
        const char **to[2] = {&ret_copy->name[i], &ret_copy->other_name[i]};
        for (int j = 0; j < 2; j++) {
            *to[j] = from[j] ? ms_region_strndup(&w->region, from[j], strlen(from[j])) : NULL;
            if (from[j] && !*to[j])
                return false;
        }
    }
    return true;
}

static bool grow(ms_weights *w) {
    if (w->count < w->capacity)
        return true;
    int wanted = w->capacity ? 2 * w->capacity : 256;
    size_t bytes = (size_t)wanted * sizeof(ms_loaded_param);
    ms_loaded_param *params =
        w->params ? ms_realloc(w->params, bytes) : ms_alloc(w->compute.mem, MS_LEDGER_GENERAL, bytes);
    if (!params)
        return false;
    w->params = params;
    w->capacity = wanted;
    return true;
}

ms_status ms_weights_declare(ms_weights *w, const ms_param_decl *decl, ms_param *ret_param, ms_error *err) {
    const char *key = key_of(decl);
    uintptr_t known = (uintptr_t)ms_strmap_find(&w->by_name, key, strlen(key));
    if (known) {
        if (!same_decl(&w->params[known - 1].decl, decl))
            return ms_fail(err, MS_INTERNAL, "parameter %s is declared twice with different shapes", key);
        *ret_param = (ms_param)(known - 1);
        return MS_OK;
    }
    ms_loaded_param p = {.elements = 1};
    for (int i = 0; i < decl->rank; i++)
        p.elements *= decl->shape[i];
    if (!grow(w) || !copy_decl(w, decl, &p.decl))
        return ms_fail_alloc(err, w->compute.mem, sizeof(p), "the weights' directory");
    key = key_of(&p.decl);
    if (ms_strmap_add(&w->by_name, key, strlen(key), (void *)(uintptr_t)(w->count + 1)) != MS_STRMAP_ADDED)
        return ms_fail_alloc(err, w->compute.mem, sizeof(p), "the weights' directory");
    w->params[w->count] = p;
    *ret_param = w->count++;
    return MS_OK;
}

size_t ms_weights_count(const ms_weights *w) {
    return (size_t)w->count;
}

const ms_param_decl *ms_weights_decl(const ms_weights *w, ms_param param) {
    return &w->params[param].decl;
}

/* ---- sizes and access
 * ------------------------------------------------------------------------------------------- */

ms_weight_shape ms_param_weight_shape(const ms_loaded_param *p, ms_dtype dtype) {
    const ms_param_decl *d = &p->decl;
    ms_weight_shape s = {.layout = d->layout,
                         .dtype = dtype,
                         .n = d->shape[0] * d->parts,
                         .c_in = d->rank > 1 ? d->shape[1] : 1,
                         .kernel_h = 1,
                         .kernel_w = 1,
                         .groups = d->groups ? d->groups : 1};
    if (d->rank == 4)
        s.kernel_h = (int)d->shape[2];
    if (d->rank >= 3)
        s.kernel_w = (int)d->shape[d->rank - 1];
    return s;
}

size_t ms_param_bytes(const ms_weights *w, const ms_loaded_param *p, ms_dtype dtype) {
    if (p->decl.vector)
        return (size_t)(p->elements * p->decl.parts) * sizeof(float);
    ms_weight_shape s = ms_param_weight_shape(p, dtype);
    return w->compute.dev->backend->weight_bytes(&s);
}

size_t ms_weights_param_bytes(const ms_weights *w, ms_param param, ms_dtype precision) {
    return ms_param_bytes(w, &w->params[param], precision);
}

static size_t sum_bytes(const ms_weights *w, ms_dtype precision, bool streamed_too) {
    bool loaded = ms_weights_loaded(w);
    size_t sum = 0;
    for (int i = 0; i < w->count; i++)
        if (streamed_too || !w->params[i].streamed)
            sum += ms_param_bytes(w, &w->params[i], loaded ? w->params[i].dtype : precision);
    return sum;
}

size_t ms_weights_bytes(const ms_weights *w, ms_dtype precision) {
    return sum_bytes(w, precision, true);
}

size_t ms_weights_resident_bytes(const ms_weights *w, ms_dtype precision) {
    return sum_bytes(w, precision, false);
}

size_t ms_weights_held_bytes(const ms_weights *w, ms_dtype precision) {
    size_t sum = 0;
    for (int i = 0; i < w->count; i++)
        if (!w->params[i].streamed)
            sum += ms_mem_charged_bytes(ms_param_bytes(w, &w->params[i], precision));
    return sum;
}

bool ms_weights_loaded(const ms_weights *w) {
    for (int i = 0; i < w->count; i++)
        if (!w->params[i].data && !(w->params[i].streamed && w->source.w))
            return false;
    return true;
}

void ms_weights_set_streamed(ms_weights *w, ms_param param, bool streamed) {
    w->params[param].streamed = streamed && !w->params[param].decl.vector;
}

bool ms_weights_is_streamed(const ms_weights *w, ms_param param) {
    return param != MS_NO_PARAM && w->params[param].streamed;
}

ms_weight ms_weights_matrix(const ms_weights *w, ms_param param) {
    const ms_loaded_param *p = &w->params[param];
    ms_weight_shape s = ms_param_weight_shape(p, p->dtype);
    return (ms_weight){.data = p->data,
                       .dtype = p->dtype,
                       .layout = p->decl.layout,
                       .n = s.n,
                       .k = s.c_in * s.kernel_h * s.kernel_w};
}

const float *ms_weights_vector(const ms_weights *w, ms_param param) {
    return w->params[param].data;
}
