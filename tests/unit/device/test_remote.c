/*
 * What the test back end `remote` is for: each of the mistakes that a GPU would
 * punish is planted once, and shows. And the promises that plug-ins are loaded by.
 */
#include "support/cli.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/compute.h"
#include "device/plugin.h"
#include "device/self_test/self_test.h"
#include "memsafe/probe.h"

#define FLOATS 1000
#define BYTES (FLOATS * sizeof(float))

static ms_error err;

static ms_compute open_remote(size_t memory_bytes) {
    ms_compute compute;
    const ms_compute_params params = {
        .device = "remote", .threads = 1, .isa_limit = MS_ISA_AVX512, .memory_bytes = memory_bytes};
    assert_ms_ok(ms_compute_open(&params, &compute, &err), &err);
    return compute;
}

static void *take(ms_device *dev, size_t bytes) {
    void *block = dev->backend->alloc(dev, MS_LEDGER_ACTIVATIONS, bytes);
    assert_non_null(block);
    return block;
}

static ms_rows row_of(void *data) {
    return (ms_rows){.data = data,
                     .outer = 1,
                     .inner = 1,
                     .channels = FLOATS,
                     .outer_stride = FLOATS,
                     .inner_stride = FLOATS};
}

static ms_status add(ms_queue *queue, void *a, void *b, void *dst) {
    const ms_binary_args args = {.op = MS_BINARY_ADD, .a = row_of(a), .b = row_of(b), .dst = row_of(dst)};
    return queue->dev->kernels->binary(queue, &args);
}

/* The signal that the child ended with, 0 = none. */
static int signal_of(void (*child)(ms_device *dev, char *block), ms_device *dev, char *block) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        child(dev, block);
        _exit(0);
    }
    int state = 0;
    assert_int_equal(waitpid(pid, &state, 0), pid);
    if (WIFSIGNALED(state))
        return WTERMSIG(state);
    assert_true(WIFEXITED(state));
    assert_int_equal(WEXITSTATUS(state), 0);
    return 0;
}

static volatile char seen;

static void read_it(ms_device *dev, char *block) {
    (void)dev;
    (void)!freopen("/dev/null", "w", stderr);
    seen = *block;
}

static void write_it(ms_device *dev, char *block) {
    (void)dev;
    (void)!freopen("/dev/null", "w", stderr);
    *(volatile char *)block = 1;
}

static void free_it(ms_device *dev, char *block) {
    (void)!freopen("/dev/null", "w", stderr);
    dev->backend->free(dev, block);
}

static void nothing(ms_device *dev, char *block) {
    (void)dev;
    (void)block;
}

static void the_host_faults_on_device_memory(void **state) {
    (void)state;
    ms_compute c = open_remote(0);
    char *block = take(c.dev, 100);
    assert_false(c.dev->caps.host_memory);
    assert_int_equal(signal_of(nothing, c.dev, block), 0);
    assert_int_equal(signal_of(read_it, c.dev, block), SIGSEGV);
    assert_int_equal(signal_of(write_it, c.dev, block), SIGSEGV);
    c.dev->backend->free(c.dev, block);
    ms_compute_close(&c);
}

static void a_host_pointer_is_refused(void **state) {
    (void)state;
    ms_compute c = open_remote(0);
    float *a = take(c.dev, BYTES), *host = calloc(FLOATS, sizeof(float));
    assert_int_equal(add(c.queue, a, a, a), MS_OK);
    assert_int_equal(add(c.queue, host, a, a), MS_INVALID_ARGUMENT);
    assert_int_equal(add(c.queue, a, host, a), MS_INVALID_ARGUMENT);
    assert_int_equal(add(c.queue, a, a, host), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_compute_upload(&c, host, host, BYTES), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_compute_download(&c, host, host, BYTES), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_compute_upload(&c, a, host, BYTES + 1), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_compute_finish(&c), MS_OK);
    c.dev->backend->free(c.dev, a);
    assert_int_equal(add(c.queue, a, a, a), MS_INVALID_ARGUMENT); /* freed */
    free(host);
    ms_compute_close(&c);
}

