#include "models/unet3d.h"

#include "base/error.h"
#include "graph/ops.h"
#include "models/transformer.h"

#define MAX_SKIPS (MS_UNET_MAX_LEVELS * 17 + 1)
#define TRANSFORMER_EPS 1e-6f
#define MOTION_GROUPS 32 /* the reference's constant, whatever norm_num_groups says */

typedef struct builder {
    ms_graph *g;
    const ms_unet_config *c;
    const ms_unet_shape *s;
    ms_value audio, time; /* time: silu(embedding) */
    ms_value skips[MAX_SKIPS];
    int n_skips;
} builder;

#define TEXT(...) ms_graph_text(b->g, __VA_ARGS__)

static void tap(builder *b, ms_value v, const char *name) {
    if (b->s->taps)
        ms_graph_output(b->g, v, name);
}

/* Statistics run over the window's frames of each branch. Between the two steps every frame is needed. */
static ms_norm_ref window_norm(builder *b, const char *layer, ms_value src, ms_value src2) {
    ms_group_norm_desc d = {.name = layer,
                            .src = src,
                            .src2 = src2,
                            .groups = b->c->norm_groups,
                            .eps = b->c->norm_eps,
                            .images_per_table = b->c->norm_per_frame ? 1 : b->s->frames,
                            .weight = TEXT("%s.weight", layer),
                            .bias = TEXT("%s.bias", layer)};
    ms_value partials = ms_op_norm_partials(b->g, &d);
    ms_graph_segment(b->g, d.images_per_table > 1 ? MS_AXIS_NONE : MS_AXIS_FRAMES, layer);
    ms_value tables = ms_op_norm_tables(b->g, &d, partials);
    ms_graph_segment(b->g, MS_AXIS_FRAMES, layer);
    return (ms_norm_ref){.tables = tables, .images_per_table = d.images_per_table, .act = MS_ACT_SILU};
}

/* ResnetBlock3D: x + conv2(silu(norm2(conv1(silu(norm1(x))) + time))), x being one
   tensor or two side by side. */
static ms_value resnet(builder *b, const char *layer, ms_value x, ms_value x2, int64_t channels,
                       float scale) {
    ms_graph *g = b->g;
    ms_graph_segment(g, MS_AXIS_NONE, layer);
    ms_linear_desc time = {.name = TEXT("%s.time_emb_proj", layer),
                           .src = b->time,
                           .src2 = MS_NO_VALUE,
                           .n = channels,
                           .weight = {TEXT("%s.time_emb_proj.weight", layer)},
                           .norm = MS_NO_NORM,
                           .out = MS_NO_OUT};
    time.out.bias = TEXT("%s.time_emb_proj.bias", layer);
    ms_value add = ms_op_linear(g, &time);

    ms_graph_segment(g, MS_AXIS_FRAMES, layer);
    ms_conv_desc conv = {.name = TEXT("%s.conv1", layer),
                         .src = x,
                         .src2 = x2,
                         .channels = channels,
                         .kernel_h = 3,
                         .kernel_w = 3,
                         .pad_top = 1,
                         .pad_left = 1,
                         .pad_bottom = 1,
                         .pad_right = 1,
                         .weight = TEXT("%s.conv1.weight", layer),
                         .norm = window_norm(b, TEXT("%s.norm1", layer), x, x2),
                         .out = MS_NO_OUT};
    conv.out.bias = TEXT("%s.conv1.bias", layer);
    conv.out.add = add;
    ms_value h = ms_op_conv(g, &conv);

    conv.norm = window_norm(b, TEXT("%s.norm2", layer), h, MS_NO_VALUE);
    ms_value residual = x;
    if (ms_graph_shape(g, x).c + ms_graph_shape(g, x2).c != channels) {
        ms_linear_desc shortcut = {.name = TEXT("%s.conv_shortcut", layer),
                                   .src = x,
                                   .src2 = x2,
                                   .n = channels,
                                   .weight = {TEXT("%s.conv_shortcut.weight", layer)},
                                   .weight_rank = 4,
                                   .norm = MS_NO_NORM,
                                   .out = MS_NO_OUT};
        shortcut.out.bias = TEXT("%s.conv_shortcut.bias", layer);
        residual = ms_op_linear(g, &shortcut);
    }
    conv.name = TEXT("%s.conv2", layer);
    conv.src = h;
    conv.src2 = MS_NO_VALUE;
    conv.weight = TEXT("%s.conv2.weight", layer);
    conv.out = MS_NO_OUT;
    conv.out.bias = TEXT("%s.conv2.bias", layer);
    conv.out.residual = residual;
    conv.out.scale = scale;
    return ms_op_conv(g, &conv);
}

