/* What every test file includes first: cmocka with the headers that it wants before it. */
#ifndef MS_TESTS_TEST_H
#define MS_TESTS_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "memsafe_have.h"

/* Under a sanitizer, which keeps memory of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* make check-e2e: all of what make check tries samples of. */
static inline bool test_at_length(void) {
    return getenv("MEMSAFE_LONG") != NULL;
}

/* Prints the error's message when a call that should work does not. */
#define assert_ms_ok(expr, err)                                                                              \
    do {                                                                                                     \
        ms_status test_status_ = (expr);                                                                     \
        if (test_status_ != MS_OK)                                                                           \
            fail_msg("%s: %s: %s", #expr, ms_status_name(test_status_), (err)->message);                     \
    } while (0)

/* A small generator for test shapes and values: the same on every machine. */
static inline uint32_t test_rand(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) ^ (uint32_t)(*state >> 13);
}

/* Uniform in [-1, 1). */
static inline float test_uniform(uint64_t *state) {
    return (float)(int32_t)test_rand(state) * 0x1p-31f;
}

#endif
