/* Stage of the speech features. */
#include <string.h>

#include "base/error.h"
#include "frames/speech.h"
#include "stage.h"
#include "stages.h"

typedef struct audio_state {
    stage_files files;
    stage_compute compute;
    ms_model_names model;
    const char *audio;
    double fps;
} audio_state;

static void audio_defaults(void *state) {
    ((audio_state *)state)->fps = 25;
}

typedef struct audio_job {
    ms_model_files files;
    ms_params *params;
    ms_context at;
    ms_speech *speech;
    ms_features *features;
} audio_job;

static void job_free(audio_job *j) {
    ms_features_destroy(&j->features);
    ms_device_free(j->at.compute.dev, j->at.arena);
    ms_weights_destroy(&j->at.weights);
    ms_params_destroy(&j->params);
    ms_speech_close(&j->speech);
    ms_compute_close(&j->at.compute);
}

static ms_status prepare(audio_job *j, const audio_state *s, ms_error *err) {
    size_t arena_bytes = 0;
    if (!s->audio)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--audio FILE is missing");
    MS_TRY(ms_model_files_find(&s->model, MS_PART_WHISPER, &j->files, err));
    MS_TRY(ms_speech_open(&(ms_speech_params){.path = s->audio}, &j->speech, err));
    MS_TRY(stage_open_compute(&s->compute, &j->at.compute, err));
    MS_TRY(ms_params_create(j->at.compute.mem, j->at.compute.dev, &j->params, err));
    MS_TRY(ms_weights_create(&j->at.compute, j->params, &j->at.weights, err));
    ms_features_params params = {.compute = j->at.compute,
                                 .params = j->params,
                                 .config = j->files.whisper_config,
                                 .chunks = {.fps = s->fps,
                                            .left = j->files.unet_config.audio_feat_length[0],
                                            .right = j->files.unet_config.audio_feat_length[1]},
                                 .stats = ms_speech_stats(j->speech),
                                 .source = ms_speech_source(j->speech)};
    MS_TRY(ms_features_create(&params, &j->features, &arena_bytes, err));
    MS_TRY(stage_load(j->at.weights, j->files.whisper, "encoder.conv1.weight", &s->compute, err));
    return ms_device_alloc(j->at.compute.dev, MS_LEDGER_ACTIVATIONS, arena_bytes, "activations", &j->at.arena,
                           err);
}

static ms_status add_mel(audio_job *j, case_output *out, ms_error *err) {
    ms_mel_stats stats = ms_speech_stats(j->speech);
    ms_sample_source source = ms_speech_source(j->speech);
    const int64_t shape[2] = {80, stats.columns};
    ms_log_mel *mel = NULL;
    float *samples = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)stats.samples, sizeof(float));
    float *columns = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)(80 * stats.columns), sizeof(float));
    ms_status status = MS_HOST_MEMORY;
    if (!samples || !columns) {
        ms_fail_alloc(err, NULL, (size_t)stats.samples * sizeof(float), "the log-mel");
        goto fail;
    }
    ms_mel_request r = {.count = stats.columns,
                        .samples = samples,
                        .n_samples = stats.samples,
                        .dst = columns,
                        .column_stride = 1,
                        .bin_stride = stats.columns};
    MS_GOTO(ms_log_mel_create(NULL, j->at.compute.pool, &mel, err));
    MS_GOTO(source.read(source.arg, 0, stats.samples, samples, err));
    MS_GOTO(ms_log_mel_columns(mel, &stats, &r, err));
    status = case_add(out, "out.log_mel", MS_F32, 2, shape, columns, err);
fail:
    ms_log_mel_destroy(&mel);
    ms_mem_free(samples);
    ms_mem_free(columns);
    return status;
}

