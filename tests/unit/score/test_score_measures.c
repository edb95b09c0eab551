/* The measures of `memsafe score` against plain double arithmetic that does the same without any thrift. */
#include "test.h"

#include "base/mem.h"
#include "pictures/mask.h"
#include "score/correlation.h"
#include "score/envelope.h"
#include "score/flicker.h"
#include "score/likeness.h"

#define PI 3.14159265358979323846

/* ---- correlation */

static double plain_r(const double *x, const double *y, int n) {
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xy / sqrt(xx * yy);
}

static void test_correlation(void **state) {
    (void)state;
    enum { N = 500 };
    double x[N], y[N], squares = 0;
    uint64_t seed = 1;
    ms_correlation c = {0};
    for (int i = 0; i < N; i++) {
        x[i] = 1e6 + (double)test_uniform(&seed); /* a large mean must not eat the variation */
        y[i] = 0.3 * (x[i] - 1e6) + 0.5 * (double)test_uniform(&seed);
        squares += (x[i] - y[i]) * (x[i] - y[i]);
        ms_correlation_add(&c, x[i], y[i]);
        ms_correlation_add(&c, NAN, y[i]);
        ms_correlation_add(&c, x[i], INFINITY);
    }
    assert_int_equal(c.n, N);
    assert_true(fabs(ms_correlation_r(&c) - plain_r(x, y, N)) < 1e-9);
    assert_true(fabs(ms_correlation_rmse(&c) - sqrt(squares / N)) < 1e-6);
    ms_correlation flat = {0}, few = {0}, none = {0};
    for (int i = 0; i < N; i++)
        ms_correlation_add(&flat, 0.1, x[i]);
    ms_correlation_add(&few, 1, 2);
    ms_correlation_add(&few, 2, 1);
    assert_true(isnan(ms_correlation_r(&flat)));
    assert_true(isnan(ms_correlation_r(&few)));
    assert_true(isnan(ms_correlation_rmse(&none)));
}

static void test_lags(void **state) {
    (void)state;
    enum { N = 200 };
    double noise[N + 60];
    uint64_t seed = 2;
    for (int i = 0; i < N + 60; i++)
        noise[i] = (double)test_uniform(&seed);
    for (int lag = -MS_LAG_MAX; lag <= MS_LAG_MAX; lag += 5) {
        double x[N], y[N];
        ms_lag_correlation c = {0};
        for (int i = 0; i < N; i++) {
            y[i] = noise[i + 30];
            x[i] = noise[i + 30 - lag] + 0.1 * (double)test_uniform(&seed); /* x is late by lag */
            ms_lag_correlation_add(&c, x[i], y[i]);
        }
        ms_lag_peak peak = ms_lag_correlation_peak(&c, 25);
        assert_int_equal(peak.lag, lag);
        int n = N - abs(lag);
        double r = lag >= 0 ? plain_r(x + lag, y, n) : plain_r(x, y - lag, n);
        assert_true(fabs(peak.r - r) < 1e-12);
        assert_true(peak.confidence > 0.7 && peak.confidence < 1.3);
    }
    /* Too short for anything; and a series that repeats: the smallest shift wins. */
    ms_lag_correlation brief = {0}, wave = {0};
    for (int i = 0; i < 10; i++)
        ms_lag_correlation_add(&brief, noise[i], noise[i]);
    assert_true(isnan(ms_lag_correlation_peak(&brief, 25).r));
    for (int i = 0; i < N; i++)
        ms_lag_correlation_add(&wave, i % 5, i % 5);
    assert_int_equal(ms_lag_correlation_peak(&wave, 25).lag, 0);
}

/* ---- envelope */

static double plain_power(const float *samples, int count, int column) {
    double sum = 0;
    for (int k = MS_ENVELOPE_LOW_BIN; k <= MS_ENVELOPE_HIGH_BIN; k++) {
        double re = 0, im = 0;
        for (int i = 0; i < 400; i++) {
            int at = column * MS_ENVELOPE_HOP - 200 + i;
            double v = at >= 0 && at < count ? (double)samples[at] * (0.5 - 0.5 * cos(2 * PI * i / 400)) : 0;
            re += v * cos(2 * PI * k * i / 400);
            im -= v * sin(2 * PI * k * i / 400);
        }
        sum += re * re + im * im;
    }
    return sum;
}

