/* Parameters that are all right but for their files, which are nowhere. */
#ifndef MS_TESTS_SUPPORT_NOWHERE_H
#define MS_TESTS_SUPPORT_NOWHERE_H

#include "memsafe/memsafe.h"

static inline ms_run_params run_params(void) {
    ms_run_params p;
    ms_run_params_init(&p);
    p.video = "/nowhere/video.mp4";
    p.audio = "/nowhere/speech.wav";
    p.output = "/nowhere/output.mp4";
    p.model = "/nowhere";
    return p;
}

static inline ms_detect_params detect_params(void) {
    ms_detect_params p;
    ms_detect_params_init(&p);
    p.video = "/nowhere/video.mp4";
    p.output = "/nowhere/track.jsonl";
    p.model = "/nowhere";
    return p;
}

#endif