/* The host's side of a copy belongs to the queue until an event after it is finished. */
static void copies_are_late(void **state) {
    (void)state;
    ms_compute c = open_remote(0);
    const ms_backend *b = c.dev->backend;
    float *block = take(c.dev, BYTES), out[FLOATS], in[FLOATS];
    for (int i = 0; i < FLOATS; i++)
        out[i] = (float)i;
    assert_int_equal(b->upload(c.queue, block, out, BYTES), MS_OK);
    assert_int_equal(b->download(c.queue, in, block, BYTES), MS_OK);
    assert_true(isnan(in[0]) && isnan(in[FLOATS - 1])); /* read before its event */
    assert_int_equal(ms_compute_finish(&c), MS_OK);
    assert_memory_equal(in, out, BYTES);
    assert_int_equal(b->upload(c.queue, block, out, BYTES), MS_OK);
    out[7] = -1; /* changed before its event: that is what arrives */
    assert_int_equal(ms_compute_download(&c, in, block, BYTES), MS_OK);
    assert_true(in[7] == -1 && in[8] == 8);
    b->free(c.dev, block);
    ms_compute_close(&c);
}

/* One queue writes 1, the other adds what is there to itself: without an event
   between them both orders happen, with one never. */
static void queues_run_in_any_order(void **state) {
    (void)state;
    int early[2] = {0};
    for (int with = 0; with < 2; with++) {
        for (int seed = 0; seed < 32; seed++) {
            char text[16];
            snprintf(text, sizeof(text), "%d", seed);
            setenv("MEMSAFE_REMOTE_SEED", text, 1);
            ms_compute c = open_remote(0);
            const ms_backend *b = c.dev->backend;
            float *block = take(c.dev, BYTES), ones[FLOATS], in[FLOATS];
            ms_queue *other;
            ms_event *there, *done;
            for (int i = 0; i < FLOATS; i++)
                ones[i] = 1;
            assert_int_equal(b->queue_create(c.dev, &other), MS_OK);
            assert_int_equal(b->event_create(c.dev, &there), MS_OK);
            assert_int_equal(b->event_create(c.dev, &done), MS_OK);
            assert_int_equal(b->fill(c.queue, block, 0, BYTES), MS_OK);
            assert_int_equal(ms_compute_finish(&c), MS_OK);
            assert_int_equal(b->upload(other, block, ones, BYTES), MS_OK);
            assert_int_equal(b->record(other, there), MS_OK);
            if (with)
                assert_int_equal(b->wait(c.queue, there), MS_OK);
            assert_int_equal(add(c.queue, block, block, block), MS_OK);
            assert_int_equal(b->record(c.queue, done), MS_OK);
            assert_int_equal(b->finish(done), MS_OK);
            assert_int_equal(b->finish(there), MS_OK);
            assert_int_equal(ms_compute_download(&c, in, block, BYTES), MS_OK);
            assert_true(in[0] == 1 || in[0] == 2);
            early[with] += in[0] == 1;
            b->event_destroy(&done);
            b->event_destroy(&there);
            b->queue_destroy(&other);
            b->free(c.dev, block);
            ms_compute_close(&c);
        }
    }
    unsetenv("MEMSAFE_REMOTE_SEED");
    assert_true(early[0] > 0 && early[0] < 32);
    assert_int_equal(early[1], 0);
}

static void an_event_that_was_never_recorded_is_no_wait(void **state) {
    (void)state;
    ms_compute c = open_remote(0);
    const ms_backend *b = c.dev->backend;
    ms_queue *other;
    ms_event *one, *two;
    assert_int_equal(b->queue_create(c.dev, &other), MS_OK);
    assert_int_equal(b->event_create(c.dev, &one), MS_OK);
    assert_int_equal(b->event_create(c.dev, &two), MS_OK);
    assert_int_equal(b->wait(c.queue, one), MS_OK);
    assert_int_equal(ms_compute_finish(&c), MS_OK);
    assert_int_equal(b->finish(two), MS_OK);
    b->event_destroy(&two);
    b->event_destroy(&one);
    b->queue_destroy(&other);
    ms_compute_close(&c);
}

