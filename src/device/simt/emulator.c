#include "device/simt/emulator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/simt/fiber.h"
#include "device/simt/tensor_core.h"
#include "base/splitmix.h"

#define MOST_THREADS 1024
#define WARP 32
#define MOST_COPIES 128 /* under way, of a thread */
#define MOST_GROUPS 16

/* From stack to stack: below each lies as much that cannot be touched, so that a thread which needs more ends
   there. Stacks begin at different lines of their pages, else all threads' frames would share a few lines of
   the caches. */
#define COLOURS 4096
#define STACK_STRIDE (2 * SIMT_STACK_BYTES + COLOURS)
#define STACKS_BYTES (MOST_THREADS * STACK_STRIDE)

typedef enum lane_wait {
    LANE_AT_BARRIER,
    LANE_IN_WARP, /* for the other lanes */
    LANE_DONE,
} lane_wait;

typedef struct async_copy {
    void *shared;
    const void *global;
    bool valid;
} async_copy;

/* Under way, of a lane. */
typedef struct lane_copies {
    int copies, groups;
    int group_end[MOST_GROUPS];
    async_copy copy[MOST_COPIES];
} lane_copies;

typedef struct warp warp;

/* Every switch reads two of them, so they are small and lie close together. */
typedef struct lane {
    simt_thread_of_block self; /* the first, so that simt_self is its lane */
    warp *warp;
    lane_copies *under_way;
    simt_fiber fiber;
    lane_wait waits; /* if it is not ready */
    int barriers;    /* of the warp that it has passed */
} lane;

struct warp {
    lane *lanes;    /* WARP of them */
    uint32_t ready; /* a bit of each that can run */
    int arrived;
    const char *operation; /* that the first one came to; an operation's name is one string */
    int first, step;       /* order of its lanes in this schedule */
    char sync[2];          /* of warp barriers, in turn */
    /* What lanes give to an operation and take from it. All of them have come to the next one of a kind,
       and so have taken, before its results are written. Of the tile a lane writes and reads its own
       elements of d, so it may give the next ones before others have taken theirs. */
    uint64_t given[WARP], taken[WARP];
    int from[WARP];
    uint16_t row[WARP][8];
    uint32_t fragment[WARP][4];
    simt_tile tile;
};

struct simt_emulator {
    char *stacks;
    lane *lane; /* MOST_THREADS, as of what follows */
    lane_copies *under_way;
    simt_fiber scheduler;
    const simt_launch *launch;
    simt_block block;
    warp warp[MOST_THREADS / WARP];
    int order[MOST_THREADS / WARP]; /* of warps */
    int warps, at_barrier, done, fibers;
    int barriers; /* of this block so far */
    uint64_t random;
    char *shared;
    char sync[2], begin, end;
};

__thread simt_thread_of_block *simt_self;
static __thread simt_emulator *running __attribute__((tls_model("initial-exec")));

