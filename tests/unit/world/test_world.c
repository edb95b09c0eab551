/* The drawn world: the same bytes from the same seed, and a ground truth that is where things were drawn. */
#include "test.h"

#include "base/mem.h"
#include "support/media/drawn.h"
#include "world/voice.h"
#include "world/world.h"

#define SEEDS 24
#define SIDE 256

static ms_error err;

static world *new_world(uint64_t seed, int width, int height) {
    world *w = NULL;
    assert_ms_ok(world_create(NULL, seed, width, height, &w, &err), &err);
    return w;
}

static w_moment still(void) {
    return (w_moment){0};
}

static uint64_t drawn_hash(world *w, const w_moment *m, int64_t frame, uint8_t *rgb) {
    world_draw(w, m, frame, rgb, NULL);
    return test_fnv1a(rgb, (size_t)w->canvas.width * (size_t)w->canvas.height * 3);
}

static float brightness(const uint8_t *rgb, int width, const float at[2]) {
    const uint8_t *p = rgb + ((size_t)at[1] * (size_t)width + (size_t)at[0]) * 3;
    return (float)(p[0] + p[1] + p[2]) / 3;
}

/* ---- pictures */

static void same_seed_same_bytes(void **state) {
    (void)state;
    static uint8_t rgb[160 * 120 * 3];
    uint64_t first[3], other;
    w_moment m;
    world *w = new_world(7, 160, 120);
    for (int f = 0; f < 3; f++) {
        world_moment(w, f * 0.4, &m);
        first[f] = drawn_hash(w, &m, f, rgb);
    }
    world_destroy(&w);
    assert_null(w);
    w = new_world(7, 160, 120); /* a frame does not depend on those drawn before */
    world_moment(w, 0.8, &m);
    assert_true(drawn_hash(w, &m, 2, rgb) == first[2]);
    assert_true(drawn_hash(w, &m, 3, rgb) != first[2]); /* the camera's noise is another */
    world_destroy(&w);
    w = new_world(8, 160, 120);
    world_moment(w, 0.8, &m);
    other = drawn_hash(w, &m, 2, rgb);
    assert_true(other != first[2] && first[0] != first[1]);
    world_destroy(&w);
}

/* gcc and clang, -O0 to -O3 with and without -march=native, agreed on these bytes. Whoever
   changes the drawing puts the new number here; a compiler alone must not change it. */
static void known_bytes(void **state) {
    (void)state;
    static uint8_t rgb[96 * 96 * 3];
    uint64_t sum = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        world *w = new_world(seed, 96, 96);
        w_moment m;
        world_moment(w, 0.37 * (double)seed, &m);
        m.mouth = (w_mouth){.open = 0.04f * (float)seed, .round = seed % 3 ? 0 : 0.5f};
        sum = sum * 31 + drawn_hash(w, &m, (int64_t)seed, rgb);
        world_destroy(&w);
    }
    if (sum != UINT64_C(0x1a8f6495eef59ecf))
        fail_msg("the pictures' hash is %016llx", (unsigned long long)sum);
}