/* What is captured is not done, and done as often as it is launched. */
static void captured_work_is_launched_again(void **state) {
    (void)state;
    ms_compute c = open_remote(0);
    const ms_backend *b = c.dev->backend;
    float *block = take(c.dev, BYTES), ones[FLOATS], in[FLOATS];
    ms_launches *launches = NULL;
    for (int i = 0; i < FLOATS; i++)
        ones[i] = 1;
    assert_true(c.dev->caps.capture);
    assert_int_equal(ms_compute_upload(&c, block, ones, BYTES), MS_OK);
    assert_int_equal(b->capture_begin(c.queue), MS_OK);
    assert_int_equal(b->capture_begin(c.queue), MS_INVALID_ARGUMENT);
    assert_int_equal(add(c.queue, block, block, block), MS_OK);
    assert_int_equal(b->upload(c.queue, block, ones, BYTES), MS_INVALID_ARGUMENT);
    assert_int_equal(b->record(c.queue, c.done), MS_INVALID_ARGUMENT);
    assert_int_equal(b->capture_end(c.queue, &launches), MS_OK);
    assert_int_equal(b->capture_end(c.queue, &launches), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_compute_download(&c, in, block, BYTES), MS_OK);
    assert_true(in[0] == 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(b->launch(c.queue, launches), MS_OK);
    assert_int_equal(ms_compute_download(&c, in, block, BYTES), MS_OK);
    assert_true(in[0] == 8 && in[FLOATS - 1] == 8);
    b->launches_destroy(&launches);
    assert_null(launches);
    b->free(c.dev, block);
    ms_compute_close(&c);
}

/* Under kernels, copies and fills alike; once the work is waited for, it may go. */
static void memory_in_use_cannot_be_freed(void **state) {
    (void)state;
    ms_compute c = open_remote(0);
    const ms_backend *b = c.dev->backend;
    float in[FLOATS] = {0};
    for (int kind = 0; kind < 4; kind++) {
        char *block = take(c.dev, BYTES), *other = take(c.dev, BYTES);
        assert_int_equal(signal_of(free_it, c.dev, block), 0);
        if (kind == 0)
            assert_int_equal(add(c.queue, other, block, other), MS_OK);
        else if (kind == 1)
            assert_int_equal(b->upload(c.queue, block + 40, in, 4), MS_OK);
        else if (kind == 2)
            assert_int_equal(b->download(c.queue, in, block + BYTES - 4, 4), MS_OK);
        else
            assert_int_equal(b->fill(c.queue, block, 0, BYTES), MS_OK);
        assert_int_equal(signal_of(free_it, c.dev, block), SIGABRT);
        assert_int_equal(signal_of(free_it, c.dev, other), kind == 0 ? SIGABRT : 0);
        assert_int_equal(ms_compute_finish(&c), MS_OK);
        assert_int_equal(signal_of(free_it, c.dev, block), 0);
        b->free(c.dev, block);
        b->free(c.dev, other);
    }
    ms_compute_close(&c);
}

#define FAILING 77

static ms_status fail_late(ms_queue *queue, void *block) {
    return queue->dev->backend->fill(queue, block, FAILING, 1);
}

/* Who waits for that queue is told, once; who waits for another is not, whoever
   happens to have the work done. */
static void a_failure_is_told_to_who_waits_for_it(void **state) {
    (void)state;
    char text[16];
    snprintf(text, sizeof(text), "%d", FAILING);
    setenv("MEMSAFE_REMOTE_FAIL_FILL", text, 1);
    ms_compute good = open_remote(0), bad = {0};
    assert_ms_ok(ms_compute_fork(&good, &bad, &err), &err);
    char *block = take(good.dev, BYTES), byte = 1, got = 0;
    for (int seed = 0; seed < 16; seed++) {
        assert_int_equal(fail_late(bad.queue, block), MS_OK);
        assert_int_equal(good.dev->backend->record(bad.queue, bad.done), MS_OK);
        assert_int_equal(ms_compute_upload(&good, block, &byte, 1), MS_OK);
        assert_int_equal(ms_compute_download(&good, &got, block, 1), MS_OK);
        assert_int_equal(got, 1);
        assert_int_equal(good.dev->backend->finish(bad.done), MS_INTERNAL);
        assert_int_equal(ms_compute_upload(&bad, block, &byte, 1), MS_OK); /* told: it goes on */
    }
    /* Who waits for an event of that queue waits for work that was not done. */
    assert_int_equal(fail_late(bad.queue, block), MS_OK);
    assert_int_equal(good.dev->backend->record(bad.queue, bad.done), MS_OK);
    assert_int_equal(good.dev->backend->wait(good.queue, bad.done), MS_OK);
    assert_int_equal(ms_compute_finish(&good), MS_INTERNAL);
    unsetenv("MEMSAFE_REMOTE_FAIL_FILL");
    ms_compute_close(&bad);
    good.dev->backend->free(good.dev, block);
    ms_compute_close(&good);
}

static void memory_runs_out_and_devices_are_lost(void **state) {
    (void)state;
    ms_compute c = open_remote((size_t)1 << 20);
    const ms_backend *b = c.dev->backend;
    size_t free_bytes = 0, total_bytes = 0;
    void *block = take(c.dev, (size_t)1 << 20);
    assert_null(b->alloc(c.dev, MS_LEDGER_WEIGHTS, 1));
    void *none = block;
    assert_int_equal(ms_device_alloc(c.dev, MS_LEDGER_WEIGHTS, 1, "a test", &none, &err), MS_DEVICE_MEMORY);
    assert_null(none);
    assert_true(strstr(err.message, "a test") && strstr(err.message, "remote"));
    b->memory(c.dev, &free_bytes, &total_bytes);
    assert_true(free_bytes == 0 && total_bytes == ((size_t)1 << 20) + c.dev->caps.own_bytes);
    char byte = 1;
    setenv("MEMSAFE_REMOTE_LOSE_AFTER", "0", 1);
    assert_int_equal(ms_compute_upload(&c, block, &byte, 1), MS_DEVICE_LOST);
    unsetenv("MEMSAFE_REMOTE_LOSE_AFTER");
    assert_int_equal(ms_compute_upload(&c, block, &byte, 1), MS_DEVICE_LOST); /* it stays so */
    assert_null(b->alloc(c.dev, MS_LEDGER_WEIGHTS, 1));
    b->free(c.dev, block);
    ms_compute_close(&c);
}

/* ---- plug-ins ---- */

typedef struct listing {
    int count;
    char path[8][256], problem[8][512];
} listing;

static void note(void *arg, const char *path, const char *problem) {
    listing *l = arg;
    assert_true(l->count < 8);
    snprintf(l->path[l->count], sizeof(l->path[0]), "%s", path);
    snprintf(l->problem[l->count++], sizeof(l->problem[0]), "%s", problem ? problem : "");
}

static void what_cannot_be_loaded_is_told(void **state) {
    (void)state;
    const char *real = getenv("MEMSAFE_PLUGIN_DIR");
    assert_non_null(real);
    char kept[512];
    snprintf(kept, sizeof(kept), "%s", real);
    const char *bad = test_file("memsafe-abacus.so");
    FILE *file = fopen(bad, "wb");
    fputs("no library", file);
    fclose(file);
    char folder[512];
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(bad, '/') - bad), bad);
    setenv("MEMSAFE_PLUGIN_DIR", folder, 1);
    const ms_backend *backend = NULL;
    assert_int_equal(ms_plugin_find("abacus", &backend, &err), MS_UNSUPPORTED);
    assert_true(strstr(err.message, "memsafe-abacus.so") && strstr(err.message, "cannot be loaded"));
    assert_int_equal(ms_plugin_find("../abacus", &backend, &err), MS_UNSUPPORTED);
    assert_int_equal(ms_plugin_find("none", &backend, &err), MS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "memsafe-none.so"));
    assert_null(backend);
    listing l = {0};
    ms_plugin_list(note, &l);
    assert_true(l.count >= 1 && strstr(l.path[0], "memsafe-abacus.so") &&
                strstr(l.problem[0], "cannot be loaded"));
    assert_run_fails(0, "memsafe-abacus.so    no       ", "doctor"); /* and goes on without it */
    setenv("MEMSAFE_PLUGIN_DIR", kept, 1);
    assert_run_fails(0, "memsafe-remote.so    yes      ", "doctor");
    assert_ms_ok(ms_plugin_find("remote", &backend, &err), &err);
    assert_string_equal(backend->name, "remote");
    l.count = 0;
    ms_plugin_list(note, &l);
    int at = 0;
    while (at < l.count && !strstr(l.path[at], "memsafe-remote.so"))
        at++;
    assert_true(at < l.count && !l.problem[at][0]);
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void count_trial(void *arg, const ms_self_test_result *r) {
    assert_true(r->agrees && r->error == 0);
    ++*(int *)arg;
}

/* The self-test of devices keeps the rules of a memory and queues apart. */
static void it_passes_the_self_test(void **state) {
    (void)state;
    ms_compute compute = open_remote((size_t)64 << 20);
    int trials = 0;
    assert_ms_ok(ms_self_test(compute.dev, 1, count_trial, &trials, &err), &err);
    assert_true(trials > 20);
    ms_compute_close(&compute);
    assert_run_works("doctor --device remote");
    assert_non_null(strstr(test_output, "agree with the processor's, 0 do not"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_passes_the_self_test),
        cmocka_unit_test(the_host_faults_on_device_memory),
        cmocka_unit_test(a_host_pointer_is_refused),
        cmocka_unit_test(copies_are_late),
        cmocka_unit_test(queues_run_in_any_order),
        cmocka_unit_test(an_event_that_was_never_recorded_is_no_wait),
        cmocka_unit_test(captured_work_is_launched_again),
        cmocka_unit_test(memory_in_use_cannot_be_freed),
        cmocka_unit_test(a_failure_is_told_to_who_waits_for_it),
        cmocka_unit_test(memory_runs_out_and_devices_are_lost),
        cmocka_unit_test(what_cannot_be_loaded_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
