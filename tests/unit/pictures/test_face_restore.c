/* Paste-back: a plain whole-frame reference in this file, golden frames, hashes of official frames. */
#include "test.h"

#include "pictures/resize.h"
#include "pictures/restore.h"
#include "pictures/soft_mask.h"
#include "pictures/warp.h"
#include "support/media/drawn.h"
#include "support/media/picture.h"
#include "support/models/tensors.h"

static ms_error err;

/* ---- the reference: every step over the whole frame, written as the definition says ---- */

typedef struct whole {
    int w, h, edge;
    double area;
    float *ones, *eroded, *soft; /* [h][w] */
} whole;

static float naive_sample(const float *plane, int w, int h, float x, float y) {
    float xf = floorf(x), yf = floorf(y), east = x - xf, south = y - yf, sum = 0;
    const float weight[4] = {(1 - south) * (1 - east), (1 - south) * east, south * (1 - east), south * east};
    for (int k = 0; k < 4; k++) {
        float px = xf + (float)(k & 1), py = yf + (float)(k >> 1);
        if (px >= 0 && px < (float)w && py >= 0 && py < (float)h)
            sum = fmaf(plane ? plane[((int)py * w + (int)px) * 3] : 1.0f, weight[k], sum);
    }
    return sum;
}

static void position(const ms_warp_map *map, int x, int y, float *ret_x, float *ret_y) {
    float gx = ms_warp_grid(x, map->dst_width), gy = ms_warp_grid(y, map->dst_height);
    *ret_x = ((gx * map->m[0][0] + gy * map->m[0][1]) + map->m[0][2] + 1.0f) * map->half_width;
    *ret_y = ((gx * map->m[1][0] + gy * map->m[1][1]) + map->m[1][2] + 1.0f) * map->half_height;
}

static void naive_erode(const float *in, int w, int h, int before, int after, float *out) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float least = INFINITY;
            for (int j = y - before; j <= y + after; j++)
                for (int i = x - before; i <= x + after; i++)
                    if (i >= 0 && i < w && j >= 0 && j < h)
                        least = fminf(least, in[j * w + i]);
            out[y * w + x] = least;
        }
}

static int mirrored(int i, int n) {
    return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
}

static void naive_blur(const float *in, int w, int h, const float *kernel, int edge, bool down, float *out) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float sum = 0;
            for (int t = -edge; t <= edge; t++)
                sum = fmaf(in[down ? mirrored(y + t, h) * w + x : y * w + mirrored(x + t, w)],
                           kernel[t + edge], sum);
            out[y * w + x] = sum;
        }
}

static void kernel_of(int edge, float *ret_kernel) {
    ms_soft_mask mask = {.edge_px = edge};
    ms_soft_mask_init(&mask);
    ms_soft_mask_kernel(&mask, ret_kernel);
}

static whole naive_masks(const ms_warp_map *map) {
    whole m = {.w = map->dst_width, .h = map->dst_height};
    size_t n = (size_t)m.w * (size_t)m.h;
    float *spare = malloc(n * sizeof(float));
    m.ones = malloc(n * sizeof(float));
    m.eroded = malloc(n * sizeof(float));
    m.soft = malloc(n * sizeof(float));
    for (int i = 0; i < m.w * m.h; i++) {
        float x, y;
        position(map, i % m.w, i / m.w, &x, &y);
        m.ones[i] = naive_sample(NULL, map->src_width, map->src_height, x, y);
    }
    naive_erode(m.ones, m.w, m.h, 1, 0, m.eroded);
    for (size_t i = 0; i < n; i++)
        m.area += m.eroded[i];
    m.edge = (int)sqrt(m.area) / 20;
    float *kernel = malloc((size_t)(2 * m.edge + 1) * sizeof(float));
    kernel_of(m.edge, kernel);
    naive_erode(m.eroded, m.w, m.h, m.edge ? m.edge : 1, m.edge ? m.edge - 1 : 1, m.soft);
    naive_blur(m.soft, m.w, m.h, kernel, m.edge, false, spare);
    naive_blur(spare, m.w, m.h, kernel, m.edge, true, m.soft);
    free(kernel);
    free(spare);
    return m;
}

