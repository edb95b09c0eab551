/* The inputs that a device is tried with: a case for every family of kernels, shapes as the networks have
   them, only smaller, with ends that no tile divides. */
#ifndef MS_DEVICE_SELF_TEST_CASES_H
#define MS_DEVICE_SELF_TEST_CASES_H

#include "device/self_test/trial.h"

typedef struct self_case {
    const char *family;
    ms_status (*run)(trial *t);
    /* How far a result may be from the processor's, in units of the type's rounding (2^-11 of float16, 2^-8
       of bfloat16, 2^-24 of float32) of a value about 1. */
    double units;
    /* the same of float32, where the processor's own sums are less exact (Winograd); 0 = units */
    double float_units;
    bool float_only; /* its operands are float32 whatever the networks keep */
    int of[4];       /* its sizes, where run() serves several cases */
} self_case;

extern const self_case ms_self_cases[];
extern const int ms_n_self_cases;

#endif
