#include "graph/offset_planner.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SMALL_BYTES ((size_t)4 << 20)
#define SMALL_ROUNDS 6 /* where all that can be gained is less than SMALL_BYTES */
#define ROUNDS 40      /* of a search from each ordering */

typedef struct ranked {
    int index;
    double key;
} ranked;

/* Largest key first; ties by index so that every C library's qsort gives the same layout. */
static int by_key(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x->index - y->index;
}

/* Sum of sizes at each moment; moments is the number of them. */
static void pressure_over_time(const ms_block *blocks, int count, size_t *pressure, int moments) {
    for (int t = 0; t < moments; t++)
        pressure[t] = 0;
    for (int i = 0; i < count; i++)
        for (int t = blocks[i].first; t <= blocks[i].last; t++)
            pressure[t] += ms_align_up(blocks[i].bytes, MS_ARENA_ALIGN);
}

/* Where a block lies, apart from the block: the walk below reads nothing else. */
typedef struct place_taken {
    size_t offset, end;
    int first, last;
} place_taken;

/*
 * Places the blocks in the order given. taken holds those already placed, sorted by offset, so that one walk
 * finds the lowest gap between the neighbours in time that is large enough.
 */
static size_t place(ms_block *blocks, const ranked *order, int count, place_taken *taken) {
    size_t arena = 0;
    int n_taken = 0;
    for (int i = 0; i < count; i++) {
        ms_block *b = &blocks[order[i].index];
        const size_t bytes = ms_align_up(b->bytes, MS_ARENA_ALIGN);
        const int first = b->first, last = b->last;
        size_t offset = 0;
        b->offset = 0;
        if (bytes == 0)
            continue;
        for (int j = 0; j < n_taken && taken[j].offset < offset + bytes;
             j++) /* else the gap is large enough */
            if (first <= taken[j].last && taken[j].first <= last && taken[j].end > offset)
                offset = taken[j].end;
        b->offset = offset;
        if (offset + bytes > arena)
            arena = offset + bytes;
        int at = n_taken++;
        while (at > 0 && taken[at - 1].offset > offset)
            at--;
        memmove(taken + at + 1, taken + at, (size_t)(n_taken - 1 - at) * sizeof(*taken));
        taken[at] = (place_taken){offset, offset + bytes, first, last};
    }
    return arena;
}

enum { BY_SIZE, BY_AREA, BY_BIRTH, BY_DEATH, BY_PRESSURE, ORDERINGS };
static const char *const ordering_names[ORDERINGS] = {"size", "size x life", "birth", "death", "pressure"};

static double rank(const ms_block *b, int ordering, const size_t *pressure) {
    double size = (double)b->bytes, life = (double)(b->last - b->first + 1);
    switch (ordering) {
    case BY_SIZE:
        return size;
    case BY_AREA:
        return size * life;
    case BY_BIRTH:
        return -(double)b->first;
    case BY_DEATH:
        return (double)b->last;
    default: {
        size_t worst = 0;
        for (int t = b->first; t <= b->last; t++)
            if (pressure[t] > worst)
                worst = pressure[t];
        return (double)worst * 1e3 + size * 1e-9;
    }
    }
}

typedef struct search {
    ms_block *blocks;
    int count;
    const size_t *pressure;
    ranked *order; /* the one tried last */
    place_taken *taken;
    size_t *best; /* offsets */
    ms_offset_plan plan;
} search;

static void sort_by(search *s, int ordering) {
    for (int i = 0; i < s->count; i++)
        s->order[i] = (ranked){.index = i, .key = rank(&s->blocks[i], ordering, s->pressure)};
    qsort(s->order, (size_t)s->count, sizeof(*s->order), by_key);
}

/* Places the blocks in the order's; keeps the offsets when that is the least arena so far. */
static void try_order(search *s, const char *name) {
    size_t arena = place(s->blocks, s->order, s->count, s->taken);
    if (arena >= s->plan.arena_bytes)
        return;
    s->plan.arena_bytes = arena;
    s->plan.ordering = name;
    for (int i = 0; i < s->count; i++)
        s->best[i] = s->blocks[i].offset;
}

/* A block that reaches to the arena's end came too late for a lower place. Next
   time it comes first, and the rest as before. */
static void promote(search *s) {
    size_t top = 0;
    int at = 0;
    for (int i = 0; i < s->count; i++) {
        const ms_block *b = &s->blocks[s->order[i].index];
        size_t end = b->bytes ? b->offset + ms_align_up(b->bytes, MS_ARENA_ALIGN) : 0;
        if (end > top) {
            top = end;
            at = i;
        }
    }
    ranked moved = s->order[at];
    memmove(s->order + 1, s->order, (size_t)at * sizeof(*s->order));
    s->order[0] = moved;
}

/* Close enough: a hundredth above the lower bound, or a tenth where that is so
   little that a search is not worth its time. */
static bool is_good(const search *s) {
    size_t above = s->plan.arena_bytes - s->plan.lower_bound_bytes;
    return above <= s->plan.lower_bound_bytes / (above <= SMALL_BYTES ? 10 : 100);
}

