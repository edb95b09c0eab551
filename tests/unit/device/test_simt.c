/*
 * The CUDA back end's host side on an emulated card (src/device/simt/runtime/runtime.h): what a card
 * promises, what it refuses, and each of the mistakes that a card would punish silently, planted once.
 */
#include "test.h"

#include "support/device/forked.h"
#include "support/device/simt_bench.h"

/* ---- mistakes ---- */

typedef struct mistake {
    void (*make)(const bench *t, char *block);
    const bench *t;
    char *block;
} mistake;

static void make_mistake(void *arg) {
    const mistake *m = arg;
    m->make(m->t, m->block);
}

/* The signal that a process ends with which does that, 0 = none. */
static int signal_of(void (*make)(const bench *t, char *block), const bench *t, char *block) {
    mistake m = {make, t, block};
    return test_signal_of(make_mistake, &m);
}

static volatile char seen;

static void read_it(const bench *t, char *block) {
    (void)t;
    seen = *block;
}

static void write_it(const bench *t, char *block) {
    (void)t;
    *(volatile char *)block = 1;
}

static void free_it(const bench *t, char *block) {
    t->b->free(t->dev, block);
}

static void copy_it(const bench *t, char *block) {
    copy_on(t, t->queue, block, block);
}

static void nothing(const bench *t, char *block) {
    (void)t;
    (void)block;
}

static void the_host_faults_on_device_memory(void **state) {
    (void)state;
    bench t = open_one("64M");
    char *block = take(&t, 100);
    assert_false(t.dev->caps.host_memory);
    assert_int_equal((uintptr_t)block % 64, 0);
    assert_int_equal(signal_of(nothing, &t, block), 0);
    assert_int_equal(signal_of(read_it, &t, block), SIGSEGV);
    assert_int_equal(signal_of(write_it, &t, block), SIGSEGV);
    t.b->free(t.dev, block);
    close_card(&t);
}

static void addresses_that_are_none_are_refused(void **state) {
    (void)state;
    bench t = open_one("64M");
    char *a = take(&t, BYTES), *host = calloc(1, BYTES);
    assert_int_equal(signal_of(copy_it, &t, a), 0);
    assert_int_equal(signal_of(copy_it, &t, host), SIGABRT);
    assert_int_equal(signal_of(copy_it, &t, a + BYTES), SIGABRT); /* behind it is nobody's */
    assert_int_equal(upload(&t, host, host, BYTES), MS_INVALID_ARGUMENT);
    assert_int_equal(download(&t, host, host, BYTES), MS_INVALID_ARGUMENT);
    assert_int_equal(upload(&t, a, host, BYTES + 1), MS_INVALID_ARGUMENT);
    assert_int_equal(t.b->fill(t.queue, a, 0, BYTES + 1), MS_INVALID_ARGUMENT);
    assert_int_equal(finish(&t), MS_OK);
    t.b->free(t.dev, a);
    assert_int_equal(signal_of(copy_it, &t, a), SIGABRT);
    free(host);
    close_card(&t);
}

/* Under kernels, copies and fills alike; once the work is waited for, it may go. */
static void memory_in_use_cannot_be_freed(void **state) {
    (void)state;
    bench t = open_one("64M");
    float in[FLOATS] = {0};
    for (int kind = 0; kind < 4; kind++) {
        char *block = take(&t, BYTES), *other = take(&t, BYTES);
        assert_int_equal(signal_of(free_it, &t, block), 0);
        if (kind == 0)
            assert_int_equal(copy_on(&t, t.queue, block, other), MS_OK);
        else if (kind == 1)
            assert_int_equal(t.b->upload(t.queue, block + 40, in, 4), MS_OK);
        else if (kind == 2)
            assert_int_equal(t.b->download(t.queue, in, block + BYTES - 4, 4), MS_OK);
        else
            assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
        assert_int_equal(signal_of(free_it, &t, block), SIGABRT);
        assert_int_equal(signal_of(free_it, &t, other), kind == 0 ? SIGABRT : 0);
        assert_int_equal(finish(&t), MS_OK);
        assert_int_equal(signal_of(free_it, &t, block), 0);
        t.b->free(t.dev, block);
        t.b->free(t.dev, other);
    }
    close_card(&t);
}