static void free_masks(whole *m) {
    free(m->ones);
    free(m->eroded);
    free(m->soft);
}

static bool map_of(const ms_face_geometry *g, const float affine[2][3], int width, int height,
                   ms_warp_map *map) {
    float inverse[2][3];
    return ms_affine_invert(affine, inverse) &&
           ms_warp_map_init(inverse, g->crop_width, g->crop_height, width, height, map);
}

static void naive_restore(const ms_face_geometry *g, const float *face, const float affine[2][3],
                          const ms_image *frame, whole *ret_masks) {
    ms_warp_map map;
    assert_true(map_of(g, affine, frame->width, frame->height, &map));
    whole m = naive_masks(&map);
    int r = g->resolution;
    float *crop = malloc((size_t)(g->crop_width * g->crop_height) * 3 * sizeof(float));
    size_t bytes = ms_resize_bicubic_workspace_bytes(r, r, g->crop_width, g->crop_height, 3, 1);
    void *work = malloc(bytes);
    ms_resize_bicubic_args resize = {.src = face,
                                     .src_width = r,
                                     .src_height = r,
                                     .src_stride = (size_t)r * 3,
                                     .dst = crop,
                                     .dst_width = g->crop_width,
                                     .dst_height = g->crop_height,
                                     .dst_stride = (size_t)g->crop_width * 3,
                                     .channels = 3};
    assert_ms_ok(ms_resize_bicubic(&resize, work, bytes, NULL, &err), &err);
    for (int i = 0; i < m.w * m.h * 3; i++) {
        int p = i / 3;
        float x, y;
        position(&map, p % m.w, p / m.w, &x, &y);
        float v = naive_sample(crop + i % 3, map.src_width, map.src_height, x, y) + (1 - m.ones[p]) * 127.0f;
        v = fminf(fmaxf(v / 2 + 0.5f, 0), 1) * 255;
        uint8_t *out = frame->data + (size_t)(p / m.w) * frame->stride_bytes + (size_t)(p % m.w) * 3 + i % 3;
        *out = (uint8_t)(m.soft[p] * (m.eroded[p] * v) + (1 - m.soft[p]) * *out);
    }
    free(crop);
    free(work);
    *ret_masks = m;
}

/* ---- the library ---- */

static ms_restore_info restore(const ms_face_geometry *g, const float *face, const float affine[2][3],
                               const ms_image *frame, int threads) {
    ms_pool *pool = NULL;
    ms_restore_info info;
    if (threads > 1)
        assert_ms_ok(ms_pool_create(NULL, threads, &pool, &err), &err);
    size_t bytes = ms_restore_workspace_bytes(g, frame->width, frame->height, threads);
    uint8_t *work = malloc(bytes);
    memset(work, 0xff, bytes); /* NaN: nothing may be read before it is written */
    ms_restore_args args = {g, face, affine, frame, work, bytes, pool, NULL};
    assert_ms_ok(ms_restore_face(&args, &info, &err), &err);
    free(work);
    ms_pool_destroy(&pool);
    return info;
}

static float *random_face(int resolution, uint64_t *seed) {
    float *face = malloc((size_t)(resolution * resolution) * 3 * sizeof(float));
    for (int i = 0; i < resolution * resolution * 3; i++)
        face[i] = 1.2f * test_uniform(seed);
    return face;
}

