/* Pooling, resizing and joining images. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "models/onnx/attrs.h"

#define MAX_WINDOW 4096

/* ---- pooling ---- */

ms_status ms_onnx_visit_pool(onnx_build *b) {
    int64_t kernel[2], stride[2], dilation[2], pad[4];
    ms_pool_desc d = {.name = b->node->name, .average = b->node->op[0] == 'A'};
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    const char *auto_pad = ms_onnx_attr_text(&a, "auto_pad", "NOTSET");
    if (strcmp(auto_pad, "NOTSET") != 0)
        ms_onnx_attr_refuse(&a, "auto_pad", "is supported as NOTSET only");
    ms_onnx_attr_ints(&a, "kernel_shape", 2, 0, 1, MAX_WINDOW, kernel);
    ms_onnx_attr_ints(&a, "strides", 2, 1, 1, MAX_WINDOW, stride);
    ms_onnx_attr_ints(&a, "pads", 4, 0, 0, MAX_WINDOW, pad);
    ms_onnx_attr_ints(&a, "dilations", 2, 1, 1, 1, dilation);
    d.ceil_mode = ms_onnx_attr_int(&a, "ceil_mode", 0, 0, 1) == 1;
    if (d.average)
        d.count_pad = ms_onnx_attr_int(&a, "count_include_pad", 0, 0, 1) == 1;
    else
        ms_onnx_attr_int(&a, "storage_order", 0, 0, 0);
    for (int i = 0; i < 2; i++) {
        if (kernel[i] == 0)
            ms_onnx_attr_refuse(&a, "kernel_shape", "is missing");
        if (pad[i] >= kernel[i] || pad[2 + i] >= kernel[i])
            ms_onnx_attr_refuse(&a, "pads", "holds a padding that is not smaller than the window");
    }
    MS_TRY(ms_onnx_attrs_end(&a));
    d.kernel_h = (int)kernel[0], d.kernel_w = (int)kernel[1];
    d.stride_h = (int)stride[0], d.stride_w = (int)stride[1];
    d.pad_top = (int)pad[0], d.pad_left = (int)pad[1];
    d.pad_bottom = (int)pad[2], d.pad_right = (int)pad[3];
    MS_TRY(ms_onnx_image(b, ms_onnx_in(b, b->node, 0), &d.src));
    ms_shape s = ms_graph_shape(b->graph, d.src);
    if (s.h + pad[0] + pad[2] < kernel[0] || s.w + pad[1] + pad[3] < kernel[1])
        return ms_onnx_fail(b, b->node, MS_INVALID_ARGUMENT,
                            "a window of %dx%d does not fit an image of %" PRId64 "x%" PRId64
                            ": the network's input is too small",
                            d.kernel_h, d.kernel_w, s.h, s.w);
    return ms_onnx_out_value(b, ms_op_pool(b->graph, &d), 4);
}

ms_status ms_onnx_visit_global_pool(onnx_build *b) {
    ms_pool_desc d = {.name = b->node->name, .average = true, .stride_h = 1, .stride_w = 1};
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(ms_onnx_image(b, ms_onnx_in(b, b->node, 0), &d.src));
    ms_shape s = ms_graph_shape(b->graph, d.src);
    if (s.h > INT32_MAX || s.w > INT32_MAX)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "an image of %" PRId64 "x%" PRId64, s.h, s.w);
    d.kernel_h = (int)s.h;
    d.kernel_w = (int)s.w;
    return ms_onnx_out_value(b, ms_op_pool(b->graph, &d), 4);
}

/* ---- nearest neighbour ---- */

/* Which source pixel is nearest is asked of the runtime as floor(at * size / new size). With scales that
   means the same only when they give whole sizes. */
static ms_status scaled(const onnx_build *b, const float *scale, const onnx_slot *x, int64_t *ret_size) {
    for (int i = 0; i < 4; i++) {
        double size = (double)x->dim[i] * (double)scale[i];
        if (!(size >= 1) || size > 0x1p30 || size != (double)(int64_t)size)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL,
                                "a scale of %g for dimension %d of %" PRId64 " gives no whole size",
                                (double)scale[i], i, x->dim[i]);
        ret_size[i] = (int64_t)size;
    }
    return MS_OK;
}

static ms_status resize_to(onnx_build *b, onnx_slot *x, const int64_t *size) {
    ms_value src;
    MS_TRY(ms_onnx_image(b, x, &src));
    if (size[0] != x->dim[0] || size[1] != x->dim[1])
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "only height and width can be resized");
    onnx_slot result = *x;
    MS_TRY(ms_onnx_set_dims(b, &result, 4, size));
    return ms_onnx_out_value(b, ms_op_resize(b->graph, b->node->name, src, size[2], size[3]), 4);
}

/* A list of four; ret_there is false when the input is left out or empty, which means the same. */
static ms_status read_scales(onnx_build *b, int input, const float **ret_scales, bool *ret_there) {
    const onnx_slot *in = ms_onnx_in(b, b->node, input);
    *ret_there = in && !(in->kind == ONNX_CONST && in->elements == 0);
    if (!*ret_there)
        return MS_OK;
    MS_TRY(ms_onnx_const_floats(b, b->node, in, "its scales", ret_scales));
    if (in->rank != 1 || in->elements != 4)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has %" PRId64 " scales, not 4", in->elements);
    return MS_OK;
}

static ms_status need_image(const onnx_build *b, const onnx_slot *x) {
    char text[ONNX_DIMS_TEXT];
    return x->kind == ONNX_LIVE && x->rank == 4
               ? MS_OK
               : ms_onnx_fail(b, b->node, MS_BAD_MODEL, "data of shape %s is not supported",
                              ms_onnx_dims_text(text, x->rank, x->dim));
}

