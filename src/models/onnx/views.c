/* Operators that move nothing, and bringing a view's elements into an order when an operator wants one. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "models/onnx/attrs.h"

bool ms_onnx_row_major(const onnx_slot *s) {
    int64_t expected = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        if (s->dim[i] > 1 && s->stride[i] != expected)
            return false;
        expected *= s->dim[i];
    }
    return true;
}

bool ms_onnx_same_view(const onnx_build *b, const onnx_slot *a, const onnx_slot *c) {
    ms_shape s = ms_graph_shape(b->graph, a->value), t = ms_graph_shape(b->graph, c->value);
    if (a->rank != c->rank || s.n != t.n || s.h != t.h || s.w != t.w || s.c != t.c)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != c->dim[i] || (a->dim[i] > 1 && a->stride[i] != c->stride[i]))
            return false;
    return true;
}

bool ms_onnx_channels_second(const onnx_build *b, const onnx_slot *s) {
    int64_t c = ms_graph_shape(b->graph, s->value).c;
    return s->rank >= 2 && s->dim[1] == c && (c == 1 || s->stride[1] == 1);
}

/* ---- copies ---- */

static bool same_shape(ms_shape a, ms_shape b) {
    return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}

/* A copy of the value whose element (n, h, w, c) is the source's at the sum of index times stride. Images
   stay apart, so that they can be computed a few at a time. */
static ms_status restride(onnx_build *b, const onnx_slot *slot, ms_shape dst, const int64_t stride[4],
                          ms_value *ret_value) {
    ms_shape src = ms_graph_shape(b->graph, slot->value);
    if (dst.n != src.n || (dst.n > 1 && stride[0] != src.h * src.w * src.c)) {
        char text[ONNX_DIMS_TEXT];
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL,
                            "a tensor of %s elements mixes the batch's images, which is not supported",
                            ms_onnx_dims_text(text, slot->rank, slot->dim));
    }
    const char *name = b->node ? b->node->name : ms_graph_value(b->graph, slot->value)->name;
    ms_value v = ms_op_restride(b->graph, name, slot->value, dst, stride);
    MS_TRY(ms_onnx_graph_status(b, b->node));
    *ret_value = v;
    return MS_OK;
}

/* Whether strides for (n, h, w, c) are those of a packed value; dimensions of 1 have none. */
static bool packed(ms_shape s, const int64_t stride[4]) {
    return (s.n == 1 || stride[0] == s.h * s.w * s.c) && (s.h == 1 || stride[1] == s.w * s.c) &&
           (s.w == 1 || stride[2] == s.c) && (s.c == 1 || stride[3] == 1);
}

static ms_status arrange(onnx_build *b, onnx_slot *slot, ms_shape want, const int64_t stride[4],
                         ms_value *ret_value) {
    if (!same_shape(ms_graph_shape(b->graph, slot->value), want) || !packed(want, stride))
        MS_TRY(restride(b, slot, want, stride, &slot->value));
    *ret_value = slot->value;
    return MS_OK;
}

ms_status ms_onnx_image(onnx_build *b, onnx_slot *slot, ms_value *ret_value) {
    char text[ONNX_DIMS_TEXT];
    if (slot->kind != ONNX_LIVE || slot->rank != 4)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "an input of shape %s is no [images, channels, h, w]",
                            ms_onnx_dims_text(text, slot->rank, slot->dim));
    ms_shape want = {slot->dim[0], slot->dim[2], slot->dim[3], slot->dim[1]};
    const int64_t *s = slot->stride, stride[4] = {s[0], s[2], s[3], s[1]};
    MS_TRY(arrange(b, slot, want, stride, ret_value));
    const int64_t image[4] = {want.h * want.w * want.c, 1, want.w * want.c, want.c};
    memcpy(slot->stride, image, sizeof(image));
    return MS_OK;
}

ms_status ms_onnx_rows(onnx_build *b, onnx_slot *slot, ms_value *ret_value) {
    char text[ONNX_DIMS_TEXT];
    if (slot->kind != ONNX_LIVE || slot->rank != 2)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "an input of shape %s is no matrix",
                            ms_onnx_dims_text(text, slot->rank, slot->dim));
    ms_shape want = {slot->dim[0], 1, 1, slot->dim[1]};
    const int64_t stride[4] = {slot->stride[0], 0, 0, slot->stride[1]};
    MS_TRY(arrange(b, slot, want, stride, ret_value));
    slot->stride[0] = want.c;
    slot->stride[1] = 1;
    return MS_OK;
}

