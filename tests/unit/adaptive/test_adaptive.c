/* The loop that survives running out of memory: what it does with each failure, pressure, clean-ups. */
#include "test.h"

#include <unistd.h>

#include "base/mem.h"
#include "memsafe/adaptive.h"

#define ITEMS 1000

/* Somebody's pipeline: items cost a byte of a limit that may change as it goes. */
typedef struct pipeline {
    int64_t limit;       /* most items that fit at a time */
    ms_status too_many;  /* what it says then */
    int done[ITEMS];     /* times each item was done */
    int64_t next;        /* that must come */
    int64_t poison;      /* an item that never fits; -1 = none */
    int fail_once_every; /* a batch in so many fails whatever its size; 0 = none */
    int64_t lower_at, lower_to;
    int calls, trims, clean_ups;
    int64_t clean_up_at[64];
    int sizes[ITEMS];
    ms_status break_with;
    int64_t break_at, cancel_at;
} pipeline;

static pipeline fresh(void) {
    return (pipeline){
        .limit = ITEMS, .too_many = MS_DEVICE_MEMORY, .poison = -1, .break_at = -1, .cancel_at = -1};
}

static ms_status process(void *arg, int64_t first, int64_t count, ms_error *err) {
    pipeline *p = arg;
    assert_int_equal(first, p->next); /* in order, nothing left out, nothing twice */
    assert_true(count >= 1);
    if (p->calls < ITEMS)
        p->sizes[p->calls] = (int)count;
    p->calls++;
    if (p->lower_at && first >= p->lower_at)
        p->limit = p->lower_to;
    if (p->break_at >= first && p->break_at < first + count)
        return ms_fail(err, p->break_with, "item %lld is broken", (long long)p->break_at);
    bool poisoned = p->poison >= first && p->poison < first + count;
    if (count > p->limit || poisoned || (p->fail_once_every && p->calls % p->fail_once_every == 0))
        return p->too_many; /* without a message */
    for (int64_t i = first; i < first + count; i++)
        p->done[i]++;
    p->next = first + count;
    return MS_OK;
}

static void trim(void *arg) {
    ((pipeline *)arg)->trims++;
}

static void clean_up(void *arg) {
    pipeline *p = arg;
    if (p->clean_ups < 64)
        p->clean_up_at[p->clean_ups] = p->next;
    p->clean_ups++;
}

static bool cancelled(void *arg) {
    pipeline *p = arg;
    return p->cancel_at >= 0 && p->next >= p->cancel_at;
}

static ms_adaptive_params params_of(pipeline *p) {
    return (ms_adaptive_params){
        .process = process, .trim = trim, .clean_up = clean_up, .cancelled = cancelled, .arg = p};
}

static void all_done_once(const pipeline *p, int64_t items) {
    for (int64_t i = 0; i < ITEMS; i++)
        if (p->done[i] != (i < items))
            fail_msg("item %lld was done %d times", (long long)i, p->done[i]);
}

static void without_failures_batches_are_full(void **state) {
    (void)state;
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_adaptive_state s = {0};
    ms_error err;
    int64_t done = 0;
    a.max_batch = 30;
    assert_ms_ok(ms_adaptive_process(&a, 0, 100, &s, &done, &err), &err);
    assert_int_equal(done, 100);
    all_done_once(&p, 100);
    assert_int_equal(p.calls, 4); /* 30 30 30 10 */
    assert_int_equal(p.sizes[3], 10);
    assert_true(s.items == 100 && s.batches == 4 && s.halvings == 0 && p.trims == 0 && p.clean_ups == 0);
    assert_true(s.largest_batch == 30 && s.smallest_batch == 10 && s.last_batch == 10);
    a.max_batch = 0; /* the default */
    assert_ms_ok(ms_adaptive_process(&a, 100, 50, NULL, NULL, &err), &err);
    assert_int_equal(p.sizes[4], MS_BATCH_LIMIT);
    assert_ms_ok(ms_adaptive_process(&a, 150, 0, NULL, &done, &err), &err);
    assert_int_equal(done, 0);
}

