/*
 * The inner loops of the cpu back end: one table per instruction set, made from the same sources. The drivers
 * (linear.c, conv2d.c, winograd.c, attention.c, norm.c, rows.c) cut a kernel's work into these pieces, share
 * them out among the threads and know nothing of vectors. A table is filled by the C set first; each better
 * set overwrites what it has.
 */
#ifndef MS_DEVICE_CPU_OPS_H
#define MS_DEVICE_CPU_OPS_H

#include "device/device.h"

#define MS_PANEL 16             /* output channels of a weight panel */
#define MS_PAIR (2 * MS_PANEL)  /* two panels: the columns that a matrix tile has */
#define MS_WINOGRAD_POINTS 36   /* F(4x4, 3x3) */
#define MS_ATTENTION_QUERIES 32 /* query rows of one attention job */

/*
 * c[r][0..31] (+)= sum over k of a[r * a_row + k * a_k] * b[p][k * b_k + 0..15], the chain of each element in
 * ascending k. b[1] NULL: one panel, columns 16..31 of c are left alone. accumulate: the chain goes on from
 * c. widened: room for k x 32 floats, or NULL. 16-bit weights are widened into it on the way through the
 * first tile of rows and read from there for the others: widening costs the inner loop 9 %, and a pass of its
 * own as much again, because nothing then hides the latency of the weights. next: the weights that will be
 * multiplied next, fetched to the second-level cache on the way; NULL: none.
 */
typedef struct ms_gemm_job {
    int64_t rows, k;
    const float *a;
    int64_t a_row, a_k;
    const void *b[2];
    int64_t b_k;
    float *c;
    int64_t c_row;
    bool accumulate;
    float *widened;
    const void *next[2];
} ms_gemm_job;

/* An epilogue whose tables already point at the first of the columns at hand. */
typedef struct ms_columns_epilogue {
    const float *bias, *add, *slope; /* NULL when absent */
    ms_act act;
    float scale; /* 1 = none */
} ms_columns_epilogue;

/* Rows of finished sums through the epilogue to dst. GEGLU: c holds 16 hidden columns, then their 16 gates,
   for every 16 columns of dst. */
typedef struct ms_store_job {
    const float *c;
    int64_t c_row;
    int64_t rows, columns; /* of dst */
    float *dst;
    int64_t dst_row;
    const float *residual; /* NULL when absent */
    int64_t residual_row;
    ms_columns_epilogue epilogue; /* GEGLU: bias and add of the hidden half */
    const float *gate_bias, *gate_add;
} ms_store_job;

/* dst[r][c] = act(fma(src[r][c], scale[c], shift[c])); scale NULL: a copy. */
typedef struct ms_scale_job {
    const float *src;
    int64_t src_row;
    float *dst;
    int64_t dst_row;
    int64_t rows, n;
    const float *scale, *shift;
    ms_act act;
} ms_scale_job;

/* One tile: the 6x6 pixels from src (n channels) to its 36 points, v[point * v_point + 0..n-1]. */
typedef struct ms_winograd_input_job {
    const float *src;
    int64_t src_y, src_x; /* elements between image rows, between pixels */
    int64_t n;
    float *v;
    int64_t v_point;
} ms_winograd_input_job;

/*
 * The taps [c_in][9][16] of one or two panels (taps[1] NULL) to 12 of the 36 points: those of group 0 to 2,
 * ms_winograd_point(group, 0..11). u[i * u_point + c * 32 + 0..31].
 */
#define MS_WINOGRAD_GROUPS 3
#define MS_WINOGRAD_GROUP_POINTS 12
typedef struct ms_winograd_weight_job {
    const void *taps[2];
    ms_dtype dtype;
    int group;
    int64_t c_in;
    float *u;
    int64_t u_point;
} ms_winograd_weight_job;

/* Points are numbered 6 y + x. A group holds two x, which share most of their arithmetic: 0 and infinity, a
   and -a, b and -b. */
static inline int ms_winograd_point(int group, int i) {
    static const uint8_t x[MS_WINOGRAD_GROUPS][2] = {{0, 5}, {1, 2}, {3, 4}};
    return i % 6 * 6 + x[group][i / 6];
}

