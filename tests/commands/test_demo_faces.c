/* The demo model's face nets, run by the command on drawn people that they were
   never trained on: what the model card promises. */
#include "test.h"

#include <stdbool.h>

#include "faces/track_file.h"
#include "support/cli.h"

#define HELD_OUT 1000000 /* seeds from here on were not trained on */
#define FRAMES 8
#define NETS MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static ms_track_reader *open_track(const char *path) {
    ms_track_reader *reader = NULL;
    ms_error err;
    assert_ms_ok(ms_track_reader_open(NULL, path, &reader, &err), &err);
    return reader;
}

static bool next(ms_track_reader *reader, ms_face_record *ret_record) {
    bool got = false;
    ms_error err;
    assert_ms_ok(ms_track_reader_next(reader, ret_record, &got, &err), &err);
    return got;
}

static double overlap(const float a[4], const float b[4]) {
    double w = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
    double h = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    double both = w > 0 && h > 0 ? w * h : 0;
    double all =
        (double)(a[2] - a[0]) * (double)(a[3] - a[1]) + (double)(b[2] - b[0]) * (double)(b[3] - b[1]);
    return both / (all - both);
}

/* Mean distance of the points as a part of the true outline's width. */
static double error_of(const ms_face_record *found, const ms_face_record *truth) {
    double left = INFINITY, right = -INFINITY, sum = 0;
    for (int i = 0; i < MS_LANDMARKS; i++) {
        const float *p = found->landmarks[i], *q = truth->landmarks[i];
        if (i <= 32) {
            left = fmin(left, (double)q[0]);
            right = fmax(right, (double)q[0]);
        }
        sum += hypot((double)p[0] - (double)q[0], (double)p[1] - (double)q[1]);
    }
    return sum / MS_LANDMARKS / (right - left);
}

typedef struct outcome {
    int frames, found;
    double error, worst;
} outcome;

static void judge_clip(int seed, const char *size, outcome *total) {
    char line[1024];
    snprintf(line, sizeof(line), "%s --seed %d --frames %d --size %s -o %s --track %s >/dev/null",
             MS_DRAW_CLIP_PATH, seed, FRAMES, size, test_file("clip.mp4"), test_file("truth.jsonl"));
    assert_int_equal(system(line), 0);
    assert_run_works("detect --video %s --faces %s --max-gap 0 -o %s -y", test_file("clip.mp4"), NETS,
                     test_file("found.jsonl"));
    ms_track_reader *truths = open_track(test_file("truth.jsonl")),
                    *founds = open_track(test_file("found.jsonl"));
    ms_face_record truth, found = {.frame = -1};
    int count = 0;
    for (; next(truths, &truth); count++) {
        while (found.frame < truth.frame && next(founds, &found)) {
        }
        if (found.frame != truth.frame || overlap(found.box, truth.box) < 0.5) {
            print_message("    seed %d at %s, frame %d: not found\n", seed, size, (int)truth.frame);
            continue;
        }
        double error = error_of(&found, &truth);
        total->found++;
        total->error += error;
        total->worst = fmax(total->worst, error);
    }
    assert_int_equal(count, FRAMES);
    total->frames += count;
    ms_track_reader_close(&truths);
    ms_track_reader_close(&founds);
}

static void test_held_out(void **state) {
    (void)state;
    static const char *const sizes[] = {"384x384", "640x360", "360x480", "256x256"};
    outcome total = {0};
    for (int i = 0; i < 16; i++)
        judge_clip(HELD_OUT + 500 + i, sizes[i % 4], &total);
    double recall = (double)total.found / total.frames, error = total.error / total.found;
    print_message(
        "    recall %.4f of %d frames, landmarks %.2f %% of the face's width off (worst frame %.2f %%)\n",
        recall, total.frames, 100 * error, 100 * total.worst);
    assert_true(recall >= 0.99);
    assert_true(error <= 0.03);
}

/* Light without people is no face. */
static void test_nobody(void **state) {
    (void)state;
    char line[1024];
    snprintf(line, sizeof(line),
             "%s --seed %d --frames 3 --size 384x384 -o %s >/dev/null && ffmpeg -loglevel error -y -i %s -vf "
             "crop=96:96:0:0,scale=384:384 %s",
             MS_DRAW_CLIP_PATH, HELD_OUT + 500, test_file("clip.mp4"), test_file("clip.mp4"),
             test_file("corner.mp4"));
    if (system("command -v ffmpeg >/dev/null") != 0)
        skip();
    assert_int_equal(system(line), 0);
    assert_run_fails(8, "no usable face", "detect --video %s --faces %s -o %s -y", test_file("corner.mp4"),
                     NETS, test_file("found.jsonl"));
}

/* As in the official pipeline, faces below 50x80 are left alone: that is the
   reason, and it is said with the size. */
static void test_too_small(void **state) {
    (void)state;
    static const char *const sizes[] = {"160x144", "200x176"};
    static const char format[] = "no usable face in 4 frames: the largest has %dx%d pixels";
    char line[1024];
    int width = 0, height = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof(line), "%s --seed 7 --frames 4 --size %s -o %s >/dev/null", MS_DRAW_CLIP_PATH,
                 sizes[i], test_file("small.mkv"));
        assert_int_equal(system(line), 0);
        int code = test_run("detect --video %s --faces %s -o %s -y", test_file("small.mkv"), NETS,
                            test_file("found.jsonl"));
        assert_int_equal(code, i == 0 ? 8 : 0);
        if (i == 1)
            continue;
        const char *said = strstr(test_output, "no usable face");
        assert_non_null(said);
        assert_int_equal(sscanf(said, format, &width, &height), 2);
        assert_true(width > 40 && height > 60 && (width < 50 || height < 80));
        assert_non_null(strstr(said, "at least 50x80 are needed"));
    }
}

/* Test pictures that the detector was not trained on, as H.264: at most one frame in 200 passes. */
static void test_no_faces(void **state) {
    (void)state;
    static const char *const sources[] = {"testsrc2",  "cellauto=rule=110", "sierpinski",
                                          "pal75bars", "rgbtestsrc",        "yuvtestsrc"};
    static const char *const sizes[] = {"640x360", "384x384", "360x640"};
    char line[1024];
    int frames = 0, passed = 0;
    if (system("command -v ffmpeg >/dev/null") != 0)
        skip();
    for (int i = 0; i < 18; i++) {
        const char *source = sources[i / 3];
        snprintf(line, sizeof(line),
                 "ffmpeg -loglevel error -y -f lavfi -i %s%csize=%s:rate=25 -frames:v 12 -pix_fmt yuv420p %s",
                 source, strchr(source, '=') ? ':' : '=', sizes[i % 3], test_file("none.mp4"));
        assert_int_equal(system(line), 0);
        int code = test_run("detect -i %s --faces %s --max-gap 0 -o %s -y", test_file("none.mp4"), NETS,
                            test_file("found.jsonl"));
        int faces = 0;
        if (code == 0)
            assert_int_equal(sscanf(strstr(test_output, "a face in "), "a face in %d of", &faces), 1);
        else
            assert_int_equal(code, 8);
        if (faces)
            print_message("    %s at %s: %d frames of 12 pass\n", source, sizes[i % 3], faces);
        passed += faces;
        frames += 12;
    }
    print_message("    %d of %d frames without a face pass\n", passed, frames);
    assert_true(200 * passed <= frames);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_held_out), cmocka_unit_test(test_nobody),
                                       cmocka_unit_test(test_too_small), cmocka_unit_test(test_no_faces)};
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