/* ---- queues ---- */

/* The host's side of a copy belongs to the queue until an event after it is finished. */
static void copies_are_late(void **state) {
    (void)state;
    bench t = open_one("64M");
    float *block = take(&t, BYTES), in[FLOATS];
    float *out = t.b->host_alloc(t.dev, MS_LEDGER_STAGING, BYTES);
    assert_non_null(out);
    for (int i = 0; i < FLOATS; i++)
        out[i] = (float)i;
    assert_int_equal(t.b->upload(t.queue, block, out, BYTES), MS_OK);
    assert_int_equal(t.b->download(t.queue, in, block, BYTES), MS_OK);
    assert_true(isnan(in[0]) && isnan(in[FLOATS - 1])); /* read before its event */
    assert_int_equal(finish(&t), MS_OK);
    assert_memory_equal(in, out, BYTES);
    assert_int_equal(t.b->upload(t.queue, block, out, BYTES), MS_OK);
    out[7] = -1; /* changed before its event: that is what arrives */
    assert_int_equal(download(&t, in, block, BYTES), MS_OK);
    assert_true(in[7] == -1 && in[8] == 8);
    t.b->host_free(t.dev, out);
    t.b->free(t.dev, block);
    close_card(&t);
}

/* One queue writes ones, another copies what is there: without an event between them both orders happen. */
static void queues_run_in_any_order(void **state) {
    (void)state;
    int early[2] = {0};
    float ones[FLOATS], in[FLOATS];
    for (int i = 0; i < FLOATS; i++)
        ones[i] = 1;
    for (int with = 0; with < 2; with++) {
        for (int seed = 0; seed < 32; seed++) {
            char card[32];
            snprintf(card, sizeof(card), "64M,sm_80,%d", seed);
            bench t = open_one(card);
            float *block = take(&t, BYTES), *copy = take(&t, BYTES);
            ms_queue *other;
            ms_event *there;
            assert_int_equal(t.b->queue_create(t.dev, &other), MS_OK);
            assert_int_equal(t.b->event_create(t.dev, &there), MS_OK);
            assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
            assert_int_equal(finish(&t), MS_OK);
            assert_int_equal(t.b->upload(other, block, ones, BYTES), MS_OK);
            assert_int_equal(t.b->record(other, there), MS_OK);
            if (with)
                assert_int_equal(t.b->wait(t.queue, there), MS_OK);
            assert_int_equal(copy_on(&t, t.queue, block, copy), MS_OK);
            assert_int_equal(finish(&t), MS_OK);
            assert_int_equal(t.b->finish(there), MS_OK);
            assert_int_equal(download(&t, in, copy, BYTES), MS_OK);
            assert_true(in[0] == 0 || in[0] == 1);
            early[with] += in[0] == 0;
            t.b->event_destroy(&there);
            t.b->queue_destroy(&other);
            t.b->free(t.dev, block);
            t.b->free(t.dev, copy);
            close_card(&t);
        }
    }
    assert_true(early[0] > 0 && early[0] < 32);
    assert_int_equal(early[1], 0);
}

static void an_event_that_was_never_recorded_is_no_wait(void **state) {
    (void)state;
    bench t = open_one("64M");
    ms_event *one;
    assert_int_equal(t.b->event_create(t.dev, &one), MS_OK);
    assert_int_equal(t.b->wait(t.queue, one), MS_OK);
    assert_int_equal(finish(&t), MS_OK);
    assert_int_equal(t.b->finish(one), MS_OK);
    t.b->event_destroy(&one);
    close_card(&t);
}

