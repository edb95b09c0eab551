/*
 * bits [TILES [ARCH]]: what a card's tensor cores add, against the model of tensor_core.h that the emulator
 * and its predictions stand on, bit by bit. TILES of each kind (default 2000). ARCH: whose model it is held
 * against, in place of the card's own: a wrong one must be found out. Ends with 1 where a bit is another.
 *
 * It does not use the emulator's idea of which lane holds what: fragments are laid out here by PTX's
 * manual ("Matrix fragments for mma.m16n8k16", "... mma.m16n8k8").
 */
#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "device/simt/tensor_core.h"
#include "gpu/bits.h"

typedef enum kind {
    KIND_NETWORK,   /* -1 to 1, as networks have them */
    KIND_WIDE,      /* any exponents */
    KIND_SUBNORMAL, /* and zeros of both signs */
    KIND_CANCEL,    /* products that cancel but for little */
    KIND_LARGE,     /* sums at the end of float32's range, or of fp16's */
    KIND_SPECIAL,   /* infinities, no numbers */
    KIND_ANY,       /* any bits */
    KINDS
} kind;

static const char *const kind_names[KINDS] = {"as in networks", "wide",     "subnormal", "cancelling",
                                              "large",          "inf, nan", "any bits"};

static void need(cudaError_t error, const char *what) {
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "bits: %s: %s\n", what, cudaGetErrorString(error));
    exit(2);
}

static uint64_t state = 1;

static uint32_t draw(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) ^ (uint32_t)(state >> 13);
}

static float uniform(void) {
    return (float)(int32_t)draw() * 0x1p-31f;
}

static uint16_t narrow(float x, bool bf16) {
    return bf16 ? ms_f32_to_bf16(x) : ms_f32_to_f16(x);
}

static bool is_finite(uint16_t bits, bool bf16) {
    return bf16 ? (bits & 0x7f80) != 0x7f80 : (bits & 0x7c00) != 0x7c00;
}

static uint16_t draw_element(kind k, bool bf16) {
    uint16_t bits = (uint16_t)draw();
    switch (k) {
    case KIND_WIDE:
        while (!is_finite(bits, bf16))
            bits = (uint16_t)draw();
        return bits;
    case KIND_SUBNORMAL: /* some are large, so that not all products vanish */
        if (draw() % 4 == 0)
            return narrow(uniform() * (bf16 ? 0x1p100f : 1.0f), bf16);
        return draw() % 4 == 0 ? (uint16_t)(bits & 0x8000) : (uint16_t)(bits & (bf16 ? 0x807f : 0x83ff));
    case KIND_LARGE:
        return narrow(uniform() * (bf16 ? 0x1p63f : 60000.0f), bf16);
    case KIND_SPECIAL:
        if (draw() % 8)
            return narrow(uniform(), bf16);
        return (uint16_t)((bits & 0x8000) | (bf16 ? 0x7f80 : 0x7c00) | (draw() % 4 == 0));
    case KIND_ANY:
        return bits;
    default:
        return narrow(uniform(), bf16);
    }
}

static float draw_sum(kind k, bool bf16) {
    switch (k) {
    case KIND_WIDE:
    case KIND_ANY: {
        float x;
        do
            x = ms_bits_float(draw());
        while (k == KIND_WIDE && !isfinite(x));
        return x;
    }
    case KIND_SUBNORMAL:
        return draw() % 2 ? ms_bits_float(draw() & 0x807fffff) : uniform() * (bf16 ? 0x1p-126f : 0x1p-40f);
    case KIND_LARGE:
        return uniform() * (bf16 ? 0x1p127f : 0x1p36f);
    case KIND_SPECIAL:
        return draw() % 16 ? uniform() : ms_bits_float(draw() % 2 ? 0x7f800000 : 0xff800000);
    default:
        return draw() % 4 ? uniform() : 0;
    }
}

