/* `memsafe-stage` align, restore, mask and scrfd-decode against the official implementation's outputs. */
#include "test.h"

#include "support/media/picture.h"
#include "support/stage.h"

#define EXACT ((test_tolerance){0, 0})
#define LINEAR 1e-5
#define TRANSLATION 4e-3
#define PIXELS ((test_tolerance){2e-3, 0})
#define SETS 12 /* of landmarks in a geometry case */

/* ---- help ---- */

/* Matrices [.., 2, 3]: the linear part is held to more than the translation. */
static void compare_matrices(const char *what, const double *actual, const double *golden, int64_t matrices) {
    for (int64_t i = 0; i < 6 * matrices; i++) {
        double allowed = i % 3 == 2 ? TRANSLATION : LINEAR;
        if (!(fabs(actual[i] - golden[i]) <= allowed))
            fail_msg("%s: element %d is %.9g, expected %.9g", what, (int)i, actual[i], golden[i]);
    }
}

/* At most max levels apart, and at most `share` of the bytes apart at all. */
static void compare_bytes(const char *what, const double *actual, const uint8_t *golden, size_t n, double max,
                          double share) {
    size_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs(actual[i] - golden[i]);
        differ += d > 0;
        if (!(d <= max))
            fail_msg("%s: byte %zu is %g, expected %d", what, i, actual[i], golden[i]);
    }
    if ((double)differ > share * (double)n)
        fail_msg("%s: %zu of %zu bytes differ", what, differ, n);
    print_message("    %-48s %zu of %zu bytes differ\n", what, differ, n);
}

/* Skips the test when the footage is not there: it is in the whole golden set only. */
static test_video need_picture(const char *rel) {
    char path[512];
    test_video picture = {0};
    if (!MS_HAVE_FFMPEG) {
        print_message("    skipped: this build reads no pictures\n");
        skip();
    }
    need(path, rel);
    assert_true(test_video_read(path, &picture));
    return picture;
}

static const char *in_path(void) {
    static char path[300];
    snprintf(path, sizeof(path), "%s.in", out_path());
    return path;
}

typedef struct tensor {
    const char *name;
    ms_dtype dtype;
    int rank;
    int64_t shape[4];
    const void *data;
    size_t bytes;
} tensor;

/* Declared by falling size of their elements, as the format lays them out. */
static void write_input(const tensor *tensors, int count) {
    ms_tensor_writer *writer = NULL;
    ms_error err;
    assert_ms_ok(ms_tensor_writer_create(NULL, in_path(), MS_FORMAT_SAFETENSORS, &writer, &err), &err);
    for (int i = 0; i < count; i++)
        assert_ms_ok(ms_tensor_writer_declare(writer, tensors[i].name, tensors[i].dtype, tensors[i].rank,
                                              tensors[i].shape, &err),
                     &err);
    for (int i = 0; i < count; i++)
        assert_ms_ok(ms_tensor_writer_write(writer, tensors[i].data, tensors[i].bytes, &err), &err);
    assert_ms_ok(ms_tensor_writer_finish(&writer, &err), &err);
}

static ms_tensor_file *open_golden(const char *rel) {
    char path[512];
    ms_tensor_file *file = NULL;
    ms_error err;
    need(path, rel);
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    return file;
}

static float *read_floats(const ms_tensor_file *file, const char *name) {
    const ms_tensor_info *t = ms_tensor_file_find(file, name);
    ms_error err;
    assert_non_null(t);
    float *values = malloc((size_t)t->elements * sizeof(float));
    assert_ms_ok(ms_tensor_file_read_f32(file, t, 0, t->elements, values, &err), &err);
    return values;
}

/* The picture SETS times, as a case holds it. */
static uint8_t *repeated(const test_video *picture, size_t *ret_bytes) {
    size_t one = (size_t)picture->width * (size_t)picture->height * 3;
    uint8_t *frames = malloc(SETS * one);
    for (size_t i = 0; i < SETS; i++)
        memcpy(frames + i * one, picture->rgb, one);
    *ret_bytes = SETS * one;
    return frames;
}

/* ---- align ---- */

