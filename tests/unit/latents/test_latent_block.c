/* Blocks of latents: every bit comes back, what is damaged is refused, smooth rows become small. */
#include "test.h"

#include "latents/block_bytes.h"
#include "latents/latent_block.h"
#include "latents/symmetric_eigen.h"

#define MAX_FRAMES 24

typedef struct sample {
    int frames;
    int64_t values;
    float *data;
    const float *rows[MAX_FRAMES];
} sample;

static sample make(int frames, int64_t values) {
    sample s = {.frames = frames, .values = values, .data = malloc((size_t)(frames * values) * 4)};
    for (int f = 0; f < frames; f++)
        s.rows[f] = s.data + f * values;
    return s;
}

/* Three patterns that come and go over time, and a little noise: what moments of a face look like. */
static sample smooth(int frames, int64_t values, float noise) {
    sample s = make(frames, values);
    uint64_t state = 5;
    for (int f = 0; f < frames; f++)
        for (int64_t v = 0; v < values; v++)
            s.data[f * values + v] =
                3 * sinf((float)v * 0.37f) + cosf((float)f * 0.4f) * cosf((float)v * 1.3f) +
                0.3f * sinf((float)f) * sinf((float)(v % 97)) + noise * test_uniform(&state);
    return s;
}

static sample any_bits(int frames, int64_t values) {
    static const uint32_t special[] = {0,          0x80000000, 0x7f800000, 0xff800000,
                                       0x7fc00000, 0x7f800001, 0xffffffff, 1,
                                       0x80000001, 0x007fffff, 0x7f7fffff, 0xff7fffff};
    sample s = make(frames, values);
    uint64_t state = 11;
    for (int64_t i = 0; i < frames * values; i++) {
        uint32_t bits = test_rand(&state);
        if (bits % 5 == 0)
            bits = special[test_rand(&state) % 12];
        memcpy(&s.data[i], &bits, 4);
    }
    return s;
}

typedef struct coded {
    uint8_t *data;
    ms_latent_block_stats stats;
} coded;

static coded encode(ms_latent_codec *codec, const sample *s, int percent, bool lossy) {
    ms_error err;
    coded c = {.data = malloc(ms_latent_block_bound(s->frames, s->values))};
    ms_latent_block_params p = {
        .frames = s->frames, .values = s->values, .rank_percent = percent, .lossy = lossy};
    assert_ms_ok(ms_latent_block_encode(codec, &p, s->rows, c.data, &c.stats, &err), &err);
    assert_true(c.stats.bytes <= ms_latent_block_bound(s->frames, s->values));
    assert_int_equal(c.stats.raw_bytes, (size_t)(s->frames * s->values) * 4);
    return c;
}

static ms_latent_codec *codec_for(int frames) {
    ms_error err;
    ms_latent_codec *codec = NULL;
    assert_ms_ok(ms_latent_codec_create(NULL, frames, &codec, &err), &err);
    return codec;
}

/* All rows, then every second one alone. */
static void assert_comes_back(ms_latent_codec *codec, const sample *s, const coded *c) {
    sample back = make(s->frames, s->values);
    float *rows[MAX_FRAMES];
    ms_error err;
    for (int f = 0; f < s->frames; f++)
        rows[f] = back.data + f * s->values;
    assert_ms_ok(ms_latent_block_decode(codec, c->data, c->stats.bytes, rows, &err), &err);
    assert_memory_equal(s->data, back.data, (size_t)(s->frames * s->values) * 4);
    memset(back.data, 0x5a, (size_t)(s->frames * s->values) * 4);
    for (int f = 1; f < s->frames; f += 2)
        rows[f] = NULL;
    assert_ms_ok(ms_latent_block_decode(codec, c->data, c->stats.bytes, rows, &err), &err);
    for (int f = 0; f < s->frames; f++) {
        if (f % 2 == 0)
            assert_memory_equal(s->rows[f], back.rows[f], (size_t)s->values * 4);
        else
            assert_int_equal(((uint8_t *)back.rows[f])[5], 0x5a);
    }
    free(back.data);
}

