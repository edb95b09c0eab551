/* The engine's weights: three checkpoints, and which of them stays in memory. */
#include "base/error.h"
#include "pipeline/engine_internal.h"

typedef struct loading {
    ms_engine *e;
    size_t bytes; /* of this part */
} loading;

static ms_status tell_loaded(void *arg, double done) {
    const loading *l = arg;
    ms_engine *e = l->e;
    ms_engine_tell(e, "load", (int64_t)((double)e->read_bytes + done * (double)l->bytes),
                   (int64_t)e->to_read_bytes);
    return e->hooks.poll ? e->hooks.poll(e->hooks.arg) : MS_OK;
}

static ms_status open_file(ms_engine *e, int which, const char **ret_prefix, ms_error *err) {
    static const char *const known[PARTS] = {
        [WHISPER] = "encoder.conv1.weight", [VAE] = "decoder.conv_in.weight", [UNET] = "conv_in.weight"};
    const char *const path[PARTS] = {
        [WHISPER] = e->files.whisper, [VAE] = e->files.vae, [UNET] = e->files.unet};
    part *x = &e->part[which];
    if (x->file || e->p.random_weights)
        return MS_OK;
    return ms_checkpoint_open(e->p.compute.mem, path[which], known[which], &x->file, ret_prefix, err);
}

/* What of a part will be read. All of it at first: what will be streamed is checked. */
static size_t bytes_to_read(const ms_engine *e, int which, ms_residency residency) {
    const ms_params *params = e->part[which].params;
    if (!e->loaded)
        return ms_params_bytes(params, e->p.precision);
    size_t had = ms_params_resident_bytes(params, e->p.precision, e->residency),
           wanted = ms_params_resident_bytes(params, e->p.precision, residency);
    return wanted > had ? wanted - had : 0;
}

static ms_status load(ms_engine *e, int which, ms_residency residency, ms_error *err) {
    part *x = &e->part[which];
    loading l = {.e = e, .bytes = bytes_to_read(e, which, residency)};
    ms_weights_load_params params = {
        .precision = e->p.precision, .pool = e->p.compute.pool, .progress = tell_loaded, .arg = &l};
    if (l.bytes || residency != MS_ALL_RESIDENT)
        MS_TRY(open_file(e, which, &params.prefix, err));
    if (e->loaded)
        MS_TRY(ms_weights_set_residency(x->weights, x->file, residency, &params, err));
    else if (e->p.random_weights)
        MS_TRY(ms_weights_randomize(x->weights, 1, residency, e->p.precision, e->p.compute.pool, err));
    else
        MS_TRY(ms_weights_load(x->weights, x->file, residency, &params, err));
    e->read_bytes += l.bytes;
    return MS_OK;
}

/* Back to what was there before a part failed. Only reading fails, so the others only have to drop what they read. */
static void undo(ms_engine *e, int parts) {
    const ms_weights_load_params nothing = {.precision = e->p.precision};
    for (int i = 0; i < parts; i++) {
        if (e->loaded)
            ms_weights_set_residency(e->part[i].weights, e->part[i].file, e->residency, &nothing, NULL);
        else
            ms_weights_unload(e->part[i].weights);
    }
}

static void close_files(ms_engine *e) {
    for (int i = 0; i < PARTS; i++)
        if (!e->loaded || e->residency == MS_ALL_RESIDENT)
            ms_tensor_file_close(&e->part[i].file);
}

ms_status ms_engine_load_weights(ms_engine *e, ms_residency residency, ms_error *err) {
    ms_status status = MS_OK;
    if (e->loaded && residency == e->residency)
        return MS_OK;
    e->to_read_bytes = e->read_bytes = 0;
    for (int i = 0; i < PARTS; i++)
        e->to_read_bytes += bytes_to_read(e, i, residency);
    for (int i = 0; i < PARTS && status == MS_OK; i++) {
        status = load(e, i, residency, err);
        if (status != MS_OK)
            undo(e, i);
    }
    if (status == MS_OK) {
        e->loaded = true;
        e->residency = residency;
    }
    close_files(e);
    return status;
}

uint64_t ms_engine_kept_bytes(const ms_engine *e) {
    uint64_t sum = 0;
    for (int i = 0; i < PARTS; i++)
        sum += ms_weights_kept_bytes(e->part[i].weights);
    return sum;
}
