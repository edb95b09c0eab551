/* Cases of `memsafe-stage`: named tensors in, named tensors out, both safetensors files. */
#ifndef MS_TOOLS_STAGE_CASE_FILE_H
#define MS_TOOLS_STAGE_CASE_FILE_H

#include "base/dtype.h"
#include "base/mem.h"
#include "formats/tensor_file.h"

/* A whole tensor as float32, in the file's order. shape has room for MS_TENSOR_MAX_RANK; rank 0 = any rank.
   The caller frees the data with ms_mem_free(). */
typedef struct case_tensor {
    float *data;
    int rank;
    int64_t shape[MS_TENSOR_MAX_RANK];
    int64_t elements;
} case_tensor;

ms_status case_read(const ms_tensor_file *file, const char *name, int rank, case_tensor *ret_tensor,
                    ms_error *err);

/* Outputs are collected and written in one go, so that a failed stage leaves no file. */
typedef struct case_output {
    struct case_entry *entries;
    int count, capacity;
} case_output;

/* Copies elements x the type's size bytes. */
ms_status case_add(case_output *out, const char *name, ms_dtype dtype, int rank, const int64_t *shape,
                   const void *data, ms_error *err);
ms_status case_write(const case_output *out, const char *path, ms_error *err);
void case_free(case_output *out);

/* [a][b][c] -> [a][c][b]: channels-last to planar images and back. */
void case_swap_inner(const float *src, int64_t a, int64_t b, int64_t c, float *ret_dst);

#endif