/* Group norm of each image on its own, in the current segment. */
static ms_norm_ref image_norm(builder *b, const char *layer, ms_value src, int groups) {
    ms_group_norm_desc d = {.name = layer,
                            .src = src,
                            .src2 = MS_NO_VALUE,
                            .groups = groups,
                            .eps = TRANSFORMER_EPS,
                            .images_per_table = 1,
                            .weight = TEXT("%s.weight", layer),
                            .bias = TEXT("%s.bias", layer)};
    ms_value tables = ms_op_norm_tables(b->g, &d, ms_op_norm_partials(b->g, &d));
    return (ms_norm_ref){.tables = tables, .images_per_table = 1, .act = MS_ACT_NONE};
}

static ms_linear_desc projection(builder *b, const char *layer, ms_value src, int64_t n, int rank) {
    ms_linear_desc d = {.name = layer,
                        .src = src,
                        .src2 = MS_NO_VALUE,
                        .n = n,
                        .weight = {TEXT("%s.weight", layer)},
                        .weight_rank = rank,
                        .norm = MS_NO_NORM,
                        .out = MS_NO_OUT};
    d.out.bias = TEXT("%s.bias", layer);
    return d;
}

/* Transformer3DModel: each image on its own. */
static ms_value transformer(builder *b, const char *layer, ms_value x, int heads, const char *tap_name) {
    ms_graph *g = b->g;
    int64_t channels = ms_graph_shape(g, x).c, inner = channels;
    int rank = b->c->linear_projection ? 2 : 4;
    ms_graph_segment(g, MS_AXIS_FRAMES, layer);
    ms_linear_desc in = projection(b, TEXT("%s.proj_in", layer), x, inner, rank);
    in.norm = image_norm(b, TEXT("%s.norm", layer), x, b->c->norm_groups);
    ms_value h = ms_op_linear(g, &in);

    const char *block = TEXT("%s.transformer_blocks.0", layer);
    ms_attention_block a = {.prefix = TEXT("%s.attn1", block),
                            .norm = TEXT("%s.norm1", block),
                            .x = h,
                            .context = MS_NO_VALUE,
                            .heads = heads,
                            .inner = inner};
    if (tap_name && b->s->taps)
        a.tap = TEXT("%s_attn1", tap_name);
    h = ms_attention_block_build(g, &a);
    if (b->c->audio_layer) {
        a.prefix = TEXT("%s.attn2", block);
        a.norm = TEXT("%s.norm2", block);
        a.x = h;
        a.context = b->audio;
        if (a.tap)
            a.tap = TEXT("%s_attn2", tap_name);
        h = ms_attention_block_build(g, &a);
    }
    h = ms_feed_forward_build(g, TEXT("%s.ff", block), TEXT("%s.norm3", block), h);
    ms_linear_desc out = projection(b, TEXT("%s.proj_out", layer), h, channels, rank);
    out.out.residual = x;
    return ms_op_linear(g, &out);
}

/* VanillaTemporalModule: attention along the frames, each pixel on its own. */
static ms_value motion(builder *b, const char *module, ms_value x) {
    ms_graph *g = b->g;
    const ms_unet_config *c = b->c;
    const char *layer = TEXT("%s.temporal_transformer", module);
    int64_t channels = ms_graph_shape(g, x).c;
    int64_t inner = channels / c->motion_heads / c->motion_dim_div * c->motion_heads;
    ms_graph_segment(g, MS_AXIS_FRAMES, layer);
    ms_norm_ref norm = image_norm(b, TEXT("%s.norm", layer), x, MOTION_GROUPS);
    ms_graph_segment(g, MS_AXIS_PIXELS, layer);
    ms_linear_desc in = projection(b, TEXT("%s.proj_in", layer), x, inner, 2);
    in.norm = norm;
    ms_value h = ms_op_linear(g, &in);
    for (int i = 0; i < c->motion_blocks; i++) {
        const char *block = TEXT("%s.transformer_blocks.%d", layer, i);
        for (int j = 0; j < c->motion_attentions; j++) {
            ms_attention_block a = {.prefix = TEXT("%s.attention_blocks.%d", block, j),
                                    .norm = TEXT("%s.norms.%d", block, j),
                                    .x = h,
                                    .context = MS_NO_VALUE,
                                    .heads = c->motion_heads,
                                    .inner = inner,
                                    .frames = b->s->frames,
                                    .positions = c->motion_position ? c->motion_positions : 0};
            h = ms_attention_block_build(g, &a);
        }
        h = ms_feed_forward_build(g, TEXT("%s.ff", block), TEXT("%s.ff_norm", block), h);
    }
    ms_linear_desc out = projection(b, TEXT("%s.proj_out", layer), h, channels, 2);
    out.out.residual = x;
    return ms_op_linear(g, &out);
}

