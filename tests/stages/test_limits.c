/* What no run may be asked for, and files that are made to take more than they say: refused before the memory is taken. */
#include "test.h"

#include "support/cli.h"

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* ---- numbers on the command line ---- */

/* Said before any file is opened: there is none. */
#define RUN "run --video no.mp4 --audio no.wav -o no-out.mp4 --model no-model "

static void numbers_out_of_range_are_refused(void **state) {
    (void)state;
    assert_run_fails(2, "\"4294967297/1\" is no rate", RUN "--fps 4294967297/1");
    assert_run_fails(2, "\"25/4294967297\" is no rate", RUN "--fps 25/4294967297");
    assert_run_fails(2, "1/2147483647 is no frame rate", RUN "--fps 1/2147483647");
    assert_run_fails(2, "2000/1 is no frame rate", RUN "--fps 2000/1");
    assert_run_fails(2, "\"-25/-1\" is no rate", RUN "--fps -25/-1");
    assert_run_fails(2, "not 500", RUN "--threads 500");
    assert_run_fails(2, "CPUs", RUN "--threads 500");
    assert_run_fails(2, "--budget: 0 is no memory", RUN "--budget 0");
    assert_run_fails(2, "--host-budget: 0G is no memory", RUN "--host-budget 0G");
    assert_run_fails(2, "--latent-cache-size: 0 is no memory", RUN "--latent-cache-size 0");
    assert_run_fails(2, "1/2147483647 is no frame rate",
                     "detect --video no.mp4 -o no.jsonl --model no-model --fps 1/2147483647");
    assert_run_fails(2, "not 500", "plan --shape tiny --threads 500");
    assert_run_fails(2, "--budget: 0 is no memory", "plan --shape tiny --budget 0");
    assert_run_fails(11, "no.mp4", RUN "--fps 30000/1001"); /* what is right comes as far as the files */
}

static void a_seed_with_a_leading_zero_is_decimal(void **state) {
    (void)state;
    char line[1200];
    assert_run_works("stage noise --seed 10 -o %s", test_file("ten.safetensors"));
    static const char *const same[] = {"010", "0000010", "0xa", "0XA"}, *const wrong[] = {"0x", "1e3", "08x",
                                                                                          "-1", ""};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_run_works("stage noise --seed %s -o %s", same[i], test_file("same.safetensors"));
        snprintf(line, sizeof(line), "cmp %s %s", test_file("ten.safetensors"),
                 test_file("same.safetensors"));
        if (system(line) != 0)
            fail_msg("--seed %s is not 10", same[i]);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_run_fails(2, "whole number", "stage noise --seed '%s' -o %s", wrong[i], test_file("no"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(a_seed_with_a_leading_zero_is_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
