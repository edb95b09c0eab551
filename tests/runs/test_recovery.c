/* Allocations that fail during a run, once and from then on: the same frames come out, or a clean error
   and a job that --resume finishes. MEMSAFE_EVERY_ALLOCATION=1 tries each one (hours), K/N each N-th
   from the K-th on, for N processes side by side; else a sample that is denser at the beginning. */
#include "test.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/mem.h"
#include "memsafe/log.h"
#include "predict/history.h"
#include "support/run_inputs.h"

#define FRAMES 20 /* a window and a short one */

static ms_run_params params;

static const char *every_allocation(void) {
    return getenv("MEMSAFE_EVERY_ALLOCATION");
}

static int prepare(void **state) {
    (void)state;
    static char output[512];
    snprintf(output, sizeof(output), "%s", test_file("out.mkv"));
    test_make_run_inputs(FRAMES, "160x160");
    test_run_params(FRAMES, &params);
    params.output = output;
    params.steps = 1;
    params.guidance = 1;
    params.paste = MS_PASTE_MOUTH; /* has allocations of its own */
    params.segment_frames = 8;
    if (every_allocation())
        params.threads = 1; /* no time is lost with threads that wait for each other */
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static uint64_t hash_of_output(void) {
    return test_hash_file(params.output);
}

typedef struct tally {
    int runs, recovered, same, errors, resumed, nothing;
} tally;

/* Which allocation fails: the n-th of the run, or the n-th after its first window was decoded. */
typedef struct ambush {
    uint64_t n, began;
    bool repeat, after_a_window, laid;
} ambush;

static void lay(ambush *a) {
    a->began = ms_mem_fail_after(a->n, a->repeat);
    a->laid = true;
}

static void lay_after_a_window(void *arg, const ms_run_progress *progress) {
    ambush *a = arg;
    if (!a->laid && strcmp(progress->stage, "decode") == 0 && progress->part == progress->parts)
        lay(a);
}

/* False when the run had fewer allocations. */
static bool run_ambushed(ambush a, uint64_t expected, tally *t) {
    static ms_run_report report;
    ms_error err;
    ms_run_params p = params;
    ms_mem_usage before, after;
    unlink(p.output);
    ms_mem_get_usage(ms_mem_process(), &before);
    if (a.after_a_window) {
        p.progress = lay_after_a_window;
        p.arg = &a;
    } else {
        lay(&a);
    }
    ms_status status = ms_run(&p, &report, &err);
    bool hit = ms_mem_fail_after(0, false) >= a.began + a.n && a.laid;
    ms_mem_get_usage(ms_mem_process(), &after);
    assert_int_equal(after.current_bytes, before.current_bytes);
    t->runs++;
    if (status == MS_OK) {
        assert_true(hash_of_output() == expected);
        t->same++;
        t->recovered += report.recoveries > 0;
        return hit;
    }
    if (!ms_is_out_of_memory(status))
        fail_msg("allocation %d%s: %s (%s)", (int)a.n, a.repeat ? " and all after it" : "", err.message,
                 ms_status_text(status));
    t->errors++;
    assert_false(test_exists(p.output)); /* nothing half-written under the name */
    if (!test_exists(test_file("out.mkv.memsafe")) && every_allocation()) {
        t->nothing++; /* a run from the beginning, and that it works is known */
        return true;
    }
    p.resume = true;
    p.force = false;
    status = ms_run(&p, &report, &err);
    if (status == MS_INVALID_ARGUMENT || status == MS_IO) { /* it had not come as far as a job */
        p.resume = false;
        p.force = true;
        assert_ms_ok(ms_run(&p, &report, &err), &err);
    } else {
        assert_ms_ok(status, &err);
        t->resumed++;
    }
    assert_true(hash_of_output() == expected);
    return true;
}

static bool run_with_failure(uint64_t n, bool repeat, uint64_t expected, tally *t) {
    return run_ambushed((ambush){.n = n, .repeat = repeat}, expected, t);
}

static uint64_t count_allocations(void) {
    ms_error err;
    ms_run_params p = params;
    uint64_t began = ms_mem_allocation_count();
    assert_ms_ok(ms_run(&p, NULL, &err), &err);
    return ms_mem_allocation_count() - began;
}

/* Odd steps and offsets, so that the two walks meet different ones. */
static void walk_sample(bool repeat, uint64_t step, uint64_t total, uint64_t expected, tally *t) {
    for (uint64_t n = 1 + repeat; run_with_failure(n, repeat, expected, t) && n < 2 * total;)
        n += n < step ? n / 2 + 1 : step + n % 7;
}

static void walk_all(const char *part, bool repeat, uint64_t total, uint64_t expected, tally *t) {
    uint64_t first = 1, step = 1;
    if (strchr(part, '/') && (sscanf(part, "%" SCNu64 "/%" SCNu64, &first, &step) != 2 || !first || !step))
        fail_msg("MEMSAFE_EVERY_ALLOCATION=%s is neither 1 nor like 1/2", part);
    for (uint64_t n = first; run_with_failure(n, repeat, expected, t) && n < 2 * total; n += step) {
    }
}

static void walk(bool repeat, int samples) {
    tally t = {0};
    uint64_t total = count_allocations(), expected = hash_of_output();
    const char *part = every_allocation();
    assert_true(total > 1000);
    if (part)
        walk_all(part, repeat, total, expected, &t);
    else
        walk_sample(repeat, total / (uint64_t)samples, total, expected, &t);
    print_message(
        "    %d allocations, %d tried: %d runs the same (%d of them with a smaller layout), %d errors, %d "
        "resumed, %d with nothing finished\n",
        (int)total, t.runs, t.same, t.recovered, t.errors, t.resumed, t.nothing);
    assert_true(t.errors > 0 && t.same > 0);
}

static void each_fails_once(void **state) {
    (void)state;
    walk(false, test_at_length() ? 48 : 8);
}

static void all_fail_from_one_on(void **state) {
    (void)state;
    walk(true, test_at_length() ? 24 : 4);
}

/* At the encoding of the last window, of 4 frames, the next allocations fail. */
typedef struct saboteur {
    int left; /* times that the next one fails; negative = every time */
} saboteur;

static void sabotage(void *arg, const ms_run_progress *progress) {
    saboteur *s = arg;
    if (s->left == 0 || strcmp(progress->stage, "encode") != 0 || progress->parts != 2 * (FRAMES - 16))
        return;
    ms_mem_fail_after(1, s->left < 0);
    s->left -= s->left > 0;
}

/* A window whose memory fails is done again with a smaller layout; what of it was
   delivered is not delivered twice. */
static void a_window_is_done_again(void **state) {
    (void)state;
    static ms_run_report report;
    ms_error err;
    ms_run_params p = params;
    assert_ms_ok(ms_run(&p, NULL, &err), &err);
    uint64_t expected = hash_of_output();
    for (int times = 1; times <= 2; times++) {
        saboteur s = {.left = times};
        p.progress = sabotage;
        p.arg = &s;
        ms_status status = ms_run(&p, &report, &err);
        ms_mem_fail_after(0, false);
        assert_ms_ok(status, &err);
        assert_int_equal(s.left, 0);
        assert_true(report.recoveries >= 1);
        assert_int_equal(report.frames, FRAMES);
        assert_true(report.n_changes > 0);
        assert_non_null(strstr(report.change[0].reason, "allocat"));
        assert_true(hash_of_output() == expected);
    }
}

/* Memory that does not come back ends the run, with what is finished kept. */
static void a_window_that_never_fits_ends_the_run(void **state) {
    (void)state;
    ms_error err;
    ms_run_params p = params;
    saboteur s = {.left = -1};
    p.progress = sabotage;
    p.arg = &s;
    ms_status status = ms_run(&p, NULL, &err);
    ms_mem_fail_after(0, false);
    assert_true(ms_is_out_of_memory(status));
    static ms_run_report report;
    p = params;
    p.resume = true;
    p.force = false;
    unlink(p.output);
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_true(report.frames_resumed >= params.segment_frames);
}

static void count_layouts(void *arg, const ms_log_message *message) {
    *(int *)arg += strcmp(message->code, "layout") == 0 && message->text[0];
}

/* Others take all memory when the first window is done: while the layout is changed
   for that, and after it, any allocation may fail. */
static void the_change_under_pressure_may_fail(void **state) {
    (void)state;
    static ms_run_report report;
    static const char lines[] = "{\"at\":0,\"total\":\"16G\",\"available\":\"12G\"}\n"
                                "{\"at\":1,\"available\":\"100M\"}\n";
    ms_error err;
    const ms_run_params before = params;
    assert_ms_ok(ms_run(&params, &report, &err), &err);
    assert_int_equal(report.n_changes, 0);
    uint64_t expected = hash_of_output();
    FILE *f = fopen(test_file("pressure"), "w");
    assert_non_null(f);
    fputs(lines, f);
    fclose(f);
    params.pressure_trace = test_file("pressure");
    int told = 0;
    ms_log_set(count_layouts, &told, MS_LOG_NOTE);
    assert_ms_ok(ms_run(&params, &report, &err), &err);
    ms_log_set(NULL, NULL, MS_LOG_NOTE);
    assert_int_equal(report.n_changes, 1);
    assert_int_equal(told, 1);
    assert_true(report.change[0].frame > 0 && report.change[0].rung != report.rung);
    assert_true(hash_of_output() == expected);
    for (int repeat = 0; repeat < 2; repeat++) {
        tally t = {0};
        ambush a = {.n = 1, .repeat = repeat, .after_a_window = true};
        while (run_ambushed(a, expected, &t))
            a.n += every_allocation() ? 1 : test_at_length() ? 1 + a.n / 2 : 1 + a.n;
        print_message(
            "    %d of the last %d allocations tried: %d runs the same (%d of them with a smaller layout), "
            "%d errors, %d resumed\n",
            t.runs, (int)a.n, t.same, t.recovered, t.errors, t.resumed);
        assert_true(t.same > 0 && (repeat ? t.resumed : t.recovered) > 2);
    }
    params = before;
}

static void fail_the_next(void *arg, const ms_run_report *report) {
    (void)arg;
    (void)report;
    ms_mem_fail_after(1, false);
}

static ms_status keep_run(void *arg, const ms_history_run *run) {
    *(ms_history_run *)arg = *run;
    return MS_OK;
}

/* The plan is made, and then its memory is not to be had: report and history are of
   the layout that there was. */
static void what_it_fell_back_to_is_reported(void **state) {
    (void)state;
    static ms_run_report whole, report;
    ms_error err;
    ms_history *history;
    ms_history_run past = {0};
    char warning[MS_HISTORY_TEXT_BYTES];
    ms_run_params p = params;
    assert_ms_ok(ms_run(&p, &whole, &err), &err);
    uint64_t expected = hash_of_output();
    p.planned = fail_the_next;
    p.history = test_file("history.db");
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_true(hash_of_output() == expected);
    assert_int_equal(whole.recoveries, 0);
    assert_false(whole.fell_back);
    assert_true(report.fell_back);
    assert_int_equal(report.recoveries, 1);
    assert_int_equal(report.rung, MS_RUNG_SINGLE_FRAME);
    /* What the process held before is another's: under a sanitizer it grows from run to run. */
    assert_true(report.planned_bytes - report.other_bytes < whole.planned_bytes - whole.other_bytes);
    assert_int_equal(report.vae_decode_batch, 1);
    assert_int_equal(report.n_choices, whole.n_choices);
    for (int i = 0; i < report.n_choices; i++)
        assert_false(report.choice[i].taken);
    assert_true(report.n_changes >= 1);
    assert_int_equal(report.change[0].frame, 0);
    assert_int_equal(report.change[0].rung, MS_RUNG_SINGLE_FRAME);
    assert_non_null(strstr(report.change[0].reason, "allocat"));
    assert_ms_ok(ms_history_open(p.history, &history, warning, &err), &err);
    assert_ms_ok(ms_history_list(history, 1, keep_run, &past, &err), &err);
    ms_history_close(&history);
    assert_int_equal(past.rung, MS_RUNG_SINGLE_FRAME);
    assert_int_equal(past.planned_bytes, report.planned_bytes);
    assert_int_equal(past.changes, report.n_changes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fails_once),
        cmocka_unit_test(all_fail_from_one_on),
        cmocka_unit_test(a_window_is_done_again),
        cmocka_unit_test(a_window_that_never_fits_ends_the_run),
        cmocka_unit_test(the_change_under_pressure_may_fail),
        cmocka_unit_test(what_it_fell_back_to_is_reported),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
