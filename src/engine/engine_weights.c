/* Three checkpoints, and what of them stays in memory. */
#include "base/error.h"
#include "engine/engine_internal.h"

typedef struct loading {
    const ms_engine_hooks *hooks;
    size_t to_read_bytes, read_bytes;
    size_t bytes; /* of this part */
} loading;

static ms_status tell_loaded(void *arg, double done) {
    const loading *l = arg;
    const ms_engine_hooks *hooks = l->hooks;
    if (hooks->stage)
        hooks->stage(hooks->arg, "load", (int64_t)((double)l->read_bytes + done * (double)l->bytes),
                     (int64_t)l->to_read_bytes);
    return hooks->poll ? hooks->poll(hooks->arg) : MS_OK;
}

ms_status ms_engine_weights_create(const ms_engine_weights_params *params, ms_engine_weights **ret_weights,
                                   ms_error *err) {
    ms_mem *mem = params->compute.mem;
    ms_engine_weights *w = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, mem, sizeof(*w), "the weights");
    w->p = *params;
    w->files = *params->files;
    ms_status status = MS_OK;
    for (int i = 0; i < PARTS && status == MS_OK; i++) {
        part *x = &w->part[i];
        status = ms_params_create(mem, params->compute.dev, &x->params, err);
        if (status == MS_OK)
            status = ms_weights_create(&w->p.compute, x->params, &x->weights, err);
    }
    if (status != MS_OK) {
        ms_engine_weights_destroy(&w);
        return status;
    }
    *ret_weights = w;
    return MS_OK;
}

void ms_engine_weights_destroy(ms_engine_weights **weights) {
    if (!weights || !*weights)
        return;
    ms_engine_weights *w = *weights;
    for (int i = 0; i < PARTS; i++) {
        ms_weights_destroy(&w->part[i].weights);
        ms_tensor_file_close(&w->part[i].file);
        ms_params_destroy(&w->part[i].params);
    }
    ms_mem_free(w);
    *weights = NULL;
}

void ms_engine_weights_unload(ms_engine_weights *w) {
    for (int i = 0; i < PARTS; i++) {
        ms_weights_unload(w->part[i].weights);
        ms_tensor_file_close(&w->part[i].file);
    }
    w->loaded = false;
}

bool ms_engine_weights_loaded(const ms_engine_weights *w) {
    return w->loaded;
}

size_t ms_engine_weights_own_bytes(const ms_engine_weights *w) {
    size_t sum = 0;
    for (int i = 0; i < PARTS; i++)
        sum += ms_params_own_bytes(w->part[i].params);
    return sum;
}

ms_engine_weights_memory ms_engine_weights_get_memory(const ms_engine_weights *w) {
    ms_engine_weights_memory m = {.host_bytes = ms_engine_weights_own_bytes(w)};
    for (int i = 0; i < PARTS && w->loaded; i++) {
        m.host_bytes += ms_weights_table_bytes(w->part[i].params);
        m.weight_bytes += ms_params_held_bytes(w->part[i].params, w->p.precision, w->residency);
    }
    return m;
}

static const char *path_of(const ms_engine_weights *w, int which) {
    const char *const paths[PARTS] = {
        [WHISPER] = w->files.whisper, [VAE] = w->files.vae, [UNET] = w->files.unet};
    return paths[which];
}

/* A file that is opened again must be the one that the weights are from: half of
   another model would be a wrong picture. */
static ms_status open_file(ms_engine_weights *w, int which, ms_error *err) {
    static const char *const known[PARTS] = {
        [WHISPER] = "encoder.conv1.weight", [VAE] = "decoder.conv_in.weight", [UNET] = "conv_in.weight"};
    part *x = &w->part[which];
    if (x->file || w->p.random)
        return MS_OK;
    MS_TRY(ms_checkpoint_open(w->p.compute.mem, path_of(w, which), known[which], &x->file, &x->prefix, err));
    return ms_known_file_look(&x->opened, path_of(w, which), "weights", err);
}

