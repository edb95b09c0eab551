#include "device/cuda/kernels/gemm.cuh"

template <class T> struct linear_shapes {
    typedef gemm_shape<T, 128, 128, 64, 64, 3, GEMM_ROWS> tile_128x128;
    typedef gemm_shape<T, 256, 64, 64, 64, 3, GEMM_ROWS> tile_256x64;
    typedef gemm_shape<T, 128, 64, 64, 32, 4, GEMM_ROWS> tile_128x64;
    typedef gemm_shape<T, 64, 64, 32, 32, 4, GEMM_ROWS> tile_64x64;
    typedef gemm_shape<T, 64, 32, 32, 16, 4, GEMM_ROWS> tile_64x32;
};

#define LINEAR(type, tile)                                                                                   \
    SIMT_KERNEL(linear_shapes<simt_##type>::tile_##tile::THREADS)                                            \
    linear_##type##_##tile(SIMT_PARAM(cuda_matmul_params, p)) {                                              \
        typedef linear_shapes<simt_##type>::tile_##tile G;                                                   \
        SIMT_SHARED(G::shared, s);                                                                           \
        gemm_block<G>(p, s);                                                                                 \
    }
#define LINEAR_TILES(X, type)                                                                                \
    X(type, 128x128)                                                                                         \
    X(type, 256x64)                                                                                          \
    X(type, 128x64)                                                                                          \
    X(type, 64x64)                                                                                           \
    X(type, 64x32)

LINEAR_TILES(LINEAR, f16)
LINEAR_TILES(LINEAR, bf16)

#define LINEAR_KERNEL(type, tile)                                                                            \
    GEMM_DESCRIBE(linear_##type##_##tile, linear_shapes<simt_##type>::tile_##tile),

/* In the order of cuda_tile. */
const simt_kernel *cuda_gemm_kernel(ms_dtype dtype, cuda_tile tile) {
    static const simt_kernel f16[CUDA_TILE_COUNT] = {LINEAR_TILES(LINEAR_KERNEL, f16)};
    static const simt_kernel bf16[CUDA_TILE_COUNT] = {LINEAR_TILES(LINEAR_KERNEL, bf16)};
    return dtype == MS_F16 ? &f16[tile] : &bf16[tile];
}
