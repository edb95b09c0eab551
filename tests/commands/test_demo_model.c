/* The demo model on a person and voices that it was not trained on: the drawn truth is
   known, so right and wrong can be measured. docs/demo.md says what else was measured. */
#include "test.h"

#include <math.h>
#include <sys/stat.h>

#include "media/read/video_reader.h"
#include "support/cli.h"
#include "world/espeak.h"
#include "world/talk.h"
#include "world/world.h"

#define SEED 1000003 /* seeds from 1000000 on are not trained on */
#define NEW_SPEECH 1001003
#define OTHER_SPEECH 1002003 /* where mouths to compare with come from */
#define FRAMES 32
#define SIDE 256
#define AROUND 3  /* pixels on each side of one, of a tooth's width */
#define TEETH 0.6 /* correlation of what is narrow between the lips with the drawn */
#define FPS 25
#define CANDIDATES 32
#define NEAREST 3

/* What the model reaches here, less a margin. docs/demo.md has the aims next to
   what was measured on more people. */
#define FOLLOWS 0.965        /* aim 0.85; 0.987 was measured */
#define FOLLOWS_ENGLISH 0.95 /* the same; 0.977 */
#define COPIES 0.12          /* aim 0.2: above what the two speeches have in common; 0.068 and 0.019 */
#define PSNR_DB 28           /* 29.04 was measured at 8 steps */
#define PSNR_DB_ENGLISH 27.5 /* 28.53 */

typedef struct drawn {
    world *w;
    talk old, new, other;
    double follows, psnr_db; /* to be reached */
    uint8_t *rgb, *truth;    /* a frame of scratch; the truth's frames */
} drawn;

static drawn d;
static uint8_t *output; /* the run's frames */
static char run_text[sizeof(test_output)];

static const size_t frame_bytes = (size_t)SIDE * SIDE * 3;

static float draw(int frame, w_mouth mouth, uint8_t *rgb, w_face *ret_face) {
    w_moment now;
    world_moment(d.w, (frame + 0.5) / FPS, &now);
    now.mouth = mouth;
    world_draw(d.w, &now, frame, rgb, ret_face);
    return ret_face->mouth_opening;
}

static w_mouth mouth_at(const speech *said, int frame) {
    return speech_mouth(said, ((float)frame + 0.5f) / FPS);
}

static void read_frames(const char *path, uint8_t *dst) {
    ms_video_reader *reader = NULL;
    ms_error err;
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    assert_ms_ok(ms_video_reader_open(NULL, path, &params, &reader, &err), &err);
    bool got = true;
    for (int i = 0; i < FRAMES; i++) {
        assert_ms_ok(ms_video_reader_read(reader, dst + (size_t)i * frame_bytes, 0, &got, &err), &err);
        assert_true(got);
    }
    ms_video_reader_close(&reader);
}

static talk said(talk_synth synth, uint64_t seed) {
    talk t = {0};
    ms_error err;
    talk_request r = {synth, NULL, seed, d.w->person.voice_turn, (float)FRAMES / FPS};
    assert_ms_ok(talk_create(NULL, &r, &t, &err), &err);
    return t;
}

static int prepare(talk_synth synth) {
    ms_error err;
    char line[1024];
    const char *name = synth == TALK_ESPEAK ? "espeak" : "babble";
    snprintf(line, sizeof(line),
             "%s --seed %d --synth %s --frames %d --size %dx%d -o %s --track %s >/dev/null",
             MS_DRAW_CLIP_PATH, SEED, name, FRAMES, SIDE, SIDE, test_file("in.avi"), test_file("in.jsonl"));
    assert_int_equal(system(line), 0);
    snprintf(line, sizeof(line),
             "%s --seed %d --speech-seed %d --synth %s --frames %d --size 64x64 -o %s --speech %s >/dev/null",
             MS_DRAW_CLIP_PATH, SEED, NEW_SPEECH, name, FRAMES, test_file("new.avi"), test_file("new.wav"));
    assert_int_equal(system(line), 0);
    assert_run_works("run --demo -v --video %s --audio %s --track %s --steps 8 --frames %d --codec ffv1 "
                     "--audio-out none -o %s",
                     test_file("in.avi"), test_file("new.wav"), test_file("in.jsonl"), FRAMES,
                     test_file("out.mkv"));
    memcpy(run_text, test_output, sizeof(run_text));

    output = malloc(FRAMES * frame_bytes);
    d.truth = malloc(FRAMES * frame_bytes);
    d.rgb = malloc(frame_bytes);
    read_frames(test_file("out.mkv"), output);
    assert_ms_ok(world_create(NULL, SEED, SIDE, SIDE, &d.w, &err), &err);
    d.follows = synth == TALK_ESPEAK ? FOLLOWS_ENGLISH : FOLLOWS;
    d.psnr_db = synth == TALK_ESPEAK ? PSNR_DB_ENGLISH : PSNR_DB;
    d.old = said(synth, SEED);
    d.new = said(synth, NEW_SPEECH);
    d.other = said(synth, OTHER_SPEECH);
    for (int i = 0; i < FRAMES; i++) {
        w_face face;
        draw(i, mouth_at(&d.new.said, i), d.truth + (size_t)i * frame_bytes, &face);
    }
    return 0;
}

