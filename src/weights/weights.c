#include "weights/weights.h"

#include "base/error.h"
#include "weights/weight_stream.h"
#include "weights/weights_internal.h"

ms_status ms_weights_create(const ms_compute *compute, const ms_params *params, ms_weights **ret_weights,
                            ms_error *err) {
    ms_weights *w = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, compute->mem, sizeof(*w), "the weights");
    w->compute = *compute;
    w->params = params;
    *ret_weights = w;
    return MS_OK;
}

void ms_weights_release(ms_weights *w) {
    w->generation++;
    for (int i = 0; i < w->count; i++) {
        if (!w->items[i].streamed)
            ms_device_free(w->compute.dev, w->items[i].data);
        w->items[i].data = NULL;
    }
}

void ms_weights_destroy(ms_weights **weights) {
    if (!weights || !*weights)
        return;
    ms_weights *w = *weights;
    if (w->stream)
        ms_weight_stream_forget(w->stream, w);
    ms_weights_release(w);
    ms_mem_free(w->items);
    ms_mem_free(w);
    *weights = NULL;
}

ms_status ms_weights_follow_params(ms_weights *w, ms_error *err) {
    int count = (int)ms_params_count(w->params);
    if (count > w->capacity) {
        size_t bytes = (size_t)count * sizeof(ms_loaded_param);
        ms_loaded_param *items =
            w->items ? ms_realloc(w->items, bytes) : ms_mem_alloc(w->compute.mem, MS_LEDGER_GENERAL, bytes);
        if (!items)
            return ms_fail_alloc(err, w->compute.mem, bytes, "the weights");
        w->items = items;
        w->capacity = count;
    }
    for (; w->count < count; w->count++)
        w->items[w->count] = (ms_loaded_param){.index = w->count,
                                               .decl = ms_params_decl(w->params, w->count),
                                               .elements = ms_params_part_elements(w->params, w->count)};
    return MS_OK;
}

void ms_weights_unload(ms_weights *w) {
    if (w->stream)
        ms_weight_stream_forget(w->stream, w);
    ms_weights_release(w);
    ms_mem_free(w->items);
    w->items = NULL;
    w->count = w->capacity = 0;
    w->source = (ms_weight_source){0};
}

size_t ms_weights_table_bytes(const ms_params *params) {
    return ms_mem_charged_bytes(ms_params_count(params) * sizeof(ms_loaded_param));
}

uint64_t ms_weights_generation(const ms_weights *w) {
    return w->generation;
}

ms_residency ms_weights_get_residency(const ms_weights *w) {
    return w->residency;
}

uint64_t ms_weights_kept_bytes(const ms_weights *w) {
    return w->kept_bytes;
}

bool ms_weights_is_streamed(const ms_weights *w, ms_param param) {
    return param >= 0 && param < w->count && w->items[param].streamed;
}

bool ms_weights_is_set(const ms_weights *w, ms_param param) {
    return param >= 0 && param < w->count && w->items[param].data;
}

ms_weight ms_weights_matrix(const ms_weights *w, ms_param param) {
    if (param < 0 || param >= w->count)
        return (ms_weight){0};
    const ms_loaded_param *p = &w->items[param];
    ms_weight_shape s = ms_loaded_shape(w, p);
    return (ms_weight){.data = p->data,
                       .dtype = p->dtype,
                       .layout = s.layout,
                       .n = s.n,
                       .k = s.c_in * s.kernel_h * s.kernel_w};
}

const float *ms_weights_vector(const ms_weights *w, ms_param param) {
    return param < 0 || param >= w->count ? NULL : w->items[param].data;
}
