#include "test.h"

#include <stdatomic.h>

#include "base/dtype.h"
#include "base/mem.h"
#include "base/philox.h"
#include "base/pool.h"

static void philox_known_answer(void **state) {
    (void)state;
    const uint32_t counter[4] = {0}, key[2] = {0};
    uint32_t words[4];
    ms_philox4x32_10(counter, key, words);
    assert_int_equal(words[0], 0x6627e8d5u);
    assert_int_equal(words[1], 0xe169c58du);
    assert_int_equal(words[2], 0xbc57ac4cu);
    assert_int_equal(words[3], 0x9b00dbd8u);
}

static void normals_do_not_depend_on_where_one_starts(void **state) {
    (void)state;
    float all[67], part[67];
    ms_noise_normals(1247, MS_NOISE_MASKED, 5, 0, 67, all);
    for (uint64_t first = 0; first < 67; first++) {
        ms_noise_normals(1247, MS_NOISE_MASKED, 5, first, 67 - first, part);
        assert_memory_equal(part, all + first, (67 - first) * sizeof(float));
    }
}

static void half_floats_round_trip(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float x = ms_f16_to_f32((uint16_t)h);
        if (x == x)
            assert_int_equal(ms_f32_to_f16(x), h);
        float y = ms_bf16_to_f32((uint16_t)h);
        if (y == y)
            assert_int_equal(ms_f32_to_bf16(y), h);
    }
    assert_int_equal(ms_f32_to_f16(65519.996f), 0x7bff); /* largest that does not round to infinity */
    assert_int_equal(ms_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(ms_f32_to_f16(0x1p-25f), 0);             /* tie to even */
    assert_int_equal(ms_f32_to_f16(0x1.000002p-25f), 1);      /* just above it */
    assert_int_equal(ms_f32_to_f16(1.0f + 0x1p-11f), 0x3c00); /* tie to even */
    assert_int_equal(ms_f32_to_f16(1.0f + 0x3p-11f), 0x3c02);
    assert_int_equal(ms_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    assert_true(isnan(ms_f16_to_f32(ms_f32_to_f16(NAN))) && isnan(ms_bf16_to_f32(ms_f32_to_bf16(NAN))));
}

/* By the formats' definitions, in double; NaNs keep their sign and their bits. */
static void half_floats_are_widened_exactly(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t exponent = h >> 10 & 31, mantissa = h & 1023, sign = h >> 15 << 31;
        double magnitude = exponent ? ldexp(1024 + mantissa, (int)exponent - 25) : ldexp(mantissa, -24);
        uint32_t want = ms_float_bits((float)magnitude) | sign; /* minus zero too */
        if (exponent == 31)
            want = sign | 0x7f800000u | mantissa << 13;
        assert_int_equal(ms_float_bits(ms_f16_to_f32((uint16_t)h)), want);
        exponent = h >> 7 & 255, mantissa = h & 127;
        magnitude = exponent ? ldexp(128 + mantissa, (int)exponent - 134) : ldexp(mantissa, -133);
        want = exponent == 255 ? sign | 0x7f800000u | mantissa << 16 : ms_float_bits((float)magnitude) | sign;
        assert_int_equal(ms_float_bits(ms_bf16_to_f32((uint16_t)h)), want);
    }
}

static void budget_is_a_hard_cap(void **state) {
    (void)state;
    ms_mem *mem;
    assert_int_equal(ms_mem_create(3 << 20, &mem), MS_OK);
    void *a = ms_mem_alloc(mem, MS_LEDGER_WEIGHTS, 2 << 20);
    assert_non_null(a);
    assert_null(ms_mem_alloc(mem, MS_LEDGER_FRAMES, 1 << 20)); /* page and header would go over */
    void *b = ms_mem_alloc(mem, MS_LEDGER_FRAMES, 1000);
    assert_non_null(b);
    assert_int_equal((uintptr_t)a % 64, 0);
    assert_int_equal((uintptr_t)b % 64, 0);
    ms_mem_usage u;
    ms_mem_get_usage(mem, &u);
    assert_true(u.peak_bytes <= u.budget_bytes && u.failures == 1);
    assert_true(u.ledger_current[MS_LEDGER_WEIGHTS] >= 2 << 20);
    ms_error err;
    assert_int_equal(ms_fail_alloc(&err, mem, 1 << 20, "a test"), MS_HOST_MEMORY);
    assert_non_null(strstr(err.message, "1048576 bytes for a test"));
    ms_mem_free(a);
    ms_mem_free(b);
    assert_int_equal(ms_mem_destroy(&mem), 0);
    assert_null(mem);
}

/* A sum that wraps round is within no budget, and what was never charged cannot be given back. */
static void charges_do_not_wrap_round(void **state) {
    (void)state;
    ms_mem *mem;
    ms_mem_usage u;
    static const size_t budgets[] = {0, 1 << 20};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ms_mem_create(budgets[i], &mem), MS_OK);
        assert_true(ms_mem_charge(mem, MS_LEDGER_CODEC, 1000));
        assert_false(ms_mem_charge(mem, MS_LEDGER_CODEC, SIZE_MAX));
        assert_false(ms_mem_charge(mem, MS_LEDGER_FRAMES, SIZE_MAX - 999));
        ms_mem_get_usage(mem, &u);
        assert_true(u.current_bytes == 1000 && u.peak_bytes == 1000 && u.failures == 2);
        assert_true(u.ledger_current[MS_LEDGER_CODEC] == 1000 && u.ledger_current[MS_LEDGER_FRAMES] == 0);
        ms_mem_release(mem, MS_LEDGER_FRAMES, 7);
        ms_mem_release(mem, MS_LEDGER_CODEC, 5000);
        ms_mem_get_usage(mem, &u);
        assert_true(u.current_bytes == 0 && u.ledger_current[MS_LEDGER_CODEC] == 0);
        assert_int_equal(ms_mem_destroy(&mem), 0);
    }
}

