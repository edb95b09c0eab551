#include "models/vae.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "models/config_reader.h"
#include "models/vae_internal.h"

#define NORM_EPS 1e-6f
#define TEXT(...) ms_graph_text(g, __VA_ARGS__)

static void check_block_types(ms_config_reader *r, const char *key, const char *type, int levels) {
    const char *names[MS_VAE_MAX_LEVELS];
    int n = ms_config_strings(r, key, true, names, MS_VAE_MAX_LEVELS);
    if (r->status == MS_OK && n != levels)
        ms_config_refuse(r, key, "must have as many entries as block_out_channels");
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], type) != 0)
            ms_config_refuse(r, key, "has an unknown block type");
}

ms_status ms_vae_config_read(const ms_json *root, const char *path, ms_vae_config *ret_config,
                             ms_error *err) {
    ms_vae_config c = {0};
    ms_config_reader r = {.path = path, .section = "vae", .object = root, .err = err};
    if (root->type != MS_JSON_OBJECT)
        return ms_fail(err, MS_BAD_MODEL, "%s: is no mapping", path);
    c.in_channels = (int)ms_config_int(&r, "in_channels", false, 3, 1, 64);
    c.out_channels = (int)ms_config_int(&r, "out_channels", false, 3, 1, 64);
    c.latent_channels = (int)ms_config_int(&r, "latent_channels", true, 4, 1, 1024);
    c.levels = ms_config_ints(&r, "block_out_channels", true, 1, 65536, c.channels, MS_VAE_MAX_LEVELS);
    check_block_types(&r, "down_block_types", "DownEncoderBlock2D", c.levels);
    check_block_types(&r, "up_block_types", "UpDecoderBlock2D", c.levels);
    c.layers_per_block = (int)ms_config_int(&r, "layers_per_block", false, 1, 1, 16);
    c.norm_groups = (int)ms_config_int(&r, "norm_num_groups", false, 32, 1, 1024);
    c.mid_attention = ms_config_bool(&r, "mid_block_add_attention", true);
    c.quant_conv = ms_config_bool(&r, "use_quant_conv", true);
    c.post_quant_conv = ms_config_bool(&r, "use_post_quant_conv", true);
    /* LatentSync sets both whatever the file says (scripts/inference.py). */
    c.scaling_factor = 0.18215f;
    c.shift_factor = 0;
    const char *act = ms_config_string(&r, "act_fn", false);
    if (act && strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
        ms_config_refuse(&r, "act_fn", "only silu is known");
    for (int i = 0; i < c.levels; i++)
        if (c.channels[i] % c.norm_groups)
            ms_config_refuse(&r, "block_out_channels", "each must be a multiple of norm_num_groups");
    MS_TRY(r.status);
    *ret_config = c;
    return MS_OK;
}

ms_group_norm_desc ms_vae_norm(ms_graph *g, const ms_vae_config *c, const char *layer, ms_value src) {
    return (ms_group_norm_desc){.name = layer,
                                .src = src,
                                .src2 = MS_NO_VALUE,
                                .groups = c->norm_groups,
                                .eps = NORM_EPS,
                                .images_per_table = 1,
                                .weight = TEXT("%s.weight", layer),
                                .bias = TEXT("%s.bias", layer)};
}

static ms_norm_ref image_norm(ms_graph *g, const ms_vae_config *c, const char *layer, ms_value src,
                              ms_act act) {
    ms_group_norm_desc d = ms_vae_norm(g, c, layer, src);
    ms_value tables = ms_op_norm_tables(g, &d, ms_op_norm_partials(g, &d));
    return (ms_norm_ref){.tables = tables, .images_per_table = 1, .act = act};
}

ms_conv_desc ms_vae_conv(ms_graph *g, const char *layer, ms_value src, int64_t channels, int kernel) {
    int pad = kernel / 2;
    ms_conv_desc d = {.name = layer,
                      .src = src,
                      .src2 = MS_NO_VALUE,
                      .channels = channels,
                      .kernel_h = kernel,
                      .kernel_w = kernel,
                      .pad_top = pad,
                      .pad_left = pad,
                      .pad_bottom = pad,
                      .pad_right = pad,
                      .weight = TEXT("%s.weight", layer),
                      .norm = MS_NO_NORM,
                      .out = MS_NO_OUT};
    d.out.bias = TEXT("%s.bias", layer);
    return d;
}

static ms_value plain_conv(ms_graph *g, const char *layer, ms_value src, int64_t channels, int kernel) {
    ms_conv_desc d = ms_vae_conv(g, layer, src, channels, kernel);
    return ms_op_conv(g, &d);
}

static ms_value resnet(ms_graph *g, const ms_vae_config *c, const char *layer, ms_value x, int64_t channels) {
    ms_conv_desc first = ms_vae_conv(g, TEXT("%s.conv1", layer), x, channels, 3);
    first.norm = image_norm(g, c, TEXT("%s.norm1", layer), x, MS_ACT_SILU);
    ms_value h = ms_op_conv(g, &first);
    ms_value residual = x;
    if (ms_graph_shape(g, x).c != channels)
        residual = plain_conv(g, TEXT("%s.conv_shortcut", layer), x, channels, 1);
    ms_conv_desc second = ms_vae_conv(g, TEXT("%s.conv2", layer), h, channels, 3);
    second.norm = image_norm(g, c, TEXT("%s.norm2", layer), h, MS_ACT_SILU);
    second.out.residual = residual;
    return ms_op_conv(g, &second);
}

/* Self-attention among all pixels with one head; older files spell the names query, key, value, proj_attn. */
static ms_value attention(ms_graph *g, const ms_vae_config *c, const char *layer, ms_value x) {
    int64_t channels = ms_graph_shape(g, x).c;
    static const char *const names[3] = {"to_q", "to_k", "to_v"}, *const old_names[3] = {"query", "key",
                                                                                         "value"};
    ms_linear_desc qkv = {.name = TEXT("%s.to_qkv", layer),
                          .src = x,
                          .src2 = MS_NO_VALUE,
                          .n = 3 * channels,
                          .parts = 3,
                          .norm = image_norm(g, c, TEXT("%s.group_norm", layer), x, MS_ACT_NONE),
                          .out = MS_NO_OUT};
    for (int i = 0; i < 3; i++) {
        qkv.weight[i] = TEXT("%s.%s.weight", layer, names[i]);
        qkv.other_weight[i] = TEXT("%s.%s.weight", layer, old_names[i]);
        qkv.part_bias[i] = TEXT("%s.%s.bias", layer, names[i]);
        qkv.other_part_bias[i] = TEXT("%s.%s.bias", layer, old_names[i]);
    }
    ms_attention_desc d = {.name = TEXT("%s.attention", layer),
                           .q = ms_op_linear(g, &qkv),
                           .kv = MS_NO_VALUE,
                           .k_channel = channels,
                           .v_channel = 2 * channels,
                           .heads = 1,
                           .head_dim = channels};
    ms_linear_desc out = {.name = TEXT("%s.to_out.0", layer),
                          .src = ms_op_attention(g, &d),
                          .src2 = MS_NO_VALUE,
                          .n = channels,
                          .weight = {TEXT("%s.to_out.0.weight", layer)},
                          .other_weight = {TEXT("%s.proj_attn.weight", layer)},
                          .part_bias = {TEXT("%s.to_out.0.bias", layer)},
                          .other_part_bias = {TEXT("%s.proj_attn.bias", layer)},
                          .norm = MS_NO_NORM,
                          .out = MS_NO_OUT};
    out.out.residual = x;
    return ms_op_linear(g, &out);
}

static ms_value mid_block(ms_graph *g, const ms_vae_config *c, const char *side, ms_value h, bool taps) {
    int64_t channels = c->channels[c->levels - 1];
    h = resnet(g, c, TEXT("%s.mid_block.resnets.0", side), h, channels);
    if (taps)
        ms_graph_output(g, h, "mid_resnet_0");
    if (c->mid_attention)
        h = attention(g, c, TEXT("%s.mid_block.attentions.0", side), h);
    if (taps && c->mid_attention)
        ms_graph_output(g, h, "mid_attention");
    h = resnet(g, c, TEXT("%s.mid_block.resnets.1", side), h, channels);
    if (taps)
        ms_graph_output(g, h, "mid");
    return h;
}

/* Norm, activation, convolution to the output channels. */
static ms_value tail(ms_graph *g, const ms_vae_config *c, const char *side, ms_value h, int64_t channels) {
    ms_conv_desc d = ms_vae_conv(g, TEXT("%s.conv_out", side), h, channels, 3);
    d.norm = image_norm(g, c, TEXT("%s.conv_norm_out", side), h, MS_ACT_SILU);
    return ms_op_conv(g, &d);
}

/* A resnet at a level of the network, in stripes where the pictures are taller than one. */
static ms_value level_resnet(ms_graph *g, const ms_vae_config *c, const ms_vae_build *b, const char *layer,
                             ms_vae_source source, int64_t channels) {
    int64_t h = ms_graph_shape(g, source.value).h * (source.up ? 2 : 1);
    if (b->stripe_rows <= 0 || h <= b->stripe_rows)
        return resnet(g, c, layer, source.value, channels);
    ms_value v = ms_vae_striped_resnet(g, c, layer, source, channels);
    ms_graph_segment(g, MS_AXIS_FRAMES, layer);
    return v;
}

ms_status ms_vae_build_encoder(ms_graph *g, const ms_vae_config *c, const ms_vae_build *b, ms_error *err) {
    if (b->h % ms_vae_factor(c) || b->w % ms_vae_factor(c))
        ms_graph_fail(g, MS_INVALID_ARGUMENT, "a picture of %lldx%lld is no multiple of %lld",
                      (long long)b->w, (long long)b->h, (long long)ms_vae_factor(c));
    ms_value v = ms_graph_input(g, "pixels", (ms_shape){b->images, b->h, b->w, c->in_channels}, false);
    ms_graph_segment(g, MS_AXIS_FRAMES, "encoder");
    v = plain_conv(g, "encoder.conv_in", v, c->channels[0], 3);
    if (b->taps)
        ms_graph_output(g, v, "conv_in");
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++)
            v = level_resnet(g, c, b, TEXT("encoder.down_blocks.%d.resnets.%d", i, j),
                             (ms_vae_source){v, NULL}, c->channels[i]);
        if (i < c->levels - 1) { /* padded at the right and the bottom only */
            ms_conv_desc d =
                ms_vae_conv(g, TEXT("encoder.down_blocks.%d.downsamplers.0.conv", i), v, c->channels[i], 3);
            d.pad_top = d.pad_left = 0;
            d.stride_h = d.stride_w = 2;
            v = ms_op_conv(g, &d);
        }
        if (b->taps)
            ms_graph_output(g, v, TEXT("down_%d", i));
    }
    v = mid_block(g, c, "encoder", v, b->taps);
    v = tail(g, c, "encoder", v, 2 * c->latent_channels);
    if (b->taps)
        ms_graph_output(g, v, "conv_out");
    if (c->quant_conv)
        v = plain_conv(g, "quant_conv", v, 2 * c->latent_channels, 1);
    ms_graph_output(g, v, "moments");
    ms_graph_set_dtype(g, v, MS_F32);
    return ms_graph_finish(g, err);
}

