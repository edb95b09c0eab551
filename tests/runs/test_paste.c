/* --paste mouth: a run's frames against the clip's own. Above the eyes nothing may
   differ, the mouth must, and as it does when the whole face is pasted. */
#include "test.h"

#include "media/read/video_reader.h"
#include "support/media/drawn.h"
#include "support/run_inputs.h"

#define FRAMES 5
#define WIDTH 240
#define HEIGHT 208
#define FRAME_BYTES ((size_t)WIDTH * HEIGHT * 3)

static uint8_t *clip, *face, *mouth, *spare; /* [FRAMES][HEIGHT][WIDTH][3] */
static int eyes_y[FRAMES], lips[FRAMES][2];  /* rows of the upper pupil, and where the lips meet */

/* Point n of a line of the track. */
static void point_of(const char *line, int n, int ret_point[2]) {
    const char *at = strstr(line, "\"landmarks106\":[");
    assert_non_null(at);
    at = strchr(at, '[');
    for (int i = 0; i <= n; i++)
        assert_non_null(at = strchr(at + 1, '['));
    assert_int_equal(sscanf(at, "[%d,%d]", &ret_point[0], &ret_point[1]), 2);
}

static void read_track(void) {
    static char line[8192];
    FILE *track = fopen(test_file("in.jsonl"), "r");
    assert_non_null(track);
    for (int i = 0; i < FRAMES; i++) {
        int left[2], right[2];
        assert_non_null(fgets(line, sizeof(line), track));
        point_of(line, 34, left);
        point_of(line, 88, right);
        point_of(line, 60, lips[i]); /* of the lower lip's inner edge */
        eyes_y[i] = left[1] < right[1] ? left[1] : right[1];
    }
    fclose(track);
}

static void read_clip(const char *path, uint8_t *frames) {
    ms_video_reader *reader = NULL;
    ms_error err;
    bool got = false;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    assert_ms_ok(ms_video_reader_open(NULL, path, &p, &reader, &err), &err);
    for (int i = 0; i < FRAMES; i++) {
        assert_ms_ok(ms_video_reader_read(reader, frames + (size_t)i * FRAME_BYTES, 0, &got, &err), &err);
        assert_true(got);
    }
    ms_video_reader_close(&reader);
}

static void run(const char *options, uint8_t *frames) {
    assert_run_works(
        "run --video %s --track %s --audio %s --model %s --frames %d --steps 2 --codec ffv1 --audio-out none "
        "--report %s -y %s -o %s",
        test_file("in.mkv"), test_file("in.jsonl"), test_file("in.wav"), test_file("model"), FRAMES,
        test_file("report.json"), options, test_file("out.mkv"));
    read_clip(test_file("out.mkv"), frames);
}

static int prepare(void **state) {
    (void)state;
    uint8_t **const all[] = {&clip, &face, &mouth, &spare};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        *all[i] = malloc(FRAMES * FRAME_BYTES);
    test_make_run_inputs(FRAMES, "240x208");
    read_track();
    read_clip(test_file("in.mkv"), clip);
    run("", face);
    run("--paste mouth", mouth);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    free(clip);
    free(face);
    free(mouth);
    free(spare);
    test_dir_remove();
    return 0;
}

/* Pixels of rows first .. end-1 of a frame that differ. */
static int differing(const uint8_t *a, const uint8_t *b, int frame, int first, int end) {
    int count = 0;
    for (int y = first; y < end; y++)
        for (int x = 0; x < WIDTH; x++) {
            size_t at = (size_t)frame * FRAME_BYTES + ((size_t)y * WIDTH + (size_t)x) * 3;
            count += memcmp(a + at, b + at, 3) != 0;
        }
    return count;
}

static void above_the_eyes_every_pixel_stays(void **state) {
    (void)state;
    for (int i = 0; i < FRAMES; i++) {
        assert_int_equal(differing(mouth, clip, i, 0, eyes_y[i]), 0);
        assert_true(differing(face, clip, i, 0, eyes_y[i]) > 200);
    }
}

static void the_mouth_is_the_redrawn_one(void **state) {
    (void)state;
    for (int i = 0; i < FRAMES; i++) {
        assert_true(differing(mouth, clip, i, lips[i][1] - 2, lips[i][1] + 3) > 50);
        for (int y = lips[i][1] - 1; y <= lips[i][1] + 1; y++)
            for (int x = lips[i][0] - 2; x <= lips[i][0] + 2; x++)
                for (int c = 0; c < 3; c++) {
                    size_t at = (size_t)i * FRAME_BYTES + ((size_t)y * WIDTH + (size_t)x) * 3 + (size_t)c;
                    assert_in_range(mouth[at] + 1 - face[at], 0, 2); /* one is cut off, the other rounded */
                }
    }
}

static void nothing_but_the_option_decides(void **state) {
    (void)state;
    run("--paste face", spare);
    assert_memory_equal(spare, face, FRAMES * FRAME_BYTES);
    run("--paste mouth --threads 3 --force-rung tiles", spare);
    assert_memory_equal(spare, mouth, FRAMES * FRAME_BYTES);
    run("--paste mouth --threads 1 --force-rung single-frame", spare);
    assert_memory_equal(spare, mouth, FRAMES * FRAME_BYTES);
}

static bool file_has(const char *name, const char *text) {
    static char data[1 << 22];
    FILE *file = fopen(test_file(name), "rb");
    assert_non_null(file);
    size_t n = fread(data, 1, sizeof(data), file);
    fclose(file);
    return memmem(data, n, text, strlen(text)) != NULL;
}

static void report_and_output_say_it(void **state) {
    (void)state;
    run("--paste mouth", spare);
    assert_true(file_has("report.json", "\"paste\": \"mouth\"") && file_has("out.mkv", ", paste mouth;"));
    run("", spare);
    assert_true(file_has("report.json", "\"paste\": \"face\"") && !file_has("out.mkv", "paste"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(above_the_eyes_every_pixel_stays),
        cmocka_unit_test(the_mouth_is_the_redrawn_one),
        cmocka_unit_test(nothing_but_the_option_decides),
        cmocka_unit_test(report_and_output_say_it),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
