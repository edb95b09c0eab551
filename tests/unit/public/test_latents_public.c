/* Latents of callers: every bit comes back, a lossy block says what it lost, what is no block is refused, and
   no allocation that fails leaves anything behind. */
#include "test.h"

#include "memsafe/memsafe.h"

#define FRAMES 12
#define VALUES 700

static float rows[FRAMES * VALUES], back[FRAMES * VALUES];
static ms_error err;

static void draw(void) {
    uint64_t state = 3;
    for (int f = 0; f < FRAMES; f++)
        for (int v = 0; v < VALUES; v++)
            rows[f * VALUES + v] = 3 * sinf((float)v * 0.37f) +
                                   cosf((float)f * 0.4f) * cosf((float)v * 1.3f) +
                                   0.05f * test_uniform(&state);
}

static void *compress(int percent, bool lossy, ms_latents_report *report) {
    void *block = NULL;
    const ms_latents_params p = {.frames = FRAMES, .values = VALUES, .rank_percent = percent, .lossy = lossy};
    assert_ms_ok(ms_latents_compress(&p, rows, &block, report, &err), &err);
    assert_int_equal(report->raw_bytes, sizeof(rows));
    return block;
}

static void every_bit_comes_back(void **state) {
    (void)state;
    draw();
    rows[5] = NAN, rows[6] = -INFINITY, rows[7] = -0.f, rows[8] = 1e-42f;
    for (int percent = 0; percent <= 100; percent += 50) {
        ms_latents_report report;
        ms_latents_info info;
        void *block = compress(percent, percent == 50, &report); /* not finite: exact all the same */
        assert_true(!report.lossy && isinf(report.psnr_db) && report.squared_error == 0);
        assert_ms_ok(ms_latents_read(block, report.block_bytes, &info, &err), &err);
        assert_true(info.frames == FRAMES && info.values == VALUES && !info.lossy);
        assert_int_equal(info.components, report.components);
        memset(back, 0, sizeof(back));
        assert_ms_ok(ms_latents_decompress(NULL, block, report.block_bytes, back, FRAMES * VALUES, &err),
                     &err);
        assert_memory_equal(rows, back, sizeof(rows));
        ms_mem_free(block);
    }
}

static void a_lossy_block_says_what_it_lost(void **state) {
    (void)state;
    draw();
    ms_latents_report report, exact;
    void *block = compress(50, true, &report), *whole = compress(50, false, &exact);
    assert_true(report.lossy && report.block_bytes < exact.block_bytes / 2);
    assert_ms_ok(ms_latents_decompress(NULL, block, report.block_bytes, back, FRAMES * VALUES, &err), &err);
    double sum = 0, range = (double)report.high - (double)report.low;
    for (int i = 0; i < FRAMES * VALUES; i++)
        sum += ((double)rows[i] - (double)back[i]) * ((double)rows[i] - (double)back[i]);
    assert_true(sum > 0 && fabs(sum - report.squared_error) <= 1e-9 * sum);
    double psnr = 10 * log10(range * range * FRAMES * VALUES / sum);
    assert_true(fabs(psnr - report.psnr_db) < 1e-6 && psnr > 30);
    ms_mem_free(block);
    ms_mem_free(whole);
}

static void what_is_no_block_is_refused(void **state) {
    (void)state;
    draw();
    ms_latents_report report;
    ms_latents_info info;
    uint8_t *block = compress(50, false, &report);
    assert_int_equal(ms_latents_read(block, report.block_bytes - 1, &info, &err), MS_BAD_MEDIA);
    assert_int_equal(ms_latents_decompress(NULL, block, report.block_bytes, back, FRAMES * VALUES - 1, &err),
                     MS_BAD_MEDIA);
    assert_non_null(strstr(err.message, "12 rows of 700 values"));
    for (size_t at = 0; at < report.block_bytes; at += at < 100 ? 1 : 97) {
        block[at] ^= 0x41;
        assert_int_equal(ms_latents_decompress(NULL, block, report.block_bytes, back, FRAMES * VALUES, &err),
                         MS_BAD_MEDIA);
        block[at] ^= 0x41;
    }
    ms_mem_free(block);
}

static void allocations_may_fail(void **state) {
    (void)state;
    draw();
    ms_latents_report report;
    void *block = compress(50, false, &report), *again = NULL;
    ms_mem *mem = NULL;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    const ms_latents_params p = {.frames = FRAMES, .values = VALUES, .rank_percent = 50, .mem = mem};
    int failed = 0;
    for (uint64_t n = 1;; n++) {
        ms_mem_fail_after(n, false);
        ms_status status = ms_latents_compress(&p, rows, &again, &report, &err);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
        assert_null(again);
        failed++;
    }
    ms_mem_free(again);
    for (uint64_t n = 1;; n++) {
        ms_mem_fail_after(n, false);
        ms_status status = ms_latents_decompress(mem, block, report.block_bytes, back, FRAMES * VALUES, &err);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
        failed++;
    }
    ms_mem_fail_after(0, false);
    assert_true(failed > 10);
    assert_int_equal(ms_mem_destroy(&mem), 0);
    ms_mem_free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_comes_back),
        cmocka_unit_test(a_lossy_block_says_what_it_lost),
        cmocka_unit_test(what_is_no_block_is_refused),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
