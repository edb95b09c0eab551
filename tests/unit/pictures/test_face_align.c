/* Alignment: golden points, matrices and crops, hashes of official crops, the
   linear algebra by its properties. */
#include "test.h"

#include "pictures/align.h"
#include "pictures/resize.h"
#include "pictures/similarity.h"
#include "pictures/warp.h"
#include "support/media/drawn.h"
#include "support/media/picture.h"
#include "support/models/tensors.h"

static ms_error err;

static const struct {
    const char *name;
    int width, height;
} pictures[] = {{"640x360", 640, 360}, {"1080x1920", 1080, 1920}};

typedef struct golden_case {
    ms_tensor_file *file;
    test_tensor landmarks, points;
} golden_case;

static golden_case open_case(const char *name) {
    char rel[80], path[600];
    golden_case g;
    snprintf(rel, sizeof(rel), "geometry/geometry_%s.safetensors", name);
    assert_non_null(golden_path(path, sizeof(path), rel));
    assert_ms_ok(ms_tensor_file_open(NULL, path, &g.file, &err), &err);
    g.landmarks = test_tensor_read(g.file, "in.landmarks");
    g.points = test_tensor_read(g.file, "out.align_points");
    return g;
}

static void close_case(golden_case *g) {
    free(g->landmarks.data);
    free(g->points.data);
    ms_tensor_file_close(&g->file);
}

static void points_of(const golden_case *g, int64_t set, float ret_points[3][2]) {
    float landmarks[MS_LANDMARKS][2];
    for (int i = 0; i < MS_LANDMARKS * 2; i++)
        landmarks[i / 2][i % 2] = (float)g->landmarks.data[set * MS_LANDMARKS * 2 + i];
    ms_align_points(landmarks, ret_points);
}

static void assert_floats_equal(const float *values, const double *want, int count) {
    for (int i = 0; i < count; i++)
        if ((double)values[i] != want[i])
            fail_msg("value %d is %.9g, not %.9g", i, (double)values[i], want[i]);
}

static void golden_matrices(void **state) {
    (void)state;
    for (int p = 0; p < 2; p++) {
        golden_case g = open_case(pictures[p].name);
        for (int resolution = 256; resolution <= 512; resolution *= 2) {
            char name[80];
            ms_face_geometry geometry;
            ms_align_state smooth = {0};
            assert_ms_ok(ms_face_geometry_init(resolution, &geometry, &err), &err);
            snprintf(name, sizeof(name), "out.affine_smoothed_%d", resolution);
            test_tensor matrices = test_tensor_read(g.file, name);
            snprintf(name, sizeof(name), "out.smooth_bias_%d", resolution);
            test_tensor biases = test_tensor_read(g.file, name);
            for (int set = 0; set < 12; set++) {
                float points[3][2], affine[2][3];
                points_of(&g, set, points);
                assert_floats_equal(points[0], g.points.data + set * 6, 6);
                assert_ms_ok(ms_align_affine(&geometry, points, &smooth, affine, &err), &err);
                assert_floats_equal(affine[0], matrices.data + set * 6, 6);
                assert_floats_equal(smooth.bias, biases.data + set * 2, 2);
                if (set != 0 && set != 6)
                    continue;
                snprintf(name, sizeof(name), "out.affine_unsmoothed_%d_f%d", resolution, set);
                test_tensor plain = test_tensor_read(g.file, name);
                assert_ms_ok(ms_align_affine(&geometry, points, NULL, affine, &err), &err);
                assert_floats_equal(affine[0], plain.data, 6);
                free(plain.data);
            }
            free(matrices.data);
            free(biases.data);
        }
        close_case(&g);
    }
}

static void golden_inverses(void **state) {
    (void)state;
    static const struct {
        int picture, resolution, set;
    } kept[] = {{0, 256, 0}, {0, 256, 6}, {0, 256, 11}, {0, 512, 6}, {1, 256, 4}, {1, 512, 2}};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        golden_case g = open_case(pictures[kept[i].picture].name);
        char name[80];
        snprintf(name, sizeof(name), "out.affine_smoothed_%d", kept[i].resolution);
        test_tensor forward = test_tensor_read(g.file, name);
        snprintf(name, sizeof(name), "out.inverse_affine_%d_f%d", kept[i].resolution, kept[i].set);
        test_tensor want = test_tensor_read(g.file, name);
        float m[2][3], inverse[2][3];
        for (int k = 0; k < 6; k++)
            m[k / 3][k % 3] = (float)forward.data[kept[i].set * 6 + k];
        assert_true(ms_affine_invert(m, inverse));
        assert_floats_equal(inverse[0], want.data, 6);
        free(forward.data);
        free(want.data);
        close_case(&g);
    }
}

