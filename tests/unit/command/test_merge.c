/* One bar over several workers: a job of segments is gone through with a clock that is counted, each worker
   with the estimate that it would have, and what it says is put together. And what they made, in one
   report. */
#include "test.h"

#include "predict/eta.h"
#include "run/threads/part.h"
#include "workers/made.h"
#include "workers/merge.h"

#define WINDOW 16
#define WORKERS 3

typedef struct worker {
    cli_events heard;
    ms_eta eta;
    int64_t segment, behind; /* of the span that it makes; segment -1 = none */
    int64_t at, end;         /* frames of its windows */
    int64_t written;
    double load_s; /* of reading the model, that are left */
    bool dead;
} worker;

typedef struct job {
    int64_t total, segment;
    bool taken[65], finished[65];
    int64_t first_face;
    double now_s, load_s;
    worker w[WORKERS];
} job;

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void say(cli_events *e, const char *line) {
    cli_events_take(e, line, strlen(line));
}

static void say_progress(const job *j, worker *w) {
    char line[256];
    const ms_eta_value value = ms_eta_get(&w->eta, j->now_s);
    snprintf(line, sizeof(line),
             "{\"event\": \"progress\", \"stage\": \"%s\", \"fraction\": %.4f, \"eta_s\": %.1f, "
             "\"frames_done\": %lld}\n",
             w->eta.current == MS_ETA_LOAD ? "load" : "denoise", value.fraction, value.left_s,
             (long long)w->written);
    say(&w->heard, line);
}

/* Of the frame, its window's first: windows begin with the first face. */
static int64_t window_of(const job *j, int64_t frame) {
    return frame < j->first_face ? frame : frame - (frame - j->first_face) % WINDOW;
}

static int64_t window_end(const job *j, int64_t frame) {
    return frame < j->first_face ? frame + 1 : least(window_of(j, frame) + WINDOW, j->total);
}

static double rework(const job *j) {
    const ms_run_params p = {.share = true};
    const ms_run_store store = {.segment_frames = j->segment};
    ms_rework r;
    ms_rework_begin(&r, &p, &store, j->total, WINDOW);
    for (int64_t i = 0; i < j->total; i++)
        ms_rework_frame(&r, &(ms_pose){.present = i >= j->first_face});
    return ms_rework_ratio(&r);
}

static void begin(job *j) {
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &j->w[i];
        *w = (worker){.segment = -1, .load_s = j->load_s};
        const double again = rework(j);
        ms_eta_plan plan = {.frames = again * (double)j->total,
                            .most_faces = again * (double)j->total,
                            .window_frames = WINDOW,
                            .steps = 1,
                            .unit_s = {[MS_ETA_LOAD] = j->load_s, [MS_ETA_DENOISE] = 1}};
        ms_eta_begin(&w->eta, &plan);
        ms_eta_enter(&w->eta, j->load_s > 0 ? MS_ETA_LOAD : MS_ETA_DENOISE, 1, 0);
        cli_events_begin(&w->heard);
        say(&w->heard, "{\"event\": \"start\"}\n{\"event\": \"plan\", \"frames_resumed\": 0}\n");
        say_progress(j, w);
    }
}

static void load(job *j, worker *w) {
    w->load_s -= WINDOW;
    if (w->load_s <= 0) {
        ms_eta_advance(&w->eta, 1, 1, j->now_s);
        say_progress(j, w);
        ms_eta_enter(&w->eta, MS_ETA_DENOISE, 1, j->now_s);
    }
    say_progress(j, w);
}

/* A span, from its first window to the end of its last one. */
static void take(job *j, worker *w) {
    const int64_t segments = (j->total + j->segment - 1) / j->segment;
    for (int64_t i = 0; i < segments && w->segment < 0; i++)
        if (!j->taken[i])
            w->segment = i;
    if (w->segment < 0)
        return;
    const int64_t most = ms_segment_span(true, segments - w->segment);
    w->behind = w->segment;
    do
        j->taken[w->behind++] = true;
    while (w->behind < segments && w->behind - w->segment < most && !j->taken[w->behind]);
    const int64_t behind = least(w->behind * j->segment, j->total);
    w->at = window_of(j, w->segment * j->segment);
    w->end = window_end(j, behind - 1);
}

/* A window, which takes as many seconds as it has frames. */
static void make_window(job *j, worker *w) {
    const int64_t frames = least(window_end(j, w->at), w->end) - w->at, first = w->segment * j->segment,
                  behind = least(w->behind * j->segment, j->total);
    for (int64_t i = w->at; i < w->at + frames; i++) {
        ms_eta_frame(&w->eta, true);
        w->written += i >= first && i < behind;
    }
    ms_eta_advance(&w->eta, (double)frames, WINDOW, j->now_s);
    w->at += frames;
    if (w->at >= w->end) {
        for (int64_t i = w->segment; i < w->behind; i++)
            j->finished[i] = true;
        w->segment = -1;
    }
}

static int64_t finished_frames(const job *j) {
    int64_t frames = 0;
    for (int64_t i = 0; i * j->segment < j->total; i++)
        frames += j->finished[i] ? least(j->segment, j->total - i * j->segment) : 0;
    return frames;
}

