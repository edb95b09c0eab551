/* Which model a run uses and which encoder, for its report. */
#include <libavcodec/avcodec.h>
#include <stdio.h>
#include <string.h>

#include "job/job_key.h"
#include "run/run_job.h"

static void codec(ms_job *j) {
    ms_video_writer_params w = ms_job_writer_params(j);
    unsigned version = avcodec_version();
    snprintf(j->report.video_codec, sizeof(j->report.video_codec), "%s", ms_video_codec_name(w.codec));
    snprintf(j->report.codec_library, sizeof(j->report.codec_library), "%u.%u.%u", version >> 16,
             version >> 8 & 255, version & 255);
}

/* The parts by the names that the job's key has for them. */
static const struct {
    const char *part, *field;
} parts[] = {{"UNet", "the UNet"},
             {"VAE", "the VAE"},
             {"Whisper", "Whisper"},
             {"face detector", "the face detector"},
             {"landmark net", "the landmark net"}};

#define N_PARTS (int)(sizeof(parts) / sizeof(parts[0]))
_Static_assert(N_PARTS <= MS_RUN_MODEL_FILES, "files of a model have outgrown the report");

void ms_job_describe_model(ms_job *j, const ms_job_key *key) {
    j->report.n_model_files = 0;
    for (int i = 0; i < N_PARTS; i++) {
        for (int k = 0; k < key->n; k++) {
            const char *path = key->field[k].path;
            if (!path || strcmp(key->field[k].name, parts[i].field) != 0)
                continue;
            ms_run_model_file *f = &j->report.model_file[j->report.n_model_files++];
            snprintf(f->part, sizeof(f->part), "%s", parts[i].part);
            snprintf(f->path, sizeof(f->path), "%.*s", (int)sizeof(f->path) - 1, path);
            snprintf(f->identity, sizeof(f->identity), "%s", key->field[k].text);
        }
    }
    codec(j);
}

ms_status ms_job_check_model(const ms_job *j, ms_error *err) {
    for (int i = 0; i < j->report.n_model_files; i++) {
        const ms_run_model_file *f = &j->report.model_file[i];
        if (!ms_job_key_file_is_same(f->identity, f->path))
            return ms_fail(err, MS_IO, "%s (%s) changed while the run was opened: it was %s", f->path,
                           f->part, f->identity);
    }
    return MS_OK;
}
