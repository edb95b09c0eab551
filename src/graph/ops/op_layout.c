/* Operations that only move data: nearest-neighbour resize, concatenation, flattening, changes of layout. */
#include "base/error.h"
#include "graph/ops/common.h"

/* What only moves data keeps its type. */
static ms_value like(ms_graph *g, ms_value src, ms_value made) {
    ms_graph_set_dtype(g, made, ms_graph_dtype(g, src));
    return made;
}

static ms_status run_resize(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    ms_shape s = ms_graph_shape(x->graph, node->input[0]), o = ms_graph_shape(x->graph, node->output);
    ms_resize_args a = {.src = ms_exec_rows(x, node->input[0]),
                        .dst = ms_exec_rows(x, node->output),
                        .src_h = s.h,
                        .src_w = s.w,
                        .dst_h = o.h,
                        .dst_w = o.w};
    return x->dev->kernels->resize(x->queue, &a);
}

static const ms_op op_resize = {.name = "resize", .run = run_resize};

ms_value ms_op_resize(ms_graph *g, const char *name, ms_value src, int64_t h, int64_t w) {
    if (!op_input(g, name, src))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, src);
    ms_node node = {.op = &op_resize, .name = name, .n_inputs = 1, .input = {src}, .in_place = -1};
    return like(g, src, ms_graph_append(g, &node, (ms_shape){s.n, h, w, s.c}, false));
}

static ms_copy_args rows_copy(ms_rows src, ms_rows dst, int64_t dst_channel) {
    return (ms_copy_args){.src = src.data,
                          .dst = ms_elements_at(dst.data, dst.dtype, dst_channel),
                          .dtype = dst.dtype,
                          .outer = src.outer,
                          .inner = src.inner,
                          .channels = src.channels,
                          .src_stride = {src.outer_stride, src.inner_stride, 1},
                          .dst_stride = {dst.outer_stride, dst.inner_stride, 1}};
}

static ms_status run_concat(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    ms_rows a = ms_exec_rows(x, node->input[0]), b = ms_exec_rows(x, node->input[1]),
            dst = ms_exec_rows(x, node->output);
    ms_copy_args first = rows_copy(a, dst, 0), second = rows_copy(b, dst, a.channels);
    ms_status status = x->dev->kernels->copy(x->queue, &first);
    return status != MS_OK ? status : x->dev->kernels->copy(x->queue, &second);
}

static int64_t two_calls(const ms_graph *g, const ms_node *node) {
    (void)g;
    (void)node;
    return 2;
}

static const ms_op op_concat = {.name = "concat", .pixels = true, .run = run_concat, .calls = two_calls};

ms_value ms_op_concat(ms_graph *g, const char *name, ms_value a, ms_value b) {
    if (!op_input(g, name, a) || !op_input(g, name, b))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, a), t = ms_graph_shape(g, b);
    int64_t channels = t.c;
    t.c = s.c;
    if (!op_same_shape(g, name, a, t))
        return MS_NO_VALUE;
    if (ms_graph_dtype(g, a) != ms_graph_dtype(g, b)) {
        ms_graph_fail(g, MS_INTERNAL, "%s: joins values of different types", name);
        return MS_NO_VALUE;
    }
    ms_node node = {.op = &op_concat, .name = name, .n_inputs = 2, .input = {a, b}, .in_place = -1};
    return like(
        g, a,
        ms_graph_append(g, &node, (ms_shape){s.n, s.h, s.w, s.c + channels}, ms_graph_value(g, a)->whole));
}

/* Copies part by part, each as often as it is repeated. */
static ms_status run_join(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const ms_rows dst = ms_exec_rows(x, node->output);
    int64_t channel = 0;
    for (int i = 0; i < node->n_inputs; i++) {
        const ms_rows part = ms_exec_rows(x, node->input[i]);
        for (int64_t image = 0; image < dst.outer; image += part.outer) {
            ms_copy_args a = rows_copy(part, dst, image * dst.outer_stride + channel);
            MS_TRY(x->dev->kernels->copy(x->queue, &a));
        }
        channel += part.channels;
    }
    return MS_OK;
}

