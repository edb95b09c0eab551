#include "run/inputs/key.h"

#include <libavcodec/version.h>

#include "base/error.h"
#include "job/journal.h"
#include "memsafe/version.h"
#include "planner/run_policy.h"

static ms_status add_files(const ms_inputs *in, ms_job_key *key, ms_error *err) {
    const ms_run_params *p = in->p;
    const struct {
        const char *name, *path;
    } inputs[] = {{"the video", p->video}, {"the audio", p->audio}, {"the track file", p->track}},
      models[] = {{"the UNet's config", in->files->config},
                  {"the VAE's config", in->files->vae_config},
                  {"the UNet", in->files->unet},
                  {"the VAE", in->files->vae},
                  {"Whisper", in->files->whisper},
                  {"the face detector", p->track ? NULL : in->files->detector},
                  {"the landmark net", p->track ? NULL : in->files->landmarks}};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
        MS_TRY(ms_job_key_add_file(key, inputs[i].name, inputs[i].path, err));
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        MS_TRY(ms_job_key_add_model(key, models[i].name, models[i].path, p->cancelled, p->arg, err));
    return MS_OK;
}

/* To the microsecond, as people write it. */
static void add_time(ms_job_key *key, const char *name, int64_t us, const char *none) {
    if (us)
        ms_job_key_add(key, name, "%.15g s", (double)us / 1e6);
    else
        ms_job_key_add(key, name, "%s", none);
}

ms_status ms_inputs_make_key(const ms_inputs *in, const ms_inputs_key *beside, ms_job_key *key,
                             ms_error *err) {
    static const char *const codecs[] = {
        [MS_OUTPUT_H264] = "h264", [MS_OUTPUT_HEVC] = "hevc", [MS_OUTPUT_FFV1] = "ffv1"};
    static const char *const loops[] = {[MS_LOOP_MODE_PINGPONG] = "pingpong",
                                        [MS_LOOP_MODE_REPEAT] = "repeat",
                                        [MS_LOOP_MODE_HOLD] = "hold",
                                        [MS_LOOP_MODE_NONE] = "none"};
    static const char *const sounds[] = {[MS_AUDIO_OUTPUT_ORIGINAL] = "original",
                                         [MS_AUDIO_OUTPUT_SPEECH] = "speech",
                                         [MS_AUDIO_OUTPUT_NONE] = "none"};
    const ms_run_params *p = in->p;
    const ms_unet_config *unet = &in->files->unet_config;
    key->n = 0;
    ms_job_key_add(key, "memsafe", "%s", MS_VERSION_TEXT);
    ms_job_key_add(key, "libavcodec", "%d", LIBAVCODEC_VERSION_INT);
    ms_job_key_add(key, "arithmetic", "%s", beside->arithmetic);
    ms_job_key_add(key, "seed", "%llu", (unsigned long long)p->seed);
    ms_job_key_add(key, "steps", "%d", p->steps);
    ms_job_key_add(key, "guidance", "%.17g", p->guidance);
    ms_job_key_add(key, "deepcache", "%s", p->deepcache ? "on" : "off");
    ms_job_key_add(key, "resolution", "%d", ms_inputs_resolution(in));
    ms_job_key_add(key, "paste", "%s", ms_paste_name(p->paste));
    ms_job_key_add(key, "allow-downscale", "%s", p->allow_downscale ? "on" : "off");
    ms_job_key_add(key, "precision", "%s", ms_dtype_name(beside->precision));
    ms_job_key_add(key, "face", "%d", p->face);
    ms_job_key_add(key, "max-gap", "%d", p->max_gap);
    ms_job_key_add(key, "fps", "%d/%d", p->fps_num, p->fps_den);
    ms_job_key_add(key, "loop", "%s", loops[p->loop]);
    ms_job_key_add(key, "frames", "%lld", (long long)p->frames);
    add_time(key, "start", p->start_us, "0 s");
    add_time(key, "duration", p->duration_us, "no end");
    ms_job_key_add(key, "rest", "%s", p->rest == MS_REST_KEEP ? "keep" : "cut");
    ms_job_key_add(key, "preview", "%lld", (long long)in->preview_frames);
    add_time(key, "audio-start", p->audio_start_us, "0 s");
    ms_job_key_add(key, "codec", "%s", codecs[p->codec]);
    ms_job_key_add(key, "crf", "%d", p->crf);
    ms_job_key_add(key, "audio-out", "%s", sounds[p->audio_output]);
    ms_job_key_add(key, "tonemap", "%s", p->tonemap ? "on" : "off");
    ms_job_key_add(key, "metadata", "%s", p->no_metadata ? "off" : "on");
    ms_job_key_add(key, "segment", "%lld", (long long)beside->segment_frames);
    ms_job_key_add(key, "latent-cache", "%s", p->latent_cache == MS_LATENT_CACHE_LOSSY ? "lossy" : "exact");
    ms_job_key_add(key, "window", "%d", unet->num_frames);
    ms_job_key_add(key, "audio rows", "%d+%d", unet->audio_feat_length[0], unet->audio_feat_length[1]);
    return add_files(in, key, err);
}

/* ---- precision ---- */

/* What is wrong with the folder is told when the job is opened. */
static ms_precision read_precision(const ms_run_params *p, ms_mem *mem, const ms_job_folder *folder) {
    const ms_journal_params params = {.mem = mem, .folder = folder, .cancelled = p->cancelled, .arg = p->arg};
    ms_journal *journal = NULL;
    char name[16] = "";
    bool begun;
    if (ms_job_folder_has(folder, MS_JOURNAL_NAME) &&
        ms_journal_open(&params, &journal, &begun, NULL) == MS_OK && begun)
        ms_journal_get_field(journal, "precision", name, sizeof(name), NULL);
    ms_journal_close(&journal);
    return ms_precision_of(name);
}

ms_precision ms_inputs_precision(const ms_run_params *p, ms_mem *mem) {
    const bool goes_on = p->resume || p->work == MS_RUN_WORK_PART || p->work == MS_RUN_WORK_JOIN;
    ms_precision precision = p->precision;
    ms_job_folder folder;
    bool there = false;
    if (precision != MS_PRECISION_AUTO || !p->output || !goes_on ||
        ms_job_folder_find(&folder, p->output, &there, NULL) != MS_OK)
        return precision;
    if (there)
        precision = read_precision(p, mem, &folder);
    ms_job_folder_close(&folder);
    return precision;
}
