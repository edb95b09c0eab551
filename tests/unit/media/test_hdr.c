/* The curves of HDR pictures: known points of the tone mapping, and a view that loses nothing. */
#include "test.h"

#include "media/hdr.h"

static const int transfers[] = {MS_TRANSFER_PQ, MS_TRANSFER_HLG};

static uint16_t signal(double x) {
    return (uint16_t)(x * 65535 + 0.5);
}

static int grey(const ms_tonemap *map, double x) {
    const uint16_t src[3] = {signal(x), signal(x), signal(x)};
    uint8_t dst[3];
    ms_tonemap_row(map, src, dst, 1);
    assert_true(abs(dst[0] - dst[1]) <= 1 && abs(dst[0] - dst[2]) <= 1);
    return dst[1];
}

/* A white sheet has 203 cd/m2: 58.07 % of PQ, 75 % of HLG. Below half of its light
   the picture is as it was. */
static void tone_mapping_meets_known_points(void **state) {
    (void)state;
    ms_error err;
    static const double white[] = {0.58069, 0.75}, half[] = {0.50957, 0.63226};
    for (int i = 0; i < 2; i++) {
        ms_tonemap *map = NULL;
        assert_ms_ok(ms_tonemap_create(NULL, transfers[i], 9, &map, &err), &err);
        assert_int_equal(grey(map, 0), 0);
        assert_true(abs(grey(map, white[i]) - 226) <= 1); /* 0.7513 of the light */
        assert_true(abs(grey(map, half[i]) - 191) <= 1);  /* 255 * 0.5 ^ (1 / 2.4) */
        assert_true(grey(map, 1) >= 249);
        int before = 0;
        for (int x = 0; x <= 1000; x++) {
            int now = grey(map, x / 1000.0);
            assert_true(now >= before);
            before = now;
        }
        ms_tonemap_destroy(&map);
        assert_null(map);
    }
}

/* The reds of BT.2020 and BT.709 differ: the wide one is out of the narrow one's
   reach, what is inside keeps its hue. */
static void primaries_are_converted(void **state) {
    (void)state;
    ms_error err;
    ms_tonemap *wide = NULL, *narrow = NULL;
    assert_ms_ok(ms_tonemap_create(NULL, MS_TRANSFER_PQ, 9, &wide, &err), &err);
    assert_ms_ok(ms_tonemap_create(NULL, MS_TRANSFER_PQ, 1, &narrow, &err), &err);
    const uint16_t red[3] = {signal(0.5), signal(0.35), signal(0.3)};
    uint8_t a[3], b[3];
    ms_tonemap_row(wide, red, a, 1);
    ms_tonemap_row(narrow, red, b, 1);
    assert_true(a[0] > b[0] + 10 && a[1] < b[1]);
    const uint16_t pure[3] = {signal(0.58), 0, 0};
    ms_tonemap_row(wide, pure, a, 1);
    assert_true(a[0] > 220 && a[1] == 0 && a[2] == 0);
    ms_tonemap_destroy(&wide);
    ms_tonemap_destroy(&narrow);
}

static void what_is_not_redrawn_stays(void **state) {
    (void)state;
    ms_error err;
    for (int i = 0; i < 2; i++) {
        ms_hdr_view *view = NULL;
        uint16_t *samples = malloc(65536 * sizeof(*samples));
        uint8_t *shown = malloc(65536);
        assert_ms_ok(ms_hdr_view_create(NULL, transfers[i], &view, &err), &err);
        for (int s = 0; s < 65536; s++)
            samples[s] = (uint16_t)s;
        ms_hdr_view_row(view, samples, shown, 65536);
        assert_true(shown[0] == 0 && shown[65535] == 255);
        for (int s = 1; s < 65536; s++)
            assert_true(shown[s] >= shown[s - 1]);
        ms_hdr_view_put_back(view, shown, samples, 65536);
        for (int s = 0; s < 65536; s++)
            assert_int_equal(samples[s], s);
        ms_hdr_view_destroy(&view);
        free(samples);
        free(shown);
    }
}

/* Every value that the view can be given is what it shows afterwards, wherever the sample was. */
static void what_is_redrawn_is_seen_again(void **state) {
    (void)state;
    ms_error err;
    for (int i = 0; i < 2; i++) {
        ms_hdr_view *view = NULL;
        assert_ms_ok(ms_hdr_view_create(NULL, transfers[i], &view, &err), &err);
        for (int s = 0; s < 65536; s += 257) {
            for (int wanted = 0; wanted < 256; wanted++) {
                uint16_t sample = (uint16_t)s;
                uint8_t redrawn = (uint8_t)wanted, seen;
                ms_hdr_view_put_back(view, &redrawn, &sample, 1);
                ms_hdr_view_row(view, &sample, &seen, 1);
                assert_int_equal(seen, wanted);
            }
        }
        /* A ramp that is made one step brighter stays a ramp: no step of 8 bits shows in it. */
        uint16_t ramp[600], before[600];
        uint8_t shown[600];
        for (int s = 0; s < 600; s++)
            ramp[s] = before[s] = (uint16_t)(24000 + 8 * s);
        ms_hdr_view_row(view, ramp, shown, 600);
        for (int s = 0; s < 600; s++)
            shown[s]++;
        ms_hdr_view_put_back(view, shown, ramp, 600);
        for (int s = 1; s < 600; s++) {
            assert_true(ramp[s] > before[s]);
            assert_true(ramp[s] >= ramp[s - 1] && ramp[s] - ramp[s - 1] < 40);
        }
        ms_hdr_view_destroy(&view);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tone_mapping_meets_known_points),
        cmocka_unit_test(primaries_are_converted),
        cmocka_unit_test(what_is_not_redrawn_stays),
        cmocka_unit_test(what_is_redrawn_is_seen_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