ms_status ms_plan_offsets(ms_mem *mem, ms_block *blocks, int count, ms_offset_plan *ret_plan, ms_error *err) {
    int moments = 1;
    size_t total = 0; /* no sum below can overflow when that of all blocks does not */
    for (int i = 0; i < count; i++) {
        if (blocks[i].first < 0 || blocks[i].last < blocks[i].first || blocks[i].bytes > SIZE_MAX / 4)
            return ms_fail(err, MS_INTERNAL, "block %d has life %d to %d and %zu bytes", i, blocks[i].first,
                           blocks[i].last, blocks[i].bytes);
        if (__builtin_add_overflow(total, ms_align_up(blocks[i].bytes, MS_ARENA_ALIGN), &total))
            return ms_fail(err, MS_INTERNAL, "blocks 0 to %d have more bytes than there are addresses", i);
        if (blocks[i].last + 1 > moments)
            moments = blocks[i].last + 1;
    }
    size_t n = (size_t)(count > 0 ? count : 1);
    size_t scratch_bytes =
        n * (sizeof(place_taken) + sizeof(ranked) + sizeof(size_t)) + (size_t)moments * sizeof(size_t);
    char *scratch = ms_mem_alloc(mem, MS_LEDGER_GENERAL, scratch_bytes);
    if (!scratch)
        return ms_fail_alloc(err, mem, scratch_bytes, "the memory planner");
    size_t *pressure = (size_t *)scratch, *best = pressure + moments;
    place_taken *taken = (place_taken *)(best + n);
    ranked *order = (ranked *)(taken + n);

    pressure_over_time(blocks, count, pressure, moments);
    search s = {.blocks = blocks,
                .count = count,
                .pressure = pressure,
                .order = order,
                .taken = taken,
                .best = best,
                .plan = {.arena_bytes = SIZE_MAX, .ordering = "none"}};
    for (int t = 0; t < moments; t++)
        if (pressure[t] > s.plan.lower_bound_bytes)
            s.plan.lower_bound_bytes = pressure[t];
    for (int ordering = 0; ordering < ORDERINGS && s.plan.arena_bytes > s.plan.lower_bound_bytes;
         ordering++) {
        sort_by(&s, ordering);
        try_order(&s, ordering_names[ordering]);
    }
    for (int ordering = 0; ordering < ORDERINGS && !is_good(&s); ordering++) {
        sort_by(&s, ordering);
        size_t above = s.plan.arena_bytes - s.plan.lower_bound_bytes;
        for (int round = 0; round < (above <= SMALL_BYTES ? SMALL_ROUNDS : ROUNDS) && !is_good(&s); round++) {
            try_order(&s, "search");
            promote(&s);
        }
    }
    for (int i = 0; i < count; i++)
        blocks[i].offset = best[i];
    ms_mem_free(scratch);
    *ret_plan = s.plan;
    return MS_OK;
}

/* ---- checking ---- */

/* First born first. */
static int by_birth(const void *a, const void *b) {
    const ms_block *x = *(const ms_block *const *)a, *y = *(const ms_block *const *)b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

static ms_status check_place(const ms_block *blocks, int i, size_t arena_bytes, ms_error *err) {
    const ms_block *b = &blocks[i];
    if (b->offset % MS_ARENA_ALIGN || b->offset > arena_bytes || b->bytes > arena_bytes - b->offset)
        return ms_fail(err, MS_INTERNAL, "block %d at %zu with %zu bytes does not lie in the arena of %zu", i,
                       b->offset, b->bytes, arena_bytes);
    return MS_OK;
}

/* sorted: those that take room, by birth. Only who is born while another lives can be in its way. */
static ms_status check_pairs(const ms_block *blocks, const ms_block *const *sorted, int count,
                             ms_error *err) {
    for (int i = 0; i < count; i++) {
        const ms_block *a = sorted[i];
        for (int j = i + 1; j < count && sorted[j]->first <= a->last; j++) {
            const ms_block *b = sorted[j];
            if (a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes)
                return ms_fail(err, MS_INTERNAL,
                               "blocks %d [%zu, +%zu, life %d-%d] and %d [%zu, +%zu, life %d-%d] overlap",
                               (int)(a - blocks), a->offset, a->bytes, a->first, a->last, (int)(b - blocks),
                               b->offset, b->bytes, b->first, b->last);
        }
    }
    return MS_OK;
}

ms_status ms_validate_offsets(ms_mem *mem, const ms_block *blocks, int count, size_t arena_bytes,
                              ms_error *err) {
    for (int i = 0; i < count; i++)
        MS_TRY(check_place(blocks, i, arena_bytes, err));
    const size_t bytes = (size_t)(count > 0 ? count : 1) * sizeof(const ms_block *);
    const ms_block **sorted = ms_mem_alloc(mem, MS_LEDGER_GENERAL, bytes);
    if (!sorted)
        return ms_fail_alloc(err, mem, bytes, "the check of a memory plan");
    int taking = 0;
    for (int i = 0; i < count; i++)
        if (blocks[i].bytes)
            sorted[taking++] = &blocks[i];
    qsort(sorted, (size_t)taking, sizeof(*sorted), by_birth);
    ms_status status = check_pairs(blocks, sorted, taking, err);
    ms_mem_free(sorted);
    return status;
}