static void nth_allocation_fails(void **state) {
    (void)state;
    ms_mem_fail_after(2, false);
    void *a = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, 10), *b = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, 10),
         *c = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, 10);
    assert_true(a && !b && c);
    ms_mem_fail_after(1, true);
    assert_null(ms_mem_alloc(NULL, MS_LEDGER_GENERAL, 10));
    assert_null(ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 10, 10));
    ms_mem_fail_after(0, false);
    ms_mem_free(a);
    ms_mem_free(c);
}

static void blocks_keep_their_bytes(void **state) {
    (void)state;
    assert_null(ms_alloc_array(NULL, MS_LEDGER_GENERAL, SIZE_MAX / 4, 16));
    unsigned char *p = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 100, 3);
    assert_non_null(p);
    for (int i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    memset(p, 7, 300);
    p = ms_realloc(p, 3 << 20);
    assert_non_null(p);
    assert_int_equal(p[299], 7);
    ms_mem_free(p);
    char *text = ms_asprintf(NULL, "%d-%s", 42, "x");
    assert_string_equal(text, "42-x");
    ms_mem_free(text);
}

typedef struct sums {
    atomic_int runs[1000];
    atomic_int in_worker[8];
    atomic_bool overlap;
} sums;

static void count_task(void *arg, int64_t task, int worker) {
    sums *s = arg;
    if (atomic_fetch_add(&s->in_worker[worker], 1) != 0)
        atomic_store(&s->overlap, true);
    atomic_fetch_add(&s->runs[task], 1);
    atomic_fetch_sub(&s->in_worker[worker], 1);
}

static void pool_runs_every_task_once(void **state) {
    (void)state;
    ms_error err;
    for (int threads = 1; threads <= 8; threads++) {
        ms_pool *pool;
        assert_ms_ok(ms_pool_create(NULL, threads, &pool, &err), &err);
        assert_int_equal(ms_pool_threads(pool), threads);
        static sums s;
        memset(&s, 0, sizeof(s));
        for (int n = 0; n <= 1000; n += 37)
            ms_pool_run(pool, n, count_task, &s);
        for (int i = 0; i < 1000; i++) {
            int expected = 0;
            for (int n = 0; n <= 1000; n += 37)
                expected += i < n;
            assert_int_equal(s.runs[i], expected);
        }
        assert_false(s.overlap);
        ms_pool_destroy(&pool);
    }
}

typedef struct numbered {
    int job, tasks;
    int *of_task; /* [tasks]: the sum of what the jobs added */
} numbered;

static void add_job(void *arg, int64_t task, int worker) {
    const numbered *n = arg;
    (void)worker;
    if (task < 0 || task >= n->tasks)
        abort();
    n->of_task[task] += n->job;
}

/* One job after the other, of few tasks: a thread that comes late to one takes nothing of the next by its
   terms, and when a job is over all that it wrote is there. */
static void late_threads_do_no_other_job(void **state) {
    (void)state;
    ms_error err;
    ms_pool *pool;
    int of_task[40];
    uint32_t random = 1;
    assert_ms_ok(ms_pool_create(NULL, 6, &pool, &err), &err);
    for (int job = 1; job < 3000; job++) {
        random = random * 1664525 + 1013904223;
        numbered n = {.job = job, .tasks = 2 + (int)(random >> 16) % 38, .of_task = of_task};
        memset(of_task, 0, sizeof(of_task));
        ms_pool_run(pool, n.tasks, add_job, &n);
        for (int i = 0; i < 40; i++)
            assert_int_equal(of_task[i], i < n.tasks ? job : 0);
    }
    ms_pool_destroy(&pool);
}

static void errors_say_where(void **state) {
    (void)state;
    ms_error err;
    assert_int_equal(ms_fail(&err, MS_BAD_MODEL, "tensor %s", "a.b"), MS_BAD_MODEL);
    assert_int_equal(ms_fail_prefix(&err, err.code, "%s", "file.pt"), MS_BAD_MODEL);
    assert_string_equal(err.message, "file.pt: tensor a.b");
    ms_error_where(&err, "weights", 3);
    ms_error_where(&err, "unet", 4);
    assert_string_equal(err.stage, "weights");
    assert_int_equal(err.frame, 3);
    assert_string_equal(ms_status_name(MS_NO_FACE), "NO_FACE");
    assert_int_equal(ms_failure_named("NO_FACE"), MS_NO_FACE);
    assert_int_equal(ms_failure_named("OK"), MS_INTERNAL);
    assert_int_equal(ms_failure_named("no_face"), MS_INTERNAL);
    assert_int_equal(ms_status_exit_code(MS_OK), 0);
    assert_int_equal(ms_fail(NULL, MS_IO, "unread"), MS_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answer),
        cmocka_unit_test(normals_do_not_depend_on_where_one_starts),
        cmocka_unit_test(half_floats_round_trip),
        cmocka_unit_test(half_floats_are_widened_exactly),
        cmocka_unit_test(budget_is_a_hard_cap),
        cmocka_unit_test(charges_do_not_wrap_round),
        cmocka_unit_test(nth_allocation_fails),
        cmocka_unit_test(blocks_keep_their_bytes),
        cmocka_unit_test(pool_runs_every_task_once),
        cmocka_unit_test(late_threads_do_no_other_job),
        cmocka_unit_test(errors_say_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
