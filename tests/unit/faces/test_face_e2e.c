/* The end-to-end clip through everything that is not a network: track file, alignment, and the two frames
   whose decoded faces are in the golden data. */
#include "test.h"

#include "faces/track_file.h"
#include "pictures/align.h"
#include "pictures/mask.h"
#include "pictures/restore.h"
#include "support/media/drawn.h"
#include "support/media/picture.h"
#include "support/models/tensors.h"

#define FRAMES 42
#define RESOLUTION 128
#define CROP_X 156 /* expected.json: s20.crop */
#define CROP_Y 202

static ms_error err;

typedef struct clip {
    test_video frames, faces, restored;
    test_tensor points, matrices, first, last;
    ms_face_geometry geometry;
} clip;

static bool open_clip(clip *c) {
    char path[600];
    ms_tensor_file *file;
    if (!golden_path(path, sizeof(path), "e2e/clip.mkv") || !test_video_read(path, &c->frames))
        return false;
    assert_true(test_video_read(golden_path(path, sizeof(path), "e2e/faces_aligned.mkv"), &c->faces));
    assert_true(test_video_read(golden_path(path, sizeof(path), "e2e/frames_s20_crop.mkv"), &c->restored));
    assert_ms_ok(
        ms_tensor_file_open(NULL, golden_path(path, sizeof(path), "e2e/stages.safetensors"), &file, &err),
        &err);
    c->points = test_tensor_read(file, "out.align_points");
    c->matrices = test_tensor_read(file, "out.affine");
    c->first = test_tensor_read(file, "out.s20.decoded_frame_0");
    c->last = test_tensor_read(file, "out.s20.decoded_frame_last");
    ms_tensor_file_close(&file);
    assert_ms_ok(ms_face_geometry_init(RESOLUTION, &c->geometry, &err), &err);
    return true;
}

static void close_clip(clip *c) {
    test_video_free(&c->frames);
    test_video_free(&c->faces);
    test_video_free(&c->restored);
    free(c->points.data);
    free(c->matrices.data);
    free(c->first.data);
    free(c->last.data);
}

static ms_image frame_of(const clip *c, int frame) {
    return (ms_image){test_video_frame(&c->frames, frame), c->frames.width, c->frames.height, 3,
                      (size_t)c->frames.width * 3};
}

static void align(const clip *c, int frame, const float affine[2][3], const ms_image *face) {
    ms_image image = frame_of(c, frame);
    ms_image_view view = ms_image_as_view(&image);
    size_t bytes = ms_align_face_workspace_bytes(&c->geometry);
    void *work = malloc(bytes);
    assert_ms_ok(ms_align_face(&c->geometry, &view, affine, face, work, bytes, &err), &err);
    free(work);
}

/* Pastes the surroundings, puts the face back, and compares the crop that changes and what lies around it. */
static void check_restored(const clip *c, int frame, const float affine[2][3], const ms_image *face,
                           const test_tensor *decoded) {
    size_t pixels = RESOLUTION * RESOLUTION, mask_bytes = ms_face_mask_workspace_bytes(RESOLUTION);
    uint8_t *mask = malloc(pixels), *mask_work = malloc(mask_bytes);
    float *picture = malloc(pixels * 3 * sizeof(float));
    assert_ms_ok(ms_face_mask(RESOLUTION, mask, mask_work, mask_bytes, &err), &err);
    for (size_t i = 0; i < pixels * 3; i++)
        picture[i] = (float)decoded->data[i % 3 * pixels + i / 3];
    ms_image_view view = ms_image_as_view(face);
    ms_face_paste_surroundings(&view, mask, picture);

    ms_image image = frame_of(c, frame), out = test_blank_image(image.width, image.height, 3);
    memcpy(out.data, image.data, image.stride_bytes * (size_t)image.height);
    size_t bytes = ms_restore_workspace_bytes(&c->geometry, image.width, image.height, 1);
    void *work = malloc(bytes);
    ms_restore_args args = {&c->geometry, picture, affine, &out, work, bytes, NULL, NULL};
    assert_ms_ok(ms_restore_face(&args, NULL, &err), &err);
    const uint8_t *want = test_video_frame(&c->restored, frame);
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < image.width; x++) {
            int cx = x - CROP_X, cy = y - CROP_Y;
            bool inside = cx >= 0 && cx < c->restored.width && cy >= 0 && cy < c->restored.height;
            const uint8_t *expected = inside ? want + 3 * (cy * c->restored.width + cx)
                                             : image.data + (size_t)y * image.stride_bytes + (size_t)x * 3;
            assert_memory_equal(out.data + (size_t)y * out.stride_bytes + (size_t)x * 3, expected, 3);
        }
    free(work);
    free(out.data);
    free(mask);
    free(mask_work);
    free(picture);
}

static void golden_clip(void **state) {
    (void)state;
    static const int kept[] = {0, 1, 2, 5, 8, 12, 15, 16, 20, 25, 31, 32, 36, 41}; /* faces_aligned_frames */
    char path[600];
    clip c = {0};
    if (!open_clip(&c)) {
        print_message("no golden clip, or no FFmpeg\n");
        skip();
    }
    ms_track_reader *reader;
    assert_ms_ok(
        ms_track_reader_open(NULL, golden_path(path, sizeof(path), "e2e/track.jsonl"), &reader, &err), &err);
    ms_align_state smooth = {0};
    ms_image face = test_blank_image(RESOLUTION, RESOLUTION, 3);
    size_t next = 0;
    for (int f = 0; f < FRAMES; f++) {
        ms_face_record record;
        float points[3][2], affine[2][3];
        bool got;
        assert_ms_ok(ms_track_reader_next(reader, &record, &got, &err), &err);
        assert_true(got && record.frame == f);
        ms_align_points(record.landmarks, points);
        assert_ms_ok(ms_align_affine(&c.geometry, points, &smooth, affine, &err), &err);
        for (int i = 0; i < 6; i++) {
            assert_true((double)points[i / 2][i % 2] == c.points.data[f * 6 + i]);
            assert_true((double)affine[i / 3][i % 3] == c.matrices.data[f * 6 + i]);
        }
        align(&c, f, affine, &face);
        if (next < sizeof(kept) / sizeof(kept[0]) && kept[next] == f)
            assert_memory_equal(face.data, test_video_frame(&c.faces, (int)next++),
                                RESOLUTION * RESOLUTION * 3);
        if (f == 0 || f == FRAMES - 1)
            check_restored(&c, f, affine, &face, f ? &c.last : &c.first);
    }
    assert_int_equal(next, sizeof(kept) / sizeof(kept[0]));
    free(face.data);
    ms_track_reader_close(&reader);
    close_clip(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_clip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
