/* Operators on constants: what exporters leave in a file to compute shapes, and weights that come transposed
   or in another type. Floats are computed in float32, integers in int64 with overflow refused. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "models/onnx/attrs.h"

/* ---- walking over elements ---- */

/* Visits the elements of dim in row-major order; offset is where each lies with the given strides. */
typedef struct walk {
    int rank;
    const int64_t *dim;
    const int64_t *stride;
    int64_t index[ONNX_RANK];
    int64_t offset;
} walk;

static void walk_next(walk *w) {
    for (int i = w->rank - 1; i >= 0; i--) {
        /* rank is at most ONNX_RANK. NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign) */
        w->offset += w->stride[i];
        if (++w->index[i] < w->dim[i])
            return;
        w->offset -= w->index[i] * w->stride[i];
        w->index[i] = 0;
    }
}

static void row_major_strides(int rank, const int64_t *dim, int64_t *ret_stride) {
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        ret_stride[i] = step;
        step *= dim[i];
    }
}

/* to, which is new, gets from's elements at offset + index times stride. */
static void gather_elements(const onnx_slot *from, const onnx_slot *to, void *data, int64_t offset,
                            const int64_t *stride) {
    const size_t bytes = ms_dtype_bytes(from->dtype);
    walk w = {.rank = to->rank, .dim = to->dim, .stride = stride, .offset = offset};
    for (int64_t i = 0; i < to->elements; i++, walk_next(&w))
        memcpy((char *)data + (size_t)i * bytes, (const char *)from->data + (size_t)w.offset * bytes, bytes);
}

/* Every visit below reads constants only: they must be there. */
static ms_status inputs_there(const onnx_build *b) {
    for (int i = 0; i < b->node->n_inputs; i++) {
        const onnx_slot *in = ms_onnx_in(b, b->node, i);
        if (in && !in->data)
            return ms_onnx_fail(b, b->node, MS_INTERNAL, "a constant that it needs was given back already");
    }
    return MS_OK;
}

/* ---- making constants ---- */

static ms_status out_tensor(onnx_build *b, const ms_onnx_tensor *t) {
    onnx_slot slot = {.kind = ONNX_CONST, .dtype = t->dtype, .data = t->data, .origin = -1};
    MS_TRY(ms_onnx_set_dims(b, &slot, t->rank, t->shape));
    return ms_onnx_out(b, &slot);
}

/* value_float, value_floats, value_int or value_ints. */
static ms_status constant_of_numbers(onnx_build *b, const ms_onnx_attr *attr) {
    bool is_float = attr->type == MS_ONNX_FLOAT || attr->type == MS_ONNX_FLOATS;
    bool is_list = attr->type == MS_ONNX_FLOATS || attr->type == MS_ONNX_INTS;
    onnx_slot to;
    void *data;
    MS_TRY(ms_onnx_new_const(b, is_float ? MS_F32 : MS_I64, is_list, &attr->count, &to, &data));
    const void *from = is_float ? (is_list ? (const void *)attr->floats : &attr->f)
                                : (is_list ? (const void *)attr->ints : &attr->i);
    if (to.elements)
        memcpy(data, from, (size_t)to.elements * ms_dtype_bytes(to.dtype));
    for (int64_t i = 0; i < to.elements && is_float; i++)
        if (!isfinite(((const float *)data)[i]))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "element %" PRId64 " is not finite", i);
    return ms_onnx_out(b, &to);
}

ms_status ms_onnx_fold_constant(onnx_build *b) {
    static const struct {
        const char *name;
        ms_onnx_attr_type type;
    } forms[] = {{"value", MS_ONNX_TENSOR},
                 {"value_float", MS_ONNX_FLOAT},
                 {"value_floats", MS_ONNX_FLOATS},
                 {"value_int", MS_ONNX_INT},
                 {"value_ints", MS_ONNX_INTS}};
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    const ms_onnx_attr *value = NULL;
    int found = 0;
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        const ms_onnx_attr *attr = ms_onnx_attr_find(&a, forms[i].name, forms[i].type);
        value = attr ? attr : value;
        found += attr != NULL;
    }
    MS_TRY(ms_onnx_attrs_end(&a));
    if (found != 1)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has %d values, not one", found);
    return value->type == MS_ONNX_TENSOR ? out_tensor(b, value->tensor) : constant_of_numbers(b, value);
}