static void align_matrices(void **state) {
    (void)state;
    static const char *const images[2] = {"640x360", "1080x1920"};
    for (int i = 0; i < 4; i++) {
        char cases[512], name[64];
        int resolution = i % 2 ? 512 : 256;
        snprintf(name, sizeof(name), "geometry/geometry_%s.safetensors", images[i / 2]);
        need(cases, name);
        assert_int_equal(run("align --resolution %d --in %s --out %s", resolution, cases, out_path()), 0);
        pair p = open_pair(cases);
        compare(&p, "out.align_points", "out.align_points", NULL, EXACT);
        snprintf(name, sizeof(name), "out.smooth_bias_%d", resolution);
        compare(&p, "out.smooth_bias", name, NULL, (test_tolerance){TRANSLATION, 0});
        snprintf(name, sizeof(name), "out.affine_smoothed_%d", resolution);
        test_tensor a = test_tensor_read(p.actual, "out.affine"), g = test_tensor_read(p.golden, name);
        assert_int_equal(a.elements, 6 * SETS);
        compare_matrices(name, a.data, g.data, SETS);
        free(a.data);
        free(g.data);
        close_pair(&p);
        assert_int_equal(
            run("align --no-smoothing --resolution %d --in %s --out %s", resolution, cases, out_path()), 0);
        p = open_pair(cases);
        a = test_tensor_read(p.actual, "out.affine");
        for (int set = 0; set <= 6; set += 6) {
            snprintf(name, sizeof(name), "out.affine_unsmoothed_%d_f%d", resolution, set);
            g = test_tensor_read(p.golden, name);
            compare_matrices(name, a.data + set * 6, g.data, 1);
            free(g.data);
        }
        assert_null(ms_tensor_file_find(p.actual, "out.smooth_bias"));
        free(a.data);
        close_pair(&p);
    }
}

/* The golden picture that is [set] of an output [SETS, h, w, 3]. */
static void compare_picture(const ms_tensor_file *actual, const char *output, int set, const char *rel,
                            double max, double share) {
    test_video want = need_picture(rel);
    test_tensor a = test_tensor_read(actual, output);
    size_t n = (size_t)want.width * (size_t)want.height * 3;
    assert_int_equal(a.shape[1], want.height);
    assert_int_equal(a.shape[2], want.width);
    compare_bytes(rel, a.data + (size_t)set * n, want.rgb, n, max, share);
    test_video_free(&want);
    free(a.data);
}

static void align_pictures(void **state) {
    (void)state;
    static const struct { int resolution, set; } kept[] = {{256, 0}, {256, 6}, {256, 11}, {512, 6}};
    test_video picture = need_picture("geometry/image_640x360.png");
    ms_tensor_file *golden = open_golden("geometry/geometry_640x360.safetensors");
    float *landmarks = read_floats(golden, "in.landmarks");
    size_t bytes;
    uint8_t *frames = repeated(&picture, &bytes);
    const tensor in[2] = {
        {"in.landmarks", MS_F32, 3, {SETS, 106, 2}, landmarks, SETS * 106 * 2 * sizeof(float)},
        {"in.frames", MS_U8, 4, {SETS, picture.height, picture.width, 3}, frames, bytes}};
    write_input(in, 2);
    for (int i = 0; i < 4; i++) {
        ms_tensor_file *actual = NULL;
        ms_error err;
        char rel[96];
        assert_int_equal(
            run("align --resolution %d --in %s --out %s", kept[i].resolution, in_path(), out_path()), 0);
        assert_ms_ok(ms_tensor_file_open(NULL, out_path(), &actual, &err), &err);
        snprintf(rel, sizeof(rel), "geometry/crop_640x360_r%d_f%02d.png", kept[i].resolution, kept[i].set);
        compare_picture(actual, "out.crops", kept[i].set, rel, 1, 0.04);
        snprintf(rel, sizeof(rel), "geometry/crop_640x360_r%d_f%02d_lanczos.png", kept[i].resolution,
                 kept[i].set);
        compare_picture(actual, "out.faces", kept[i].set, rel, 2, 0.06);
        ms_tensor_file_close(&actual);
    }
    ms_tensor_file_close(&golden);
    unlink(in_path());
    unlink(out_path());
    free(landmarks);
    free(frames);
    test_video_free(&picture);
}

/* ---- restore ---- */

typedef struct restored {
    const char *image;
    int resolution, set, x, y;
} restored;

