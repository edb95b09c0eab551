/*
 * Writing ONNX files: as much as networks of convolutions need. The file is made in
 * memory; running out of it is noticed at the end.
 *
 *     ms_onnx_writer w;
 *     ms_onnx_writer_init(&w, NULL);
 *     ms_onnx_put_input(&w, "data", 4, (int64_t[]){-1, 3, 192, 192});
 *     ms_onnx_put_node(&w, "Relu", "data", "out");
 *     ms_onnx_put_output(&w, "out", 4, (int64_t[]){-1, 3, 192, 192});
 *     status = ms_onnx_writer_save(&w, "relu.onnx", err);
 *     ms_onnx_writer_free(&w);
 */
#ifndef MS_FORMATS_ONNX_ONNX_WRITER_H
#define MS_FORMATS_ONNX_ONNX_WRITER_H

#include <stdint.h>

#include "text/json.h"

#define MS_ONNX_WRITER_OPSET 11 /* what insightface's files have */

typedef struct ms_onnx_writer {
    ms_buf graph;
    ms_buf node; /* the last one, to which attributes can still be added */
} ms_onnx_writer;

void ms_onnx_writer_init(ms_onnx_writer *w, ms_mem *mem);
void ms_onnx_writer_free(ms_onnx_writer *w);

/* dims: -1 = left open. float32. */
void ms_onnx_put_input(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims);
void ms_onnx_put_output(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims);

/* inputs: separated by commas. */
void ms_onnx_put_node(ms_onnx_writer *w, const char *op, const char *inputs, const char *output);
/* Attributes of the last node. */
void ms_onnx_put_int(ms_onnx_writer *w, const char *name, int64_t value);
void ms_onnx_put_ints(ms_onnx_writer *w, const char *name, int count, const int64_t *values);
void ms_onnx_put_text(ms_onnx_writer *w, const char *name, const char *value);

/* Constants, row-major. */
void ms_onnx_put_f32(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims, const float *values);
void ms_onnx_put_i64(ms_onnx_writer *w, const char *name, int rank, const int64_t *dims,
                     const int64_t *values);

/* MS_HOST_MEMORY when any call above ran out of memory; an existing file is MS_IO. */
ms_status ms_onnx_writer_save(ms_onnx_writer *w, const char *path, ms_error *err);

#endif
