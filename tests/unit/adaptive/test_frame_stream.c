/* Streams of frames: order, bounds, ways to end, processing on either side, threads; and ms_integrate(). */
#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "memsafe/integrate.h"

#define BYTES 100
#define FRAMES 200

static ms_frame_stream *create(const ms_frame_stream_params *p) {
    ms_frame_stream *s = NULL;
    ms_error err;
    assert_ms_ok(ms_frame_stream_create(p, NULL, &s, &err), &err);
    return s;
}

static ms_frame_stream_params params_of(int buffer, int window) {
    ms_frame_stream_params p;
    ms_frame_stream_params_init(&p);
    p.frame_bytes = BYTES;
    p.buffer_frames = buffer;
    p.window_frames = window;
    return p;
}

static void fill(unsigned char data[BYTES], int64_t number) {
    for (int i = 0; i < BYTES; i++)
        data[i] = (unsigned char)(number * 7 + i);
}

/* Doubles each byte and counts what it is called for; fails as told. */
typedef struct worker {
    int limit; /* frames that fit at a time; 0 = any */
    int64_t poison;
    ms_status poison_status;
    int calls, largest, trims;
    ms_frame_stream *cancel_from_within;
} worker;

static ms_status work(void *arg, ms_frame *frames, int count, ms_error *err) {
    worker *w = arg;
    w->calls++;
    w->largest = count > w->largest ? count : w->largest;
    if (w->cancel_from_within)
        ms_frame_stream_cancel(w->cancel_from_within);
    if (w->limit && count > w->limit)
        return MS_HOST_MEMORY;
    for (int f = 0; f < count; f++) {
        if (w->poison_status != MS_OK && frames[f].number == w->poison)
            return ms_fail(err, w->poison_status, "frame %lld is broken", (long long)w->poison);
        unsigned char *data = frames[f].data;
        for (size_t i = 0; i < frames[f].bytes; i++)
            data[i] = (unsigned char)(data[i] * 2);
    }
    return MS_OK;
}

static void trim(void *arg) {
    ((worker *)arg)->trims++;
}

static ms_status push_one(ms_frame_stream *s, int64_t number, ms_error *err) {
    unsigned char data[BYTES];
    fill(data, number);
    return ms_frame_stream_push(s, number, data, BYTES, err);
}

static void check_frame(const ms_frame *frame, int64_t number, int factor) {
    unsigned char want[BYTES];
    fill(want, number);
    assert_int_equal(frame->number, number);
    assert_int_equal(frame->bytes, BYTES);
    assert_int_equal((uintptr_t)frame->data % 64, 0);
    for (int i = 0; i < BYTES; i++)
        want[i] = (unsigned char)(want[i] * factor);
    assert_memory_equal(frame->data, want, BYTES);
}

/* ---- one thread ---- */

static void push_while_there_is_room_pull_what_is_ready(void **state) {
    (void)state;
    ms_frame_stream_params p = params_of(3, 1);
    ms_frame_stream *s = create(&p);
    ms_error err;
    ms_frame frame;
    bool got = true, pushed = false;
    unsigned char data[BYTES];
    assert_ms_ok(ms_frame_stream_try_pull(s, &frame, &got, &err), &err);
    assert_false(got || ms_frame_stream_ended(s));
    int64_t in = 0, out = 0;
    while (out < 20) {
        for (pushed = true; in < 20;) {
            fill(data, in);
            assert_ms_ok(ms_frame_stream_try_push(s, in, data, BYTES, &pushed, &err), &err);
            if (!pushed)
                break;
            in++;
        }
        if (in == 20)
            ms_frame_stream_close(s);
        assert_true(in <= out + 3);
        assert_ms_ok(ms_frame_stream_pull(s, &frame, &got, &err), &err);
        assert_true(got);
        check_frame(&frame, out++, 1);
        ms_frame_stream_release(s, &frame);
    }
    assert_ms_ok(ms_frame_stream_pull(s, &frame, &got, &err), &err);
    assert_true(!got && ms_frame_stream_ended(s));
    assert_int_equal(push_one(s, 20, &err), MS_INVALID_ARGUMENT); /* it was closed */
    ms_frame_stream_stats stats;
    ms_frame_stream_get_stats(s, &stats);
    assert_true(stats.pushed == 20 && stats.pulled == 20 && stats.most_held == 3 && stats.held == 0);
    assert_int_equal(stats.buffer_bytes, 3 * 128);
    ms_frame_stream_destroy(&s);
    assert_null(s);
}

