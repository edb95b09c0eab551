/* What the engine does for one window: speech, encode, denoise, decode. */
#include <math.h>

#include "base/error.h"
#include "base/philox.h"
#include "engine/engine_internal.h"
#include "pictures/mask.h"

static void step_hook(void *arg, int step) {
    const ms_engine *e = arg;
    ms_engine_tell(e, "denoise", step + 1, e->p.steps);
}

static ms_image_view face_of(const ms_engine *e, const ms_window *w, int64_t frame) {
    size_t bytes = (size_t)e->resolution * (size_t)e->resolution * 3;
    return ms_image_view_rgb(w->faces + (size_t)frame * bytes, e->resolution, e->resolution);
}

/* Latents of a frame and those after it, on the device. */
static float *latents_at(const ms_engine *e, ms_denoise_part which, int64_t frame) {
    const ms_context unet = ms_engine_context(e, UNET);
    return (float *)ms_denoiser_part(e->program->denoiser, &unet, which) +
           frame * e->latent_pixels * e->latent_channels;
}

/* Moments in the VAE's state to latents of frames first .. first + count - 1:
   masked pictures with noise stream 1, whole ones with stream 2. */
static ms_status sample(ms_engine *e, const ms_window *w, bool masked, int64_t first, int64_t count,
                        ms_error *err) {
    const ms_context vae = ms_engine_context(e, VAE);
    for (int64_t i = 0; i < count; i++) {
        e->numbers[i][0] = masked ? MS_NOISE_MASKED : MS_NOISE_REFERENCE;
        e->numbers[i][1] = (uint32_t)(w->first_frame + first + i);
    }
    ms_denoise_part which = masked ? MS_DENOISE_MASKED : MS_DENOISE_REFERENCE;
    return ms_autoencoder_sample(e->program->vae, &vae, (const uint32_t(*)[2])e->numbers, count,
                                 latents_at(e, which, first), err);
}

/* The cache's row of a frame begins with the masked face's moments, the whole one's follow. */
static float *cached(ms_engine *e, int64_t frame, bool masked) {
    return ms_latent_cache_row(e->cache, (int)frame) +
           (masked ? 0 : 2 * e->latent_pixels * e->latent_channels);
}

static size_t moments_bytes(const ms_engine *e) {
    return (size_t)(2 * e->latent_pixels * e->latent_channels) * sizeof(float);
}

/* What was encoded goes into the cache. */
static ms_status keep(ms_engine *e, bool masked, int64_t first, int64_t count, ms_error *err) {
    const ms_context vae = ms_engine_context(e, VAE);
    ms_status status = MS_OK;
    for (int64_t i = 0; i < count && status == MS_OK; i++)
        status = ms_compute_download(&vae.compute, cached(e, e->missing[first + i], masked),
                                     ms_autoencoder_moments(e->program->vae, &vae, i), moments_bytes(e));
    return status == MS_OK ? MS_OK : ms_fail(err, status, "cannot download moments");
}

/* All frames' moments are in the cache by now. */
static ms_status sample_cached(ms_engine *e, const ms_window *w, bool masked, ms_error *err) {
    const ms_context vae = ms_engine_context(e, VAE);
    for (int64_t first = 0; first < w->frames; first += e->program->encode_batch) {
        int64_t count =
            w->frames - first < e->program->encode_batch ? w->frames - first : e->program->encode_batch;
        for (int64_t i = 0; i < count; i++) {
            ms_status status =
                ms_compute_upload(&vae.compute, ms_autoencoder_moments(e->program->vae, &vae, i),
                                  cached(e, first + i, masked), moments_bytes(e));
            if (status != MS_OK)
                return ms_fail(err, status, "cannot upload moments");
        }
        MS_TRY(sample(e, w, masked, first, count, err));
    }
    return MS_OK;
}

/* Faces to sampled latents. Those that the cache has not are encoded; the bits do
   not depend on which share a batch. */