static void any_size(void **state) {
    (void)state;
    static const int sizes[][2] = {{16, 16}, {17, 301}, {333, 19}, {101, 77}, {853, 479}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int width = sizes[i][0], height = sizes[i][1];
        size_t bytes = (size_t)width * (size_t)height * 3;
        uint8_t *rgb = malloc(bytes + 64);
        memset(rgb + bytes, 0xa5, 64);
        world *w = new_world(i, width, height);
        w_moment m = {.yaw = 0.2f, .x = 3, .y = -2, .mouth = {.open = 1}}; /* partly out of the picture */
        world_draw(w, &m, 0, rgb, NULL);
        for (int k = 0; k < 64; k++)
            assert_int_equal(rgb[bytes + (size_t)k], 0xa5);
        world_destroy(&w);
        free(rgb);
    }
    world *none = NULL;
    assert_int_equal(world_create(NULL, 1, 15, 64, &none, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(world_create(NULL, 1, 64, WORLD_MAX_PX + 1, &none, &err), MS_INVALID_ARGUMENT);
    assert_null(none);
}

/* The sum of a shape's coverage is its area, wherever it lies on the grid. */
static void coverage_is_area(void **state) {
    (void)state;
    w_canvas c;
    assert_ms_ok(w_canvas_init(&c, NULL, 40, 30, &err), &err);
    uint64_t random = 5;
    for (int k = 0; k < 50; k++) {
        w_path path = {.count = 3};
        for (int i = 0; i < 3; i++)
            path.at[i] = w_v(20 + 18 * test_uniform(&random), 15 + 14 * test_uniform(&random));
        memset(c.pixels, 0, 40 * 30 * sizeof(*c.pixels));
        w_ink white = w_plain((w_rgb){1, 1, 1}, 1);
        w_fill(&c, &path, &white);
        double sum = 0;
        for (int i = 0; i < 40 * 30; i++)
            sum += (double)c.pixels[i].r;
        w_vec a = w_sub(path.at[1], path.at[0]), b = w_sub(path.at[2], path.at[0]);
        assert_true(fabs(sum - 0.5 * fabs((double)(a.x * b.y - a.y * b.x))) < 0.02);
    }
    w_canvas_free(&c);
}

/* ---- ground truth */

static void every_person_can_be_found(void **state) {
    (void)state;
    static const int sizes[][2] = {{384, 384}, {640, 360}, {360, 640}};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int width = sizes[seed % 3][0], height = sizes[seed % 3][1];
        world *w = new_world(seed, width, height);
        for (int f = 0; f < 5; f++) {
            w_moment m;
            w_face face;
            ms_face_record r;
            world_moment(w, f * 0.7, &m);
            m.mouth.open = 0.25f * (float)f;
            w_face_pose(&face, &w->person, &m, width, height);
            w_face_record(&face, f, width, height, &r);
            ms_detection d = {{r.box[0], r.box[1], r.box[2], r.box[3]}, 1, {{0}}};
            assert_true(ms_face_usable(&d));
            for (int i = 0; i < MS_LANDMARKS; i++) {
                assert_true(r.landmarks[i][0] >= r.box[0] && r.landmarks[i][0] <= r.box[2]);
                assert_true(r.landmarks[i][1] >= r.box[1] && r.landmarks[i][1] <= r.box[3]);
            }
        }
        world_destroy(&w);
    }
}

static void aligned_faces_are_upright(void **state) {
    (void)state;
    ms_face_geometry g;
    assert_ms_ok(ms_face_geometry_init(256, &g, &err), &err);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        world *w = new_world(seed, 384, 384);
        w_moment m = {.roll = 0.05f * ((float)(seed % 5) - 2), .x = 0.3f}; /* up to 36 degrees */
        w_face face;
        ms_face_record r;
        float points[3][2], t[2][3], crop[MS_LANDMARKS][2];
        w_face_pose(&face, &w->person, &m, 384, 384);
        w_face_record(&face, 0, 384, 384, &r);
        ms_align_points((const float(*)[2])r.landmarks, points);
        assert_ms_ok(ms_align_affine(&g, (const float(*)[2])points, NULL, t, &err), &err);
        for (int i = 0; i < MS_LANDMARKS; i++)
            for (int c = 0; c < 2; c++)
                crop[i][c] = t[c][0] * r.landmarks[i][0] + t[c][1] * r.landmarks[i][1] + t[c][2];
        float width = (float)g.crop_width, height = (float)g.crop_height,
              middle = (crop[52][0] + crop[61][0]) / 2;
        assert_true(fabsf((crop[88][1] - crop[38][1]) / (crop[88][0] - crop[38][0])) <
                    0.06f); /* level eyes */
        assert_true(fabsf(middle - width / 2) < 0.06f * width);
        assert_true(crop[62][1] > 0.5f * height && crop[0][1] < 0.99f * height); /* mouth low, chin inside */
        assert_true(crop[38][1] > 0.15f * height && crop[38][1] < 0.45f * height);
        world_destroy(&w);
    }
}

static void eyes_are_where_they_are_drawn(void **state) {
    (void)state;
    static uint8_t rgb[SIDE * SIDE * 3];
    static const int pupils[2] = {38, 88};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        world *w = new_world(seed, SIDE, SIDE);
        w_face face;
        ms_face_record r;
        float open[2];
        for (int shut = 0; shut < 2; shut++) {
            w_moment m = still();
            m.blink = (float)shut;
            world_draw(w, &m, 0, rgb, &face);
            w_face_record(&face, 0, SIDE, SIDE, &r);
            for (int e = 0; e < 2; e++) {
                float here = brightness(rgb, SIDE, r.landmarks[pupils[e]]);
                if (!shut)
                    assert_true((open[e] = here) < 75); /* a pupil */
                else
                    assert_true(here > open[e] + 15); /* a lid */
            }
        }
        world_destroy(&w);
    }
}

static void mouth_follows_its_parameters(void **state) {
    (void)state;
    static uint8_t rgb[SIDE * SIDE * 3];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        world *w = new_world(seed, SIDE, SIDE);
        float before = -1, chin_before = 0;
        w_face face;
        ms_face_record r;
        for (int k = 0; k <= 4; k++) {
            w_moment m = still();
            m.mouth.open = 0.25f * (float)k;
            world_draw(w, &m, 0, rgb, &face);
            w_face_record(&face, 0, SIDE, SIDE, &r);
            float gap = r.landmarks[60][1] - r.landmarks[62][1];
            assert_true(gap >= before && face.mouth_opening >= before);
            assert_true(r.landmarks[0][1] >= chin_before); /* the jaw goes down with it */
            before = gap;
            chin_before = r.landmarks[0][1];
        }
        assert_true(before > 0.25f * face.unit);
        const float dark[2] = {r.landmarks[62][0], w_mix(r.landmarks[62][1], r.landmarks[60][1], 0.5f)};
        float inside = brightness(rgb, SIDE, dark), width[3];
        const w_mouth shapes[3] = {
            {.open = 0.3f, .round = 1, .wide = -0.6f}, {.open = 0.3f}, {.open = 0.3f, .wide = 1}};
        for (int k = 0; k < 3; k++) {
            w_moment m = {.mouth = shapes[k]};
            w_face_pose(&face, &w->person, &m, SIDE, SIDE);
            width[k] = face.mouth_width;
        }
        assert_true(width[0] < 0.8f * width[1] && width[1] < 0.9f * width[2]);
        w_moment shut = {.mouth = {.open = 1, .press = 1}};
        world_draw(w, &shut, 0, rgb, &face);
        w_face_record(&face, 0, SIDE, SIDE, &r);
        assert_true(r.landmarks[60][1] - r.landmarks[62][1] <= 2);
        const float lip[2] = {r.landmarks[53][0], w_mix(r.landmarks[60][1], r.landmarks[53][1], 0.6f)};
        assert_true(inside < 90 && brightness(rgb, SIDE, lip) > inside);
        world_destroy(&w);
    }
}

