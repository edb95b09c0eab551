/*
 * What a tensor core adds, bit by bit. Products of a group of terms and the accumulator are aligned to the
 * largest exponent among them, truncated to F bits behind its binary point, added exactly, and the sum is
 * truncated to float32. Turing, Ampere and Ada: groups of 8, F = 24; Hopper and Blackwell: groups of 16,
 * F = 25. Model and figures: "MMA-Sim: bit-accurate reference model of tensor cores and matrix cores", arXiv
 * 2511.10909; arXiv 2512.07004. It has not been compared with a card here.
 */
#ifndef MS_DEVICE_SIMT_TENSOR_CORE_H
#define MS_DEVICE_SIMT_TENSOR_CORE_H

#include <stdbool.h>
#include <stdint.h>

/* d[16][8] += a[16][k] b[k][8]; k is 8 or 16. a and b hold bits of fp16, or of bf16. */
typedef struct simt_tile {
    _Alignas(32) float d[16][8];
    _Alignas(32) uint16_t a[16][16];
    _Alignas(32) uint16_t b[16][8];
} simt_tile;

void simt_tensor_core(simt_tile *tile, int k, bool bf16, int arch);

/* ---- its two halves ---- */

typedef struct simt_sum {
    int k, terms; /* of a group */
    int f;        /* bits kept behind the binary point of the largest exponent */
    int least;    /* the largest exponent is no less */
    bool bf16;
} simt_sum;

/* The model as it is stated: any values, a row at a time, slow. */
void simt_add_row(simt_tile *tile, int row, const simt_sum *sum);

/* The same bits for numbers as networks have them, eight columns at a time. A row is left as it was where an
   infinity, no number, or a result near the ends of float32's range may come up: its bit of the result is
   set. */
uint32_t simt_add_fast(simt_tile *tile, const simt_sum *sum);

#endif
