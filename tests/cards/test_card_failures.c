/*
 * A short run on the emulated card, with everything failing in turn that a card can fail at: each command
 * that it is lost after, each block of its memory, each piece of physical memory, each page-locked block,
 * each launch, stream, event and graph. Each time there is a status, nothing is held afterwards, and the job
 * goes on to the same file.
 *
 * Kernels compute nothing here (MEMSAFE_SIMT_SKIP): it is the host's side that is tested, and thousands
 * of runs take minutes; once more with graphs, and with streamed weights. Samples where they do compute are
 * in test_card_run.c. By default a part of all events; MEMSAFE_SIMT_LONG=1 (make check-simt) goes through
 * every one, and through a third with graphs and with streamed weights.
 */
#include "test.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "cards/card_run.h"

#define FRAMES 2
#define MOST_JOBS 8

static ms_run_params params;
static ms_run_report report;
static ms_error err;
static int jobs;       /* runs at a time */
static uint64_t whole; /* hash of the file of a run in which nothing fails */
static bool at_length;

static uint64_t failures(void) {
    static char path[1024];
    uint64_t (*count)(void);
    snprintf(path, sizeof(path), "%s/memsafe-simt.so", getenv("MEMSAFE_PLUGIN_DIR"));
    void *plugin = dlopen(path, RTLD_NOW), *found = plugin ? dlsym(plugin, "simt_failures") : NULL;
    assert_non_null(found);
    memcpy(&count, &found, sizeof(count));
    const uint64_t n = count();
    dlclose(plugin);
    return n;
}

static size_t held_bytes(void) {
    ms_mem_usage usage;
    ms_mem_get_usage(NULL, &usage);
    return usage.current_bytes;
}

/* A small one, whose addresses are gone through in no time. */
static void set_card(int seed) {
    char text[32];
    snprintf(text, sizeof(text), "256M,sm_86,%d", seed);
    setenv("MEMSAFE_SIMT", text, 1);
}

static int prepare(void **state) {
    (void)state;
    static char output[512];
    card_prepare(FRAMES, &params);
    snprintf(output, sizeof(output), "%s", test_file("out.mkv"));
    params.output = output;
    jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
    jobs = jobs < 1 ? 1 : jobs > MOST_JOBS ? MOST_JOBS : jobs;
    params.segment_frames = 1;
    params.guidance = 1;
    at_length = getenv("MEMSAFE_SIMT_LONG") != NULL;
    setenv("MEMSAFE_SIMT_SKIP", "1", 1);
    set_card(0);
    if (ms_run(&params, &report, &err) != MS_OK) /* its speed is measured and kept */
        return -1;
    whole = test_hash_file(output);
    return unlink(output);
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

enum { FAILED, GOT_OVER, NOTHING_HAPPENED, WRONG_STATUS, HELD, WRONG_FILE, NOT_RESUMED, RESULTS };

static const char *const said[RESULTS] = {[WRONG_STATUS] = "another status",
                                          [HELD] = "memory is held",
                                          [WRONG_FILE] = "another file",
                                          [NOT_RESUMED] = "the job does not go on"};

static int try(const char *variable, int n, ms_status expected) {
    char text[16];
    const size_t before = held_bytes();
    ms_run_params p = params;
    snprintf(text, sizeof(text), "%d", n);
    setenv(variable, text, 1);
    set_card(n);
    ms_status status = ms_run(&p, &report, &err);
    const bool happened = failures() > 0;
    if (held_bytes() != before)
        return HELD;
    if (status == MS_OK)
        return test_hash_file(p.output) != whole ? WRONG_FILE : happened ? GOT_OVER : NOTHING_HAPPENED;
    const bool unopened = status == MS_UNSUPPORTED && strstr(err.message, "cannot be ");
    if (!happened || (status != expected && !unopened) || access(p.output, F_OK) == 0)
        return WRONG_STATUS;
    unsetenv(variable);
    p.resume = true;
    if (ms_run(&p, &report, &err) != MS_OK)
        return NOT_RESUMED;
    return held_bytes() != before ? HELD : test_hash_file(p.output) != whole ? WRONG_FILE : FAILED;
}

/* In a process of its own, because events are counted over a process. Of those at a time each has a
   history and an output of its own. */
static pid_t begin(const char *variable, int n, int job, ms_status expected) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    char line[2048], output[512], history[512];
    snprintf(output, sizeof(output), "%s.%d.mkv", params.output, job);
    snprintf(history, sizeof(history), "%s.%d", params.history, job);
    snprintf(line, sizeof(line), "rm -rf %s* && cp %s %s", output, params.history, history);
    if (system(line) != 0)
        _exit(RESULTS);
    params.output = output;
    params.history = history;
    const int result = try(variable, n, expected);
    if (result > NOTHING_HAPPENED)
        fprintf(stderr, "%s=%d: %s: %s\n", variable, n, said[result], err.message);
    _exit(result);
}

