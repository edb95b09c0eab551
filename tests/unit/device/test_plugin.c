/* The promises that plug-ins are loaded by: from where, and that one which says
   what cannot be is refused with one clear error. */
#include "support/cli.h"

#include <sys/stat.h>
#include <unistd.h>

#include "device/compute.h"
#include "device/plugin.h"
#include "device/self_test/self_test.h"
#include "memsafe/log.h"
#include "memsafe/probe.h"

static ms_error err;

static ms_status open_faulty(const char *fault) {
    ms_device *dev = NULL;
    const ms_device_params params = {.backend = "faulty", .memory_bytes = (size_t)1 << 30};
    setenv("MEMSAFE_PLUGIN_DIR", MS_FAULTY_PLUGIN_DIR, 1);
    setenv("MEMSAFE_FAULT", fault, 1);
    ms_error_clear(&err);
    ms_status status = ms_device_open(&params, &dev, &err);
    ms_device_close(&dev);
    return status;
}

/* Each in a process of its own: a plug-in that is good once stays loaded. */
static void assert_refused(const char *fault, const char *says) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ms_status status = open_faulty(fault);
        bool good = status == MS_UNSUPPORTED && strstr(err.message, says) && strstr(err.message, "faulty");
        if (!good)
            fprintf(stderr, "%s: %s: %s\n", fault, ms_status_name(status), err.message);
        _exit(good ? 0 : 1);
    }
    int state = 0;
    assert_int_equal(waitpid(pid, &state, 0), pid);
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0)
        fail_msg("%s: not refused with \"%s\"", fault, says);
}

static void faults_are_told(void **state) {
    (void)state;
    static const struct {
        const char *fault, *says;
    } cases[] = {
        {"nothing", "another version of memsafe"},
        {"other_version", "another version of memsafe"},
        {"no_name", "it lacks a name"},
        {"empty_name", "it lacks a name"},
        {"other_name", "it calls itself \"cpu\", not \"faulty\""},
        {"no_weight_prepare", "weights cannot be made ready"},
        {"opens_nothing", "opened no device"},
        {"no_arithmetic", "lacks a class of arithmetic"},
        {"no_description", "lacks a description"},
        {"no_float32", "lacks activations of type float32"},
        {"odd_types", "activations of types that there are not"},
        {"packs_apart", "raw_weights is not set"},
        {"odd_granularity", "3000 bytes, which is no power of two"},
        {"no_granularity", "0 bytes, which is no power of two"},
        {"huge_launches", "for each captured call"},
        {"odd_forms", "in -1 ways"},
        {"no_choice", "lacks the function choose_form"},
        {"huge_context", "its own"},
        {"more_free_than_there_is", "are free"},
        {"no_kernels", "lacks its kernels"},
        {"no_kernel", "lacks the kernel layer_norm"},
        {"no_last_kernel", "lacks the kernel check_finite"},
    };
    static const char *const functions[] = {
        "open",          "close",           "alloc",         "free",
        "host_alloc",    "host_free",       "memory",        "queue_create",
        "queue_destroy", "event_create",    "event_destroy", "record",
        "wait",          "finish",          "upload",        "download",
        "fill",          "weight_bytes",    "capture_begin", "capture_end",
        "launch",        "launches_destroy"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].fault, cases[i].says);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        char fault[64], says[64];
        snprintf(fault, sizeof(fault), "no_%s", functions[i]);
        snprintf(says, sizeof(says), "lacks the function %s", functions[i]);
        assert_refused(fault, says);
    }
    assert_ms_ok(open_faulty("none"), &err);
}

#define TRACE "loaded"

static void clean_folder(void) {
    setenv("MEMSAFE_FAULT_TRACE", test_file(TRACE), 1);
    unlink(test_file(TRACE));
}

static bool was_loaded(void) {
    struct stat st;
    return lstat(test_file(TRACE), &st) == 0;
}

static int in_folder(const char *fmt, ...) {
    char line[4096];
    int n =
        snprintf(line, sizeof(line), "cd %s && unset MEMSAFE_PLUGIN_DIR MEMSAFE_FAULT; ", test_file("here"));
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    return test_shell(line);
}

/* The command is found through PATH, and so is named without its folder. */
static void nothing_is_loaded_from_the_current_folder(void **state) {
    (void)state;
    char line[2048];
    clean_folder();
    snprintf(line, sizeof(line),
             "mkdir -p %s && mkdir -p %s && cp %s/memsafe-faulty.so %s && cp %s %s/memsafe",
             test_file("here"), test_file("bin"), MS_FAULTY_PLUGIN_DIR, test_file("here"), MS_CLI_PATH,
             test_file("bin"));
    assert_int_equal(system(line), 0);
    const char *bin = test_file("bin");
    char path[1024];
    snprintf(path, sizeof(path), "PATH=%s:$PATH", bin);
    assert_int_not_equal(in_folder("%s memsafe probe --device faulty 2>&1", path), 0);
    assert_int_equal(in_folder("%s memsafe doctor --quick 2>&1", path), 0);
    assert_null(strstr(test_output, "memsafe-faulty.so"));
    assert_false(was_loaded());
    /* Beside the command it is found. */
    snprintf(line, sizeof(line), "mv %s/memsafe-faulty.so %s", test_file("here"), bin);
    assert_int_equal(system(line), 0);
    assert_int_equal(in_folder("%s memsafe doctor --quick 2>&1", path), 0);
    assert_non_null(strstr(test_output, "memsafe-faulty.so    yes"));
    assert_true(was_loaded());
}

static int listed;
static char problem_of_faulty[512];

