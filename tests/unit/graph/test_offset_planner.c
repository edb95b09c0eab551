#include "test.h"

#include "graph/offset_planner.h"

static void exact_layouts(void **state) {
    (void)state;
    ms_error err;
    ms_offset_plan plan;
    /* A chain: each block only meets its neighbours, so three can share two places. */
    ms_block chain[] = {{.bytes = 640, .first = 0, .last = 1},
                        {.bytes = 128, .first = 1, .last = 2},
                        {.bytes = 640, .first = 2, .last = 3}};
    assert_ms_ok(ms_plan_offsets(NULL, chain, 3, &plan, &err), &err);
    assert_int_equal(plan.arena_bytes, 768);
    assert_int_equal(plan.lower_bound_bytes, 768);
    assert_int_equal(chain[0].offset, 0);
    assert_int_equal(chain[1].offset, 640);
    assert_int_equal(chain[2].offset, 0);
    /* Sizes are rounded up to the alignment; an empty block takes no room. */
    ms_block odd[] = {{.bytes = 1, .first = 0, .last = 0},
                      {.bytes = 65, .first = 0, .last = 0},
                      {.bytes = 0, .first = 0, .last = 9}};
    assert_ms_ok(ms_plan_offsets(NULL, odd, 3, &plan, &err), &err);
    assert_int_equal(plan.arena_bytes, 192);
    assert_ms_ok(ms_plan_offsets(NULL, NULL, 0, &plan, &err), &err);
    assert_int_equal(plan.arena_bytes, 0);
}

static void random_lives_never_overlap(void **state) {
    (void)state;
    ms_error err;
    uint64_t seed = 11;
    double worst = 1;
    for (int round = 0; round < 300; round++) {
        ms_block blocks[120];
        int count = 1 + (int)(test_rand(&seed) % 120), moments = 1 + (int)(test_rand(&seed) % 60);
        for (int i = 0; i < count; i++) {
            int first = (int)(test_rand(&seed) % (uint32_t)moments);
            int length = (int)(test_rand(&seed) % (round % 2 ? 4 : (uint32_t)moments));
            blocks[i].bytes = test_rand(&seed) % (round % 3 ? 5000 : 100000);
            blocks[i].first = first;
            blocks[i].last = first + length;
        }
        ms_offset_plan plan;
        assert_ms_ok(ms_plan_offsets(NULL, blocks, count, &plan, &err), &err);
        assert_ms_ok(ms_validate_offsets(NULL, blocks, count, plan.arena_bytes, &err), &err);
        assert_true(plan.arena_bytes >= plan.lower_bound_bytes);
        double ratio = plan.lower_bound_bytes ? (double)plan.arena_bytes / (double)plan.lower_bound_bytes : 1;
        worst = ratio > worst ? ratio : worst;
    }
    assert_true(worst < 1.35); /* random lives are harder than networks, whose plans come within 1 % */
}

static void the_validator_sees_mistakes(void **state) {
    (void)state;
    ms_error err;
    ms_block blocks[] = {{.bytes = 100, .first = 0, .last = 2, .offset = 0},
                         {.bytes = 100, .first = 2, .last = 3, .offset = 64},
                         {.bytes = 100, .first = 3, .last = 4, .offset = 0}};
    assert_int_equal(ms_validate_offsets(NULL, blocks, 3, 1000, &err), MS_INTERNAL);
    assert_non_null(strstr(err.message, "blocks 0 [0, +100, life 0-2] and 1"));
    blocks[1].offset = 128;
    assert_ms_ok(ms_validate_offsets(NULL, blocks, 3, 228, &err), &err);
    assert_int_equal(ms_validate_offsets(NULL, blocks, 3, 227, &err), MS_INTERNAL); /* leaves the arena */
    blocks[1].offset = 130;
    assert_int_equal(ms_validate_offsets(NULL, blocks, 3, 1000, &err), MS_INTERNAL); /* misaligned */
    blocks[1].last = 1;
    ms_offset_plan plan;
    assert_int_equal(ms_plan_offsets(NULL, blocks, 3, &plan, &err), MS_INTERNAL); /* ends before it begins */
}

typedef struct adversary {
    const char *name;
    ms_block (*block)(int i);
    double worst; /* arena / lower bound */
} adversary;

