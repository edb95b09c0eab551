/* Tensors of an ONNX file: TensorProto's five ways of holding values, widened to float32 or int64. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/onnx/onnx_internal.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is little-endian and read as it is"
#endif

typedef Ms__Onnx__Tensor tensor_proto;

/* Which typed field holds values when there is no raw_data. */
typedef enum typed_field { FIELD_FLOAT, FIELD_INT32, FIELD_INT64, FIELD_DOUBLE, FIELD_UINT64 } typed_field;

/* TensorProto.DataType. */
typedef struct onnx_type {
    int32_t code;
    const char *name;
    ms_dtype widened;
    size_t bytes; /* of one element in raw_data */
    typed_field field;
} onnx_type;

enum {
    TYPE_FLOAT = 1,
    TYPE_UINT8,
    TYPE_INT8,
    TYPE_UINT16,
    TYPE_INT16,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_BOOL = 9,
    TYPE_FLOAT16,
    TYPE_DOUBLE,
    TYPE_UINT32,
    TYPE_UINT64,
    TYPE_BFLOAT16 = 16,
};

static const onnx_type types[] = {
    {TYPE_FLOAT, "float", MS_F32, 4, FIELD_FLOAT},       {TYPE_UINT8, "uint8", MS_I64, 1, FIELD_INT32},
    {TYPE_INT8, "int8", MS_I64, 1, FIELD_INT32},         {TYPE_UINT16, "uint16", MS_I64, 2, FIELD_INT32},
    {TYPE_INT16, "int16", MS_I64, 2, FIELD_INT32},       {TYPE_INT32, "int32", MS_I64, 4, FIELD_INT32},
    {TYPE_INT64, "int64", MS_I64, 8, FIELD_INT64},       {TYPE_BOOL, "bool", MS_I64, 1, FIELD_INT32},
    {TYPE_FLOAT16, "float16", MS_F32, 2, FIELD_INT32},   {TYPE_DOUBLE, "double", MS_F32, 8, FIELD_DOUBLE},
    {TYPE_UINT32, "uint32", MS_I64, 4, FIELD_UINT64},    {TYPE_UINT64, "uint64", MS_I64, 8, FIELD_UINT64},
    {TYPE_BFLOAT16, "bfloat16", MS_F32, 2, FIELD_INT32},
};

static const onnx_type *find_type(int32_t code) {
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (types[i].code == code)
            return &types[i];
    return NULL;
}

/* The typed field's values and how many; the others' counts in ret_others. */
static const void *typed_values(const tensor_proto *p, typed_field field, size_t *ret_count,
                                size_t *ret_others) {
    const size_t counts[] = {[FIELD_FLOAT] = p->n_float_data,
                             [FIELD_INT32] = p->n_int32_data,
                             [FIELD_INT64] = p->n_int64_data,
                             [FIELD_DOUBLE] = p->n_double_data,
                             [FIELD_UINT64] = p->n_uint64_data};
    const void *const values[] = {[FIELD_FLOAT] = p->float_data,
                                  [FIELD_INT32] = p->int32_data,
                                  [FIELD_INT64] = p->int64_data,
                                  [FIELD_DOUBLE] = p->double_data,
                                  [FIELD_UINT64] = p->uint64_data};
    *ret_others = 0;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        if (i != field)
            *ret_others += counts[i];
    *ret_count = counts[field];
    return values[field];
}

/* ---- widening ---- */

static int64_t load_signed(const unsigned char *at, size_t bytes) {
    int8_t a;
    int16_t b;
    int32_t c;
    int64_t d;
    switch (bytes) {
    case 1:
        memcpy(&a, at, 1);
        return a;
    case 2:
        memcpy(&b, at, 2);
        return b;
    case 4:
        memcpy(&c, at, 4);
        return c;
    default:
        memcpy(&d, at, 8);
        return d;
    }
}

/* Element i of a field whose elements have `bytes` bytes, as ONNX stores the type there: unsigned types and
   the bits of half floats in the low bits. false: does not fit int64. */
static bool load_integer(const onnx_type *type, const void *from, size_t bytes, int64_t i, int64_t *ret) {
    int64_t x = load_signed((const unsigned char *)from + (size_t)i * bytes, bytes);
    switch (type->code) {
    case TYPE_UINT8:
        *ret = x & 0xff;
        return true;
    case TYPE_UINT16:
    case TYPE_FLOAT16:
    case TYPE_BFLOAT16:
        *ret = x & 0xffff;
        return true;
    case TYPE_UINT32:
        *ret = x & 0xffffffff;
        return true;
    case TYPE_BOOL:
        *ret = x != 0;
        return true;
    case TYPE_UINT64:
        *ret = x;
        return x >= 0;
    default:
        *ret = x;
        return true;
    }
}

static float load_float(const onnx_type *type, const void *from, size_t bytes, int64_t i) {
    if (type->code == TYPE_DOUBLE) {
        double x;
        memcpy(&x, (const char *)from + (size_t)i * sizeof(x), sizeof(x));
        return (float)x;
    }
    int64_t bits = 0;
    load_integer(type, from, bytes, i, &bits);
    return type->code == TYPE_FLOAT16 ? ms_f16_to_f32((uint16_t)bits) : ms_bf16_to_f32((uint16_t)bits);
}

