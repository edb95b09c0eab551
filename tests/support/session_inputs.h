/* What tests of sessions have in common: a drawn clip, its faces and its speech as a program has them, and
   what a run makes of it. */
#ifndef MS_TESTS_SUPPORT_SESSION_INPUTS_H
#define MS_TESTS_SUPPORT_SESSION_INPUTS_H

#include "base/error.h"
#include "faces/track_file.h"
#include "media/read/audio_reader.h"
#include "media/read/video_reader.h"
#include "memsafe/session.h"
#include "support/media/drawn.h"
#include "support/run_inputs.h"

#define FRAMES 40 /* two windows and a short one */
#define WIDTH 240
#define HEIGHT 208
#define BYTES ((size_t)WIDTH * HEIGHT * 3)
#define RESOLUTION 64 /* of faces; less than the model's own, for it takes as much less time */
#define MAX_SAMPLES 200000

static ms_run_params params;
static uint8_t *clip; /* [FRAMES][HEIGHT][WIDTH][3] */
static ms_face_record record[FRAMES];
static float speech[MAX_SAMPLES];
static int64_t n_speech;
static uint64_t expected[FRAMES]; /* hashes of what a run makes of it */

static inline ms_status note_frame(void *arg, int64_t frame, const uint8_t *rgb, int width, int height) {
    uint64_t *hashes = arg;
    assert_true(frame < FRAMES && width == WIDTH && height == HEIGHT);
    hashes[frame] = test_fnv1a(rgb, BYTES);
    return MS_OK;
}

static inline void read_clip(void) {
    ms_video_reader *reader = NULL;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    ms_error err;
    bool got = true;
    clip = malloc(FRAMES * BYTES);
    assert_ms_ok(ms_video_reader_open(NULL, params.video, &p, &reader, &err), &err);
    for (int i = 0; i < FRAMES; i++) {
        assert_ms_ok(ms_video_reader_read(reader, clip + (size_t)i * BYTES, 0, &got, &err), &err);
        assert_true(got);
    }
    ms_video_reader_close(&reader);
}

static inline void read_track(void) {
    ms_track_reader *reader = NULL;
    ms_face_record r;
    ms_error err;
    bool got = true;
    assert_ms_ok(ms_track_reader_open(NULL, params.track, &reader, &err), &err);
    for (;;) {
        assert_ms_ok(ms_track_reader_next(reader, &r, &got, &err), &err);
        if (!got)
            break;
        r.present = true;
        record[r.frame] = r;
    }
    ms_track_reader_close(&reader);
}

static inline void read_speech(void) {
    ms_audio_reader *reader = NULL;
    ms_audio_reader_params p = MS_AUDIO_READER_DEFAULTS;
    ms_error err;
    assert_ms_ok(ms_audio_reader_open(NULL, params.audio, &p, &reader, &err), &err);
    assert_ms_ok(ms_audio_reader_read(reader, speech, MAX_SAMPLES, &n_speech, &err), &err);
    assert_true(n_speech > 16000 && n_speech < MAX_SAMPLES);
    ms_audio_reader_close(&reader);
}

static inline int test_prepare_session(void **state) {
    (void)state;
    ms_error err;
    test_make_run_inputs(FRAMES, "240x208");
    test_run_params(FRAMES, &params);
    params.steps = 2;
    params.resolution = RESOLUTION;
    params.loop = MS_LOOP_MODE_NONE;
    params.frame_sink = note_frame;
    params.sink_arg = expected;
    assert_ms_ok(ms_run(&params, NULL, &err), &err);
    read_clip();
    read_track();
    read_speech();
    return 0;
}

static inline int test_clean_session(void **state) {
    (void)state;
    free(clip);
    test_dir_remove();
    return 0;
}

static inline ms_model *open_model(size_t budget_bytes) {
    ms_model *model = NULL;
    ms_model_params p;
    ms_error err;
    ms_model_params_init(&p);
    p.model = params.model;
    p.budget_bytes = budget_bytes;
    p.threads = 2;
    assert_ms_ok(ms_model_open(&p, &model, &err), &err);
    return model;
}

static inline ms_session_params session_params(ms_model *model) {
    ms_session_params p;
    ms_session_params_init(&p);
    p.model = model;
    p.width = WIDTH;
    p.height = HEIGHT;
    p.given_faces = true;
    p.resolution = RESOLUTION;
    p.steps = 2;
    p.speech_s = 10;
    return p;
}

/* On failure nothing is left. */
static inline ms_status open_session(const ms_session_params *p, ms_session **ret_session, ms_error *err) {
    ms_session *s = NULL;
    MS_TRY(ms_session_create(p, &s, err));
    ms_status status = ms_session_open(s, err);
    if (status == MS_OK)
        *ret_session = s;
    else
        ms_session_destroy(&s);
    return status;
}

static inline ms_session_frame frame_of(int i) {
    return (ms_session_frame){.pixels = clip + (size_t)i * BYTES,
                              .landmarks = record[i].present ? (const float(*)[2])record[i].landmarks : NULL};
}

static inline ms_status push_speech(ms_session *s, int64_t piece, ms_error *err) {
    for (int64_t at = 0; at < n_speech; at += piece)
        MS_TRY(ms_session_push_speech(s, speech + at, at + piece < n_speech ? piece : n_speech - at, err));
    return ms_session_end_speech(s, err);
}

/* All frames through a session: hashes of those that come out, in order. */
static inline ms_status pass(const ms_session_params *p, uint64_t hashes[FRAMES], ms_session_info *ret_info,
                             ms_error *err) {
    ms_session *s = NULL;
    ms_session_frame out;
    int pushed = 0, pulled = 0;
    ms_status status = open_session(p, &s, err);
    if (status == MS_OK)
        status = push_speech(s, 1001, err);
    while (status == MS_OK && !ms_session_ended(s)) {
        bool taken = true, got = true;
        while (status == MS_OK && taken && pushed < FRAMES) {
            ms_session_frame in = frame_of(pushed);
            status = ms_session_push(s, &in, &taken, err);
            pushed += status == MS_OK && taken;
        }
        if (status == MS_OK && pushed == FRAMES)
            status = ms_session_end(s, err);
        while (status == MS_OK && got) {
            status = ms_session_pull(s, &out, &got, err);
            if (status == MS_OK && got) {
                assert_true(out.number == pulled && out.stride_bytes == WIDTH * 3 && !out.landmarks);
                hashes[pulled++] = test_fnv1a(out.pixels, BYTES);
            }
        }
    }
    if (status == MS_OK) {
        assert_int_equal(pulled, FRAMES);
        if (ret_info)
            ms_session_get_info(s, ret_info);
    }
    ms_session_destroy(&s);
    assert_null(s);
    return status;
}

static inline void check_frames(const uint64_t hashes[FRAMES]) {
    for (int i = 0; i < FRAMES; i++)
        if (hashes[i] != expected[i])
            fail_msg("frame %d is another", i);
}

#endif