static void align(const ms_face_geometry *geometry, const ms_image *frame, const float affine[2][3],
                  const ms_image *crop, const ms_image *face) {
    ms_image_view view = ms_image_as_view(frame);
    size_t bytes = ms_align_face_workspace_bytes(geometry);
    void *work = malloc(bytes);
    assert_ms_ok(ms_align_crop(geometry, &view, affine, crop, work, bytes, &err), &err);
    assert_ms_ok(ms_align_face(geometry, &view, affine, face, work, bytes, &err), &err);
    free(work);
}

static void crops_match_the_official_ones(void **state) {
    (void)state;
    /* What AlignRestore (float32, CPU) and cv2 make of the drawn picture with the golden landmarks. */
    static const struct {
        int picture, resolution, set;
        uint64_t crop, face;
    } known[] = {
        {0, 128, 0, 0xf6481b4b07b6eec4u, 0x5c4edadc02458384u},
        {0, 128, 6, 0x63bf9979a224eb04u, 0xf751be99442cd0e7u},
        {0, 128, 11, 0x85aea661e4b907d2u, 0x7d469c9736a60ed3u},
        {0, 256, 0, 0x5465389257f24f0bu, 0xe743b4938b462510u},
        {0, 256, 6, 0x55dd0e274730e364u, 0x4c4298ecb28581dfu},
        {0, 256, 11, 0xa995be0abac282a5u, 0x9d214880f2b446ecu},
        {0, 512, 0, 0x4504b4d54b35ed05u, 0x57618b7038c8d2e9u},
        {0, 512, 6, 0x126b3c63752de797u, 0x8f01f658e66a6c00u},
        {0, 512, 11, 0xed2fc80eb11b7f25u, 0x5644097367e0441du},
        {1, 128, 0, 0x4cd0f39aee9a76a7u, 0xac726a8cf3a30c5bu},
        {1, 128, 6, 0xf259feaaa3a598dbu, 0xcd12dcc3c6a74271u},
        {1, 128, 11, 0x29c10d9f9bd1197cu, 0xdebbf4558f30adb6u},
        {1, 256, 0, 0x629c3a7772f80bd5u, 0xcceb98bd680df7ebu},
        {1, 256, 6, 0x1f5aab22d129c90cu, 0x8bda5a8ea55afbccu},
        {1, 256, 11, 0x72564da1b44954d9u, 0x337b2483bb18f145u},
        {1, 512, 0, 0x57788ce08cc099dau, 0x18f6ed32ffe0ef0eu},
        {1, 512, 6, 0x87b4ac19317021ffu, 0x9fd10b00dc518a5eu},
        {1, 512, 11, 0xadf6c821c50af131u, 0x9b418e5736d0db7du},
    };
    size_t next = 0, count = sizeof(known) / sizeof(known[0]);
    for (int p = 0; p < 2; p++) {
        golden_case g = open_case(pictures[p].name);
        ms_image frame = test_drawn_image(pictures[p].width, pictures[p].height, 3);
        for (int resolution = 128; resolution <= 512; resolution *= 2) {
            ms_face_geometry geometry;
            ms_align_state smooth = {0};
            assert_ms_ok(ms_face_geometry_init(resolution, &geometry, &err), &err);
            ms_image crop = test_blank_image(geometry.crop_width, geometry.crop_height, 3);
            ms_image face = test_blank_image(resolution, resolution, 3);
            for (int set = 0; set < 12; set++) {
                float points[3][2], affine[2][3];
                points_of(&g, set, points);
                assert_ms_ok(ms_align_affine(&geometry, points, &smooth, affine, &err), &err);
                if (next == count || known[next].picture != p || known[next].resolution != resolution ||
                    known[next].set != set)
                    continue;
                align(&geometry, &frame, affine, &crop, &face);
                assert_true(test_fnv1a(crop.data, crop.stride_bytes * (size_t)crop.height) ==
                            known[next].crop);
                assert_true(test_fnv1a(face.data, face.stride_bytes * (size_t)face.height) ==
                            known[next].face);
                next++;
            }
            free(crop.data);
            free(face.data);
        }
        free(frame.data);
        close_case(&g);
    }
    assert_int_equal(next, count);
}

