/*
 * The reference's CPU kernels fuse some multiplications and additions and not others, and its bytes depend on
 * that. Where it fuses, the code here says fmaf(). On x86-64 fmaf() is a library call unless the function is
 * compiled for CPUs that have the instruction; MS_FMA_VARIANTS compiles a body twice and picks at run time.
 * Both variants give the same bits: fmaf() is exact and nothing else is contracted (-ffp-contract=off).
 */
#ifndef MS_PICTURES_FMA_H
#define MS_PICTURES_FMA_H

#include <math.h>
#include <stdbool.h>

#define MS_INLINE_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__FMA__)

static inline bool ms_cpu_has_fma(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* Defines `static void name params`, which runs name##_body (an MS_INLINE_BODY) with args. */
#define MS_FMA_VARIANTS(name, params, args)                                                                  \
    __attribute__((target("avx2,fma"))) static void name##_avx2 params {                                     \
        name##_body args;                                                                                    \
    }                                                                                                        \
    static void name##_portable params {                                                                     \
        name##_body args;                                                                                    \
    }                                                                                                        \
    static void name params {                                                                                \
        if (ms_cpu_has_fma())                                                                                \
            name##_avx2 args;                                                                                \
        else                                                                                                 \
            name##_portable args;                                                                            \
    }

#else

#define MS_FMA_VARIANTS(name, params, args)                                                                  \
    static void name params {                                                                                \
        name##_body args;                                                                                    \
    }

#endif

#endif
