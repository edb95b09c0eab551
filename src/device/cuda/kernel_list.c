#include "device/cuda/kernel_list.h"

#include "device/cuda/kernels/attention.h"
#include "device/cuda/kernels/matmul.h"
#include "device/cuda/kernels/norm.h"
#include "device/cuda/kernels/pack.h"
#include "device/cuda/kernels/rows.h"

static const simt_kernel *const singles[] = {
    &cuda_partials_kernel, &cuda_tables_kernel,    &cuda_binary_kernel,  &cuda_unary_kernel,
    &cuda_apply_kernel,    &cuda_posterior_kernel, &cuda_rescale_kernel, &cuda_guide_kernel,
    &cuda_ddim_kernel,     &cuda_finite_kernel,    &cuda_pool_kernel,    &cuda_resize_kernel,
    &cuda_noise_kernel,    &cuda_conv_depthwise,
};

static const ms_dtype types[] = {MS_F32, MS_F16, MS_BF16};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TELL(kernel)                                                                                         \
    do {                                                                                                     \
        const simt_kernel *told = kernel;                                                                    \
        if (told && !fn(arg, told))                                                                          \
            return false;                                                                                    \
    } while (0);

/* Those of one type, and from float32 to it. */
static bool each_of_type(ms_dtype type, bool (*fn)(void *arg, const simt_kernel *kernel), void *arg) {
    TELL(cuda_pack_kernel(MS_F32, type))
    TELL(cuda_pack_kernel(type, type))
    TELL(cuda_pack_depthwise_kernel(MS_F32, type))
    TELL(cuda_pack_depthwise_kernel(type, type))
    TELL(cuda_layer_norm_kernel(type, false))
    TELL(cuda_layer_norm_kernel(type, true))
    TELL(cuda_copy_kernel(ms_dtype_bytes(type)))
    return true;
}

/* Of every size of heads that has kernels of its own. */
static bool each_attention(ms_dtype type, bool (*fn)(void *arg, const simt_kernel *kernel), void *arg) {
    static const int sizes[] = {16, 32, 40, 64, 80, 128, 160, 256, 512};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        int slice;
        TELL(cuda_attention_f32_kernel(type, sizes[i], &slice))
        if (type == MS_F32)
            continue;
        TELL(cuda_attention_kernel(type, sizes[i], 64))
        TELL(cuda_attention_kernel(type, sizes[i], 128))
        TELL(cuda_attention_wide_kernel(type, sizes[i]))
        TELL(cuda_temporal_kernel(type, sizes[i]))
    }
    return true;
}

/* By tensor cores. */
static bool each_matrix(ms_dtype type, bool (*fn)(void *arg, const simt_kernel *kernel), void *arg) {
    for (int tile = 0; tile < CUDA_TILE_COUNT; tile++) {
        TELL(cuda_gemm_kernel(type, (cuda_tile)tile))
        TELL(cuda_conv_kernel(type, (cuda_tile)tile))
    }
    TELL(cuda_conv_any_kernel(type))
    TELL(cuda_prologue_kernel(type))
    return true;
}

bool cuda_each_kernel(bool (*fn)(void *arg, const simt_kernel *kernel), void *arg) {
    for (size_t i = 0; i < COUNT(singles); i++)
        TELL(singles[i])
    for (size_t t = 0; t < COUNT(types); t++)
        if (!each_of_type(types[t], fn, arg) || !each_attention(types[t], fn, arg))
            return false;
    TELL(cuda_matrix_simt_kernel(false))
    TELL(cuda_matrix_simt_kernel(true))
    return each_matrix(MS_F16, fn, arg) && each_matrix(MS_BF16, fn, arg);
}
