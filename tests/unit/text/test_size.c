#include "test.h"

#include "text/size.h"

static void reads_what_people_write(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"17", 17},
        {"17B", 17},
        {"8G", UINT64_C(8) << 30},
        {"8g", UINT64_C(8) << 30},
        {"8GB", UINT64_C(8) << 30},
        {"8GiB", UINT64_C(8) << 30},
        {"8 GiB", UINT64_C(8) << 30},
        {"512M", UINT64_C(512) << 20},
        {"64kb", UINT64_C(64) << 10},
        {"1.5GiB", UINT64_C(3) << 29},
        {"0.1K", 102},
        {"2T", UINT64_C(2) << 40},
        {"9223372036854775807", INT64_MAX},
        {"8388607T", UINT64_C(8388607) << 40},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 1;
        if (!ms_size_parse(cases[i].text, &bytes) || bytes != cases[i].bytes)
            fail_msg("%s: %llu", cases[i].text, (unsigned long long)bytes);
    }
}

static void refuses_everything_else(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "G",
                                        "-1",
                                        "+1",
                                        " 8G",
                                        "8X",
                                        "8GX",
                                        "8Gi B",
                                        "8iB",
                                        "1.G",
                                        ".5G",
                                        "1e9",
                                        "inf",
                                        "nan",
                                        "0x8",
                                        "8G ",
                                        "8,5G",
                                        "1..5",
                                        "9223372036854775808",
                                        "8388608T",
                                        "99999999999999999999"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t bytes = 42;
        if (ms_size_parse(texts[i], &bytes))
            fail_msg("accepted \"%s\" as %llu", texts[i], (unsigned long long)bytes);
        assert_true(bytes == 42);
    }
}

static void writes_the_largest_unit(void **state) {
    (void)state;
    char text[MS_SIZE_TEXT_BYTES];
    assert_string_equal(ms_size_format(text, 0), "0 bytes");
    assert_string_equal(ms_size_format(text, 1023), "1023 bytes");
    assert_string_equal(ms_size_format(text, 1024), "1.00 KiB");
    assert_string_equal(ms_size_format(text, UINT64_C(3) << 29), "1.50 GiB");
    assert_string_equal(ms_size_format(text, UINT64_C(4096) << 40), "4096 TiB");
}

/* Three digits are enough for people, and more than that says that it is exact. */
static void writes_three_digits(void **state) {
    (void)state;
    char text[MS_SIZE_TEXT_BYTES];
    assert_string_equal(ms_size_format(text, UINT64_C(512) << 20), "512 MiB");
    assert_string_equal(ms_size_format(text, 25276102000), "23.5 GiB");
    assert_string_equal(ms_size_format(text, (UINT64_C(10) << 20) - 1), "10.0 MiB");
    assert_string_equal(ms_size_format(text, (UINT64_C(100) << 20) - 1), "100 MiB");
    assert_string_equal(ms_size_format(text, (UINT64_C(1) << 30) - 1), "1.00 GiB");
}

/* What was too small is never told as more than it was. */
static void rounds_a_budget_down(void **state) {
    (void)state;
    char text[MS_SIZE_TEXT_BYTES];
    assert_string_equal(ms_size_format_budget(text, 5000 << 10), "4.88 MiB");
    assert_string_equal(ms_size_format_budget(text, (10 << 20) - 1), "9.99 MiB");
    assert_string_equal(ms_size_format_budget(text, (428 << 20) - 1), "427 MiB");
    assert_string_equal(ms_size_format_budget(text, 1 << 10), "1.00 KiB");
}

/* What a refusal names must be taken when it is given back. */
static void rounds_up_to_what_is_enough(void **state) {
    (void)state;
    assert_true(ms_size_whole_mib(0) == 0);
    assert_true(ms_size_whole_mib(1) == 1);
    assert_true(ms_size_whole_mib(UINT64_C(489) << 20) == 489);
    assert_true(ms_size_whole_mib((UINT64_C(489) << 20) + 1) == 490);
    assert_true(ms_size_whole_mib(UINT64_MAX) == UINT64_C(1) << 44);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_people_write),     cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(writes_the_largest_unit),     cmocka_unit_test(writes_three_digits),
        cmocka_unit_test(rounds_up_to_what_is_enough), cmocka_unit_test(rounds_a_budget_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
