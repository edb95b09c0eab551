/* Resizing: hashes of cv2 4.9 and torch 2.15, naive references over random sizes, golden pictures. */
#include "test.h"

#include "base/pool.h"
#include "pictures/resize.h"
#include "support/media/drawn.h"
#include "support/media/picture.h"
#include "support/models/tensors.h"

static ms_error err;

static void resize_u8(ms_resize_filter filter, const ms_image *src, const ms_image *dst) {
    ms_image_view view = ms_image_as_view(src);
    size_t bytes = ms_resize_u8_workspace_bytes(filter, dst->width, dst->channels);
    void *work = malloc(bytes);
    assert_ms_ok(ms_resize_u8(filter, &view, dst, work, bytes, &err), &err);
    free(work);
}

static void u8_matches_cv2(void **state) {
    (void)state;
    /* cv2.resize of the drawn picture: bilinear with 3 and 1 channels, Lanczos-4 with 3 and 1. */
    static const struct {
        int src_w, src_h, dst_w, dst_h;
        uint64_t hash[4];
    } known[] = {
        {210,
         280,
         256,
         256,
         {0xef91a4a8f741045du, 0x2fea3f6c1f1f76fbu, 0xeeb6708bfbe14a6fu, 0x6cc632036f5e0690u}},
        {420,
         560,
         512,
         512,
         {0xdbe44c6cf6b415edu, 0x256580b44d8d0047u, 0xa145ef8c30f16fd9u, 0x4e1bd2a20ea412eau}},
        {640,
         360,
         512,
         288,
         {0x620836105a5bf352u, 0x8f380a0afa50cd43u, 0xc153cda7d50aff90u, 0xff6c18fdd723fba7u}},
        {300,
         533,
         288,
         512,
         {0xcc8f29949d7f4b40u, 0x4c349b15c41a8e38u, 0x8775fb1435129359u, 0xb053ac464e0eb89du}},
        {57,
         41,
         200,
         190,
         {0x891085505d285cdbu, 0xe3b0e25be7451ce9u, 0x1d683f85ca79fccfu, 0xc2e1a76fdfa04cbbu}},
        {200,
         190,
         57,
         41,
         {0x162bd5263e12a698u, 0x52d2f2aaacf1dcf2u, 0x1619db99a7c9bca7u, 0x0726ac6387e536b6u}},
        {1, 7, 16, 5, {0x698e402e7d8b21a5u, 0x37bcd7db893001c5u, 0x1a5fe0e8c8f118a5u, 0x37bcd7db893001c5u}},
        {9, 1, 4, 12, {0x976cb0ea474511b9u, 0x38eb29f7a43253f5u, 0x576169775d8ddbb5u, 0x38eb29f7a43253f5u}},
        {128,
         96,
         64,
         48,
         {0x0a792016f8cd5805u, 0xda0a1909dd371abdu, 0x793b833e83a5d471u, 0xfe32bafafcd3246bu}},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        for (int k = 0; k < 4; k++) {
            int channels = k % 2 ? 1 : 3;
            ms_image src = test_drawn_image(known[i].src_w, known[i].src_h, channels);
            ms_image dst = test_blank_image(known[i].dst_w, known[i].dst_h, channels);
            resize_u8(k < 2 ? MS_RESIZE_BILINEAR : MS_RESIZE_LANCZOS4, &src, &dst);
            size_t bytes = dst.stride_bytes * (size_t)dst.height;
            if (test_fnv1a(dst.data, bytes) != known[i].hash[k])
                fail_msg("%dx%d to %dx%d, case %d", src.width, src.height, dst.width, dst.height, k);
            free(src.data);
            free(dst.data);
        }
}

static int clamp(int v, int low, int high) {
    return v < low ? low : v > high ? high : v;
}

/* The definition with real weights: sum over taps, edges repeated. Fixed point may differ by a level. */
static double naive_sample(const ms_image *src, double x, double y, int c, bool lanczos) {
    int taps = lanczos ? 8 : 2, x0 = (int)floor(x) - taps / 2 + 1, y0 = (int)floor(y) - taps / 2 + 1;
    double wx[8], wy[8], sum_x = 0, sum_y = 0, sum = 0;
    for (int k = 0; k < taps; k++) {
        double t[2] = {x - (x0 + k), y - (y0 + k)}, w[2];
        for (int a = 0; a < 2; a++)
            w[a] = !lanczos ? 1 - fabs(t[a])
                   : fabs(t[a]) < 1e-9
                       ? 1
                       : sin(M_PI * t[a]) * sin(M_PI * t[a] / 4) * 4 / (M_PI * M_PI * t[a] * t[a]);
        sum_x += wx[k] = w[0];
        sum_y += wy[k] = w[1];
    }
    for (int j = 0; j < taps; j++)
        for (int i = 0; i < taps; i++) {
            int px = clamp(x0 + i, 0, src->width - 1), py = clamp(y0 + j, 0, src->height - 1);
            sum +=
                wx[i] * wy[j] * src->data[(size_t)py * src->stride_bytes + (size_t)(px * src->channels + c)];
        }
    return sum / (sum_x * sum_y);
}

static void u8_follows_the_definition(void **state) {
    (void)state;
    uint64_t seed = 11;
    for (int round = 0; round < 120; round++) {
        int size[4], channels = round % 2 ? 3 : 1;
        for (int i = 0; i < 4; i++)
            size[i] = 1 + (int)(test_rand(&seed) % (round % 3 ? 60 : 9));
        if (size[0] == 2 * size[2] && size[1] == 2 * size[3])
            continue; /* the mean of 2x2, checked by its hash */
        ms_image src = test_drawn_image(size[0], size[1], channels);
        ms_image dst = test_blank_image(size[2], size[3], channels);
        for (size_t i = 0; i < src.stride_bytes * (size_t)src.height; i++)
            src.data[i] = (uint8_t)test_rand(&seed);
        resize_u8(round % 4 < 2 ? MS_RESIZE_BILINEAR : MS_RESIZE_LANCZOS4, &src, &dst);
        for (int y = 0; y < dst.height; y++)
            for (int x = 0; x < dst.width * channels; x++) {
                double sx = (x / channels + 0.5) * src.width / dst.width - 0.5;
                double sy = (y + 0.5) * src.height / dst.height - 0.5;
                double v = naive_sample(&src, sx, sy, x % channels, round % 4 >= 2);
                v = fmin(fmax(v, 0), 255);
                assert_true(fabs(v - dst.data[(size_t)y * dst.stride_bytes + (size_t)x]) < 2.0);
            }
        free(src.data);
        free(dst.data);
    }
}

static void strides_are_respected(void **state) {
    (void)state;
    ms_image tight = test_drawn_image(30, 20, 3), wide = test_blank_image(40, 20, 3);
    for (int y = 0; y < 20; y++)
        memcpy(wide.data + (size_t)y * wide.stride_bytes, tight.data + (size_t)y * tight.stride_bytes, 90);
    wide.width = 30;
    ms_image a = test_blank_image(50, 44, 3), b = test_blank_image(60, 44, 3);
    memset(b.data, 77, 60 * 44 * 3);
    b.width = 50;
    resize_u8(MS_RESIZE_LANCZOS4, &tight, &a);
    resize_u8(MS_RESIZE_LANCZOS4, &wide, &b);
    for (int y = 0; y < 44; y++) {
        assert_memory_equal(a.data + (size_t)y * a.stride_bytes, b.data + (size_t)y * b.stride_bytes, 150);
        for (int i = 150; i < 180; i++)
            assert_int_equal(b.data[(size_t)y * b.stride_bytes + (size_t)i], 77);
    }
    free(tight.data);
    free(wide.data);
    free(a.data);
    free(b.data);
}

static void bicubic(const ms_image *src, const float *src_f32, int width, int height, float *dst,
                    uint8_t *dst_u8, int threads) {
    ms_pool *pool = NULL;
    if (threads > 1)
        assert_ms_ok(ms_pool_create(NULL, threads, &pool, &err), &err);
    size_t bytes = ms_resize_bicubic_workspace_bytes(src->width, src->height, width, height, 3, threads);
    void *work = malloc(bytes);
    ms_resize_bicubic_args args = {.src = src_f32,
                                   .src_u8 = src_f32 ? NULL : src->data,
                                   .src_width = src->width,
                                   .src_height = src->height,
                                   .src_stride = (size_t)src->width * 3,
                                   .dst = dst,
                                   .dst_u8 = dst_u8,
                                   .dst_width = width,
                                   .dst_height = height,
                                   .dst_stride = (size_t)width * 3,
                                   .channels = 3};
    assert_ms_ok(ms_resize_bicubic(&args, work, bytes, pool, &err), &err);
    free(work);
    ms_pool_destroy(&pool);
}

static void bicubic_matches_torch(void **state) {
    (void)state;
    /* torch interpolate(mode="bicubic", antialias=True) of the drawn picture as float, and in 8 bits. */
    static const struct {
        int src_w, src_h, dst_w, dst_h;
        uint64_t hash_f32, hash_u8;
    } known[] = {
        {210, 280, 256, 256, 0x089a16e0dcd9fab5u, 0x4f6709e9c4bdafa9u},
        {420, 560, 512, 512, 0x338fbeada9f53f03u, 0x388626595e43eacau},
        {640, 360, 512, 288, 0xb5d95e737ede77e3u, 0xb5fa2a47d3a6a560u},
        {300, 533, 288, 512, 0x54bfa335ed5da572u, 0x48678ecb880176f2u},
        {57, 41, 200, 190, 0x117ae2ea6b6560a7u, 0x0220411713650a59u},
        {200, 190, 57, 41, 0x267126d77ae8b29fu, 0x77646fc3b4f5bc3eu},
        {1, 7, 16, 5, 0x28008d35f6614025u, 0x698e402e7d8b21a5u},
        {9, 1, 4, 12, 0xd967d8eb780d1fd5u, 0x83f68a1eb11e2385u},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            ms_image src = test_drawn_image(known[i].src_w, known[i].src_h, 3);
            size_t n = (size_t)known[i].dst_w * (size_t)known[i].dst_h * 3;
            size_t src_n = src.stride_bytes * (size_t)src.height;
            float *floats = malloc(src_n * sizeof(float)), *out = malloc(n * sizeof(float));
            uint8_t *bytes = malloc(n);
            for (size_t k = 0; k < src_n; k++)
                floats[k] = src.data[k];
            bicubic(&src, floats, known[i].dst_w, known[i].dst_h, out, NULL, threads);
            assert_true(test_fnv1a(out, n * sizeof(float)) == known[i].hash_f32);
            bicubic(&src, NULL, known[i].dst_w, known[i].dst_h, out, NULL, threads);
            assert_true(test_fnv1a(out, n * sizeof(float)) == known[i].hash_f32);
            bicubic(&src, NULL, known[i].dst_w, known[i].dst_h, NULL, bytes, threads);
            assert_true(test_fnv1a(bytes, n) == known[i].hash_u8);
            free(src.data);
            free(floats);
            free(out);
            free(bytes);
        }
}

static double keys(double t) {
    t = fabs(t);
    return t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

/* Weight of source pixel s for destination pixel d, not normalised. */
static double bicubic_weight(int src, int dst, int d, int s) {
    double scale = (double)src / dst, wide = scale > 1 ? scale : 1;
    return keys((s + 0.5 - (d + 0.5) * scale) / wide);
}

static void bicubic_follows_the_definition(void **state) {
    (void)state;
    uint64_t seed = 5;
    for (int round = 0; round < 30; round++) {
        int sw = 1 + (int)(test_rand(&seed) % 40), sh = 1 + (int)(test_rand(&seed) % 40);
        int dw = 1 + (int)(test_rand(&seed) % 40), dh = 1 + (int)(test_rand(&seed) % 40);
        ms_image src = {NULL, sw, sh, 3, (size_t)sw * 3};
        float *in = malloc((size_t)sw * (size_t)sh * 3 * sizeof(float));
        float *out = malloc((size_t)dw * (size_t)dh * 3 * sizeof(float));
        for (int i = 0; i < sw * sh * 3; i++)
            in[i] = test_uniform(&seed);
        bicubic(&src, in, dw, dh, out, NULL, 1 + round % 2);
        for (int y = 0; y < dh; y++)
            for (int x = 0; x < dw; x++) {
                double sum = 0, total = 0;
                for (int j = 0; j < sh; j++)
                    for (int i = 0; i < sw; i++) {
                        double w = bicubic_weight(sh, dh, y, j) * bicubic_weight(sw, dw, x, i);
                        sum += w * in[(j * sw + i) * 3 + 1];
                        total += w;
                    }
                assert_true(fabs(sum / total - out[(y * dw + x) * 3 + 1]) < 3e-5);
            }
        free(in);
        free(out);
    }
}

static void bad_arguments_are_refused(void **state) {
    (void)state;
    ms_image src = test_drawn_image(8, 8, 3), dst = test_blank_image(9, 9, 3);
    ms_image_view view = ms_image_as_view(&src), grey = view;
    grey.channels = 1;
    size_t bytes = ms_resize_u8_workspace_bytes(MS_RESIZE_LANCZOS4, 9, 3);
    uint8_t *work = malloc(bytes);
    assert_int_equal(ms_resize_u8(MS_RESIZE_LANCZOS4, &grey, &dst, work, bytes, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_resize_u8(MS_RESIZE_LANCZOS4, &view, &dst, work, bytes - 1, &err),
                     MS_INVALID_ARGUMENT);
    assert_int_equal(ms_resize_u8(MS_RESIZE_LANCZOS4, &view, &dst, NULL, bytes, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_resize_u8((ms_resize_filter)7, &view, &dst, work, bytes, &err), MS_INVALID_ARGUMENT);
    view.width = 0;
    assert_int_equal(ms_resize_u8(MS_RESIZE_LANCZOS4, &view, &dst, work, bytes, NULL), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_resize_bicubic_workspace_bytes(0, 8, 9, 9, 3, 1), 0);
    assert_int_equal(ms_resize_bicubic_workspace_bytes(8, 8, 9, MS_IMAGE_MAX_PX + 1, 3, 1), 0);
    ms_resize_bicubic_args none = {
        .src_width = 8, .src_height = 8, .dst_width = 9, .dst_height = 9, .channels = 3};
    assert_int_equal(ms_resize_bicubic(&none, work, bytes, NULL, &err), MS_INVALID_ARGUMENT);
    free(work);
    free(src.data);
    free(dst.data);
}

static void golden_pictures(void **state) {
    (void)state;
    char path[600];
    test_video in, want;
    if (!golden_path(path, sizeof(path), "geometry/prepare_in_200.png") || !test_video_read(path, &in)) {
        print_message("no golden pictures, or no FFmpeg\n");
        skip();
    }
    assert_true(test_video_read(golden_path(path, sizeof(path), "geometry/prepare_200_resized.png"), &want));
    ms_image src = {in.rgb, in.width, in.height, 3, (size_t)in.width * 3};
    uint8_t *out = malloc(128 * 128 * 3);
    bicubic(&src, NULL, 128, 128, NULL, out, 2);
    assert_memory_equal(out, want.rgb, 128 * 128 * 3);
    free(out);
    test_video_free(&in);
    test_video_free(&want);
    static const char *const crops[] = {"640x360_r256_f00", "640x360_r256_f06", "640x360_r256_f11",
                                        "640x360_r512_f06"};
    for (size_t i = 0; i < sizeof(crops) / sizeof(crops[0]); i++) {
        char name[80];
        snprintf(name, sizeof(name), "geometry/crop_%s.png", crops[i]);
        assert_true(test_video_read(golden_path(path, sizeof(path), name), &in));
        snprintf(name, sizeof(name), "geometry/crop_%s_lanczos.png", crops[i]);
        assert_true(test_video_read(golden_path(path, sizeof(path), name), &want));
        ms_image crop = {in.rgb, in.width, in.height, 3, (size_t)in.width * 3};
        ms_image face = test_blank_image(want.width, want.height, 3);
        resize_u8(MS_RESIZE_LANCZOS4, &crop, &face);
        assert_memory_equal(face.data, want.rgb, (size_t)want.width * (size_t)want.height * 3);
        free(face.data);
        test_video_free(&in);
        test_video_free(&want);
    }
}

static void golden_float_face(void **state) {
    (void)state;
    char path[600];
    ms_tensor_file *file;
    test_video face;
    const char *geometry = golden_path(path, sizeof(path), "geometry/geometry_640x360.safetensors");
    assert_non_null(geometry);
    assert_ms_ok(ms_tensor_file_open(NULL, geometry, &file, &err), &err);
    for (int r = 256; r <= 512; r *= 2) {
        char name[80];
        snprintf(name, sizeof(name), "geometry/synthetic_face_%d.png", r);
        if (!golden_path(path, sizeof(path), name) || !test_video_read(path, &face)) {
            print_message("no golden pictures, or no FFmpeg\n");
            ms_tensor_file_close(&file);
            skip();
        }
        snprintf(name, sizeof(name), "out.bicubic_%d_channel0_row_step16", r);
        test_tensor want = test_tensor_read(file, name);
        int width = r * 210 / 256, height = r * 280 / 256;
        float *in = malloc((size_t)(r * r) * 3 * sizeof(float));
        float *out = malloc((size_t)(width * height) * 3 * sizeof(float));
        for (int i = 0; i < r * r * 3; i++)
            in[i] = ((float)face.rgb[i] / 255.0f - 0.5f) / 0.5f;
        ms_image src = {NULL, r, r, 3, 0};
        bicubic(&src, in, width, height, out, NULL, 1);
        for (int64_t i = 0; i < want.elements; i++)
            assert_true((double)out[(i / width * 16 * width + i % width) * 3] == want.data[i]);
        free(in);
        free(out);
        free(want.data);
        test_video_free(&face);
    }
    ms_tensor_file_close(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u8_matches_cv2),
        cmocka_unit_test(u8_follows_the_definition),
        cmocka_unit_test(strides_are_respected),
        cmocka_unit_test(bicubic_matches_torch),
        cmocka_unit_test(bicubic_follows_the_definition),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(golden_pictures),
        cmocka_unit_test(golden_float_face),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