ms_status ms_onnx_plain(onnx_build *b, onnx_slot *slot, ms_value *ret_value) {
    if (ms_onnx_row_major(slot) && !ms_graph_value(b->graph, slot->value)->input) {
        *ret_value = slot->value;
        return MS_OK;
    }
    /* The images stay a dimension of their own; of the others, those that follow each other in memory are
       one. */
    int64_t dim[4] = {1, 1, 1, 1}, stride[4] = {0};
    int used = 4;
    for (int i = slot->rank - 1; i >= 0; i--) {
        if (slot->dim[i] == 1)
            continue;
        bool image = i == 0 && b->images > 1;
        if (!image && used < 4 && slot->stride[i] == dim[used] * stride[used]) {
            dim[used] *= slot->dim[i];
            continue;
        }
        if (image ? used < 1 : used <= 1)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL,
                                "a transposition of so many dimensions is not supported");
        used = image ? 0 : used - 1;
        dim[used] = slot->dim[i];
        stride[used] = slot->stride[i];
    }
    MS_TRY(restride(b, slot, (ms_shape){dim[0], dim[1], dim[2], dim[3]}, stride, &slot->value));
    int64_t step = 1;
    for (int i = slot->rank - 1; i >= 0; i--) {
        slot->stride[i] = step;
        step *= slot->dim[i];
    }
    *ret_value = slot->value;
    return MS_OK;
}

/* ---- reshaping ---- */

/* Strides for new dimensions of the same elements, in the same order; false when one of them would have to
   jump. (numpy calls it a reshape without a copy.) */
static bool view_strides(const onnx_slot *from, int rank, const int64_t *dim, int64_t *ret_stride) {
    int64_t old_dim[ONNX_RANK], old_stride[ONNX_RANK];
    int n = 0;
    for (int i = 0; i < from->rank; i++) {
        if (from->dim[i] == 1)
            continue;
        old_dim[n] = from->dim[i];
        old_stride[n++] = from->stride[i];
    }
    for (int i = 0; i < rank; i++)
        ret_stride[i] = 0;
    for (int old = 0, fresh = 0; old < n && fresh < rank;) {
        int old_end = old + 1, fresh_end = fresh + 1;
        int64_t have = old_dim[old], want = dim[fresh];
        /* The products of all are equal, so neither runs out first.
           NOLINTBEGIN(clang-analyzer-core.uninitialized.Assign) */
        while (have != want) {
            if (want < have)
                want *= dim[fresh_end++];
            else
                have *= old_dim[old_end++];
        }
        /* NOLINTEND(clang-analyzer-core.uninitialized.Assign) */
        for (int i = old; i + 1 < old_end; i++)
            if (old_stride[i] != old_dim[i + 1] * old_stride[i + 1])
                return false;
        ret_stride[fresh_end - 1] = old_stride[old_end - 1];
        for (int i = fresh_end - 1; i > fresh; i--)
            ret_stride[i - 1] = ret_stride[i] * dim[i];
        old = old_end;
        fresh = fresh_end;
    }
    return true;
}

static ms_status reshape(onnx_build *b, onnx_slot *from, int rank, const int64_t *dim) {
    char text[2][ONNX_DIMS_TEXT];
    onnx_slot to = *from;
    MS_TRY(ms_onnx_set_dims(b, &to, rank, dim));
    if (to.elements != from->elements)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "%s does not become %s",
                            ms_onnx_dims_text(text[0], from->rank, from->dim),
                            ms_onnx_dims_text(text[1], rank, dim));
    if (from->kind == ONNX_LIVE && !view_strides(from, rank, dim, to.stride)) {
        MS_TRY(ms_onnx_plain(b, from, &to.value));
        if (!view_strides(from, rank, dim, to.stride))
            return ms_onnx_fail(b, b->node, MS_INTERNAL, "cannot be reshaped");
    }
    return ms_onnx_out(b, &to);
}

