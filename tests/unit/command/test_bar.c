/* The progress line at every width. */
#include "test.h"

#include "console/bar.h"

static const cli_bar bars[] = {
    {.fraction = 0.43,
     .left_s = 125,
     .seconds = 90,
     .stage = "denoising",
     .part = 7,
     .parts = 20,
     .part_of = "step",
     .frames_done = 23,
     .frames_total = 102},
    {.fraction = 0.999,
     .left_s = 0.3,
     .seconds = 12345,
     .stage = "writing",
     .frames_done = 29990,
     .frames_total = 30000},
    {.fraction = 0,
     .left_s = 12060,
     .seconds = 0,
     .stage = "reading model",
     .part = 0,
     .parts = 0,
     .part_of = "step",
     .frames_done = 0,
     .frames_total = 1000000000},
    {.fraction = 0.5,
     .left_s = -1,
     .seconds = 3,
     .stage = "finding faces",
     .frames_done = 7,
     .frames_total = 0},
    {.fraction = -1,
     .left_s = -1,
     .seconds = 4000,
     .stage = "denoising",
     .part = 1,
     .parts = 999,
     .part_of = "step",
     .frames_done = 9999999},
    {.fraction = 1,
     .left_s = 0,
     .seconds = 1e6,
     .stage = "a stage with a name that is longer than any",
     .frames_done = INT64_MAX,
     .frames_total = INT64_MAX},
    {.fraction = 2,
     .left_s = 1e15,
     .seconds = -1,
     .stage = "",
     .part = INT64_MAX,
     .parts = INT64_MAX,
     .part_of = "step"},
};

static void it_fits_every_width(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(bars) / sizeof(bars[0]); i++) {
        int before = 0;
        for (int columns = 1; columns <= 300; columns++) {
            char text[CLI_BAR_BYTES];
            int n = cli_bar_text(&bars[i], columns, text);
            assert_int_equal(n, strlen(text));
            int width = columns < 20 ? 20 : columns > 200 ? 200 : columns;
            if (n > width - 1 || n == 0)
                fail_msg("%d columns: %d: %s", columns, n, text);
            assert_null(strpbrk(text, "\r\n\033"));
            assert_null(strstr(text, "/0"));
            assert_null(strstr(text, " of 0"));
            if (bars[i].fraction >= 0 && bars[i].fraction < 1)
                assert_non_null(strchr(text, '%'));
            before = n;
        }
        assert_true(before > 0);
    }
}

static void it_says_what_there_is_room_for(void **state) {
    (void)state;
    static const struct {
        int columns;
        const char *text;
    } lines[] = {{20, " 43 %  2 min 5 s"},
                 {22, " 43 %  2 min 5 s left"},
                 {33, " 43 %  2 min 5 s left  denoising"},
                 {40, " 43 %  2 min 5 s left  denoising"},
                 {60, "[###.....]   43 %  2 min 5 s left  denoising, step 7 of 20"},
                 {80, "[###.....]   43 %  2 min 5 s left  denoising, step 7 of 20  23 of 102 frames"}};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[CLI_BAR_BYTES];
        cli_bar_text(&bars[0], lines[i].columns, text);
        assert_string_equal(text, lines[i].text);
    }
}

/* It goes forward and never over its end. */
static void the_bar_grows(void **state) {
    (void)state;
    cli_bar b = bars[0];
    int before = 0;
    for (int i = 0; i <= 120; i++) {
        char text[CLI_BAR_BYTES];
        b.fraction = i / 100.0;
        cli_bar_text(&b, 100, text);
        int filled = 0;
        for (const char *at = text; *at; at++)
            filled += *at == '#';
        assert_true(filled >= before);
        before = filled;
    }
    assert_int_equal(before, 18);
}

/* What stands beside it changes all the time; whether there is a bar, and how long
   it is, is the terminal's width alone. */
static void the_bar_does_not_come_and_go(void **state) {
    (void)state;
    for (int columns = 20; columns <= 200; columns++) {
        size_t length = 0;
        for (double left = 0.3; left < 1e6; left *= 1.7) {
            for (int step = 1; step <= 20; step += 19) {
                char text[CLI_BAR_BYTES];
                cli_bar b = bars[0];
                b.left_s = left;
                b.part = step;
                cli_bar_text(&b, columns, text);
                if ((text[0] == '[') != (columns >= 60))
                    fail_msg("%d columns: %s", columns, text);
                size_t here = strcspn(text, "]");
                if (text[0] == '[' && length && here != length)
                    fail_msg("%d columns: a bar of %zu, before %zu: %s", columns, here, length, text);
                length = here;
            }
        }
    }
}

/* Of a run of so many seconds whose work goes on evenly, told twice a second: the
   seconds at which there are lines. */
static int lines_of(double length, bool known, double ret_at[64]) {
    cli_bar last = {0};
    int n = 0;
    for (double s = 0; s < length; s += 0.5) {
        cli_bar b = {.fraction = known ? s / length : -1, .seconds = s};
        if (!cli_bar_is_due(&b, &last))
            continue;
        assert_true(n < 64);
        ret_at[n++] = s;
        last = b;
    }
    return n;
}

static void lines_in_a_log_are_few(void **state) {
    (void)state;
    double at[64];
    assert_int_equal(lines_of(55, true, at), 0);
    assert_int_equal(lines_of(10000, true, at), 9); /* with each tenth */
    for (int i = 0; i < 9; i++)
        assert_true(at[i] == 1000.0 * (i + 1));
    assert_int_equal(lines_of(200, true, at), 3); /* a tenth is 20 s: with each third, then */
    assert_true(at[0] == 60 && at[1] == 120 && at[2] == 180);
    assert_int_equal(lines_of(3601, false, at), 6);
    assert_true(at[0] == 600);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fits_every_width),    cmocka_unit_test(it_says_what_there_is_room_for),
        cmocka_unit_test(the_bar_grows),          cmocka_unit_test(the_bar_does_not_come_and_go),
        cmocka_unit_test(lines_in_a_log_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