static void equals_the_whole_frame_reference(void **state) {
    (void)state;
    uint64_t seed = 17;
    int edges = 0, off_picture = 0;
    for (int round = 0; round < 60; round++) {
        ms_face_geometry g;
        assert_ms_ok(ms_face_geometry_init(64 << (round % 2), &g, &err), &err);
        int w = 40 + (int)(test_rand(&seed) % 160), h = 40 + (int)(test_rand(&seed) % 160);
        double angle = test_uniform(&seed) * (round % 4 ? 0.5 : 3.2),
               size = 0.1 + 0.6 * (1 + test_uniform(&seed));
        double a = size * w / g.crop_width, c = a * cos(angle), s = a * sin(angle); /* frame <- crop */
        double tx = w * (0.5 + 0.7 * test_uniform(&seed)) - c * g.crop_width / 2 + s * g.crop_height / 2;
        double ty = h * (0.5 + 0.7 * test_uniform(&seed)) - s * g.crop_width / 2 - c * g.crop_height / 2;
        double d = a * a;
        float affine[2][3] = {{(float)(c / d), (float)(s / d), (float)(-(c * tx + s * ty) / d)},
                              {(float)(-s / d), (float)(c / d), (float)((s * tx - c * ty) / d)}};
        ms_image want = test_drawn_image(w, h, 3), got = test_drawn_image(w, h, 3),
                 before = test_drawn_image(w, h, 3);
        float *face = random_face(g.resolution, &seed);
        whole m;
        naive_restore(&g, face, affine, &want, &m);
        ms_restore_info info = restore(&g, face, affine, &got, 1 + round % 3);
        assert_memory_equal(got.data, want.data, got.stride_bytes * (size_t)h);
        assert_int_equal(info.edge_px, m.edge);
        assert_true(fabs(info.mask_area - m.area) <= 1e-6 * m.area);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                if (x < info.x0 || x >= info.x1 || y < info.y0 || y >= info.y1)
                    assert_memory_equal(got.data + (y * w + x) * 3, before.data + (y * w + x) * 3, 3);
        edges |= 1 << m.edge;
        off_picture += m.area == 0;
        free_masks(&m);
        free(face);
        free(want.data);
        free(got.data);
        free(before.data);
    }
    assert_true((edges & 7) == 7 && edges > 15); /* widths 0, 1, 2 and more were among them */
    assert_true(off_picture > 0);
}

static void golden_matrix(const char *picture, int resolution, int set, float ret_affine[2][3]) {
    char name[80], path[600];
    ms_tensor_file *file;
    snprintf(name, sizeof(name), "geometry/geometry_%s.safetensors", picture);
    assert_ms_ok(ms_tensor_file_open(NULL, golden_path(path, sizeof(path), name), &file, &err), &err);
    if (resolution == 128) { /* not in the file: made from the points */
        test_tensor points = test_tensor_read(file, "out.align_points");
        ms_face_geometry g;
        ms_align_state smooth = {0};
        assert_ms_ok(ms_face_geometry_init(resolution, &g, &err), &err);
        for (int f = 0; f <= set; f++) {
            float p[3][2];
            for (int i = 0; i < 6; i++)
                p[i / 2][i % 2] = (float)points.data[f * 6 + i];
            assert_ms_ok(ms_align_affine(&g, p, &smooth, ret_affine, &err), &err);
        }
        free(points.data);
    } else {
        snprintf(name, sizeof(name), "out.affine_smoothed_%d", resolution);
        test_tensor matrices = test_tensor_read(file, name);
        for (int i = 0; i < 6; i++)
            ret_affine[i / 3][i % 3] = (float)matrices.data[set * 6 + i];
        free(matrices.data);
    }
    ms_tensor_file_close(&file);
}