static ms_block nothing(int i) {
    return (ms_block){.bytes = 0, .first = 0, .last = i};
}
static ms_block single_bytes(int i) {
    return (ms_block){.bytes = 1, .first = 0, .last = i};
}
static ms_block around_the_alignment(int i) {
    static const size_t sizes[] = {63, 64, 65, 127, 128, 129, 0, 1};
    return (ms_block){.bytes = sizes[i % 8], .first = i / 3, .last = i / 3 + i % 5};
}
static ms_block one_moment(int i) {
    return (ms_block){.bytes = (size_t)(i * 7919 % 1000), .first = 3, .last = 3};
}
static ms_block for_ever(int i) {
    return (ms_block){.bytes = (size_t)i * 64, .first = 0, .last = 100};
}
static ms_block stairs(int i) { /* each a little larger than the gap that the one before it leaves */
    return (ms_block){.bytes = (size_t)(i + 1) * 64, .first = i, .last = i + 1};
}
static ms_block falling_stairs(int i) {
    return (ms_block){.bytes = (size_t)(64 - i) * 64, .first = i, .last = i + 2};
}
static ms_block nested(int i) {
    return (ms_block){.bytes = (size_t)(1 + i % 7) * 100, .first = i, .last = 127 - i};
}
static ms_block comb(int i) { /* small ones that stay between large ones that go */
    return (ms_block){.bytes = i % 2 ? 64 : 6400, .first = i, .last = i % 2 ? 64 : i + 1};
}
static ms_block huge(int i) {
    return (ms_block){.bytes = SIZE_MAX / 128 - (size_t)i, .first = i / 4, .last = i / 4};
}

static void adversaries(void **state) {
    (void)state;
    enum { COUNT = 64 };
    static const adversary cases[] = {{"nothing", nothing, 1},
                                      {"single bytes", single_bytes, 1},
                                      {"around the alignment", around_the_alignment, 1.25},
                                      {"one moment", one_moment, 1},
                                      {"for ever", for_ever, 1},
                                      {"stairs", stairs, 1},
                                      {"falling stairs", falling_stairs, 1.25},
                                      {"nested", nested, 1},
                                      {"comb", comb, 1},
                                      {"huge", huge, 1}};
    ms_error err;
    for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
        ms_block blocks[COUNT];
        ms_offset_plan plan;
        size_t bound = 0;
        for (int i = 0; i < COUNT; i++)
            blocks[i] = cases[k].block(i);
        assert_ms_ok(ms_plan_offsets(NULL, blocks, COUNT, &plan, &err), &err);
        assert_ms_ok(ms_validate_offsets(NULL, blocks, COUNT, plan.arena_bytes, &err), &err);
        for (int t = 0; t < 2 * COUNT; t++) {
            size_t sum = 0;
            for (int i = 0; i < COUNT; i++)
                if (blocks[i].first <= t && t <= blocks[i].last)
                    sum += (blocks[i].bytes + 63) / 64 * 64;
            bound = sum > bound ? sum : bound;
        }
        assert_int_equal(plan.lower_bound_bytes, bound);
        assert_int_equal(plan.arena_bytes % MS_ARENA_ALIGN, 0);
        if ((double)plan.arena_bytes > cases[k].worst * (double)bound)
            fail_msg("%s: %zu bytes for %zu", cases[k].name, plan.arena_bytes, bound);
    }
}

/* Sizes that no sum holds are refused before they wrap around. */
static void sizes_that_overflow(void **state) {
    (void)state;
    ms_error err;
    ms_offset_plan plan;
    ms_block blocks[5];
    for (int i = 0; i < 5; i++)
        blocks[i] = (ms_block){.bytes = SIZE_MAX / 4};
    assert_int_equal(ms_plan_offsets(NULL, blocks, 5, &plan, &err), MS_INTERNAL);
    assert_non_null(strstr(err.message, "more bytes than there are addresses"));
    blocks[0].bytes = SIZE_MAX;
    assert_int_equal(ms_plan_offsets(NULL, blocks, 1, &plan, &err), MS_INTERNAL);
    blocks[0] = (ms_block){.bytes = 1, .first = -1, .last = 0};
    assert_int_equal(ms_plan_offsets(NULL, blocks, 1, &plan, &err), MS_INTERNAL);
}

static void memory_may_fail(void **state) {
    (void)state;
    ms_error err;
    ms_block block = {.bytes = 10};
    ms_offset_plan plan;
    ms_mem_fail_after(1, false);
    assert_int_equal(ms_plan_offsets(NULL, &block, 1, &plan, &err), MS_HOST_MEMORY);
    ms_mem_fail_after(0, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_layouts),
        cmocka_unit_test(random_lives_never_overlap),
        cmocka_unit_test(the_validator_sees_mistakes),
        cmocka_unit_test(adversaries),
        cmocka_unit_test(sizes_that_overflow),
        cmocka_unit_test(memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