static void draw_tile(kind k, int depth, bool bf16, simt_tile *t) {
    memset(t, 0, sizeof(*t));
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < depth; j++)
            t->a[i][j] = draw_element(k, bf16);
    for (int i = 0; i < depth; i++)
        for (int j = 0; j < 8; j++)
            t->b[i][j] = draw_element(k, bf16);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++)
            t->d[i][j] = draw_sum(k, bf16);
    if (k != KIND_CANCEL)
        return;
    /* Neighbours are each other's negatives; the last bit of some is another. */
    for (int i = 0; i < 16; i++)
        for (int j = 0; j + 1 < depth; j += 2)
            t->a[i][j + 1] = (uint16_t)(t->a[i][j] ^ 0x8000 ^ (draw() % 8 == 0));
    for (int i = 0; i + 1 < depth; i += 2)
        memcpy(t->b[i + 1], t->b[i], sizeof(t->b[i]));
}

/* ---- fragments, by PTX's manual ---- */

static uint32_t pair(uint16_t low, uint16_t high) {
    return (uint32_t)low | (uint32_t)high << 16;
}

static void lay_out(const simt_tile *t, int depth, uint32_t *a, uint32_t *b, float *d) {
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane / 4, of_group = lane % 4;
        for (int r = 0; r < depth / 4; r++) {
            const int row = group + r % 2 * 8, column = of_group * 2 + r / 2 * 8;
            a[lane * (depth / 4) + r] = pair(t->a[row][column], t->a[row][column + 1]);
        }
        for (int r = 0; r < depth / 8; r++) {
            const int row = of_group * 2 + r * 8;
            b[lane * (depth / 8) + r] = pair(t->b[row][group], t->b[row + 1][group]);
        }
        for (int r = 0; r < 4; r++)
            d[lane * 4 + r] = t->d[group + r / 2 * 8][of_group * 2 + r % 2];
    }
}

static float of_fragments(const float *d, int row, int column) {
    const int lane = row % 8 * 4 + column / 2;
    return d[lane * 4 + row / 8 * 2 + column % 2];
}

/* ---- the card ---- */

typedef struct card {
    cudaStream_t stream;
    uint32_t *a, *b;
    float *d;
} card;

static void multiply(const card *c, const simt_kernel *kernel, int depth, int tiles, const uint32_t *a,
                     const uint32_t *b, const float *d, float *ret_d) {
    const size_t lanes = (size_t)tiles * 32;
    const size_t a_bytes = lanes * (size_t)depth, b_bytes = lanes * (size_t)depth / 2, d_bytes = lanes * 16;
    bits_args args = {c->a, c->b, c->d};
    void *pointers[] = {&args};
    const dim3 grid = {(unsigned)tiles, 1, 1}, block = {32, 1, 1};
    need(cudaMemcpyAsync(c->a, a, a_bytes, cudaMemcpyHostToDevice, c->stream), "copying");
    need(cudaMemcpyAsync(c->b, b, b_bytes, cudaMemcpyHostToDevice, c->stream), "copying");
    need(cudaMemcpyAsync(c->d, d, d_bytes, cudaMemcpyHostToDevice, c->stream), "copying");
    need(cudaLaunchKernel(kernel->entry, grid, block, pointers, 0, c->stream), "launching");
    need(cudaMemcpyAsync(ret_d, c->d, d_bytes, cudaMemcpyDeviceToHost, c->stream), "copying");
    need(cudaStreamSynchronize(c->stream), "multiplying");
}

/* ---- comparing ---- */

static int shown;

static void show(const simt_tile *t, int depth, bool bf16, int row, int column, float found,
                 float predicted) {
    if (shown++ >= 4)
        return;
    printf("    row %d, column %d: %08x %a, predicted %08x %a; the sum before: %08x; the terms:", row, column,
           ms_float_bits(found), (double)found, ms_float_bits(predicted), (double)predicted,
           ms_float_bits(t->d[row][column]));
    for (int i = 0; i < depth; i++)
        printf(" %04x*%04x", t->a[row][i], t->b[i][column]);
    printf(" (%s)\n", bf16 ? "bf16" : "fp16");
}

