/*
 * The part of CUDA that kernels are written in. The same source is compiled by nvcc for cards and by the
 * host's C++ compiler for the emulator (emulator.h), which runs the threads of a block as fibers and finds
 * what a card would punish silently.
 *
 * Kernels. A block is one row of threads, a multiple of 32. A kernel has one parameter, a struct that is
 * copied at the launch:
 *
 *     SIMT_KERNEL(128) add(SIMT_PARAM(add_args, a)) { ... }
 *     extern "C" const simt_kernel simt_add = SIMT_DESCRIBE(add, add_args, 128, sizeof(add_shared));
 *
 *     simt_thread()     number of the thread in its block
 *     simt_lane()       the same within its warp, simt_thread() % 32
 *     simt_warp()       simt_thread() / 32
 *     simt_block_x(), _y(), _z()    number of the block in the grid
 *     simt_blocks_x()   blocks along x
 *     SIMT_SHARED(type, name)       the block's shared memory, as large as the launch said; once a kernel
 *     simt_barrier()    all threads of the block; what was written before is seen after
 *     simt_warp_barrier()           the same for the 32 threads of a warp
 *
 * A thread must not return while others of its block come to a barrier.
 *
 * Warps. All 32 lanes come to each of these together. They order no other reads and writes.
 *
 *     simt_shuffle_xor(value, mask) the value of lane ^ mask: float, double, uint32_t, int
 *     simt_shuffle(value, lane)     the value of a lane
 *     simt_load_matrix_x4(r, row), _x2(r, row), _x4_transposed(r, row), _x2_transposed(r, row)
 *                       ldmatrix: 8x8 matrices of 16 bits; lane l says where row l % 8 of matrix l / 8
 *                       begins (x2: lanes 0 to 15), 16-byte aligned
 *     simt_mma_16816<T>(d, a, b), simt_mma_1688<T>(d, a, b)
 *                       mma.sync m16n8k16, m16n8k8 (row, col): d[4] += a[4] b[2]; a[2] b[1]. T is simt_f16 or
 *                       simt_bf16 (sm_80 and later), sums are float32, the fragments are PTX's
 *     simt_multiplies<T>()          whether they are there; a kernel that needs them does nothing else
 *
 * Copies of 16 bytes from global to shared memory, which pass no register (sm_80 and later; before, they are
 * done at once):
 *
 *     simt_copy16_async(shared, global, valid)      zeros unless valid; both 16-byte aligned
 *     simt_copy_commit()            the copies since the last commit are a group
 *     simt_copy_wait<N>()           all groups of this thread but its N latest are done; for others to see
 *                                   them takes a barrier
 *
 * Arithmetic is IEEE: nvcc gets -fmad=false and no fast math, so a product and a sum are fused where the
 * source says simt_fma(), nowhere else.
 *
 *     simt_to_float(x), simt_from_float<T>(x)       T: float, simt_f16, simt_bf16; to nearest even
 *     simt_pack(low, high)          two 16-bit values as a fragment's register
 *     simt_bits(x), simt_float(u)   a float32's bits and back; simt_bits64, simt_double
 *     simt_load16(p), simt_store16(p, v)            16 bytes at once, aligned: simt_words {uint32_t w[4]}
 */
#ifndef MS_DEVICE_SIMT_SIMT_H
#define MS_DEVICE_SIMT_SIMT_H

#include <stddef.h>
#include <stdint.h>

#include "device/simt/kernel.h"

struct simt_f16 {
    uint16_t bits;
};

struct simt_bf16 {
    uint16_t bits;
};

struct alignas(16) simt_words {
    uint32_t w[4];
};

#ifdef __CUDACC__
#include "device/simt/simt_nvcc.h"
#else
#include "device/simt/simt_host.h"
#endif

SIMT_FN int simt_lane() {
    return simt_thread() & 31;
}

SIMT_FN int simt_warp() {
    return simt_thread() >> 5;
}

template <class T> SIMT_FN uint32_t simt_pack(T low, T high) {
    return (uint32_t)low.bits | (uint32_t)high.bits << 16;
}

#endif
