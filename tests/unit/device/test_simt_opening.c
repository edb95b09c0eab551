/* How the CUDA back end opens an emulated card: what it is told of it, what it measures, by whom it is
   known. */
#include "test.h"

#include <dlfcn.h>
#include <pthread.h>

#include "support/device/simt_bench.h"

static void cards_that_cannot_be_are_told_in_a_line(void **state) {
    (void)state;
    static const struct {
        const char *card, *says;
    } cases[] = {
        {"none", "no NVIDIA driver"},
        {"old", "too old: it knows CUDA 12.2, and this plug-in is of CUDA 13.0"},
        {"64M,sm_70", "compute capability 7.0; memsafe needs 7.5"},
        {"4M", "no memory left"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bench t = {0};
        ms_error_clear(&err);
        assert_int_equal(open_card(cases[i].card, 0, &t), i == 3 ? MS_DEVICE_MEMORY : MS_UNSUPPORTED);
        if (!strstr(err.message, cases[i].says) || strchr(err.message, '\n'))
            fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].says);
        /* That there is none is nothing that "auto" warns of. */
        assert_int_equal((err.hints & MS_HINT_BIT(MS_HINT_DEVICE_AUTO)) != 0, i == 0);
    }
    setenv("MEMSAFE_SIMT", "64M", 1);
    const ms_backend *b = NULL;
    ms_device *dev = NULL;
    assert_ms_ok(ms_plugin_find("simt", &b, &err), &err);
    const ms_device_params second = {.backend = "simt", .number = 1};
    assert_int_equal(b->open(&second, &dev, &err), MS_INVALID_ARGUMENT);
    assert_null(dev);
}