ms_status ms_onnx_fold_constant_of_shape(onnx_build *b) {
    int64_t dim[ONNX_RANK];
    int rank;
    onnx_slot to;
    void *data;
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    const ms_onnx_attr *attr = ms_onnx_attr_find(&a, "value", MS_ONNX_TENSOR);
    if (attr && attr->tensor->elements != 1)
        ms_onnx_attr_refuse(&a, "value", "has %" PRId64 " elements, not one", attr->tensor->elements);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(ms_onnx_const_ints(b, 0, ONNX_RANK, dim, &rank));
    MS_TRY(ms_onnx_new_const(b, attr ? attr->tensor->dtype : MS_F32, rank, dim, &to, &data));
    const size_t bytes = ms_dtype_bytes(to.dtype);
    memset(data, 0, (size_t)to.elements * bytes);
    for (int64_t i = 0; i < to.elements && attr; i++)
        memcpy((char *)data + (size_t)i * bytes, attr->tensor->data, bytes);
    return ms_onnx_out(b, &to);
}

/* ---- moving elements ---- */

ms_status ms_onnx_fold_transpose(onnx_build *b, const onnx_slot *from, const int *perm) {
    int64_t dim[ONNX_RANK], stride[ONNX_RANK], old[ONNX_RANK];
    onnx_slot to;
    void *data;
    MS_TRY(inputs_there(b));
    row_major_strides(from->rank, from->dim, old);
    for (int i = 0; i < from->rank; i++) {
        dim[i] = from->dim[perm[i]];
        stride[i] = old[perm[i]];
    }
    MS_TRY(ms_onnx_new_const(b, from->dtype, from->rank, dim, &to, &data));
    gather_elements(from, &to, data, 0, stride);
    return ms_onnx_out(b, &to);
}

ms_status ms_onnx_fold_gather(onnx_build *b) {
    const onnx_slot *from = ms_onnx_in(b, b->node, 0), *index = ms_onnx_in(b, b->node, 1);
    int axis, rank = 0;
    int64_t dim[ONNX_RANK];
    onnx_slot to;
    void *data;
    MS_TRY(inputs_there(b));
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    int64_t wanted = ms_onnx_attr_int(&a, "axis", 0, -ONNX_RANK, ONNX_RANK);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(ms_onnx_axis(b, wanted, from->rank, &axis));
    if (index->dtype != MS_I64 || from->rank + index->rank - 1 > ONNX_RANK)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "input 1 is no tensor of indices");
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < axis; i++)
        outer *= dim[rank++] = from->dim[i];
    for (int i = 0; i < index->rank; i++)
        dim[rank++] = index->dim[i];
    for (int i = axis + 1; i < from->rank; i++)
        inner *= dim[rank++] = from->dim[i];
    MS_TRY(ms_onnx_new_const(b, from->dtype, rank, dim, &to, &data));
    const size_t bytes = (size_t)inner * ms_dtype_bytes(from->dtype);
    char *at = data;
    for (int64_t i = 0; i < outer; i++) {
        for (int64_t j = 0; j < index->elements; j++, at += bytes) {
            int64_t k = ((const int64_t *)index->data)[j], n = from->dim[axis];
            if (k < -n || k >= n)
                return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "index %" PRId64 " is outside of %" PRId64, k,
                                    n);
            memcpy(at, (const char *)from->data + (size_t)(i * n + (k < 0 ? k + n : k)) * bytes, bytes);
        }
    }
    return ms_onnx_out(b, &to);
}

/* Starts, ends, axes and steps: attributes up to operator set 9, inputs from 10 on. */
typedef struct slice_list {
    int64_t value[ONNX_RANK];
    int count; /* -1 = not given */
} slice_list;

static ms_status read_slice(onnx_build *b, slice_list list[4]) {
    static const char *const names[] = {"starts", "ends", "axes"};
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    for (int i = 0; i < 4; i++)
        list[i].count = -1;
    for (int i = 0; i < 3 && b->file->opset < 10; i++) {
        const ms_onnx_attr *attr = ms_onnx_attr_find(&a, names[i], MS_ONNX_INTS);
        if (attr && attr->count > ONNX_RANK)
            ms_onnx_attr_refuse(&a, names[i], "has %" PRId64 " values", attr->count);
        else if (attr)
            list[i].count = (int)attr->count;
        for (int j = 0; j < list[i].count; j++)
            list[i].value[j] = attr->ints[j];
    }
    MS_TRY(ms_onnx_attrs_end(&a));
    for (int i = 0; i < 4 && b->file->opset >= 10; i++)
        if (ms_onnx_in(b, b->node, i + 1))
            MS_TRY(ms_onnx_const_ints(b, i + 1, ONNX_RANK, list[i].value, &list[i].count));
    int n = list[0].count;
    bool fits = n >= 0 && list[1].count == n && (list[2].count < 0 || list[2].count == n) &&
                (list[3].count < 0 || list[3].count == n);
    return fits ? MS_OK
                : ms_onnx_fail(b, b->node, MS_BAD_MODEL, "its starts, ends, axes and steps do not match");
}

