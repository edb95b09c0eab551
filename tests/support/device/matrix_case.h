/*
 * Random linear layers and convolutions for the CUDA back end's kernels: the same values in float32 for the
 * processor and in any types for the card, in blocks of exactly the size that they need.
 */
#ifndef MS_TESTS_MATRIX_CASE_H
#define MS_TESTS_MATRIX_CASE_H

#include "support/device/kernel_test.h"
#include "support/device/simt_direct.h"

#include "device/cuda/matmul.h"

typedef enum matrix_kind {
    MATRIX_LINEAR,
    MATRIX_GEGLU,
    MATRIX_CONV,
    MATRIX_GROUPS,
    MATRIX_DEPTHWISE,
    MATRIX_KINDS
} matrix_kind;

typedef struct matrix_types {
    ms_dtype src[2], weight, dst, residual;
} matrix_types;

/* How large, at most. */
typedef struct matrix_sizes {
    int64_t outer, side, channels, n; /* side: of images; a linear layer has up to its square of rows */
    int64_t step;                     /* channels are a multiple of it */
} matrix_sizes;

/* The card's copy of a tensor. */
typedef struct card_tensor {
    void *block;
    size_t bytes;
    ms_rows rows;
} card_tensor;

/* A linear layer is a 1x1 convolution over one line: conv2d's arguments for all, on the host and on the
   card. */
typedef struct matrix_case {
    matrix_kind kind;
    test_tensor src[2], dst;
    test_weight weight;
    test_epilogue epilogue;
    card_tensor card_src[2], card_dst, card_residual;
    void *card_weight;
    bool in_place; /* the card's residual is its dst */
    ms_conv2d_args host, card;
} matrix_case;

/* In place. direct packs the card's weights. */
void matrix_case_random(uint64_t *rng, matrix_kind kind, const matrix_types *types, const matrix_sizes *sizes,
                        simt_direct *direct, matrix_case *c);
void matrix_case_free(matrix_case *c);
/* Moves the card's sources by one element, so that they lie at no multiple of 16 bytes. */
void matrix_case_misalign(matrix_case *c);

/* By the processor's direct chains. */
void matrix_case_on_host(const ms_compute *compute, const matrix_case *c, const ms_conv2d_args *args);
/* The card's output as it is before a kernel runs: poison, or the residual. */
void matrix_case_reset(matrix_case *c);
void matrix_case_on_card(simt_direct *direct, const matrix_case *c, const ms_conv2d_args *args,
                         cuda_tile tile);
/* The same, cut between outer rows; in stripes of images. */
void matrix_case_sliced(simt_direct *direct, const matrix_case *c, int64_t cut, cuda_tile tile);
void matrix_case_striped(simt_direct *direct, const matrix_case *c, uint64_t *rng, cuda_tile tile);

/* An element of a tensor of any type. */
float card_at(const ms_rows *rows, int64_t outer, int64_t inner, int64_t channel);
/* The card's output has the host's values, rounded, and poison between rows. */
void matrix_case_same_as_host(const matrix_case *c, const char *what);
/* What the card's output is now, and whether it is so again. */
void *matrix_case_keep(const matrix_case *c);
void matrix_case_same_as(const matrix_case *c, const void *kept, const char *what);

#endif