static void places_are_committed_and_released_in_any_order(void **state) {
    (void)state;
    ms_frame_stream_params p = params_of(2, 1);
    ms_frame_stream *s = create(&p);
    ms_error err;
    ms_frame a, b, c;
    bool got = true, pushed = true;
    assert_ms_ok(ms_frame_stream_reserve(s, &a, &err), &err);
    assert_ms_ok(ms_frame_stream_reserve(s, &b, &err), &err);
    fill(b.data, 1);
    b.number = 1, b.bytes = BYTES;
    ms_frame_stream_commit(s, &b);
    assert_ms_ok(ms_frame_stream_try_pull(s, &c, &got, &err), &err);
    assert_false(got); /* the one before it is not there yet */
    fill(a.data, 0);
    a.number = 0, a.bytes = BYTES;
    ms_frame_stream_close(s); /* it was reserved before */
    ms_frame_stream_commit(s, &a);
    assert_ms_ok(ms_frame_stream_pull(s, &a, &got, &err), &err);
    check_frame(&a, 0, 1);
    assert_ms_ok(ms_frame_stream_pull(s, &b, &got, &err), &err);
    check_frame(&b, 1, 1);
    ms_frame_stream_release(s, &b);
    ms_frame_stream_stats stats;
    ms_frame_stream_get_stats(s, &stats);
    assert_int_equal(stats.held, 2); /* room comes back in order */
    ms_frame_stream_release(s, &a);
    ms_frame_stream_get_stats(s, &stats);
    assert_int_equal(stats.held, 0);
    (void)pushed;
    ms_frame_stream_destroy(&s);
}

static void windows_are_processed_by_whoever_pulls(void **state) {
    (void)state;
    worker w = {.limit = 3};
    ms_frame_stream_params p = params_of(8, 8);
    p.process = work;
    p.arg = &w;
    const ms_adaptive_params adaptive = {.trim = trim, .arg = &w};
    ms_frame_stream *s = NULL;
    ms_error err;
    assert_ms_ok(ms_frame_stream_create(&p, &adaptive, &s, &err), &err);
    ms_frame frame;
    bool got = true;
    for (int64_t i = 0; i < 7; i++)
        assert_ms_ok(push_one(s, i, &err), &err);
    assert_ms_ok(ms_frame_stream_try_pull(s, &frame, &got, &err), &err);
    assert_true(!got && w.calls == 0); /* the window is not complete */
    assert_ms_ok(push_one(s, 7, &err), &err);
    for (int64_t i = 0; i < 8; i++) {
        assert_ms_ok(ms_frame_stream_try_pull(s, &frame, &got, &err), &err);
        assert_true(got);
        check_frame(&frame, i, 2);
        ms_frame_stream_release(s, &frame);
    }
    assert_true(w.trims == 2 && w.largest == 8); /* 8 and 4 were too many */
    for (int64_t i = 8; i < 11; i++)
        assert_ms_ok(push_one(s, i, &err), &err);
    ms_frame_stream_close(s); /* the rest is a window */
    for (int64_t i = 8; i < 11; i++) {
        assert_ms_ok(ms_frame_stream_pull(s, &frame, &got, &err), &err);
        check_frame(&frame, i, 2);
        ms_frame_stream_release(s, &frame);
    }
    ms_frame_stream_stats stats;
    ms_frame_stream_get_stats(s, &stats);
    ms_adaptive_state learned;
    ms_frame_stream_get_state(s, &learned);
    assert_true(learned.host_failures == 2 && learned.items == 11 && stats.processed == 11);
    ms_frame_stream_destroy(&s);
}