static void batches_halve_until_they_fit_and_grow_again(void **state) {
    (void)state;
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_adaptive_state s = {0};
    ms_error err;
    a.max_batch = 32;
    a.grow_after = 3;
    p.limit = 5; /* 32 16 8 4 */
    assert_ms_ok(ms_adaptive_process(&a, 0, 40, &s, NULL, &err), &err);
    assert_int_equal(err.code, MS_OK); /* nothing is left of what was got over */
    assert_true(p.sizes[0] == 32 && p.sizes[1] == 16 && p.sizes[2] == 8 && p.sizes[3] == 4);
    assert_int_equal(p.trims, s.device_failures);
    /* 4 4 4, then 8 is tried and fails, and the next try waits for 6. */
    static const int want[] = {32, 16, 8, 4, 4, 4, 8, 4, 4, 4, 4, 4, 4, 4};
    for (size_t i = 0; i < sizeof(want) / sizeof(*want) - 1; i++)
        assert_int_equal(p.sizes[i], want[i]);
    p.limit = ITEMS; /* the memory is there again */
    assert_ms_ok(ms_adaptive_process(&a, 40, ITEMS - 40, &s, NULL, &err), &err);
    all_done_once(&p, ITEMS);
    assert_int_equal(s.largest_batch, 32);
    int at_cap = 0;
    for (int i = 13; i < p.calls; i++)
        at_cap += p.sizes[i] == 32;
    assert_true(at_cap > 15 && s.growths >= 4);
}

/* A limit that stays: failures get rarer as the wait doubles. */
static void a_limit_that_stays_costs_few_failures(void **state) {
    (void)state;
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_adaptive_state s = {0};
    ms_error err;
    p.limit = 1;
    p.too_many = MS_HOST_MEMORY;
    a.max_batch = 2;
    assert_ms_ok(ms_adaptive_process(&a, 0, ITEMS, &s, NULL, &err), &err);
    all_done_once(&p, ITEMS);
    assert_true(s.host_failures >= 2 && s.host_failures <= 10); /* after 4, 8, 16 ... 256 */
    assert_int_equal(s.device_failures, 0);
}

static void a_single_item_is_last(void **state) {
    (void)state;
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_error err;
    int64_t done = -1;
    p.poison = 21;
    assert_int_equal(ms_adaptive_process(&a, 0, 100, NULL, &done, &err), MS_DEVICE_MEMORY);
    assert_int_equal(done, 21);
    all_done_once(&p, 21);
    assert_true(err.code == MS_DEVICE_MEMORY && strstr(err.message, "item 21 alone, twice"));
    assert_true(p.sizes[p.calls - 1] == 1 && p.sizes[p.calls - 2] == 1 && p.sizes[p.calls - 4] == 2);
    p = fresh(); /* everything fails, from the first item on */
    p.limit = 0;
    assert_int_equal(ms_adaptive_process(&a, 0, 100, NULL, &done, NULL), MS_DEVICE_MEMORY);
    assert_int_equal(done, 0);
    assert_int_equal(p.calls, 7); /* 32 16 8 4 2 1 1 */
    p = fresh(); /* every third batch fails for no reason: a single item's second try goes through */
    p.fail_once_every = 3;
    assert_ms_ok(ms_adaptive_process(&a, 0, ITEMS, NULL, &done, &err), &err);
    all_done_once(&p, ITEMS);
}

