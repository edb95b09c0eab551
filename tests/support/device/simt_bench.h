/* An emulated card that is opened through its plug-in, for tests of the CUDA back end's host side. */
#ifndef MS_TESTS_SUPPORT_SIMT_BENCH_H
#define MS_TESTS_SUPPORT_SIMT_BENCH_H

#include "test.h"

#include <dlfcn.h>

#include "device/plugin.h"

#define FLOATS 1000
#define BYTES (FLOATS * sizeof(float))
#define MIB ((size_t)1 << 20)

static ms_error err;

typedef struct bench {
    ms_device *dev;
    const ms_backend *b;
    ms_queue *queue;
    ms_event *done;
    ms_mem *mem, *host;
} bench;

static inline ms_status open_card(const char *card, size_t budget_bytes, bench *ret_bench) {
    bench t = {0};
    setenv("MEMSAFE_SIMT", card, 1);
    assert_ms_ok(ms_plugin_find("simt", &t.b, &err), &err);
    assert_int_equal(ms_mem_create(budget_bytes, &t.mem), MS_OK);
    assert_int_equal(ms_mem_create(0, &t.host), MS_OK);
    const ms_device_params params = {.backend = "simt", .mem = t.host, .device_mem = t.mem};
    ms_status status = t.b->open(&params, &t.dev, &err);
    if (status != MS_OK) {
        assert_null(t.dev);
        assert_int_equal(ms_mem_destroy(&t.mem), 0);
        assert_int_equal(ms_mem_destroy(&t.host), 0);
        return status;
    }
    t.dev->device_mem = t.mem;
    assert_int_equal(t.b->queue_create(t.dev, &t.queue), MS_OK);
    assert_int_equal(t.b->event_create(t.dev, &t.done), MS_OK);
    *ret_bench = t;
    return MS_OK;
}

static inline bench open_one(const char *card) {
    bench t = {0};
    assert_ms_ok(open_card(card, 0, &t), &err);
    return t;
}

static inline void close_card(bench *t) {
    t->b->event_destroy(&t->done);
    t->b->queue_destroy(&t->queue);
    t->b->close(&t->dev);
    assert_int_equal(ms_mem_destroy(&t->mem), 0);
    assert_int_equal(ms_mem_destroy(&t->host), 0);
}

static inline void *take(const bench *t, size_t bytes) {
    void *block = t->b->alloc(t->dev, MS_LEDGER_ACTIVATIONS, bytes);
    assert_non_null(block);
    return block;
}

/* A kernel: floats from here to there. */
static inline ms_status copy_on(const bench *t, ms_queue *queue, const void *src, void *dst) {
    const ms_weight_shape shape = {.layout = MS_LAYOUT_DEPTHWISE,
                                   .dtype = MS_F32,
                                   .n = FLOATS,
                                   .c_in = 1,
                                   .kernel_h = 1,
                                   .kernel_w = 1,
                                   .groups = FLOATS};
    assert_int_equal(t->b->weight_bytes(&shape), BYTES);
    return t->b->weight_prepare(queue, &shape, MS_F32, 0, FLOATS, src, dst);
}

static inline ms_status finish(const bench *t) {
    ms_status status = t->b->record(t->queue, t->done);
    return status == MS_OK ? t->b->finish(t->done) : status;
}

static inline ms_status upload(const bench *t, void *dst, const void *src, size_t bytes) {
    ms_status status = t->b->upload(t->queue, dst, src, bytes);
    return status == MS_OK ? finish(t) : status;
}

static inline ms_status download(const bench *t, void *dst, const void *src, size_t bytes) {
    ms_status status = t->b->download(t->queue, dst, src, bytes);
    return status == MS_OK ? finish(t) : status;
}

static inline size_t free_bytes(const bench *t) {
    size_t free_now = 0, total = 0;
    t->b->memory(t->dev, &free_now, &total);
    return free_now;
}

static inline void *of_plugin(const char *name) {
    char path[600];
    snprintf(path, sizeof(path), "%s/memsafe-simt.so", getenv("MEMSAFE_PLUGIN_DIR"));
    void *plugin = dlopen(path, RTLD_NOW), *found = plugin ? dlsym(plugin, name) : NULL;
    assert_non_null(found);
    return found;
}

static inline uint64_t count_of(const char *name) {
    void *found = of_plugin(name);
    uint64_t (*count)(void);
    memcpy(&count, &found, sizeof(count));
    return count();
}

#endif
