/* Detector input, output decoding, landmark crops and the choice of faces. */
#include "test.h"

#include "faces/detect.h"
#include "support/media/drawn.h"
#include "support/media/picture.h"
#include "support/models/tensors.h"
#include "text/json.h"

#define SIDE MS_DETECT_SIDE

static ms_error err;

static float *letterbox(const ms_image *frame, ms_blob_layout layout, ms_letterbox *ret_fit) {
    ms_image_view view = ms_image_as_view(frame);
    ms_blob_format format = ms_detect_blob_format(layout);
    size_t bytes = ms_letterbox_workspace_bytes(SIDE);
    void *work = malloc(bytes);
    float *blob = malloc((size_t)SIDE * SIDE * 3 * sizeof(float));
    assert_ms_ok(ms_letterbox_blob(&view, SIDE, &format, blob, ret_fit, work, bytes, &err), &err);
    free(work);
    return blob;
}

static void letterbox_sizes(void **state) {
    (void)state;
    static const struct {
        int width, height, fit_width, fit_height;
    } known[] = {{640, 360, 512, 288}, {1080, 1920, 288, 512}, {300, 533, 288, 512}, {512, 512, 512, 512},
                 {100, 100, 512, 512}, {1000, 999, 512, 511},  {16384, 100, 512, 3}};
    ms_letterbox fit;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_ms_ok(ms_letterbox_fit(known[i].width, known[i].height, SIDE, &fit, &err), &err);
        assert_int_equal(fit.width, known[i].fit_width);
        assert_int_equal(fit.height, known[i].fit_height);
        assert_true(fit.scale == (float)((double)fit.height / known[i].height));
    }
    assert_int_equal(ms_letterbox_fit(16384, 2, SIDE, &fit, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_letterbox_fit(2, 16384, SIDE, &fit, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_letterbox_fit(0, 10, SIDE, &fit, &err), MS_INVALID_ARGUMENT);
}

static void blob_layouts(void **state) {
    (void)state;
    ms_image picture = test_drawn_image(7, 5, 3);
    ms_image_view view = ms_image_as_view(&picture);
    ms_blob_format hwc = ms_detect_blob_format(MS_BLOB_HWC), chw = {MS_BLOB_CHW, 0, 1};
    float a[9 * 9 * 3], b[9 * 9 * 3];
    ms_blob_fill(&view, 9, &hwc, a);
    ms_blob_fill(&view, 9, &chw, b);
    for (int y = 0; y < 9; y++)
        for (int x = 0; x < 9; x++)
            for (int c = 0; c < 3; c++) {
                int sample = x < 7 && y < 5 ? test_drawn_sample(x, y, 2 - c) : 0; /* blue first */
                assert_true(a[(y * 9 + x) * 3 + c] == ((float)sample - 127.5f) / 128);
                assert_true(b[(c * 9 + y) * 9 + x] == (float)sample);
            }
    free(picture.data);
}

static ms_tensor_file *open_post(const char *name) {
    char rel[80], path[600];
    ms_tensor_file *file;
    snprintf(rel, sizeof(rel), "facedet/scrfd_post_%s.safetensors", name);
    assert_non_null(golden_path(path, sizeof(path), rel));
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    return file;
}

typedef struct heads {
    float *data[MS_SCRFD_LEVELS][3];
    ms_scrfd_output outputs[MS_SCRFD_LEVELS];
} heads;

/* As the golden README says: 0.01, 1 and 0 everywhere but in the kept rows. Buffers of exactly their size. */
static heads read_heads(const ms_tensor_file *file) {
    static const char *const names[3] = {"scores", "bbox", "kps"};
    static const int width[3] = {1, 4, 10};
    heads h;
    for (int level = 0; level < MS_SCRFD_LEVELS; level++) {
        int stride = 8 << level, rows = SIDE / stride * (SIDE / stride) * 2;
        char name[40];
        test_tensor kept = {0};
        snprintf(name, sizeof(name), "in.s%d.rows", stride);
        if (ms_tensor_file_find(file, name))
            kept = test_tensor_read(file, name);
        for (int k = 0; k < 3; k++) {
            test_tensor values = {0};
            float *out = h.data[level][k] = malloc((size_t)(rows * width[k]) * sizeof(float));
            for (int i = 0; i < rows * width[k]; i++)
                out[i] = k == 0 ? 0.01f : k == 1 ? 1.0f : 0.0f;
            snprintf(name, sizeof(name), "in.s%d.%s", stride, names[k]);
            if (kept.data)
                values = test_tensor_read(file, name);
            for (int64_t i = 0; i < kept.elements; i++)
                for (int c = 0; c < width[k]; c++)
                    out[(int)kept.data[i] * width[k] + c] = (float)values.data[i * width[k] + c];
            free(values.data);
        }
        free(kept.data);
        h.outputs[level] = (ms_scrfd_output){h.data[level][0], h.data[level][1], h.data[level][2]};
    }
    return h;
}

static void free_heads(heads *h) {
    for (int i = 0; i < MS_SCRFD_LEVELS * 3; i++)
        free(h->data[i / 3][i % 3]);
}

static int decode(const heads *h, float scale, ms_detection *faces, int capacity) {
    size_t bytes = ms_scrfd_workspace_bytes(SIDE);
    void *work = malloc(bytes);
    int count = -1;
    assert_ms_ok(ms_scrfd_decode(h->outputs, SIDE, scale, faces, capacity, &count, work, bytes, &err), &err);
    free(work);
    return count;
}

static void golden_detections(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int width, height;
    } cases[] = {{"640x360", 640, 360}, {"1080x1920", 1080, 1920}, {"empty", 640, 360}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ms_tensor_file *file = open_post(cases[i].name);
        test_tensor det = test_tensor_read(file, "out.det"), kps = test_tensor_read(file, "out.kps");
        heads h = read_heads(file);
        ms_letterbox fit;
        ms_detection faces[16], best[2];
        assert_ms_ok(ms_letterbox_fit(cases[i].width, cases[i].height, SIDE, &fit, &err), &err);
        int count = decode(&h, fit.scale, faces, 16);
        assert_int_equal(count, det.shape[0]);
        for (int f = 0; f < count; f++) {
            for (int c = 0; c < 4; c++)
                assert_true((double)faces[f].box[c] == det.data[f * 5 + c]);
            assert_true((double)faces[f].score == det.data[f * 5 + 4]);
            for (int c = 0; c < 10; c++)
                assert_true((double)faces[f].key_points[c / 2][c % 2] == kps.data[f * 10 + c]);
        }
        /* the best ones come first */
        assert_int_equal(decode(&h, fit.scale, best, 2), count < 2 ? count : 2);
        for (int f = 0; f < count && f < 2; f++)
            assert_true(best[f].score == faces[f].score);
        free_heads(&h);
        free(det.data);
        free(kps.data);
        ms_tensor_file_close(&file);
    }
}