static ms_conv_desc conv3x3(builder *b, const char *layer, ms_value src, int64_t channels) {
    ms_conv_desc d = {.name = layer,
                      .src = src,
                      .src2 = MS_NO_VALUE,
                      .channels = channels,
                      .kernel_h = 3,
                      .kernel_w = 3,
                      .pad_top = 1,
                      .pad_left = 1,
                      .pad_bottom = 1,
                      .pad_right = 1,
                      .weight = TEXT("%s.weight", layer),
                      .norm = MS_NO_NORM,
                      .out = MS_NO_OUT};
    d.out.bias = TEXT("%s.bias", layer);
    return d;
}

static void push_skip(builder *b, ms_value v) {
    if (b->n_skips < MAX_SKIPS)
        b->skips[b->n_skips++] = v;
    else
        ms_graph_fail(b->g, MS_INTERNAL, "more than %d skip connections", MAX_SKIPS);
}

static ms_value pop_skip(builder *b) {
    return b->n_skips > 0 ? b->skips[--b->n_skips] : MS_NO_VALUE;
}

static ms_value down_blocks(builder *b, ms_value h) {
    const ms_unet_config *c = b->c;
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++) {
            h = resnet(b, TEXT("down_blocks.%d.resnets.%d", i, j), h, MS_NO_VALUE, c->channels[i], 0);
            bool first = i == 0 && j == 0;
            if (first)
                tap(b, h, "down_0_resnet_0");
            if (c->down_attention[i])
                h = transformer(b, TEXT("down_blocks.%d.attentions.%d", i, j), h, c->heads[i],
                                first ? "down_0_attention_0" : NULL);
            if (first && c->down_attention[i])
                tap(b, h, "down_0_attention_0");
            if (c->down_motion[i])
                h = motion(b, TEXT("down_blocks.%d.motion_modules.%d", i, j), h);
            if (first && c->down_motion[i])
                tap(b, h, "down_0_motion_0");
            push_skip(b, h);
        }
        if (i < c->levels - 1) {
            ms_graph_segment(b->g, MS_AXIS_FRAMES, TEXT("down_blocks.%d.downsamplers.0", i));
            ms_conv_desc d = conv3x3(b, TEXT("down_blocks.%d.downsamplers.0.conv", i), h, c->channels[i]);
            d.stride_h = d.stride_w = 2;
            h = ms_op_conv(b->g, &d);
            push_skip(b, h);
        }
        tap(b, h, TEXT("down_%d", i));
    }
    return h;
}

static ms_value mid_block(builder *b, ms_value h) {
    const ms_unet_config *c = b->c;
    int64_t channels = c->channels[c->levels - 1];
    float scale = c->mid_scale == 1 ? 0 : 1 / c->mid_scale;
    h = resnet(b, "mid_block.resnets.0", h, MS_NO_VALUE, channels, scale);
    h = transformer(b, "mid_block.attentions.0", h, c->heads[c->levels - 1], NULL);
    if (c->mid_motion)
        h = motion(b, "mid_block.motion_modules.0", h);
    h = resnet(b, "mid_block.resnets.1", h, MS_NO_VALUE, channels, scale);
    tap(b, h, "mid");
    return h;
}

/* One layer of an up block: the skip connection is the second source of its resnet. */
static ms_value up_layer(builder *b, int i, int j, ms_value h, ms_value skip) {
    const ms_unet_config *c = b->c;
    int level = c->levels - 1 - i;
    h = resnet(b, TEXT("up_blocks.%d.resnets.%d", i, j), h, skip, c->channels[level], 0);
    if (c->up_attention[i])
        h = transformer(b, TEXT("up_blocks.%d.attentions.%d", i, j), h, c->heads[level], NULL);
    if (c->up_motion[i])
        h = motion(b, TEXT("up_blocks.%d.motion_modules.%d", i, j), h);
    return h;
}

