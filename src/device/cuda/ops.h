/* The functions of ms_kernels of this back end but linear's and conv2d's (device/kernels.h says what they
   do). */
#ifndef MS_DEVICE_CUDA_OPS_H
#define MS_DEVICE_CUDA_OPS_H

#include "device/cuda/sizes/sizes.h"

ms_status ms_cuda_attention(ms_queue *queue, const ms_attention_args *args, void *workspace);

ms_status ms_cuda_norm_partials(ms_queue *queue, const ms_norm_partials_args *args);
ms_status ms_cuda_norm_tables(ms_queue *queue, const ms_norm_tables_args *args);
ms_status ms_cuda_norm_apply(ms_queue *queue, const ms_norm_apply_args *args);
ms_status ms_cuda_layer_norm(ms_queue *queue, const ms_layer_norm_args *args);

ms_status ms_cuda_binary(ms_queue *queue, const ms_binary_args *args);
ms_status ms_cuda_unary(ms_queue *queue, const ms_unary_args *args);
ms_status ms_cuda_pool(ms_queue *queue, const ms_pool_args *args);
ms_status ms_cuda_resize(ms_queue *queue, const ms_resize_args *args);
ms_status ms_cuda_copy(ms_queue *queue, const ms_copy_args *args);

ms_status ms_cuda_noise(ms_queue *queue, const ms_noise_args *args);
ms_status ms_cuda_posterior(ms_queue *queue, const ms_posterior_args *args);
ms_status ms_cuda_rescale(ms_queue *queue, const ms_rescale_args *args);
ms_status ms_cuda_guide(ms_queue *queue, const ms_guide_args *args);
ms_status ms_cuda_ddim(ms_queue *queue, const ms_ddim_args *args);
ms_status ms_cuda_check_finite(ms_queue *queue, const ms_check_finite_args *args);

#endif