static void a_failure_comes_after_the_frames_before_it(void **state) {
    (void)state;
    for (int by_producer = 0; by_producer < 2; by_producer++) {
        worker w = {.poison = 5, .poison_status = by_producer ? MS_OK : MS_BAD_MEDIA};
        ms_frame_stream_params p = params_of(8, 2);
        p.process = work;
        p.arg = &w;
        ms_frame_stream *s = create(&p);
        ms_error err, reason;
        ms_frame frame;
        bool got = false;
        int64_t before = by_producer ? 7 : 4; /* the window of frames 4 and 5 is lost */
        for (int64_t i = 0; i < 7; i++)
            assert_ms_ok(push_one(s, i, &err), &err);
        if (by_producer) {
            ms_fail(&reason, MS_IO, "the disk is gone");
            ms_frame_stream_fail(s, MS_IO, &reason);
            ms_frame_stream_fail(s, MS_BAD_MODEL, NULL); /* the first one stays */
            assert_int_equal(push_one(s, 7, &err), MS_IO);
        }
        for (int64_t i = 0; i < before; i++) {
            assert_ms_ok(ms_frame_stream_pull(s, &frame, &got, &err), &err);
            assert_true(got);
            check_frame(&frame, i, 2);
            ms_frame_stream_release(s, &frame);
        }
        ms_status want = by_producer ? MS_IO : MS_BAD_MEDIA;
        got = true;
        assert_int_equal(ms_frame_stream_pull(s, &frame, &got, &err), want);
        assert_true(got); /* left alone */
        assert_non_null(strstr(err.message, by_producer ? "the disk is gone" : "frame 5 is broken"));
        assert_int_equal(ms_frame_stream_try_pull(s, &frame, &got, &err), want);
        assert_int_equal(push_one(s, 9, &err), want);
        assert_true(ms_frame_stream_ended(s));
        ms_frame_stream_destroy(&s);
    }
}

static ms_status grows_too_large(void *arg, ms_frame *frames, int count, ms_error *err) {
    (void)arg, (void)count, (void)err;
    frames[0].bytes = BYTES + 1;
    return MS_OK;
}

static void bad_numbers_are_refused(void **state) {
    (void)state;
    ms_frame_stream *s = NULL;
    ms_error err;
    ms_frame_stream_params good = params_of(4, 2), p;
#define REFUSED(change)                                                                                      \
    p = good;                                                                                                \
    change;                                                                                                  \
    assert_int_equal(ms_frame_stream_create(&p, NULL, &s, &err), MS_INVALID_ARGUMENT);                       \
    assert_null(s)
    REFUSED(p.frame_bytes = 0);
    REFUSED(p.frame_bytes = SIZE_MAX);
    REFUSED(p.buffer_frames = 0);
    REFUSED(p.buffer_frames = 1 << 20);
    REFUSED(p.window_frames = 0);
    REFUSED(p.window_frames = 5);
    REFUSED(p.ledger = MS_LEDGER_COUNT);
    REFUSED(p.own_thread = true);
    worker w = {0};
    p = good;
    p.process = grows_too_large;
    p.arg = &w;
    p.window_frames = 1;
    s = create(&p);
    unsigned char data[BYTES + 1] = {0};
    assert_int_equal(ms_frame_stream_push(s, 3, data, BYTES + 1, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "frame 3 has 101 bytes; the stream's frames have 100"));
    assert_ms_ok(push_one(s, 0, &err), &err);
    ms_frame frame;
    bool got;
    assert_int_equal(ms_frame_stream_pull(s, &frame, &got, &err), MS_INVALID_ARGUMENT);
    ms_frame_stream_destroy(&s);
    ms_frame_stream_destroy(&s);
}

static void the_buffer_is_charged_and_every_allocation_may_fail(void **state) {
    (void)state;
    ms_mem *mem;
    ms_mem_usage usage;
    ms_error err;
    worker w = {0};
    assert_int_equal(ms_mem_create(10000, &mem), MS_OK);
    ms_frame_stream_params p = params_of(64, 1);
    ms_frame_stream *s = NULL;
    p.mem = mem;
    assert_int_equal(ms_frame_stream_create(&p, NULL, &s, &err), MS_HOST_MEMORY); /* 8,192 bytes and places */
    assert_non_null(strstr(err.message, "10000"));
    p.buffer_frames = 16;
    s = create(&p);
    ms_mem_get_usage(mem, &usage);
    assert_true(usage.ledger_current[MS_LEDGER_FRAMES] >= 16 * 128);
    ms_frame_stream_destroy(&s);
    p.process = work;
    p.arg = &w;
    p.own_thread = true;
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        ms_mem_fail_after(n, n % 2);
        ms_status status = ms_frame_stream_create(&p, NULL, &s, &err);
        ms_mem_fail_after(0, false);
        assert_true((s != NULL) == (status == MS_OK));
        ms_frame_stream_destroy(&s);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
        failures++;
    }
    assert_int_equal(failures, 4);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