static ms_status encode(ms_engine *e, const ms_window *w, bool masked, ms_error *err) {
    int64_t picture = (int64_t)e->resolution * e->resolution * 3;
    int64_t done = (masked ? 1 : 2) * w->frames - e->n_missing;
    const ms_context context = ms_engine_context(e, VAE);
    ms_engine_tell(e, "encode", done, 2 * w->frames);
    for (int64_t first = 0; first < e->n_missing; first += e->program->encode_batch) {
        int64_t count =
            e->n_missing - first < e->program->encode_batch ? e->n_missing - first : e->program->encode_batch;
        for (int64_t i = 0; i < count; i++) {
            ms_image_view face = face_of(e, w, e->missing[first + i]);
            if (masked)
                ms_face_masked_pixels(&face, e->mask, e->pixels + i * picture);
            else
                ms_face_pixels(&face, e->pixels + i * picture);
        }
        MS_TRY(ms_autoencoder_encode(e->program->vae, &context, e->pixels, count, &e->exec, err));
        if (e->cache)
            MS_TRY(keep(e, masked, first, count, err));
        else /* all are missing, so these are frames in a row */
            MS_TRY(sample(e, w, masked, first, count, err));
        ms_engine_tell(e, "encode", done + first + count, 2 * w->frames);
    }
    return e->cache ? sample_cached(e, w, masked, err) : MS_OK;
}

static ms_status encode_both(ms_engine *e, const ms_window *w, ms_error *err) {
    if (e->cache)
        e->n_missing = ms_latent_cache_begin(e->cache, w->faces, (int)w->frames, e->missing);
    else
        for (e->n_missing = 0; e->n_missing < w->frames; e->n_missing++)
            e->missing[e->n_missing] = e->n_missing;
    MS_TRY(encode(e, w, true, err));
    MS_TRY(encode(e, w, false, err));
    if (e->cache)
        ms_latent_cache_finish(e->cache);
    return MS_OK;
}

/* A value that is no number would become a wrong picture; it is an error instead. */
static ms_status check_finite(const float *pixels, int64_t count, ms_error *err) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(pixels[i]))
            return ms_fail(
                err, MS_BAD_MODEL,
                "the decoded pixels are not finite: the weights do not fit this precision or this input");
    return MS_OK;
}

/* Before the window's faces are encoded: where its latents lie follows from how many frames it has. */
static ms_status prepare(ms_engine *e, const ms_window *w, ms_error *err) {
    size_t arena = 0, state = 0;
    e->program->denoise.frames = w->frames;
    MS_TRY(ms_denoiser_prepare(e->program->denoiser, &e->program->denoise, &arena, &state, err));
    if (arena > e->program->arena_bytes || state > e->program->state_bytes - e->program->vae_state_bytes)
        return ms_fail(err, MS_INTERNAL,
                       "a window of %lld frames needs %zu and %zu bytes, a full one only %zu and %zu",
                       (long long)w->frames, arena, state, e->program->arena_bytes,
                       e->program->state_bytes - e->program->vae_state_bytes);
    return MS_OK;
}

static ms_status denoise(ms_engine *e, ms_error *err) {
    const ms_context context = ms_engine_context(e, UNET);
    const ms_denoise_io io = {.audio = e->audio, .mask = e->latent_mask};
    const ms_denoise_hooks hooks = {.exec = e->exec, .step = step_hook, .arg = e};
    ms_engine_tell(e, "denoise", 0, e->p.steps);
    return ms_denoiser_run(e->program->denoiser, &context, &io, &hooks, err);
}

static ms_status decode(ms_engine *e, const ms_window *w, ms_error *err) {
    int64_t picture = (int64_t)e->resolution * e->resolution * 3;
    const ms_context context = ms_engine_context(e, VAE);
    ms_engine_tell(e, "decode", 0, w->frames);
    for (int64_t first = 0; first < w->frames; first += e->program->decode_batch) {
        int64_t count =
            w->frames - first < e->program->decode_batch ? w->frames - first : e->program->decode_batch;
        MS_TRY(ms_autoencoder_decode(e->program->vae, &context, latents_at(e, MS_DENOISE_LATENTS, first),
                                     count, e->pixels, &e->exec, err));
        MS_TRY(check_finite(e->pixels, count * picture, err));
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
    if (!e->program)
        return ms_fail(err, MS_INTERNAL, "a window without a program");
    if (w->frames < 1 || w->frames > e->window_frames)
        return ms_fail(err, MS_INTERNAL, "a window of %lld frames", (long long)w->frames);
    const ms_context whisper = ms_engine_context(e, WHISPER);
    MS_TRY(at(ms_features_gather(e->features, &whisper, w->first_frame, w->frames, e->audio, err), "audio", w,
              err));
    ms_engine_tell(e, "encode", 0, 2 * w->frames); /* from here on time is this stage's */
    MS_TRY(at(prepare(e, w, err), "denoise", w, err));
    MS_TRY(at(encode_both(e, w, err), "encode", w, err));
    MS_TRY(at(denoise(e, err), "denoise", w, err));
    return at(decode(e, w, err), "decode", w, err);
}