static int64_t clamp(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

ms_status ms_onnx_fold_slice(onnx_build *b) {
    const onnx_slot *from = ms_onnx_in(b, b->node, 0);
    slice_list list[4];
    int64_t dim[ONNX_RANK], stride[ONNX_RANK], offset = 0;
    onnx_slot to;
    void *data;
    MS_TRY(inputs_there(b));
    MS_TRY(read_slice(b, list));
    row_major_strides(from->rank, from->dim, stride);
    memcpy(dim, from->dim, sizeof(dim));
    for (int i = 0; i < list[0].count; i++) {
        int axis;
        MS_TRY(ms_onnx_axis(b, list[2].count < 0 ? i : list[2].value[i], from->rank, &axis));
        int64_t n = from->dim[axis], step = list[3].count < 0 ? 1 : list[3].value[i];
        if (step == 0 || step < -INT32_MAX || step > INT32_MAX || dim[axis] != n)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "step %" PRId64 " along axis %d", step, axis);
        if (n == 0)
            continue;
        int64_t start = list[0].value[i], end = list[1].value[i];
        start = clamp(start < 0 ? start + n : start, 0, step > 0 ? n : n - 1);
        end = step > 0 ? clamp(end < 0 ? end + n : end, 0, n) : clamp(end < 0 ? end + n : end, -1, n - 1);
        int64_t distance = step > 0 ? end - start : start - end, size = step > 0 ? step : -step;
        dim[axis] = distance > 0 ? (distance + size - 1) / size : 0;
        offset += start * stride[axis];
        stride[axis] *= step;
    }
    MS_TRY(ms_onnx_new_const(b, from->dtype, from->rank, dim, &to, &data));
    gather_elements(from, &to, data, offset, stride);
    return ms_onnx_out(b, &to);
}

ms_status ms_onnx_fold_concat(onnx_build *b) {
    const onnx_slot *first = ms_onnx_in(b, b->node, 0);
    int64_t dim[ONNX_RANK], outer = 1, inner = 1;
    int axis;
    onnx_slot to;
    void *data;
    MS_TRY(inputs_there(b));
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    int64_t wanted = ms_onnx_attr_int(&a, "axis", 0, -ONNX_RANK, ONNX_RANK);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(ms_onnx_axis(b, wanted, first->rank, &axis));
    memcpy(dim, first->dim, sizeof(dim));
    dim[axis] = 0;
    for (int n = 0; n < b->node->n_inputs; n++) {
        const onnx_slot *in = ms_onnx_in(b, b->node, n);
        bool fits = in && in->rank == first->rank && in->dtype == first->dtype;
        for (int i = 0; fits && i < first->rank; i++)
            fits = i == axis || in->dim[i] == first->dim[i];
        if (!fits || __builtin_add_overflow(dim[axis], in->dim[axis], &dim[axis]))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "input %d does not fit input 0", n);
    }
    MS_TRY(ms_onnx_new_const(b, first->dtype, first->rank, dim, &to, &data));
    for (int i = 0; i < axis; i++)
        outer *= dim[i];
    for (int i = axis + 1; i < to.rank; i++)
        inner *= dim[i];
    char *at = data;
    for (int64_t o = 0; o < outer && to.elements; o++) {
        for (int n = 0; n < b->node->n_inputs; n++) {
            const onnx_slot *in = ms_onnx_in(b, b->node, n);
            size_t bytes = (size_t)(in->dim[axis] * inner) * ms_dtype_bytes(to.dtype);
            memcpy(at, (const char *)in->data + (size_t)o * bytes, bytes);
            at += bytes;
        }
    }
    return ms_onnx_out(b, &to);
}

/* ---- computing ---- */

/* TensorProto.DataType */
enum { TO_FLOAT = 1, TO_INT32 = 6, TO_INT64 = 7, TO_BOOL = 9, TO_DOUBLE = 11 };

static bool cast_integer(int64_t x, int64_t to, int64_t *ret) {
    *ret = to == TO_BOOL ? x != 0 : x;
    return to != TO_INT32 || (x >= INT32_MIN && x <= INT32_MAX);
}

