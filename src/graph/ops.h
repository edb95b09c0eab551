/* The operations that builders may append. Each is one file in graph/ops: shape inference, workspace, run. */
#ifndef MS_GRAPH_OPS_H
#define MS_GRAPH_OPS_H

#include "graph/graph.h"

/* A normalisation that is folded into the reading of an input: tables come from ms_op_group_norm(). */
typedef struct ms_norm_ref {
    ms_value tables; /* MS_NO_VALUE = none */
    int64_t images_per_table;
    ms_act act; /* NONE or SILU */
} ms_norm_ref;

#define MS_NO_NORM ((ms_norm_ref){.tables = MS_NO_VALUE})

/* What happens to a matrix product on the way out, in this order: bias, add (a
   vector value), activation, residual, scale. */
typedef struct ms_out_desc {
    const char *bias; /* parameter name or NULL */
    ms_value add;     /* whole vector of the output's channels, or MS_NO_VALUE */
    ms_act act;
    const char *slope; /* parameter name, PRELU */
    ms_value residual; /* value of the output's shape, or MS_NO_VALUE */
    float scale;       /* 0 = none */
} ms_out_desc;

#define MS_NO_OUT ((ms_out_desc){.add = MS_NO_VALUE, .residual = MS_NO_VALUE})

typedef struct ms_linear_desc {
    const char *name;   /* layer */
    ms_value src, src2; /* src2: channels that follow src's, or MS_NO_VALUE */
    int64_t n;          /* output channels of all parts; with GEGLU: of the product, twice what comes out */
    int parts;          /* matrices under one another; 0 = 1 */
    const char *weight[MS_PARAM_PARTS];
    const char *other_weight[MS_PARAM_PARTS];
    int weight_rank; /* trailing dimensions of 1 in the checkpoint: 2 (default), 3 or 4 */
    ms_norm_ref norm;
    ms_out_desc out;
    /* Biases of merged parts (attention with bias) are separate tensors; out.bias is then NULL. */
    const char *part_bias[MS_PARAM_PARTS];
    const char *other_part_bias[MS_PARAM_PARTS];
} ms_linear_desc;
ms_value ms_op_linear(ms_graph *graph, const ms_linear_desc *desc);

typedef struct ms_conv_desc {
    const char *name;
    ms_value src, src2;
    int64_t channels;                           /* out */
    int kernel_h, kernel_w, stride_h, stride_w; /* strides: 0 = 1 */
    int pad_top, pad_left, pad_bottom, pad_right;
    int groups;         /* 0 = 1 */
    int64_t up_h, up_w; /* enlarge the input to this first, nearest neighbour; 0 = not */
    int weight_rank;    /* 4 (default) or 3 for a 1-D convolution over w */
    const char *weight;
    ms_norm_ref norm;
    ms_out_desc out;
} ms_conv_desc;
ms_value ms_op_conv(ms_graph *graph, const ms_conv_desc *desc);
/* The output may take over the memory of `taken`, a value of its shape that the operation does not read. */
ms_value ms_op_conv_onto(ms_graph *graph, const ms_conv_desc *desc, ms_value taken);

typedef struct ms_group_norm_desc {
    const char *name;
    ms_value src, src2;
    int groups;
    float eps;
    int64_t images_per_table; /* statistics over this many images; 1 = each on its own */
    const char *weight, *bias;
} ms_group_norm_desc;

/*
 * Group norm is three steps: statistics of each image and row; tables of scale and shift from them; applying
 * the tables, which readers do on the fly (ms_norm_ref). This appends the first two. When images_per_table is
 * 1 both stay in the current segment over frames; otherwise the caller begins a new segment between the two
 * calls.
 */
ms_value ms_op_norm_partials(ms_graph *graph, const ms_group_norm_desc *desc);
ms_value ms_op_norm_tables(ms_graph *graph, const ms_group_norm_desc *desc, ms_value partials);
ms_value ms_op_norm_apply(ms_graph *graph, const char *name, ms_value src, ms_norm_ref norm);

