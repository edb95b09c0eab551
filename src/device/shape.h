/*
 * What follows from the arguments of a kernel alone: whether they make sense, and derived sizes. Shared by
 * the cpu and dummy back ends, so that a graph that the dummy accepts runs on the cpu. Every check is made
 * once, here, at the edge; kernels behind it trust their arguments.
 *
 * A check returns MS_INVALID_ARGUMENT for arguments that no kernel has a meaning for. Data pointers must not
 * be NULL; what they point at is not looked at.
 */
#ifndef MS_DEVICE_SHAPE_H
#define MS_DEVICE_SHAPE_H

#include "base/error.h"
#include "device/device.h"

ms_status ms_check_linear(const ms_linear_args *args);
ms_status ms_check_conv2d(const ms_conv2d_args *args);
/* The same for a back end whose conv2d_layout() says `layout`. */
ms_status ms_check_conv2d_as(const ms_conv2d_args *args, ms_weight_layout layout);
ms_status ms_check_attention(const ms_attention_args *args);
ms_status ms_check_norm_partials(const ms_norm_partials_args *args);
ms_status ms_check_norm_tables(const ms_norm_tables_args *args);
ms_status ms_check_norm_apply(const ms_norm_apply_args *args);
ms_status ms_check_layer_norm(const ms_layer_norm_args *args);
ms_status ms_check_binary(const ms_binary_args *args);
ms_status ms_check_unary(const ms_unary_args *args);
ms_status ms_check_pool(const ms_pool_args *args);
ms_status ms_check_resize(const ms_resize_args *args);
ms_status ms_check_copy(const ms_copy_args *args);
ms_status ms_check_noise(const ms_noise_args *args);
ms_status ms_check_posterior(const ms_posterior_args *args);
ms_status ms_check_rescale(const ms_rescale_args *args);
ms_status ms_check_guide(const ms_guide_args *args);
ms_status ms_check_ddim(const ms_ddim_args *args);
ms_status ms_check_check_finite(const ms_check_finite_args *args);

/* The types of the activations that a call reads or writes, 1 << dtype each: a back
   end refuses those that it does not keep. */
unsigned ms_dtypes_linear(const ms_linear_args *args);
unsigned ms_dtypes_conv2d(const ms_conv2d_args *args);
unsigned ms_dtypes_attention(const ms_attention_args *args);
unsigned ms_dtypes_norm_partials(const ms_norm_partials_args *args);
unsigned ms_dtypes_norm_tables(const ms_norm_tables_args *args);
unsigned ms_dtypes_norm_apply(const ms_norm_apply_args *args);
unsigned ms_dtypes_layer_norm(const ms_layer_norm_args *args);
unsigned ms_dtypes_binary(const ms_binary_args *args);
unsigned ms_dtypes_unary(const ms_unary_args *args);
unsigned ms_dtypes_pool(const ms_pool_args *args);
unsigned ms_dtypes_resize(const ms_resize_args *args);
unsigned ms_dtypes_copy(const ms_copy_args *args);
unsigned ms_dtypes_noise(const ms_noise_args *args);
unsigned ms_dtypes_posterior(const ms_posterior_args *args);
unsigned ms_dtypes_rescale(const ms_rescale_args *args);
unsigned ms_dtypes_guide(const ms_guide_args *args);
unsigned ms_dtypes_ddim(const ms_ddim_args *args);
unsigned ms_dtypes_check_finite(const ms_check_finite_args *args);

/* Both: returns from a back end's function of that name unless the device takes the
   arguments. MS_UNSUPPORTED: a type. */
#define MS_TRY_KERNEL_ARGS(dev, name, args)                                                                  \
    do {                                                                                                     \
        MS_TRY(ms_check_##name(args));                                                                       \
        if (ms_dtypes_##name(args) & ~(dev)->caps.activations)                                               \
            return MS_UNSUPPORTED;                                                                           \
    } while (0)

/* The table of a back end whose functions have the kernels' names. */
#define MS_KERNEL_BY_NAME(kernel) .kernel = kernel,
#define MS_KERNELS_BY_NAME                                                                                   \
    { MS_KERNELS(MS_KERNEL_BY_NAME).conv2d_layout = ms_conv2d_layout }

ms_weight_layout ms_conv2d_layout(const ms_conv2d_args *args);

/* Channels of the sources together; 0 when there are not one or two. */
int64_t ms_source_channels(const ms_rows *src, int n_src);

/* Height and width that a convolution reads: the enlarged ones where the input is enlarged. */
static inline int64_t ms_conv2d_in_h(const ms_conv2d_args *args) {
    return args->up_h ? args->up_h : args->src_h;
}

static inline int64_t ms_conv2d_in_w(const ms_conv2d_args *args) {
    return args->up_w ? args->up_w : args->src_w;
}

/* Image rows that src and dst hold. */
static inline int64_t ms_conv2d_src_rows(const ms_conv2d_args *args) {
    return args->src_rows ? args->src_rows : args->src_h;
}

static inline int64_t ms_conv2d_dst_rows(const ms_conv2d_args *args) {
    return args->dst_rows ? args->dst_rows : args->dst_h;
}

/* Row (column) `at` of `large` of an image enlarged from `small` by nearest neighbour. */
static inline int64_t ms_nearest(int64_t at, int64_t small, int64_t large) {
    if (small == large)
        return at;
    int64_t from = (int64_t)((float)at * ((float)small / (float)large));
    return from < small ? from : small - 1;
}

/* The first and the last row of whole images that output rows first .. last of a
   convolution read; false when they read padding only. */
bool ms_conv2d_reads(const ms_conv2d_args *args, int64_t first, int64_t last, int64_t *ret_first,
                     int64_t *ret_last);

/* A 1x1 convolution without stride is a linear layer, which may read its rows in place; of a stripe it reads
   the rows that it writes. */
bool ms_conv2d_is_linear(const ms_conv2d_args *args);
ms_linear_args ms_conv2d_as_linear(const ms_conv2d_args *args);

#endif