ms_status ms_engine_weights_check_files(ms_engine_weights *w, ms_error *err) {
    for (int i = 0; i < PARTS; i++)
        if (w->part[i].opened.known)
            MS_TRY(ms_known_file_look(&w->part[i].opened, path_of(w, i), "weights", err));
    return MS_OK;
}

/* What of a part will be read. All of it at first: what will be streamed is checked. */
static size_t bytes_to_read(const ms_engine_weights *w, int which, ms_residency residency) {
    const ms_params *params = w->part[which].params;
    if (!w->loaded)
        return ms_params_bytes(params, w->p.precision);
    size_t had = ms_params_resident_bytes(params, w->p.precision, w->residency),
           wanted = ms_params_resident_bytes(params, w->p.precision, residency);
    return wanted > had ? wanted - had : 0;
}

static ms_status load(ms_engine_weights *w, int which, ms_residency residency, loading *l, ms_error *err) {
    part *x = &w->part[which];
    l->bytes = bytes_to_read(w, which, residency);
    const ms_weights_load_params params = {.precision = w->p.precision,
                                           .prefix = x->prefix,
                                           .pool = w->p.compute.pool,
                                           .progress = tell_loaded,
                                           .arg = l};
    if (w->loaded)
        MS_TRY(ms_weights_set_residency(x->weights, x->file, residency, &params, err));
    else if (w->p.random)
        MS_TRY(ms_weights_randomize(x->weights, 1, residency, w->p.precision, w->p.compute.pool, err));
    else
        MS_TRY(ms_weights_load(x->weights, x->file, residency, &params, err));
    l->read_bytes += l->bytes;
    return MS_OK;
}

/* Back to what was there before a part failed. Files are open by then and streaming
   more cannot fail, so more was to stay, and the others only drop what they read. */
static void undo(ms_engine_weights *w, int parts) {
    const ms_weights_load_params nothing = {.precision = w->p.precision};
    for (int i = 0; i < parts; i++) {
        if (w->loaded)
            ms_weights_set_residency(w->part[i].weights, w->part[i].file, w->residency, &nothing, NULL);
        else
            ms_weights_unload(w->part[i].weights);
    }
}

static void close_files(ms_engine_weights *w) {
    for (int i = 0; i < PARTS; i++)
        if (!w->loaded || w->residency == MS_ALL_RESIDENT)
            ms_tensor_file_close(&w->part[i].file);
}

void ms_engine_weights_rest(ms_engine_weights *w) {
    for (int i = 0; i < PARTS; i++)
        ms_tensor_file_close(&w->part[i].file);
    w->rested = true;
}

ms_status ms_engine_weights_load(ms_engine_weights *w, ms_residency residency, const ms_engine_hooks *hooks,
                                 ms_error *err) {
    ms_status status = MS_OK;
    loading l = {.hooks = hooks};
    if (w->loaded && residency == w->residency && !w->rested)
        return MS_OK;
    for (int i = 0; i < PARTS; i++)
        l.to_read_bytes += bytes_to_read(w, i, residency);
    for (int i = 0; i < PARTS && status == MS_OK; i++)
        if (bytes_to_read(w, i, residency) || residency != MS_ALL_RESIDENT)
            status = open_file(w, i, err);
    for (int i = 0; i < PARTS && status == MS_OK; i++) {
        status = load(w, i, residency, &l, err);
        if (status != MS_OK)
            undo(w, i);
    }
    if (status == MS_OK) {
        w->loaded = true;
        w->rested = false;
        w->residency = residency;
    }
    close_files(w);
    return status;
}

uint64_t ms_engine_weights_kept_bytes(const ms_engine_weights *w) {
    uint64_t sum = 0;
    for (int i = 0; i < PARTS; i++)
        sum += ms_weights_kept_bytes(w->part[i].weights);
    return sum;
}