static int64_t join_calls(const ms_graph *g, const ms_node *node) {
    int64_t sum = 0;
    for (int i = 0; i < node->n_inputs; i++)
        sum += ms_graph_shape(g, node->output).n / ms_graph_shape(g, node->input[i]).n;
    return sum;
}

static const ms_op op_join = {.name = "join", .run = run_join, .calls = join_calls};

ms_value ms_op_join(ms_graph *g, const char *name, const ms_value *parts, int count, int64_t images) {
    ms_node node = {.op = &op_join, .name = name, .n_inputs = count, .in_place = -1};
    ms_shape s = {0};
    for (int i = 0; i < count; i++) {
        if (!op_input(g, name, parts[i]))
            return MS_NO_VALUE;
        node.input[i] = parts[i];
        ms_shape part = ms_graph_shape(g, parts[i]),
                 want = {part.n, i ? s.h : part.h, i ? s.w : part.w, part.c};
        if (!op_same_shape(g, name, parts[i], want))
            return MS_NO_VALUE;
        if (images % part.n || ms_graph_dtype(g, parts[i]) != ms_graph_dtype(g, parts[0])) {
            ms_graph_fail(g, MS_INTERNAL, "%s: part %d has %lld images of %lld, or another type", name, i,
                          (long long)part.n, (long long)images);
            return MS_NO_VALUE;
        }
        s = (ms_shape){images, part.h, part.w, s.c + part.c};
    }
    return like(g, parts[0], ms_graph_append(g, &node, s, false));
}

/* ---- windows ---- */

/* Rows of the images from and to so many rows further on. */
static ms_status copy_rows(const ms_exec_context *x, const ms_rows *from, int64_t src, const ms_rows *to,
                           int64_t dst, int64_t rows, ms_shape s) {
    ms_copy_args a = {.src = ms_elements_at(from->data, from->dtype, src * s.w * s.c),
                      .dst = ms_elements_at(to->data, to->dtype, dst * s.w * s.c),
                      .dtype = to->dtype,
                      .outer = 1,
                      .inner = rows * s.w,
                      .channels = s.c,
                      .src_stride = {0, s.c, 1},
                      .dst_stride = {0, s.c, 1}};
    return rows > 0 ? x->dev->kernels->copy(x->queue, &a) : MS_OK;
}

/* Rows that the stripe before held too move to the front, as many at a time as do
   not overlap; their memory in src may be overwritten by now. */