ms_status ms_onnx_visit_upsample(onnx_build *b) {
    onnx_slot *x = ms_onnx_in(b, b->node, 0);
    const float *scales = NULL;
    bool there = false;
    int64_t size[4];
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    if (strcmp(ms_onnx_attr_text(&a, "mode", "nearest"), "nearest") != 0)
        ms_onnx_attr_refuse(&a, "mode", "is supported as nearest only");
    if (b->file->opset < 9) {
        const ms_onnx_attr *attr = ms_onnx_attr_find(&a, "scales", MS_ONNX_FLOATS);
        there = attr && attr->count == 4;
        scales = there ? attr->floats : NULL;
    }
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(need_image(b, x));
    if (b->file->opset >= 9)
        MS_TRY(read_scales(b, 1, &scales, &there));
    if (!there)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has no scales for 4 dimensions");
    MS_TRY(scaled(b, scales, x, size));
    return resize_to(b, x, size);
}

/* Where output pixels lie in the input, and which way a half goes. The two ways that are supported besides
   the runtime's own agree with it when every pixel becomes a whole number of pixels. */
static void read_resize(onnx_attrs *a, bool *ret_whole) {
    const char *where = ms_onnx_attr_text(a, "coordinate_transformation_mode", "half_pixel");
    const char *nearest = ms_onnx_attr_text(a, "nearest_mode", "round_prefer_floor");
    bool asymmetric = strcmp(where, "asymmetric") == 0 && strcmp(nearest, "floor") == 0;
    bool half = strcmp(where, "half_pixel") == 0 || strcmp(where, "pytorch_half_pixel") == 0;
    *ret_whole = !asymmetric;
    if (!asymmetric && (!half || strcmp(nearest, "round_prefer_floor") != 0))
        ms_onnx_attr_refuse(a, "coordinate_transformation_mode",
                            "is supported as asymmetric with nearest_mode floor, and as half_pixel with "
                            "round_prefer_floor");
    ms_onnx_attr_float(a, "cubic_coeff_a", -0.75f); /* of other modes */
    ms_onnx_attr_float(a, "extrapolation_value", 0);
    ms_onnx_attr_int(a, "exclude_outside", 0, 0, 0);
    ms_onnx_attr_int(a, "antialias", 0, 0, 0);
    if (strcmp(ms_onnx_attr_text(a, "keep_aspect_ratio_policy", "stretch"), "stretch") != 0)
        ms_onnx_attr_refuse(a, "keep_aspect_ratio_policy", "is supported as stretch only");
}

ms_status ms_onnx_visit_resize(onnx_build *b) {
    onnx_slot *x = ms_onnx_in(b, b->node, 0);
    const float *scales = NULL;
    bool there, whole = false;
    int64_t size[4];
    const bool old = b->file->opset < 11; /* inputs x, scales; pixels as asymmetric and floor */
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    if (strcmp(ms_onnx_attr_text(&a, "mode", "nearest"), "nearest") != 0)
        ms_onnx_attr_refuse(&a, "mode", "is supported as nearest only");
    if (!old)
        read_resize(&a, &whole);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(need_image(b, x));
    MS_TRY(read_scales(b, old ? 1 : 2, &scales, &there));
    if (there) {
        if (!old && ms_onnx_in(b, b->node, 3))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has both scales and sizes");
        MS_TRY(scaled(b, scales, x, size));
    } else {
        int count = 0;
        if (old || !ms_onnx_in(b, b->node, 3))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has neither scales nor sizes");
        MS_TRY(ms_onnx_const_ints(b, 3, 4, size, &count));
        if (count != 4)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has %d sizes, not 4", count);
    }
    for (int i = 2; i < 4; i++) {
        if (size[i] <= 0 || size[i] > INT32_MAX)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "a size of %" PRId64, size[i]);
        if (whole && size[i] % x->dim[i])
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL,
                                "its way of rounding is supported for whole factors only, not %" PRId64
                                " to %" PRId64,
                                x->dim[i], size[i]);
    }
    return resize_to(b, x, size);
}

/* ---- joining ---- */

ms_status ms_onnx_visit_concat(onnx_build *b) {
    onnx_slot *first = ms_onnx_in(b, b->node, 0);
    ms_value joined = MS_NO_VALUE;
    int axis, rank = first ? first->rank : 0;
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    int64_t wanted = ms_onnx_attr_int(&a, "axis", 0, -ONNX_RANK, ONNX_RANK);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(ms_onnx_axis(b, wanted, rank, &axis));
    if (axis != 1 || (rank != 2 && rank != 4))
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL,
                            "data can be joined along channels only, not axis %d of %d", axis, rank);
    for (int i = 0; i < b->node->n_inputs; i++) {
        onnx_slot *in = ms_onnx_in(b, b->node, i);
        ms_value part;
        bool fits = in && in->kind == ONNX_LIVE && in->rank == rank;
        for (int j = 0; j < rank && fits; j++)
            fits = j == 1 || in->dim[j] == first->dim[j];
        if (!fits)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "input %d does not fit input 0", i);
        MS_TRY(rank == 4 ? ms_onnx_image(b, in, &part) : ms_onnx_rows(b, in, &part));
        joined = i == 0 ? part : ms_op_concat(b->graph, b->node->name, joined, part);
        MS_TRY(ms_onnx_graph_status(b, b->node));
        ms_shape s = ms_graph_shape(b->graph, joined);
        onnx_slot all = {0};
        MS_TRY(ms_onnx_set_dims(b, &all, 4, (const int64_t[]){s.n, s.c, s.h, s.w}));
    }
    return ms_onnx_out_value(b, joined, rank);
}
