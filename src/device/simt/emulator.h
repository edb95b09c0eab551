/*
 * Runs a kernel of simt.h on the processor, block after block, the threads of a block as fibers.
 *
 * What a card would punish silently ends the program with a message that names the kernel, the block and the
 * thread: lanes of a warp that come to different operations, threads that return while others wait at a
 * barrier, shared memory larger than the launch said, addresses that are not aligned, copies that nobody
 * waited for. What is read before it is there is NaN: shared memory at the beginning, and the target of an
 * asynchronous copy until the wait. AddressSanitizer names accesses out of bounds, since shared memory is a
 * block of the heap of exact size. ThreadSanitizer names missing barriers: fibers are its fibers, and only
 * barriers order them (run it under setarch -R).
 *
 * Schedules. A warp runs until all its lanes wait at the block's barrier, as far ahead of the others as it
 * may come. A seed draws the order of blocks, the order of warps anew after every barrier, and of lanes
 * within each; odd seeds leave a warp also at its collectives. Seed 0 goes round in order. Blocks run one at
 * a time.
 *
 * Sums of mma.sync have the bits that a card of the architecture gives (tensor_core.h).
 */
#ifndef MS_DEVICE_SIMT_EMULATOR_H
#define MS_DEVICE_SIMT_EMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a simt_kernel.entry points at. */
typedef struct simt_entry {
    void (*run)(const void *param);
    size_t param_bytes, param_align;
    void (*clear_padding)(void *param); /* NULL: the compiler cannot */
} simt_entry;

typedef struct simt_launch {
    const char *name; /* for messages */
    const simt_entry *entry;
    const void *param;
    uint32_t grid[3];
    uint32_t threads;
    size_t shared_bytes;
    int arch; /* 75, 80, 86, 89, 90, 100, 120 */
    uint64_t seed;
} simt_launch;

/* What a block may have, of the least of a class of cards: CUDA C++ programming guide, "Technical
   specifications per compute capability", less the KiB that the system takes. A kernel that asks for more
   ends the program. */
size_t simt_most_shared_bytes(int arch);

/* The stacks of as many threads as a block may have. NULL: there is no memory for them. */
typedef struct simt_emulator simt_emulator;
simt_emulator *simt_emulator_create(void);
void simt_emulator_destroy(simt_emulator **emulator);

/* Runs all blocks on the calling thread. false: there is no memory for what the blocks share. */
bool simt_run(simt_emulator *emulator, const simt_launch *launch);

/* ---- for simt_host.h ---- */

typedef struct simt_block {
    int at[3], grid[3];
} simt_block;

typedef struct simt_thread_of_block {
    int thread;
    const simt_block *block;
} simt_thread_of_block;

/* The one that runs. */
extern __thread simt_thread_of_block *simt_self __attribute__((tls_model("initial-exec")));

void *simt_shared_memory(size_t bytes, size_t align);
void simt_barrier(void);
void simt_warp_barrier(void);
void simt_check_aligned(const void *address, const char *operation); /* to 16 bytes */

/* Of all lanes of a warp. */
uint64_t simt_exchange(uint64_t value, int from_lane);
void simt_exchange_matrix(uint32_t *ret_r, const uint16_t row[8], int matrices, bool transposed);
void simt_multiply(float d[4], const uint32_t *a, const uint32_t *b, int k, bool bf16);

void simt_copy16_async(void *shared, const void *global, bool valid);
void simt_copy_commit(void);
void simt_copy_wait_for(int groups_left);

#ifdef __cplusplus
}
#endif

#endif
