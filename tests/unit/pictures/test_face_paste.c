/* Pasting the redrawn region alone: its weights against the mask's, and where they
   fall in a frame, worked out in double. */
#include "test.h"

#include "pictures/align.h"
#include "pictures/mask.h"
#include "pictures/paste_region.h"
#include "pictures/restore.h"
#include "support/media/drawn.h"

static ms_error err;

static uint8_t *mask_of(int resolution) {
    uint8_t *mask = malloc((size_t)resolution * (size_t)resolution);
    size_t bytes = ms_face_mask_workspace_bytes(resolution);
    void *work = malloc(bytes);
    assert_ms_ok(ms_face_mask(resolution, mask, work, bytes, &err), &err);
    free(work);
    return mask;
}

static float *region_of(int resolution) {
    float *weights = malloc((size_t)resolution * (size_t)resolution * sizeof(float));
    size_t bytes = ms_paste_region_workspace_bytes(resolution);
    void *work = malloc(bytes);
    memset(work, 0xff, bytes); /* NaN: nothing may be read before it is written */
    assert_ms_ok(ms_paste_region(resolution, weights, work, bytes, &err), &err);
    free(work);
    return weights;
}

/* Is anything kept within `reach` pixels of a place? */
static bool kept_near(const uint8_t *mask, int side, int x, int y, int reach) {
    for (int j = y - reach; j <= y + reach; j++)
        for (int i = x - reach; i <= x + reach; i++)
            if (i >= 0 && i < side && j >= 0 && j < side && mask[j * side + i])
                return true;
    return false;
}

static void weights_lie_inside_of_the_mask(void **state) {
    (void)state;
    static const int sides[] = {64, 128, 256, 512, 136};
    for (size_t k = 0; k < sizeof(sides) / sizeof(sides[0]); k++) {
        int side = sides[k], whole = 0;
        uint8_t *mask = mask_of(side);
        float *weights = region_of(side);
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++) {
                float w = weights[y * side + x];
                assert_true(w >= 0 && w <= 1);
                if (mask[y * side + x] == 255 || x == 0 || y == 0 || x == side - 1 || y == side - 1)
                    assert_true(w == 0);
                if (side <= 256 && !kept_near(mask, side, x, y, side / 16 + 1)) {
                    assert_true(w > 0.9999f);
                    whole++;
                }
                /* No edge to be seen: a step is a small part of the whole. */
                if (x && y) {
                    assert_true(fabsf(w - weights[y * side + x - 1]) < 26.0f / (float)side + 0.06f);
                    assert_true(fabsf(w - weights[(y - 1) * side + x]) < 26.0f / (float)side + 0.06f);
                }
            }
        assert_true(side > 256 || whole > side * side / 8);
        free(weights);
        free(mask);
    }
}

static void paste(const ms_face_geometry *g, const float *face, const float affine[2][3], const float *region,
                  const ms_image *frame, int threads) {
    ms_pool *pool = NULL;
    ms_restore_info info;
    if (threads > 1)
        assert_ms_ok(ms_pool_create(NULL, threads, &pool, &err), &err);
    size_t bytes = ms_restore_workspace_bytes(g, frame->width, frame->height, threads);
    void *work = malloc(bytes);
    memset(work, 0xff, bytes);
    ms_restore_args args = {g, face, affine, frame, work, bytes, pool, region};
    assert_ms_ok(ms_restore_face(&args, &info, &err), &err);
    free(work);
    ms_pool_destroy(&pool);
}

typedef struct placed {
    ms_face_geometry g;
    int width, height;
    float affine[2][3]; /* crop <- frame */
} placed;

/* A face of any size and turn, now and then partly or wholly out of the picture. */
static placed anywhere(uint64_t *seed, int resolution) {
    placed p = {.width = 60 + (int)(test_rand(seed) % 200), .height = 60 + (int)(test_rand(seed) % 200)};
    assert_ms_ok(ms_face_geometry_init(resolution, &p.g, &err), &err);
    double angle = test_uniform(seed) * 0.7, size = 0.2 + 0.5 * (1 + test_uniform(seed));
    double a = size * p.width / p.g.crop_width, c = a * cos(angle), s = a * sin(angle), d = a * a;
    double tx = p.width * (0.5 + 0.4 * test_uniform(seed)) - c * p.g.crop_width / 2 + s * p.g.crop_height / 2;
    double ty =
        p.height * (0.5 + 0.4 * test_uniform(seed)) - s * p.g.crop_width / 2 - c * p.g.crop_height / 2;
    const float m[2][3] = {{(float)(c / d), (float)(s / d), (float)(-(c * tx + s * ty) / d)},
                           {(float)(-s / d), (float)(c / d), (float)((s * tx - c * ty) / d)}};
    memcpy(p.affine, m, sizeof(m));
    return p;
}

/* Where a frame's pixel lies in the face. */
static void in_face(const placed *p, int x, int y, double *ret_x, double *ret_y) {
    double cx = (double)p->affine[0][0] * x + (double)p->affine[0][1] * y + (double)p->affine[0][2];
    double cy = (double)p->affine[1][0] * x + (double)p->affine[1][1] * y + (double)p->affine[1][2];
    *ret_x = (cx + 0.5) * p->g.resolution / p->g.crop_width - 0.5;
    *ret_y = (cy + 0.5) * p->g.resolution / p->g.crop_height - 0.5;
}

