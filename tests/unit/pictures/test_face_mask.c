/* The fixed mask and what it does to a face. */
#include "test.h"

#include "pictures/mask.h"
#include "support/media/drawn.h"
#include "support/media/picture.h"
#include "support/models/tensors.h"

static ms_error err;

static uint8_t *mask_of(int resolution) {
    size_t bytes = ms_face_mask_workspace_bytes(resolution);
    uint8_t *mask = malloc((size_t)resolution * (size_t)resolution), *work = malloc(bytes);
    assert_ms_ok(ms_face_mask(resolution, mask, work, bytes, &err), &err);
    free(work);
    return mask;
}

static void mask_matches_the_official_one(void **state) {
    (void)state;
    /* cv2.resize(mask.png, INTER_LANCZOS4), one channel. */
    static const struct {
        int resolution;
        uint64_t hash;
    } known[] = {{64, 0xb35d497965d32587u},  {128, 0x3541738467b0b1ccu}, {256, 0xc8847ec13ac15176u},
                 {384, 0x57d8c999d107044cu}, {512, 0x7a94fef9dc3d2d27u}, {1024, 0x35d8dfb928f5079au}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t n = (size_t)known[i].resolution * (size_t)known[i].resolution;
        uint8_t *mask = mask_of(known[i].resolution);
        assert_true(test_fnv1a(mask, n) == known[i].hash);
        free(mask);
    }
}

static void golden_pictures(void **state) {
    (void)state;
    char path[600], name[80];
    for (int resolution = 128; resolution <= 512; resolution *= 2) {
        test_video want;
        snprintf(name, sizeof(name), "geometry/mask_%d.png", resolution);
        if (!golden_path(path, sizeof(path), name) || !test_video_read(path, &want)) {
            print_message("no golden pictures, or no FFmpeg\n");
            skip();
        }
        uint8_t *mask = mask_of(resolution);
        for (int i = 0; i < resolution * resolution; i++)
            assert_int_equal(mask[i], want.rgb[3 * i]);
        free(mask);
        test_video_free(&want);
    }
}

static test_tensor read_one(const char *rel, const char *name) {
    char path[600];
    ms_tensor_file *file;
    if (!golden_path(path, sizeof(path), rel)) {
        print_message("%s is not there\n", rel);
        return (test_tensor){0};
    }
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    test_tensor t = test_tensor_read(file, name);
    ms_tensor_file_close(&file);
    return t;
}

static void golden_latents(void **state) {
    (void)state;
    for (int resolution = 128; resolution <= 512; resolution *= 2) {
        char rel[80];
        snprintf(rel, sizeof(rel), "geometry/mask_latent_%d.safetensors", resolution);
        test_tensor want = read_one(rel, "out.mask_latent");
        uint8_t *mask = mask_of(resolution);
        float *latent = malloc((size_t)want.elements * sizeof(float));
        assert_int_equal(want.elements, resolution * resolution / 64);
        ms_face_mask_latent(mask, resolution, latent);
        for (int64_t i = 0; i < want.elements; i++)
            assert_true((double)latent[i] == want.data[i]);
        free(want.data);
        free(mask);
        free(latent);
    }
}

static void golden_masked_pixels(void **state) {
    (void)state;
    char path[600];
    test_video resized;
    test_tensor plain = read_one("geometry/prepare_128.safetensors", "out.pixel_values_200_channel1");
    if (!plain.data || !golden_path(path, sizeof(path), "geometry/prepare_200_resized.png") ||
        !test_video_read(path, &resized)) {
        free(plain.data);
        skip();
    }
    test_tensor masked = read_one("geometry/prepare_128.safetensors", "out.masked_pixel_values_200_channel1");
    uint8_t *mask = mask_of(128);
    float *pixels = malloc(128 * 128 * 3 * sizeof(float));
    ms_image_view face = {resized.rgb, 128, 128, 3, 128 * 3};
    ms_face_pixels(&face, pixels);
    for (int i = 0; i < 128 * 128; i++)
        assert_true((double)pixels[3 * i + 1] == plain.data[i]);
    ms_face_masked_pixels(&face, mask, pixels);
    for (int i = 0; i < 128 * 128; i++)
        assert_true((double)pixels[3 * i + 1] == masked.data[i]);
    free(mask);
    free(pixels);
    free(plain.data);
    free(masked.data);
    test_video_free(&resized);
}

static void golden_end_to_end(void **state) {
    (void)state;
    char path[600];
    test_video faces;
    test_tensor masked = read_one("e2e/stages.safetensors", "out.masked_pixels_frame0_channel1");
    if (!masked.data || !golden_path(path, sizeof(path), "e2e/faces_aligned.mkv") ||
        !test_video_read(path, &faces)) {
        free(masked.data);
        skip();
    }
    test_tensor latent = read_one("e2e/stages.safetensors", "out.mask_latent");
    uint8_t *mask = mask_of(128);
    float *pixels = malloc(128 * 128 * 3 * sizeof(float)), small[16 * 16];
    ms_image_view face = {faces.rgb, 128, 128, 3, 128 * 3};
    ms_face_masked_pixels(&face, mask, pixels);
    for (int i = 0; i < 128 * 128; i++)
        assert_true((double)pixels[3 * i + 1] == masked.data[i]);
    ms_face_mask_latent(mask, 128, small);
    for (int i = 0; i < 16 * 16; i++)
        assert_true((double)small[i] == latent.data[i]);
    free(mask);
    free(pixels);
    free(masked.data);
    free(latent.data);
    test_video_free(&faces);
}

static void surroundings_come_back(void **state) {
    (void)state;
    uint8_t *mask = mask_of(128);
    ms_image face = test_drawn_image(128, 128, 3);
    ms_image_view view = ms_image_as_view(&face);
    float *pixels = malloc(128 * 128 * 3 * sizeof(float)), *decoded = malloc(128 * 128 * 3 * sizeof(float));
    ms_face_pixels(&view, pixels);
    for (int i = 0; i < 128 * 128 * 3; i++)
        decoded[i] = sinf((float)i);
    ms_face_paste_surroundings(&view, mask, decoded);
    int kept = 0, redrawn = 0, mixed = 0;
    for (int i = 0; i < 128 * 128 * 3; i++) {
        double drawn = sinf((float)i), keep = mask[i / 3] / 255.0;
        kept += mask[i / 3] == 255;
        redrawn += mask[i / 3] == 0;
        mixed += mask[i / 3] != 0 && mask[i / 3] != 255;
        if (mask[i / 3] == 255)
            assert_true(decoded[i] == pixels[i]);
        else if (mask[i / 3] == 0)
            assert_true((double)decoded[i] == drawn);
        else
            assert_true(fabs(decoded[i] - (drawn * (1 - keep) + pixels[i] * keep)) < 1e-6);
    }
    assert_true(kept > 0 && redrawn > 0 && mixed > 0);
    free(mask);
    free(face.data);
    free(pixels);
    free(decoded);
}

static void bad_sizes_are_refused(void **state) {
    (void)state;
    uint8_t work[16], mask[16];
    assert_int_equal(ms_face_mask(100, mask, work, sizeof(work), &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_face_mask(-8, mask, work, sizeof(work), &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_face_mask(64, mask, work, sizeof(work), &err), MS_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask_matches_the_official_one),
        cmocka_unit_test(golden_pictures),
        cmocka_unit_test(golden_latents),
        cmocka_unit_test(golden_masked_pixels),
        cmocka_unit_test(golden_end_to_end),
        cmocka_unit_test(surroundings_come_back),
        cmocka_unit_test(bad_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