static void a_card_is_what_it_says(void **state) {
    (void)state;
    static const struct {
        const char *card, *arithmetic, *says;
        bool bf16;
    } cases[] = {
        {"1G,sm_75", "cuda-sm7x8x", "(sm_75, 1.0 GiB)", false},
        {"8G,sm_80", "cuda-sm7x8x", "(sm_80, 8.0 GiB)", true},
        {"24G,sm_89", "cuda-sm7x8x", "(sm_89, 24.0 GiB)", true},
        {"80G,sm_90", "cuda-sm9x", "(sm_90, 80.0 GiB)", true},
        {"32G,sm_120,5", "cuda-sm9x", "(sm_120, 32.0 GiB)", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bench t = open_one(cases[i].card);
        const ms_device_caps *c = &t.dev->caps;
        assert_string_equal(c->arithmetic, cases[i].arithmetic);
        assert_non_null(strstr(t.dev->description, cases[i].says));
        assert_int_equal(c->activations, 1u << MS_F32 | 1u << MS_F16 | (cases[i].bf16 ? 1u << MS_BF16 : 0));
        assert_true(c->raw_weights && c->capture && c->computes && !c->host_memory);
        close_card(&t);
    }
}

/* The context and all kernels are there, and counted, before anything else is. */
static void what_the_card_takes_itself_is_measured(void **state) {
    (void)state;
    const uint64_t late = count_of("simt_loaded_late");
    bench t = open_one("128M");
    size_t free_now = 0, total = 0;
    t.b->memory(t.dev, &free_now, &total);
    assert_int_equal(total, 128 * MIB);
    assert_in_range(t.dev->caps.own_bytes, total - free_now, total - free_now + (8 + 16) * MIB);
    assert_true(total - free_now > 8 * MIB); /* more than the emulated context alone */
    void *block = take(&t, BYTES);
    const size_t before = free_bytes(&t);
    assert_int_equal(copy_on(&t, t.queue, block, block), MS_OK);
    assert_int_equal(finish(&t), MS_OK);
    assert_int_equal(free_bytes(&t), before);
    assert_int_equal(count_of("simt_loaded_late"), late);
    t.b->free(t.dev, block);
    close_card(&t);
}

/* A thread that has done nothing on the card yet can begin with anything. */
typedef struct begin_with {
    const bench *t;
    void (*what)(struct begin_with *w);
    void *block;
    ms_event *event;
    ms_launches *launches;
} begin_with;

static void begin_with_taking(begin_with *w) {
    w->block = w->t->b->alloc(w->t->dev, MS_LEDGER_ACTIVATIONS, 5 * MIB);
}

static void begin_with_freeing(begin_with *w) {
    w->t->b->free(w->t->dev, w->block);
}

static void begin_with_an_event(begin_with *w) {
    w->t->b->event_destroy(&w->event);
}

static void begin_with_launches(begin_with *w) {
    w->t->b->launches_destroy(&w->launches);
}

static void *thread_main(void *arg) {
    begin_with *w = arg;
    w->what(w);
    return NULL;
}

static void a_thread_may_begin_with_anything(void **state) {
    (void)state;
    static void (*const first[])(begin_with * w) = {begin_with_taking, begin_with_freeing,
                                                    begin_with_an_event, begin_with_launches};
    bench t = open_one("1G");
    void *block = take(&t, BYTES);
    const size_t before = free_bytes(&t);
    begin_with w = {.t = &t};
    assert_int_equal(t.b->event_create(t.dev, &w.event), MS_OK);
    assert_int_equal(t.b->capture_begin(t.queue), MS_OK);
    assert_int_equal(copy_on(&t, t.queue, block, block), MS_OK);
    assert_int_equal(t.b->capture_end(t.queue, &w.launches), MS_OK);
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        pthread_t thread;
        w.what = first[i];
        assert_int_equal(pthread_create(&thread, NULL, thread_main, &w), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_non_null(w.block);
    }
    assert_null(w.event);
    assert_null(w.launches);
    assert_int_equal(free_bytes(&t), before);
    t.b->free(t.dev, block);
    close_card(&t);
}

/* What the self-test's result is worth: this very card and its driver. The library that says the latter says
   of a part of a card (MIG) what the whole has, which is not to be taken for what a context takes. */
static void a_card_is_known_by_itself_and_its_driver(void **state) {
    (void)state;
    static const char *const uuids[] = {"first", "second", "second"}, *const ways[] = {"", "", "newer"};
    char before[160] = "";
    void *library = dlopen(MS_NVML_DIR "/libnvidia-ml.so.1", RTLD_NOW);
    assert_non_null(library);
    for (int i = 0; i < 3; i++) {
        setenv("MEMSAFE_SIMT_UUID", uuids[i], 1);
        setenv("NVML_STAND_IN", ways[i], 1);
        bench t = open_one("96M");
        size_t free_now = 0, total = 0;
        t.b->memory(t.dev, &free_now, &total);
        assert_in_range(t.dev->caps.own_bytes, total - free_now + 8 * MIB, total - free_now + (8 + 16) * MIB);
        assert_non_null(strstr(t.dev->caps.identity, i == 2 ? "580.82.07" : "580.65.06"));
        assert_non_null(strstr(t.dev->caps.identity, " build "));
        assert_string_not_equal(t.dev->caps.identity, before);
        memcpy(before, t.dev->caps.identity, sizeof(before));
        close_card(&t);
    }
    unsetenv("MEMSAFE_SIMT_UUID");
    unsetenv("NVML_STAND_IN");
    assert_int_equal(dlclose(library), 0);
    bench t = open_one("96M");
    assert_string_equal(t.dev->caps.identity, "");
    close_card(&t);
}

/* With fewer addresses memory is still mapped, and where there are next to none blocks are the driver's. Of a
   card of 256 MiB three times 512, 256 and 128 are asked for. */
static void addresses_may_be_few(void **state) {
    (void)state;
    static const struct {
        const char *mib;
        bool mapped;
        size_t most; /* MiB, of a block */
    } cases[] = {{"1536", true, 200}, {"1535", true, 200}, {"767", true, 120}, {"383", false, 200}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("MEMSAFE_SIMT_ADDRESSES", cases[i].mib, 1);
        bench t = open_one("256M");
        assert_int_equal(t.dev->caps.granularity == 512, cases[i].mapped);
        void *weights = t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, cases[i].most * MIB);
        if (!weights)
            fail_msg("no %zu MiB with %s MiB of addresses", cases[i].most, cases[i].mib);
        t.b->free(t.dev, weights);
        void *small = t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 1000),
             *rest = t.b->alloc(t.dev, MS_LEDGER_GENERAL, 90 * MIB);
        weights = t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 90 * MIB);
        assert_true(small && rest && weights);
        if (cases[i].most == 120)
            assert_null(t.b->alloc(t.dev, MS_LEDGER_GENERAL, 129 * MIB));
        t.b->free(t.dev, weights);
        t.b->free(t.dev, rest);
        if (!cases[i].mapped) { /* where blocks lie anywhere no gap between them is in the way */
            void *gap = t.b->alloc(t.dev, MS_LEDGER_GENERAL, 60 * MIB),
                 *behind = t.b->alloc(t.dev, MS_LEDGER_GENERAL, 90 * MIB);
            t.b->free(t.dev, gap);
            void *larger = t.b->alloc(t.dev, MS_LEDGER_GENERAL, 110 * MIB);
            assert_true(behind && larger);
            t.b->free(t.dev, larger);
            t.b->free(t.dev, behind);
        }
        t.b->free(t.dev, small);
        close_card(&t);
    }
    unsetenv("MEMSAFE_SIMT_ADDRESSES");
}

/* A context that the process has already is others' too, and one of a program that may have other uses for
   the card may become theirs: its limits stay as they are. */
static void a_shared_context_keeps_its_limits(void **state) {
    (void)state;
    static const char *const ways[] = {"", "active", ""};
    void *library = dlopen(MS_NVML_DIR "/libcuda.so.1", RTLD_NOW);
    assert_non_null(library);
    for (int i = 0; i < 3; i++) {
        setenv("DRIVER_STAND_IN", ways[i], 1);
        setenv("MEMSAFE_CUDA_LIMITS", i < 2 ? "least" : "", 1);
        bench t = open_one("128M");
        const uint64_t before = count_of("simt_limits");
        close_card(&t);
        t = open_one("128M");
        assert_int_equal(count_of("simt_limits") - before, i == 0 ? 3 : 0);
        close_card(&t);
    }
    unsetenv("DRIVER_STAND_IN");
    unsetenv("MEMSAFE_CUDA_LIMITS");
    assert_int_equal(dlclose(library), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_that_cannot_be_are_told_in_a_line),
        cmocka_unit_test(a_card_is_what_it_says),
        cmocka_unit_test(what_the_card_takes_itself_is_measured),
        cmocka_unit_test(a_thread_may_begin_with_anything),
        cmocka_unit_test(a_card_is_known_by_itself_and_its_driver),
        cmocka_unit_test(a_shared_context_keeps_its_limits),
        cmocka_unit_test(addresses_may_be_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