/* ---- threads ---- */

typedef struct side {
    ms_frame_stream *s;
    int64_t first, count, step;
    ms_status status;
} side;

static void *produce(void *arg) {
    side *d = arg;
    ms_error err;
    for (int64_t i = 0; i < d->count && d->status == MS_OK; i++)
        d->status = push_one(d->s, d->first + i * d->step, &err);
    return NULL;
}

static void *produce_and_close(void *arg) {
    produce(arg);
    ms_frame_stream_close(((side *)arg)->s);
    return NULL;
}

static void producer_worker_and_consumer_run_side_by_side(void **state) {
    (void)state;
    for (int window = 1; window <= 7; window += 3) {
        worker w = {.limit = 2};
        ms_frame_stream_params p = params_of(7, window);
        p.process = work;
        p.own_thread = true;
        p.arg = &w;
        ms_frame_stream *s = create(&p);
        side producer = {.s = s, .count = FRAMES, .step = 1};
        pthread_t thread;
        ms_error err;
        ms_frame frame;
        bool got = true;
        assert_int_equal(pthread_create(&thread, NULL, produce_and_close, &producer), 0);
        int64_t next = 0;
        for (;;) {
            assert_ms_ok(ms_frame_stream_pull(s, &frame, &got, &err), &err);
            if (!got)
                break;
            check_frame(&frame, next++, 2);
            ms_frame_stream_release(s, &frame);
        }
        pthread_join(thread, NULL);
        assert_int_equal(next, FRAMES);
        assert_int_equal(producer.status, MS_OK);
        ms_frame_stream_stats stats;
        ms_frame_stream_get_stats(s, &stats);
        assert_true(stats.most_held <= 7 && stats.pulled == FRAMES);
        ms_frame_stream_destroy(&s);
    }
}

typedef struct taker {
    ms_frame_stream *s;
    unsigned char *seen; /* of all takers */
    int64_t taken;
} taker;

static void *consume(void *arg) {
    taker *t = arg;
    ms_frame frame;
    bool got = false;
    while (ms_frame_stream_pull(t->s, &frame, &got, NULL) == MS_OK && got) {
        t->seen[frame.number]++; /* each number goes to one taker */
        t->taken++;
        ms_frame_stream_release(t->s, &frame);
    }
    return NULL;
}

static void many_producers_and_consumers(void **state) {
    (void)state;
    enum { N = 3 };
    worker w = {0};
    for (int threaded = 0; threaded < 2; threaded++) {
        unsigned char seen[FRAMES * N] = {0};
        ms_frame_stream_params p = params_of(8, 4);
        p.process = work;
        p.own_thread = threaded;
        p.arg = &w;
        ms_frame_stream *s = create(&p);
        side producers[N];
        taker takers[N];
        pthread_t in[N], out[N];
        for (int i = 0; i < N; i++) {
            producers[i] = (side){.s = s, .first = i, .count = FRAMES, .step = N};
            takers[i] = (taker){.s = s, .seen = seen};
            assert_int_equal(pthread_create(&in[i], NULL, produce, &producers[i]), 0);
            assert_int_equal(pthread_create(&out[i], NULL, consume, &takers[i]), 0);
        }
        int64_t taken = 0;
        for (int i = 0; i < N; i++)
            pthread_join(in[i], NULL);
        ms_frame_stream_close(s);
        for (int i = 0; i < N; i++) {
            pthread_join(out[i], NULL);
            taken += takers[i].taken;
        }
        assert_int_equal(taken, N * FRAMES);
        for (int i = 0; i < N * FRAMES; i++)
            assert_int_equal(seen[i], 1);
        ms_frame_stream_destroy(&s);
    }
}

