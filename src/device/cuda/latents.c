/* What happens to latents between the networks. */
#include "device/cuda/ops.h"
#include "device/cuda/rows.h"
#include "device/shape.h"

ms_status ms_cuda_noise(ms_queue *queue, const ms_noise_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, noise, a);
    const ms_rows *dst = &a->dst;
    cuda_noise_params p = {.dst = cuda_operand_of(dst),
                           .outer = dst->outer,
                           .inner = dst->inner,
                           .channels = dst->channels,
                           .seed = a->seed,
                           .numbers = a->numbers,
                           .turns = cuda_most(dst->outer, CUDA_MOST_BLOCKS)};
    /* As many as one grid has threads for; numbers are counted in 32 bits, four at a time. */
    if (dst->channels > (int64_t)UINT32_MAX / dst->inner)
        return MS_UNSUPPORTED;
    const int64_t fours = cuda_ceil_div(dst->inner * dst->channels, 4);
    return cuda_launch(queue, &cuda_noise_kernel, (uint32_t)cuda_ceil_div(fours, CUDA_ROWS_THREADS), p.turns,
                       1, &p);
}

ms_status ms_cuda_posterior(ms_queue *queue, const ms_posterior_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, posterior, a);
    ms_rows logvar = a->moments;
    logvar.data = ms_elements_at(logvar.data, logvar.dtype, a->dst.channels);
    cuda_each_params p = {
        .src = {cuda_operand_of(&a->moments), cuda_operand_of(&logvar), cuda_operand_of(&a->normals)},
        .dst = cuda_operand_of(&a->dst),
        .number = {a->shift, a->scale}};
    return cuda_launch_each(queue, &cuda_posterior_kernel, &a->dst, true, &p);
}

ms_status ms_cuda_rescale(ms_queue *queue, const ms_rescale_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, rescale, a);
    cuda_each_params p = {
        .src = {cuda_operand_of(&a->src)}, .dst = cuda_operand_of(&a->dst), .number = {a->divisor, a->shift}};
    return cuda_launch_each(queue, &cuda_rescale_kernel, &a->dst, true, &p);
}

ms_status ms_cuda_guide(ms_queue *queue, const ms_guide_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, guide, a);
    cuda_each_params p = {.src = {cuda_operand_of(&a->without), cuda_operand_of(&a->with)},
                          .dst = cuda_operand_of(&a->dst),
                          .number = {a->scale}};
    return cuda_launch_each(queue, &cuda_guide_kernel, &a->dst, true, &p);
}

ms_status ms_cuda_ddim(ms_queue *queue, const ms_ddim_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, ddim, a);
    cuda_each_params p = {.src = {cuda_operand_of(&a->sample), cuda_operand_of(&a->noise)},
                          .dst = cuda_operand_of(&a->dst),
                          .step = a->step};
    return cuda_launch_each(queue, &cuda_ddim_kernel, &a->dst, true, &p);
}

ms_status ms_cuda_check_finite(ms_queue *queue, const ms_check_finite_args *a) {
    MS_TRY_KERNEL_ARGS(queue->dev, check_finite, a);
    cuda_finite_params p = {.src = cuda_operand_of(&a->src), .flag = a->flag};
    cuda_operand *operands[1] = {&p.src};
    MS_TRY(cuda_space_of(&a->src, operands, 1, &p.space));
    return cuda_launch_space(queue, &cuda_finite_kernel, &p.space, &p);
}
