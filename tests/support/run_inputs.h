/* What a run needs, drawn and made up into test_dir(): a clip of a talking head and
   its track, other speech, a tiny model. For test programs with MS_DRAW_CLIP_PATH. */
#ifndef MS_TESTS_SUPPORT_RUN_INPUTS_H
#define MS_TESTS_SUPPORT_RUN_INPUTS_H

#include "support/cli.h"
#include "support/run_params.h"

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

/* in.avi and in.jsonl, of a clip in which frames are read one by one, speech of
   more frames in in.wav, model. */
static inline void test_make_job_inputs(int frames, int speech_frames) {
    char line[4096];
    snprintf(line, sizeof(line),
             "%s --seed 5 --frames %d --size 160x144 -o %s --track %s >/dev/null && "
             "%s --seed 5 --frames %d --size 64x64 -o %s --speech %s >/dev/null",
             MS_DRAW_CLIP_PATH, frames, test_file("in.avi"), test_file("in.jsonl"), MS_DRAW_CLIP_PATH,
             speech_frames, test_file("voice.avi"), test_file("in.wav"));
    assert_int_equal(system(line), 0);
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
}

#endif