static void test_envelope(void **state) {
    (void)state;
    enum { HOPS = 60, COUNT = HOPS * MS_ENVELOPE_HOP };
    static float samples[COUNT];
    uint64_t seed = 3;
    ms_error err;
    for (int i = 0; i < COUNT; i++)
        samples[i] = 0.3f * test_uniform(&seed) * (float)(i % 3000) / 3000;
    const double rates[] = {25, 29.97, 60};
    for (int r = 0; r < 3; r++) {
        ms_envelope *e = NULL;
        assert_ms_ok(ms_envelope_create(NULL, rates[r], &e, &err), &err);
        int frames = 0;
        for (int hop = 0; hop < HOPS; hop++) {
            double value;
            ms_envelope_push(e, samples + (size_t)hop * MS_ENVELOPE_HOP);
            for (; ms_envelope_next(e, &value); frames++) {
                double sum = 0, weights = 0, middle = (frames + 0.5) / rates[r];
                for (int k = 0; k < HOPS; k++) {
                    double weight = 1 - fabs(k * 0.01 - middle) / 0.04;
                    if (weight > 1e-9) {
                        sum += weight * plain_power(samples, COUNT, k);
                        weights += weight;
                    }
                }
                assert_true(fabs(value - sqrt(sum / weights)) < 1e-6 * value + 1e-9);
            }
        }
        /* All but what needs the sound that was not yet pushed. */
        assert_true(frames >= (int)((HOPS * 0.01 - 0.07) * rates[r]));
        ms_envelope_destroy(&e);
    }
    ms_envelope *none = NULL;
    assert_int_equal(ms_envelope_create(NULL, 0, &none, &err), MS_INVALID_ARGUMENT);
}

/* ---- likeness */

static double luma(const uint8_t *p) {
    return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
}

static double plain_ssim(const uint8_t *a, const uint8_t *b, int width, int x, int y) {
    double k[11], total = 0, m[5] = {0};
    for (int i = 0; i < 11; i++)
        total += k[i] = exp(-(i - 5) * (i - 5) / (2 * 1.5 * 1.5));
    for (int v = 0; v < 11; v++)
        for (int u = 0; u < 11; u++) {
            size_t at = 3 * ((size_t)(y + v - 5) * (size_t)width + (size_t)(x + u - 5));
            double p = luma(a + at), q = luma(b + at), w = k[u] * k[v] / (total * total);
            m[0] += w * p, m[1] += w * q, m[2] += w * p * p, m[3] += w * q * q, m[4] += w * p * q;
        }
    double c1 = 6.5025, c2 = 58.5225, va = m[2] - m[0] * m[0], vb = m[3] - m[1] * m[1],
           ab = m[4] - m[0] * m[1];
    return (2 * m[0] * m[1] + c1) * (2 * ab + c2) / ((m[0] * m[0] + m[1] * m[1] + c1) * (va + vb + c2));
}

