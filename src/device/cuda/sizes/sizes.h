/*
 * What the CUDA back end takes of memory, by the arguments alone: the same functions size the work on a card
 * and plans for a card that is not here, so this folder is part of the library and needs neither kernels nor
 * a card.
 */
#ifndef MS_DEVICE_CUDA_SIZES_SIZES_H
#define MS_DEVICE_CUDA_SIZES_SIZES_H

#include "device/cuda/sizes/weight_layout.h"
#include "device/shape.h"

/* What a node of an instantiated graph takes of the card, about: NVIDIA, "Constant time launch for
   straight-line CUDA graphs", 2024. Each call of kernels.h is one, and one more where it has a workspace
   (that is where ms_cuda_wants_copy() says so). */
#define CUDA_NODE_BYTES ((size_t)64 << 10)

/* ms_kernels' functions of these names. */
ms_weight_layout ms_cuda_conv2d_layout(const ms_conv2d_args *args); /* PANEL or DEPTHWISE */
size_t ms_cuda_linear_workspace(const ms_device *dev, const ms_linear_args *args);
size_t ms_cuda_conv2d_workspace(const ms_device *dev, const ms_conv2d_args *args);
size_t ms_cuda_attention_workspace(const ms_device *dev, const ms_attention_args *args);

/* Whether a layer's sources allow tensor cores: one 16-bit type, and groups of a multiple of 8 channels. The
   weight is not looked at, which may not be there yet. */
bool ms_cuda_allows_tensor_cores(const ms_rows *src, int n_src, int groups);

/* Whether their kernels read the sources from a copy in the workspace: joined, normalised, and in eights. */
bool ms_cuda_wants_copy(const ms_rows *src, int n_src, const ms_prologue *prologue);

/* Eight channels from a multiple of 8 on lie at a multiple of 16 bytes of the data's beginning. */
bool ms_cuda_in_eights(const ms_rows *rows);

/* A stride between as many elements as there are; what lies behind a single one is nobody's. */
static inline int64_t cuda_stride_of(int64_t count, int64_t stride) {
    return count > 1 ? stride : 0;
}

#endif