static ms_value up_blocks(builder *b, ms_value h) {
    const ms_unet_config *c = b->c;
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j <= c->layers_per_block; j++) {
            if (b->s->kind == MS_UNET_FULL_KEEP && i == c->levels - 1 && j == c->layers_per_block)
                ms_graph_output(b->g, h, "cache");
            h = up_layer(b, i, j, h, pop_skip(b));
        }
        if (i < c->levels - 1) {
            /* To the size of the next skip connection: twice the size, or what an
               odd latent had before it was halved. */
            ms_shape next = b->n_skips > 0 ? ms_graph_shape(b->g, b->skips[b->n_skips - 1]) : (ms_shape){0};
            ms_graph_segment(b->g, MS_AXIS_FRAMES, TEXT("up_blocks.%d.upsamplers.0", i));
            ms_conv_desc d =
                conv3x3(b, TEXT("up_blocks.%d.upsamplers.0.conv", i), h, c->channels[c->levels - 1 - i]);
            d.up_h = next.h;
            d.up_w = next.w;
            h = ms_op_conv(b->g, &d);
        }
        tap(b, h, TEXT("up_%d", i));
    }
    return h;
}

/* The last layer of the last up block on the kept tensor: all that a cached step runs. */
static ms_value cached_layer(builder *b, ms_value conv_in) {
    const ms_unet_config *c = b->c;
    ms_shape kept = {b->s->branches * b->s->frames, b->s->h, b->s->w, c->channels[0]};
    ms_value cache = ms_graph_input(b->g, "cache", kept, false);
    ms_graph_set_dtype(b->g, cache, ms_graph_activation(b->g));
    return up_layer(b, c->levels - 1, c->layers_per_block, cache, conv_in);
}

static void time_embedding(builder *b) {
    ms_graph *g = b->g;
    int64_t channels = b->c->channels[0];
    ms_graph_segment(g, MS_AXIS_NONE, "time_embedding");
    ms_value t = ms_graph_input(g, "time", (ms_shape){1, 1, 1, channels}, true);
    ms_linear_desc d = projection(b, "time_embedding.linear_1", t, channels * 4, 2);
    d.out.act = MS_ACT_SILU;
    t = ms_op_linear(g, &d);
    d = projection(b, "time_embedding.linear_2", t, channels * 4, 2);
    t = ms_op_linear(g, &d);
    tap(b, t, "time_embedding");
    b->time = ms_op_unary(g, "time_embedding.act", t, MS_ACT_SILU, NULL);
}

/* Channels of a pixel: noisy latent, mask, masked picture, reference. */
static ms_value sample_of_parts(builder *b) {
    const ms_unet_shape *s = b->s;
    const ms_shape latents = {s->frames, s->h, s->w, b->c->out_channels}, mask = {1, s->h, s->w, 1};
    ms_graph_segment(b->g, MS_AXIS_NONE, "sample");
    const ms_value parts[] = {
        ms_graph_input(b->g, "latents", latents, false), ms_graph_input(b->g, "mask", mask, false),
        ms_graph_input(b->g, "masked", latents, false), ms_graph_input(b->g, "reference", latents, false)};
    return ms_op_join(b->g, "sample", parts, 4, s->branches * s->frames);
}

ms_status ms_unet_build(ms_graph *g, const ms_unet_config *config, const ms_unet_shape *shape,
                        ms_error *err) {
    builder self = {.g = g, .c = config, .s = shape}, *b = &self;
    int64_t images = shape->branches * shape->frames;
    ms_value sample =
        shape->parts
            ? MS_NO_VALUE
            : ms_graph_input(g, "sample", (ms_shape){images, shape->h, shape->w, config->in_channels}, false);
    b->audio = config->audio_layer
                   ? ms_graph_input(g, "audio",
                                    (ms_shape){images, shape->tokens, 1, config->cross_attention_dim}, false)
                   : MS_NO_VALUE;
    time_embedding(b);
    if (shape->parts)
        sample = sample_of_parts(b);
    ms_graph_segment(g, MS_AXIS_FRAMES, "conv_in");
    ms_conv_desc in = conv3x3(b, "conv_in", sample, config->channels[0]);
    ms_value h = ms_op_conv(g, &in);
    tap(b, h, "conv_in");
    if (shape->kind == MS_UNET_CACHED) {
        h = cached_layer(b, h);
    } else {
        push_skip(b, h);
        h = down_blocks(b, h);
        h = mid_block(b, h);
        h = up_blocks(b, h);
    }
    ms_graph_segment(g, MS_AXIS_FRAMES, "conv_out");
    ms_conv_desc out = conv3x3(b, "conv_out", h, config->out_channels);
    out.norm = window_norm(b, "conv_norm_out", h, MS_NO_VALUE);
    h = ms_op_conv(g, &out);
    ms_graph_output(g, h, "noise");
    ms_graph_set_dtype(g, h, MS_F32);
    return ms_graph_finish(g, err);
}
