#include "device/cuda/sizes/sizes.h"

#include "device/weight.h"

/* Of the shapes that make sense elsewhere, Winograd's has no kernel here. Inputs are counted in 32 bits. */
size_t ms_cuda_weight_bytes(const ms_weight_shape *s) {
    size_t bytes = ms_weight_bytes(s);
    if (bytes == 0 || s->layout == MS_LAYOUT_WINOGRAD || s->c_in > INT32_MAX - 8 ||
        (int64_t)s->kernel_h * s->kernel_w > INT32_MAX)
        return 0;
    if (s->layout == MS_LAYOUT_DEPTHWISE)
        return bytes;
    cuda_matrix m = cuda_matrix_of(s);
    if (__builtin_mul_overflow((size_t)m.n_pad * ms_dtype_bytes(s->dtype), (size_t)s->groups, &bytes) ||
        __builtin_mul_overflow(bytes, (size_t)m.k_pad, &bytes))
        return 0;
    return bytes;
}

static bool is_16_bit(ms_dtype dtype) {
    return dtype == MS_F16 || dtype == MS_BF16;
}

bool ms_cuda_allows_tensor_cores(const ms_rows *src, int n_src, int groups) {
    for (int i = 0; i < n_src; i++)
        if (!is_16_bit(src[i].dtype) || src[i].dtype != src[0].dtype)
            return false;
    return groups == 1 || src[0].channels / groups % 8 == 0;
}

bool ms_cuda_in_eights(const ms_rows *r) {
    return r->channels % 8 == 0 && cuda_stride_of(r->outer, r->outer_stride) % 8 == 0 &&
           cuda_stride_of(r->inner, r->inner_stride) % 8 == 0;
}

bool ms_cuda_wants_copy(const ms_rows *src, int n_src, const ms_prologue *prologue) {
    for (int i = 0; i < n_src; i++)
        if (!ms_cuda_in_eights(&src[i]))
            return true;
    return prologue->tables;
}

static size_t copy_bytes(const ms_rows *src, int n_src, int groups, const ms_prologue *prologue,
                         int64_t inner) {
    if (!ms_cuda_allows_tensor_cores(src, n_src, groups) || !ms_cuda_wants_copy(src, n_src, prologue))
        return 0;
    int64_t channels = cuda_round_up(ms_source_channels(src, n_src), 8);
    return (size_t)(src[0].outer * inner * channels) * ms_dtype_bytes(src[0].dtype);
}

size_t ms_cuda_linear_workspace(const ms_device *dev, const ms_linear_args *a) {
    (void)dev;
    return copy_bytes(a->src, a->n_src, 1, &a->prologue, a->src[0].inner);
}

ms_weight_layout ms_cuda_conv2d_layout(const ms_conv2d_args *a) {
    int64_t channels = ms_source_channels(a->src, a->n_src);
    bool depthwise = a->groups > 1 && a->groups == channels && a->groups == a->dst.channels;
    return depthwise ? MS_LAYOUT_DEPTHWISE : MS_LAYOUT_PANEL;
}

/* Of a stripe a linear layer reads what it writes. */
size_t ms_cuda_conv2d_workspace(const ms_device *dev, const ms_conv2d_args *a) {
    (void)dev;
    if (ms_cuda_conv2d_layout(a) == MS_LAYOUT_DEPTHWISE)
        return 0;
    return copy_bytes(a->src, a->n_src, a->groups, &a->prologue,
                      ms_conv2d_is_linear(a) ? a->dst.inner : a->src[0].inner);
}

/* Attention keeps its tiles on the chip. */
size_t ms_cuda_attention_workspace(const ms_device *dev, const ms_attention_args *args) {
    (void)dev;
    (void)args;
    return 0;
}
