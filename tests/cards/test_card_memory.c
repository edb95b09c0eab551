/* Memory of the emulated card in whole runs: a run takes what was planned. */
#include "test.h"

#include "base/error.h"
#include "cards/card_run.h"

static ms_run_params params;
static ms_run_report report;
static ms_error err;

static int prepare(void **state) {
    (void)state;
    card_prepare(CARD_FRAMES, &params);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* To the byte, with and without captured graphs. Of the last two layouts one has lists for both branches. */
static void a_run_takes_what_was_planned(void **state) {
    (void)state;
    static const struct {
        ms_rung rung;
        const char *graphs;
    } ways[] = {{MS_RUNG_FULL, "device_graphs=off"},
                {MS_RUNG_FULL, "device_graphs=on"},
                {MS_RUNG_SERIAL, "device_graphs=on"}};
    size_t before = 0;
    pictures got;
    for (int i = 0; i < 3; i++) {
        ms_run_params p = params;
        p.rung = ways[i].rung;
        p.profile.settings = &ways[i].graphs;
        p.profile.n_settings = 1;
        card_set(86, 1 + i);
        assert_ms_ok(card_run(&p, &got, &report, &err), &err);
        assert_int_equal(report.device_peak_bytes, report.planned_bytes);
        assert_int_equal(report.recoveries, 0);
        assert_true(report.device_peak_bytes > before);
        before = report.device_peak_bytes;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_takes_what_was_planned)};
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