static void golden_landmarks(void **state) {
    (void)state;
    static const char *const names[] = {"640x360", "1080x1920"};
    for (int i = 0; i < 2; i++) {
        ms_tensor_file *file = open_post(names[i]);
        test_tensor det = test_tensor_read(file, "out.det"),
                    output = test_tensor_read(file, "in.landmark_pred");
        test_tensor want = test_tensor_read(file, "out.landmarks");
        for (int f = 0; f < (int)det.shape[0]; f++) {
            ms_landmark_crop crop;
            float box[4], net[2 * MS_LANDMARKS], landmarks[MS_LANDMARKS][2];
            for (int c = 0; c < 4; c++)
                box[c] = (float)det.data[f * 5 + c];
            for (int k = 0; k < 2 * MS_LANDMARKS; k++)
                net[k] = (float)output.data[f * 2 * MS_LANDMARKS + k];
            assert_ms_ok(ms_landmark_crop_fit(box, &crop, &err), &err);
            ms_landmarks_decode(&crop, net, landmarks);
            for (int k = 0; k < 2 * MS_LANDMARKS; k++)
                assert_true((double)landmarks[k / 2][k % 2] == want.data[f * 2 * MS_LANDMARKS + k]);
        }
        free(det.data);
        free(output.data);
        free(want.data);
        ms_tensor_file_close(&file);
    }
}