static void frames_match_the_official_ones(void **state) {
    (void)state;
    /* What AlignRestore.restore_img (float32, CPU) makes of the drawn picture and a drawn face. */
    static const struct {
        const char *picture;
        int width, height, resolution, set;
        uint64_t hash;
    } known[] = {
        {"640x360", 640, 360, 128, 0, 0x102329c44d4af454u},
        {"640x360", 640, 360, 128, 6, 0x9d13d4a55cb9ddddu},
        {"640x360", 640, 360, 128, 11, 0x587dc3ea03fba7cbu},
        {"640x360", 640, 360, 256, 0, 0xb3ef5f5cbf4c58f8u},
        {"640x360", 640, 360, 256, 6, 0x9b2666c25b64d226u},
        {"640x360", 640, 360, 256, 11, 0xbb5ae66fcf314f01u},
        {"640x360", 640, 360, 512, 0, 0xbe3df1e0e3ec1261u},
        {"640x360", 640, 360, 512, 6, 0x3331a5dadc3b3858u},
        {"640x360", 640, 360, 512, 11, 0x33d07623f9a694b0u},
        {"1080x1920", 1080, 1920, 128, 0, 0x5e99fc80d7b93ce2u},
        {"1080x1920", 1080, 1920, 128, 6, 0xa2c089b4e63acc6eu},
        {"1080x1920", 1080, 1920, 128, 11, 0xdf38c41166b9ec87u},
        {"1080x1920", 1080, 1920, 256, 0, 0x1b96e74bdc431e12u},
        {"1080x1920", 1080, 1920, 256, 6, 0xb76cf6028e3ad793u},
        {"1080x1920", 1080, 1920, 256, 11, 0xaa87f108a26430b2u},
        {"1080x1920", 1080, 1920, 512, 0, 0x956ad8254168545fu},
        {"1080x1920", 1080, 1920, 512, 6, 0x99c2c692ddb533d2u},
        {"1080x1920", 1080, 1920, 512, 11, 0xb7b691e22f815981u},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        ms_face_geometry g;
        float affine[2][3];
        int r = known[i].resolution;
        assert_ms_ok(ms_face_geometry_init(r, &g, &err), &err);
        golden_matrix(known[i].picture, r, known[i].set, affine);
        ms_image frame = test_drawn_image(known[i].width, known[i].height, 3),
                 drawn = test_drawn_image(r, r, 3);
        float *face = malloc((size_t)(r * r) * 3 * sizeof(float));
        for (int k = 0; k < r * r * 3; k++)
            face[k] = ((float)drawn.data[k] / 255.0f - 0.5f) / 0.5f;
        ms_restore_info info = restore(&g, face, affine, &frame, 1 + (int)(i % 2));
        if (test_fnv1a(frame.data, frame.stride_bytes * (size_t)frame.height) != known[i].hash)
            fail_msg("%s, resolution %d, set %d (edge %d)", known[i].picture, r, known[i].set, info.edge_px);
        free(face);
        free(frame.data);
        free(drawn.data);
    }
}

