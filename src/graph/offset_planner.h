/*
 * Lays blocks with known sizes and lives out in one arena so that no two that live at the same time overlap.
 * Standalone: knows nothing of graphs.
 *
 * Several greedy orderings are tried (by size, by life times size, by birth, by the pressure at the busiest
 * moment), each block going to the lowest gap that fits ("greedy by size": Pisarchyk and Lee, "Efficient
 * memory management for deep neural net inference", 2020); the lowest arena is kept.
 */
#ifndef MS_GRAPH_OFFSET_PLANNER_H
#define MS_GRAPH_OFFSET_PLANNER_H

#include "base/mem.h"

#define MS_ARENA_ALIGN 64

typedef struct ms_block {
    size_t bytes;    /* 0 = takes no room */
    int first, last; /* moments, both included */
    size_t offset;   /* out */
} ms_block;

typedef struct ms_offset_plan {
    size_t arena_bytes;
    size_t lower_bound_bytes; /* the busiest moment's sum: no layout can need less */
    const char *ordering;     /* that won */
} ms_offset_plan;

/* Writes the blocks' offsets (multiples of MS_ARENA_ALIGN). mem: for scratch. */
ms_status ms_plan_offsets(ms_mem *mem, ms_block *blocks, int count, ms_offset_plan *ret_plan, ms_error *err);

/* Checks a plan without knowing how it was made. MS_INTERNAL names a pair that overlaps in space and
   time, or a block that is out of the arena or misaligned. mem: for scratch. */
ms_status ms_validate_offsets(ms_mem *mem, const ms_block *blocks, int count, size_t arena_bytes,
                              ms_error *err);

#endif