static void test_likeness(void **state) {
    (void)state;
    enum { W = 45, H = 33 };
    uint8_t a[W * H * 3], b[W * H * 3], regions[W * H];
    uint64_t seed = 4;
    ms_error err;
    for (int i = 0; i < W * H * 3; i++) {
        a[i] = (uint8_t)(i / 3 % W * 5 + (int)(test_rand(&seed) % 30));
        int v = a[i] + (int)(test_rand(&seed) % 41) - 20;
        b[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    for (int i = 0; i < W * H; i++)
        regions[i] = (uint8_t)(test_rand(&seed) % 4); /* 3 is no region */
    double squares[3] = {0}, ssim[3] = {0};
    int64_t pixels[3] = {0}, windows[3] = {0};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int i = y * W + x, r = regions[i];
            if (r == 3)
                continue;
            pixels[r]++;
            for (int c = 0; c < 3; c++)
                squares[r] += (a[3 * i + c] - b[3 * i + c]) * (a[3 * i + c] - b[3 * i + c]);
            if (x < 5 || y < 5 || x >= W - 5 || y >= H - 5)
                continue;
            windows[r]++;
            ssim[r] += plain_ssim(a, b, W, x, y);
        }
    ms_likeness *l = NULL;
    ms_likeness_sums sums[MS_REGION_COUNT] = {{0}};
    assert_ms_ok(ms_likeness_create(NULL, W, H, &l, &err), &err);
    ms_likeness_add(l, a, b, regions, sums);
    ms_likeness_add(l, a, b, regions, sums); /* rows of the frame before must not leak in */
    for (int r = 0; r < 3; r++) {
        assert_int_equal(sums[r].pixels, 2 * pixels[r]);
        assert_int_equal(sums[r].windows, 2 * windows[r]);
        assert_true(fabs(ms_likeness_psnr(&sums[r]) -
                         10 * log10(65025.0 * 3 * (double)pixels[r] / squares[r])) < 1e-9);
        assert_true(fabs(ms_likeness_ssim(&sums[r]) - ssim[r] / (double)windows[r]) < 1e-5);
    }
    ms_likeness_sums same[MS_REGION_COUNT] = {{0}}, none = {0};
    ms_likeness_add(l, a, a, regions, same);
    assert_true(isinf(ms_likeness_psnr(&same[0])));
    assert_true(fabs(ms_likeness_ssim(&same[0]) - 1) < 1e-6);
    assert_true(isnan(ms_likeness_psnr(&none)) && isnan(ms_likeness_ssim(&none)));
    ms_likeness_destroy(&l);
    /* Smaller than a window: pixels, but no windows. */
    ms_likeness_sums tiny[MS_REGION_COUNT] = {{0}};
    assert_ms_ok(ms_likeness_create(NULL, 8, 40, &l, &err), &err);
    memset(regions, 0, sizeof(regions));
    ms_likeness_add(l, a, b, regions, tiny);
    assert_int_equal(tiny[0].pixels, 320);
    assert_int_equal(tiny[0].windows, 0);
    ms_likeness_destroy(&l);
    assert_int_equal(ms_likeness_create(NULL, 0, 5, &l, &err), MS_INVALID_ARGUMENT);
}

/* ---- regions */

static void test_regions(void **state) {
    (void)state;
    enum { SIDE = 256, STRIP = SIDE / 20 };
    ms_error err;
    ms_region_map *map = NULL;
    static uint8_t mask[SIDE * SIDE], regions[400 * 400];
    size_t bytes = ms_face_mask_workspace_bytes(SIDE);
    void *work = malloc(bytes);
    assert_ms_ok(ms_face_mask(SIDE, mask, work, bytes, &err), &err);
    free(work);
    assert_ms_ok(ms_region_map_create(NULL, &map, &err), &err);
    const ms_face_geometry *g = ms_region_map_geometry(map);
    /* The square's pixel (x, y) at the frame's (x + 70, y + 50). */
    float sx = (float)g->crop_width / SIDE, sy = (float)g->crop_height / SIDE;
    const float affine[2][3] = {{sx, 0, sx * (0.5f - 70) - 0.5f}, {0, sy, sy * (0.5f - 50) - 0.5f}};
    ms_region_map_draw(map, affine, 400, 400, regions);
    int counts[4] = {0};
    for (int y = 0; y < 400; y++)
        for (int x = 0; x < 400; x++) {
            int u = x - 70, v = y - 50, kind = regions[y * 400 + x];
            bool within = u >= 0 && v >= 0 && u < SIDE && v < SIDE;
            counts[kind]++;
            if (kind == MS_REGION_AROUND)
                assert_true(u < -STRIP || v < -STRIP || u >= SIDE + STRIP || v >= SIDE + STRIP);
            else
                assert_true(u >= -STRIP && v >= -STRIP && u < SIDE + STRIP && v < SIDE + STRIP);
            assert_int_equal(kind == MS_REGION_MOUTH, within && mask[v * SIDE + u] < 128);
            if (kind == MS_REGION_FACE)
                for (int d = -STRIP; d <= STRIP; d++)
                    assert_true(mask[(v + d) * SIDE + u] >= 128 && mask[v * SIDE + u + d] >= 128);
        }
    for (int i = 0; i < 4; i++)
        assert_true(counts[i] > 2000);
    ms_region_map_destroy(&map);
}

/* ---- flicker */

static void test_flicker(void **state) {
    (void)state;
    enum { W = 9, H = 7, FRAMES = 40, WINDOW = 8 };
    uint8_t rgb[W * H * 3], truth[W * H * 3], regions[W * H];
    uint64_t seed = 5;
    ms_error err;
    for (int i = 0; i < W * H; i++)
        regions[i] = i % 3 ? MS_REGION_MOUTH : MS_REGION_FACE;
    for (int with = 0; with < 2; with++) {
        ms_flicker f;
        double before[W * H] = {0}, sum[2] = {0};
        int count[2] = {0};
        assert_ms_ok(ms_flicker_init(NULL, W, H, WINDOW, &f, &err), &err);
        for (int n = 0; n < FRAMES; n++) {
            double change = 0;
            int pixels = 0;
            for (int i = 0; i < W * H * 3; i++) {
                truth[i] = (uint8_t)(test_rand(&seed) % 200);
                /* At a window's border the picture jumps. */
                rgb[i] = (uint8_t)(truth[i] + n / WINDOW * 10);
            }
            for (int i = 0; i < W * H; i++) {
                double now = luma(rgb + 3 * i) - (with ? luma(truth + 3 * i) : 0);
                if (regions[i] == MS_REGION_MOUTH) {
                    change += fabs(now - before[i]);
                    pixels++;
                }
                before[i] = now;
            }
            if (n > 0 && n != 21) {
                sum[n % WINDOW == 0] += change / pixels;
                count[n % WINDOW == 0]++;
            }
            ms_flicker_add(&f, rgb, with ? truth : NULL, regions, n, n == 21);
        }
        for (int at = 0; at < 2; at++)
            assert_true(fabs(ms_flicker_mean(&f, at) - sum[at] / count[at]) < 1e-4);
        if (with)
            assert_true(ms_flicker_mean(&f, true) > 9 && ms_flicker_mean(&f, false) < 0.01);
        ms_flicker_release(&f);
    }
    ms_flicker none = {0};
    assert_true(isnan(ms_flicker_mean(&none, true)));
    assert_int_equal(ms_flicker_init(NULL, W, H, 1, &none, &err), MS_INVALID_ARGUMENT);
}

/* ---- memory */

static ms_status make_all(ms_mem *mem, ms_error *err) {
    ms_envelope *e = NULL;
    ms_likeness *l = NULL;
    ms_region_map *m = NULL;
    ms_flicker f = {0};
    ms_status status;
    MS_GOTO(ms_envelope_create(mem, 25, &e, err));
    MS_GOTO(ms_likeness_create(mem, 20, 20, &l, err));
    MS_GOTO(ms_region_map_create(mem, &m, err));
    MS_GOTO(ms_flicker_init(mem, 20, 20, 16, &f, err));
fail:
    ms_envelope_destroy(&e);
    ms_likeness_destroy(&l);
    ms_region_map_destroy(&m);
    ms_flicker_release(&f);
    return status;
}

static void test_no_memory(void **state) {
    (void)state;
    ms_mem *mem = NULL;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    int failed = 0;
    for (uint64_t n = 1;; n++) {
        ms_error err;
        ms_mem_fail_after(n, false);
        ms_status status = make_all(mem, &err);
        ms_mem_fail_after(0, false);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
        failed++;
    }
    assert_true(failed >= 7);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_correlation), cmocka_unit_test(test_lags),    cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_likeness),    cmocka_unit_test(test_regions), cmocka_unit_test(test_flicker),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
