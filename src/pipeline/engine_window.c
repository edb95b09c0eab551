/* What the engine does for one window: speech, encode, denoise, decode. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "face/mask.h"
#include "pipeline/engine_internal.h"

static void step_hook(void *arg, int step, const float *latents) {
    (void)latents;
    const ms_engine *e = arg;
    ms_engine_tell(e, "denoise", step + 1, e->p.steps);
}

static ms_image_view face_of(const ms_engine *e, const ms_window *w, int64_t frame) {
    size_t bytes = (size_t)e->resolution * (size_t)e->resolution * 3;
    return (ms_image_view){.data = w->faces + (size_t)frame * bytes,
                           .width = e->resolution,
                           .height = e->resolution,
                           .channels = 3,
                           .stride_bytes = (size_t)e->resolution * 3};
}

static void sample(ms_engine *e, const ms_window *w, int64_t frame, bool masked, const float *moments,
                   float *ret_latents) {
    int64_t latent = e->latent_pixels * e->latent_channels;
    ms_noise_normals(e->p.seed, masked ? MS_NOISE_MASKED : MS_NOISE_REFERENCE,
                     (uint32_t)(w->first_frame + frame), 0, (uint64_t)latent, e->normals);
    ms_vae_sample(&e->files.vae_config_values, moments, e->normals, e->latent_pixels,
                  ret_latents + frame * latent);
}

/* The cache's row of a frame begins with the masked face's moments, the whole one's follow. */
static float *cached(ms_engine *e, int64_t frame, bool masked) {
    return ms_latent_cache_row(e->cache, (int)frame) +
           (masked ? 0 : 2 * e->latent_pixels * e->latent_channels);
}

/* Faces to sampled latents: masked pictures with noise stream 1, whole ones with stream 2. Those that the cache has not
   are encoded; the bits do not depend on which share a batch. */
static ms_status encode(ms_engine *e, const ms_window *w, bool masked, float *ret_latents, ms_error *err) {
    int64_t picture = (int64_t)e->resolution * e->resolution * 3,
            moments = 2 * e->latent_pixels * e->latent_channels;
    int64_t done = (masked ? 1 : 2) * w->frames - e->n_missing;
    const ms_context context = ms_engine_context(e, VAE);
    ms_engine_tell(e, "encode", done, 2 * w->frames);
    for (int64_t first = 0; first < e->n_missing; first += e->encode_batch) {
        int64_t count = e->n_missing - first < e->encode_batch ? e->n_missing - first : e->encode_batch;
        for (int64_t i = 0; i < count; i++) {
            ms_image_view face = face_of(e, w, e->missing[first + i]);
            if (masked)
                ms_face_masked_pixels(&face, e->mask, e->pixels + i * picture);
            else
                ms_face_pixels(&face, e->pixels + i * picture);
        }
        MS_TRY(ms_autoencoder_encode(e->vae, &context, e->pixels, count, e->moments, &e->exec, err));
        for (int64_t i = 0; i < count; i++) {
            int64_t frame = e->missing[first + i];
            if (e->cache)
                memcpy(cached(e, frame, masked), e->moments + i * moments, (size_t)moments * sizeof(float));
            else
                sample(e, w, frame, masked, e->moments + i * moments, ret_latents);
        }
        ms_engine_tell(e, "encode", done + first + count, 2 * w->frames);
    }
    for (int64_t i = 0; e->cache && i < w->frames; i++)
        sample(e, w, i, masked, cached(e, i, masked), ret_latents);
    return MS_OK;
}

static ms_status encode_both(ms_engine *e, const ms_window *w, ms_error *err) {
    ms_engine_tell(e, "encode", 0, 2 * w->frames); /* from here on time is this stage's */
    if (e->cache)
        e->n_missing = ms_latent_cache_begin(e->cache, w->faces, (int)w->frames, e->missing);
    else
        for (e->n_missing = 0; e->n_missing < w->frames; e->n_missing++)
            e->missing[e->n_missing] = e->n_missing;
    MS_TRY(encode(e, w, true, e->masked, err));
    MS_TRY(encode(e, w, false, e->reference, err));
    if (e->cache)
        ms_latent_cache_finish(e->cache);
    return MS_OK;
}

