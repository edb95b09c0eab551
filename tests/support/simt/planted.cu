#include "support/simt/planted.h"

#include "device/simt/simt.h"

#define T PLANTED_THREADS

struct words {
    uint32_t x[T];
};

struct quads {
    simt_words x[T];
};

struct pairs { /* two bytes too many before the rows */
    alignas(16) uint16_t x[T * 8 + 8];
};

SIMT_FN int other() {
    return (simt_thread() + 32) % T;
}

SIMT_FN uint32_t given(const planted_args &p, int t) {
    return p.in[4 * t];
}

/* ---- addresses ---- */

SIMT_KERNEL(T) shared_bounds(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(words, s);
    s.x[simt_thread()] = given(p, simt_thread());
    simt_barrier();
    uint32_t value = s.x[other()];
    if (p.broken)
        s.x[simt_thread() + 1] = value;
    p.out[simt_thread()] = value + 1;
}

SIMT_KERNEL(T) shared_read(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    s.x[simt_thread()].w[0] = given(p, simt_thread());
    simt_barrier();
    uint32_t value = simt_load16(&s.x[simt_thread() < 63 || !p.broken ? other() : T]).w[0];
    p.out[simt_thread()] = value + 1;
}

SIMT_KERNEL(T) global_bounds(SIMT_PARAM(planted_args, p)) {
    p.out[simt_thread()] = given(p, other()) + 1;
    if (p.broken && simt_thread() == T - 1)
        p.out[T] = 0;
}

SIMT_KERNEL(T) global_copy(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    int from = p.broken && other() == T - 1 ? T : other();
    simt_copy16_async(&s.x[simt_thread()], p.in + 4 * from, true);
    simt_copy_commit();
    simt_copy_wait<0>();
    p.out[simt_thread()] = s.x[simt_thread()].w[0] + 1;
}

SIMT_KERNEL(T) unaligned_copy(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    simt_copy16_async(&s.x[simt_thread()], p.in + (p.broken ? 1 : 4 * other()), true);
    simt_copy_commit();
    simt_copy_wait<0>();
    p.out[simt_thread()] = s.x[simt_thread()].w[0] + 1;
}

SIMT_KERNEL(T) unaligned_matrix(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(pairs, s);
    uint32_t r[4];
    for (int i = 0; i < 8; i++)
        s.x[8 * simt_thread() + i] = 0;
    simt_warp_barrier();
    simt_load_matrix_x4(r, s.x + 8 * simt_thread() + (p.broken ? 2 : 0));
    p.out[simt_thread()] = given(p, other()) + 1 + r[0];
}

SIMT_KERNEL(T) unaligned_load(SIMT_PARAM(planted_args, p)) {
    p.out[simt_thread()] = simt_load16(p.in + (p.broken ? 2 : 4 * other())).w[0] + 1;
}

SIMT_KERNEL(T) shared_too_large(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(words, s);
    s.x[simt_thread()] = given(p, other());
    p.out[simt_thread()] = s.x[simt_thread()] + 1;
}

/* The launch asks for more than the card has. */
SIMT_KERNEL(T) shared_beyond_card(SIMT_PARAM(planted_args, p)) {
    p.out[simt_thread()] = given(p, other()) + 1;
}

__attribute__((noinline)) static void use_stack(int at) {
    volatile char local[100 << 10];
    local[at] = 0;
}

SIMT_KERNEL(T) deep_stack(SIMT_PARAM(planted_args, p)) {
    if (p.broken)
        use_stack(p.broken - 1);
    p.out[simt_thread()] = given(p, other()) + 1;
}

/* ---- barriers ---- */

SIMT_KERNEL(T) missing_barrier(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(words, s);
    s.x[simt_thread()] = given(p, simt_thread());
    if (!p.broken)
        simt_barrier();
    p.out[simt_thread()] = s.x[other()] + 1;
}

/* The first warp writes what the second one has not read yet. In order of arrival the second one comes
   first. */
