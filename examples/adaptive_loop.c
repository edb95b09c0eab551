/*
 * A loop that is not memsafe's, made to survive running out of memory.
 *
 * The pipeline below restores pictures with a "network" that needs 256 KiB of work space
 * for every picture of a batch. Its memory is drawn from an ms_mem with a budget of 5 MiB,
 * and its first guess, 32 pictures at a time, is far too many: ms_adaptive_process() halves
 * the batch, drops the pipeline's cache, tries the same pictures again, and lets the batch
 * grow when there is room. The checksum at the end is the same however that went.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <memsafe/memsafe.h>

#define PICTURES 120
#define SIDE 128
#define PICTURE_BYTES ((size_t)SIDE * SIDE)
#define WORK_BYTES ((size_t)256 << 10) /* for every picture of a batch */
#define CACHE_BYTES ((size_t)1 << 20)
#define BUDGET_BYTES ((size_t)5 << 20)

typedef struct pipeline {
    ms_mem *mem;
    unsigned char *cache;   /* nice to have: can be made again at any time */
    unsigned char *results; /* [PICTURES][PICTURE_BYTES] */
} pipeline;

static void network(const pipeline *p, int64_t picture, unsigned char *work) {
    for (size_t i = 0; i < WORK_BYTES; i++)
        work[i] = (unsigned char)((size_t)picture * 31 + i * 7);
    unsigned char *result = p->results + (size_t)picture * PICTURE_BYTES;
    for (size_t i = 0; i < PICTURE_BYTES; i++)
        result[i] = (unsigned char)(work[i] ^ work[WORK_BYTES - 1 - i]);
}

/* Pictures first .. first+count-1: all of them or none. What cannot be allocated is
   a status, and nothing is half done. */
static ms_status restore(void *arg, int64_t first, int64_t count, ms_error *err) {
    pipeline *p = arg;
    (void)err; /* the code alone is enough */
    if (!p->cache)
        p->cache = ms_mem_calloc(p->mem, MS_LEDGER_CACHES, 1, CACHE_BYTES); /* works without it, too */
    unsigned char *work = ms_mem_alloc(p->mem, MS_LEDGER_ACTIVATIONS, (size_t)count * WORK_BYTES);
    if (!work)
        return MS_HOST_MEMORY;
    for (int64_t i = 0; i < count; i++)
        network(p, first + i, work + (size_t)i * WORK_BYTES);
    ms_mem_free(work);
    return MS_OK;
}

/* Called before a batch is tried again. */
static void drop_cache(void *arg) {
    pipeline *p = arg;
    ms_mem_free(p->cache);
    p->cache = NULL;
}

static ms_status run(pipeline *p, ms_adaptive_state *state, ms_error *err) {
    p->results = ms_mem_alloc(p->mem, MS_LEDGER_FRAMES, PICTURES * PICTURE_BYTES);
    if (!p->results) {
        snprintf(err->message, sizeof(err->message), "no memory for the results");
        return err->code = MS_HOST_MEMORY;
    }
    ms_adaptive_params params = {.max_batch = 32, /* there is no optimizer: let failures teach the batch */
                                 .clean_up_items = 64,
                                 .process = restore,
                                 .trim = drop_cache,
                                 .clean_up = drop_cache,
                                 .arg = p};
    int64_t done = 0;
    ms_status status = ms_adaptive_process(&params, 0, PICTURES, state, &done, err);
    if (status != MS_OK)
        fprintf(stderr, "adaptive_loop: %" PRId64 " of %d pictures are done\n", done, PICTURES);
    return status;
}

static uint64_t checksum(const pipeline *p) {
    uint64_t sum = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < PICTURES * PICTURE_BYTES; i++)
        sum = (sum ^ p->results[i]) * 1099511628211u;
    return sum;
}

int main(void) {
    pipeline p = {0};
    ms_adaptive_state state = {0};
    ms_error err = {0};
    ms_status status = ms_mem_create(BUDGET_BYTES, &p.mem);
    if (status == MS_OK)
        status = run(&p, &state, &err);
    if (status == MS_OK)
        printf("%d pictures, checksum %016" PRIx64 "\n", PICTURES, checksum(&p));
    else
        fprintf(stderr, "adaptive_loop: %s\n", err.message[0] ? err.message : ms_status_text(status));
    fprintf(stderr, "adaptive_loop: batches of %d to %d, %" PRId64 " failures, %" PRIu64 " allocations\n",
            state.smallest_batch, state.largest_batch, state.host_failures, ms_mem_allocation_count());
    drop_cache(&p);
    ms_mem_free(p.results);
    if (ms_mem_destroy(&p.mem) != 0) {
        fprintf(stderr, "adaptive_loop: memory was not freed\n");
        return ms_status_exit_code(MS_INTERNAL);
    }
    return ms_status_exit_code(status);
}
