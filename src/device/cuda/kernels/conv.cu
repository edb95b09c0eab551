#include "device/cuda/kernels/gemm.cuh"

template <class T> struct conv_shapes {
    typedef gemm_shape<T, 128, 128, 64, 64, 3, GEMM_WINDOW> tile_128x128;
    typedef gemm_shape<T, 256, 64, 64, 64, 3, GEMM_WINDOW> tile_256x64;
    typedef gemm_shape<T, 128, 64, 64, 32, 4, GEMM_WINDOW> tile_128x64;
    typedef gemm_shape<T, 64, 64, 32, 32, 4, GEMM_WINDOW> tile_64x64;
    typedef gemm_shape<T, 64, 32, 32, 16, 4, GEMM_WINDOW> tile_64x32;
    typedef gemm_shape<T, 64, 64, 32, 32, 4, GEMM_ANY> tile_any;
};

#define CONV(type, tile)                                                                                     \
    SIMT_KERNEL(conv_shapes<simt_##type>::tile_##tile::THREADS)                                              \
    conv_##type##_##tile(SIMT_PARAM(cuda_matmul_params, p)) {                                                \
        typedef conv_shapes<simt_##type>::tile_##tile G;                                                     \
        SIMT_SHARED(G::shared, s);                                                                           \
        gemm_block<G>(p, s);                                                                                 \
    }
#define CONV_TILES(X, type)                                                                                  \
    X(type, 128x128)                                                                                         \
    X(type, 256x64)                                                                                          \
    X(type, 128x64)                                                                                          \
    X(type, 64x64)                                                                                           \
    X(type, 64x32)

CONV_TILES(CONV, f16)
CONV_TILES(CONV, bf16)

#define CONV_KERNEL(type, tile) GEMM_DESCRIBE(conv_##type##_##tile, conv_shapes<simt_##type>::tile_##tile),

CONV(f16, any)
CONV(bf16, any)

const simt_kernel *cuda_conv_any_kernel(ms_dtype dtype) {
    static const simt_kernel any[2] = {CONV_KERNEL(f16, any) CONV_KERNEL(bf16, any)};
    return &any[dtype == MS_F16 ? 0 : 1];
}

/* In the order of cuda_tile. */
const simt_kernel *cuda_conv_kernel(ms_dtype dtype, cuda_tile tile) {
    static const simt_kernel f16[CUDA_TILE_COUNT] = {CONV_TILES(CONV_KERNEL, f16)};
    static const simt_kernel bf16[CUDA_TILE_COUNT] = {CONV_TILES(CONV_KERNEL, bf16)};
    return dtype == MS_F16 ? &f16[tile] : &bf16[tile];
}