static void note(void *arg, const char *path, const char *problem) {
    (void)arg;
    listed++;
    if (strstr(path, "memsafe-faulty.so"))
        snprintf(problem_of_faulty, sizeof(problem_of_faulty), "%s", problem ? problem : "");
}

/* Whoever lists plug-ins loads none, and does not die of one. */
static void a_list_loads_nothing_here(void **state) {
    (void)state;
    setenv("MEMSAFE_PLUGIN_DIR", MS_FAULTY_PLUGIN_DIR, 1);
    setenv("MEMSAFE_FAULT", "crash", 1);
    ms_plugin_list(note, NULL);
    assert_true(listed >= 1);
    assert_string_equal(problem_of_faulty, "it ends the process when it is loaded");
    setenv("MEMSAFE_FAULT", "no_alloc", 1);
    ms_plugin_list(note, NULL);
    assert_non_null(
        strstr(problem_of_faulty, "memsafe-faulty.so: cannot be loaded: it lacks the function alloc"));
    setenv("MEMSAFE_FAULT", "none", 1);
    ms_plugin_list(note, NULL);
    assert_string_equal(problem_of_faulty, "");
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    for (char line[1024]; fgets(line, sizeof(line), maps);)
        assert_null(strstr(line, "memsafe-faulty.so"));
    fclose(maps);
}

/* ---- which device "auto" is ---- */

static int warnings;
static char warning[512];

static void note_warning(void *arg, const ms_log_message *m) {
    (void)arg;
    warnings++;
    snprintf(warning, sizeof(warning), "%s", m->text);
}

/* With a plug-in for cards in that folder, which has that fault, "auto" is that back end. `says`: the one
   warning, NULL = there is none. */
static void assert_auto(const char *folder, const char *fault, const char *is, const char *says) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ms_compute c = {0};
        const ms_compute_params params = {.threads = 1, .isa_limit = MS_ISA_AVX512};
        setenv("MEMSAFE_PLUGIN_DIR", folder, 1);
        setenv("MEMSAFE_FAULT", fault, 1);
        setenv("XDG_CACHE_HOME", test_file("cache"), 1);
        ms_log_set(note_warning, NULL, MS_LOG_WARNING);
        ms_status status = ms_compute_open_tested(&params, &c, &err);
        bool good = status == MS_OK && strcmp(c.dev->backend->name, is) == 0 && warnings == (says ? 1 : 0) &&
                    (!says || (strstr(warning, "the processor does the work: ") && strstr(warning, says)));
        if (!good)
            fprintf(stderr, "%s: %s, %d warnings: %s\n", fault, c.dev ? c.dev->backend->name : err.message,
                    warnings, warning);
        ms_compute_close(&c);
        _exit(good ? 0 : 1);
    }
    int ended = 0;
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
        fail_msg("%s: not as wanted", fault);
}

/* Whatever is wrong with a card, the run goes on, and says why it is the processor's. */
static void the_processor_stands_in_for_what_is_refused(void **state) {
    (void)state;
    char line[1024];
    assert_auto(MS_FAULTY_CUDA_DIR, "sound_kernels", "cuda", NULL);
    assert_auto(MS_FAULTY_CUDA_DIR, "wrong_kernel", "cpu", "\"one operand\"");
    assert_auto(MS_FAULTY_CUDA_DIR, "other_version", "cpu", "another version of memsafe");
    assert_auto(MS_FAULTY_CUDA_DIR, "opens_nothing", "cpu", "opened no device");
    assert_auto(MS_FAULTY_PLUGIN_DIR, "there is none", "cpu", NULL);
    snprintf(line, sizeof(line), "mkdir -p %s && echo garbage >%s/memsafe-cuda.so", test_file("bad"),
             test_file("bad"));
    assert_int_equal(system(line), 0);
    assert_auto(test_file("bad"), "garbage", "cpu", "memsafe-cuda.so: cannot be loaded");
}

static int count_of(const char *words) {
    int n = 0;
    for (const char *at = test_output; (at = strstr(at, words)) != NULL; at++)
        n++;
    return n;
}

/* Commands say it, once; what is wrong with a card is not to be found out by waiting for hours. */
static void the_command_says_why(void **state) {
    (void)state;
    setenv("MEMSAFE_PLUGIN_DIR", MS_FAULTY_CUDA_DIR, 1);
    setenv("MEMSAFE_FAULT", "wrong_kernel", 1);
    setenv("XDG_CACHE_HOME", test_file("cache"), 1);
    assert_int_equal(test_shell(MS_CLI_PATH " plan --shape tiny 2>&1"), 0);
    if (count_of("the processor does the work: ") != 1 || !strstr(test_output, "\"one operand\""))
        fail_msg("%s", test_output);
    assert_int_equal(test_shell(MS_CLI_PATH " plan --shape tiny --device cpu 2>&1"), 0);
    assert_int_equal(count_of("the processor does the work: "), 0);
    setenv("MEMSAFE_FAULT", "sound_kernels", 1);
    assert_int_equal(test_shell(MS_CLI_PATH " plan --shape tiny 2>&1"), 0);
    assert_int_equal(count_of("the processor does the work: "), 0);
    unsetenv("MEMSAFE_PLUGIN_DIR");
    unsetenv("MEMSAFE_FAULT");
    unsetenv("XDG_CACHE_HOME");
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_loads_nothing_here), /* first: later ones load it */
        cmocka_unit_test(faults_are_told),
        cmocka_unit_test(nothing_is_loaded_from_the_current_folder),
        cmocka_unit_test(the_processor_stands_in_for_what_is_refused),
        cmocka_unit_test(the_command_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
