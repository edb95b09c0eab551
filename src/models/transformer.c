#include "models/transformer.h"

#define TEXT(...) ms_graph_text(g, __VA_ARGS__)
#define LAYER_NORM_EPS 1e-5f

static ms_value layer_norm(ms_graph *g, const char *layer, ms_value x, const ms_attention_block *a) {
    ms_layer_norm_desc d = {.name = layer,
                            .src = x,
                            .eps = LAYER_NORM_EPS,
                            .weight = TEXT("%s.weight", layer),
                            .bias = TEXT("%s.bias", layer)};
    if (a && a->positions) {
        d.position = TEXT("%s.pos_encoder.pe", a->prefix);
        d.position_rows = a->positions;
        d.images_per_window = a->frames;
    }
    return ms_op_layer_norm(g, &d);
}

ms_value ms_attention_block_build(ms_graph *g, const ms_attention_block *a) {
    ms_value normed = layer_norm(g, a->norm, a->x, a);
    const char *q_name = TEXT("%s.to_q.weight", a->prefix), *k_name = TEXT("%s.to_k.weight", a->prefix),
               *v_name = TEXT("%s.to_v.weight", a->prefix);
    ms_linear_desc lin = {.src = normed, .src2 = MS_NO_VALUE, .norm = MS_NO_NORM, .out = MS_NO_OUT};
    ms_attention_desc d = {.name = TEXT("%s.attention", a->prefix),
                           .kv = MS_NO_VALUE,
                           .k_channel = a->inner,
                           .v_channel = 2 * a->inner,
                           .heads = a->heads,
                           .head_dim = a->inner / a->heads,
                           .frames = a->frames};
    if (a->context == MS_NO_VALUE) { /* one product for the three: the rows are read and packed once */
        lin.name = TEXT("%s.to_qkv", a->prefix);
        lin.n = 3 * a->inner;
        lin.parts = 3;
        lin.weight[0] = q_name;
        lin.weight[1] = k_name;
        lin.weight[2] = v_name;
        d.q = ms_op_linear(g, &lin);
    } else {
        lin.name = TEXT("%s.to_q", a->prefix);
        lin.n = a->inner;
        lin.weight[0] = q_name;
        d.q = ms_op_linear(g, &lin);
        lin.name = TEXT("%s.to_kv", a->prefix);
        lin.src = a->context;
        lin.n = 2 * a->inner;
        lin.parts = 2;
        lin.weight[0] = k_name;
        lin.weight[1] = v_name;
        d.kv = ms_op_linear(g, &lin);
        d.k_channel = 0;
        d.v_channel = a->inner;
    }
    ms_value attended = ms_op_attention(g, &d);
    ms_linear_desc out = {.name = TEXT("%s.to_out.0", a->prefix),
                          .src = attended,
                          .src2 = MS_NO_VALUE,
                          .n = ms_graph_shape(g, a->x).c,
                          .weight = {TEXT("%s.to_out.0.weight", a->prefix)},
                          .norm = MS_NO_NORM,
                          .out = MS_NO_OUT};
    out.out.bias = TEXT("%s.to_out.0.bias", a->prefix);
    if (a->tap) { /* the same sum in two steps, so that the product itself can be seen */
        ms_value product = ms_op_linear(g, &out);
        ms_graph_output(g, product, a->tap);
        return ms_op_binary(g, out.name, MS_BINARY_ADD, product, a->x);
    }
    out.out.residual = a->x;
    return ms_op_linear(g, &out);
}

ms_value ms_feed_forward_build(ms_graph *g, const char *prefix, const char *norm, ms_value x) {
    int64_t dim = ms_graph_shape(g, x).c;
    ms_linear_desc in = {.name = TEXT("%s.net.0.proj", prefix),
                         .src = layer_norm(g, norm, x, NULL),
                         .src2 = MS_NO_VALUE,
                         .n = dim * 8,
                         .weight = {TEXT("%s.net.0.proj.weight", prefix)},
                         .norm = MS_NO_NORM,
                         .out = MS_NO_OUT};
    in.out.bias = TEXT("%s.net.0.proj.bias", prefix);
    in.out.act = MS_ACT_GEGLU;
    ms_linear_desc out = {.name = TEXT("%s.net.2", prefix),
                          .src = ms_op_linear(g, &in),
                          .src2 = MS_NO_VALUE,
                          .n = dim,
                          .weight = {TEXT("%s.net.2.weight", prefix)},
                          .norm = MS_NO_NORM,
                          .out = MS_NO_OUT};
    out.out.bias = TEXT("%s.net.2.bias", prefix);
    out.out.residual = x;
    return ms_op_linear(g, &out);
}