SIMT_KERNEL(T) missing_second_barrier(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(words, s);
    uint32_t value = given(p, other());
    for (uint32_t round = 0; round < 2; round++) {
        if (simt_warp() == 0)
            s.x[simt_lane()] = given(p, simt_lane()) + round;
        simt_barrier();
        if (simt_warp() == 1)
            value += s.x[simt_lane()] - (given(p, simt_lane()) + round);
        if (!p.broken)
            simt_barrier();
    }
    p.out[simt_thread()] = value + 1;
}

SIMT_KERNEL(T) missing_warp_barrier(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(words, s);
    int next = simt_thread() ^ 1;
    s.x[simt_thread()] = given(p, next ^ 32);
    if (!p.broken)
        simt_warp_barrier();
    p.out[simt_thread()] = s.x[next] + 1;
}

/* A shuffle brings the lanes together and orders no memory: here the numbers are right. */
SIMT_KERNEL(T) shuffle_as_barrier(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(words, s);
    int next = simt_thread() ^ 1;
    s.x[simt_thread()] = given(p, next ^ 32);
    simt_shuffle_xor(1, 1);
    if (!p.broken)
        simt_warp_barrier();
    p.out[simt_thread()] = s.x[next] + 1;
}

SIMT_KERNEL(T) shuffle_as_barrier_16(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    int next = simt_thread() ^ 1;
    simt_store16(&s.x[simt_thread()], simt_load16(p.in + 4 * (next ^ 32)));
    simt_shuffle_xor(1, 1);
    if (!p.broken)
        simt_warp_barrier();
    p.out[simt_thread()] = simt_load16(&s.x[next]).w[0] + 1;
}

SIMT_KERNEL(T) early_return(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(words, s);
    s.x[simt_thread()] = given(p, simt_thread());
    if (p.broken && simt_thread() == 5)
        return;
    simt_barrier();
    p.out[simt_thread()] = s.x[other()] + 1;
}

/* ---- copies ---- */

SIMT_FN void copy_own(quads &s, const planted_args &p, int from) {
    simt_copy16_async(&s.x[simt_thread()], p.in + 4 * from, true);
    simt_copy_commit();
}

SIMT_KERNEL(T) missing_wait(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    copy_own(s, p, other());
    if (!p.broken)
        simt_copy_wait<0>();
    uint32_t value = s.x[simt_thread()].w[0];
    simt_copy_wait<0>();
    p.out[simt_thread()] = value + 1;
}

/* Waits until all but one group are there, and reads that one. */
SIMT_KERNEL(T) wait_for_too_few(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    simt_copy_commit();
    copy_own(s, p, other());
    if (p.broken)
        simt_copy_wait<1>();
    else
        simt_copy_wait<0>();
    uint32_t value = s.x[simt_thread()].w[0];
    simt_copy_wait<0>();
    p.out[simt_thread()] = value + 1;
}

SIMT_KERNEL(T) missing_barrier_after_wait(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    copy_own(s, p, simt_thread());
    simt_copy_wait<0>();
    if (!p.broken)
        simt_barrier();
    p.out[simt_thread()] = s.x[other()].w[0] + 1;
}

SIMT_KERNEL(T) copies_left(SIMT_PARAM(planted_args, p)) {
    SIMT_SHARED(quads, s);
    copy_own(s, p, other());
    p.out[simt_thread()] = given(p, other()) + 1;
    if (!p.broken)
        simt_copy_wait<0>();
}

/* ---- warps ---- */

SIMT_KERNEL(T) divergence(SIMT_PARAM(planted_args, p)) {
    uint32_t value = given(p, other());
    if (p.broken && simt_lane() >= 16)
        simt_warp_barrier();
    else
        value = simt_shuffle(value, simt_lane());
    p.out[simt_thread()] = value + 1;
}

