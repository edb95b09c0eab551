/*
 * Rows of any type for tests of back ends that keep 16-bit activations, beside the same values as floats:
 * what such a back end computes is the processor's float32 result on the widened values, rounded once.
 */
#ifndef MS_TESTS_TYPED_H
#define MS_TESTS_TYPED_H

#include "support/device/kernel_test.h"
#include "support/device/simt_direct.h"

typedef struct typed {
    ms_rows rows;   /* of the type */
    ms_rows floats; /* the same places as floats, for the processor */
    void *block;
    float *widened;
    size_t elements, offset; /* in each; rows begin at `offset` */
} typed;

/* Values in [-1, 1). Half of them are aligned to 16 bytes and without gaps, the others begin anywhere and
   have gaps between rows. */
typed typed_random(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, ms_dtype dtype);
/* NaNs, that whatever reads them shows. */
typed typed_poison(uint64_t *rng, int64_t outer, int64_t inner, int64_t channels, ms_dtype dtype);
void typed_free(typed *t);
void typed_fill_poison(typed *t); /* both sides */
/* Sets both sides of an element. */
void typed_set(typed *t, size_t element, float x);

/* Every element of the block, gaps included, is the float of the processor rounded once. */
void typed_assert_same(const typed *t, const char *what);

/* The processor, what everything is compared with, and devices of three classes. */
#define TYPED_ARCHS 3
typedef struct typed_devices {
    ms_compute cpu;
    simt_direct card[TYPED_ARCHS]; /* sm_75, 86, 90 */
} typed_devices;

int typed_devices_open(void **state);
int typed_devices_close(void **state);
/* One of them for a trial, with a seed drawn for its schedule. */
simt_direct *typed_card(typed_devices *d, uint64_t *rng);
/* A type that it keeps. */
ms_dtype typed_dtype(const simt_direct *card, uint64_t *rng);

#endif
