/*
 * A network from an ONNX file, run by this project's own graphs and kernels in float32. For each input size a
 * graph is built and planned; the weights are shared by all of them and set once.
 *
 * Operators: Conv (not dilated), ConvTranspose not; Gemm and MatMul with constant weights;
 * BatchNormalization; Relu, PRelu, LeakyRelu, Sigmoid; Add, Sub, Mul, Div of tensors of one shape, or with a
 * constant that has one value or one per channel; MaxPool, AveragePool, GlobalAveragePool; Resize and
 * Upsample (nearest); Concat of channels; Reshape, Flatten, Transpose, Squeeze, Unsqueeze; Identity, Dropout;
 * and, on constants and shapes, Shape, Size, Gather, Slice, Concat, Cast, Floor, Ceil, arithmetic, Constant,
 * ConstantOfShape. All others, and attributes that these do not know, are MS_BAD_MODEL with the node's name.
 */
#ifndef MS_MODELS_ONNX_ONNX_NET_H
#define MS_MODELS_ONNX_ONNX_NET_H

#include "device/compute.h"
#include "formats/onnx/onnx_file.h"
#include "graph/plan.h"

typedef struct ms_onnx_net ms_onnx_net;

/* An input or output: row-major, as the file has it (images are N,C,H,W). */
typedef struct ms_onnx_value {
    const char *name;
    int rank;
    int64_t shape[MS_ONNX_MAX_RANK]; /* inputs: -1 where the file leaves it open */
    int64_t elements;                /* outputs, and 0 before ms_onnx_net_prepare() */
} ms_onnx_value;

/* Reads the file and checks that every operator is known. compute must outlive the
   network; memory is compute->mem's. MS_UNSUPPORTED in a build without protobuf-c. */
ms_status ms_onnx_net_open(const ms_compute *compute, const char *path, ms_onnx_net **ret_net, ms_error *err);

/* Takes the file over, also on failure. */
ms_status ms_onnx_net_create(const ms_compute *compute, ms_onnx_file **file, ms_onnx_net **ret_net,
                             ms_error *err);
void ms_onnx_net_close(ms_onnx_net **net);

int ms_onnx_net_input_count(const ms_onnx_net *net);
int ms_onnx_net_output_count(const ms_onnx_net *net);
const ms_onnx_value *ms_onnx_net_input(const ms_onnx_net *net, int index);
/* rank is -1 before ms_onnx_net_prepare(): shapes that files declare for outputs are not to be relied on. */
const ms_onnx_value *ms_onnx_net_output(const ms_onnx_net *net, int index);

/*
 * Builds and plans for these input shapes, one ms_onnx_value per input of which shape is read (and rank,
 * which must be the file's). May be called again, for other shapes; the network keeps the last that worked.
 * slicing: NULL, or how many images of a batch to take at a time.
 */
ms_status ms_onnx_net_prepare(ms_onnx_net *net, const ms_onnx_value *inputs, const ms_slicing *slicing,
                              size_t *ret_arena_bytes, ms_error *err);

/* arena: the bytes that ms_onnx_net_prepare() asked for, of device memory. inputs and outputs: host memory,
   one packed array each. */
ms_status ms_onnx_net_run(const ms_onnx_net *net, void *arena, const float *const *inputs,
                          float *const *outputs, ms_error *err);

/* NULL before ms_onnx_net_prepare(). */
const ms_graph *ms_onnx_net_graph(const ms_onnx_net *net);
const ms_plan *ms_onnx_net_plan(const ms_onnx_net *net);
const char *ms_onnx_net_path(const ms_onnx_net *net);

#endif