/* CUDA goes on with what is in a stream that is destroyed; here it has come to an end. */
static void a_destroyed_queue_has_no_work_left(void **state) {
    (void)state;
    bench t = open_one("64M,sm_86,3");
    char *block = take(&t, BYTES);
    ms_queue *other;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(t.b->queue_create(t.dev, &other), MS_OK);
        assert_int_equal(t.b->fill(other, block, 0, BYTES), MS_OK);
        if (i & 1)
            assert_int_equal(t.b->capture_begin(other), MS_OK);
        t.b->queue_destroy(&other);
        assert_null(other);
    }
    t.b->free(t.dev, block);
    close_card(&t);
}

/* ---- capture ---- */

/* What is captured is not done, and done as often as it is launched. Its memory is charged. */
static void captured_work_is_launched_again(void **state) {
    (void)state;
    bench t = open_one("64M");
    float *from = take(&t, BYTES), *to = take(&t, BYTES), values[FLOATS] = {1}, in[FLOATS];
    ms_launches *launches = NULL;
    ms_mem_usage before, after;
    assert_true(t.dev->caps.capture);
    assert_int_equal(upload(&t, from, values, BYTES), MS_OK);
    assert_int_equal(upload(&t, to, values, BYTES), MS_OK);
    ms_mem_get_usage(t.mem, &before);
    const size_t free_before = free_bytes(&t);
    assert_int_equal(t.b->capture_end(t.queue, &launches), MS_INVALID_ARGUMENT);
    assert_int_equal(t.b->capture_begin(t.queue), MS_OK);
    assert_int_equal(t.b->capture_begin(t.queue), MS_INVALID_ARGUMENT);
    assert_int_equal(t.b->fill(t.queue, to, 0, BYTES), MS_OK);
    assert_int_equal(copy_on(&t, t.queue, from, to), MS_OK);
    assert_int_equal(t.b->upload(t.queue, from, values, BYTES), MS_INVALID_ARGUMENT);
    assert_int_equal(t.b->download(t.queue, in, from, BYTES), MS_INVALID_ARGUMENT);
    assert_int_equal(t.b->record(t.queue, t.done), MS_INVALID_ARGUMENT);
    assert_int_equal(t.b->wait(t.queue, t.done), MS_INVALID_ARGUMENT);
    assert_int_equal(t.b->capture_end(t.queue, &launches), MS_OK);
    assert_int_equal(t.b->capture_end(t.queue, &launches), MS_INVALID_ARGUMENT);
    ms_mem_get_usage(t.mem, &after);
    const size_t graph = after.current_bytes - before.current_bytes;
    assert_true(graph >= free_before - free_bytes(&t) && graph > 0);
    assert_true(graph <= 2 * t.dev->caps.launch_bytes);
    for (int i = 2; i < 5; i++) {
        values[0] = (float)i;
        assert_int_equal(upload(&t, from, values, BYTES), MS_OK);
        assert_int_equal(download(&t, in, to, BYTES), MS_OK);
        assert_true(in[0] == (float)(i - 1));
        assert_int_equal(t.b->launch(t.queue, launches), MS_OK);
        assert_int_equal(download(&t, in, to, BYTES), MS_OK);
        assert_true(in[0] == (float)i && in[1] == 0);
    }
    t.b->launches_destroy(&launches);
    assert_null(launches);
    ms_mem_get_usage(t.mem, &after);
    assert_int_equal(after.current_bytes, before.current_bytes);
    assert_int_equal(free_bytes(&t), free_before);
    t.b->free(t.dev, from);
    t.b->free(t.dev, to);
    close_card(&t);
}

static void a_graph_over_the_budget_is_refused(void **state) {
    (void)state;
    bench t;
    assert_ms_ok(open_card("64M", 16 * 1024, &t), &err);
    char *block = take(&t, BYTES);
    ms_launches *launches = NULL;
    assert_int_equal(t.b->capture_begin(t.queue), MS_OK);
    assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
    assert_int_equal(t.b->capture_end(t.queue, &launches), MS_DEVICE_MEMORY);
    assert_null(launches);
    assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK); /* the queue goes on */
    assert_int_equal(finish(&t), MS_OK);
    t.b->free(t.dev, block);
    close_card(&t);
}

