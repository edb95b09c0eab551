/*
 * What a back end computes: the arguments of every kernel and the exact meaning of its result.
 *
 * Types. Every operand says its own; sums are float32 whatever the operands are,
 * tables and parameters that are vectors are float32, and a result is rounded to
 * its rows' type once, when it is stored (to nearest even).
 *
 * Layout. Activations are channels-last: element (outer i, inner j, channel c) of an
 * ms_rows is at data[i * outer_stride + j * inner_stride + c]. outer runs over images
 * (frames of one or two guidance branches), inner over pixels (y * w + x) or tokens.
 * A slice of a tensor is the same struct with another data pointer and fewer rows.
 *
 * Same bits. The result of an output element depends on the layer's shape and the
 * values it reads, never on how many rows a call has, where a slice begins, how
 * many threads run, or which of the CPU's instruction sets is used:
 * - a dot product is one chain acc = fma(a_k, b_k, acc) from acc = 0 over ascending k
 *   (fused, single rounding); blocking over k keeps the chain by storing and reloading acc;
 * - exp, erf and what is built from them are this project's own polynomials,
 *   evaluated with the same fused operations at every vector width;
 * - other reductions have a fixed shape that is stated with the kernel.
 * So every implementation of a kernel, the plain C one included, gives the same bits, and tests compare
 * with ==.
 *
 * A call gives work to a queue and may return before it is done (device.h): arguments are copied, what
 * they point at must stay. Kernels allocate nothing. A workspace is passed in; its size comes from the
 * kernel's _workspace function with the same arguments (there, pointers are only compared with NULL).
 * It does not depend on a weight's data or type: networks are planned before their weights are loaded.
 */
#ifndef MS_DEVICE_KERNELS_H
#define MS_DEVICE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "memsafe/status.h"

typedef struct ms_device ms_device;
typedef struct ms_queue ms_queue;

typedef struct ms_rows {
    void *data;
    int64_t outer, inner, channels;
    int64_t outer_stride, inner_stride; /* elements */
    ms_dtype dtype;                     /* F32; F16 and BF16 where the device keeps activations in these */
} ms_rows;

/* So many elements further. */
static inline void *ms_elements_at(const void *data, ms_dtype dtype, int64_t elements) {
    return (char *)(uintptr_t)data + elements * (int64_t)ms_dtype_bytes(dtype);
}

/* Activation functions. GELU is the exact one (erf). GEGLU halves the channels:
   hidden * gelu(gate), hidden first. */
typedef enum ms_act {
    MS_ACT_NONE,
    MS_ACT_SILU,
    MS_ACT_GELU,
    MS_ACT_GEGLU, /* linear's epilogue only */
    MS_ACT_RELU,
    MS_ACT_PRELU, /* per-channel slope */
    MS_ACT_SIGMOID,
} ms_act;

/* ---- weights ---- */

/*
 * A weight matrix in the order that the kernels read it, in its stored precision (F32, F16 or BF16; widened
 * when used):
 *
 *   PANEL      [ceil(n / 16)][k][16]: 16 output channels side by side, zero padded.
 *              k = (ky * kw + kx) * c_in + c for a convolution, k = c for a linear layer
 *   GEGLU      as PANEL with 2 * n/2 outputs; panels alternate: 16 hidden channels, then the 16 gates that
 *              belong to them
 *   WINOGRAD   [ceil(n / 16)][c_in][9][16]: the raw 3x3 taps; the transform is done on use, in float32
 *   DEPTHWISE  [kh * kw][c]
 */
typedef enum ms_weight_layout {
    MS_LAYOUT_PANEL,
    MS_LAYOUT_GEGLU,
    MS_LAYOUT_WINOGRAD,
    MS_LAYOUT_DEPTHWISE,
} ms_weight_layout;

typedef struct ms_weight {
    const void *data;
    ms_dtype dtype;
    ms_weight_layout layout;
    int64_t n, k; /* output channels (both halves for GEGLU), inputs per output */
} ms_weight;

/* ---- what happens on the way in and out of a matrix kernel ---- */

/* x' = act(fma(x, scale[c], shift[c])): a normalisation folded into the reader. One pair of tables serves
   `outer_per_table` consecutive outer rows counted from the tensor's absolute row 0; `outer_first` is the
   absolute row of the slice's first one. Convolutions pad after it, with zeros. */
