/* Which model a run uses and which encoder, for its report. */
#include <libavcodec/avcodec.h>
#include <stdio.h>

#include "pipeline/job_key.h"
#include "pipeline/run_job.h"

static void codec(ms_job *j) {
    ms_video_writer_params w = ms_job_writer_params(j);
    unsigned version = avcodec_version();
    snprintf(j->report.video_codec, sizeof(j->report.video_codec), "%s", ms_video_codec_name(w.codec));
    snprintf(j->report.codec_library, sizeof(j->report.codec_library), "%u.%u.%u", version >> 16,
             version >> 8 & 255, version & 255);
}

ms_status ms_job_describe_model(ms_job *j, ms_error *err) {
    const struct {
        const char *part, *path;
    } files[MS_RUN_MODEL_FILES] = {{"UNet", j->files.unet},
                                   {"VAE", j->files.vae},
                                   {"Whisper", j->files.whisper},
                                   {"face detector", j->files.detector},
                                   {"landmark net", j->files.landmarks}};
    ms_job_key *key = ms_calloc(j->mem, MS_LEDGER_GENERAL, 1, sizeof(*key));
    ms_status status = MS_OK;
    if (!key)
        return ms_fail_alloc(err, j->mem, sizeof(*key), "the model's description");
    for (int i = 0; status == MS_OK && i < MS_RUN_MODEL_FILES; i++) {
        if (!files[i].path[0] || (j->p->track && i >= 3)) /* faces come from the track */
            continue;
        status = ms_job_key_add_file(key, files[i].part, files[i].path, err);
        if (status != MS_OK)
            break;
        ms_run_model_file *f = &j->report.model_file[j->report.n_model_files++];
        snprintf(f->part, sizeof(f->part), "%s", files[i].part);
        snprintf(f->path, sizeof(f->path), "%.*s", (int)sizeof(f->path) - 1, files[i].path);
        snprintf(f->identity, sizeof(f->identity), "%s", key->field[key->n - 1].text);
    }
    ms_free(key);
    codec(j);
    return status;
}