static void cancelling_wakes_everyone(void **state) {
    (void)state;
    ms_frame_stream_params p = params_of(2, 1);
    ms_frame_stream *full = create(&p), *empty = create(&p);
    unsigned char seen[1];
    side producer = {.s = full, .count = 1000, .step = 1};
    taker consumer = {.s = empty, .seen = seen};
    pthread_t in, out;
    assert_int_equal(pthread_create(&in, NULL, produce, &producer), 0);
    assert_int_equal(pthread_create(&out, NULL, consume, &consumer), 0);
    for (;;) { /* until both wait */
        ms_frame_stream_stats a, b;
        ms_frame_stream_get_stats(full, &a);
        ms_frame_stream_get_stats(empty, &b);
        if (a.full_waits && b.empty_waits)
            break;
        usleep(1000);
    }
    ms_frame_stream_cancel(full);
    ms_frame_stream_cancel(empty);
    pthread_join(in, NULL);
    pthread_join(out, NULL);
    assert_int_equal(producer.status, MS_CANCELLED);
    assert_true(consumer.taken == 0 && ms_frame_stream_ended(empty));
    ms_frame_stream_destroy(&full);
    ms_frame_stream_destroy(&empty);
    /* from inside process, and destroying with work under way */
    worker w = {0};
    p = params_of(4, 2);
    p.process = work;
    p.own_thread = true;
    p.arg = &w;
    ms_frame_stream *s = create(&p);
    w.cancel_from_within = s;
    for (int64_t i = 0; i < 2; i++)
        push_one(s, i, NULL);
    ms_frame frame;
    bool got;
    ms_status status;
    do
        status = ms_frame_stream_pull(s, &frame, &got, NULL);
    while (status == MS_OK && got);
    assert_int_equal(status, MS_CANCELLED);
    ms_frame_stream_destroy(&s);
    w.cancel_from_within = NULL;
    s = create(&p);
    for (int64_t i = 0; i < 3; i++)
        push_one(s, i, NULL);
    ms_frame_stream_destroy(&s);
}

static void a_worker_that_fails_stops_the_producer(void **state) {
    (void)state;
    worker w = {.poison = 50, .poison_status = MS_DEVICE_LOST};
    ms_frame_stream_params p = params_of(4, 2);
    p.process = work;
    p.own_thread = true;
    p.arg = &w;
    ms_frame_stream *s = create(&p);
    side producer = {.s = s, .count = FRAMES, .step = 1};
    pthread_t thread;
    ms_error err;
    ms_frame frame;
    bool got;
    int64_t next = 0;
    assert_int_equal(pthread_create(&thread, NULL, produce_and_close, &producer), 0);
    ms_status status;
    while ((status = ms_frame_stream_pull(s, &frame, &got, &err)) == MS_OK && got) {
        check_frame(&frame, next++, 2);
        ms_frame_stream_release(s, &frame);
    }
    pthread_join(thread, NULL);
    assert_true(status == MS_DEVICE_LOST && next == 50 && producer.status == MS_DEVICE_LOST);
    assert_non_null(strstr(err.message, "frame 50 is broken"));
    ms_frame_stream_destroy(&s);
}

/* ---- everything at once ---- */

static ms_integrate_params integrate_params(worker *w) {
    ms_integrate_params p;
    ms_integrate_params_init(&p);
    p.environment = false;
    p.video_frames = 50;
    p.height = 2;
    p.width = 2;
    p.task = MS_TASK_VAE_ENCODE;
    p.budget_bytes = 1 << 20;
    p.costs[MS_TASK_VAE_ENCODE].item_bytes = 100000;
    p.frame_bytes = BYTES;
    p.process = work;
    p.arg = w;
    return p;
}

static ms_status count_items(void *arg, int64_t first, int64_t count, ms_error *err) {
    (void)err;
    worker *w = arg;
    w->calls++;
    w->largest = count > w->largest ? (int)count : w->largest;
    w->poison = first + count;
    return MS_OK;
}