/* ---- speech */

static void speech_has_no_holes(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        speech s;
        float duration = 0.3f + 0.7f * (float)seed, at = 0;
        assert_ms_ok(speech_babble(NULL, seed, duration, &s, &err), &err);
        for (int i = 0; i < s.count; i++) {
            assert_true(s.events[i].phone >= 0 && s.events[i].phone < PHONE_COUNT);
            assert_true(s.events[i].start_s == at && s.events[i].end_s > at);
            at = s.events[i].end_s;
        }
        assert_true(at == duration);
        speech_free(&s);
    }
    speech none = {0};
    assert_int_equal(speech_babble(NULL, 1, 0, &none, &err), MS_INVALID_ARGUMENT);
    assert_null(none.events);
}

/* Lips meet in b, p and m whatever is beside them, and open in vowels. */
static void lips_meet_where_they_must(void **state) {
    (void)state;
    speech s;
    int closures = 0, vowels = 0;
    assert_ms_ok(speech_babble(NULL, 3, 60, &s, &err), &err);
    for (int i = 0; i < s.count; i++) {
        const speech_event *e = &s.events[i];
        w_mouth m = speech_mouth(&s, 0.5f * (e->start_s + e->end_s));
        float open = m.open * (1 - m.press);
        if (e->phone >= PHONE_M && e->phone <= PHONE_P && ++closures)
            assert_true(open < 0.1f);
        if (e->phone == PHONE_AA && e->stress > 0.5f && ++vowels)
            assert_true(open > 0.4f);
    }
    assert_true(closures > 10 && vowels > 3);
    speech_free(&s);
}

static void voice_follows_the_timing(void **state) {
    (void)state;
    enum { N = VOICE_RATE };
    static float a[N], b[N];
    speech_event events[3] = {
        {PHONE_SILENCE, 0, 0.3f, 0}, {PHONE_AA, 0.3f, 0.6f, 1}, {PHONE_SILENCE, 0.6f, 0.8f, 0}};
    const speech s = {events, 3};
    const voice v = voice_of(4, 0);
    voice_render(&v, &s, N, a);
    voice_render(&v, &s, N, b);
    assert_memory_equal(a, b, sizeof(a));
    float loudest[3] = {0};
    for (int i = 0; i < N; i++) {
        assert_true(fabsf(a[i]) < 1); /* finite, and no clipping */
        int part = i < N * 3 / 10 ? 0 : i < N * 6 / 10 ? 1 : i > N * 7 / 10 ? 2 : -1;
        if (part >= 0)
            loudest[part] = fmaxf(loudest[part], fabsf(a[i]));
    }
    assert_true(loudest[0] < 0.01f && loudest[1] > 0.1f && loudest[2] < 0.01f);
}

/* ---- memory */

static void no_memory(void **state) {
    (void)state;
    ms_mem *mem;
    assert_ms_ok(ms_mem_create(0, &mem), &err);
    bool failed = true;
    int tries = 0;
    for (uint64_t n = 1; failed; n++, tries++) {
        world *w = NULL;
        speech s = {0};
        ms_mem_fail_after(n, false);
        ms_status drawn = world_create(mem, 1, 64, 48, &w, &err);
        ms_status said = drawn ? MS_OK : speech_babble(mem, 1, 2, &s, &err);
        ms_mem_fail_after(0, false);
        failed = drawn || said;
        if (failed) {
            assert_int_equal(drawn ? drawn : said, MS_HOST_MEMORY);
            assert_true((drawn ? (void *)w : (void *)s.events) == NULL);
        }
        speech_free(&s);
        world_destroy(&w);
    }
    assert_int_equal(tries, 11); /* the world, four parts of each of two canvases, the events; then none */
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(any_size),
        cmocka_unit_test(coverage_is_area),
        cmocka_unit_test(every_person_can_be_found),
        cmocka_unit_test(aligned_faces_are_upright),
        cmocka_unit_test(eyes_are_where_they_are_drawn),
        cmocka_unit_test(mouth_follows_its_parameters),
        cmocka_unit_test(speech_has_no_holes),
        cmocka_unit_test(lips_meet_where_they_must),
        cmocka_unit_test(voice_follows_the_timing),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