/* Of each at most a span. */
static double in_work(const job *j) {
    return (double)(2 * WORKERS * j->segment) / (double)j->total;
}

static ms_run_progress look(const job *j, cli_merge *m) {
    cli_merge_begin(m);
    for (int i = 0; i < WORKERS; i++)
        cli_merge_add(m, &j->w[i].heard, !j->w[i].dead);
    return cli_merge_end(m);
}

/* dies: the third does in its second segment, whose lease then runs out. */
static void go_through(int64_t total, int64_t segment, int64_t first_face, double load_s, bool dies) {
    job j = {.total = total, .segment = segment, .first_face = first_face, .load_s = load_s};
    const double most = 0.06 + in_work(&j) + load_s / (load_s + (double)total);
    cli_merge m = {.total = total, .segment = segment};
    double last = 0, at_half = -1;
    begin(&j);
    while (finished_frames(&j) < total) {
        j.now_s += WINDOW;
        for (int i = 0; i < WORKERS; i++) {
            worker *w = &j.w[i];
            if (w->dead)
                continue;
            if (w->load_s > 0) {
                load(&j, w);
                continue;
            }
            if (w->segment < 0)
                take(&j, w);
            if (w->segment < 0)
                continue;
            make_window(&j, w);
            say_progress(&j, w);
            if (dies && i == 2 && w->segment >= WORKERS && w->at > w->segment * segment) {
                for (int64_t k = w->segment; k < w->behind; k++)
                    j.taken[k] = false;
                w->dead = true;
            }
        }
        const ms_run_progress p = look(&j, &m);
        const double half = (double)finished_frames(&j) / (double)total;
        assert_true(p.fraction >= last && p.fraction <= CLI_MERGE_MOST);
        assert_true(p.frames_done <= total);
        last = p.fraction;
        if (half >= 0.5 && at_half < 0)
            at_half = p.fraction;
        assert_true(p.fraction < half + most);
        if (half < 0.95 && p.fraction >= CLI_MERGE_MOST)
            fail_msg("%lld frames in segments of %lld: %.3f at %.3f of them", (long long)total,
                     (long long)segment, p.fraction, half);
    }
    if (at_half < 0.4 || at_half > 0.5 + most)
        fail_msg("%lld frames in segments of %lld: %.3f at half of them", (long long)total,
                 (long long)segment, at_half);
    assert_true(last > 0.94);
}

static void the_bar_goes_with_the_work(void **state) {
    (void)state;
    go_through(360, 6, 0, 0, false); /* windows are made twice and more */
    go_through(378, 6, 0, 0, true);
    go_through(960, 24, 0, 0, false);
    go_through(960, 24, 0, 0, true);
    go_through(1920, 64, 0, 0, true);
    go_through(1934, 64, 6, 0, false);   /* none begins with a segment */
    go_through(1000, 16, 0, 0, false);   /* never twice */
    go_through(1000, 16, 0, 250, false); /* each reads the model */
}

/* What one that died had begun is not done. */
static void what_the_dead_had_begun_is_left(void **state) {
    (void)state;
    cli_merge m = {.total = 100, .segment = 10};
    cli_events e;
    cli_events_begin(&e);
    say(&e, "{\"event\": \"start\"}\n{\"event\": \"plan\", \"frames_resumed\": 0}\n"
            "{\"event\": \"progress\", \"stage\": \"load\", \"fraction\": 0, \"frames_done\": 0}\n"
            "{\"event\": \"progress\", \"stage\": \"denoise\", \"fraction\": 0.38, \"frames_done\": 27}\n");
    cli_merge_begin(&m);
    cli_merge_add(&m, &e, false);
    const ms_run_progress p = cli_merge_end(&m);
    assert_true(p.fraction > 0.19 && p.fraction < 0.21);
    assert_int_equal(p.frames_done, 20);
    say(&e, "{\"event\": \"start\"}\n"); /* Slurm begins it again */
    m.fraction = 0;
    cli_merge_begin(&m);
    cli_merge_add(&m, &e, true);
    assert_true(cli_merge_end(&m).fraction < 0.21);
}

/* ---- what they made ---- */

static bool made(ms_run_report *r, const char *event, const char *text) {
    ms_json_doc *doc = NULL;
    ms_error err;
    assert_ms_ok(ms_json_parse(NULL, text, strlen(text), &doc, &err), &err);
    const bool last = cli_made_take(event, ms_json_root(doc), r);
    ms_json_doc_destroy(&doc);
    return last;
}