static void golden_frames(void **state) {
    (void)state;
    static const struct {
        const char *picture;
        int resolution, set, x, y, edge;
        double area;
    } kept[] = {{"640x360", 256, 0, 316, 123, 4, 6446.2666},
                {"640x360", 256, 6, 139, 126, 6, 17443.148},
                {"640x360", 256, 11, 0, 139, 8, 29107.320},
                {"640x360", 512, 6, 139, 126, 6, 17443.469},
                {"1080x1920", 512, 2, 423, 518, 18, 141070.0}};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        char name[80], path[600];
        test_video frame, picture, want;
        ms_face_geometry g;
        float affine[2][3];
        int r = kept[i].resolution;
        snprintf(name, sizeof(name), "geometry/image_%s.png", kept[i].picture);
        if (!golden_path(path, sizeof(path), name) || !test_video_read(path, &frame)) {
            print_message("no golden pictures, or no FFmpeg\n");
            skip();
        }
        snprintf(name, sizeof(name), "geometry/synthetic_face_%d.png", r);
        assert_true(test_video_read(golden_path(path, sizeof(path), name), &picture));
        snprintf(name, sizeof(name), "geometry/restored_%s_r%d_f%02d_x%d_y%d.png", kept[i].picture, r,
                 kept[i].set, kept[i].x, kept[i].y);
        assert_true(test_video_read(golden_path(path, sizeof(path), name), &want));
        float *face = malloc((size_t)(r * r) * 3 * sizeof(float));
        for (int k = 0; k < r * r * 3; k++)
            face[k] = ((float)picture.rgb[k] / 255.0f - 0.5f) / 0.5f;
        assert_ms_ok(ms_face_geometry_init(r, &g, &err), &err);
        golden_matrix(kept[i].picture, r, kept[i].set, affine);
        size_t stride = (size_t)frame.width * 3;
        uint8_t *expected = malloc(stride * (size_t)frame.height);
        memcpy(expected, frame.rgb, stride * (size_t)frame.height);
        for (int y = 0; y < want.height; y++)
            memcpy(expected + (size_t)(kept[i].y + y) * stride + (size_t)kept[i].x * 3,
                   want.rgb + (size_t)y * (size_t)want.width * 3, (size_t)want.width * 3);
        ms_image image = {frame.rgb, frame.width, frame.height, 3, stride};
        ms_restore_info info = restore(&g, face, affine, &image, 2);
        assert_memory_equal(frame.rgb, expected, stride * (size_t)frame.height);
        assert_int_equal(info.edge_px, kept[i].edge);
        assert_true(fabs(info.mask_area - kept[i].area) < 0.01);
        free(expected);
        free(face);
        test_video_free(&frame);
        test_video_free(&picture);
        test_video_free(&want);
    }
}

typedef struct soft_rows {
    const whole *masks;
    float *out;
    int x0, asked, given;
} soft_rows;

static void give_row(void *arg, int y, float *ret_row) {
    soft_rows *s = arg;
    assert_true(y > s->asked);
    s->asked = y;
    memcpy(ret_row, s->masks->eroded + y * s->masks->w, (size_t)s->masks->w * sizeof(float));
}

static void take_row(void *arg, int y, const float *soft) {
    soft_rows *s = arg;
    assert_true(y > s->given);
    s->given = y;
    memcpy(s->out + y * s->masks->w, soft, (size_t)s->masks->w * sizeof(float));
}

static void golden_soft_mask(void **state) {
    (void)state;
    char path[600];
    ms_tensor_file *file;
    ms_face_geometry g;
    ms_warp_map map;
    float affine[2][3];
    const char *geometry = golden_path(path, sizeof(path), "geometry/geometry_640x360.safetensors");
    assert_ms_ok(ms_tensor_file_open(NULL, geometry, &file, &err), &err);
    test_tensor want = test_tensor_read(file, "out.soft_f6_256"),
                window = test_tensor_read(file, "out.window_f6_256");
    ms_tensor_file_close(&file);
    assert_ms_ok(ms_face_geometry_init(256, &g, &err), &err);
    golden_matrix("640x360", 256, 6, affine);
    assert_true(map_of(&g, affine, 640, 360, &map));
    whole m = naive_masks(&map);
    ms_soft_mask mask = {.image_width = 640, .image_height = 360, .x1 = 640, .y1 = 360, .edge_px = m.edge};
    ms_soft_mask_init(&mask);
    float *kernel = malloc((size_t)mask.taps * sizeof(float)), *out = calloc(640 * 360, sizeof(float));
    ms_soft_mask_kernel(&mask, kernel);
    ms_scratch count = ms_scratch_begin(NULL);
    ms_soft_mask_lay_out(&count, &mask);
    void *work = malloc(ms_scratch_total(&count));
    ms_scratch scratch = ms_scratch_begin(work);
    ms_soft_mask_rows rows = ms_soft_mask_lay_out(&scratch, &mask);
    soft_rows s = {&m, out, 0, -1, -1};
    ms_soft_mask_run(&mask, &rows, 0, 360, give_row, take_row, &s);
    assert_memory_equal(out, m.soft, 640 * 360 * sizeof(float));
    int x0 = (int)window.data[0], y0 = (int)window.data[1], width = (int)window.data[2] - x0;
    for (int64_t i = 0; i < want.elements; i++)
        assert_true((double)out[(y0 + i / width) * 640 + x0 + i % width] == want.data[i]);
    free_masks(&m);
    free(kernel);
    free(out);
    free(work);
    free(want.data);
    free(window.data);
}

