/* The self-test of devices: one that computes as it should passes, and every family that does not is
   named. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "device/self_test/cases.h"
#include "device/self_test/self_test.h"

/* A device of the processor's, whose kernels are spoiled one at a time. */
static ms_kernels spoiled;
static const ms_kernels *sound;
static int calls;

#define SPOIL(name, output)                                                                                  \
    static ms_status bad_##name(ms_queue *queue, const ms_##name##_args *args) {                             \
        ms_status status = sound->name(queue, args);                                                         \
        calls++;                                                                                             \
        ((float *)args->output)[0] += 0.01f;                                                                 \
        return status;                                                                                       \
    }
#define SPOIL_WITH_WORKSPACE(name, output)                                                                   \
    static ms_status bad_##name(ms_queue *queue, const ms_##name##_args *args, void *workspace) {            \
        ms_status status = sound->name(queue, args, workspace);                                              \
        calls++;                                                                                             \
        ((float *)args->output)[0] += 0.01f;                                                                 \
        return status;                                                                                       \
    }

SPOIL_WITH_WORKSPACE(linear, dst.data)
SPOIL_WITH_WORKSPACE(conv2d, dst.data)
SPOIL_WITH_WORKSPACE(attention, out)
SPOIL(norm_tables, tables)
SPOIL(norm_apply, dst.data)
SPOIL(layer_norm, dst.data)
SPOIL(binary, dst.data)
SPOIL(unary, dst.data)
SPOIL(pool, dst.data)
SPOIL(resize, dst.data)
SPOIL(copy, dst)
SPOIL(noise, dst.data)
SPOIL(posterior, dst.data)
SPOIL(rescale, dst.data)
SPOIL(guide, dst.data)
SPOIL(ddim, dst.data)
SPOIL(check_finite, flag)

static ms_status bad_norm_partials(ms_queue *queue, const ms_norm_partials_args *args) {
    ms_status status = sound->norm_partials(queue, args);
    calls++;
    args->partials[0][0] += 0.01;
    return status;
}

static ms_device *open_cpu(void) {
    const ms_device_params params = {.backend = "cpu", .isa_limit = MS_ISA_COUNT - 1};
    ms_device *dev = NULL;
    ms_error err;
    assert_int_equal(ms_device_open(&params, &dev, &err), MS_OK);
    sound = dev->kernels;
    spoiled = *sound;
    return dev;
}

static void note_result(void *arg, const ms_self_test_result *r) {
    int *agreed = arg;
    assert_true(r->agrees);
    assert_true(r->error == 0 && r->hash != 0 && r->dtype == MS_F32);
    ++*agreed;
}

static void the_processor_agrees_with_itself(void **state) {
    (void)state;
    ms_device *dev = open_cpu();
    ms_error err;
    int agreed = 0;
    assert_int_equal(ms_self_test(dev, 2, note_result, &agreed, &err), MS_OK);
    assert_int_equal(agreed, 2 * ms_n_self_cases);
    ms_device_close(&dev);
}

static void what_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        const char *family;
        size_t at;
        void (*kernel)(void);
    } planted[] = {
#define PLANTED(kernel, family) {family, offsetof(ms_kernels, kernel), (void (*)(void))bad_##kernel}
        PLANTED(linear, "linear"),
        PLANTED(conv2d, "convolution"),
        PLANTED(attention, "attention"),
        PLANTED(norm_partials, "group norm"),
        PLANTED(norm_tables, "group norm"),
        PLANTED(norm_apply, "norm applied"),
        PLANTED(layer_norm, "layer norm"),
        PLANTED(binary, "two operands"),
        PLANTED(unary, "one operand"),
        PLANTED(pool, "pooling"),
        PLANTED(resize, "resize"),
        PLANTED(copy, "copy"),
        PLANTED(noise, "noise"),
        PLANTED(posterior, "posterior"),
        PLANTED(rescale, "rescale"),
        PLANTED(guide, "guidance"),
        PLANTED(ddim, "DDIM"),
        PLANTED(check_finite, "check of finite values"),
    };
    for (size_t i = 0; i < sizeof(planted) / sizeof(planted[0]); i++) {
        ms_device *dev = open_cpu();
        ms_error err;
        calls = 0;
        memcpy((char *)&spoiled + planted[i].at, &planted[i].kernel, sizeof(planted[i].kernel));
        dev->kernels = &spoiled;
        assert_int_equal(ms_self_test(dev, 1, NULL, NULL, &err), MS_UNSUPPORTED);
        assert_true(calls > 0);
        assert_non_null(strstr(err.message, "is not trusted"));
        assert_non_null(strstr(err.message, planted[i].family));
        dev->kernels = sound;
        ms_device_close(&dev);
    }
}

