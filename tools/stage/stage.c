#include "stage.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "planner/run_policy.h"

ms_dtype stage_precision(const stage_compute *compute) {
    static const ms_dtype types[] = {MS_F32, MS_F16, MS_BF16};
    return types[compute->precision];
}

ms_slicing stage_slicing(const stage_compute *compute) {
    return (ms_slicing){
        .frames = compute->slice_frames, .pixels = compute->slice_pixels, .rows = compute->stripe_rows};
}

ms_status stage_open_compute(const stage_compute *compute, ms_compute *ret_compute, ms_error *err) {
    const ms_compute_params params = {.device = compute->device,
                                      .threads = compute->threads,
                                      .isa_limit = MS_ISA_COUNT - 1,
                                      .must_compute = true};
    MS_TRY(ms_compute_open(&params, ret_compute, err));
    ret_compute->activation = ms_run_activation(ret_compute->dev, stage_precision(compute));
    return MS_OK;
}

ms_status stage_open_input(const stage_files *files, ms_tensor_file **ret_file, ms_error *err) {
    if (!files->in)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--in FILE is missing");
    return ms_tensor_file_open(NULL, files->in, ret_file, err);
}

int stage_finish(const stage_files *files, case_output *out, ms_status status, ms_error *err) {
    if (status == MS_OK)
        status = files->out ? case_write(out, files->out, err)
                            : ms_fail(err, MS_INVALID_ARGUMENT, "--out FILE is missing");
    case_free(out);
    return status == MS_OK ? 0 : cli_fail(err);
}

ms_status stage_load(ms_weights *weights, const char *path, const char *known_tensor,
                     const stage_compute *compute, ms_error *err) {
    ms_tensor_file *file = NULL;
    ms_weights_load_params params = {.precision = stage_precision(compute)};
    ms_pool *pool = NULL;
    MS_TRY(ms_checkpoint_open(NULL, path, known_tensor, &file, &params.prefix, err));
    ms_status status = ms_pool_create(NULL, compute->threads, &pool, err);
    params.pool = pool;
    if (status == MS_OK)
        status = ms_weights_load(weights, file, MS_ALL_RESIDENT, &params, err);
    ms_pool_destroy(&pool);
    ms_tensor_file_close(&file);
    return status;
}

ms_status stage_parse_list(const char *text, const char *option, int64_t *ret_list, int capacity,
                           int *ret_count, ms_error *err) {
    int n = 0;
    for (const char *at = text; at && *at;) {
        char *end;
        errno = 0;
        long long value = strtoll(at, &end, 10);
        if (end == at || errno || (*end && *end != ','))
            return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: \"%s\" is no list of whole numbers", option,
                           text);
        if (n == capacity)
            return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: more than %d numbers", option, capacity);
        ret_list[n++] = value;
        at = *end ? end + 1 : end;
    }
    if (n == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--%s LIST is missing", option);
    *ret_count = n;
    return MS_OK;
}

void stage_rows_to_planes(const float *rows, int64_t images, int64_t pixels, int64_t channels,
                          float *ret_planes) {
    case_swap_inner(rows, 1, images * pixels, channels, ret_planes);
}

void stage_planes_to_rows(const float *planes, int64_t images, int64_t pixels, int64_t channels,
                          float *ret_rows) {
    case_swap_inner(planes, 1, channels, images * pixels, ret_rows);
}