static double weight_at(const float *weights, int side, double x, double y) {
    int xi = (int)floor(x), yi = (int)floor(y);
    if (xi < 0 || yi < 0 || xi + 1 >= side || yi + 1 >= side)
        return 0;
    const float *w = weights + yi * side + xi;
    double e = x - xi, s = y - yi;
    return ((double)w[0] * (1 - e) + (double)w[1] * e) * (1 - s) +
           ((double)w[side] * (1 - e) + (double)w[side + 1] * e) * s;
}

/* Does the model keep all that a place is sampled from? */
static bool kept_around(const uint8_t *mask, int side, double x, double y) {
    for (int j = (int)floor(y - 0.01); j <= (int)floor(y + 0.01) + 1; j++)
        for (int i = (int)floor(x - 0.01); i <= (int)floor(x + 0.01) + 1; i++)
            if (i >= 0 && i < side && j >= 0 && j < side && mask[j * side + i] != 255)
                return false;
    return true;
}

/* A face of one grey: what comes out is a blend that is known. */
static void only_the_region_changes(void **state) {
    (void)state;
    uint64_t seed = 23;
    int64_t kept = 0, mixed = 0, whole = 0, changed_by_face = 0;
    for (int round = 0; round < 40; round++) {
        int side = 64 << (round % 3);
        placed p = anywhere(&seed, side);
        uint8_t *mask = mask_of(side);
        float *weights = region_of(side), grey = test_uniform(&seed);
        float *face = malloc((size_t)(side * side) * 3 * sizeof(float));
        for (int i = 0; i < side * side * 3; i++)
            face[i] = grey;
        ms_image before = test_drawn_image(p.width, p.height, 3),
                 got = test_drawn_image(p.width, p.height, 3), again = test_drawn_image(p.width, p.height, 3),
                 all = test_drawn_image(p.width, p.height, 3);
        paste(&p.g, face, (const float(*)[3])p.affine, weights, &got, 1);
        paste(&p.g, face, (const float(*)[3])p.affine, weights, &again, 2 + round % 3);
        paste(&p.g, face, (const float(*)[3])p.affine, NULL, &all, 1);
        assert_memory_equal(got.data, again.data, got.stride_bytes * (size_t)p.height);
        double value = (grey / 2.0 + 0.5) * 255;
        for (int y = 0; y < p.height; y++)
            for (int x = 0; x < p.width; x++) {
                double fx, fy;
                in_face(&p, x, y, &fx, &fy);
                double w = weight_at(weights, side, fx, fy);
                size_t at = ((size_t)y * (size_t)p.width + (size_t)x) * 3;
                if (kept_around(mask, side, fx, fy)) {
                    assert_memory_equal(got.data + at, before.data + at, 3);
                    changed_by_face += memcmp(all.data + at, before.data + at, 3) != 0;
                    kept++;
                }
                for (int c = 0; c < 3; c++)
                    assert_true(fabs(got.data[at + c] - (w * value + (1 - w) * before.data[at + c])) <= 1.01);
                mixed += w > 0.1 && w < 0.9;
                whole += w > 0.9999;
            }
        free(all.data);
        free(again.data);
        free(got.data);
        free(before.data);
        free(face);
        free(weights);
        free(mask);
    }
    assert_true(kept > 100000 && mixed > 5000 && whole > 20000);
    assert_true(changed_by_face > 20000); /* what the mask keeps, a whole face does change */
}

static void a_face_like_its_frame_leaves_no_trace(void **state) {
    (void)state;
    for (int value = 0; value < 256; value += 5) {
        uint64_t seed = 100 + (uint64_t)value;
        placed p = anywhere(&seed, 128);
        float *weights = region_of(128), *face = malloc(128 * 128 * 3 * sizeof(float));
        for (int i = 0; i < 128 * 128 * 3; i++)
            face[i] = ((float)value / 255.0f - 0.5f) / 0.5f;
        ms_image frame = test_blank_image(p.width, p.height, 3);
        memset(frame.data, value, frame.stride_bytes * (size_t)p.height);
        paste(&p.g, face, (const float(*)[3])p.affine, weights, &frame, 1);
        for (size_t i = 0; i < frame.stride_bytes * (size_t)p.height; i++)
            assert_int_equal(frame.data[i], value);
        free(frame.data);
        free(face);
        free(weights);
    }
}

static void errors(void **state) {
    (void)state;
    size_t bytes = ms_paste_region_workspace_bytes(64);
    float weights[64 * 64];
    void *work = malloc(bytes);
    assert_int_equal(ms_paste_region(64, weights, work, bytes - 1, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_paste_region(64, weights, NULL, bytes, &err), MS_INVALID_ARGUMENT);
    free(work);
    bytes = ms_paste_region_workspace_bytes(100);
    work = malloc(bytes);
    /* no multiple of 8 */
    assert_int_equal(ms_paste_region(100, weights, work, bytes, &err), MS_INVALID_ARGUMENT);
    free(work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_lie_inside_of_the_mask),
        cmocka_unit_test(only_the_region_changes),
        cmocka_unit_test(a_face_like_its_frame_leaves_no_trace),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
