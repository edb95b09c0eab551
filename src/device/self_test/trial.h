/* One run of a case on one device: its operands are made from a seed, alike on every device, and its result
   is read back. After a failure everything else does nothing, so that a case asks once, at its end. */
#ifndef MS_DEVICE_SELF_TEST_TRIAL_H
#define MS_DEVICE_SELF_TEST_TRIAL_H

#include "device/device.h"

#define TRIAL_BLOCKS 16

typedef struct trial {
    ms_device *dev;
    ms_queue *queue;
    ms_event *done;
    ms_dtype given; /* type of the activations' values */
    ms_dtype dtype; /* type that they are kept in: float32 on the processor, `given` on the device */
    uint64_t seed;
    const int *of; /* the case's sizes (self_case) */
    ms_status status;
    void *block[TRIAL_BLOCKS], *staging[TRIAL_BLOCKS];
    int blocks, stagings;
    void *output;        /* on the device */
    void *output_staged; /* where it is read to */
    ms_dtype output_dtype;
    int64_t outputs;
    bool differs; /* a form of the call left other bits than the others */
} trial;

ms_status ms_trial_begin(trial *t, ms_device *dev, ms_dtype given, ms_dtype dtype, uint64_t seed);
void ms_trial_end(trial *t);

/* Values of the normal distribution's size, of the type `given`, kept as `dtype`. NULL after a failure. */
void *ms_trial_values(trial *t, int64_t count);
/* Tables and parameters: float32 everywhere, around a middle. */
float *ms_trial_floats(trial *t, int64_t count, float middle, float spread);
void *ms_trial_words(trial *t, const void *words, size_t bytes);
/* What the case makes; one a case. */
void *ms_trial_output(trial *t, int64_t count, ms_dtype dtype);
/* For what has no further use. */
void *ms_trial_block(trial *t, size_t bytes);
/* A matrix in the device's layout; its values are of the type `given`. */
ms_weight ms_trial_weight(trial *t, const ms_weight_shape *shape);

/* outer x inner rows that lie behind each other. */
ms_rows ms_trial_rows(const trial *t, void *data, int64_t outer, int64_t inner, int64_t channels);

/* Does a call in every form that the device has of it (ms_device_caps.forms). What is left in the output is
   of the last one, or of the first whose bits are other ones. */
typedef ms_status (*trial_call)(trial *t, const void *args, void *workspace);
ms_status ms_trial_run(trial *t, trial_call call, const void *args, size_t workspace_bytes);

/* Waits, and reads the output as floats (to be freed with ms_mem_free) and hashes its bytes. */
ms_status ms_trial_read(trial *t, float **ret_values, uint64_t *ret_hash);

#endif
