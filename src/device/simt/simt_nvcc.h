/* simt.h for nvcc: the instructions are PTX's, ISA 9.0. */
#ifndef MS_DEVICE_SIMT_SIMT_NVCC_H
#define MS_DEVICE_SIMT_SIMT_NVCC_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define SIMT_FN static __device__ __forceinline__
#define SIMT_SPECIAL __device__ __forceinline__ /* of a template */
#define SIMT_KERNEL(threads) static __global__ void __launch_bounds__(threads)
#define SIMT_PARAM(type, name) const __grid_constant__ type name
#define SIMT_DESCRIBE(kernel, type, threads, shared_bytes)                                                   \
    { #kernel, (const void *)(kernel), threads, sizeof(type), shared_bytes }
#define SIMT_SHARED(type, name)                                                                              \
    extern __shared__ __align__(128) unsigned char simt_shared_memory[];                                     \
    type &name = *reinterpret_cast<type *>(simt_shared_memory)
#define SIMT_UNROLL _Pragma("unroll")
#define SIMT_ON_HOST 0

SIMT_FN int simt_thread() {
    return (int)threadIdx.x;
}

SIMT_FN int simt_block_x() {
    return (int)blockIdx.x;
}

SIMT_FN int simt_block_y() {
    return (int)blockIdx.y;
}

SIMT_FN int simt_block_z() {
    return (int)blockIdx.z;
}

SIMT_FN int simt_blocks_x() {
    return (int)gridDim.x;
}

SIMT_FN void simt_barrier() {
    __syncthreads();
}

SIMT_FN void simt_warp_barrier() {
    __syncwarp();
}

template <class T> SIMT_FN T simt_shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(0xffffffffu, value, mask);
}

template <class T> SIMT_FN T simt_shuffle(T value, int lane) {
    return __shfl_sync(0xffffffffu, value, lane);
}

SIMT_FN simt_words simt_load16(const void *p) {
    return *(const simt_words *)p;
}

SIMT_FN void simt_store16(void *p, simt_words v) {
    *(simt_words *)p = v;
}

SIMT_FN uint32_t simt_shared_address(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

SIMT_FN void simt_copy16_async(void *shared, const void *global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(simt_shared_address(shared)),
                 "l"(global), "r"(valid ? 16 : 0)
                 : "memory");
}

SIMT_FN void simt_copy_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int N> SIMT_FN void simt_copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#else

SIMT_FN void simt_copy16_async(void *shared, const void *global, bool valid) {
    const simt_words zero = {{0, 0, 0, 0}};
    *(simt_words *)shared = valid ? *(const simt_words *)global : zero;
}

SIMT_FN void simt_copy_commit() {}

template <int N> SIMT_FN void simt_copy_wait() {}

#endif

SIMT_FN void simt_load_matrix_x4(uint32_t r[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(simt_shared_address(row))
                 : "memory");
}

SIMT_FN void simt_load_matrix_x2(uint32_t r[2], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(simt_shared_address(row))
                 : "memory");
}

SIMT_FN void simt_load_matrix_x4_transposed(uint32_t r[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(simt_shared_address(row))
                 : "memory");
}

SIMT_FN void simt_load_matrix_x2_transposed(uint32_t r[2], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(simt_shared_address(row))
                 : "memory");
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
template <class T> SIMT_FN bool simt_multiplies() {
    return true;
}
#else
template <class T> SIMT_FN bool simt_multiplies() {
    return false;
}

template <> SIMT_SPECIAL bool simt_multiplies<simt_f16>() {
    return true;
}
#endif

template <class T> SIMT_SPECIAL void simt_mma_1688(float d[4], const uint32_t a[2], const uint32_t b[1]);
template <class T> SIMT_SPECIAL void simt_mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2]);

template <> SIMT_SPECIAL void simt_mma_1688<simt_f16>(float d[4], const uint32_t a[2], const uint32_t b[1]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

template <> SIMT_SPECIAL void simt_mma_16816<simt_f16>(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <> SIMT_SPECIAL void simt_mma_1688<simt_bf16>(float d[4], const uint32_t a[2], const uint32_t b[1]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

template <>
SIMT_SPECIAL void simt_mma_16816<simt_bf16>(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

/* Turing multiplies 8 terms at a time; Ampere and Ada have the longer instruction, and add the same way. */
template <> SIMT_SPECIAL void simt_mma_16816<simt_f16>(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    simt_mma_1688<simt_f16>(d, a, b);
    simt_mma_1688<simt_f16>(d, a + 2, b + 1);
}

/* Turing does not multiply bfloat16. The host does not launch these there. */
template <> SIMT_SPECIAL void simt_mma_1688<simt_bf16>(float *, const uint32_t *, const uint32_t *) {
    __trap();
}

template <> SIMT_SPECIAL void simt_mma_16816<simt_bf16>(float *, const uint32_t *, const uint32_t *) {
    __trap();
}

#endif

SIMT_FN float simt_fma(float a, float b, float c) {
    return __fmaf_rn(a, b, c);
}

SIMT_FN double simt_fma(double a, double b, double c) {
    return __fma_rn(a, b, c);
}

SIMT_FN float simt_sqrt(float x) {
    return __fsqrt_rn(x);
}

SIMT_FN double simt_sqrt(double x) {
    return __dsqrt_rn(x);
}

SIMT_FN uint32_t simt_bits(float x) {
    return __float_as_uint(x);
}

SIMT_FN float simt_float(uint32_t u) {
    return __uint_as_float(u);
}

SIMT_FN uint64_t simt_bits64(double x) {
    return (uint64_t)__double_as_longlong(x);
}

SIMT_FN double simt_double(uint64_t u) {
    return __longlong_as_double((long long)u);
}

SIMT_FN float simt_to_float(float x) {
    return x;
}

SIMT_FN float simt_to_float(simt_f16 x) {
    return __half2float(__ushort_as_half(x.bits));
}

SIMT_FN float simt_to_float(simt_bf16 x) {
    return __uint_as_float((uint32_t)x.bits << 16);
}

template <class T> SIMT_SPECIAL T simt_from_float(float x);

template <> SIMT_SPECIAL float simt_from_float<float>(float x) {
    return x;
}

template <> SIMT_SPECIAL simt_f16 simt_from_float<simt_f16>(float x) {
    simt_f16 h = {__half_as_ushort(__float2half_rn(x))};
    return h;
}

template <> SIMT_SPECIAL simt_bf16 simt_from_float<simt_bf16>(float x) {
    simt_bf16 h = {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
    return h;
}

#endif