static int babble(void **state) {
    (void)state;
    return prepare(TALK_BABBLE);
}

static int english(void **state) {
    (void)state;
    if (mkdir(test_dir(), 0700) != 0) /* the first group took it away */
        return -1;
    return prepare(TALK_ESPEAK);
}

static int clean_up(void **state) {
    (void)state;
    talk_free(&d.old);
    talk_free(&d.new);
    talk_free(&d.other);
    world_destroy(&d.w);
    free(d.rgb);
    free(d.truth);
    free(output);
    test_dir_remove();
    return 0;
}

/* A box around the drawn mouth. */
typedef struct box {
    int x0, y0, x1, y1;
} box;

static box mouth_box(const w_face *face) {
    float x = 0, y = 0;
    for (int i = 0; i < W_LIP_OUTER; i++) {
        x += face->lip_outer[i].x / W_LIP_OUTER;
        y += face->lip_outer[i].y / W_LIP_OUTER;
    }
    int w = (int)(face->unit * 0.5f), h = (int)(face->unit * 0.35f);
    return (box){(int)x - w, (int)y - h, (int)x + w, (int)y + h};
}

static double apart(const uint8_t *a, const uint8_t *b, box in) {
    double sum = 0;
    for (int y = in.y0; y < in.y1; y++)
        for (int x = 3 * in.x0; x < 3 * in.x1; x++) {
            double e = a[(size_t)y * SIDE * 3 + (size_t)x] - b[(size_t)y * SIDE * 3 + (size_t)x];
            sum += e * e;
        }
    return sum / (3.0 * (in.x1 - in.x0) * (in.y1 - in.y0));
}

/* The candidates most like a picture, and how far their mouths are open. */
typedef struct likeness {
    double apart[NEAREST];
    float opening[NEAREST];
} likeness;

static void take_candidate(likeness *l, double e, float opening) {
    int at = NEAREST;
    while (at > 0 && e < l->apart[at - 1])
        at--;
    if (at == NEAREST)
        return;
    for (int k = NEAREST - 1; k > at; k--) {
        l->apart[k] = l->apart[k - 1];
        l->opening[k] = l->opening[k - 1];
    }
    l->apart[at] = e;
    l->opening[at] = opening;
}

static float mean_opening(const likeness *l) {
    float sum = 0;
    for (int k = 0; k < NEAREST; k++)
        sum += l->opening[k];
    return sum / NEAREST;
}

/* How far the mouth is open in the truth and in the output: the person is drawn at that moment with mouths
   from another speech, and the most alike ones say it. */
static void read_openings(float *ret_truth, float *ret_found) {
    for (int i = 0; i < FRAMES; i++) {
        likeness truth = {.apart = {1e30, 1e30, 1e30}}, found = truth;
        for (int c = 0; c < CANDIDATES; c++) {
            w_face face;
            float open = draw(i, mouth_at(&d.other.said, c * (FRAMES - 1) / (CANDIDATES - 1)), d.rgb, &face);
            box mouth = mouth_box(&face);
            take_candidate(&truth, apart(d.truth + (size_t)i * frame_bytes, d.rgb, mouth), open);
            take_candidate(&found, apart(output + (size_t)i * frame_bytes, d.rgb, mouth), open);
        }
        ret_truth[i] = mean_opening(&truth);
        ret_found[i] = mean_opening(&found);
    }
}

static double correlation(const float *a, const float *b) {
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < FRAMES; i++) {
        ma += a[i] / (double)FRAMES;
        mb += b[i] / (double)FRAMES;
    }
    for (int i = 0; i < FRAMES; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb + 1e-12);
}

/* ---- tests */

static void the_demo_model_runs_when_asked_for_and_says_so(void **state) {
    (void)state;
    assert_non_null(strstr(run_text, "the demo model, which knows drawn faces only"));
    assert_non_null(strstr(run_text, "fetch-models"));
    assert_int_equal(setenv("MEMSAFE_DEMO_MODEL", test_file("nowhere"), 1), 0);
    assert_run_fails(9, "MEMSAFE_DEMO_MODEL", "run --demo --video %s --audio %s -o %s", test_file("in.avi"),
                     test_file("new.wav"), test_file("none.mkv"));
    unsetenv("MEMSAFE_DEMO_MODEL");
}

