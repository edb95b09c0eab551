/* The engine's weights: three checkpoints, and which of them stays in memory. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "engine/engine_internal.h"

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

static bool same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file that is opened again must be the one that the weights are from: half of another model would be a wrong picture. */
static ms_status open_file(ms_engine *e, int which, ms_error *err) {
    static const char *const known[PARTS] = {
        [WHISPER] = "encoder.conv1.weight", [VAE] = "decoder.conv_in.weight", [UNET] = "conv_in.weight"};
    const char *const paths[PARTS] = {
        [WHISPER] = e->files.whisper, [VAE] = e->files.vae, [UNET] = e->files.unet};
    const char *path = paths[which];
    part *x = &e->part[which];
    struct stat now;
    if (x->file || e->p.random_weights)
        return MS_OK;
    MS_TRY(ms_checkpoint_open(e->p.compute.mem, path, known[which], &x->file, &x->prefix, err));
    if (stat(path, &now) != 0)
        return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
    if (e->loaded && !same(&now, &x->opened))
        return ms_fail(err, MS_IO, "%s changed while its weights were in use", path);
    x->opened = now;
    return MS_OK;
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
    const ms_weights_load_params params = {.precision = e->p.precision,
                                           .prefix = x->prefix,
                                           .pool = e->p.compute.pool,
                                           .progress = tell_loaded,
                                           .arg = &l};
    if (e->loaded)
        MS_TRY(ms_weights_set_residency(x->weights, x->file, residency, &params, err));
    else if (e->p.random_weights)
        MS_TRY(ms_weights_randomize(x->weights, 1, residency, e->p.precision, e->p.compute.pool, err));
    else
        MS_TRY(ms_weights_load(x->weights, x->file, residency, &params, err));
    e->read_bytes += l.bytes;
    return MS_OK;
}

/* Back to what was there before a part failed. Files are open by then and streaming more cannot fail, so more was to stay, and the
   others only drop what they read. */
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
    for (int i = 0; i < PARTS && status == MS_OK; i++)
        if (bytes_to_read(e, i, residency) || residency != MS_ALL_RESIDENT)
            status = open_file(e, i, err);
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