static void crops_match_cv2(void **state) {
    (void)state;
    /* cv2.warpAffine (4.9) of the drawn picture, 640x360, with insightface's matrix. */
    static const struct {
        float box[4];
        uint64_t hash;
    } known[] = {{{100, 50, 220, 210}, 0x56865ef77c63ccf9u},
                 {{-60.5f, -20.25f, 80, 130.75f}, 0xf61f9d2e270dd494u},
                 {{600.3f, 300.1f, 700, 420}, 0x0c7a5d78eefc2e3bu},
                 {{10, 10, 630, 350}, 0x2ad5b7c0b08611f3u},
                 {{300.2f, 100.7f, 312.9f, 121.3f}, 0xdfea12ac0c288b73u}};
    ms_image frame = test_drawn_image(640, 360, 3),
             out = test_blank_image(MS_LANDMARK_SIDE, MS_LANDMARK_SIDE, 3);
    ms_image_view view = ms_image_as_view(&frame);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        ms_landmark_crop crop;
        assert_ms_ok(ms_landmark_crop_fit(known[i].box, &crop, &err), &err);
        assert_ms_ok(ms_landmark_crop_warp(&crop, &view, &out, &err), &err);
        assert_true(test_fnv1a(out.data, out.stride_bytes * (size_t)out.height) == known[i].hash);
    }
    static const float hopeless[][4] = {{5, 5, 5, 5}, {9, 9, 1, 1}, {NAN, 0, 5, 5}, {0, 0, INFINITY, 5}};
    ms_landmark_crop crop;
    for (size_t i = 0; i < sizeof(hopeless) / sizeof(hopeless[0]); i++)
        assert_int_equal(ms_landmark_crop_fit(hopeless[i], &crop, &err), MS_NO_FACE);
    /* A box far away, or far too large, reads nothing but black, or is only blurred. */
    static const float remote[][4] = {
        {1e9f, 1e9f, 1.1e9f, 1.1e9f}, {-1e12f, 0, -9e11f, 5}, {-1e9f, -1e9f, 1e9f, 1e9f}};
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        assert_ms_ok(ms_landmark_crop_fit(remote[i], &crop, &err), &err);
        assert_ms_ok(ms_landmark_crop_warp(&crop, &view, &out, &err), &err);
    }
    free(frame.data);
    free(out.data);
}