static void the_mouth_follows_the_new_speech(void **state) {
    (void)state;
    float new[FRAMES], old[FRAMES], found[FRAMES], of_truth[FRAMES];
    for (int i = 0; i < FRAMES; i++) {
        w_face face;
        new[i] = draw(i, mouth_at(&d.new.said, i), d.rgb, &face);
        old[i] = draw(i, mouth_at(&d.old.said, i), d.rgb, &face);
    }
    read_openings(of_truth, found);
    double sure = correlation(of_truth, new), follows = correlation(found, new),
           copies = correlation(found, old);
    print_message(
        "opening against the new speech %.3f, the old %.3f (these two: %.3f); the measure itself %.3f\n",
        follows, copies, correlation(new, old), sure);
    assert_true(sure > 0.95);
    assert_true(follows > d.follows);
    assert_true(copies - correlation(new, old) < COPIES);
}

static void the_mouth_looks_like_the_drawn_one(void **state) {
    (void)state;
    uint8_t *input = malloc(FRAMES * frame_bytes);
    read_frames(test_file("in.avi"), input);
    double made = 0, unchanged = 0;
    for (int i = 0; i < FRAMES; i++) {
        w_face face;
        draw(i, mouth_at(&d.new.said, i), d.rgb, &face);
        box in = mouth_box(&face);
        made += apart(output + (size_t)i * frame_bytes, d.rgb, in) / FRAMES;
        unchanged += apart(input + (size_t)i * frame_bytes, d.rgb, in) / FRAMES;
    }
    double psnr = 10 * log10(255 * 255 / made), before = 10 * log10(255 * 255 / unchanged);
    print_message("PSNR in the mouth %.2f dB, of the input left alone %.2f dB\n", psnr, before);
    assert_true(psnr > d.psnr_db);
    assert_true(psnr > before);
    free(input);
}

static double luma(const uint8_t *rgb, int x, int y) {
    const uint8_t *p = rgb + ((size_t)y * SIDE + (size_t)x) * 3;
    return p[0] + p[1] + p[2];
}

/* What is narrow from left to right: a pixel less the mean of those around it in
   its row, further than a tooth is wide. */
static double upright(const uint8_t *rgb, int x, int y) {
    double mean = 0;
    for (int i = -AROUND; i <= AROUND; i++)
        mean += luma(rgb, x + i, y) / (2 * AROUND + 1);
    return luma(rgb, x, y) - mean;
}

/* In the middle of the mouths, where gaps between teeth are all that is narrow. A
   bar of one grey has none. */
static void teeth_can_be_told(void **state) {
    (void)state;
    double aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < FRAMES; i++) {
        w_face face;
        draw(i, mouth_at(&d.new.said, i), d.rgb, &face);
        box in = mouth_box(&face);
        int w = (in.x1 - in.x0) / 4, h = (in.y1 - in.y0) / 6;
        for (int y = (in.y0 + in.y1) / 2 - h; y < (in.y0 + in.y1) / 2 + h; y++) {
            for (int x = (in.x0 + in.x1) / 2 - w; x < (in.x0 + in.x1) / 2 + w; x++) {
                double a = upright(output + (size_t)i * frame_bytes, x, y), b = upright(d.rgb, x, y);
                aa += a * a;
                bb += b * b;
                ab += a * b;
            }
        }
    }
    double told = ab / sqrt(aa * bb), strength = sqrt(aa / bb);
    print_message("upright lines between the lips: correlation %.3f, strength %.3f\n", told, strength);
    assert_true(told > TEETH);
}

static void outside_the_face_nothing_changes(void **state) {
    (void)state;
    uint8_t *input = malloc(FRAMES * frame_bytes);
    read_frames(test_file("in.avi"), input);
    for (int i = 0; i < FRAMES; i++) {
        w_face face;
        draw(i, mouth_at(&d.old.said, i), d.rgb, &face);
        int eyes = (int)(face.iris[0].y < face.iris[1].y ? face.iris[0].y : face.iris[1].y);
        assert_memory_equal(output + (size_t)i * frame_bytes, input + (size_t)i * frame_bytes,
                            (size_t)(eyes - (int)face.unit) * SIDE * 3);
    }
    free(input);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_model_runs_when_asked_for_and_says_so),
        cmocka_unit_test(the_mouth_follows_the_new_speech),
        cmocka_unit_test(the_mouth_looks_like_the_drawn_one),
        cmocka_unit_test(teeth_can_be_told),
        cmocka_unit_test(outside_the_face_nothing_changes),
    };
    const struct CMUnitTest again[] = {
        cmocka_unit_test(the_mouth_follows_the_new_speech),
        cmocka_unit_test(the_mouth_looks_like_the_drawn_one),
        cmocka_unit_test(teeth_can_be_told),
    };
    int failed = cmocka_run_group_tests(tests, babble, clean_up);
    if (espeak_built_in())
        failed += cmocka_run_group_tests(again, english, clean_up);
    return failed;
}