static ms_status add_features(audio_job *j, case_output *out, ms_error *err) {
    int64_t layers = j->files.whisper_config.n_layer + 1, width = j->files.whisper_config.n_state;
    const int64_t shape[3] = {ms_features_rows(j->features), layers, width};
    float *rows = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)(shape[0] * layers * width), sizeof(float));
    if (!rows)
        return ms_fail_alloc(err, NULL, (size_t)(shape[0] * layers * width) * sizeof(float), "out.features");
    ms_status status = MS_OK;
    for (int64_t i = 0; i < shape[0] && status == MS_OK; i++) {
        const float *row;
        status = ms_features_row(j->features, &j->at, i, &row, err);
        if (status == MS_OK)
            memcpy(rows + i * layers * width, row, (size_t)(layers * width) * sizeof(float));
    }
    if (status == MS_OK)
        status = case_add(out, "out.features", MS_F32, 3, shape, rows, err);
    ms_mem_free(rows);
    return status;
}

static ms_status add_chunks(audio_job *j, const audio_state *s, case_output *out, ms_error *err) {
    ms_chunk_params chunks = {.fps = s->fps,
                              .left = j->files.unet_config.audio_feat_length[0],
                              .right = j->files.unet_config.audio_feat_length[1]};
    int64_t frames = ms_features_frames(j->features), per_frame = ms_chunk_rows(&chunks);
    const int64_t shape[2] = {frames, per_frame};
    int64_t *rows = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)per_frame, sizeof(int64_t));
    int32_t *indices = ms_alloc_array(NULL, MS_LEDGER_GENERAL, (size_t)(frames * per_frame), sizeof(int32_t));
    ms_status status =
        rows && indices ? MS_OK : ms_fail_alloc(err, NULL, (size_t)frames * 40, "out.chunk_indices");
    for (int64_t i = 0; i < frames && status == MS_OK; i++) {
        ms_chunk_indices(&chunks, i, ms_features_rows(j->features), rows);
        for (int64_t k = 0; k < per_frame; k++)
            indices[i * per_frame + k] = (int32_t)rows[k];
    }
    if (status == MS_OK)
        status = case_add(out, "out.chunk_indices", MS_I32, 2, shape, indices, err);
    ms_mem_free(rows);
    ms_mem_free(indices);
    return status;
}

static int audio_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const audio_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    case_output out = {0};
    static audio_job job;
    ms_status status;
    MS_GOTO(prepare(&job, s, &err));
    MS_GOTO(add_mel(&job, &out, &err));
    MS_GOTO(add_features(&job, &out, &err));
    MS_GOTO(add_chunks(&job, s, &out, &err));
fail:
    job_free(&job);
    return stage_finish(&s->files, &out, status, &err);
}

static const cli_option audio_options[] = {
    CLI_GROUP("Options"),
    STAGE_OUT_OPTION(audio_state),
    STAGE_MODEL_OPTION(audio_state),
    {"whisper", 0, CLI_TEXT, offsetof(audio_state, model.whisper), "FILE",
     "Whisper checkpoint in place of the folder's", 0, 0},
    {"config", 0, CLI_TEXT, offsetof(audio_state, model.config), "FILE",
     "UNet config in place of the folder's", 0, 0},
    {"audio", "a", CLI_TEXT, offsetof(audio_state, audio), "FILE", "any file with sound", 0, 0},
    {"fps", "r", CLI_NUMBER, offsetof(audio_state, fps), "X", "video frames a second (default 25)", 0.01,
     1000},
    STAGE_COMPUTE_OPTIONS(audio_state),
};

const cli_command stage_audio_command = {
    .name = "memsafe-stage audio",
    .summary = "Speech: --audio FILE -> out.log_mel, out.features, out.chunk_indices",
    .usage = "--model DIR --audio FILE [--fps X] --out FILE",
    .text = "out.log_mel is [80, columns], out.features [rows, layers + 1, width] at 50 Hz, "
            "out.chunk_indices [frames, rows of a\n"
            "frame].",
    .options = audio_options,
    .n_options = CLI_COUNT(audio_options),
    .state_bytes = sizeof(audio_state),
    .defaults = audio_defaults,
    .run = audio_run,
};
