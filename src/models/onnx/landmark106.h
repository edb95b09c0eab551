/*
 * The 106-point landmark network of insightface's buffalo_l (2d106det.onnx): the network alone. It normalises
 * its input itself: planes of 192 x 192 values 0 to 255, in the channel order of insightface's
 * model_zoo/landmark.py. What comes out are x and y of each point, -1 to 1 across the crop:
 * pixel = (value + 1) * 96.
 */
#ifndef MS_MODELS_ONNX_LANDMARK106_H
#define MS_MODELS_ONNX_LANDMARK106_H

#include "models/onnx/onnx_net.h"

#define MS_LANDMARK106_SIDE 192
#define MS_LANDMARK106_VALUES 212

typedef struct ms_landmark106 ms_landmark106;

/* MS_BAD_MODEL when the file is no network from one 192 x 192 image to 212 values. */
ms_status ms_landmark106_open(const ms_compute *compute, const char *path, ms_landmark106 **ret_net,
                              ms_error *err);
void ms_landmark106_close(ms_landmark106 **net);

/* For this many crops at once, computed `slice` at a time (0 = all); the results are the same bits. */
ms_status ms_landmark106_prepare(ms_landmark106 *net, int64_t crops, int64_t slice, size_t *ret_arena_bytes,
                                 ms_error *err);

/* planes: [crops][3][192][192]. ret_values: [crops][212]. */
ms_status ms_landmark106_run(const ms_landmark106 *net, void *arena, const float *planes, float *ret_values,
                             ms_error *err);

#endif
