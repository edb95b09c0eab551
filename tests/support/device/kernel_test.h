/*
 * What the kernel tests share: every configuration of the cpu back end (instruction sets x thread counts),
 * tensors of random values in buffers of exactly the size that they need, outputs and workspaces full of
 * poison, and comparisons.
 */
#ifndef MS_TESTS_KERNEL_TEST_H
#define MS_TESTS_KERNEL_TEST_H

#include "test.h"

#include "device/compute.h"

#define TEST_MAX_DEVICES 8

/* devices[0] is plain C on one thread: what the others are compared with. */
typedef struct test_devices {
    ms_device *devices[TEST_MAX_DEVICES];
    char name[TEST_MAX_DEVICES][64];
    int count;
    ms_compute computes[TEST_MAX_DEVICES]; /* what holds them */
} test_devices;

/* cmocka group fixtures; the state is a test_devices. */
int test_devices_open(void **state);
int test_devices_close(void **state);

/* Integers in [low, high]. */
int64_t test_range(uint64_t *rng, int64_t low, int64_t high);
/* True once in n. */
bool test_one_in(uint64_t *rng, int n);

/* An element of a block of any type: its bits, its value, and setting it, rounded once to nearest even. */
uint32_t test_element_bits(const void *block, ms_dtype dtype, int64_t at);
float test_element(const void *block, ms_dtype dtype, int64_t at);
void test_element_set(void *block, ms_dtype dtype, int64_t at, float x);
/* The value that the type keeps of it, and that value's bits in the type. */
float test_rounded(float x, ms_dtype dtype);
uint32_t test_rounded_bits(float x, ms_dtype dtype);

/* A tensor and the block that holds it: exactly as many floats as its strides reach. */
typedef struct test_tensor {
    float *block;
    size_t floats;
    ms_rows rows;
} test_tensor;

/* Random values in [-1, 1), and random gaps between rows when `gaps`. */
test_tensor test_tensor_random(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, bool gaps);
/* The same shape of poison: NaNs, so that whatever reads them shows. */
test_tensor test_tensor_poison(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, bool gaps);
test_tensor test_tensor_copy(const test_tensor *from);
void test_tensor_fill_poison(test_tensor *t);
void test_tensor_free(test_tensor *t);
void test_poison(float *p, size_t floats);
float test_at(const ms_rows *rows, int64_t outer, int64_t inner, int64_t channel);

float *test_floats(uint64_t *rng, int64_t n);

/* All bits of the two blocks, gaps included: a kernel must write its rows and nothing else. */
void test_same_bits(const test_tensor *a, const test_tensor *b, const char *what, const char *device);

/* A weight in the checkpoint's order, rounded to the dtype, and packed. GEGLU: n counts both halves. */
typedef struct test_weight {
    float *values; /* [n][c_in][kh][kw] */
    ms_weight_shape shape;
    ms_weight weight;
    void *block;
} test_weight;

test_weight test_weight_random(uint64_t *rng, ms_weight_layout layout, ms_dtype dtype, int64_t n,
                               int64_t c_in, int kernel_h, int kernel_w, int groups);
/* The same of given values, which belong to it from now on and are of the shape's dtype. */
test_weight test_weight_of(const ms_weight_shape *shape, float *values);
void test_weight_free(test_weight *w);
static const ms_dtype test_dtypes[3] = {MS_F32, MS_F16, MS_BF16};

/* A workspace of exactly `bytes`, poisoned, 64-byte aligned; NULL for 0 bytes. */
void *test_workspace(size_t bytes);

/* Random prologue over `outer` rows (tables belong to the caller) and epilogue pieces. */
ms_prologue test_prologue_random(uint64_t *rng, int64_t outer, int64_t channels);
double test_prologue_value(const ms_prologue *p, int64_t outer, int64_t channel, int64_t channels, double x);

typedef struct test_epilogue {
    ms_epilogue e;
    test_tensor residual;
    float *tables[3];
} test_epilogue;

/* channels of dst; GEGLU's bias has twice as many. */
void test_epilogue_random(uint64_t *rng, test_epilogue *t, const ms_rows *dst, bool geglu);
void test_epilogue_free(test_epilogue *t);
/* The epilogue in double for a plain activation. */
double test_epilogue_value(const ms_epilogue *e, int64_t outer, int64_t inner, int64_t n, double acc);
double test_act_value(ms_act act, double x, double slope);

#endif
