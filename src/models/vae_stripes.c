#include "models/vae_internal.h"

#define TEXT(...) ms_graph_text(g, __VA_ARGS__)

/* Norm, activation, 3x3 convolution: half of a resnet. */
typedef struct half {
    ms_group_norm_desc norm;
    ms_norm_ref ref; /* of the tables, once they are there */
} half;

/* The resnet's source in the current segment. */
static ms_value open_source(ms_graph *g, ms_vae_source source) {
    if (!source.up)
        return source.value;
    ms_shape s = ms_graph_shape(g, source.value);
    ms_conv_desc d = ms_vae_conv(g, source.up, source.value, s.c, 3);
    d.up_h = 2 * s.h;
    d.up_w = 2 * s.w;
    return ms_op_conv(g, &d);
}

static ms_value conv_after(ms_graph *g, const char *layer, const half *h, ms_value src, int64_t channels) {
    ms_conv_desc d = ms_vae_conv(g, layer, src, channels, 3);
    d.norm = h->ref;
    return ms_op_conv(g, &d);
}

/* The statistics of `src`, made in the current segment, and tables from them in one of their own. */
static half close_half(ms_graph *g, const ms_vae_config *c, const char *layer, ms_value src) {
    half h = {.norm = ms_vae_norm(g, c, layer, src)};
    ms_value partials = ms_op_norm_partials(g, &h.norm);
    ms_graph_segment(g, MS_AXIS_FRAMES, layer);
    h.ref = (ms_norm_ref){
        .tables = ms_op_norm_tables(g, &h.norm, partials), .images_per_table = 1, .act = MS_ACT_SILU};
    return h;
}

ms_value ms_vae_striped_resnet(ms_graph *g, const ms_vae_config *c, const char *layer, ms_vae_source source,
                               int64_t channels) {
    const char *conv1 = TEXT("%s.conv1", layer);
    bool same = !source.up && ms_graph_shape(g, source.value).c == channels;
    ms_graph_segment(g, MS_AXIS_ROWS, TEXT("%s.norm1", layer));
    half first = close_half(g, c, TEXT("%s.norm1", layer), open_source(g, source));
    ms_graph_segment(g, MS_AXIS_ROWS, TEXT("%s.norm2", layer));
    ms_value h = conv_after(g, conv1, &first, open_source(g, source), channels);
    half second = close_half(g, c, TEXT("%s.norm2", layer), h);

    ms_graph_segment(g, MS_AXIS_ROWS, layer);
    ms_value x = same ? ms_op_window(g, TEXT("%s.window", layer), source.value) : open_source(g, source);
    h = conv_after(g, conv1, &first, x, channels);
    ms_value residual = x;
    if (ms_graph_shape(g, x).c != channels) {
        ms_conv_desc d = ms_vae_conv(g, TEXT("%s.conv_shortcut", layer), x, channels, 1);
        residual = ms_op_conv(g, &d);
    }
    ms_conv_desc d = ms_vae_conv(g, TEXT("%s.conv2", layer), h, channels, 3);
    d.norm = second.ref;
    d.out.residual = residual;
    return ms_op_conv_onto(g, &d, same ? source.value : MS_NO_VALUE);
}
