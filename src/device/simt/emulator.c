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

typedef enum lane_state {
    LANE_READY,
    LANE_AT_BARRIER,
    LANE_IN_WARP, /* waits for the other lanes */
    LANE_DONE,
} lane_state;

typedef struct async_copy {
    void *shared;
    const void *global;
    bool valid;
} async_copy;

typedef struct warp warp;

typedef struct lane {
    simt_thread_of_block self; /* the first, so that simt_self is its lane */
    warp *warp;
    simt_fiber fiber;
    lane_state state;
    const void *given; /* to the operation of the warp that it is in */
    int barriers;      /* of the warp that it has passed */
    int copies, groups;
    int group_end[MOST_GROUPS];
    async_copy copy[MOST_COPIES];
} lane;

struct warp {
    lane *lanes; /* WARP of them */
    int ready, arrived;
    const char *operation; /* that the first one came to; an operation's name is one string */
    int first, step;       /* order of its lanes in this schedule */
    char sync[2];          /* of warp barriers, in turn */
};

struct simt_emulator {
    char *stacks;
    lane *lane; /* MOST_THREADS */
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
static __thread simt_emulator *running;

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

/* The next of a warp's lanes that can run, after the given one in its order. */
static lane *next_in_warp(const warp *w, int after) {
    for (int i = 1; i <= WARP; i++) {
        lane *l = &w->lanes[(after + i * w->step) % WARP];
        if (l->state == LANE_READY)
            return l;
    }
    return NULL;
}

static lane *next_in_block(simt_emulator *e) {
    for (int i = 0; i < e->warps; i++) {
        warp *w = &e->warp[e->order[i]];
        if (w->ready > 0)
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
    lane *to = w->ready > 0 ? next_in_warp(w, from->self.thread % WARP) : next_in_block(running);
    go_to(from, to);
}

static void wait_as(lane *l, lane_state state) {
    l->state = state;
    l->warp->ready--;
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
        for (int i = 0; i < (int)e->launch->threads; i++)
            e->lane[i].state = LANE_READY;
        for (int i = 0; i < e->warps; i++)
            e->warp[i].ready = WARP;
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
    if (w->ready > 0)
        go_to(l, next_in_warp(w, w->first));
}

/* The last lane of the warp to come does the work for all. */
static void meet(const char *operation, const void *given, void (*work)(warp *w)) {
    lane *l = self();
    warp *w = l->warp;
    if (w->arrived == 0)
        w->operation = operation;
    else if (w->operation != operation)
        die("the warp has diverged: this lane comes to %s, others to %s", operation, w->operation);
    l->given = given;
    if (++w->arrived < WARP) {
        wait_as(l, LANE_IN_WARP);
        return;
    }
    w->arrived = 0;
    if (work)
        work(w);
    for (int i = 0; i < WARP; i++)
        w->lanes[i].state = LANE_READY;
    w->ready = WARP;
    maybe_leave_warp(running, l);
}

void simt_warp_barrier(void) {
    lane *l = self();
    char *sync = &l->warp->sync[l->barriers++ & 1];
    simt_fiber_release(sync);
    meet("a barrier of the warp", NULL, NULL);
    simt_fiber_acquire(sync);
}

/* ---- what lanes do together ---- */

typedef struct exchange {
    uint64_t value;
    uint64_t *result;
    int from;
} exchange;

static void exchange_all(warp *w) {
    for (int i = 0; i < WARP; i++) {
        const exchange *x = w->lanes[i].given;
        *x->result = ((const exchange *)w->lanes[x->from].given)->value;
    }
}

uint64_t simt_exchange(uint64_t value, int from_lane) {
    uint64_t result = 0;
    exchange x = {value, &result, from_lane};
    if (from_lane < 0 || from_lane >= WARP)
        die("a shuffle from lane %d", from_lane);
    meet("shuffle", &x, exchange_all);
    return result;
}

typedef struct matrix_row {
    uint32_t *r;
    const uint16_t *row;
    int matrices;
    bool transposed;
} matrix_row;

static uint16_t matrix_at(const warp *w, int matrix, int row, int column) {
    return ((const matrix_row *)w->lanes[8 * matrix + row].given)->row[column];
}

static void exchange_rows(warp *w) {
    for (int i = 0; i < WARP; i++) {
        const matrix_row *m = w->lanes[i].given;
        int row = i / 4, column = i % 4 * 2;
        for (int j = 0; j < m->matrices; j++) {
            uint32_t low = m->transposed ? matrix_at(w, j, column, row) : matrix_at(w, j, row, column);
            uint32_t high =
                m->transposed ? matrix_at(w, j, column + 1, row) : matrix_at(w, j, row, column + 1);
            m->r[j] = low | high << 16;
        }
    }
}

void simt_exchange_matrix(uint32_t *ret_r, const uint16_t row[8], int matrices, bool transposed) {
    static const char *const names[2][2] = {{"ldmatrix.x2", "ldmatrix.x4"},
                                            {"ldmatrix.x2.trans", "ldmatrix.x4.trans"}};
    matrix_row m = {ret_r, row, matrices, transposed};
    meet(names[transposed][matrices == 4], &m, exchange_rows);
}

typedef struct product {
    float *d;
    const uint32_t *a, *b;
    int k;
    bool bf16;
} product;

/* Neighbours in a row. */
static void put_pair(uint16_t *at, uint32_t pair) {
    uint16_t both[2] = {(uint16_t)pair, (uint16_t)(pair >> 16)};
    memcpy(at, both, sizeof(both));
}

/* The fragments of mma.sync: PTX ISA, "Matrix fragments for mma.m16n8k16" and "mma.m16n8k8". */
static void multiply_all(warp *w) {
    const product *first = w->lanes[0].given;
    int k = first->k;
    simt_tile t;
    for (int i = 0; i < WARP; i++) {
        const product *p = w->lanes[i].given;
        int row = i / 4, at = i % 4 * 2;
        for (int half = 0; half < k / 8; half++) {
            int column = at + 8 * half;
            put_pair(&t.a[row][column], p->a[2 * half]);
            put_pair(&t.a[row + 8][column], p->a[2 * half + 1]);
            t.b[column][row] = (uint16_t)p->b[half];
            t.b[column + 1][row] = (uint16_t)(p->b[half] >> 16);
        }
        memcpy(&t.d[row][at], p->d, 2 * sizeof(float));
        memcpy(&t.d[row + 8][at], p->d + 2, 2 * sizeof(float));
    }
    simt_tensor_core(&t, k, first->bf16, running->launch->arch);
    for (int i = 0; i < WARP; i++) {
        const product *p = w->lanes[i].given;
        int row = i / 4, at = i % 4 * 2;
        memcpy(p->d, &t.d[row][at], 2 * sizeof(float));
        memcpy(p->d + 2, &t.d[row + 8][at], 2 * sizeof(float));
    }
}

void simt_multiply(float d[4], const uint32_t *a, const uint32_t *b, int k, bool bf16) {
    static const char *const names[2][2] = {{"mma.m16n8k8.f16", "mma.m16n8k16.f16"},
                                            {"mma.m16n8k8.bf16", "mma.m16n8k16.bf16"}};
    product p = {d, a, b, k, bf16};
    if (bf16 && running->launch->arch < 80)
        die("multiplies bfloat16, which sm_%d cannot", running->launch->arch);
    meet(names[bf16][k == 16], &p, multiply_all);
}

/* ---- asynchronous copies (async_copy.c does the bytes, where the sanitizers see them) ---- */

void simt_poison16(void *shared);
void simt_land16(void *shared, const void *global, bool valid);

void simt_check_aligned(const void *address, const char *operation) {
    if ((uintptr_t)address % 16)
        die("%s: address %p is not a multiple of 16", operation, address);
}

void simt_copy16_async(void *shared, const void *global, bool valid) {
    lane *l = self();
    simt_check_aligned(shared, "cp.async to shared memory");
    if (valid)
        simt_check_aligned(global, "cp.async from global memory");
    if (running->launch->arch < 80) {
        simt_land16(shared, global, valid);
        return;
    }
    if (l->copies == MOST_COPIES)
        die("has %d copies under way", l->copies);
    l->copy[l->copies++] = (async_copy){shared, global, valid};
    simt_poison16(shared);
}

void simt_copy_commit(void) {
    lane *l = self();
    if (l->groups == MOST_GROUPS)
        die("has %d groups of copies under way", l->groups);
    l->group_end[l->groups++] = l->copies;
}

void simt_copy_wait_for(int groups_left) {
    lane *l = self();
    int done = l->groups - groups_left, end;
    if (done <= 0)
        return;
    end = l->group_end[done - 1];
    for (int i = 0; i < end; i++)
        simt_land16(l->copy[i].shared, l->copy[i].global, l->copy[i].valid);
    l->copies -= end;
    memmove(l->copy, l->copy + end, (size_t)l->copies * sizeof(*l->copy));
    l->groups = groups_left;
    for (int i = 0; i < l->groups; i++)
        l->group_end[i] = l->group_end[done + i] - end;
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
    if (l->copies > 0)
        die("returns while %d of its copies are under way", l->copies);
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
        if (e->lane[i].state == LANE_IN_WARP) {
            simt_self = &e->lane[i].self;
            die("waits at %s for lanes that do not come", e->lane[i].warp->operation);
        }
    die("%d threads wait at a barrier for ever", e->at_barrier);
}

static void run_block(simt_emulator *e) {
    const simt_launch *launch = e->launch;
    e->at_barrier = e->done = e->barriers = 0;
    for (int i = 0; i < (int)launch->threads; i++) {
        e->lane[i].self = (simt_thread_of_block){i, &e->block};
        e->lane[i].warp = &e->warp[i / WARP];
        e->lane[i].state = LANE_READY;
        e->lane[i].copies = e->lane[i].groups = e->lane[i].barriers = 0;
    }
    for (int i = 0; i < e->warps; i++) {
        e->order[i] = i;
        e->warp[i] = (warp){.lanes = e->lane + i * WARP, .ready = WARP, .first = WARP - 1, .step = 1};
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
    simt_emulator *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->lane = calloc(MOST_THREADS, sizeof(*e->lane));
    e->stacks = mmap(NULL, STACKS_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!e->lane || e->stacks == MAP_FAILED) {
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
    free(e->lane);
    free(e);
    *emulator = NULL;
}