static void an_integration_has_everything(void **state) {
    (void)state;
    worker w = {0};
    ms_integration *it = NULL;
    ms_error err;
    ms_integrate_params p = integrate_params(&w);
    assert_ms_ok(ms_integrate(&p, &it, &err), &err);
    assert_true(it->device && it->optimizer && it->watch && it->stream && it->mem);
    assert_string_equal(ms_optimizer_tier(it->optimizer), "compact"); /* a budget of 1 MiB */
    assert_true(it->batch >= 1 && it->batch <= 7); /* 70 % of what is left of 1 MiB, 100,000 bytes each */
    for (int64_t i = 0; i < it->batch; i++)
        assert_ms_ok(push_one(it->stream, i, &err), &err);
    ms_frame frame;
    bool got = false;
    assert_ms_ok(ms_frame_stream_pull(it->stream, &frame, &got, &err), &err);
    check_frame(&frame, 0, 2);
    int64_t done = 0;
    w.calls = w.largest = 0;
    assert_ms_ok(ms_integration_process(it, count_items, &done, &err), &err);
    assert_true(done == 50 && w.poison == 50 && w.largest <= 7 && it->state->items == 50);
    ms_integration_destroy(&it);
    assert_null(it);
}

static void sizes_may_be_stated_in_place_of_a_device(void **state) {
    (void)state;
    worker w = {0};
    ms_integration *it = NULL;
    ms_error err;
    ms_integrate_params p = integrate_params(&w);
    p.device_bytes = (size_t)24 << 30;
    p.watch = false;
    p.process = NULL;
    assert_ms_ok(ms_integrate(&p, &it, &err), &err);
    assert_true(!it->device && !it->watch && !it->stream && it->batch == 32);
    assert_string_equal(ms_optimizer_tier(it->optimizer), "professional");
    ms_integration_destroy(&it);
    p.backend = "dummy"; /* the sizes as a device */
    assert_ms_ok(ms_integrate(&p, &it, &err), &err);
    ms_device_info info;
    ms_device_get_info(it->device, &info);
    assert_string_equal(info.backend, "dummy");
    assert_int_equal(info.total_bytes, (size_t)24 << 30);
    ms_integration_destroy(&it);
    p.backend = "toaster";
    assert_int_equal(ms_integrate(&p, &it, &err), MS_UNSUPPORTED);
    p = integrate_params(&w);
    p.width = 0;
    assert_int_equal(ms_integrate(&p, &it, &err), MS_INVALID_ARGUMENT);
    p = integrate_params(&w);
    p.video_frames = -1;
    assert_int_equal(ms_integrate(&p, &it, &err), MS_INVALID_ARGUMENT);
    p.video_frames = 0;
    assert_ms_ok(ms_integrate(&p, &it, &err), &err);
    assert_int_equal(ms_integration_process(it, count_items, NULL, &err), MS_INVALID_ARGUMENT);
    ms_integration_destroy(&it);
}

static void an_integration_leaves_nothing_when_it_fails(void **state) {
    (void)state;
    ms_error err;
    int failures = 0;
    for (int repeat = 0; repeat < 2; repeat++) {
        for (uint64_t n = 1;; n++) {
            worker w = {0};
            ms_integration *it = NULL;
            ms_integrate_params p = integrate_params(&w);
            ms_mem_usage before, after;
            ms_mem_get_usage(NULL, &before);
            ms_mem_fail_after(n, repeat);
            ms_status status = ms_integrate(&p, &it, &err);
            ms_mem_fail_after(0, false);
            assert_true((it != NULL) == (status == MS_OK));
            ms_integration_destroy(&it);
            ms_mem_get_usage(NULL, &after);
            assert_int_equal(before.current_bytes, after.current_bytes);
            if (status == MS_OK)
                break;
            assert_int_equal(status, MS_HOST_MEMORY);
            assert_int_equal(err.code, MS_HOST_MEMORY);
            failures++;
        }
    }
    assert_true(failures >= 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_while_there_is_room_pull_what_is_ready),
        cmocka_unit_test(places_are_committed_and_released_in_any_order),
        cmocka_unit_test(windows_are_processed_by_whoever_pulls),
        cmocka_unit_test(a_failure_comes_after_the_frames_before_it),
        cmocka_unit_test(bad_numbers_are_refused),
        cmocka_unit_test(the_buffer_is_charged_and_every_allocation_may_fail),
        cmocka_unit_test(producer_worker_and_consumer_run_side_by_side),
        cmocka_unit_test(many_producers_and_consumers),
        cmocka_unit_test(cancelling_wakes_everyone),
        cmocka_unit_test(a_worker_that_fails_stops_the_producer),
        cmocka_unit_test(an_integration_has_everything),
        cmocka_unit_test(sizes_may_be_stated_in_place_of_a_device),
        cmocka_unit_test(an_integration_leaves_nothing_when_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
