/* What a run needs, drawn and made up into test_dir(): a clip of a talking head and its track, other speech, a tiny model. For
 * test programs with MS_DRAW_CLIP_PATH. */
#ifndef MS_TESTS_SUPPORT_RUN_INPUTS_H
#define MS_TESTS_SUPPORT_RUN_INPUTS_H

#include "memsafe/run.h"
#include "support/cli.h"

/* in.mkv, in.jsonl, in.wav, model; size like "240x208". */
static inline void test_make_run_inputs(int frames, const char *size) {
    char line[4096];
    snprintf(line, sizeof(line),
             "%s --seed 3 --frames %d --size %s -o %s --track %s --speech-seed 9 --speech %s >/dev/null",
             MS_DRAW_CLIP_PATH, frames, size, test_file("in.mkv"), test_file("in.jsonl"),
             test_file("in.wav"));
    assert_int_equal(system(line), 0);
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
}

/* Lossless, without sound, over a result of before; the output is not set. */
static inline void test_run_params(int frames, ms_run_params *ret_params) {
    static char paths[4][512];
    static const char *const names[4] = {"in.mkv", "in.jsonl", "in.wav", "model"};
    for (int i = 0; i < 4; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s", test_file(names[i]));
    ms_run_params_init(ret_params);
    ret_params->video = paths[0];
    ret_params->track = paths[1];
    ret_params->audio = paths[2];
    ret_params->model = paths[3];
    ret_params->frames = frames;
    ret_params->codec = MS_OUTPUT_FFV1;
    ret_params->audio_output = MS_AUDIO_OUTPUT_NONE;
    ret_params->force = true;
}

#endif