/* m[point * m_point + 0..columns-1] of one tile to h x w (at most 4x4) pixels of dst. */
typedef struct ms_winograd_output_job {
    const float *m;
    int64_t m_point;
    int64_t columns; /* at most 32 */
    int h, w;
    float *dst;
    int64_t dst_y, dst_x;
    const float *residual;
    int64_t residual_y, residual_x;
    ms_columns_epilogue epilogue;
} ms_winograd_output_job;

/* Up to MS_ATTENTION_QUERIES queries of one head against all keys. */
typedef struct ms_attention_job {
    const float *q, *k, *v;
    float *out;
    int64_t q_token, k_token, v_token, out_token; /* elements between tokens */
    int64_t queries, keys, head_dim;
    float scale;
    float *workspace; /* ms_attention_job_floats(head_dim) */
} ms_attention_job;

static inline int64_t ms_attention_job_floats(int64_t head_dim) {
    int64_t padded = (head_dim + 15) / 16 * 16;
    return MS_ATTENTION_QUERIES * (2 * padded + MS_ATTENTION_KEYS);
}

/* One image row's sums per channel, differences taken from its first pixel: see ms_norm_partials_args. */
typedef struct ms_norm_row_job {
    const float *src;
    int64_t src_x, w, n;
    float *sum, *squares;
} ms_norm_row_job;

typedef struct ms_layer_norm_job {
    const float *src, *gamma, *beta;
    const float *position; /* NULL when absent */
    float *dst;
    int64_t n;
    float eps;
} ms_layer_norm_job;

typedef struct ms_binary_job {
    ms_binary op;
    ms_act act;
    const float *a, *b;
    float *dst;
    int64_t a_row, b_row, dst_row; /* b_row 0: per channel */
    int64_t rows, n;
} ms_binary_job;

typedef struct ms_unary_job {
    ms_act act;
    const float *src, *slope;
    float *dst;
    int64_t src_row, dst_row, rows, n;
} ms_unary_job;

/* dst[c] = epilogue(chain over taps of prologue(src[tap][c]) * weight[tap * n + c]), c < n; a NULL tap is
   padding. */
typedef struct ms_depthwise_job {
    const float *const *taps;
    int n_taps;
    const void *weight;
    ms_dtype dtype;
    int64_t n;
    const float *scale, *shift; /* NULL: no prologue */
    ms_act act;
    float *dst;
    const float *residual;
    ms_columns_epilogue epilogue;
} ms_depthwise_job;

/* dst[c] = max or sum / divisor over taps. */
typedef struct ms_pool_job {
    const float *const *taps;
    int n_taps;
    bool average;
    float divisor;
    float *dst;
    int64_t n;
} ms_pool_job;

typedef struct ms_cpu_ops {
    void (*gemm_f32)(const ms_gemm_job *job);
    void (*gemm_f16)(const ms_gemm_job *job);
    void (*gemm_bf16)(const ms_gemm_job *job);
    void (*store)(const ms_store_job *job);
    void (*scale)(const ms_scale_job *job);
    void (*winograd_input)(const ms_winograd_input_job *job);
    void (*winograd_weight)(const ms_winograd_weight_job *job);
    void (*winograd_output)(const ms_winograd_output_job *job);
    void (*attention)(const ms_attention_job *job);
    void (*norm_row)(const ms_norm_row_job *job);
    void (*layer_norm)(const ms_layer_norm_job *job);
    void (*binary)(const ms_binary_job *job);
    void (*unary)(const ms_unary_job *job);
    void (*depthwise)(const ms_depthwise_job *job);
    void (*pool)(const ms_pool_job *job);
    /* so many v16 fused multiply-adds, a multiple of 12, in independent chains */
    float (*peak)(int64_t fmas);
} ms_cpu_ops;

void ms_cpu_ops_c(ms_cpu_ops *ops);
void ms_cpu_ops_avx2(ms_cpu_ops *ops);
void ms_cpu_ops_avx512(ms_cpu_ops *ops);

#endif