ms_status ms_onnx_visit_reshape(onnx_build *b) {
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    bool zero_is_zero = ms_onnx_attr_int(&a, "allowzero", 0, 0, 1) == 1;
    MS_TRY(ms_onnx_attrs_end(&a));
    onnx_slot *from = ms_onnx_in(b, b->node, 0);
    int64_t dim[ONNX_RANK], known = 1;
    int rank, open = -1;
    MS_TRY(ms_onnx_const_ints(b, 1, ONNX_RANK, dim, &rank));
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 0 && !zero_is_zero && i < from->rank)
            dim[i] = from->dim[i];
        if (dim[i] < -1 || (dim[i] == -1 && open >= 0))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "dimension %d of the new shape is %" PRId64, i,
                                dim[i]);
        if (dim[i] == -1)
            open = i;
        else if (__builtin_mul_overflow(known, dim[i], &known))
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "the new shape has more than 2^63-1 elements");
    }
    if (open >= 0) {
        if (known == 0 || from->elements % known)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "%" PRId64 " elements are no multiple of %" PRId64,
                                from->elements, known);
        dim[open] = from->elements / known;
    }
    return reshape(b, from, rank, dim);
}

ms_status ms_onnx_visit_flatten(onnx_build *b) {
    onnx_slot *from = ms_onnx_in(b, b->node, 0);
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    int64_t axis = ms_onnx_attr_int(&a, "axis", 1, -ONNX_RANK, ONNX_RANK);
    MS_TRY(ms_onnx_attrs_end(&a));
    if (axis < -from->rank || axis > from->rank) /* the rank itself is allowed here */
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "axis %" PRId64 " is outside of %d dimensions", axis,
                            from->rank);
    int64_t dim[2] = {1, 1}, first = axis < 0 ? axis + from->rank : axis;
    for (int i = 0; i < from->rank; i++)
        dim[i >= first] *= from->dim[i];
    return reshape(b, from, 2, dim);
}

/* Axes are an attribute up to operator set 12, an input from 13 on; count -1 = not given. */
static ms_status read_axes(onnx_build *b, int rank, bool *ret_marked, int *ret_count) {
    int64_t axes[ONNX_RANK];
    int count = -1;
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    if (b->file->opset < 13) {
        const ms_onnx_attr *attr = ms_onnx_attr_find(&a, "axes", MS_ONNX_INTS);
        if (attr && attr->count > ONNX_RANK)
            ms_onnx_attr_refuse(&a, "axes", "has %" PRId64 " values", attr->count);
        else if (attr)
            count = (int)attr->count;
        for (int i = 0; i < count; i++)
            axes[i] = attr->ints[i];
    }
    MS_TRY(ms_onnx_attrs_end(&a));
    if (ms_onnx_in(b, b->node, 1)) {
        if (b->file->opset < 13)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has an input 1, which its operator set lacks");
        MS_TRY(ms_onnx_const_ints(b, 1, ONNX_RANK, axes, &count));
    }
    memset(ret_marked, 0, ONNX_RANK * sizeof(*ret_marked));
    for (int i = 0; i < count; i++) {
        int axis;
        MS_TRY(ms_onnx_axis(b, axes[i], rank, &axis));
        if (ret_marked[axis])
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "names axis %d twice", axis);
        ret_marked[axis] = true;
    }
    *ret_count = count;
    return MS_OK;
}

ms_status ms_onnx_visit_squeeze(onnx_build *b) {
    onnx_slot *from = ms_onnx_in(b, b->node, 0);
    bool marked[ONNX_RANK];
    int64_t dim[ONNX_RANK];
    int count, rank = 0;
    MS_TRY(read_axes(b, from->rank, marked, &count));
    for (int i = 0; i < from->rank; i++) {
        if (marked[i] && from->dim[i] != 1)
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "dimension %d is %" PRId64 ", not 1", i,
                                from->dim[i]);
        if (count < 0 ? from->dim[i] != 1 : !marked[i])
            dim[rank++] = from->dim[i];
    }
    return reshape(b, from, rank, dim);
}

ms_status ms_onnx_visit_unsqueeze(onnx_build *b) {
    onnx_slot *from = ms_onnx_in(b, b->node, 0);
    bool marked[ONNX_RANK];
    int64_t dim[ONNX_RANK];
    int count, rank = from->rank;
    if (b->file->opset >= 13) {
        const onnx_slot *axes = ms_onnx_in(b, b->node, 1);
        rank += axes ? (int)(axes->elements < ONNX_RANK ? axes->elements : ONNX_RANK) : 0;
    } else {
        for (int i = 0; i < b->node->n_attrs; i++)
            if (b->node->attr[i].type == MS_ONNX_INTS && b->node->attr[i].count <= ONNX_RANK)
                rank += (int)b->node->attr[i].count;
    }
    if (rank > ONNX_RANK)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "makes %d dimensions, more than %d", rank, ONNX_RANK);
    MS_TRY(read_axes(b, rank, marked, &count));
    if (count < 0)
        return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "has no axes");
    for (int i = 0, old = 0; i < rank; i++)
        dim[i] = marked[i] ? 1 : from->dim[old++];
    return reshape(b, from, rank, dim);
}