/* A capture that its own thread breaks ends with a status, and the queue goes on. With mapping, memory of the
   card is no call that breaks one; page-locked memory always is. */
static void a_broken_capture_is_told(void **state) {
    (void)state;
    for (int mapping = 0; mapping < 2; mapping++) {
        setenv("MEMSAFE_SIMT_VMM", mapping ? "1" : "0", 1);
        bench t = open_one("64M");
        char *block = take(&t, BYTES);
        ms_launches *launches = NULL;
        void *taken = NULL;
        assert_int_equal(t.b->capture_begin(t.queue), MS_OK);
        assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
        if (mapping)
            assert_null(t.b->host_alloc(t.dev, MS_LEDGER_STAGING, 1000));
        else
            assert_null(t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 1000));
        assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_INTERNAL);
        assert_int_equal(t.b->capture_end(t.queue, &launches), MS_INTERNAL);
        assert_null(launches);
        assert_non_null(taken = t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 1000));
        t.b->free(t.dev, taken);
        assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
        assert_int_equal(finish(&t), MS_OK);
        assert_int_equal(t.b->capture_begin(t.queue), MS_OK);
        if (mapping) {
            assert_non_null(taken = t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 5 * MIB));
            t.b->free(t.dev, taken);
        }
        assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
        assert_int_equal(t.b->capture_end(t.queue, &launches), MS_OK);
        t.b->launches_destroy(&launches);
        t.b->free(t.dev, block);
        close_card(&t);
    }
    unsetenv("MEMSAFE_SIMT_VMM");
}

/* ---- memory ---- */

/* Small blocks share what the card gives in pieces of 2 MiB, and it has them back at once. */
static void memory_is_mapped_as_blocks_need_it(void **state) {
    (void)state;
    enum { BLOCKS = 600 };
    bench t = open_one("256M");
    const size_t at_first = free_bytes(&t);
    void *block[BLOCKS];
    uint64_t rng = 7;
    size_t sum = 0;
    for (int i = 0; i < BLOCKS; i++) {
        size_t bytes = i % 50 == 0 ? 3 * MIB + test_rand(&rng) % MIB : 1 + test_rand(&rng) % 3000;
        block[i] = t.b->alloc(t.dev, i % 3 ? MS_LEDGER_WEIGHTS : MS_LEDGER_STAGING, bytes);
        assert_non_null(block[i]);
        sum += bytes;
    }
    const size_t taken = at_first - free_bytes(&t);
    assert_true(taken >= sum && taken - sum < 10 * MIB);
    ms_mem_usage usage;
    ms_mem_get_usage(t.mem, &usage);
    assert_true(usage.current_bytes >= sum && usage.current_bytes - sum < BLOCKS * t.dev->caps.granularity);
    for (int i = 0; i < BLOCKS; i++) { /* in an order of its own */
        int k = i * 7 % BLOCKS;
        t.b->free(t.dev, block[k]);
    }
    assert_int_equal(free_bytes(&t), at_first);
    close_card(&t);
}

/* A block here and there keeps its granule: what that takes above the slack is charged. */
static void what_is_left_between_blocks_is_charged(void **state) {
    (void)state;
    enum { BLOCKS = 64 };
    bench t = open_one("512M");
    const size_t at_first = free_bytes(&t);
    void *block[BLOCKS];
    ms_mem_usage usage;
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, i % 8 ? MIB : MIB / 2);
        assert_non_null(block[i]);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (i % 8)
            t.b->free(t.dev, block[i]);
    ms_mem_get_usage(t.mem, &usage);
    const size_t taken = at_first - free_bytes(&t);
    assert_true(taken >= 8 * 2 * MIB);
    assert_true(usage.current_bytes + 8 * MIB >= taken && usage.current_bytes > 8 * MIB / 2);
    for (int i = 0; i < BLOCKS; i += 8)
        t.b->free(t.dev, block[i]);
    ms_mem_get_usage(t.mem, &usage);
    assert_int_equal(usage.current_bytes, 0);
    close_card(&t);
}