/* Twice the size at the end of a level: at once, or, when the next level goes in
   stripes, where it is read. */
static ms_vae_source enlarge(ms_graph *g, const ms_vae_build *b, const char *layer, ms_value v) {
    ms_shape s = ms_graph_shape(g, v);
    if (b->stripe_rows > 0 && 2 * s.h > b->stripe_rows && !b->taps)
        return (ms_vae_source){v, layer};
    ms_conv_desc d = ms_vae_conv(g, layer, v, s.c, 3);
    d.up_h = 2 * s.h;
    d.up_w = 2 * s.w;
    return (ms_vae_source){ms_op_conv(g, &d), NULL};
}

ms_status ms_vae_build_decoder(ms_graph *g, const ms_vae_config *c, const ms_vae_build *b, ms_error *err) {
    ms_value v = ms_graph_input(g, "latent", (ms_shape){b->images, b->h, b->w, c->latent_channels}, false);
    ms_graph_segment(g, MS_AXIS_FRAMES, "decoder");
    if (c->post_quant_conv) {
        v = plain_conv(g, "post_quant_conv", v, c->latent_channels, 1);
        if (b->taps)
            ms_graph_output(g, v, "post_quant_conv");
    }
    v = plain_conv(g, "decoder.conv_in", v, c->channels[c->levels - 1], 3);
    if (b->taps)
        ms_graph_output(g, v, "conv_in");
    ms_vae_source source = {mid_block(g, c, "decoder", v, b->taps), NULL};
    for (int i = 0; i < c->levels; i++) {
        int64_t channels = c->channels[c->levels - 1 - i];
        for (int j = 0; j <= c->layers_per_block; j++)
            source = (ms_vae_source){
                level_resnet(g, c, b, TEXT("decoder.up_blocks.%d.resnets.%d", i, j), source, channels), NULL};
        if (i < c->levels - 1)
            source = enlarge(g, b, TEXT("decoder.up_blocks.%d.upsamplers.0.conv", i), source.value);
        if (b->taps)
            ms_graph_output(g, source.value, TEXT("up_%d", i));
    }
    v = tail(g, c, "decoder", source.value, c->out_channels);
    ms_graph_output(g, v, "pixels");
    ms_graph_set_dtype(g, v, MS_F32);
    return ms_graph_finish(g, err);
}

