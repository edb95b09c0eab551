/* How the functions of the CUDA back end give kernels to a queue. */
#ifndef MS_DEVICE_CUDA_LAUNCH_H
#define MS_DEVICE_CUDA_LAUNCH_H

#include "device/device.h"
#include "device/simt/kernel.h"

/* A grid of x * y * z blocks, x up to 2^31 - 1, y and z up to 65535; none of them 0. param is copied.
   MS_DEVICE_LOST: the device answers no more. */
ms_status cuda_launch(ms_queue *queue, const simt_kernel *kernel, uint32_t x, uint32_t y, uint32_t z,
                      const void *param);

/* The compute capability: 75, 80, 86, 89, 90, 100, 120. Kernels are the same on all, but for what is stated
   in simt.h. */
int cuda_arch(const ms_device *dev);

/* Multiprocessors of the card. Which tiles are taken follows from them; what is computed does not. */
int cuda_processors(const ms_device *dev);

/* ms_backend.choose_form(): 0, or which of the kernels that give the same bits a call takes whatever its
   size. Matrices: a tile each in the order of cuda_tile, then the kernel that reads element by element.
   Attention: 1 is the large tile. */
#define CUDA_FORMS 6
int cuda_form(const ms_device *dev);

#endif