/* Inside the golden box the golden bytes, outside those of the picture. */
static void compare_restored(const restored *r, const test_video *picture) {
    ms_tensor_file *actual = NULL;
    ms_error err;
    char rel[96];
    snprintf(rel, sizeof(rel), "geometry/restored_%s_r%d_f%02d_x%d_y%d.png", r->image, r->resolution, r->set,
             r->x, r->y);
    test_video want = need_picture(rel);
    assert_ms_ok(ms_tensor_file_open(NULL, out_path(), &actual, &err), &err);
    test_tensor a = test_tensor_read(actual, "out.frames");
    assert_int_equal(a.elements, (int64_t)picture->width * picture->height * 3);
    double *inside = malloc((size_t)want.width * (size_t)want.height * 3 * sizeof(double));
    size_t n = 0;
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++)
            for (int c = 0; c < 3; c++) {
                size_t at = ((size_t)y * (size_t)picture->width + (size_t)x) * 3 + (size_t)c;
                bool changed = x >= r->x && x < r->x + want.width && y >= r->y && y < r->y + want.height;
                if (changed)
                    inside[n++] = a.data[at];
                else if (a.data[at] != picture->rgb[at])
                    fail_msg("%s: the frame changed outside of it, at %d, %d", rel, x, y);
            }
    assert_int_equal(n, (size_t)want.width * (size_t)want.height * 3);
    compare_bytes(rel, inside, want.rgb, n, 2, 0.03);
    free(inside);
    free(a.data);
    ms_tensor_file_close(&actual);
    test_video_free(&want);
}

static void restore_one(const restored *r) {
    char name[96];
    snprintf(name, sizeof(name), "geometry/image_%s.png", r->image);
    test_video picture = need_picture(name);
    snprintf(name, sizeof(name), "geometry/synthetic_face_%d.png", r->resolution);
    test_video synthetic = need_picture(name);
    snprintf(name, sizeof(name), "geometry/geometry_%s.safetensors", r->image);
    ms_tensor_file *golden = open_golden(name);
    snprintf(name, sizeof(name), "out.affine_smoothed_%d", r->resolution);
    float *affine = read_floats(golden, name);
    size_t pixels = (size_t)r->resolution * (size_t)r->resolution;
    float *face = malloc(3 * pixels * sizeof(float));
    for (size_t i = 0; i < 3 * pixels; i++) /* [3, R, R] in [-1, 1] */
        face[i] = ((float)synthetic.rgb[i % pixels * 3 + i / pixels] / 255.0f - 0.5f) / 0.5f;
    const tensor in[3] = {
        {"in.faces", MS_F32, 4, {1, 3, r->resolution, r->resolution}, face, 3 * pixels * sizeof(float)},
        {"in.affine", MS_F32, 3, {1, 2, 3}, affine + r->set * 6, 6 * sizeof(float)},
        {"in.frames",
         MS_U8,
         4,
         {1, picture.height, picture.width, 3},
         picture.rgb,
         (size_t)picture.width * (size_t)picture.height * 3}};
    write_input(in, 3);
    assert_int_equal(run("restore --resolution %d --in %s --out %s", r->resolution, in_path(), out_path()),
                     0);
    compare_restored(r, &picture);
    unlink(in_path());
    unlink(out_path());
    free(face);
    free(affine);
    ms_tensor_file_close(&golden);
    test_video_free(&synthetic);
    test_video_free(&picture);
}