/* Bits that differ from the predicted ones are refused, although the result is near enough. */
static uint64_t promised;
static uint64_t promise(const ms_device *dev, const char *family, ms_dtype dtype) {
    (void)dev, (void)dtype;
    return strcmp(family, "layer norm") == 0 ? promised : 0;
}

static void remember_hash(void *arg, const ms_self_test_result *r) {
    if (strcmp(r->family, "layer norm") == 0)
        *(uint64_t *)arg = r->hash;
}

static void bits_are_compared_with_predicted_ones(void **state) {
    (void)state;
    ms_device *dev = open_cpu();
    ms_backend other = *dev->backend;
    const ms_backend *own = dev->backend;
    ms_error err;
    other.predicted_bits = promise;
    dev->backend = &other;
    assert_int_equal(ms_self_test(dev, 1, remember_hash, &promised, &err), MS_OK);
    assert_int_equal(ms_self_test(dev, 1, NULL, NULL, &err), MS_OK);
    promised ^= 1;
    assert_int_equal(ms_self_test(dev, 1, NULL, NULL, &err), MS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "layer norm"));
    assert_non_null(strstr(err.message, "predicted"));
    /* Who says so takes it for a class of its own, which is the same each time. */
    char class[2][32];
    setenv("MEMSAFE_DEVICE_BITS", "own", 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ms_self_test(dev, 1, NULL, NULL, &err), MS_OK);
        snprintf(class[i], sizeof(class[i]), "%s", dev->caps.arithmetic);
    }
    assert_true(strncmp(class[0], "own-", 4) == 0 && strlen(class[0]) == 20);
    assert_string_equal(class[0], class[1]);
    /* Not what is wrong. */
    spoiled = *sound;
    spoiled.pool = bad_pool; /* a later one */
    dev->kernels = &spoiled;
    assert_int_equal(ms_self_test(dev, 1, NULL, NULL, &err), MS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "wrong results of \"pooling\""));
    unsetenv("MEMSAFE_DEVICE_BITS");
    dev->kernels = sound;
    dev->backend = own;
    ms_device_close(&dev);
}

/* A device that does a call in several ways is tried in all of them, whatever the inputs' size would
   choose. */
static int form, bad_form, forms_seen;

static void choose_form(ms_device *dev, int chosen) {
    (void)dev;
    form = chosen;
    forms_seen |= 1 << chosen;
}

static ms_status linear_in_forms(ms_queue *queue, const ms_linear_args *args, void *workspace) {
    ms_status status = sound->linear(queue, args, workspace);
    if (form == bad_form) /* less than is allowed */
        ((uint32_t *)args->dst.data)[0] ^= 1;
    return status;
}

/* Where forms differ, that is said, and not that one of them has other bits than were predicted. */
static ms_self_test_result linear_seen; /* of float32 */
static uint64_t linear_promised;

static void see_linear(void *arg, const ms_self_test_result *r) {
    (void)arg;
    if (strcmp(r->family, "linear") == 0 && r->dtype == MS_F32)
        linear_seen = *r;
}

static uint64_t promise_of_linear(const ms_device *dev, const char *family, ms_dtype dtype) {
    (void)dev;
    return strcmp(family, "linear") == 0 && dtype == MS_F32 ? linear_promised : 0;
}

static void every_form_is_tried(void **state) {
    (void)state;
    ms_device *dev = open_cpu();
    ms_backend other = *dev->backend;
    const ms_backend *own = dev->backend;
    ms_error err;
    other.choose_form = choose_form;
    dev->backend = &other;
    dev->caps.forms = 3;
    spoiled.linear = linear_in_forms;
    dev->kernels = &spoiled;
    other.predicted_bits = promise_of_linear;
    for (bad_form = 4; bad_form >= 1; bad_form--) {
        forms_seen = 0;
        ms_status status = ms_self_test(dev, 1, see_linear, NULL, &err);
        if (bad_form == 4) {
            assert_false(linear_seen.forms_differ);
            linear_promised = linear_seen.hash;
        } else {
            assert_true(linear_seen.forms_differ);
            assert_true(linear_seen.predicted == 0 && !linear_seen.agrees);
            assert_true(linear_seen.error <= linear_seen.allowed);
        }
        assert_int_equal(form, 0);
        assert_int_equal(forms_seen, 15);
        assert_int_equal(status, bad_form == 4 ? MS_OK : MS_UNSUPPORTED);
        if (bad_form == 4)
            continue;
        assert_non_null(strstr(err.message, "\"linear\""));
        assert_non_null(strstr(err.message, "different bits"));
    }
    dev->kernels = sound;
    dev->backend = own;
    ms_device_close(&dev);
}

/* A cache folder of the test's own, in which results are noted. */
static char cache[64], noted[128];