static void golden_pictures(void **state) {
    (void)state;
    static const char *const names[] = {"640x360", "1080x1920"};
    char path[600], rel[80];
    for (int i = 0; i < 2; i++) {
        test_video picture, want;
        snprintf(rel, sizeof(rel), "geometry/image_%s.png", names[i]);
        if (!golden_path(path, sizeof(path), rel) || !test_video_read(path, &picture)) {
            print_message("no golden pictures, or no FFmpeg\n");
            skip();
        }
        ms_tensor_file *file = open_post(names[i]);
        test_tensor checks = test_tensor_read(file, "out.blob_checks"),
                    det = test_tensor_read(file, "out.det");
        ms_image frame = {picture.rgb, picture.width, picture.height, 3, (size_t)picture.width * 3};
        ms_letterbox fit;
        float *blob = letterbox(&frame, MS_BLOB_CHW, &fit);
        size_t plane = (size_t)SIDE * SIDE;
        double sum = 0;
        for (int c = 0; c < 3; c++)
            assert_true((double)blob[(size_t)c * plane + 10 * SIDE + 10] == checks.data[c]);
        assert_true((double)blob[(size_t)(fit.height - 1) * SIDE + (size_t)fit.width - 1] == checks.data[3]);
        assert_true((double)blob[plane - 1] == checks.data[4]);
        for (size_t k = 0; k < 3 * plane; k++)
            sum += blob[k];
        assert_true(fabs(sum / checks.data[5] - 1) < 1e-6);
        snprintf(rel, sizeof(rel), "facedet/letterbox_%s.png", names[i]);
        if (golden_path(path, sizeof(path), rel)) {
            assert_true(test_video_read(path, &want));
            assert_int_equal(want.width, fit.width);
            assert_int_equal(want.height, fit.height);
            for (int y = 0; y < fit.height; y++)
                for (int x = 0; x < fit.width; x++)
                    for (int c = 0; c < 3; c++)
                        assert_true(blob[(size_t)(2 - c) * plane + (size_t)(y * SIDE + x)] * 128 + 127.5f ==
                                    want.rgb[(y * fit.width + x) * 3 + c]);
            test_video_free(&want);
        }
        snprintf(rel, sizeof(rel), "facedet/landmark_crop_%s_0.png", names[i]);
        assert_true(test_video_read(golden_path(path, sizeof(path), rel), &want));
        ms_landmark_crop crop;
        float box[4];
        for (int c = 0; c < 4; c++)
            box[c] = (float)det.data[c];
        ms_image out = test_blank_image(MS_LANDMARK_SIDE, MS_LANDMARK_SIDE, 3);
        ms_image_view view = ms_image_as_view(&frame);
        assert_ms_ok(ms_landmark_crop_fit(box, &crop, &err), &err);
        assert_ms_ok(ms_landmark_crop_warp(&crop, &view, &out, &err), &err);
        assert_memory_equal(out.data, want.rgb, out.stride_bytes * (size_t)out.height);
        free(out.data);
        free(blob);
        free(checks.data);
        free(det.data);
        ms_tensor_file_close(&file);
        test_video_free(&picture);
        test_video_free(&want);
    }
}

static char *read_text(const char *path, size_t *ret_length) {
    FILE *f = fopen(path, "rb");
    char *text = malloc(1 << 16);
    *ret_length = fread(text, 1, 1 << 16, f);
    fclose(f);
    return text;
}

static void golden_filter_rules(void **state) {
    (void)state;
    char path[600], name[40];
    size_t length;
    ms_json_doc *doc;
    ms_tensor_file *file;
    assert_non_null(golden_path(path, sizeof(path), "facedet/filter_rules.json"));
    char *text = read_text(path, &length);
    assert_ms_ok(ms_json_parse(NULL, text, length, &doc, &err), &err);
    assert_non_null(golden_path(path, sizeof(path), "facedet/filter_rules.safetensors"));
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    int cases = 0, chosen = 0;
    for (const ms_json *c = ms_json_root(doc)->child; c; c = c->next, cases++) {
        const ms_json *boxes = ms_json_get(c, "bboxes"), *scores = ms_json_get(c, "scores");
        const ms_json *image = ms_json_get(c, "image"), *want = ms_json_get(c, "box");
        int number = (int)ms_json_get(c, "case")->integer,
            selected = (int)ms_json_get(c, "selected")->integer;
        ms_detection faces[4] = {{{0}, 0, {{0}}}};
        for (uint32_t i = 0; i < boxes->count; i++) {
            for (uint32_t k = 0; k < 4; k++)
                faces[i].box[k] = (float)ms_json_at(ms_json_at(boxes, i), k)->number;
            faces[i].score = (float)ms_json_at(scores, i)->number;
        }
        assert_int_equal(ms_face_largest(faces, (int)boxes->count), selected);
        if (selected < 0)
            continue;
        chosen++;
        float landmarks[MS_LANDMARKS][2];
        int box[4];
        snprintf(name, sizeof(name), "in.%d.landmarks", number);
        test_tensor in = test_tensor_read(file, name);
        snprintf(name, sizeof(name), "out.%d.landmarks", number);
        test_tensor out = test_tensor_read(file, name);
        for (int i = 0; i < 2 * MS_LANDMARKS; i++)
            landmarks[i / 2][i % 2] = (float)in.data[selected * 2 * MS_LANDMARKS + i];
        ms_landmarks_round(landmarks);
        for (int i = 0; i < 2 * MS_LANDMARKS; i++)
            assert_true((double)landmarks[i / 2][i % 2] == out.data[i]);
        ms_face_box(&faces[selected], landmarks, (int)ms_json_at(image, 0)->integer,
                    (int)ms_json_at(image, 1)->integer, box);
        for (uint32_t k = 0; k < 4; k++)
            assert_int_equal(box[k], ms_json_at(want, k)->integer);
        free(in.data);
        free(out.data);
    }
    assert_int_equal(cases, 17);
    assert_true(chosen >= 11);
    ms_json_doc_destroy(&doc);
    ms_tensor_file_close(&file);
    free(text);
}