static void restore(void **state) {
    (void)state;
    static const restored cases[] = {{"640x360", 256, 0, 316, 123},
                                     {"640x360", 256, 6, 139, 126},
                                     {"640x360", 256, 11, 0, 139},
                                     {"640x360", 512, 6, 139, 126},
                                     {"1080x1920", 512, 2, 423, 518}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        restore_one(&cases[i]);
}

/* ---- mask ---- */

static void mask_latents(void **state) {
    (void)state;
    for (int resolution = 128; resolution <= 512; resolution *= 2) {
        char cases[512], rel[64];
        snprintf(rel, sizeof(rel), "geometry/mask_latent_%d.safetensors", resolution);
        need(cases, rel);
        assert_int_equal(run("mask --resolution %d --out %s", resolution, out_path()), 0);
        pair p = open_pair(cases);
        compare(&p, "out.mask_latent", "out.mask_latent", NULL, EXACT);
        close_pair(&p);
    }
}

static void masks(void **state) {
    (void)state;
    for (int resolution = 128; resolution <= 512; resolution *= 2) {
        char rel[64];
        ms_tensor_file *actual = NULL;
        ms_error err;
        snprintf(rel, sizeof(rel), "geometry/mask_%d.png", resolution);
        test_video want = need_picture(rel);
        assert_int_equal(run("mask --resolution %d --out %s", resolution, out_path()), 0);
        assert_ms_ok(ms_tensor_file_open(NULL, out_path(), &actual, &err), &err);
        test_tensor a = test_tensor_read(actual, "out.mask");
        assert_int_equal(a.elements, (int64_t)want.width * want.height);
        for (int64_t i = 0; i < a.elements; i++) /* one channel against three equal ones: Lanczos, 1 level */
            if (!(fabs(a.data[i] - want.rgb[3 * i]) <= 1))
                fail_msg("%s: pixel %d is %g, expected %d", rel, (int)i, a.data[i], want.rgb[3 * i]);
        free(a.data);
        test_video_free(&want);
        ms_tensor_file_close(&actual);
        unlink(out_path());
    }
}

/* ---- scrfd-decode ---- */

static void detections(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int width, height;
    } cases[] = {{"640x360", 640, 360}, {"1080x1920", 1080, 1920}, {"empty", 640, 360}};
    for (int i = 0; i < 3; i++) {
        char path[512], rel[64];
        snprintf(rel, sizeof(rel), "facedet/scrfd_post_%s.safetensors", cases[i].name);
        need(path, rel);
        assert_int_equal(run("scrfd-decode --width %d --height %d --in %s --out %s", cases[i].width,
                             cases[i].height, path, out_path()),
                         0);
        pair p = open_pair(path);
        compare(&p, "out.det", "out.det", NULL, PIXELS);
        compare(&p, "out.kps", "out.kps", NULL, PIXELS);
        if (ms_tensor_file_find(p.golden, "out.landmarks"))
            compare(&p, "out.landmarks", "out.landmarks", NULL, PIXELS);
        else
            assert_null(ms_tensor_file_find(p.actual, "out.landmarks"));
        close_pair(&p);
    }
}

/* ---- refusals ---- */

static void cases_that_make_no_sense(void **state) {
    (void)state;
    static const float numbers[2 * 106 * 2] = {0};
    const tensor short_set = {"in.landmarks", MS_F32, 3, {1, 105, 2}, numbers, 105 * 2 * sizeof(float)};
    const tensor other_count[2] = {{"in.landmarks", MS_F32, 3, {2, 106, 2}, numbers, sizeof(numbers)},
                                   {"in.frames", MS_U8, 4, {1, 2, 2, 3}, numbers, 12}};
    const tensor row[4] = {{"in.s8.rows", MS_I32, 1, {1}, &(int32_t){1 << 20}, 4},
                           {"in.s8.scores", MS_F32, 2, {1, 1}, numbers, 4},
                           {"in.s8.bbox", MS_F32, 2, {1, 4}, numbers, 16},
                           {"in.s8.kps", MS_F32, 2, {1, 10}, numbers, 40}};
    write_input(&short_set, 1);
    assert_int_not_equal(run("align --in %s --out %s 2>/dev/null", in_path(), out_path()), 0);
    write_input(other_count, 2);
    assert_int_not_equal(run("align --in %s --out %s 2>/dev/null", in_path(), out_path()), 0);
    assert_int_not_equal(run("restore --in %s --out %s 2>/dev/null", in_path(), out_path()), 0);
    write_input(row, 4);
    assert_int_not_equal(
        run("scrfd-decode --width 640 --height 360 --in %s --out %s 2>/dev/null", in_path(), out_path()), 0);
    assert_int_not_equal(run("mask --resolution 63 --out %s 2>/dev/null", out_path()), 0);
    assert_int_not_equal(access(out_path(), F_OK), 0); /* a failed stage leaves no file */
    unlink(in_path());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(align_matrices),
        cmocka_unit_test(align_pictures),
        cmocka_unit_test(restore),
        cmocka_unit_test(mask_latents),
        cmocka_unit_test(masks),
        cmocka_unit_test(detections),
        cmocka_unit_test(cases_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