static void budgets_and_cards_have_an_end(void **state) {
    (void)state;
    bench t;
    assert_ms_ok(open_card("64M", 8 * MIB, &t), &err);
    void *block = take(&t, 6 * MIB);
    assert_null(t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 3 * MIB)); /* the budget */
    void *small = take(&t, 2 * MIB);
    assert_null(t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 1));
    t.b->free(t.dev, small);
    t.b->free(t.dev, block);
    close_card(&t);
    t = open_one("64M");
    const size_t all = free_bytes(&t);
    assert_null(t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, all + 1)); /* the card */
    assert_null(t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, SIZE_MAX - 100));
    block = take(&t, all / (2 * MIB) * (2 * MIB) - 2 * MIB);
    assert_null(t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 4 * MIB));
    t.b->free(t.dev, block);
    assert_int_equal(free_bytes(&t), all);
    close_card(&t);
}

static void without_mapping_each_block_is_the_drivers(void **state) {
    (void)state;
    setenv("MEMSAFE_SIMT_VMM", "0", 1);
    bench t = open_one("64M");
    const size_t at_first = free_bytes(&t);
    assert_int_equal(t.dev->caps.granularity, 2 * MIB);
    float *a = take(&t, BYTES), *b = take(&t, BYTES), out[FLOATS] = {5}, in[FLOATS];
    ms_mem_usage usage;
    ms_mem_get_usage(t.mem, &usage);
    assert_int_equal(usage.current_bytes, 4 * MIB);
    assert_int_equal(at_first - free_bytes(&t), 4 * MIB);
    assert_int_equal(upload(&t, a, out, BYTES), MS_OK);
    assert_int_equal(copy_on(&t, t.queue, a, b), MS_OK);
    assert_int_equal(download(&t, in, b, BYTES), MS_OK);
    assert_true(in[0] == 5);
    t.b->free(t.dev, a);
    t.b->free(t.dev, b);
    assert_int_equal(free_bytes(&t), at_first);
    close_card(&t);
    unsetenv("MEMSAFE_SIMT_VMM");
}

/* ---- failures ---- */

/* In a process of its own, because events are counted over the process. */
static void fails_in_turn(const char *variable, void (*child)(const bench *t, int n)) {
    for (int n = 1; n <= 3; n++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            char text[16];
            snprintf(text, sizeof(text), "%d", n);
            bench t = open_one("64M");
            setenv(variable, text, 1);
            child(&t, n);
            close_card(&t);
            _exit(0);
        }
        int ended = -1;
        assert_int_equal(waitpid(pid, &ended, 0), pid);
        assert_int_equal(ended, 0);
    }
}

static void three_blocks(const bench *t, int n) {
    void *block[3];
    for (int i = 0; i < 3; i++) {
        block[i] = t->b->alloc(t->dev, MS_LEDGER_WEIGHTS, 4 * MIB);
        if ((block[i] == NULL) != (i + 1 == n))
            _exit(1);
    }
    for (int i = 0; i < 3; i++)
        if (block[i])
            t->b->free(t->dev, block[i]);
}

/* Of the two pieces that a block and what keeps it from the next one lie in, any may be the one. */
static void three_pieces(const bench *t, int n) {
    const size_t at_first = free_bytes(t);
    void *block = t->b->alloc(t->dev, MS_LEDGER_WEIGHTS, 3 * MIB);
    if ((block == NULL) != (n <= 2))
        _exit(1);
    if (block)
        t->b->free(t->dev, block);
    if (free_bytes(t) != at_first)
        _exit(2);
}

static void three_host_blocks(const bench *t, int n) {
    for (int i = 1; i <= 3; i++) {
        void *block = t->b->host_alloc(t->dev, MS_LEDGER_STAGING, 1000);
        if ((block == NULL) != (i == n))
            _exit(1);
        t->b->host_free(t->dev, block);
    }
}