SIMT_KERNEL(T) half_a_warp(SIMT_PARAM(planted_args, p)) {
    uint32_t value = given(p, other());
    if (!p.broken || simt_lane() < 16)
        value = simt_shuffle(value, simt_lane());
    p.out[simt_thread()] = value + 1;
}

SIMT_KERNEL(T) bf16_on_turing(SIMT_PARAM(planted_args, p)) {
    uint32_t a[4] = {0, 0, 0, 0}, b[2] = {0, 0};
    float d[4] = {0, 0, 0, 0};
    if (p.broken)
        simt_mma_16816<simt_bf16>(d, a, b);
    else
        simt_mma_16816<simt_f16>(d, a, b);
    p.out[simt_thread()] = given(p, other()) + 1 + (uint32_t)d[0];
}

/* ---- blocks ---- */

/* The second block has the second half, and reads what the first one may not have written yet. */
SIMT_KERNEL(T) block_after_block(SIMT_PARAM(planted_args, p)) {
    int first = simt_thread() - 32;
    if (simt_warp() != simt_block_x())
        return;
    bool there = first < 0 || !p.broken || p.out[first] == given(p, simt_thread()) + 1;
    p.out[simt_thread()] = there ? given(p, other()) + 1 : 0;
}

extern "C" {
#define KERNEL(name, bytes) static const simt_kernel of_##name = SIMT_DESCRIBE(name, planted_args, T, bytes)
KERNEL(shared_bounds, sizeof(words));
KERNEL(shared_read, sizeof(quads));
KERNEL(global_bounds, 0);
KERNEL(global_copy, sizeof(quads));
KERNEL(unaligned_copy, sizeof(quads));
KERNEL(unaligned_matrix, sizeof(pairs));
KERNEL(unaligned_load, 0);
KERNEL(shared_too_large, sizeof(words));
KERNEL(shared_beyond_card, sizeof(words));
KERNEL(deep_stack, 0);
KERNEL(missing_barrier, sizeof(words));
KERNEL(missing_second_barrier, sizeof(words));
KERNEL(missing_warp_barrier, sizeof(words));
KERNEL(shuffle_as_barrier, sizeof(words));
KERNEL(shuffle_as_barrier_16, sizeof(quads));
KERNEL(early_return, sizeof(words));
KERNEL(missing_wait, sizeof(quads));
KERNEL(wait_for_too_few, sizeof(quads));
KERNEL(missing_barrier_after_wait, sizeof(quads));
KERNEL(copies_left, sizeof(quads));
KERNEL(divergence, 0);
KERNEL(half_a_warp, 0);
KERNEL(bf16_on_turing, 0);
KERNEL(block_after_block, 0);

const planted_bug planted_bugs[] = {
    {&of_shared_bounds, 1, 0},
    {&of_shared_read, 1, 0},
    {&of_global_bounds, 1, 0},
    {&of_global_copy, 1, 0},
    {&of_unaligned_copy, 1, 0},
    {&of_unaligned_matrix, 1, 0},
    {&of_unaligned_load, 1, 0},
    {&of_shared_too_large, 1, sizeof(words) / 2},
    {&of_shared_beyond_card, 1, 100 << 10},
    {&of_deep_stack, 1, 0},
    {&of_missing_barrier, 1, 0},
    {&of_missing_second_barrier, 1, 0},
    {&of_missing_warp_barrier, 1, 0},
    {&of_shuffle_as_barrier, 1, 0},
    {&of_shuffle_as_barrier_16, 1, 0},
    {&of_early_return, 1, 0},
    {&of_missing_wait, 1, 0},
    {&of_wait_for_too_few, 1, 0},
    {&of_missing_barrier_after_wait, 1, 0},
    {&of_copies_left, 1, 0},
    {&of_divergence, 1, 0},
    {&of_half_a_warp, 1, 0},
    {&of_bf16_on_turing, 1, 0},
    {&of_block_after_block, 2, 0},
};
const int planted_bug_count = (int)(sizeof(planted_bugs) / sizeof(*planted_bugs));
}
