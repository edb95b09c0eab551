#include "models/onnx/attrs.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text/text.h"

onnx_attrs ms_onnx_attrs_begin(const onnx_build *b, const ms_onnx_node *node) {
    return (onnx_attrs){.b = b, .node = node, .status = MS_OK};
}

void ms_onnx_attr_refuse(onnx_attrs *a, const char *name, const char *fmt, ...) {
    char text[256];
    va_list ap;
    if (a->status != MS_OK)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    a->status = ms_onnx_fail(a->b, a->node, MS_BAD_MODEL, "attribute %s %s", name, text);
}

const ms_onnx_attr *ms_onnx_attr_find(onnx_attrs *a, const char *name, ms_onnx_attr_type type) {
    for (int i = 0; i < a->node->n_attrs && a->status == MS_OK; i++) {
        if (strcmp(a->node->attr[i].name, name) != 0)
            continue;
        a->asked |= (uint64_t)1 << i;
        if (a->node->attr[i].type == type)
            return &a->node->attr[i];
        ms_onnx_attr_refuse(a, name, "is of the wrong type");
    }
    return NULL;
}

int64_t ms_onnx_attr_int(onnx_attrs *a, const char *name, int64_t otherwise, int64_t min, int64_t max) {
    const ms_onnx_attr *attr = ms_onnx_attr_find(a, name, MS_ONNX_INT);
    if (!attr)
        return otherwise;
    if (attr->i >= min && attr->i <= max)
        return attr->i;
    ms_onnx_attr_refuse(a, name, "is %" PRId64 "; supported are %" PRId64 " to %" PRId64, attr->i, min, max);
    return otherwise;
}

float ms_onnx_attr_float(onnx_attrs *a, const char *name, float otherwise) {
    const ms_onnx_attr *attr = ms_onnx_attr_find(a, name, MS_ONNX_FLOAT);
    if (!attr)
        return otherwise;
    if (isfinite(attr->f))
        return attr->f;
    ms_onnx_attr_refuse(a, name, "is not finite");
    return otherwise;
}

const char *ms_onnx_attr_text(onnx_attrs *a, const char *name, const char *otherwise) {
    const ms_onnx_attr *attr = ms_onnx_attr_find(a, name, MS_ONNX_TEXT);
    return attr ? attr->text : otherwise;
}

void ms_onnx_attr_ints(onnx_attrs *a, const char *name, int n, int64_t otherwise, int64_t min, int64_t max,
                       int64_t *ret_values) {
    const ms_onnx_attr *attr = ms_onnx_attr_find(a, name, MS_ONNX_INTS);
    for (int i = 0; i < n; i++)
        ret_values[i] = otherwise;
    if (!attr)
        return;
    if (attr->count != n) {
        ms_onnx_attr_refuse(a, name, "has %" PRId64 " values, not %d", attr->count, n);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (attr->ints[i] < min || attr->ints[i] > max) {
            ms_onnx_attr_refuse(a, name, "holds %" PRId64 "; supported are %" PRId64 " to %" PRId64,
                                attr->ints[i], min, max);
            return;
        }
    }
    for (int i = 0; i < n; i++)
        ret_values[i] = attr->ints[i];
}

ms_status ms_onnx_attrs_end(onnx_attrs *a) {
    char q[MS_QUOTE_BYTES];
    for (int i = 0; i < a->node->n_attrs && a->status == MS_OK; i++) {
        const char *name = a->node->attr[i].name;
        if (!(a->asked >> i & 1))
            ms_onnx_attr_refuse(a, ms_quote(q, name, strlen(name)), "is not supported");
    }
    return a->status;
}