/* Any floats at all: no face that is not one, order kept, nothing read or written beyond the buffers. */
static void decoding_survives_anything(void **state) {
    (void)state;
    ms_tensor_file *file = open_post("empty");
    heads h = read_heads(file);
    uint64_t seed = 99;
    ms_detection faces[50];
    for (int round = 0; round < 6; round++) {
        for (int level = 0; level < MS_SCRFD_LEVELS; level++) {
            int rows = (SIDE >> (3 + level)) * (SIDE >> (3 + level)) * 2;
            for (int i = 0; i < rows; i++) {
                float s = test_uniform(&seed);
                h.data[level][0][i] = i % 7 == 0 ? NAN : round % 2 ? s : s > 0.9f ? rintf(s * 8) / 8 : 0.0f;
                for (int k = 0; k < 4; k++)
                    h.data[level][1][4 * i + k] = i % 11 == 0 ? INFINITY : 3 * test_uniform(&seed);
                for (int k = 0; k < 10; k++)
                    h.data[level][2][10 * i + k] = i % 13 == 0 ? NAN : test_uniform(&seed);
            }
        }
        int count = decode(&h, 0.25f, faces, 50);
        assert_true(count > 0 && count <= 50);
        for (int i = 0; i < count; i++) {
            assert_true(faces[i].score >= MS_DETECT_THRESHOLD);
            assert_true(i == 0 || faces[i].score <= faces[i - 1].score);
            assert_true(isfinite(faces[i].box[0]) && isfinite(faces[i].key_points[4][1]));
        }
    }
    ms_detection odd = {{NAN, -1e30f, 1e30f, INFINITY}, NAN, {{0}}};
    int size[2] = {-1, -1};
    assert_false(ms_face_usable(&odd));
    assert_false(ms_face_too_small(&odd, size));
    const ms_detection small = {{10, 10, 60.9f, 89.9f}, 0.9f, {{0}}}, fits = {{10, 10, 60, 90}, 0.9f, {{0}}},
                       unsure = {{10, 10, 60, 80}, 0.4f, {{0}}};
    assert_true(ms_face_usable(&fits) && !ms_face_usable(&small));
    assert_false(ms_face_too_small(&fits, size) || ms_face_too_small(&unsure, size));
    assert_int_equal(size[0], -1);
    assert_true(ms_face_too_small(&small, size) && size[0] == 50 && size[1] == 79);
    float landmarks[MS_LANDMARKS][2];
    for (int i = 0; i < 2 * MS_LANDMARKS; i++)
        landmarks[i / 2][i % 2] = NAN;
    int box[4];
    ms_face_box(&odd, landmarks, 100, 100, box);
    assert_true(box[0] >= 0 && box[2] <= 100);
    void *work = malloc(64);
    int count;
    assert_int_equal(ms_scrfd_decode(h.outputs, SIDE, 1, faces, 50, &count, work, 64, &err),
                     MS_INVALID_ARGUMENT);
    assert_int_equal(ms_scrfd_decode(h.outputs, 500, 1, faces, 50, &count, work, 64, &err),
                     MS_INVALID_ARGUMENT);
    free(work);
    free_heads(&h);
    ms_tensor_file_close(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letterbox_sizes),     cmocka_unit_test(blob_layouts),
        cmocka_unit_test(golden_detections),   cmocka_unit_test(golden_landmarks),
        cmocka_unit_test(crops_match_cv2),     cmocka_unit_test(golden_pictures),
        cmocka_unit_test(golden_filter_rules), cmocka_unit_test(decoding_survives_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