static lane *self(void) {
    return (lane *)simt_self;
}

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...) {
    const simt_emulator *e = running;
    va_list ap;
    fprintf(stderr, "simt: kernel %s, block (%d, %d, %d), thread %d: ", e->launch->name, e->block.at[0],
            e->block.at[1], e->block.at[2], simt_self ? simt_self->thread : -1);
    va_start(ap, fmt);
    /* It is begun the line before. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

/* ---- the schedule ---- */

static void draw_order(simt_emulator *e) {
    if (e->launch->seed == 0)
        return;
    for (int i = e->warps - 1; i > 0; i--) {
        int other = (int)(ms_splitmix64(&e->random) % (uint64_t)(i + 1)), kept = e->order[i];
        e->order[i] = e->order[other];
        e->order[other] = kept;
    }
    for (int i = 0; i < e->warps; i++) {
        e->warp[i].first = (int)(ms_splitmix64(&e->random) % WARP);
        e->warp[i].step = ms_splitmix64(&e->random) & 1 ? 1 : WARP - 1;
    }
}

/* The next of a warp's lanes that can run, after the given one in its order; one must. */
static lane *next_in_warp(const warp *w, int after) {
    if (w->step == 1) {
        const uint32_t behind = w->ready & ~(UINT32_MAX >> (WARP - 1 - after));
        return &w->lanes[__builtin_ctz(behind ? behind : w->ready)];
    }
    const uint32_t before = w->ready & ((1u << after) - 1);
    return &w->lanes[WARP - 1 - __builtin_clz(before ? before : w->ready)];
}

static lane *next_in_block(simt_emulator *e) {
    for (int i = 0; i < e->warps; i++) {
        warp *w = &e->warp[e->order[i]];
        if (w->ready)
            return next_in_warp(w, w->first);
    }
    return NULL;
}

static void go_to(lane *from, lane *to) {
    simt_emulator *e = running;
    if (to == from)
        return;
    simt_self = to ? &to->self : NULL;
    simt_fiber_switch(from ? &from->fiber : &e->scheduler, to ? &to->fiber : &e->scheduler);
}

/* Whoever can run does: of the same warp, of the block; if nobody can, the block is done or stuck. */
static void yield(lane *from) {
    const warp *w = from->warp;
    lane *to = w->ready ? next_in_warp(w, from->self.thread % WARP) : next_in_block(running);
    go_to(from, to);
}

static int place_in_warp(const lane *l) {
    return l->self.thread % WARP;
}

static void wait_as(lane *l, lane_wait why) {
    l->waits = why;
    l->warp->ready &= ~(1u << place_in_warp(l));
    yield(l);
}

/* ---- barriers ---- */

void simt_barrier(void) {
    simt_emulator *e = running;
    lane *l = self();
    char *sync = &e->sync[e->barriers & 1];
    if (e->done > 0)
        die("comes to a barrier, and %d threads of the block have returned", e->done);
    simt_fiber_release(sync);
    if (++e->at_barrier < (int)e->launch->threads) {
        wait_as(l, LANE_AT_BARRIER);
    } else {
        e->at_barrier = 0;
        e->barriers++;
        for (int i = 0; i < e->warps; i++)
            e->warp[i].ready = UINT32_MAX;
        draw_order(e);
        if (e->launch->seed)
            go_to(l, next_in_block(e));
    }
    simt_fiber_acquire(sync);
}

/* Of odd seeds: another warp goes on at a collective. */
static void maybe_leave_warp(simt_emulator *e, lane *l) {
    if (!(e->launch->seed & 1) || ms_splitmix64(&e->random) % 4)
        return;
    warp *w = &e->warp[ms_splitmix64(&e->random) % (uint64_t)e->warps];
    if (w->ready)
        go_to(l, next_in_warp(w, w->first));
}

/* The last lane of the warp to come does the work for all. */
static void meet(const char *operation, void (*work)(warp *w)) {
    lane *l = self();
    warp *w = l->warp;
    if (w->arrived == 0)
        w->operation = operation;
    else if (w->operation != operation)
        die("the warp has diverged: this lane comes to %s, others to %s", operation, w->operation);
    if (++w->arrived < WARP) {
        wait_as(l, LANE_IN_WARP);
        return;
    }
    w->arrived = 0;
    if (work)
        work(w);
    w->ready = UINT32_MAX;
    maybe_leave_warp(running, l);
}

void simt_warp_barrier(void) {
    lane *l = self();
    char *sync = &l->warp->sync[l->barriers++ & 1];
    simt_fiber_release(sync);
    meet("a barrier of the warp", NULL);
    simt_fiber_acquire(sync);
}

/* ---- what lanes do together ---- */

static void exchange_all(warp *w) {
    for (int i = 0; i < WARP; i++)
        w->taken[i] = w->given[w->from[i]];
}

uint64_t simt_exchange(uint64_t value, int from_lane) {
    lane *l = self();
    const int at = place_in_warp(l);
    if (from_lane < 0 || from_lane >= WARP)
        die("a shuffle from lane %d", from_lane);
    l->warp->given[at] = value;
    l->warp->from[at] = from_lane;
    meet("shuffle", exchange_all);
    return l->warp->taken[at];
}

/* PTX ISA, "ldmatrix": lane i has two neighbours of row i / 4 of each matrix, or of its column. */
static void exchange_rows(warp *w) {
    for (int i = 0; i < WARP; i++)
        for (int j = 0; j < WARP / 8; j++)
            memcpy(&w->fragment[i][j], &w->row[8 * j + i / 4][i % 4 * 2], sizeof(uint32_t));
}

static void exchange_columns(warp *w) {
    for (int i = 0; i < WARP; i++)
        for (int j = 0; j < WARP / 8; j++) {
            const int column = i / 4, row = 8 * j + i % 4 * 2;
            const uint16_t pair[2] = {w->row[row][column], w->row[row + 1][column]};
            memcpy(&w->fragment[i][j], pair, sizeof(pair));
        }
}

void simt_exchange_matrix(uint32_t *ret_r, const uint16_t row[8], int matrices, bool transposed) {
    static const char *const names[2][2] = {{"ldmatrix.x2", "ldmatrix.x4"},
                                            {"ldmatrix.x2.trans", "ldmatrix.x4.trans"}};
    lane *l = self();
    const int at = place_in_warp(l);
    memcpy(l->warp->row[at], row, sizeof(l->warp->row[at]));
    meet(names[transposed][matrices == 4], transposed ? exchange_columns : exchange_rows);
    memcpy(ret_r, l->warp->fragment[at], (size_t)matrices * sizeof(uint32_t));
}

#define MULTIPLY(name, k, bf16)                                                                              \
    static void name(warp *w) {                                                                              \
        simt_tensor_core(&w->tile, k, bf16, running->launch->arch);                                          \
    }
MULTIPLY(multiply_f16_k8, 8, false)
MULTIPLY(multiply_f16_k16, 16, false)
MULTIPLY(multiply_bf16_k8, 8, true)
MULTIPLY(multiply_bf16_k16, 16, true)

/* Fragments as in PTX ISA, "Matrix fragments for mma.m16n8k16" and "mma.m16n8k8". */
void simt_multiply(float d[4], const uint32_t *a, const uint32_t *b, int k, bool bf16) {
    static const struct {
        const char *name;
        void (*work)(warp *w);
    } kinds[2][2] = {{{"mma.m16n8k8.f16", multiply_f16_k8}, {"mma.m16n8k16.f16", multiply_f16_k16}},
                     {{"mma.m16n8k8.bf16", multiply_bf16_k8}, {"mma.m16n8k16.bf16", multiply_bf16_k16}}};
    lane *l = self();
    simt_tile *t = &l->warp->tile;
    const int row = place_in_warp(l) / 4, at = place_in_warp(l) % 4 * 2;
    if (bf16 && running->launch->arch < 80)
        die("multiplies bfloat16, which sm_%d cannot", running->launch->arch);
    for (int half = 0; half < k / 8; half++) {
        const int column = at + 8 * half;
        memcpy(&t->a[row][column], &a[2 * half], sizeof(*a));
        memcpy(&t->a[row + 8][column], &a[2 * half + 1], sizeof(*a));
        t->b[column][row] = (uint16_t)b[half];
        t->b[column + 1][row] = (uint16_t)(b[half] >> 16);
    }
    memcpy(&t->d[row][at], d, 2 * sizeof(float));
    memcpy(&t->d[row + 8][at], d + 2, 2 * sizeof(float));
    meet(kinds[bf16][k == 16].name, kinds[bf16][k == 16].work);
    memcpy(d, &t->d[row][at], 2 * sizeof(float));
    memcpy(d + 2, &t->d[row + 8][at], 2 * sizeof(float));
}

/* ---- asynchronous copies (async_copy.c does the bytes, where the sanitizers see them) ---- */

void simt_poison16(void *shared);
void simt_land16(void *shared, const void *global, bool valid);

void simt_check_aligned(const void *address, const char *operation) {
    if ((uintptr_t)address % 16)
        die("%s: address %p is not a multiple of 16", operation, address);
}

void simt_copy16_async(void *shared, const void *global, bool valid) {
    lane_copies *c = self()->under_way;
    simt_check_aligned(shared, "cp.async to shared memory");
    if (valid)
        simt_check_aligned(global, "cp.async from global memory");
    if (running->launch->arch < 80) {
        simt_land16(shared, global, valid);
        return;
    }
    if (c->copies == MOST_COPIES)
        die("has %d copies under way", c->copies);
    c->copy[c->copies++] = (async_copy){shared, global, valid};
    simt_poison16(shared);
}

void simt_copy_commit(void) {
    lane_copies *c = self()->under_way;
    if (c->groups == MOST_GROUPS)
        die("has %d groups of copies under way", c->groups);
    c->group_end[c->groups++] = c->copies;
}

void simt_copy_wait_for(int groups_left) {
    lane_copies *c = self()->under_way;
    int done = c->groups - groups_left, end;
    if (done <= 0)
        return;
    end = c->group_end[done - 1];
    for (int i = 0; i < end; i++)
        simt_land16(c->copy[i].shared, c->copy[i].global, c->copy[i].valid);
    c->copies -= end;
    memmove(c->copy, c->copy + end, (size_t)c->copies * sizeof(*c->copy));
    c->groups = groups_left;
    for (int i = 0; i < c->groups; i++)
        c->group_end[i] = c->group_end[done + i] - end;
}

/* ---- blocks ---- */

void *simt_shared_memory(size_t bytes, size_t align) {
    const simt_emulator *e = running;
    if (bytes > e->launch->shared_bytes)
        die("uses %zu bytes of shared memory, the launch said %zu", bytes, e->launch->shared_bytes);
    if (align > 128)
        die("wants shared memory aligned to %zu bytes", align);
    return e->shared;
}

static void check_end(const lane *l) {
    const simt_emulator *e = running;
    if (l->under_way->copies > 0)
        die("returns while %d of its copies are under way", l->under_way->copies);
    if (e->at_barrier > 0)
        die("returns while %d threads of the block wait at a barrier", e->at_barrier);
}

/* A fiber runs its thread of one block after another. */
static void run_lane(void) {
    simt_fiber_entered();
    for (;;) {
        simt_emulator *e = running;
        lane *l = self();
        simt_fiber_acquire(&e->begin);
        e->launch->entry->run(e->launch->param);
        simt_fiber_release(&e->end);
        check_end(l);
        running->done++;
        wait_as(l, LANE_DONE);
    }
}

static void describe_stuck(const simt_emulator *e) {
    for (int i = 0; i < (int)e->launch->threads; i++)
        if (e->lane[i].waits == LANE_IN_WARP) {
            simt_self = &e->lane[i].self;
            die("waits at %s for lanes that do not come", e->lane[i].warp->operation);
        }
    die("%d threads wait at a barrier for ever", e->at_barrier);
}

static void run_block(simt_emulator *e) {
    const simt_launch *launch = e->launch;
    e->at_barrier = e->done = e->barriers = 0;
    for (int i = 0; i < (int)launch->threads; i++) {
        lane *l = &e->lane[i];
        l->self = (simt_thread_of_block){i, &e->block};
        l->warp = &e->warp[i / WARP];
        l->under_way = &e->under_way[i];
        l->under_way->copies = l->under_way->groups = l->barriers = 0;
    }
    for (int i = 0; i < e->warps; i++) {
        warp *w = &e->warp[i];
        e->order[i] = i;
        w->lanes = e->lane + i * WARP;
        w->ready = UINT32_MAX;
        w->arrived = 0;
        w->first = WARP - 1;
        w->step = 1;
    }
    draw_order(e);
    if (launch->shared_bytes)
        memset(e->shared, 0xff, launch->shared_bytes); /* NaNs */
    simt_fiber_release(&e->begin);
    go_to(NULL, next_in_block(e));
    simt_fiber_acquire(&e->end);
    if (e->done < (int)launch->threads)
        describe_stuck(e);
}

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* In order, or by a seed from any block on in steps that reach all. */
static void run_blocks(simt_emulator *e) {
    const uint32_t *grid = e->launch->grid;
    uint64_t count = (uint64_t)grid[0] * grid[1] * grid[2], at = 0, step = 1;
    if (e->launch->seed && count > 1) {
        at = ms_splitmix64(&e->random) % count;
        do
            step = 1 + ms_splitmix64(&e->random) % (count - 1);
        while (common_divisor(count, step) != 1);
    }
    for (uint64_t i = 0; i < count; i++, at = (at + step) % count) {
        e->block.at[0] = (int)(at % grid[0]);
        e->block.at[1] = (int)(at / grid[0] % grid[1]);
        e->block.at[2] = (int)(at / grid[0] / grid[1]);
        run_block(e);
    }
}

/* More fibers when a launch has more threads than any before. */
static bool make_fibers(simt_emulator *e, int threads) {
    for (; e->fibers < threads; e->fibers++) {
        char *stack = e->stacks + (size_t)e->fibers * STACK_STRIDE + SIMT_STACK_BYTES;
        if (mprotect(stack, SIMT_STACK_BYTES + COLOURS, PROT_READ | PROT_WRITE) != 0)
            return false;
        simt_fiber_init(&e->lane[e->fibers].fiber, stack + (size_t)e->fibers * 17 * 64 % COLOURS, run_lane);
    }
    return true;
}

size_t simt_most_shared_bytes(int arch) {
    bool ampere = arch == 80 || arch == 87, hopper = arch == 90 || arch == 100 || arch == 103;
    int kib = arch == 75 ? 64 : ampere ? 163 : hopper ? 227 : 99;
    return (size_t)kib << 10;
}

bool simt_run(simt_emulator *e, const simt_launch *launch) {
    running = e;
    e->launch = launch;
    e->warps = (int)(launch->threads / WARP);
    simt_self = NULL;
    if (launch->threads == 0 || launch->threads % WARP || launch->threads > MOST_THREADS)
        die("a block of %u threads", launch->threads);
    if (launch->shared_bytes > simt_most_shared_bytes(launch->arch))
        die("asks for %zu bytes of shared memory, a block on sm_%d has up to %zu", launch->shared_bytes,
            launch->arch, simt_most_shared_bytes(launch->arch));
    e->random = launch->seed;
    e->shared = NULL;
    if (!make_fibers(e, (int)launch->threads))
        return false;
    /* Of exact size, so that what is behind it is somebody else's. */
    if (launch->shared_bytes && posix_memalign((void **)&e->shared, 128, launch->shared_bytes) != 0)
        return false;
    simt_fiber_adopt(&e->scheduler);
    for (int i = 0; i < 3; i++)
        e->block.grid[i] = (int)launch->grid[i];
    run_blocks(e);
    free(e->shared);
    running = NULL;
    return true;
}

simt_emulator *simt_emulator_create(void) {
    simt_emulator *e = aligned_alloc(_Alignof(simt_emulator), sizeof(*e));
    if (!e)
        return NULL;
    memset(e, 0, sizeof(*e));
    e->lane = calloc(MOST_THREADS, sizeof(*e->lane));
    e->under_way = calloc(MOST_THREADS, sizeof(*e->under_way));
    e->stacks = mmap(NULL, STACKS_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!e->lane || !e->under_way || e->stacks == MAP_FAILED) {
        if (e->stacks == MAP_FAILED)
            e->stacks = NULL;
        simt_emulator_destroy(&e);
    }
    return e;
}

void simt_emulator_destroy(simt_emulator **emulator) {
    simt_emulator *e = *emulator;
    if (!e)
        return;
    for (int i = 0; i < e->fibers; i++)
        simt_fiber_destroy(&e->lane[i].fiber);
    if (e->stacks)
        munmap(e->stacks, STACKS_BYTES);
    free(e->under_way);
    free(e->lane);
    free(e);
    *emulator = NULL;
}
