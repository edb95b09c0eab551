/* Memory of the emulated card in whole runs: a run takes what was planned, gives memory back when others
   want it, and takes it again. */
#include "test.h"

#include "base/error.h"
#include "cards/card_run.h"
#include "device/device.h"

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

/* To the byte, with and without captured graphs. Of the last two layouts one has lists for both branches.
   What is computed does not matter: nothing is. */
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
    setenv("MEMSAFE_SIMT_SKIP", "1", 1);
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
    unsetenv("MEMSAFE_SIMT_SKIP");
}

/* ---- pressure ---- */

/* What the card itself says is used, as the computing thread sees it before operations: values that differ
   from the one before, and how often each was seen. */
typedef struct watch {
    ms_device *dev;
    size_t used[512];
    int seen[512];
    int count;
} watch;

static bool look(void *arg) {
    watch *w = arg;
    size_t free_bytes, total_bytes;
    w->dev->backend->memory(w->dev, &free_bytes, &total_bytes);
    const size_t used = total_bytes - free_bytes;
    if (w->count == 0 || w->used[w->count - 1] != used) {
        assert_true(w->count < 512);
        w->used[w->count++] = used;
    }
    w->seen[w->count - 1]++;
    return false;
}

/* Of all that follows: in a whole window of a layout without captured graphs operations are many. */
#define MANY 500

/* Whether there was less during a window than before and after it. */
static bool less_between(const watch *w) {
    for (int i = 0; i < w->count; i++) {
        bool before = false, after = false;
        for (int j = 0; j < w->count; j++) {
            const bool more = w->used[j] >= w->used[i] + ((size_t)2 << 20);
            before |= j < i && more;
            after |= j > i && more;
        }
        if (w->seen[i] >= MANY && before && after)
            return true;
    }
    return false;
}

static void make_long_speech(const char *path) {
    char line[1024];
    snprintf(line, sizeof(line), "%s --seed 5 --frames 40 --size 64x64 -o %s --speech %s >/dev/null",
             MS_DRAW_CLIP_PATH, test_file("voice.avi"), path);
    assert_int_equal(system(line), 0);
}

/* Windows of 4 frames in place of 16: there are as many changes in a quarter of the time. */
static void make_windows_short(void) {
    char line[1024];
    const char *config = test_file("model/unet.yaml");
    snprintf(line, sizeof(line),
             "sed -i 's/\"num_frames\": 16,/\"num_frames\": 4,/' %s && grep -q '\"num_frames\": 4,' %s",
             config, config);
    assert_int_equal(system(line), 0);
}

/* From the second of three windows on others want all, in the third nobody does. */
static void write_trace(const char *path) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("{\"at\":0,\"device_total\":\"2G\",\"device_free\":\"1G\"}\n"
          "{\"at\":1,\"device_free\":\"0\"}\n"
          "{\"at\":2,\"device_free\":\"1G\"}\n",
          f);
    assert_int_equal(fclose(f), 0);
}

static void memory_is_given_back_and_taken_again(void **state) {
    (void)state;
    static const char *const graphs[] = {"device_graphs=off", "device_graphs=on"};
    static char speech[512], trace[512];
    const ms_device_params opening = {.backend = "simt"};
    pictures calm, pressed;
    ms_run_params p = params;
    snprintf(speech, sizeof(speech), "%s", test_file("long.wav"));
    snprintf(trace, sizeof(trace), "%s", test_file("pressure"));
    make_long_speech(speech);
    make_windows_short();
    write_trace(trace);
    p.audio = speech;
    p.frames = 9;
    p.guidance = 1;
    p.loop = MS_LOOP_MODE_PINGPONG;
    card_set(86, 3);
    assert_ms_ok(card_run(&p, &calm, &report, &err), &err);
    p.pressure_trace = trace;
    for (int i = getenv("MEMSAFE_SIMT_LONG") ? 0 : 1; i < 2; i++) {
        watch w = {0};
        p.profile.settings = &graphs[i];
        p.profile.n_settings = 1;
        p.cancelled = look;
        p.arg = &w;
        assert_ms_ok(ms_device_open(&opening, &w.dev, &err), &err);
        assert_ms_ok(card_run(&p, &pressed, &report, &err), &err);
        ms_device_close(&w.dev);
        assert_int_equal(report.windows, 3);
        assert_int_equal(report.n_changes, 2);
        assert_int_equal(report.recoveries, 0);
        assert_true(report.device_peak_bytes <= report.planned_bytes);
        assert_true(less_between(&w));
        assert_true(pressed.hash == calm.hash);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_takes_what_was_planned),
        cmocka_unit_test(memory_is_given_back_and_taken_again),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
