#include "test.h"

#include <math.h>

#include "text/duration.h"

static void writes_what_people_read(void **state) {
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0 s"},
                 {0.0000123, "0.01 ms"},
                 {0.0042, "4.2 ms"},
                 {0.0094, "9.4 ms"},
                 {0.0096, "0.01 s"},
                 {0.254, "0.25 s"},
                 {0.994, "0.99 s"},
                 {0.996, "1.0 s"},
                 {8.3, "8.3 s"},
                 {9.94, "9.9 s"},
                 {9.96, "10 s"},
                 {42.4, "42 s"},
                 {59.4, "59 s"},
                 {59.6, "1 min"},
                 {60, "1 min"},
                 {125, "2 min 5 s"},
                 {3599.4, "59 min 59 s"},
                 {3599.6, "1 h"},
                 {3600, "1 h"},
                 {12060, "3 h 21 min"},
                 {7199, "2 h"},
                 {360060, "100 h 1 min"},
                 {1e13, "?"},
                 {-1, "?"}};
    char text[MS_DURATION_TEXT_BYTES];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(ms_duration_format(text, cases[i].seconds), cases[i].text);
    assert_string_equal(ms_duration_format(text, NAN), "?");
    assert_string_equal(ms_duration_format(text, INFINITY), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_what_people_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