static void golden_crops(void **state) {
    (void)state;
    static const struct {
        int picture, resolution, set;
    } kept[] = {{0, 256, 0}, {0, 256, 6}, {0, 256, 11}, {0, 512, 6}, {1, 256, 4}, {1, 512, 2}};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        char name[80], path[600];
        test_video frame, want;
        snprintf(name, sizeof(name), "geometry/image_%s.png", pictures[kept[i].picture].name);
        if (!golden_path(path, sizeof(path), name) || !test_video_read(path, &frame)) {
            print_message("no golden pictures, or no FFmpeg\n");
            skip();
        }
        snprintf(name, sizeof(name), "geometry/crop_%s_r%d_f%02d.png", pictures[kept[i].picture].name,
                 kept[i].resolution, kept[i].set);
        assert_true(test_video_read(golden_path(path, sizeof(path), name), &want));
        golden_case g = open_case(pictures[kept[i].picture].name);
        ms_face_geometry geometry;
        ms_align_state smooth = {0};
        float points[3][2], affine[2][3];
        assert_ms_ok(ms_face_geometry_init(kept[i].resolution, &geometry, &err), &err);
        for (int set = 0; set <= kept[i].set; set++) {
            points_of(&g, set, points);
            assert_ms_ok(ms_align_affine(&geometry, points, &smooth, affine, &err), &err);
        }
        ms_image in = {frame.rgb, frame.width, frame.height, 3, (size_t)frame.width * 3};
        ms_image crop = test_blank_image(geometry.crop_width, geometry.crop_height, 3);
        ms_image face = test_blank_image(geometry.resolution, geometry.resolution, 3);
        assert_int_equal(want.width, geometry.crop_width);
        assert_int_equal(want.height, geometry.crop_height);
        align(&geometry, &in, affine, &crop, &face);
        assert_memory_equal(crop.data, want.rgb, crop.stride_bytes * (size_t)crop.height);
        free(crop.data);
        free(face.data);
        close_case(&g);
        test_video_free(&frame);
        test_video_free(&want);
    }
}

/* Every definition of a warp: invert, sample four neighbours, what is outside counts as the fill. */
static void warp_follows_the_definition(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (int round = 0; round < 60; round++) {
        int w = 2 + (int)(test_rand(&seed) % 70), h = 2 + (int)(test_rand(&seed) % 70);
        double angle = test_uniform(&seed) * 3.2, scale = 0.4 + 1.5 * (1 + test_uniform(&seed));
        double a = scale * cos(angle), b = scale * sin(angle), tx = 60 * test_uniform(&seed);
        double ty = 60 * test_uniform(&seed), det = scale * scale;
        float m[2][3] = {{(float)a, (float)-b, (float)tx}, {(float)b, (float)a, (float)ty}};
        ms_image src = test_drawn_image(w, h, 3), dst = test_blank_image(40, 31, 3);
        ms_image_view view = ms_image_as_view(&src);
        size_t bytes = ms_warp_workspace_bytes(40);
        void *work = malloc(bytes);
        assert_ms_ok(ms_warp_u8(&view, m, &dst, 127, work, bytes, &err), &err);
        for (int y = 0; y < dst.height; y++)
            for (int x = 0; x < dst.width; x++) {
                double u = (a * (x - tx) + b * (y - ty)) / det, v = (-b * (x - tx) + a * (y - ty)) / det,
                       sum = 0;
                for (int k = 0; k < 4; k++) {
                    int px = (int)floor(u) + (k & 1), py = (int)floor(v) + (k >> 1);
                    double weight = (1 - fabs(u - px)) * (1 - fabs(v - py));
                    bool inside = px >= 0 && px < w && py >= 0 && py < h;
                    sum += weight * (inside ? test_drawn_sample(px, py, 2) : 127);
                }
                double got = dst.data[(size_t)y * dst.stride_bytes + (size_t)x * 3 + 2];
                assert_true(got > sum - 1.02 && got < sum + 0.02); /* truncated */
            }
        free(work);
        free(src.data);
        free(dst.data);
    }
}

static void svd_properties(void **state) {
    (void)state;
    uint64_t seed = 9;
    for (int round = 0; round < 4000; round++) {
        float a[2][2], u[2][2], s[2], v[2][2];
        for (int i = 0; i < 4; i++)
            a[i / 2][i % 2] = round % 5 == i ? 0.0f : test_uniform(&seed) * (round % 7 ? 1.0f : 1e-6f);
        if (round % 11 == 0)
            memcpy(a[1], a[0], sizeof(a[0])); /* rank 1 */
        if (round % 97 == 0)
            memset(a, 0, sizeof(a));
        ms_svd_2x2(a, u, s, v);
        assert_true(s[0] >= s[1] && s[1] >= 0.0f);
        double scale = fmax((double)s[0], 1e-30);
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                double back = (double)u[i][0] * s[0] * v[j][0] + (double)u[i][1] * s[1] * v[j][1];
                double uu = (double)u[0][i] * u[0][j] + (double)u[1][i] * u[1][j];
                double vv = (double)v[0][i] * v[0][j] + (double)v[1][i] * v[1][j];
                assert_true(fabs(back - (double)a[i][j]) < 1e-6 * scale);
                assert_true(fabs(uu - (i == j)) < 1e-6 && fabs(vv - (i == j)) < 1e-6);
            }
    }
}

