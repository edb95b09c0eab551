/*
 * Face nets with random weights and the form of insightface's: det_10g.onnx (SCRFD
 * with key points: residual backbone, feature pyramid, three heads) and
 * 2d106det.onnx (separable convolutions, PReLU, one linear layer).
 *
 * What a net with random weights says is noise, and a run needs a face. So the last layer of
 * each has biases alone: the detector sees one and the same face in every picture, the landmark
 * net one and the same 106 points in it. All layers before are computed as in the real ones.
 */
#ifndef MS_MODELS_SYNTHESIZE_SYNTHESIZE_FACES_H
#define MS_MODELS_SYNTHESIZE_SYNTHESIZE_FACES_H

#include <stdbool.h>
#include <stdint.h>

#include "memsafe/status.h"

/* Random values of a tensor, from `first` (a multiple of 4) on. Weights of norms lie
   around 1, biases around 0, and matrices keep the size of what passes through them. */
void ms_synthetic_fill(const char *name, int rank, const int64_t *shape, uint64_t seed, uint32_t tensor,
                       int64_t first, int64_t count, float *ret_values);

/* small: of a few thousand weights, for tests. Existing files are MS_IO. Memory:
   twice the file, 34 MB for the detector. */
ms_status ms_synthesize_detector(const char *path, uint64_t seed, bool small, ms_error *err);
ms_status ms_synthesize_landmarks(const char *path, uint64_t seed, bool small, ms_error *err);

#endif