static void make_cache(void) {
    snprintf(cache, sizeof(cache), "/tmp/memsafe-test.XXXXXX");
    assert_non_null(mkdtemp(cache));
    assert_int_equal(setenv("XDG_CACHE_HOME", cache, 1), 0);
    snprintf(noted, sizeof(noted), "%s/memsafe/tested-devices", cache);
}

static void remove_cache(void) {
    char folder[128];
    assert_int_equal(unlink(noted), 0);
    snprintf(folder, sizeof(folder), "%s/memsafe", cache);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rmdir(cache), 0);
}

/* A device is tried once, and again when its identity changes; a failure is not noted. */
static void results_are_kept(void **state) {
    (void)state;
    ms_error err;
    make_cache();
    ms_device *dev = open_cpu();
    snprintf(dev->caps.identity, sizeof(dev->caps.identity), "a card, driver 1");
    spoiled.layer_norm = bad_layer_norm;
    dev->kernels = &spoiled;
    for (int i = 0; i < 2; i++) { /* a device that fails is tried every time */
        calls = 0;
        assert_int_equal(ms_self_test_once(dev, &err), MS_UNSUPPORTED);
        assert_true(calls > 0);
    }
    dev->kernels = sound;
    assert_int_equal(ms_self_test_once(dev, &err), MS_OK);
    dev->kernels = &spoiled;
    calls = 0;
    assert_int_equal(ms_self_test_once(dev, &err), MS_OK); /* it is not even looked at */
    assert_int_equal(calls, 0);
    snprintf(dev->caps.identity, sizeof(dev->caps.identity), "a card, driver 2");
    assert_int_equal(ms_self_test_once(dev, &err), MS_UNSUPPORTED);
    dev->kernels = sound;
    /* A link in the file's place is not followed. */
    assert_int_equal(unlink(noted), 0);
    assert_int_equal(symlink("/tmp/memsafe-nowhere", noted), 0);
    assert_int_equal(ms_self_test_once(dev, &err), MS_OK);
    assert_int_not_equal(access("/tmp/memsafe-nowhere", F_OK), 0);
    remove_cache();
    ms_device_close(&dev);
}

/* As if the library, which this program has within, were built anew. False: the program is somebody
   else's. */
static bool move_build_time(int seconds) {
    struct stat file;
    assert_int_equal(stat("/proc/self/exe", &file), 0);
    struct timespec times[2] = {file.st_atim, file.st_mtim};
    times[1].tv_sec += seconds;
    return utimensat(AT_FDCWD, "/proc/self/exe", times, 0) == 0;
}

/* What passed with another library is tried again. */
static void a_new_library_tries_anew(void **state) {
    (void)state;
    ms_error err;
    if (!move_build_time(0))
        skip();
    make_cache();
    ms_device *dev = open_cpu();
    snprintf(dev->caps.identity, sizeof(dev->caps.identity), "a card, driver 1");
    assert_int_equal(ms_self_test_once(dev, &err), MS_OK);
    spoiled.layer_norm = bad_layer_norm;
    dev->kernels = &spoiled;
    calls = 0;
    assert_int_equal(ms_self_test_once(dev, &err), MS_OK);
    assert_int_equal(calls, 0);
    assert_true(move_build_time(1));
    ms_status status = ms_self_test_once(dev, &err);
    assert_true(move_build_time(-1));
    assert_int_equal(status, MS_UNSUPPORTED);
    assert_true(calls > 0);
    dev->kernels = sound;
    ms_device_close(&dev);
    remove_cache();
}

/* Every allocation failed in turn: a status, and nothing is left. */
static void failed_allocations_are_told(void **state) {
    (void)state;
    ms_device *dev = open_cpu();
    ms_error err;
    const uint64_t before = ms_mem_fail_after(0, false);
    assert_int_equal(ms_self_test(dev, 1, NULL, NULL, &err), MS_OK);
    const uint64_t made = ms_mem_fail_after(0, false) - before;
    assert_true(made > 100);
    for (uint64_t n = 1; n <= made; n += 1 + n / 16) {
        ms_mem_fail_after(n, false);
        ms_status status = ms_self_test(dev, 1, NULL, NULL, &err);
        ms_mem_fail_after(0, false);
        assert_int_equal(status, MS_HOST_MEMORY);
    }
    assert_int_equal(ms_self_test(dev, 1, NULL, NULL, &err), MS_OK);
    ms_device_close(&dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_processor_agrees_with_itself),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(bits_are_compared_with_predicted_ones),
        cmocka_unit_test(results_are_kept),
        cmocka_unit_test(a_new_library_tries_anew),
        cmocka_unit_test(every_form_is_tried),
        cmocka_unit_test(failed_allocations_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