/* A rotation, even when the points come mirrored. */
static void fit_is_a_rotation(void **state) {
    (void)state;
    ms_face_geometry geometry;
    assert_ms_ok(ms_face_geometry_init(256, &geometry, &err), &err);
    uint64_t seed = 21;
    for (int round = 0; round < 500; round++) {
        float points[3][2];
        for (int i = 0; i < 3; i++) {
            points[i][0] = geometry.template[i][0] * (round % 2 ? -1.0f : 1.0f) + 20 * test_uniform(&seed);
            points[i][1] = geometry.template[i][1] + 20 * test_uniform(&seed);
        }
        ms_similarity fit;
        assert_true(ms_similarity_fit(points, geometry.template, &fit));
        double a = fit.matrix[0][0], b = fit.matrix[0][1], c = fit.matrix[1][0], d = fit.matrix[1][1];
        assert_true(a * d - b * c > 0);
        assert_true(fabs(a - d) < 1e-5 && fabs(b + c) < 1e-5);
    }
}

static void hopeless_input_is_refused(void **state) {
    (void)state;
    ms_face_geometry geometry;
    assert_int_equal(ms_face_geometry_init(100, &geometry, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_face_geometry_init(0, &geometry, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_face_geometry_init(1 << 20, &geometry, &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_face_geometry_init(64, &geometry, &err), &err);
    static const float hopeless[][3][2] = {
        {{5, 5}, {5, 5}, {5, 5}}, {{NAN, 1}, {2, 3}, {4, 5}}, {{INFINITY, 1}, {2, 3}, {4, 5}}};
    for (size_t i = 0; i < sizeof(hopeless) / sizeof(hopeless[0]); i++) {
        ms_align_state state_before = {true, {1, 2}}, smooth = state_before;
        float affine[2][3] = {{7, 7, 7}, {7, 7, 7}};
        assert_int_equal(ms_align_affine(&geometry, hopeless[i], &smooth, affine, &err), MS_NO_FACE);
        assert_memory_equal(smooth.bias, state_before.bias, sizeof(smooth.bias));
        assert_true(affine[0][0] == 7);
    }
    ms_image frame = test_drawn_image(20, 20, 3),
             crop = test_blank_image(geometry.crop_width, geometry.crop_height, 3);
    ms_image_view view = ms_image_as_view(&frame);
    size_t bytes = ms_align_face_workspace_bytes(&geometry);
    void *work = malloc(bytes);
    static const float matrices[][2][3] = {{{0, 0, 0}, {0, 0, 0}},
                                           {{NAN, 0, 0}, {0, 1, 0}},
                                           {{1, 1, 0}, {1, 1, 0}},
                                           {{1, 0, INFINITY}, {0, 1, 0}}};
    for (size_t i = 0; i < sizeof(matrices) / sizeof(matrices[0]); i++)
        assert_int_equal(ms_align_crop(&geometry, &view, matrices[i], &crop, work, bytes, &err),
                         MS_INVALID_ARGUMENT);
    /* Far away, or microscopic: all fill, and no harm done. */
    static const float far_off[][2][3] = {
        {{1, 0, 1e30f}, {0, 1, -1e30f}}, {{1e-20f, 0, 3}, {0, 1e-20f, 4}}, {{1e12f, 0, 0}, {0, 1e12f, 0}}};
    for (size_t i = 0; i < sizeof(far_off) / sizeof(far_off[0]); i++)
        assert_ms_ok(ms_align_crop(&geometry, &view, far_off[i], &crop, work, bytes, &err), &err);
    assert_int_equal(ms_align_crop(&geometry, &view, far_off[0], &frame, work, bytes, &err),
                     MS_INVALID_ARGUMENT);
    ms_image face = test_blank_image(64, 64, 3);
    assert_int_equal(ms_align_face(&geometry, &view, far_off[0], &face, work, bytes - 1, &err),
                     MS_INVALID_ARGUMENT);
    free(face.data);
    free(work);
    free(frame.data);
    free(crop.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_matrices),
        cmocka_unit_test(golden_inverses),
        cmocka_unit_test(crops_match_the_official_ones),
        cmocka_unit_test(golden_crops),
        cmocka_unit_test(warp_follows_the_definition),
        cmocka_unit_test(svd_properties),
        cmocka_unit_test(fit_is_a_rotation),
        cmocka_unit_test(hopeless_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