typedef struct ms_layer_norm_desc {
    const char *name;
    ms_value src;
    float eps;
    const char *weight, *bias;
    const char *position; /* parameter [1, position_rows, c] added after; row = image mod images_per_window;
                             or NULL */
    int64_t position_rows, images_per_window;
} ms_layer_norm_desc;
ms_value ms_op_layer_norm(ms_graph *graph, const ms_layer_norm_desc *desc);

typedef struct ms_attention_desc {
    const char *name;
    ms_value q, kv;                          /* kv: MS_NO_VALUE = k and v lie behind q in the same value */
    int64_t q_channel, k_channel, v_channel; /* where each begins in its value */
    int heads;
    int64_t head_dim;
    int64_t frames; /* 0: tokens are pixels. Else: tokens are the frames of a window of this many images */
} ms_attention_desc;
ms_value ms_op_attention(ms_graph *graph, const ms_attention_desc *desc);

ms_value ms_op_unary(ms_graph *graph, const char *name, ms_value src, ms_act act, const char *slope);
ms_value ms_op_binary(ms_graph *graph, const char *name, ms_binary op, ms_value a, ms_value b);

/* b is a parameter: one value per channel (rank 1), or one row per pixel ([h * w,
   c], rank 2, the same for all images). */
ms_value ms_op_binary_param(ms_graph *graph, const char *name, ms_binary op, ms_value a, const char *param,
                            int rank);

typedef struct ms_pool_desc {
    const char *name;
    ms_value src;
    bool average, count_pad, ceil_mode;
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right;
} ms_pool_desc;
ms_value ms_op_pool(ms_graph *graph, const ms_pool_desc *desc);

ms_value ms_op_resize(ms_graph *graph, const char *name, ms_value src, int64_t h, int64_t w);
ms_value ms_op_concat(ms_graph *graph, const char *name, ms_value a, ms_value b);

/* The channels of 1 to MS_NODE_INPUTS parts behind one another, as many images as asked for: a part that
   has fewer is repeated from its first image on. What repeats stands outside of sliced segments. */
ms_value ms_op_join(ms_graph *graph, const char *name, const ms_value *parts, int count, int64_t images);

/* In a segment over rows: a copy of what the stripe reads of src, made before the
   stripe's output is written, so that the output may take over src's memory. */
ms_value ms_op_window(ms_graph *graph, const char *name, ms_value src);

/* A copy of any shape with as many elements an image: element (n, h, w, c) is the source's at the sum of
   index times stride, counted in elements of the source's packed memory. Turns planes into pixels and back,
   and applies transpositions. stride[0] is the source's own (whole images) when there are several images. */
ms_value ms_op_restride(ms_graph *graph, const char *name, ms_value src, ms_shape dst,
                        const int64_t stride[4]);

/* [n, h, w, c] -> [n, 1, 1, c * h * w] in C,H,W order (torch's flatten of an image). */
ms_value ms_op_flatten(ms_graph *graph, const char *name, ms_value src);

/* ---- latents; outside of sliced segments ---- */

/* Normals (base/philox.h) of a shape. numbers: a whole value [1, 1, 1, 2 n] of
   uint32_t words, stream and frame of each image; MS_NO_VALUE: 0 and 0. */
ms_value ms_op_noise(ms_graph *graph, const char *name, uint64_t seed, ms_value numbers, ms_shape shape);

/* (mean + deviation * normal - shift) * scale; moments: mean, then log variance,
   twice the channels of normals. */
ms_value ms_op_posterior(ms_graph *graph, const char *name, ms_value moments, ms_value normals, float shift,
                         float scale);
/* src / divisor + shift. */
ms_value ms_op_rescale(ms_graph *graph, const char *name, ms_value src, float divisor, float shift);

/* noise: images without the condition, then as many with it; the result has half of them. */
ms_value ms_op_guide(ms_graph *graph, const char *name, ms_value noise, float scale);
/* One step of DDIM. step: a whole value of the four factors of ms_ddim_args. */
ms_value ms_op_ddim(ms_graph *graph, const char *name, ms_value sample, ms_value noise, ms_value step);

/* A whole value of one uint32_t word: 1 if anything in src is infinite or no number, else 0. */
ms_value ms_op_finite(ms_graph *graph, const char *name, ms_value src);

#endif