static void three_launches(const bench *t, int n) {
    void *block = t->b->alloc(t->dev, MS_LEDGER_WEIGHTS, BYTES);
    for (int i = 1; i <= 3; i++)
        if (copy_on(t, t->queue, block, block) != (i == n ? MS_DEVICE_MEMORY : MS_OK))
            _exit(1);
    if (finish(t) != MS_OK)
        _exit(2);
    t->b->free(t->dev, block);
}

static void three_queues(const bench *t, int n) {
    ms_queue *queue[3] = {NULL};
    for (int i = 0; i < 3; i++)
        if (t->b->queue_create(t->dev, &queue[i]) != (i + 1 == n ? MS_DEVICE_MEMORY : MS_OK))
            _exit(1);
    for (int i = 0; i < 3; i++)
        if (queue[i])
            t->b->queue_destroy(&queue[i]);
}

static void three_events(const bench *t, int n) {
    ms_event *event[3] = {NULL};
    for (int i = 0; i < 3; i++)
        if (t->b->event_create(t->dev, &event[i]) != (i + 1 == n ? MS_DEVICE_MEMORY : MS_OK))
            _exit(1);
    for (int i = 0; i < 3; i++)
        if (event[i])
            t->b->event_destroy(&event[i]);
}

/* What was charged for a graph that there is not is given back. */
static void three_graphs(const bench *t, int n) {
    ms_mem_usage before, after;
    void *block = t->b->alloc(t->dev, MS_LEDGER_WEIGHTS, BYTES);
    const size_t at_first = free_bytes(t);
    ms_mem_get_usage(t->mem, &before);
    for (int i = 1; i <= 3; i++) {
        ms_launches *launches = NULL;
        if (t->b->capture_begin(t->queue) != MS_OK || t->b->fill(t->queue, block, 0, BYTES) != MS_OK)
            _exit(1);
        if (t->b->capture_end(t->queue, &launches) != (i == n ? MS_DEVICE_MEMORY : MS_OK))
            _exit(2);
        if ((launches == NULL) != (i == n))
            _exit(3);
        if (launches)
            t->b->launches_destroy(&launches);
        ms_mem_get_usage(t->mem, &after);
        if (after.current_bytes != before.current_bytes || free_bytes(t) != at_first)
            _exit(4);
    }
    t->b->free(t->dev, block);
}

/* Nothing is held of a card that could not be opened, so that it can be opened again. */
static void an_opening_may_fail(const char *variable) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv(variable, "1", 1);
        bench t = {0};
        if (open_card("64M", 0, &t) != MS_DEVICE_MEMORY)
            _exit(1);
        t = open_one("64M");
        close_card(&t);
        _exit(0);
    }
    int ended = -1;
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    assert_int_equal(ended, 0);
}

static void each_may_fail(void **state) {
    (void)state;
    fails_in_turn("MEMSAFE_SIMT_FAIL_ALLOC", three_blocks);
    fails_in_turn("MEMSAFE_SIMT_FAIL_CREATE", three_pieces);
    fails_in_turn("MEMSAFE_SIMT_FAIL_HOST_ALLOC", three_host_blocks);
    fails_in_turn("MEMSAFE_SIMT_FAIL_LAUNCH", three_launches);
    fails_in_turn("MEMSAFE_SIMT_FAIL_STREAM", three_queues);
    fails_in_turn("MEMSAFE_SIMT_FAIL_EVENT", three_events);
    fails_in_turn("MEMSAFE_SIMT_FAIL_GRAPH", three_graphs);
    an_opening_may_fail("MEMSAFE_SIMT_FAIL_STREAM");
}

