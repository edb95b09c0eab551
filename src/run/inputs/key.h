/* A run's key: everything that decides the bits of its output. */
#ifndef MS_RUN_INPUTS_KEY_H
#define MS_RUN_INPUTS_KEY_H

#include "job/job_key.h"
#include "run/inputs/inputs.h"

/* Beside the inputs: what computes, and how the output is cut up. */
typedef struct ms_inputs_key {
    const char *arithmetic; /* ms_device_caps.arithmetic */
    ms_dtype precision;
    int64_t segment_frames;
} ms_inputs_key;

/* Paths stay borrowed. */
ms_status ms_inputs_make_key(const ms_inputs *inputs, const ms_inputs_key *beside, ms_job_key *ret_key,
                             ms_error *err);

/* As asked for; where nothing is, a job that was begun elsewhere keeps the one that was chosen there. */
ms_precision ms_inputs_precision(const ms_run_params *params, ms_mem *mem);

#endif
