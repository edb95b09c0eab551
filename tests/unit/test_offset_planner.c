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
        assert_ms_ok(ms_validate_offsets(blocks, count, plan.arena_bytes, &err), &err);
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
    assert_int_equal(ms_validate_offsets(blocks, 3, 1000, &err), MS_INTERNAL);
    assert_non_null(strstr(err.message, "blocks 1"));
    blocks[1].offset = 128;
    assert_ms_ok(ms_validate_offsets(blocks, 3, 228, &err), &err);
    assert_int_equal(ms_validate_offsets(blocks, 3, 227, &err), MS_INTERNAL); /* leaves the arena */
    blocks[1].offset = 130;
    assert_int_equal(ms_validate_offsets(blocks, 3, 1000, &err), MS_INTERNAL); /* misaligned */
    blocks[1].last = 1;
    ms_offset_plan plan;
    assert_int_equal(ms_plan_offsets(NULL, blocks, 3, &plan, &err), MS_INTERNAL); /* ends before it begins */
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
        cmocka_unit_test(memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
