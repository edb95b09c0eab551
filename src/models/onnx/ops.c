/* The operators, and the walk over a file's nodes. */
#include <string.h>

#include "base/error.h"
#include "models/onnx/build.h"

#define MANY 4096

/* Optional inputs count; trailing ones may be left out. */
static const onnx_op ops[] = {
    {"Add", 2, 2, ms_onnx_visit_point, ms_onnx_fold_arithmetic},
    {"AveragePool", 1, 1, ms_onnx_visit_pool, NULL},
    {"BatchNormalization", 5, 5, ms_onnx_visit_point, NULL},
    {"Cast", 1, 1, ms_onnx_visit_identity, ms_onnx_fold_cast},
    {"Ceil", 1, 1, NULL, ms_onnx_fold_rounding},
    {"Concat", 1, MANY, ms_onnx_visit_concat, ms_onnx_fold_concat},
    {"Constant", 0, 0, NULL, ms_onnx_fold_constant},
    {"ConstantOfShape", 1, 1, NULL, ms_onnx_fold_constant_of_shape},
    {"Conv", 2, 3, ms_onnx_visit_conv, NULL},
    {"Div", 2, 2, ms_onnx_visit_point, ms_onnx_fold_arithmetic},
    {"Dropout", 1, 3, ms_onnx_visit_dropout, ms_onnx_visit_dropout},
    {"Flatten", 1, 1, ms_onnx_visit_flatten, ms_onnx_visit_flatten},
    {"Floor", 1, 1, NULL, ms_onnx_fold_rounding},
    {"Gather", 2, 2, NULL, ms_onnx_fold_gather},
    {"Gemm", 2, 3, ms_onnx_visit_gemm, NULL},
    {"GlobalAveragePool", 1, 1, ms_onnx_visit_global_pool, NULL},
    {"Identity", 1, 1, ms_onnx_visit_identity, ms_onnx_visit_identity},
    {"LeakyRelu", 1, 1, ms_onnx_visit_point, NULL},
    {"MatMul", 2, 2, ms_onnx_visit_matmul, NULL},
    {"MaxPool", 1, 1, ms_onnx_visit_pool, NULL},
    {"Mul", 2, 2, ms_onnx_visit_point, ms_onnx_fold_arithmetic},
    {"PRelu", 2, 2, ms_onnx_visit_point, NULL},
    {"Relu", 1, 1, ms_onnx_visit_point, NULL},
    {"Reshape", 2, 2, ms_onnx_visit_reshape, ms_onnx_visit_reshape},
    {"Resize", 1, 4, ms_onnx_visit_resize, NULL},
    {"Shape", 1, 1, ms_onnx_visit_shape, ms_onnx_visit_shape},
    {"Sigmoid", 1, 1, ms_onnx_visit_point, NULL},
    {"Size", 1, 1, ms_onnx_visit_size, ms_onnx_visit_size},
    {"Slice", 1, 5, NULL, ms_onnx_fold_slice},
    {"Squeeze", 1, 2, ms_onnx_visit_squeeze, ms_onnx_visit_squeeze},
    {"Sub", 2, 2, ms_onnx_visit_point, ms_onnx_fold_arithmetic},
    {"Transpose", 1, 1, ms_onnx_visit_transpose, ms_onnx_visit_transpose},
    {"Unsqueeze", 1, 2, ms_onnx_visit_unsqueeze, ms_onnx_visit_unsqueeze},
    {"Upsample", 1, 2, ms_onnx_visit_upsample, NULL},
};

const onnx_op *ms_onnx_find_op(const char *name) {
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
        if (strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}

/* More outputs than the first (a pooling's indices, a dropout's mask) may be named but not used. */
ms_status ms_onnx_check_node(const onnx_build *b, const ms_onnx_node *node, const onnx_op **ret_op) {
    const onnx_op *op = ms_onnx_find_op(node->op);
    if (!op)
        return ms_onnx_fail(b, node, MS_BAD_MODEL, "the operator is not supported");
    if (node->n_inputs < op->min_inputs || node->n_inputs > op->max_inputs)
        return ms_onnx_fail(b, node, MS_BAD_MODEL, "has %d inputs", node->n_inputs);
    for (int i = 0; i < op->min_inputs; i++)
        if (node->input[i] < 0)
            return ms_onnx_fail(b, node, MS_BAD_MODEL, "input %d is left out", i);
    for (int i = 1; i < node->n_outputs; i++) {
        int32_t v = node->output[i];
        if (v >= 0 && (b->uses[v].count || b->uses[v].shape || b->uses[v].output))
            return ms_onnx_fail(b, node, MS_BAD_MODEL, "its output %d is used, which is not supported", i);
    }
    *ret_op = op;
    return MS_OK;
}

static bool all_constant(const onnx_build *b, const ms_onnx_node *node) {
    for (int i = 0; i < node->n_inputs; i++) {
        const onnx_slot *in = ms_onnx_in(b, node, i);
        if (in && in->kind != ONNX_CONST)
            return false;
    }
    return true;
}

static ms_status visit(onnx_build *b) {
    const onnx_op *op = NULL;
    const bool constant = all_constant(b, b->node);
    MS_TRY(ms_onnx_check_node(b, b->node, &op));
    onnx_visit visit_op = constant ? op->fold : op->live;
    if (!visit_op)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "is supported for %s only",
                            constant ? "data that depends on the inputs" : "constants and shapes");
    MS_TRY(visit_op(b));
    return ms_onnx_graph_status(b, b->node);
}

ms_status ms_onnx_build_nodes(onnx_build *b) {
    /* What is constant whatever the shapes are comes first: the look-ahead of a product wants to see it. */
    for (b->index = 0; b->index < b->file->n_nodes; b->index++) {
        b->node = &b->file->nodes[b->index];
        if (b->needed[b->index] && all_constant(b, b->node))
            MS_TRY(visit(b));
    }
    for (b->index = 0; b->index < b->file->n_nodes; b->index++) {
        b->node = &b->file->nodes[b->index];
        if (!b->needed[b->index] || b->slots[b->node->output[0]].kind != ONNX_ABSENT)
            continue;
        if (b->pass[b->index] < 0)
            MS_TRY(visit(b));
        else
            MS_TRY(ms_onnx_out(b, ms_onnx_in(b, b->node, b->pass[b->index])));
    }
    b->node = NULL;
    return MS_OK;
}
