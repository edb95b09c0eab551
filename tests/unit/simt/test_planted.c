/*
 * Faults planted in kernels are found: by the emulator's own words, by wrong numbers, by AddressSanitizer, by
 * ThreadSanitizer. A fault that is found in one build only is run there; what has no sanitizer says so.
 */
#include "test.h"

#include "device/device.h"
#include "support/cli.h"

#define SEEDS 8

#ifndef MS_planted_address
#define MS_planted_address NULL
#endif
#ifndef MS_planted_thread
#define MS_planted_thread NULL
#endif
static const char *const builds[] = {MS_planted, MS_planted_address, MS_planted_thread};

enum { PLAIN, ADDRESS, THREAD };

static const char *program(int build) {
#if defined(__x86_64__)
    if (ms_isa_detect() < MS_ISA_AVX2)
        skip();
#endif
    if (!builds[build]) {
        print_message("the compilers have no such sanitizer\n");
        skip();
    }
    if (build == THREAD && test_shell("setarch -R true 2>&1") != 0) {
        print_message("this system does not let a program choose its addresses: %s\n", test_output);
        skip();
    }
    return builds[build];
}

static int run(int build, const char *bug, int arch, int seed) {
    const char *path = program(build);
    /* ThreadSanitizer needs addresses where it expects them. */
    return test_program(build == THREAD ? "setarch -R" : "env", "%s %s %d %d", path, bug, arch, seed);
}

static void expect(int build, const char *bug, int arch, const char *message) {
    for (int seed = 0; seed < 3; seed++) {
        assert_int_not_equal(run(build, bug, arch, seed), 0);
        if (!strstr(test_output, message))
            fail_msg("%s, seed %d: no \"%s\" in: %s", bug, seed, message, test_output);
    }
}

/* With every seed, or with some but not with the first. */
static void expect_wrong(const char *bug, bool hidden) {
    int found = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        int code = run(PLAIN, bug, 86, seed);
        assert_true(code == 0 || (code == 3 && strstr(test_output, "the numbers are wrong")));
        found += code == 3;
        if (seed == 0)
            assert_int_equal(code, hidden ? 0 : 3);
    }
    assert_in_range(found, hidden ? 2 : SEEDS, SEEDS);
}

static void sound(int build) {
    for (int seed = 0; seed < 4; seed++)
        for (int arch = 75; arch <= 90; arch += 5) {
            int code = run(build, "sound", arch == 85 ? 86 : arch, seed);
            if (code != 0 || test_output[0])
                fail_msg("seed %d: %d: %s", seed, code, test_output);
        }
}

static void test_sound(void **state) {
    (void)state;
    sound(PLAIN);
}

static void test_sound_addresses(void **state) {
    (void)state;
    sound(ADDRESS);
}

static void test_sound_threads(void **state) {
    (void)state;
    sound(THREAD);
}

static void test_messages(void **state) {
    (void)state;
    expect(PLAIN, "unaligned_copy", 86, "cp.async from global memory: address");
    expect(PLAIN, "unaligned_matrix", 86, "ldmatrix: address");
    expect(PLAIN, "unaligned_load", 86, "simt_load16: address");
    expect(PLAIN, "shared_too_large", 86, "uses 256 bytes of shared memory, the launch said 128");
    expect(PLAIN, "shared_beyond_card", 86,
           "asks for 102400 bytes of shared memory, a block on sm_86 has up to 101376");
    assert_int_equal(run(PLAIN, "shared_beyond_card", 80, 0), 0);
    expect(PLAIN, "early_return", 86, "threads of the block");
    expect(PLAIN, "copies_left", 86, "returns while 1 of its copies are under way");
    expect(PLAIN, "divergence", 86, "the warp has diverged: this lane comes to ");
    expect(PLAIN, "half_a_warp", 86, "waits at shuffle for lanes that do not come");
    expect(PLAIN, "bf16_on_turing", 75, "multiplies bfloat16, which sm_75 cannot");
    /* Who and where. */
    assert_non_null(strstr(test_output, "simt: kernel bf16_on_turing, block (0, 0, 0), thread "));
}

/* More local variables than a stack holds meet memory that cannot be touched, and no neighbour's. */
static void test_stack(void **state) {
    (void)state;
    int code = run(PLAIN, "deep_stack", 86, 0);
    assert_int_equal(code, 128 + 11); /* as the shell tells of a segmentation fault */
}

static void test_wrong_numbers(void **state) {
    (void)state;
    expect_wrong("missing_barrier", false);
    expect_wrong("missing_warp_barrier", false);
    expect_wrong("missing_wait", false);
    expect_wrong("wait_for_too_few", false);
    expect_wrong("missing_barrier_after_wait", false);
}

/* In order of arrival these are right. */
static void test_hidden(void **state) {
    (void)state;
    expect_wrong("missing_second_barrier", true);
    expect_wrong("block_after_block", true);
}

static void test_addresses(void **state) {
    (void)state;
    expect(ADDRESS, "shared_bounds", 86, "heap-buffer-overflow");
    expect(ADDRESS, "shared_read", 86, "heap-buffer-overflow");
    expect(ADDRESS, "global_bounds", 86, "heap-buffer-overflow");
    expect(ADDRESS, "global_copy", 86, "heap-buffer-overflow");
    expect(ADDRESS, "global_copy", 75, "heap-buffer-overflow");
}

static void test_threads(void **state) {
    (void)state;
    expect(THREAD, "missing_barrier", 86, "data race");
    expect(THREAD, "missing_second_barrier", 86, "data race");
    expect(THREAD, "missing_warp_barrier", 86, "data race");
    expect(THREAD, "shuffle_as_barrier", 86, "data race");
    expect(THREAD, "shuffle_as_barrier_16", 86, "data race");
    expect(THREAD, "missing_barrier_after_wait", 86, "data race");
    expect(THREAD, "missing_barrier_after_wait", 75, "data race");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),         cmocka_unit_test(test_sound_addresses),
        cmocka_unit_test(test_sound_threads), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_stack),         cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_hidden),        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("planted", tests, NULL, NULL);
}
