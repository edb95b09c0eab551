/* `memsafe plan`: its numbers add up, its smallest budget works and the next smaller one does not. */
#include "test.h"

#include "base/json.h"
#include "support/cli.h"

static double bytes_of(const ms_json *root, const char *key) {
    const ms_json *value = ms_json_get(ms_json_get(root, "bytes"), key);
    assert_non_null(value);
    return value->number;
}

static ms_json_doc *plan(const char *options) {
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_run_works("plan --json --threads 2 %s", options);
    assert_ms_ok(ms_json_parse(NULL, test_output, strlen(test_output), &doc, &err), &err);
    return doc;
}

static void the_parts_add_up(void **state) {
    (void)state;
    static const char *const parts[] = {"process", "codec",  "frames", "buffers",
                                        "weights", "stream", "arena"};
    static const char *const options[] = {"", "--budget 1G", "--shape latentsync-1.6 --budget 3G --deepcache",
                                          "--shape tiny --size 333x127 --looping",
                                          "--force-rung single-frame"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        ms_json_doc *doc = plan(options[i]);
        const ms_json *root = ms_json_root(doc), *phases = ms_json_get(root, "phases");
        double sum = 0, largest = 0;
        for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
            sum += bytes_of(root, parts[p]);
        assert_true(sum == bytes_of(root, "peak"));
        assert_true(sum <= bytes_of(root, "budget"));
        assert_true(phases->count >= 4);
        for (uint32_t p = 0; p < phases->count; p++) {
            const ms_json *phase = ms_json_at(phases, p);
            double arena = ms_json_get(phase, "arena_bytes")->number;
            double bound = ms_json_get(phase, "lower_bound_bytes")->number;
            assert_true(arena >= bound && arena <= (strstr(options[i], "tiny") ? 1.15 : 1.01) * bound);
            largest = arena > largest ? arena : largest;
        }
        assert_true(largest == bytes_of(root, "arena"));
        ms_json_doc_destroy(&doc);
    }
}

static void less_memory_takes_more_time(void **state) {
    (void)state;
    static const char *const budgets[] = {"8G", "3G", "2G", "1G", "750M"};
    double before = 0;
    for (int i = 0; i < 5; i++) {
        char options[64];
        snprintf(options, sizeof(options), "--budget %s", budgets[i]);
        ms_json_doc *doc = plan(options);
        double streamed = bytes_of(ms_json_root(doc), "streamed");
        assert_true(i == 0 ? streamed == 0 : streamed > before); /* what does not fit is streamed */
        before = streamed;
        ms_json_doc_destroy(&doc);
    }
}

static void the_least_budget_is_true(void **state) {
    (void)state;
    ms_json_doc *doc = plan("");
    double least = bytes_of(ms_json_root(doc), "least");
    ms_json_doc_destroy(&doc);
    /* The program's own size differs by some pages from call to call. */
    assert_run_works("plan --threads 2 --budget %.0f", least + 1e6);
    assert_run_fails(3, "needs at least", "plan --threads 2 --budget %.0f", least - 1e6);
    assert_run_fails(3, "smallest budget that works", "plan --threads 2 --budget %.0f", least - 1e6);
}

static void it_draws(void **state) {
    (void)state;
    char head[256] = {0};
    assert_run_works("plan --shape tiny --svg %s", test_file("p.svg"));
    FILE *f = fopen(test_file("p.svg"), "r");
    assert_non_null(f);
    assert_non_null(fgets(head, sizeof(head), f));
    assert_non_null(strstr(head, "<svg"));
    fseek(f, -7, SEEK_END);
    assert_non_null(fgets(head, sizeof(head), f));
    assert_string_equal(head, "</svg>\n");
    fclose(f);
    assert_run_fails(11, "no-such-folder", "plan --shape tiny --svg %s", test_file("no-such-folder/p.svg"));
}

static void wrong_questions_are_refused(void **state) {
    (void)state;
    assert_run_fails(2, "12by7", "plan --size 12by7");
    assert_run_fails(2, "8x720", "plan --size 8x720");
    assert_run_fails(2, "latentsync-9", "plan --shape latentsync-9");
    assert_run_fails(11, "no-such-model", "plan --model no-such-model");
    assert_run_fails(2, "frames", "plan --frames 0");
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_add_up),
        cmocka_unit_test(less_memory_takes_more_time),
        cmocka_unit_test(the_least_budget_is_true),
        cmocka_unit_test(it_draws),
        cmocka_unit_test(wrong_questions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