/* Results with other bits. What kind of no number one is, no network asks: those are counted apart. */
static int64_t compare(const simt_tile *t, const float *d, int depth, bool bf16, int arch, int64_t *nans) {
    int64_t wrong = 0;
    simt_tile wanted = *t;
    simt_tensor_core(&wanted, depth, bf16, arch);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            const float found = of_fragments(d, i, j), predicted = wanted.d[i][j];
            if (ms_float_bits(found) == ms_float_bits(predicted))
                continue;
            if (isnan(found) && isnan(predicted)) {
                ++*nans;
                continue;
            }
            wrong++;
            show(t, depth, bf16, i, j, found, predicted);
        }
    return wrong;
}

int main(int argc, char **argv) {
    static const struct {
        const simt_kernel *kernel;
        const char *name;
        int depth;
        bool bf16;
    } products[] = {{&bits_f16_16, "fp16, m16n8k16", 16, false},
                    {&bits_f16_8, "fp16, m16n8k8", 8, false},
                    {&bits_bf16_16, "bf16, m16n8k16", 16, true},
                    {&bits_bf16_8, "bf16, m16n8k8", 8, true}};
    const int tiles = argc > 1 ? atoi(argv[1]) : 2000;
    struct cudaDeviceProp prop;
    int major = 0, minor = 0;
    if (tiles < 1 || tiles > 1000000 || argc > 3) {
        fprintf(stderr, "usage: bits [TILES [ARCH]]\n");
        return 2;
    }
    need(cudaSetDevice(0), "opening the card");
    need(cudaGetDeviceProperties(&prop, 0), "looking at the card");
    need(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "looking at the card");
    need(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "looking at the card");
    const int own = major * 10 + minor, arch = argc > 2 ? atoi(argv[2]) : own;
    const size_t lanes = (size_t)tiles * 32;
    card c = {0};
    need(cudaStreamCreateWithFlags(&c.stream, cudaStreamNonBlocking), "a stream");
    need(cudaMalloc((void **)&c.a, lanes * 16), "memory");
    need(cudaMalloc((void **)&c.b, lanes * 8), "memory");
    need(cudaMalloc((void **)&c.d, lanes * 16), "memory");
    simt_tile *tile = calloc((size_t)tiles, sizeof(*tile));
    uint32_t *a = calloc(lanes, 16), *b = calloc(lanes, 8);
    float *d = calloc(lanes, 16), *found = calloc(lanes, 16);
    if (!tile || !a || !b || !d || !found) {
        fprintf(stderr, "bits: there is no memory for %d tiles\n", tiles);
        return 2;
    }
    printf("%s, sm_%d, against the model of sm_%d\n", prop.name, own, arch);
    int64_t all_wrong = 0;
    for (size_t p = 0; p < sizeof(products) / sizeof(products[0]); p++) {
        const int depth = products[p].depth;
        const bool bf16 = products[p].bf16;
        if (bf16 && own < 80)
            continue;
        for (kind k = 0; k < KINDS; k++) {
            int64_t wrong = 0, nans = 0;
            shown = 0;
            for (int i = 0; i < tiles; i++) {
                draw_tile(k, depth, bf16, &tile[i]);
                lay_out(&tile[i], depth, a + (size_t)i * 32 * (size_t)(depth / 4),
                        b + (size_t)i * 32 * (size_t)(depth / 8), d + (size_t)i * 128);
            }
            multiply(&c, products[p].kernel, depth, tiles, a, b, d, found);
            for (int i = 0; i < tiles; i++)
                wrong += compare(&tile[i], found + (size_t)i * 128, depth, bf16, arch, &nans);
            printf("  %-15s %-14s %lld of %lld results have other bits", products[p].name, kind_names[k],
                   (long long)wrong, (long long)tiles * 128);
            if (nans)
                printf(" (and %lld are another kind of no number)", (long long)nans);
            printf("\n");
            all_wrong += wrong;
        }
    }
    cudaFree(c.a);
    cudaFree(c.b);
    cudaFree(c.d);
    cudaStreamDestroy(c.stream);
    free(tile);
    free(a);
    free(b);
    free(d);
    free(found);
    if (all_wrong)
        printf("%lld results have other bits\n", (long long)all_wrong);
    else
        printf("all bits are as predicted\n");
    return all_wrong != 0;
}
