/*
 * Times single kernels on the layer shapes of the official models (UNet at a 32x32 latent with 16 frames x 2
 * guidance branches, VAE decoder at 256x256, Whisper tiny) with random data and weights.
 */
#ifndef MS_BENCH_KERNEL_BENCH_H
#define MS_BENCH_KERNEL_BENCH_H

#include "device/compute.h"

typedef enum ms_bench_kind {
    MS_BENCH_LINEAR,    /* rows x c_in -> c_out */
    MS_BENCH_GEGLU,     /* rows x c_in -> c_out, twice as many weights */
    MS_BENCH_CONV,      /* images of h x w, c_in -> c_out */
    MS_BENCH_ATTENTION, /* images x heads, h queries, w keys, c_in channels a head */
    MS_BENCH_TEMPORAL,  /* the same, h frames apart; w pixels */
    MS_BENCH_NORM,      /* group norm: partial sums, tables, application with SiLU */
    MS_BENCH_LAYER_NORM,
    MS_BENCH_ADD,
} ms_bench_kind;

typedef struct ms_bench_case {
    const char *name;
    ms_bench_kind kind;
    int images, h, w, c_in, c_out; /* CONV: h, w of the output */
    int kernel, stride, up;        /* CONV; up: 2 = the input is half the size and enlarged */
    int heads;
    bool prologue, residual; /* group norm and SiLU on the way in, residual on the way out */
    int per_step;            /* how often the official network runs it; 0 = not part of the UNet */
} ms_bench_case;

typedef struct ms_bench_result {
    double seconds; /* the best run */
    double flops;   /* of the direct computation */
    double bytes;   /* read and written once; what bounds the kernels without products */
    size_t workspace_bytes;
} ms_bench_result;

extern const ms_bench_case ms_bench_cases[];
extern const int ms_bench_case_count;

/* Runs the case for about min_seconds, at least twice, with weights stored as dtype. */
ms_status ms_bench_run(const ms_compute *compute, const ms_bench_case *test, ms_dtype dtype,
                       double min_seconds, ms_bench_result *ret_result, ms_error *err);

#endif