static int end(pid_t pid, const char *variable, int n) {
    int ended = 0;
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    if (!WIFEXITED(ended))
        fail_msg("%s=%d ended by signal %d", variable, n, WTERMSIG(ended));
    return WEXITSTATUS(ended);
}

/* Until there is none any more: one of `few`, at length one of `many`. */
static void each(const char *variable, int few, int many, ms_status expected) {
    const int step = at_length ? many : few;
    int count[RESULTS + 1] = {0};
    for (int n = 1; count[NOTHING_HAPPENED] == 0; n += jobs * step) {
        pid_t pid[MOST_JOBS];
        for (int job = 0; job < jobs; job++)
            pid[job] = begin(variable, n + job * step, job, expected);
        for (int job = 0; job < jobs; job++) {
            const int result = end(pid[job], variable, n + job * step);
            if (result > NOTHING_HAPPENED)
                fail_msg("%s=%d: result %d", variable, n + job * step, result);
            count[result]++;
        }
    }
    print_message("[          ] %s: %d ended the run, %d were got over\n", variable, count[FAILED],
                  count[GOT_OVER]);
    assert_true(count[FAILED] + count[GOT_OVER] > 1);
}

static const struct {
    const char *variable;
    int few;
    ms_status expected;
} kinds[] = {
    {"MEMSAFE_SIMT_LOSE_AFTER", 97, MS_DEVICE_LOST},    {"MEMSAFE_SIMT_FAIL_ALLOC", 53, MS_DEVICE_MEMORY},
    {"MEMSAFE_SIMT_FAIL_CREATE", 7, MS_DEVICE_MEMORY},  {"MEMSAFE_SIMT_FAIL_HOST_ALLOC", 1, MS_HOST_MEMORY},
    {"MEMSAFE_SIMT_FAIL_LAUNCH", 97, MS_DEVICE_MEMORY}, {"MEMSAFE_SIMT_FAIL_STREAM", 1, MS_DEVICE_MEMORY},
    {"MEMSAFE_SIMT_FAIL_EVENT", 1, MS_DEVICE_MEMORY},
};

/* again: by default a third of each kind; of what there are thousands of a ninth, and at length a third. */
static void everything_fails(bool again) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const bool thousands = kinds[i].few > 7;
        each(kinds[i].variable,
             (!again      ? 1
              : thousands ? 9
                          : 3) *
                 kinds[i].few,
             again && thousands ? 3 : 1, kinds[i].expected);
    }
}

static void everything_fails_in_turn(void **state) {
    (void)state;
    everything_fails(false);
}

/* Captured programs, which are launched again. */
static void everything_fails_with_graphs(void **state) {
    (void)state;
    static const char *const settings[] = {"device_graphs=on"};
    const ms_run_params plain = params;
    params.profile.settings = settings;
    params.profile.n_settings = 1;
    everything_fails(true);
    each("MEMSAFE_SIMT_FAIL_GRAPH", 1, 1, MS_DEVICE_MEMORY);
    params = plain;
}

/* Weights that come through page-locked slots on a queue of their own. */
static void everything_fails_with_streamed_weights(void **state) {
    (void)state;
    const ms_run_params plain = params;
    params.rung = MS_RUNG_STREAM_ALL;
    everything_fails(true);
    params = plain;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_fails_in_turn),
        cmocka_unit_test(everything_fails_with_graphs),
        cmocka_unit_test(everything_fails_with_streamed_weights),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