static void every_bit_comes_back(void **state) {
    (void)state;
    static const struct {
        int frames;
        int64_t values;
    } shapes[] = {{1, 1}, {1, 5}, {2, 3}, {16, 4096}, {16, 8192}, {16, 8193}, {24, 20000}, {7, 30011}};
    static const int percents[] = {0, 1, 50, 70, 90, 99, 100};
    ms_latent_codec *codec = codec_for(MAX_FRAMES);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        sample samples[] = {smooth(shapes[i].frames, shapes[i].values, 0.05f),
                            smooth(shapes[i].frames, shapes[i].values, 0),
                            any_bits(shapes[i].frames, shapes[i].values)};
        for (int j = 0; j < 3; j++) {
            for (int p = 0; p < 7; p++) {
                coded c = encode(codec, &samples[j], percents[p], false);
                assert_false(c.stats.lossy);
                assert_comes_back(codec, &samples[j], &c);
                free(c.data);
            }
            free(samples[j].data);
        }
    }
    ms_latent_codec_destroy(&codec);
}

static void constant_and_tiny_and_huge_values(void **state) {
    (void)state;
    static const float constants[] = {0, -0.0f, 1.5f, 1e-45f, 3e-39f, 3.4e38f, NAN, INFINITY};
    ms_latent_codec *codec = codec_for(16);
    sample s = make(16, 500);
    for (int i = 0; i < 8; i++) {
        for (int64_t v = 0; v < 16 * 500; v++)
            s.data[v] = v % 7 ? constants[i] : -constants[i] * (float)(v % 3);
        for (int lossy = 0; lossy < 2; lossy++) {
            coded c = encode(codec, &s, 50, lossy);
            if (!c.stats.lossy)
                assert_comes_back(codec, &s, &c);
            assert_false(c.stats.lossy && i >= 6); /* what is not finite is kept exactly */
            free(c.data);
        }
    }
    free(s.data);
    ms_latent_codec_destroy(&codec);
}

static void still_rows_become_small(void **state) {
    (void)state;
    ms_latent_codec *codec = codec_for(16);
    sample still = smooth(16, 8192, 0.5f);
    for (int f = 1; f < 16; f++)
        memcpy(still.data + f * 8192, still.data, 8192 * 4);
    sample moving = smooth(16, 8192, 0.01f);
    coded plain = encode(codec, &moving, 0, false), half = encode(codec, &moving, 50, false),
          same = encode(codec, &still, 50, false);
    assert_int_equal(plain.stats.components, 0);
    if (ms_block_has_zstd()) {
        assert_in_range(half.stats.components, 3, 8); /* the three patterns */
        assert_true(half.stats.bytes < plain.stats.bytes);
        assert_true((double)half.stats.raw_bytes / (double)half.stats.bytes > 1.5);
        assert_true((double)same.stats.raw_bytes / (double)same.stats.bytes > 6);
    }
    free(plain.data);
    free(half.data);
    free(same.data);
    free(still.data);
    free(moving.data);
    ms_latent_codec_destroy(&codec);
}

static double psnr_of(const ms_latent_block_stats *s, double mean_square) {
    double range = (double)s->high - (double)s->low;
    return 10 * log10(range * range / mean_square);
}