static void other_errors_and_cancelling_end_it_at_once(void **state) {
    (void)state;
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_error err;
    int64_t done = -1;
    p.break_at = 70;
    p.break_with = MS_BAD_MEDIA;
    assert_int_equal(ms_adaptive_process(&a, 0, 100, NULL, &done, &err), MS_BAD_MEDIA);
    assert_true(done == 64 && strstr(err.message, "item 70 is broken") && p.trims == 0);
    p = fresh();
    p.cancel_at = 33;
    assert_int_equal(ms_adaptive_process(&a, 0, 100, NULL, &done, &err), MS_CANCELLED);
    assert_int_equal(done, 64);
    a.process = NULL;
    assert_int_equal(ms_adaptive_process(&a, 0, 1, NULL, &done, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(done, 0);
    a = params_of(&p);
    assert_int_equal(ms_adaptive_process(&a, -1, 1, NULL, NULL, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_adaptive_process(&a, 1, INT64_MAX, NULL, NULL, &err), MS_INVALID_ARGUMENT);
    a.max_batch = -1;
    assert_int_equal(ms_adaptive_process(&a, 0, 1, NULL, NULL, &err), MS_INVALID_ARGUMENT);
    a = params_of(&p);
    a.grow_after = -1;
    assert_int_equal(ms_adaptive_process(&a, 0, 1, NULL, NULL, &err), MS_INVALID_ARGUMENT);
}

static ms_optimizer *optimizer(const char *profile, size_t free_bytes) {
    ms_optimizer *o = NULL;
    ms_optimizer_params p;
    ms_error err;
    ms_optimizer_params_init(&p);
    p.environment = false;
    p.device_bytes = (size_t)8 << 30;
    p.free_bytes = free_bytes;
    p.profile = profile;
    p.costs[MS_TASK_VAE_ENCODE].item_bytes = 1 << 20;
    assert_ms_ok(ms_optimizer_create(&p, &o, &err), &err);
    return o;
}

static void the_optimizer_decides_and_the_tier_cleans_up(void **state) {
    (void)state;
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_error err;
    ms_optimizer *o = optimizer("compact", 10 << 20); /* 30 % are left alone */
    assert_string_equal(ms_optimizer_tier(o), "compact");
    assert_int_equal(ms_optimizer_clean_up_frames(o), 8);
    a.optimizer = o;
    a.task = MS_TASK_VAE_ENCODE;
    a.height = a.width = 64;
    assert_ms_ok(ms_adaptive_process(&a, 0, 70, NULL, NULL, &err), &err);
    assert_int_equal(p.calls, 10);
    assert_int_equal(p.sizes[0], 7);
    assert_int_equal(p.clean_ups, 5); /* at the first batch that ends 8 items after the last one */
    assert_true(p.clean_up_at[0] == 14 && p.clean_up_at[1] == 28);
    a.max_batch = 3;
    a.clean_up_items = -1;
    p = fresh();
    assert_ms_ok(ms_adaptive_process(&a, 0, 7, NULL, NULL, &err), &err);
    assert_true(p.sizes[0] == 3 && p.clean_ups == 0);
    a.height = 0; /* what the optimizer says of it */
    assert_int_equal(ms_adaptive_process(&a, 7, 1, NULL, NULL, &err), MS_INVALID_ARGUMENT);
    ms_optimizer_destroy(&o);
    o = optimizer("datacenter", (size_t)4 << 30);
    assert_int_equal(ms_optimizer_clean_up_frames(o), 0); /* on pressure only */
    ms_optimizer_destroy(&o);
}

static ms_status no_room_to_ask(void *arg, ms_task task, const ms_batch_request *request, int items,
                                ms_batch_bytes *ret_bytes, ms_error *err) {
    (void)arg, (void)task, (void)request, (void)items, (void)ret_bytes;
    return ms_fail(err, MS_HOST_MEMORY, "no room for a plan");
}

static void a_question_that_does_not_fit_means_one_item(void **state) {
    (void)state;
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_error err;
    ms_optimizer *o = NULL;
    ms_optimizer_params op;
    ms_optimizer_params_init(&op);
    op.environment = false;
    op.device_bytes = op.free_bytes = (size_t)8 << 30;
    op.cost = no_room_to_ask;
    assert_ms_ok(ms_optimizer_create(&op, &o, &err), &err);
    a.optimizer = o;
    a.height = a.width = 64;
    assert_ms_ok(ms_adaptive_process(&a, 0, 5, NULL, NULL, &err), &err);
    assert_true(p.calls == 5 && p.sizes[0] == 1);
    ms_optimizer_destroy(&o);
}

static void pressure_is_followed_batch_by_batch(void **state) {
    (void)state;
    char path[] = "/tmp/memsafe-trace-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    fprintf(
        f,
        "{\"at\":2,\"level\":\"high\"}\n{\"at\":4,\"level\":\"critical\"}\n{\"at\":6,\"level\":\"none\"}\n");
    fclose(f);
    ms_pressure_watch *watch = NULL;
    ms_error err;
    assert_ms_ok(ms_pressure_watch_create(NULL, NULL, path, &watch, &err), &err);
    unlink(path);
    pipeline p = fresh();
    ms_adaptive_params a = params_of(&p);
    ms_adaptive_state s = {0};
    a.watch = watch;
    assert_ms_ok(ms_adaptive_process(&a, 0, 200, &s, NULL, &err), &err);
    static const int want[] = {32, 32, 8, 8, 1, 1, 32, 32};
    for (int i = 0; i < 8; i++)
        assert_int_equal(p.sizes[i], want[i]);
    assert_true(s.worst_pressure == 3 && s.clean_ups == 2 && p.clean_ups == 2); /* once for each rise */
    assert_int_equal(ms_pressure_watch_level(watch), 0);
    ms_pressure_watch_destroy(&watch);
    assert_null(watch);
    assert_int_equal(ms_pressure_watch_step(NULL), 0);
    assert_string_equal(ms_pressure_level_name(3), "critical");
    assert_string_equal(ms_pressure_level_name(4), "unknown");
    assert_int_equal(ms_pressure_watch_create(NULL, NULL, "/nonexistent/trace", &watch, &err), MS_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_failures_batches_are_full),
        cmocka_unit_test(batches_halve_until_they_fit_and_grow_again),
        cmocka_unit_test(a_limit_that_stays_costs_few_failures),
        cmocka_unit_test(a_single_item_is_last),
        cmocka_unit_test(other_errors_and_cancelling_end_it_at_once),
        cmocka_unit_test(the_optimizer_decides_and_the_tier_cleans_up),
        cmocka_unit_test(a_question_that_does_not_fit_means_one_item),
        cmocka_unit_test(pressure_is_followed_batch_by_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