ms_status ms_vae_build_sampler(ms_graph *g, const ms_vae_config *c, const ms_vae_build *b,
                               const uint64_t *seed, ms_error *err) {
    const ms_shape latent = {b->images, b->h, b->w, c->latent_channels},
                   moments = {b->images, b->h, b->w, 2 * (int64_t)c->latent_channels};
    ms_value from = ms_graph_input(g, "moments", moments, false), normals;
    if (seed) {
        ms_value numbers = ms_graph_input(g, "numbers", (ms_shape){1, 1, 1, 2 * b->images}, true);
        normals = ms_op_noise(g, "noise", *seed, numbers, latent);
    } else {
        normals = ms_graph_input(g, "normals", latent, false);
    }
    ms_value v = ms_op_posterior(g, "posterior", from, normals, c->shift_factor, c->scaling_factor);
    ms_graph_output(g, v, "latent");
    return ms_graph_finish(g, err);
}

ms_status ms_vae_build_scaler(ms_graph *g, const ms_vae_config *c, const ms_vae_build *b, ms_error *err) {
    ms_value v = ms_graph_input(g, "scaled", (ms_shape){b->images, b->h, b->w, c->latent_channels}, false);
    ms_graph_output(g, ms_op_rescale(g, "rescale", v, c->scaling_factor, c->shift_factor), "latent");
    return ms_graph_finish(g, err);
}