static void lossy_blocks_say_how_much_is_lost(void **state) {
    (void)state;
    ms_latent_codec *codec = codec_for(16);
    sample s = smooth(16, 8192, 0.02f), back = make(16, 8192);
    float *rows[16];
    double last = 0;
    for (int percent = 20; percent < 100; percent += 25) {
        ms_error err;
        coded c = encode(codec, &s, percent, true), exact = encode(codec, &s, percent, false);
        assert_true(c.stats.lossy);
        assert_int_equal(c.stats.components, percent == 95 ? 15 : (16 * percent + 99) / 100);
        assert_true(c.stats.bytes < exact.stats.bytes);
        for (int f = 0; f < 16; f++)
            rows[f] = back.data + f * 8192;
        assert_ms_ok(ms_latent_block_decode(codec, c.data, c.stats.bytes, rows, &err), &err);
        double sum = 0;
        for (int i = 0; i < 16 * 8192; i++)
            sum += ((double)s.data[i] - back.data[i]) * ((double)s.data[i] - back.data[i]);
        assert_true(fabs(sum - c.stats.squared_error) <= 1e-9 * sum);
        double psnr = psnr_of(&c.stats, sum / (16 * 8192));
        assert_true(psnr > 50 && psnr > last);
        last = psnr;
        free(c.data);
        free(exact.data);
    }
    free(s.data);
    free(back.data);
    ms_latent_codec_destroy(&codec);
}

/* Any changed byte, any missing end: refused, never other values. */
static void damage_is_noticed(void **state) {
    (void)state;
    ms_error err;
    ms_latent_codec *codec = codec_for(4);
    sample s = smooth(4, 300, 0.01f), back = make(4, 300);
    float *rows[4];
    for (int f = 0; f < 4; f++)
        rows[f] = back.data + f * 300;
    for (int lossy = 0; lossy <= 1; lossy++) {
        coded c = encode(codec, &s, 50, lossy);
        assert_int_equal(c.stats.lossy, lossy);
        int refused = 0;
        for (size_t i = 0; i < c.stats.bytes; i++) {
            c.data[i] ^= (uint8_t)(1u << i % 8);
            ms_status status = ms_latent_block_decode(codec, c.data, c.stats.bytes, rows, &err);
            refused += status != MS_OK;
            if (status == MS_OK) /* zstd's frame has bits that mean nothing */
                assert_true(lossy || memcmp(s.data, back.data, 4 * 300 * 4) == 0);
            else
                assert_int_equal(status, MS_BAD_MEDIA);
            c.data[i] ^= (uint8_t)(1u << i % 8);
        }
        assert_true((size_t)refused + 8 >= c.stats.bytes);
        for (size_t n = 0; n < c.stats.bytes; n++)
            assert_int_equal(ms_latent_block_decode(codec, c.data, n, rows, &err), MS_BAD_MEDIA);
        free(c.data);
    }
    ms_latent_codec_destroy(&codec);
    codec = codec_for(3); /* too small for this block */
    ms_latent_codec *large = codec_for(4);
    coded c = encode(large, &s, 50, false);
    assert_int_equal(ms_latent_block_decode(codec, c.data, c.stats.bytes, rows, &err), MS_BAD_MEDIA);
    free(c.data);
    free(s.data);
    free(back.data);
    ms_latent_codec_destroy(&codec);
    ms_latent_codec_destroy(&large);
}