static ms_status move_to_front(const ms_exec_context *x, const ms_rows *held, int64_t by, int64_t rows,
                               ms_shape s) {
    for (int64_t done = 0; done < rows; done += by) {
        int64_t count = rows - done < by ? rows - done : by;
        ms_status status = copy_rows(x, held, done + by, held, done, count, s);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

static ms_status run_window(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    ms_shape s = ms_graph_shape(x->graph, node->output);
    ms_row_range now = ms_exec_range(x, node->output), before = {now.first, now.first};
    const ms_rows held = ms_exec_rows(x, node->output), src = ms_exec_rows(x, node->input[0]);
    if (x->first > 0) {
        ms_exec_context last = *x;
        last.count = x->plan->slice[x->segment];
        last.first = x->first - last.count;
        before = ms_exec_range(&last, node->output);
    }
    int64_t kept = before.end - now.first;
    if (kept > 0 && now.first > before.first) {
        ms_status status = move_to_front(x, &held, now.first - before.first, kept, s);
        if (status != MS_OK)
            return status;
    }
    kept = kept > 0 ? kept : 0;
    return copy_rows(x, &src, now.first + kept, &held, kept, now.end - now.first - kept, s);
}

/* Usually stripes are longer than what they share: then the rows that are there
   already move in one piece, and the new ones are copied. */
static const ms_op op_window = {
    .name = "window", .rows = true, .keeps = true, .run = run_window, .calls = two_calls};

ms_value ms_op_window(ms_graph *g, const char *name, ms_value src) {
    if (!op_input(g, name, src))
        return MS_NO_VALUE;
    ms_node node = {.op = &op_window, .name = name, .n_inputs = 1, .input = {src}, .in_place = -1};
    return like(g, src, ms_graph_append(g, &node, ms_graph_shape(g, src), false));
}

static ms_status run_flatten(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    ms_rows src = ms_exec_rows(x, node->input[0]), dst = ms_exec_rows(x, node->output);
    ms_copy_args a = {.src = src.data,
                      .dst = dst.data,
                      .dtype = dst.dtype,
                      .outer = src.outer,
                      .inner = src.inner,
                      .channels = src.channels,
                      .src_stride = {src.outer_stride, src.inner_stride, 1},
                      .dst_stride = {dst.outer_stride, 1, src.inner}};
    return x->dev->kernels->copy(x->queue, &a);
}

static const ms_op op_flatten = {.name = "flatten", .run = run_flatten};

ms_value ms_op_flatten(ms_graph *g, const char *name, ms_value src) {
    if (!op_input(g, name, src))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, src);
    ms_node node = {.op = &op_flatten, .name = name, .n_inputs = 1, .input = {src}, .in_place = -1};
    return like(g, src, ms_graph_append(g, &node, (ms_shape){s.n, 1, 1, s.h * s.w * s.c}, false));
}

typedef struct restride_desc {
    int64_t stride[4];
} restride_desc;

/* The copy kernel has one stride for all pixels: an image whose rows do not follow each other is copied row
   by row. */
static ms_status run_restride(const ms_exec_context *x, const ms_node *node, void *ws) {
    (void)ws;
    const int64_t *stride = ((const restride_desc *)node->desc)->stride;
    ms_rows src = ms_exec_rows(x, node->input[0]), dst = ms_exec_rows(x, node->output);
    ms_shape o = ms_graph_shape(x->graph, node->output);
    bool even = o.h == 1 || o.w == 1 || stride[1] == o.w * stride[2];
    int64_t rows = even ? 1 : o.h;
    ms_copy_args a = {.outer = dst.outer,
                      .dtype = dst.dtype,
                      .inner = dst.inner / rows,
                      .channels = o.c,
                      .src_stride = {src.outer_stride, o.w == 1 ? stride[1] : stride[2], stride[3]},
                      .dst_stride = {dst.outer_stride, o.c, 1}};
    for (int64_t y = 0; y < rows; y++) {
        a.src = ms_elements_at(src.data, src.dtype, y * stride[1]);
        a.dst = ms_elements_at(dst.data, dst.dtype, y * o.w * o.c);
        ms_status status = x->dev->kernels->copy(x->queue, &a);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

static int64_t restride_calls(const ms_graph *g, const ms_node *node) {
    const int64_t *stride = ((const restride_desc *)node->desc)->stride;
    const ms_shape o = ms_graph_shape(g, node->output);
    return o.h == 1 || o.w == 1 || stride[1] == o.w * stride[2] ? 1 : o.h;
}

static const ms_op op_restride = {.name = "restride", .run = run_restride, .calls = restride_calls};

ms_value ms_op_restride(ms_graph *g, const char *name, ms_value src, ms_shape dst, const int64_t stride[4]) {
    if (!op_input(g, name, src))
        return MS_NO_VALUE;
    ms_shape s = ms_graph_shape(g, src);
    const int64_t size[4] = {dst.n, dst.h, dst.w, dst.c};
    int64_t last = 0; /* the furthest element that is read */
    restride_desc desc;
    for (int i = 0; i < 4; i++) {
        desc.stride[i] = size[i] == 1 ? 0 : stride[i];
        last += i ? (size[i] - 1) * desc.stride[i] : 0;
        if (desc.stride[i] < 0)
            last = INT64_MAX / 2;
    }
    if (dst.n != s.n || (s.n > 1 && stride[0] != s.h * s.w * s.c) || last >= s.h * s.w * s.c ||
        dst.h * dst.w * dst.c != s.h * s.w * s.c) {
        ms_graph_fail(g, MS_INTERNAL, "%s: a layout that does not fit [%lld, %lld, %lld, %lld]", name,
                      (long long)s.n, (long long)s.h, (long long)s.w, (long long)s.c);
        return MS_NO_VALUE;
    }
    ms_node node = {.op = &op_restride,
                    .name = name,
                    .n_inputs = 1,
                    .input = {src},
                    .in_place = -1,
                    .desc = ms_graph_copy(g, &desc, sizeof(desc))};
    return like(g, src, ms_graph_append(g, &node, dst, false));
}