static void edge_widths(void **state) {
    (void)state;
    assert_int_equal(ms_soft_mask_edge_px(0), 0);
    assert_int_equal(ms_soft_mask_edge_px(399.9), 0);
    assert_int_equal(ms_soft_mask_edge_px(400), 1);
    assert_int_equal(ms_soft_mask_edge_px(1599), 1);
    assert_int_equal(ms_soft_mask_edge_px(1600), 2);
    assert_int_equal(ms_soft_mask_edge_px(185016.625), 21);
}

static void hopeless_input_is_refused(void **state) {
    (void)state;
    ms_face_geometry g;
    uint64_t seed = 2;
    assert_ms_ok(ms_face_geometry_init(64, &g, &err), &err);
    float *face = random_face(64, &seed);
    ms_image frame = test_drawn_image(50, 40, 3), before = test_drawn_image(50, 40, 3);
    size_t bytes = ms_restore_workspace_bytes(&g, 50, 40, 1);
    void *work = malloc(bytes);
    static const float bad[][2][3] = {{{0, 0, 0}, {0, 0, 0}},
                                      {{NAN, 0, 0}, {0, 1, 0}},
                                      {{1, 2, 3}, {2, 4, 6}},
                                      {{1, 0, INFINITY}, {0, 1, 0}}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ms_restore_args args = {&g, face, bad[i], &frame, work, bytes, NULL, NULL};
        assert_int_equal(ms_restore_face(&args, NULL, &err), MS_INVALID_ARGUMENT);
    }
    /* Out of the picture, or smaller than a pixel: nothing changes. */
    static const float far_off[][2][3] = {
        {{1, 0, 1e6f}, {0, 1, 0}}, {{1e9f, 0, 0}, {0, 1e9f, 0}}, {{1, 0, 1e30f}, {0, 1, 0}}};
    for (size_t i = 0; i < sizeof(far_off) / sizeof(far_off[0]); i++) {
        ms_restore_args args = {&g, face, far_off[i], &frame, work, bytes, NULL, NULL};
        assert_ms_ok(ms_restore_face(&args, NULL, &err), &err);
    }
    static const float one[2][3] = {{1, 0, 0}, {0, 1, 0}};
    ms_restore_args args = {&g, face, one, &frame, work, bytes - 1, NULL, NULL};
    assert_int_equal(ms_restore_face(&args, NULL, &err), MS_INVALID_ARGUMENT);
    ms_image strip = {frame.data, 1, 40, 3, 150};
    args = (ms_restore_args){&g, face, one, &strip, work, bytes, NULL, NULL};
    assert_int_equal(ms_restore_face(&args, NULL, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_restore_workspace_bytes(&g, 1, 40, 1), 0);
    assert_int_equal(ms_restore_workspace_bytes(&g, 50, 40, 0), 0);
    assert_memory_equal(frame.data, before.data, 50 * 40 * 3);
    /* A face that is not finite paints black, not at random. */
    for (int i = 0; i < 64 * 64 * 3; i++)
        face[i] = NAN;
    args = (ms_restore_args){&g, face, one, &frame, work, bytes, NULL, NULL};
    assert_ms_ok(ms_restore_face(&args, NULL, &err), &err);
    assert_int_equal(frame.data[(20 * 50 + 25) * 3], 0);
    free(face);
    free(frame.data);
    free(before.data);
    free(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_whole_frame_reference),
        cmocka_unit_test(frames_match_the_official_ones),
        cmocka_unit_test(golden_frames),
        cmocka_unit_test(golden_soft_mask),
        cmocka_unit_test(edge_widths),
        cmocka_unit_test(hopeless_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