typedef struct ms_prologue {
    const float *tables; /* NULL = none; [tables][2][channels]: scale, then shift */
    int64_t outer_per_table, outer_first;
    ms_act act; /* NONE or SILU */
} ms_prologue;

/* y = ((act((acc + bias[n]) + add[n])) + residual) * scale, each step in this order, and left out where it is
   absent. */
typedef struct ms_epilogue {
    const float *bias; /* [n] or NULL */
    const float *add;  /* [n] or NULL: the time embedding's projection */
    ms_act act;
    const float *slope; /* [n], PRELU only */
    ms_rows residual;   /* same rows as the output; may be the output itself; data NULL = none */
    float scale;        /* 0 and 1 both mean none */
} ms_epilogue;

/* ---- kernels ---- */

/* dst[i, j, n] = epilogue(sum_k prologue(src[i, j, k]) * w[n, k]). With two sources k runs through the
   channels of src[0], then of src[1] (a concatenation that is never stored). */
typedef struct ms_linear_args {
    ms_rows src[2];
    int n_src;
    ms_rows dst;
    ms_weight weight; /* PANEL, or GEGLU with epilogue.act GEGLU */
    ms_prologue prologue;
    ms_epilogue epilogue;
} ms_linear_args;

/*
 * 2-D convolution over images stored as rows (inner = h * w). Output (y, x) reads the input rows
 * y * stride_h - pad_top + ky, and columns likewise. up_h, up_w: 0, or the size to which the input is
 * enlarged first by nearest neighbour: source row = min(floorf(y * ((float)src_h / up_h)), src_h - 1),
 * likewise columns.
 *
 * Layer shapes that go through Winograd F(4x4, 3x3) are those for which ms_conv2d_layout() says WINOGRAD;
 * their sums run over c_in in the transformed domain, tiles are anchored at (0, 0) of the image. All others
 * are one chain over k of the PANEL order; taps that fall on padding contribute fma(0, w, acc).
 *
 * Stripes. dst may hold rows dst_y to dst_y + dst_rows - 1 of the image only, and src rows src_y to
 * src_y + src_rows - 1, as long as these are all that the outputs read. With WINOGRAD a stripe begins and
 * ends at a multiple of 4 or at the image's end.
 */
typedef struct ms_conv2d_args {
    ms_rows src[2];
    int n_src;
    int64_t src_h, src_w; /* of whole images */
    ms_rows dst;
    int64_t dst_h, dst_w;
    int64_t src_y, src_rows, dst_y, dst_rows; /* rows 0: the whole image */
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, groups;
    int64_t up_h, up_w;
    ms_weight weight;
    ms_prologue prologue;
    ms_epilogue epilogue;
} ms_conv2d_args;

/*
 * Group norm, first pass: partial sums of each outer row and image row. For a channel and an image row, with
 * x0 = the row's first pixel: s = sum (x - x0), q = sum of squares by fma, in float, over ascending x. A
 * group's channels are merged in ascending order in double into mean and M2 (Chan, Golub, LeVeque 1979).
 * partials[(i * h + y) * groups + g] = {mean, M2}. Two sources count as one concatenated channel range;
 * groups may straddle them.
 */
typedef struct ms_norm_partials_args {
    ms_rows src[2];
    int n_src;
    int64_t h, w;
    int groups;
    double (*partials)[2];
} ms_norm_partials_args;

/*
 * Second pass: merges the partials of `outer_per_table` consecutive outer rows (1: per image; the window's
 * frames: the UNet's resnets) in ascending order. tables is [outer / outer_per_table][2][channels]:
 *
 *   scale[c] = gamma[c] * rstd, shift[c] = beta[c] - mean * scale[c],
 *   with rstd = 1 / sqrt(M2 / count + eps) in double.
 */
typedef struct ms_norm_tables_args {
    const double (*partials)[2];
    int64_t outer, h, w, channels, outer_per_table;
    int groups;
    float eps;
    const float *gamma, *beta;
    float *tables;
} ms_norm_tables_args;

/* dst = prologue(src) stored (where the consumer cannot fold it in). dst may be src. */
typedef struct ms_norm_apply_args {
    ms_rows src, dst;
    ms_prologue prologue;
} ms_norm_apply_args;

