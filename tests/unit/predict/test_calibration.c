/* Measuring the kernels: rates that a machine could have, nothing left behind,
   every failure of memory reported. */
#include "test.h"

#include "predict/calibration.h"

static ms_error err;

static ms_compute open_compute(ms_mem *mem, int threads) {
    ms_compute compute = {0};
    const ms_compute_params params = {
        .device = "cpu", .mem = mem, .threads = threads, .isa_limit = MS_ISA_COUNT - 1};
    assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
    return compute;
}

static void it_measures_and_leaves_nothing(void **state) {
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        ms_mem *mem = NULL;
        ms_calibration c = {0};
        ms_mem_usage usage;
        /* what it says that it holds, and a little */
        assert_int_equal(ms_mem_create((size_t)24 << 20, &mem), MS_OK);
        ms_compute compute = open_compute(mem, threads);
        assert_ms_ok(ms_calibrate(&compute, "/proc/self/exe", 0.01, &c, &err), &err);
        assert_true(ms_calibration_is_sane(&c));
        ms_mem_get_usage(mem, &usage);
        assert_true(usage.peak_bytes < (size_t)16 << 20);
        assert_ms_ok(ms_calibrate(&compute, "/no/such/file", 0.01, &c, &err), &err);
        assert_true(ms_calibration_is_sane(&c) && c.disk_bytes == c.pack_bytes);
        ms_compute_close(&compute);
        assert_int_equal(ms_mem_destroy(&mem), 0);
    }
}

static void numbers_that_cannot_be_are_not_sane(void **state) {
    (void)state;
    static const double bad[] = {0, -1, NAN, INFINITY, -INFINITY, 1e18, 0.5};
    const ms_calibration good = {1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e4};
    assert_true(ms_calibration_is_sane(&good));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
#define X(rate)                                                                                              \
    {                                                                                                        \
        ms_calibration c = good;                                                                             \
        c.rate = bad[i];                                                                                     \
        assert_false(ms_calibration_is_sane(&c));                                                            \
    }
        MS_RATE_MAP(X)
#undef X
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    ms_mem *mem = NULL;
    ms_calibration c = {0};
    ms_status status = MS_HOST_MEMORY;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    ms_compute compute = open_compute(mem, 1);
    int failures = 0;
    for (uint64_t n = 1; status != MS_OK; n++, failures++) {
        c.conv_flops = -7;
        ms_mem_fail_after(n, true);
        status = ms_calibrate(&compute, "/proc/self/exe", 0, &c, &err);
        ms_mem_fail_after(0, false);
        assert_true(status == MS_OK || (status == MS_HOST_MEMORY && c.conv_flops == -7));
    }
    assert_true(failures > 20);
    ms_compute_close(&compute);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

/* A device apart is timed by the clock: each of the passes takes it 2 ms in which no thread of ours runs. */
static void a_device_apart_is_timed_by_the_clock(void **state) {
    (void)state;
    ms_compute compute = {0};
    ms_calibration c;
    const ms_compute_params params = {.device = "remote", .threads = 2, .isa_limit = MS_ISA_COUNT - 1};
    setenv("MEMSAFE_REMOTE_DELAY_US", "2000", 1);
    assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
    assert_ms_ok(ms_calibrate(&compute, "/proc/self/exe", 0.02, &c, &err), &err);
    unsetenv("MEMSAFE_REMOTE_DELAY_US");
    ms_compute_close(&compute);
    print_message("    %.0f passes a second\n", c.passes);
    assert_true(c.passes > 1 && c.passes <= 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_measures_and_leaves_nothing),
        cmocka_unit_test(numbers_that_cannot_be_are_not_sane),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_device_apart_is_timed_by_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