/* Every allocation of the host fails once. */
static void the_hosts_memory_may_fail(void **state) {
    (void)state;
    for (int n = 1; n < 40; n++) {
        bench t = {0};
        setenv("MEMSAFE_SIMT", "64M", 1);
        assert_ms_ok(ms_plugin_find("simt", &t.b, &err), &err);
        const ms_device_params params = {.backend = "simt"};
        void *block = NULL;
        ms_launches *launches = NULL;
        ms_mem_fail_after(n, false);
        ms_status status = t.b->open(&params, &t.dev, &err);
        if (status == MS_OK)
            status = t.b->queue_create(t.dev, &t.queue);
        if (status == MS_OK)
            status = t.b->event_create(t.dev, &t.done);
        if (status == MS_OK && !(block = t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 100)))
            status = MS_HOST_MEMORY;
        if (status == MS_OK)
            status = t.b->capture_begin(t.queue);
        if (status == MS_OK)
            status = t.b->capture_end(t.queue, &launches);
        ms_mem_fail_after(0, false);
        assert_true(status == MS_OK || status == MS_HOST_MEMORY);
        if (launches)
            t.b->launches_destroy(&launches);
        if (block)
            t.b->free(t.dev, block);
        if (t.done)
            t.b->event_destroy(&t.done);
        if (t.queue)
            t.b->queue_destroy(&t.queue);
        if (t.dev)
            t.b->close(&t.dev);
        if (status == MS_OK) {
            assert_in_range(n, 5, 20);
            return;
        }
    }
    fail_msg("there is no end of allocations");
}

static void a_lost_card_stays_lost(void **state) {
    (void)state;
    bench t = open_one("64M");
    void *block = take(&t, BYTES), *host = t.b->host_alloc(t.dev, MS_LEDGER_STAGING, BYTES);
    ms_launches *launches = NULL;
    ms_queue *other = NULL;
    char byte = 1;
    assert_int_equal(t.b->capture_begin(t.queue), MS_OK);
    assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
    assert_int_equal(t.b->capture_end(t.queue, &launches), MS_OK);
    assert_int_equal(t.b->fill(t.queue, block, 0, BYTES), MS_OK);
    setenv("MEMSAFE_SIMT_LOSE_AFTER", "0", 1);
    assert_int_equal(finish(&t), MS_DEVICE_LOST);
    unsetenv("MEMSAFE_SIMT_LOSE_AFTER");
    assert_int_equal(upload(&t, block, &byte, 1), MS_DEVICE_LOST);
    assert_int_equal(finish(&t), MS_DEVICE_LOST);
    assert_int_equal(copy_on(&t, t.queue, block, block), MS_DEVICE_LOST);
    assert_int_equal(t.b->launch(t.queue, launches), MS_DEVICE_LOST);
    assert_int_equal(t.b->queue_create(t.dev, &other), MS_DEVICE_LOST);
    assert_null(t.b->alloc(t.dev, MS_LEDGER_WEIGHTS, 1));
    assert_null(t.b->host_alloc(t.dev, MS_LEDGER_STAGING, 1));
    assert_int_equal(free_bytes(&t), 0);
    t.b->launches_destroy(&launches);
    t.b->host_free(t.dev, host);
    t.b->free(t.dev, block);
    close_card(&t); /* nothing is left */
    t = open_one("64M");
    assert_int_equal(finish(&t), MS_OK);
    close_card(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_faults_on_device_memory),
        cmocka_unit_test(addresses_that_are_none_are_refused),
        cmocka_unit_test(memory_in_use_cannot_be_freed),
        cmocka_unit_test(copies_are_late),
        cmocka_unit_test(queues_run_in_any_order),
        cmocka_unit_test(an_event_that_was_never_recorded_is_no_wait),
        cmocka_unit_test(a_destroyed_queue_has_no_work_left),
        cmocka_unit_test(captured_work_is_launched_again),
        cmocka_unit_test(a_graph_over_the_budget_is_refused),
        cmocka_unit_test(a_broken_capture_is_told),
        cmocka_unit_test(memory_is_mapped_as_blocks_need_it),
        cmocka_unit_test(what_is_left_between_blocks_is_charged),
        cmocka_unit_test(budgets_and_cards_have_an_end),
        cmocka_unit_test(without_mapping_each_block_is_the_drivers),
        cmocka_unit_test(each_may_fail),
        cmocka_unit_test(the_hosts_memory_may_fail),
        cmocka_unit_test(a_lost_card_stays_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