static void shapes_that_make_no_sense(void **state) {
    (void)state;
    ms_error err;
    ms_latent_codec *codec = NULL;
    assert_int_equal(ms_latent_codec_create(NULL, 0, &codec, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_latent_codec_create(NULL, MS_LATENT_BLOCK_MAX_FRAMES + 1, &codec, &err),
                     MS_INVALID_ARGUMENT);
    codec = codec_for(2);
    sample s = smooth(3, 4, 0);
    uint8_t out[4096];
    ms_latent_block_params p = {.frames = 3, .values = 4};
    assert_int_equal(ms_latent_block_encode(codec, &p, s.rows, out, NULL, &err), MS_INVALID_ARGUMENT);
    p = (ms_latent_block_params){.frames = 2, .values = 0};
    assert_int_equal(ms_latent_block_encode(codec, &p, s.rows, out, NULL, &err), MS_INVALID_ARGUMENT);
    free(s.data);
    ms_latent_codec_destroy(&codec);
}

/* What creating says it takes is what it takes; each allocation may fail; coding makes none. */
static void memory_is_planned_and_may_fail(void **state) {
    (void)state;
    ms_mem *mem = NULL;
    ms_error err;
    ms_mem_usage before, after;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    for (uint64_t n = 1;; n++) {
        ms_latent_codec *codec = NULL;
        ms_mem_fail_after(n, false);
        ms_status status = ms_latent_codec_create(mem, 16, &codec, &err);
        ms_mem_fail_after(0, false);
        if (status == MS_OK) {
            assert_true(n > 8);
            ms_mem_get_usage(mem, &before);
            assert_true(before.current_bytes <= ms_latent_codec_bytes(16));
            assert_true(before.current_bytes == before.ledger_current[MS_LEDGER_CACHES]);
            sample s = smooth(16, 20000, 0.1f);
            coded c = encode(codec, &s, 50, false);
            assert_comes_back(codec, &s, &c);
            ms_mem_get_usage(mem, &after);
            assert_true(after.allocations == before.allocations);
            free(c.data);
            free(s.data);
            ms_latent_codec_destroy(&codec);
            break;
        }
        assert_int_equal(status, MS_HOST_MEMORY);
        assert_null(codec);
        ms_mem_get_usage(mem, &after);
        assert_int_equal(after.current_bytes, 0);
    }
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

/* The order of floats is that of their values, and zigzag is undone. */
static void floats_in_order(void **state) {
    (void)state;
    static const float rising[] = {-INFINITY, -3.4e38f, -1, -1e-40f, -0.0f, 0, 1e-45f, 1, 2, INFINITY};
    uint32_t last = 0;
    for (int i = 0; i < 10; i++) {
        uint32_t bits;
        memcpy(&bits, &rising[i], 4);
        assert_true(ms_float_order(bits) > last);
        last = ms_float_order(bits);
        assert_int_equal(ms_float_unorder(last), bits);
        assert_int_equal(ms_unzigzag(ms_zigzag(bits)), bits);
    }
    assert_int_equal(ms_zigzag(0), 0);
    assert_int_equal(ms_zigzag(0xffffffffu), 1);
    assert_int_equal(ms_zigzag(1), 2);
}

/* A = V' diag(values) V, V orthogonal, the values falling; for small, large, singular and huge matrices. */
static void eigenvectors_of_symmetric_matrices(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 3, 16, 40, 100};
    static double a[100 * 100], copy[100 * 100], values[100], vectors[100 * 100];
    uint64_t rng = 3;
    for (int s = 0; s < 6; s++) {
        int n = sizes[s], rank = s % 2 ? n : (n + 1) / 2;
        double scale = s == 4 ? 1e80 : 1;
        for (int i = 0; i < n * n; i++)
            a[i] = 0;
        for (int k = 0; k < rank; k++) {
            double x[100];
            for (int i = 0; i < n; i++)
                x[i] = test_uniform(&rng) / (1 + k);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++)
                    a[i * n + j] += scale * x[i] * x[j];
        }
        memcpy(copy, a, sizeof(a));
        ms_symmetric_eigen(copy, n, values, vectors);
        for (int i = 0; i < n; i++) {
            assert_true(i == 0 || values[i] <= values[i - 1]);
            for (int j = 0; j < n; j++) {
                double sum = 0, dot = 0;
                for (int k = 0; k < n; k++) {
                    sum += values[k] * vectors[k * n + i] * vectors[k * n + j];
                    dot += vectors[i * n + k] * vectors[j * n + k];
                }
                assert_true(fabs(sum - a[i * n + j]) <= 1e-12 * values[0]);
                assert_true(fabs(dot - (i == j)) <= 1e-12);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_comes_back),
        cmocka_unit_test(constant_and_tiny_and_huge_values),
        cmocka_unit_test(still_rows_become_small),
        cmocka_unit_test(lossy_blocks_say_how_much_is_lost),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(shapes_that_make_no_sense),
        cmocka_unit_test(memory_is_planned_and_may_fail),
        cmocka_unit_test(floats_in_order),
        cmocka_unit_test(eigenvectors_of_symmetric_matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