/*
 * Layer norm over channels: mean and variance (two passes over the row, biased) with 16 partial sums in
 * float, of which lane c mod 16 takes channel c, joined pairwise (lane i with i + 8, i + 4, i + 2, i + 1).
 * y = fma((x - mean) * rstd, gamma, beta); where position is given,
 * position[(outer_first + i) mod position_rows][c] is added to it. dst may be src.
 */
typedef struct ms_layer_norm_args {
    ms_rows src, dst;
    const float *gamma, *beta;
    float eps;
    const float *position; /* [position_rows][channels] or NULL */
    int64_t position_rows, outer_first;
} ms_layer_norm_args;

/*
 * softmax(scale * q k^T) v per batch and head. Batch (i, j): i < batch_outer, j < batch_inner; token t of q
 * is at q + i * q_stride[0] + j * q_stride[1] + t * q_stride[2], head h at + h * head_dim; likewise k, v, out
 * (the output has q's tokens). Spatial attention: outer = images, token stride = a pixel. Temporal attention:
 * outer = branches, inner = pixels, token stride = a frame.
 *
 * Online softmax over blocks of MS_ATTENTION_KEYS keys anchored at key 0, per query row: q is multiplied by
 * scale first; s_j = chain over d; m' = max(m, s of the block); p_j = exp(s_j - m'); alpha = exp(m - m');
 * l = fma(l, alpha, sum of p in ascending j); acc_d = acc_d * alpha, then the chain over j; at the end
 * acc_d / l.
 */
#define MS_ATTENTION_KEYS 64
typedef struct ms_attention_args {
    const void *q, *k, *v;
    void *out;
    ms_dtype dtype; /* of all four */
    int64_t q_stride[3], k_stride[3], v_stride[3], out_stride[3];
    int64_t batch_outer, batch_inner, q_tokens, kv_tokens;
    int heads, head_dim;
    float scale;
} ms_attention_args;

typedef enum ms_binary { MS_BINARY_ADD, MS_BINARY_SUB, MS_BINARY_MUL, MS_BINARY_DIV } ms_binary;

/* dst = act(a op b). b is a tensor of a's rows, or one value per channel
   (b_channel), broadcast over the rows. */
typedef struct ms_binary_args {
    ms_binary op;
    ms_rows a, b, dst;
    const float *b_channel; /* [channels]; b is then ignored */
    ms_act act;
} ms_binary_args;

typedef struct ms_unary_args {
    ms_rows src, dst; /* dst may be src */
    ms_act act;
    const float *slope; /* PRELU */
} ms_unary_args;

/* Pooling; padding never counts in the mean unless count_pad. Ceil mode is expressed by dst_h, dst_w. */
typedef struct ms_pool_args {
    bool average; /* else max */
    bool count_pad;
    ms_rows src, dst;
    int64_t src_h, src_w, dst_h, dst_w;
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right;
} ms_pool_args;

/* Nearest neighbour, as ONNX's Resize with asymmetric and floor:
   source row = min(floor(y * src_h / dst_h), src_h - 1). */
typedef struct ms_resize_args {
    ms_rows src, dst;
    int64_t src_h, src_w, dst_h, dst_w;
} ms_resize_args;

/* dst rows = src rows, any strides (concatenation, gathering, layout changes built from it). channel_stride
   of the two sides in elements: 1, or h * w to go between channels-last and planar. */
typedef struct ms_copy_args {
    const void *src;
    void *dst;
    ms_dtype dtype; /* of both */
    int64_t outer, inner, channels;
    int64_t src_stride[3], dst_stride[3]; /* outer, inner, channel */
} ms_copy_args;

/* ---- latents between the networks: element by element, each operation rounded, none fused ---- */

/* Normals of base/philox.h: element (i, j, c) is number c * inner + j of (seed,
   stream, frame), planes as rows. log, cos and sin are the C library's, in double. */
typedef struct ms_noise_args {
    uint64_t seed;
    /* [outer], on the device: stream and frame of each outer row; NULL = 0 and 0 */
    const uint32_t (*numbers)[2];
    ms_rows dst;
} ms_noise_args;

/* A sample of a posterior: dst = (mean + expf(0.5 * clamp(logvar, -30, 20)) * normal - shift) * scale, with
   the mean in the first half of the moments' channels and the log variance in the second. expf is the C
   library's. */