ms_status ms_onnx_fold_cast(onnx_build *b) {
    const onnx_slot *from = ms_onnx_in(b, b->node, 0);
    onnx_slot out;
    void *data;
    MS_TRY(inputs_there(b));
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    int64_t to = ms_onnx_attr_int(&a, "to", 0, TO_FLOAT, TO_DOUBLE);
    bool to_float = to == TO_FLOAT || to == TO_DOUBLE;
    if (!to_float && to != TO_INT32 && to != TO_INT64 && to != TO_BOOL)
        ms_onnx_attr_refuse(&a, "to", "asks for type %" PRId64 ", which is not supported", to);
    ms_onnx_attr_int(&a, "saturate", 1, 0, 1);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(ms_onnx_new_const(b, to_float ? MS_F32 : MS_I64, from->rank, from->dim, &out, &data));
    for (int64_t i = 0; i < from->elements; i++) {
        bool is_float = from->dtype == MS_F32, fits = true;
        float x = is_float ? ((const float *)from->data)[i] : 0;
        int64_t n = is_float ? 0 : ((const int64_t *)from->data)[i];
        if (to_float) {
            ((float *)data)[i] = is_float ? x : (float)n;
            continue;
        }
        if (is_float) {
            fits = fabsf(x) < 0x1p63f;
            n = !fits ? 0 : to == TO_BOOL ? x != 0 : (int64_t)x;
        }
        if (!fits || !cast_integer(n, to, (int64_t *)data + i))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "element %" PRId64 " does not fit the type", i);
    }
    return ms_onnx_out(b, &out);
}

static bool integer_arithmetic(char op, int64_t x, int64_t y, int64_t *ret) {
    switch (op) {
    case 'A':
        return !__builtin_add_overflow(x, y, ret);
    case 'S':
        return !__builtin_sub_overflow(x, y, ret);
    case 'M':
        return !__builtin_mul_overflow(x, y, ret);
    default: /* towards zero, as in C */
        if (y == 0 || (x == INT64_MIN && y == -1))
            return false;
        *ret = x / y;
        return true;
    }
}

static bool float_arithmetic(char op, float x, float y, float *ret) {
    *ret = op == 'A' ? x + y : op == 'S' ? x - y : op == 'M' ? x * y : x / y;
    return isfinite(*ret);
}

/* Strides of an operand in the broadcast result; false when it does not fit. */
static bool broadcast(const onnx_slot *in, int rank, const int64_t *dim, int64_t *ret_stride) {
    int64_t own[ONNX_RANK];
    row_major_strides(in->rank, in->dim, own);
    for (int i = 0; i < rank; i++) {
        int j = i - (rank - in->rank);
        ret_stride[i] = j < 0 || in->dim[j] == 1 ? 0 : own[j];
        if (j >= 0 && in->dim[j] != 1 && in->dim[j] != dim[i])
            return false;
    }
    return true;
}

/* Add, Sub, Mul, Div */
ms_status ms_onnx_fold_arithmetic(onnx_build *b) {
    const onnx_slot *x = ms_onnx_in(b, b->node, 0), *y = ms_onnx_in(b, b->node, 1);
    const int rank = x->rank > y->rank ? x->rank : y->rank;
    int64_t dim[ONNX_RANK], stride[2][ONNX_RANK];
    onnx_slot to;
    void *data;
    MS_TRY(inputs_there(b));
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    MS_TRY(ms_onnx_attrs_end(&a));
    for (int i = 0; i < rank; i++) {
        int j = i - (rank - x->rank), k = i - (rank - y->rank);
        dim[i] = j < 0 || (x->dim[j] == 1 && k >= 0) ? y->dim[k] : x->dim[j];
    }
    if (x->dtype != y->dtype || !broadcast(x, rank, dim, stride[0]) || !broadcast(y, rank, dim, stride[1]))
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "its inputs do not fit each other");
    MS_TRY(ms_onnx_new_const(b, x->dtype, rank, dim, &to, &data));
    walk wx = {.rank = rank, .dim = to.dim, .stride = stride[0]};
    walk wy = {.rank = rank, .dim = to.dim, .stride = stride[1]};
    for (int64_t i = 0; i < to.elements; i++, walk_next(&wx), walk_next(&wy)) {
        bool fits = to.dtype == MS_F32
                        ? float_arithmetic(b->node->op[0], ((const float *)x->data)[wx.offset],
                                           ((const float *)y->data)[wy.offset], (float *)data + i)
                        : integer_arithmetic(b->node->op[0], ((const int64_t *)x->data)[wx.offset],
                                             ((const int64_t *)y->data)[wy.offset], (int64_t *)data + i);
        if (!fits)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "element %" PRId64 " of the result overflows", i);
    }
    return ms_onnx_out(b, &to);
}

ms_status ms_onnx_fold_rounding(onnx_build *b) {
    const onnx_slot *from = ms_onnx_in(b, b->node, 0);
    onnx_slot to;
    void *data;
    MS_TRY(inputs_there(b));
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    MS_TRY(ms_onnx_attrs_end(&a));
    if (from->dtype != MS_F32)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "its input is no floating number");
    MS_TRY(ms_onnx_new_const(b, MS_F32, from->rank, from->dim, &to, &data));
    for (int64_t i = 0; i < to.elements; i++) {
        float x = ((const float *)from->data)[i];
        ((float *)data)[i] = b->node->op[0] == 'F' ? floorf(x) : ceilf(x);
    }
    return ms_onnx_out(b, &to);
}
