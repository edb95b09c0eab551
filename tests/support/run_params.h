/* Parameters of runs over the files that tests make in test_dir(). */
#ifndef MS_TESTS_SUPPORT_RUN_PARAMS_H
#define MS_TESTS_SUPPORT_RUN_PARAMS_H

#include "memsafe/run.h"
#include "test.h"

/* Lossless, without sound, over a result of before; the output is not set. */
static inline void test_run_params(int frames, ms_run_params *ret_params) {
    static char paths[5][512];
    static const char *const names[5] = {"in.mkv", "in.jsonl", "in.wav", "model", "speed.db"};
    for (int i = 0; i < 5; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s", test_file(names[i]));
    ms_run_params_init(ret_params);
    ret_params->video = paths[0];
    ret_params->track = paths[1];
    ret_params->audio = paths[2];
    ret_params->model = paths[3];
    ret_params->history = paths[4]; /* the machine is measured once */
    ret_params->frames = frames;
    ret_params->resolution = 64;
    ret_params->codec = MS_OUTPUT_FFV1;
    ret_params->audio_output = MS_AUDIO_OUTPUT_NONE;
    ret_params->force = true;
}

/* Of a job that is finished later, with sound, in the working directory: over
   `video` and in.jsonl, in.wav, model. */
static inline ms_run_params test_job_params(const char *video, const char *output, int64_t segment_frames) {
    ms_run_params p;
    ms_run_params_init(&p);
    p.video = video;
    p.audio = "in.wav";
    p.track = "in.jsonl";
    p.model = "model";
    p.output = output;
    p.steps = 1;
    p.guidance = 1;
    p.resolution = 64;
    p.codec = MS_OUTPUT_FFV1;
    p.segment_frames = segment_frames;
    p.resume = true;
    p.history = "speed.db"; /* the machine is measured once */
    return p;
}

#endif