static ms_status widen(onnx_owner *o, const onnx_type *type, const void *from, size_t bytes,
                       ms_onnx_tensor *t, const char *who) {
    void *to = ms_onnx_alloc_array(o, (size_t)t->elements, ms_dtype_bytes(t->dtype));
    if (!to)
        return ms_onnx_no_memory(o);
    for (int64_t i = 0; i < t->elements; i++) {
        if (t->dtype == MS_F32)
            ((float *)to)[i] = load_float(type, from, bytes, i);
        else if (!load_integer(type, from, bytes, i, (int64_t *)to + i))
            return ms_fail(o->err, MS_BAD_MODEL, "%s: element %" PRId64 " is larger than 2^63-1", who, i);
    }
    t->data = to;
    return MS_OK;
}

/* ---- checking ---- */

static ms_status read_shape(onnx_owner *o, const tensor_proto *p, const char *who, ms_onnx_tensor *t) {
    if (p->n_dims > MS_ONNX_MAX_RANK)
        return ms_fail(o->err, MS_BAD_MODEL, "%s: has %zu dimensions, more than %d", who, p->n_dims,
                       MS_ONNX_MAX_RANK);
    t->rank = (int)p->n_dims;
    t->elements = 1;
    for (int i = 0; i < t->rank; i++) {
        t->shape[i] = p->dims[i];
        if (p->dims[i] < 0)
            return ms_fail(o->err, MS_BAD_MODEL, "%s: dimension %d is %" PRId64, who, i, p->dims[i]);
        if (__builtin_mul_overflow(t->elements, p->dims[i], &t->elements))
            return ms_fail(o->err, MS_BAD_MODEL, "%s: has more than 2^63-1 elements", who);
    }
    return MS_OK;
}

static ms_status check_finite(onnx_owner *o, const ms_onnx_tensor *t, const char *who) {
    const float *x = t->data;
    for (int64_t i = 0; i < t->elements; i++)
        if (!isfinite(x[i]))
            return ms_fail(o->err, MS_BAD_MODEL, "%s: holds %s at element %" PRId64, who,
                           isnan(x[i]) ? "NaN" : "infinity", i);
    return MS_OK;
}

/* Where the values are and how wide each is; exactly as many as the shape says. */
static ms_status find_values(onnx_owner *o, const tensor_proto *p, const onnx_type *type,
                             const ms_onnx_tensor *t, const char *who, const void **ret_from,
                             size_t *ret_bytes) {
    static const size_t field_bytes[] = {
        [FIELD_FLOAT] = 4, [FIELD_INT32] = 4, [FIELD_INT64] = 8, [FIELD_DOUBLE] = 8, [FIELD_UINT64] = 8};
    size_t count, others;
    const void *values = typed_values(p, type->field, &count, &others);
    bool raw = p->has_raw_data && p->raw_data.len > 0;
    if (others || (raw && count))
        return ms_fail(o->err, MS_BAD_MODEL, "%s: holds values of several types", who);
    *ret_bytes = raw ? type->bytes : field_bytes[type->field];
    *ret_from = raw ? p->raw_data.data : values;
    if (raw && p->raw_data.len % type->bytes)
        return ms_fail(o->err, MS_BAD_MODEL, "%s: %zu bytes are no whole number of %s", who, p->raw_data.len,
                       type->name);
    size_t have = raw ? p->raw_data.len / type->bytes : count;
    if (have != (size_t)t->elements)
        return ms_fail(o->err, MS_BAD_MODEL, "%s: holds %zu values, its shape asks for %" PRId64, who, have,
                       t->elements);
    return MS_OK;
}

ms_status ms_onnx_read_tensor(onnx_owner *o, const tensor_proto *p, const char *who,
                              const ms_onnx_tensor **ret_tensor) {
    static const float nothing[1];
    if (p->data_location != 0 || p->n_external_data)
        return ms_fail(o->err, MS_BAD_MODEL,
                       "%s: its values are in another file, which is not supported: save the model with its "
                       "data inside",
                       who);
    if (p->has_segment)
        return ms_fail(o->err, MS_BAD_MODEL, "%s: comes in segments, which is not supported", who);
    const onnx_type *type = find_type(p->data_type);
    if (!type)
        return ms_fail(o->err, MS_BAD_MODEL, "%s: element type %" PRId32 " is not supported", who,
                       p->data_type);
    ms_onnx_tensor *t = ms_onnx_alloc(o, sizeof(*t));
    if (!t)
        return ms_onnx_no_memory(o);
    *t = (ms_onnx_tensor){.dtype = type->widened};
    const void *from = NULL;
    size_t bytes = 0;
    MS_TRY(read_shape(o, p, who, t));
    MS_TRY(find_values(o, p, type, t, who, &from, &bytes));
    if (t->elements == 0)
        t->data = nothing;
    else if (type->code == TYPE_FLOAT || type->code == TYPE_INT64)
        t->data = from; /* as they are, no copy */
    else
        MS_TRY(widen(o, type, from, bytes, t, who));
    if (t->dtype == MS_F32)
        MS_TRY(check_finite(o, t, who));
    *ret_tensor = t;
    return MS_OK;
}
