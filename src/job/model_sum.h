/*
 * What tells a model's file from another of the same size, so that a change anywhere in it is seen:
 *
 * - A checkpoint that torch.save wrote is a zip archive whose directory has a CRC-32 of each
 *   member. Directory and CRCs are summed, some hundred kilobytes of a file of 5 GB. (Whether
 *   members are what their CRCs say, `memsafe models` looks; a run does not.)
 * - Anything else (safetensors, ONNX, configs, archives that leave a CRC out) is read whole. It
 *   is about to be read anyway, and takes a second for some gigabytes that are in the page cache.
 */
#ifndef MS_JOB_MODEL_SUM_H
#define MS_JOB_MODEL_SUM_H

#include "base/mem.h"

/* MS_IO: cannot be read. MS_CANCELLED: cancelled (may be NULL) said so while the file was read. */
ms_status ms_model_sum(ms_mem *mem, int fd, bool (*cancelled)(void *arg), void *arg, uint64_t *ret_sum,
                       ms_error *err);

#endif