typedef struct ms_posterior_args {
    ms_rows moments; /* twice dst's channels */
    ms_rows normals, dst;
    float shift, scale;
} ms_posterior_args;

/* dst = src / divisor + shift. dst may be src. */
typedef struct ms_rescale_args {
    ms_rows src, dst;
    float divisor, shift;
} ms_rescale_args;

/* Classifier-free guidance: dst = without + scale * (with - without). dst may be either. */
typedef struct ms_guide_args {
    ms_rows without, with, dst;
    float scale;
} ms_guide_args;

/* A step of DDIM: original = (sample - step[1] * noise) / step[0];
   dst = step[2] * original + step[3] * noise. dst may be sample. */
typedef struct ms_ddim_args {
    ms_rows sample, noise, dst;
    const float *step; /* [4], on the device: roots of alpha and beta, then of those of the step below */
} ms_ddim_args;

/* Sets *flag, on the device, to 1 if any element is infinite or no number; else it is left as it is. */
typedef struct ms_check_finite_args {
    ms_rows src;
    uint32_t *flag;
} ms_check_finite_args;

/* ---- the table ---- */

typedef struct ms_kernels {
    /* Which layout a layer's weight must have; depends on the layer's shape only,
       never on the number of images. */
    ms_weight_layout (*conv2d_layout)(const ms_conv2d_args *args);

    size_t (*linear_workspace)(const ms_device *dev, const ms_linear_args *args);
    ms_status (*linear)(ms_queue *queue, const ms_linear_args *args, void *workspace);
    size_t (*conv2d_workspace)(const ms_device *dev, const ms_conv2d_args *args);
    ms_status (*conv2d)(ms_queue *queue, const ms_conv2d_args *args, void *workspace);
    size_t (*attention_workspace)(const ms_device *dev, const ms_attention_args *args);
    ms_status (*attention)(ms_queue *queue, const ms_attention_args *args, void *workspace);

    ms_status (*norm_partials)(ms_queue *queue, const ms_norm_partials_args *args);
    ms_status (*norm_tables)(ms_queue *queue, const ms_norm_tables_args *args);
    ms_status (*norm_apply)(ms_queue *queue, const ms_norm_apply_args *args);
    ms_status (*layer_norm)(ms_queue *queue, const ms_layer_norm_args *args);
    ms_status (*binary)(ms_queue *queue, const ms_binary_args *args);
    ms_status (*unary)(ms_queue *queue, const ms_unary_args *args);
    ms_status (*pool)(ms_queue *queue, const ms_pool_args *args);
    ms_status (*resize)(ms_queue *queue, const ms_resize_args *args);
    ms_status (*copy)(ms_queue *queue, const ms_copy_args *args);

    ms_status (*noise)(ms_queue *queue, const ms_noise_args *args);
    ms_status (*posterior)(ms_queue *queue, const ms_posterior_args *args);
    ms_status (*rescale)(ms_queue *queue, const ms_rescale_args *args);
    ms_status (*guide)(ms_queue *queue, const ms_guide_args *args);
    ms_status (*ddim)(ms_queue *queue, const ms_ddim_args *args);
    ms_status (*check_finite)(ms_queue *queue, const ms_check_finite_args *args);
} ms_kernels;

/* All of them but conv2d_layout, which is asked before there is a queue. */
#define MS_KERNELS(X)                                                                                        \
    X(linear_workspace)                                                                                      \
    X(linear)                                                                                                \
    X(conv2d_workspace)                                                                                      \
    X(conv2d)                                                                                                \
    X(attention_workspace)                                                                                   \
    X(attention)                                                                                             \
    X(norm_partials)                                                                                         \
    X(norm_tables)                                                                                           \
    X(norm_apply)                                                                                            \
    X(layer_norm)                                                                                            \
    X(binary)                                                                                                \
    X(unary)                                                                                                 \
    X(pool)                                                                                                  \
    X(resize)                                                                                                \
    X(copy)                                                                                                  \
    X(noise)                                                                                                 \
    X(posterior)                                                                                             \
    X(rescale)                                                                                               \
    X(guide)                                                                                                 \
    X(ddim)                                                                                                  \
    X(check_finite)

#endif