/* ---- the rest ---- */

ms_status ms_onnx_visit_transpose(onnx_build *b) {
    onnx_slot *from = ms_onnx_in(b, b->node, 0);
    int perm[ONNX_RANK];
    bool seen[ONNX_RANK] = {false};
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    const ms_onnx_attr *attr = ms_onnx_attr_find(&a, "perm", MS_ONNX_INTS);
    if (attr && attr->count != from->rank)
        ms_onnx_attr_refuse(&a, "perm", "has %" PRId64 " values for %d dimensions", attr->count, from->rank);
    MS_TRY(ms_onnx_attrs_end(&a));
    for (int i = 0; i < from->rank; i++) {
        int64_t p = attr ? attr->ints[i] : from->rank - 1 - i;
        if (p < 0 || p >= from->rank || seen[p])
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "attribute perm is no permutation");
        seen[p] = true;
        perm[i] = (int)p;
    }
    if (from->kind == ONNX_CONST)
        return ms_onnx_fold_transpose(b, from, perm);
    onnx_slot to = *from;
    for (int i = 0; i < from->rank; i++) {
        to.dim[i] = from->dim[perm[i]];
        to.stride[i] = from->stride[perm[i]];
    }
    return ms_onnx_out(b, &to);
}

ms_status ms_onnx_visit_shape(onnx_build *b) {
    const onnx_slot *from = ms_onnx_in(b, b->node, 0);
    onnx_slot to;
    void *data;
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    int64_t start = ms_onnx_attr_int(&a, "start", 0, INT32_MIN, INT32_MAX);
    int64_t end = ms_onnx_attr_int(&a, "end", from->rank, INT32_MIN, INT32_MAX);
    MS_TRY(ms_onnx_attrs_end(&a));
    int64_t *const ends[2] = {&start, &end};
    for (int i = 0; i < 2; i++) { /* from the end when negative, then into the range */
        *ends[i] += *ends[i] < 0 ? from->rank : 0;
        *ends[i] = *ends[i] < 0 ? 0 : *ends[i] > from->rank ? from->rank : *ends[i];
    }
    int64_t count = end > start ? end - start : 0;
    MS_TRY(ms_onnx_new_const(b, MS_I64, 1, &count, &to, &data));
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)data)[i] = from->dim[start + i];
    return ms_onnx_out(b, &to);
}

ms_status ms_onnx_visit_size(onnx_build *b) {
    onnx_slot to;
    void *data;
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    MS_TRY(ms_onnx_attrs_end(&a));
    MS_TRY(ms_onnx_new_const(b, MS_I64, 0, NULL, &to, &data));
    *(int64_t *)data = ms_onnx_in(b, b->node, 0)->elements;
    return ms_onnx_out(b, &to);
}

/* Identity, and the conversion of a live tensor to float32, which it is already. */
ms_status ms_onnx_visit_identity(onnx_build *b) {
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    if (strcmp(b->node->op, "Cast") == 0) {
        if (ms_onnx_attr_int(&a, "to", 0, 1, 1) != 1)
            ms_onnx_attr_refuse(&a, "to", "is missing");
        ms_onnx_attr_int(&a, "saturate", 1, 0, 1); /* of 8-bit floats */
    }
    MS_TRY(ms_onnx_attrs_end(&a));
    return ms_onnx_out(b, ms_onnx_in(b, b->node, 0));
}

/* Does nothing outside of training. */
ms_status ms_onnx_visit_dropout(onnx_build *b) {
    onnx_attrs a = ms_onnx_attrs_begin(b, b->node);
    ms_onnx_attr_float(&a, "ratio", 0);
    ms_onnx_attr_int(&a, "seed", 0, INT64_MIN, INT64_MAX);
    MS_TRY(ms_onnx_attrs_end(&a));
    if (ms_onnx_in(b, b->node, 2)) {
        int64_t training[1] = {0};
        int count;
        MS_TRY(ms_onnx_const_ints(b, 2, 1, training, &count));
        if (training[0])
            return ms_onnx_fail(b, b->node, MS_BAD_MODEL, "is in training mode");
    }
    return ms_onnx_out(b, ms_onnx_in(b, b->node, 0));
}