static void what_they_made_is_summed_up(void **state) {
    (void)state;
    static ms_run_report one, two, whole;
    one = two = whole = (ms_run_report){.windows = 9};
    assert_false(made(&one, "layout", "{\"rung\": \"serial\", \"planned_bytes\": 5, \"taken\": true}"));
    assert_true(made(&one, "made",
                     "{\"rung\": \"serial\", \"planned_bytes\": 5, \"peak_resident_bytes\": 4, "
                     "\"windows_computed\": 3, \"tier_reason\": \"so\", \"planned_total_s\": 10, "
                     "\"seconds\": {\"denoise\": 2, \"load\": 1}, "
                     "\"planned_seconds\": {\"denoise\": 9, \"load\": 1}}"));
    assert_true(made(&two, "made",
                     "{\"rung\": \"full\", \"planned_bytes\": 6, \"peak_resident_bytes\": 7, "
                     "\"windows_computed\": 8, \"planned_total_s\": 30, \"seconds\": {\"denoise\": 5}, "
                     "\"planned_seconds\": {\"denoise\": 29, \"load\": 2}}"));
    const ms_run_report *const all[] = {NULL, &one, &two};
    cli_made_sum(all, 3, &whole);
    assert_int_equal(whole.rung, MS_RUNG_SERIAL);
    assert_int_equal(whole.n_choices, 1);
    assert_string_equal(whole.tier_reason, "so");
    assert_int_equal(whole.planned_bytes, 11);
    assert_int_equal(whole.peak_resident_bytes, 11);
    assert_int_equal(whole.windows_computed, 11);
    assert_true(whole.stage_s[MS_STAGE_DENOISE] == 7 && whole.stage_s[MS_STAGE_LOAD] == 1);
    assert_true(fabs(whole.planned_total_s - 7.5) < 1e-9);
    /* three quarters of the work are the faster one's */
    assert_true(fabs(whole.planned_s[MS_STAGE_DENOISE] - (0.75 * 9 + 0.25 * 29)) < 1e-9);
    assert_true(whole.planned_s[MS_STAGE_LOAD] == 3);
    assert_int_equal(whole.windows, 9);
}

/* Beside a device with memory of its own what the processor alone has is the host's. */
static void memory_is_summed_up_by_whose_it_is(void **state) {
    (void)state;
    static ms_run_report card, cpu, whole;
    card = cpu = whole = (ms_run_report){.windows = 0};
    assert_true(made(&card, "made",
                     "{\"budget_bytes\": 100, \"planned_bytes\": 90, \"device_peak_bytes\": 80, "
                     "\"host_budget_bytes\": 20, \"host_planned_bytes\": 10, \"peak_resident_bytes\": 9}"));
    assert_true(
        made(&cpu, "made", "{\"budget_bytes\": 50, \"planned_bytes\": 40, \"peak_resident_bytes\": 30}"));
    const ms_run_report *const all[] = {&card, &cpu, &card};
    cli_made_sum(all, 3, &whole);
    assert_int_equal(whole.budget_bytes, 200);
    assert_int_equal(whole.planned_bytes, 180);
    assert_int_equal(whole.device_peak_bytes, 160);
    assert_int_equal(whole.host_budget_bytes, 90);
    assert_int_equal(whole.host_planned_bytes, 60);
    assert_int_equal(whole.peak_resident_bytes, 48);
    const ms_run_report *const other_way[] = {&cpu, &card, &card}; /* whoever comes first */
    whole = (ms_run_report){.windows = 0};
    cli_made_sum(other_way, 3, &whole);
    assert_int_equal(whole.budget_bytes, 200);
    assert_int_equal(whole.planned_bytes, 180);
    assert_int_equal(whole.host_budget_bytes, 90);
    assert_int_equal(whole.host_planned_bytes, 60);
}

/* It is another process's word. */
static void numbers_that_cannot_be_are_none(void **state) {
    (void)state;
    static ms_run_report r;
    char long_text[400] = "{\"tier_reason\": \"";
    for (int i = 0; i < 300; i++)
        strcat(long_text, "x");
    strcat(long_text, "\"}");
    assert_true(made(&r, "made",
                     "{\"rung\": \"none of them\", \"planned_bytes\": -5, \"weight_bytes\": 9e300, "
                     "\"windows_computed\": 9223372036854775807, \"vae_encode_batch\": 4294967297, "
                     "\"planned_total_s\": 1e300, \"seconds\": {\"denoise\": -1, \"load\": \"x\"}, "
                     "\"planned_seconds\": 3}"));
    assert_int_equal(r.rung, MS_RUNG_AUTO);
    assert_int_equal(r.planned_bytes, 0);
    assert_int_equal(r.weight_bytes, 0);
    assert_int_equal(r.windows_computed, 0);
    assert_int_equal(r.vae_encode_batch, 0);
    assert_true(r.planned_total_s == 0 && r.stage_s[MS_STAGE_DENOISE] == 0);
    assert_true(made(&r, "made", long_text));
    assert_int_equal(strlen(r.tier_reason), sizeof(r.tier_reason) - 1);
    for (int i = 0; i < 2 * MS_RUN_MAX_CHOICES; i++)
        made(&r, "layout", "{\"rung\": \"full\"}");
    assert_int_equal(r.n_choices, MS_RUN_MAX_CHOICES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bar_goes_with_the_work),
        cmocka_unit_test(what_the_dead_had_begun_is_left),
        cmocka_unit_test(what_they_made_is_summed_up),
        cmocka_unit_test(memory_is_summed_up_by_whose_it_is),
        cmocka_unit_test(numbers_that_cannot_be_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
