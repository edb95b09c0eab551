/* `memsafe run` on the golden end-to-end case: every frame against the official
   pipeline's, and the promise of equal bits. */
#include "test.h"

#include "media/read/video_reader.h"
#include "support/cli.h"
#include "support/golden.h"
#include "text/json.h"

#define PSNR_DB 50.0
#define MAX_LEVELS 16
#define MAX_SHARE 0.20

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* Folder of the whole golden set; skips the test when it is not there. */
static const char *golden_root(void) {
    static char root[512];
    if (!golden_path(root, sizeof(root), "e2e/clip.mkv")) {
        print_message("    skipped: e2e/clip.mkv is not there\n");
        skip();
    }
    root[strlen(root) - strlen("/e2e/clip.mkv")] = 0;
    return root;
}

static ms_video_reader *open_video(const char *path) {
    ms_error err;
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    ms_video_reader *reader = NULL;
    assert_ms_ok(ms_video_reader_open(NULL, path, &params, &reader, &err), &err);
    return reader;
}

static bool read_frame(ms_video_reader *reader, uint8_t *rgb) {
    ms_error err;
    bool got = false;
    assert_ms_ok(ms_video_reader_read(reader, rgb, 0, &got, &err), &err);
    return got;
}

typedef struct crop_box {
    int x, y, w, h;
} crop_box;

static int integer(const ms_json *object, const char *key) {
    const ms_json *value = ms_json_get(object, key);
    assert_non_null(value);
    return (int)value->integer;
}

/* The region that changes, from expected.json. */
static crop_box read_crop(const char *root) {
    char path[600];
    ms_error err;
    ms_json_doc *doc = NULL;
    snprintf(path, sizeof(path), "%s/e2e/expected.json", root);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    static char text[65536];
    size_t length = fread(text, 1, sizeof(text), f);
    fclose(f);
    assert_ms_ok(ms_json_parse(NULL, text, length, &doc, &err), &err);
    const ms_json *crop = ms_json_get(ms_json_get(ms_json_root(doc), "s20"), "crop");
    crop_box box = {integer(crop, "x"), integer(crop, "y"), integer(crop, "w"), integer(crop, "h")};
    ms_json_doc_destroy(&doc);
    return box;
}

/* One frame inside the crop against the golden one; the rest against the input. */
static void compare_frame(const uint8_t *out, const uint8_t *clip, const uint8_t *golden, int width,
                          int height, crop_box c, int frame, double *worst_psnr, int64_t *differing) {
    double squares = 0;
    int most = 0, count = 0;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width * 3; x++) {
            int at = y * width * 3 + x;
            if (y < c.y || y >= c.y + c.h || x < c.x * 3 || x >= (c.x + c.w) * 3) {
                if (out[at] != clip[at])
                    fail_msg("frame %d differs from the clip at %d,%d, outside the crop", frame, x / 3, y);
                continue;
            }
            int d = abs(out[at] - golden[(y - c.y) * c.w * 3 + x - c.x * 3]);
            squares += d * d;
            most = d > most ? d : most;
            count += d > 0;
        }
    }
    double bytes = (double)c.w * c.h * 3,
           psnr = squares > 0 ? 10 * log10(255.0 * 255.0 * bytes / squares) : 99;
    *worst_psnr = psnr < *worst_psnr ? psnr : *worst_psnr;
    *differing += count;
    if (psnr < PSNR_DB || most > MAX_LEVELS || count > MAX_SHARE * bytes)
        fail_msg("frame %d: PSNR %.1f dB, largest difference %d, %.1f %% of the bytes differ", frame, psnr,
                 most, 100 * count / bytes);
}

static const char *golden_arguments(const char *root) {
    static char text[2048];
    snprintf(text, sizeof(text),
             "--model %s/tiny --video %s/e2e/clip.mkv --audio %s/e2e/audio.wav --track %s/e2e/track.jsonl",
             root, root, root, root);
    return text;
}

static void every_frame_as_the_official_pipeline(void **state) {
    (void)state;
    const char *root = golden_root();
    char path[600];
    const char *output = test_file("golden.mkv");
    assert_run_works("run %s --precision fp32 --codec ffv1 -o %s", golden_arguments(root), output);
    crop_box crop = read_crop(root);
    ms_video_reader *out = open_video(output);
    snprintf(path, sizeof(path), "%s/e2e/clip.mkv", root);
    ms_video_reader *clip = open_video(path);
    snprintf(path, sizeof(path), "%s/e2e/frames_s20_crop.mkv", root);
    ms_video_reader *golden = open_video(path);
    const ms_video_info *info = ms_video_reader_info(out);
    size_t bytes = (size_t)info->width * (size_t)info->height * 3;
    uint8_t *a = malloc(bytes), *b = malloc(bytes), *g = malloc((size_t)crop.w * (size_t)crop.h * 3);
    double worst = 99;
    int64_t differing = 0;
    int frames = 0;
    while (read_frame(golden, g)) {
        assert_true(read_frame(out, a));
        assert_true(read_frame(clip, b));
        compare_frame(a, b, g, info->width, info->height, crop, frames, &worst, &differing);
        frames++;
    }
    assert_false(read_frame(out, a)); /* as many frames, no more */
    assert_int_equal(frames, 42);
    print_message("    %d frames, worst PSNR %.1f dB, %lld bytes differ\n", frames, worst,
                  (long long)differing);
    free(a);
    free(b);
    free(g);
    ms_video_reader_close(&out);
    ms_video_reader_close(&clip);
    ms_video_reader_close(&golden);
}

/* FNV-1a over all decoded frames. */
static uint64_t hash_frames(const char *path) {
    ms_video_reader *reader = open_video(path);
    const ms_video_info *info = ms_video_reader_info(reader);
    size_t bytes = (size_t)info->width * (size_t)info->height * 3;
    uint8_t *rgb = malloc(bytes);
    uint64_t hash = 14695981039346656037u;
    while (read_frame(reader, rgb))
        for (size_t i = 0; i < bytes; i++)
            hash = (hash ^ rgb[i]) * 1099511628211u;
    free(rgb);
    ms_video_reader_close(&reader);
    return hash;
}

static void threads_and_instruction_sets_give_the_same_frames(void **state) {
    (void)state;
    const char *root = golden_root();
    const char *output = test_file("same.mkv");
    const int frames = test_at_length() ? 17 : 4; /* plain C takes most of the time */
    static const char *const ways[] = {"--threads 1", "--threads 2", "--threads 4"};
    static const char *const isas[] = {"avx512", "avx2", "c"};
    uint64_t first = 0;
    for (int i = 0; i < 3; i++) {
        setenv("MEMSAFE_ISA", isas[i], 1);
        int code = test_run("run %s --steps 1 --resolution 64 --frames %d --codec ffv1 -y %s -o %s",
                            golden_arguments(root), frames, ways[i], output);
        unsetenv("MEMSAFE_ISA");
        if (code != 0)
            fail_msg("exit %d: %s", code, test_output);
        uint64_t hash = hash_frames(output);
        if (i == 0)
            first = hash;
        assert_true(hash == first);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_as_the_official_pipeline),
        cmocka_unit_test(threads_and_instruction_sets_give_the_same_frames),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
