/* Two runs at the same time in one process: a budget is the process's, so the second counts the first. */
#include "test.h"

#include "memsafe/run_stream.h"
#include "support/run_inputs.h"

#define FIRST ((size_t)1 << 30)

static int setup(void **state) {
    (void)state;
    test_set_history("off");
    test_make_run_inputs(4, "240x208");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void the_second_gets_what_the_first_leaves(void **state) {
    (void)state;
    ms_error err;
    ms_run_params p;
    ms_run_frame frame;
    ms_run_stream *first = NULL;
    bool got = false;
    ms_run_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    test_run_params(4, &p);
    p.steps = 1;
    p.threads = 1;
    p.budget_bytes = FIRST;
    assert_ms_ok(ms_run_stream_open(&p, 1, &first, &err), &err);
    assert_ms_ok(ms_run_stream_pull(first, &frame, &got, &err), &err);
    assert_true(got); /* and held: the first goes on only when it is released */

    ms_run_params second = p;
    second.output = test_file("second.mkv");
    assert_int_equal(ms_run(&second, report, &err), MS_BUDGET);
    assert_non_null(
        strstr(err.message, "another run in this process may come to hold its budget of 1.00 GiB"));
    second.budget_bytes = FIRST + ((size_t)1 << 20);
    assert_int_equal(ms_run(&second, report, &err), MS_BUDGET);
    assert_non_null(strstr(err.message, "needs at least"));
    second.budget_bytes = 2 * FIRST;
    assert_ms_ok(ms_run(&second, report, &err), &err);
    assert_true(report->planned_bytes > FIRST && report->planned_bytes <= 2 * FIRST);

    ms_run_stream_close(&first, NULL);
    second.budget_bytes = FIRST; /* the first has ended, and no longer counts */
    assert_ms_ok(ms_run(&second, report, &err), &err);
    assert_true(report->planned_bytes < FIRST);
    free(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_gets_what_the_first_leaves),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
