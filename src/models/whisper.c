#include "models/whisper.h"

#include <stdio.h>

#include "base/error.h"
#include "graph/ops.h"

#define LAYER_NORM_EPS 1e-5f
#define TEXT(...) ms_graph_text(g, __VA_ARGS__)

static ms_status dimension(const ms_tensor_file *file, const char *name, int64_t max, int *ret_value,
                           ms_error *err) {
    char key[64];
    int64_t value;
    snprintf(key, sizeof(key), "dims.%s", name);
    if (!ms_tensor_file_integer(file, key, &value))
        return ms_fail(err, MS_BAD_MODEL, "%s: has no %s: it is no Whisper checkpoint",
                       ms_tensor_file_path(file), key);
    if (value < 1 || value > max)
        return ms_fail(err, MS_BAD_MODEL, "%s: %s is %lld, not within 1 to %lld", ms_tensor_file_path(file),
                       key, (long long)value, (long long)max);
    *ret_value = (int)value;
    return MS_OK;
}

ms_status ms_whisper_config_read(const ms_tensor_file *file, ms_whisper_config *ret_config, ms_error *err) {
    ms_whisper_config c;
    MS_TRY(dimension(file, "n_mels", 80, &c.n_mels, err));
    MS_TRY(dimension(file, "n_audio_ctx", MS_WHISPER_SEGMENT_MEL / 2, &c.n_ctx, err));
    MS_TRY(dimension(file, "n_audio_state", 16384, &c.n_state, err));
    MS_TRY(dimension(file, "n_audio_head", 1024, &c.n_head, err));
    MS_TRY(dimension(file, "n_audio_layer", MS_WHISPER_MAX_LAYERS, &c.n_layer, err));
    if (c.n_mels != 80 || c.n_ctx != MS_WHISPER_SEGMENT_MEL / 2)
        return ms_fail(err, MS_UNSUPPORTED, "%s: has %d mels and %d positions, where 80 and %d are known",
                       ms_tensor_file_path(file), c.n_mels, c.n_ctx, MS_WHISPER_SEGMENT_MEL / 2);
    if (c.n_state % c.n_head)
        return ms_fail(err, MS_BAD_MODEL, "%s: %d heads do not divide a width of %d",
                       ms_tensor_file_path(file), c.n_head, c.n_state);
    *ret_config = c;
    return MS_OK;
}

static ms_value conv1d(ms_graph *g, const char *layer, ms_value src, int64_t channels, int stride) {
    ms_conv_desc d = {.name = layer,
                      .src = src,
                      .src2 = MS_NO_VALUE,
                      .channels = channels,
                      .kernel_h = 1,
                      .kernel_w = 3,
                      .stride_w = stride,
                      .pad_left = 1,
                      .pad_right = 1,
                      .weight_rank = 3,
                      .weight = TEXT("%s.weight", layer),
                      .norm = MS_NO_NORM,
                      .out = MS_NO_OUT};
    d.out.bias = TEXT("%s.bias", layer);
    d.out.act = MS_ACT_GELU;
    return ms_op_conv(g, &d);
}

static ms_value norm(ms_graph *g, const char *layer, ms_value x) {
    ms_layer_norm_desc d = {.name = layer,
                            .src = x,
                            .eps = LAYER_NORM_EPS,
                            .weight = TEXT("%s.weight", layer),
                            .bias = TEXT("%s.bias", layer)};
    return ms_op_layer_norm(g, &d);
}

static ms_linear_desc linear(ms_graph *g, const char *layer, ms_value src, int64_t n) {
    ms_linear_desc d = {.name = layer,
                        .src = src,
                        .src2 = MS_NO_VALUE,
                        .n = n,
                        .weight = {TEXT("%s.weight", layer)},
                        .norm = MS_NO_NORM,
                        .out = MS_NO_OUT};
    d.out.bias = TEXT("%s.bias", layer);
    return d;
}

static ms_value block(ms_graph *g, const ms_whisper_config *c, int index, ms_value x) {
    const char *layer = TEXT("encoder.blocks.%d", index);
    ms_linear_desc qkv =
        linear(g, TEXT("%s.attn.query", layer), norm(g, TEXT("%s.attn_ln", layer), x), 3 * c->n_state);
    static const char *const parts[3] = {"query", "key", "value"};
    qkv.parts = 3;
    qkv.out.bias = NULL;
    for (int i = 0; i < 3; i++) {
        qkv.weight[i] = TEXT("%s.attn.%s.weight", layer, parts[i]);
        qkv.part_bias[i] = i == 1 ? NULL : TEXT("%s.attn.%s.bias", layer, parts[i]); /* keys have none */
    }
    ms_attention_desc d = {.name = TEXT("%s.attn", layer),
                           .q = ms_op_linear(g, &qkv),
                           .kv = MS_NO_VALUE,
                           .k_channel = c->n_state,
                           .v_channel = 2 * (int64_t)c->n_state,
                           .heads = c->n_head,
                           .head_dim = c->n_state / c->n_head};
    ms_linear_desc out = linear(g, TEXT("%s.attn.out", layer), ms_op_attention(g, &d), c->n_state);
    out.out.residual = x;
    x = ms_op_linear(g, &out);
    ms_linear_desc up =
        linear(g, TEXT("%s.mlp.0", layer), norm(g, TEXT("%s.mlp_ln", layer), x), 4 * (int64_t)c->n_state);
    up.out.act = MS_ACT_GELU;
    ms_linear_desc down = linear(g, TEXT("%s.mlp.2", layer), ms_op_linear(g, &up), c->n_state);
    down.out.residual = x;
    return ms_op_linear(g, &down);
}

ms_status ms_whisper_build(ms_graph *g, const ms_whisper_config *c, ms_error *err) {
    ms_value x = ms_graph_input(g, "mel", (ms_shape){1, 1, 2 * (int64_t)c->n_ctx, c->n_mels}, false);
    ms_graph_segment(g, MS_AXIS_FRAMES, "encoder");
    x = conv1d(g, "encoder.conv1", x, c->n_state, 1);
    x = conv1d(g, "encoder.conv2", x, c->n_state, 2);
    x = ms_op_binary_param(g, "encoder.positions", MS_BINARY_ADD, x, "encoder.positional_embedding", 2);
    ms_graph_output(g, x, "state_0");
    for (int i = 0; i < c->n_layer; i++) {
        x = block(g, c, i, x);
        ms_graph_output(g, x, TEXT("state_%d", i + 1));
    }
    return ms_graph_finish(g, err);
}
