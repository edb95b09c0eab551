/*
 * SCRFD, the face detector of insightface's buffalo_l (det_10g.onnx; "Sample and Computation Redistribution
 * for Efficient Face Detection", Guo et al. 2021): the network alone. Its input is a letterboxed picture as
 * planes (v - 127.5) / 128, in the channel order of insightface's model_zoo/scrfd.py.
 *
 * Three feature maps with cells of 8, 16 and 32 pixels, two anchors per cell: the row is
 * (y * width + x) * 2 + anchor, where width and height are those of the input divided by the stride, rounded
 * up. Scores are probabilities; box distances and key points are in units of the stride.
 */
#ifndef MS_MODELS_ONNX_SCRFD_H
#define MS_MODELS_ONNX_SCRFD_H

#include "models/onnx/onnx_net.h"

#define MS_SCRFD_STRIDES 3
#define MS_SCRFD_ANCHORS 2

typedef struct ms_scrfd ms_scrfd;

typedef struct ms_scrfd_heads {
    struct {
        int stride; /* 8, 16, 32 */
        int64_t rows;
        const float *score; /* [rows] */
        const float *bbox;  /* [rows][4]: to the left, top, right, bottom */
        const float *kps;   /* [rows][5][2]: x, y */
    } level[MS_SCRFD_STRIDES];
} ms_scrfd_heads;

/* MS_BAD_MODEL when the file is no network with one image input and nine outputs. */
ms_status ms_scrfd_open(const ms_compute *compute, const char *path, ms_scrfd **ret_scrfd, ms_error *err);
void ms_scrfd_close(ms_scrfd **scrfd);

/* For inputs of this size; MS_BAD_MODEL when the outputs do not have the shapes above. */
ms_status ms_scrfd_prepare(ms_scrfd *scrfd, int64_t height, int64_t width, size_t *ret_arena_bytes,
                           ms_error *err);

/* How many floats the outputs have, after ms_scrfd_prepare(). */
size_t ms_scrfd_output_floats(const ms_scrfd *scrfd);

/* planes: [3][height][width]. outputs: ms_scrfd_output_floats() floats, which ret_heads points into. */
ms_status ms_scrfd_run(const ms_scrfd *scrfd, void *arena, const float *planes, float *outputs,
                       ms_scrfd_heads *ret_heads, ms_error *err);

#endif