/* A value that is no number would become a wrong picture; it is an error instead. */
static ms_status check_finite(const float *values, int64_t count, const char *what, ms_error *err) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return ms_fail(err, MS_BAD_MODEL,
                           "%s are not finite: the weights do not fit this precision or this input", what);
    return MS_OK;
}

/* One frame of start noise, the same for all frames of all windows; in planes as the noise counts, stored as
 * rows. */
static void start_noise(ms_engine *e, int64_t frames) {
    int64_t latent = e->latent_pixels * e->latent_channels;
    ms_noise_normals(e->p.seed, MS_NOISE_START, 0, 0, (uint64_t)latent, e->normals);
    for (int64_t p = 0; p < e->latent_pixels; p++)
        for (int64_t c = 0; c < e->latent_channels; c++)
            e->latents[p * e->latent_channels + c] = e->normals[c * e->latent_pixels + p];
    for (int64_t f = 1; f < frames; f++)
        memcpy(e->latents + f * latent, e->latents, (size_t)latent * sizeof(float));
}

static ms_status denoise(ms_engine *e, const ms_window *w, ms_error *err) {
    const ms_context context = ms_engine_context(e, UNET);
    size_t bytes = 0;
    e->denoise.frames = w->frames;
    MS_TRY(ms_denoiser_prepare(e->denoiser, &e->denoise, &bytes, err));
    if (bytes > e->arena_bytes)
        return ms_fail(err, MS_INTERNAL, "a window of %lld frames needs %zu bytes, a full one only %zu",
                       (long long)w->frames, bytes, e->arena_bytes);
    ms_engine_tell(e, "denoise", 0, e->p.steps);
    start_noise(e, w->frames);
    ms_denoise_io io = {.audio = e->audio,
                        .mask = e->latent_mask,
                        .masked = e->masked,
                        .reference = e->reference,
                        .latents = e->latents};
    ms_denoise_hooks hooks = {.exec = e->exec, .step = step_hook, .arg = e};
    MS_TRY(ms_denoiser_run(e->denoiser, &context, &io, &hooks, err));
    return check_finite(e->latents, w->frames * e->latent_pixels * e->latent_channels,
                        "the denoiser's latents", err);
}

static ms_status decode(ms_engine *e, const ms_window *w, ms_error *err) {
    int64_t picture = (int64_t)e->resolution * e->resolution * 3,
            latent = e->latent_pixels * e->latent_channels;
    const ms_context context = ms_engine_context(e, VAE);
    ms_engine_tell(e, "decode", 0, w->frames);
    for (int64_t first = 0; first < w->frames; first += e->decode_batch) {
        int64_t count = w->frames - first < e->decode_batch ? w->frames - first : e->decode_batch;
        MS_TRY(ms_autoencoder_decode(e->vae, &context, e->latents + first * latent, count, e->pixels,
                                     &e->exec, err));
        MS_TRY(check_finite(e->pixels, count * picture, "the decoded pixels", err));
        for (int64_t i = 0; i < count; i++) {
            ms_image_view face = face_of(e, w, first + i);
            ms_face_paste_surroundings(&face, e->mask, e->pixels + i * picture);
            MS_TRY(w->deliver(w->arg, first + i, e->pixels + i * picture, err));
        }
        ms_engine_tell(e, "decode", first + count, w->frames);
    }
    return MS_OK;
}

static ms_status at(ms_status status, const char *stage, const ms_window *w, ms_error *err) {
    if (status != MS_OK)
        ms_error_where(err, stage, w->first_frame);
    return status;
}

ms_status ms_engine_run_window(ms_engine *e, const ms_window *w, ms_error *err) {
    if (w->frames < 1 || w->frames > e->window_frames)
        return ms_fail(err, MS_INTERNAL, "a window of %lld frames", (long long)w->frames);
    const ms_context whisper = ms_engine_context(e, WHISPER);
    e->last_frames = w->frames;
    MS_TRY(at(ms_features_gather(e->features, &whisper, w->first_frame, w->frames, e->audio, err), "audio", w,
              err));
    MS_TRY(at(encode_both(e, w, err), "encode", w, err));
    MS_TRY(at(denoise(e, w, err), "denoise", w, err));
    return at(decode(e, w, err), "decode", w, err);
}
