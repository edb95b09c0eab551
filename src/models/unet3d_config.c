#include <math.h>
#include <string.h>

#include "base/error.h"
#include "models/config_reader.h"
#include "models/unet3d.h"

#define MAX_WIDTH 65536

static void read_data(const ms_json *root, const char *path, ms_unet_config *c, ms_config_reader *r,
                      ms_error *err) {
    *r = ms_config_section(root, path, "data", true, err);
    c->num_frames = (int)ms_config_int(r, "num_frames", true, 16, 1, 1024);
    c->resolution = (int)ms_config_int(r, "resolution", true, 256, 64, 4096);
    c->audio_sample_rate = (int)ms_config_int(r, "audio_sample_rate", false, 16000, 16000, 16000);
    c->video_fps = (int)ms_config_int(r, "video_fps", false, 25, 1, 240);
    int64_t lengths[2] = {2, 2};
    int n = ms_config_ints(r, "audio_feat_length", false, 0, 64, lengths, 2);
    if (n == 1)
        lengths[1] = lengths[0];
    c->audio_feat_length[0] = (int)lengths[0];
    c->audio_feat_length[1] = (int)lengths[1];
    if (r->status == MS_OK && c->resolution % 8)
        r->status =
            ms_fail(err, MS_BAD_MODEL, "%s: data.resolution is %d, not a multiple of 8", path, c->resolution);
}

/* "CrossAttnDownBlock3D" has attention, "DownBlock3D" has none; likewise upwards. */
static void read_blocks(ms_config_reader *r, const char *key, const char *plain, const char *attention,
                        bool *ret_attention, int levels) {
    const char *names[MS_UNET_MAX_LEVELS];
    int n = ms_config_strings(r, key, true, names, MS_UNET_MAX_LEVELS);
    if (r->status != MS_OK)
        return;
    if (n != levels) {
        ms_config_refuse(r, key, "must have as many entries as block_out_channels");
        return;
    }
    for (int i = 0; i < n; i++) {
        ret_attention[i] = strcmp(names[i], attention) == 0;
        if (!ret_attention[i] && strcmp(names[i], plain) != 0)
            ms_config_refuse(r, key, "knows plain and CrossAttn 3D blocks only");
    }
}

static void read_motion(ms_config_reader *r, ms_unet_config *c) {
    if (!ms_config_bool(r, "use_motion_module", false))
        return;
    const char *type = ms_config_string(r, "motion_module_type", true);
    if (type && strcmp(type, "Vanilla") != 0)
        ms_config_refuse(r, "motion_module_type", "only Vanilla is known");
    int64_t resolutions[16];
    int n = ms_config_ints(r, "motion_module_resolutions", true, 1, 1024, resolutions, 16);
    bool decoder_only = ms_config_bool(r, "motion_module_decoder_only", false);
    c->mid_motion = ms_config_bool(r, "motion_module_mid_block", false);
    for (int level = 0; level < c->levels; level++) {
        for (int i = 0; i < n; i++) {
            if (resolutions[i] == (int64_t)1 << level && !decoder_only)
                c->down_motion[level] = true;
            if (level <= 3 && resolutions[i] == (int64_t)1
                                                    << (3 - level)) /* the reference counts up from 2^3 */
                c->up_motion[level] = true;
        }
    }
    ms_config_reader k = *r;
    k.object = ms_json_get(r->object, "motion_module_kwargs");
    k.section = "model.motion_module_kwargs";
    c->motion_heads = (int)ms_config_int(&k, "num_attention_heads", false, 8, 1, 1024);
    c->motion_blocks = (int)ms_config_int(&k, "num_transformer_block", false, 2, 1, 64);
    c->motion_position = ms_config_bool(&k, "temporal_position_encoding", false);
    c->motion_positions = (int)ms_config_int(&k, "temporal_position_encoding_max_len", false, 24, 1, 4096);
    c->motion_dim_div = (int)ms_config_int(&k, "temporal_attention_dim_div", false, 1, 1, 64);
    const char *types[16];
    c->motion_attentions = ms_config_strings(&k, "attention_block_types", false, types, 16);
    for (int i = 0; i < c->motion_attentions; i++)
        if (strcmp(types[i], "Temporal_Self") != 0)
            ms_config_refuse(&k, "attention_block_types", "only Temporal_Self is known");
    if (c->motion_attentions == 0)
        c->motion_attentions = 2;
    if (k.status != MS_OK)
        r->status = k.status;
}

/* Fields whose other values change the network in ways that no released model uses. */
static void refuse_unknown(ms_config_reader *r) {
    const char *text = ms_config_string(r, "act_fn", false);
    if (text && strcmp(text, "silu") != 0 && strcmp(text, "swish") != 0)
        ms_config_refuse(r, "act_fn", "only silu is known");
    text = ms_config_string(r, "mid_block_type", false);
    if (text && strcmp(text, "UNetMidBlock3DCrossAttn") != 0)
        ms_config_refuse(r, "mid_block_type", "only UNetMidBlock3DCrossAttn is known");
    text = ms_config_string(r, "resnet_time_scale_shift", false);
    if (text && strcmp(text, "default") != 0)
        ms_config_refuse(r, "resnet_time_scale_shift", "only default is known");
    if (ms_config_string(r, "class_embed_type", false))
        ms_config_refuse(r, "class_embed_type", "class embeddings are not known");
    if (ms_config_int(r, "num_class_embeds", false, 0, 0, INT32_MAX))
        ms_config_refuse(r, "num_class_embeds", "class embeddings are not known");
    if (ms_config_bool(r, "dual_cross_attention", false))
        ms_config_refuse(r, "dual_cross_attention", "the reference does not implement it either");
    if (ms_config_bool(r, "only_cross_attention", false))
        ms_config_refuse(r, "only_cross_attention", "is not known");
    if (ms_config_bool(r, "center_input_sample", false))
        ms_config_refuse(r, "center_input_sample", "is not known");
    if (ms_config_int(r, "downsample_padding", false, 1, 0, 16) != 1)
        ms_config_refuse(r, "downsample_padding", "only 1 is known");
}

static void check_widths(ms_config_reader *r, const ms_unet_config *c) {
    for (int i = 0; i < c->levels && r->status == MS_OK; i++) {
        if (c->channels[i] % c->norm_groups)
            ms_config_refuse(r, "block_out_channels", "each must be a multiple of norm_num_groups");
        else if (c->channels[i] % c->heads[i])
            ms_config_refuse(r, "attention_head_dim", "(the number of heads) must divide block_out_channels");
        else if ((c->down_motion[i] || c->up_motion[c->levels - 1 - i]) &&
                 (c->channels[i] % 32 || c->channels[i] % ((int64_t)c->motion_heads * c->motion_dim_div)))
            ms_config_refuse(r, "motion_module_kwargs", "widths must be multiples of 32 and of the heads");
    }
}

ms_status ms_unet_config_read(const ms_json *root, const char *path, ms_unet_config *ret_config,
                              ms_error *err) {
    ms_unet_config c = {0};
    ms_config_reader r;
    read_data(root, path, &c, &r, err);
    MS_TRY(r.status);
    r = ms_config_section(root, path, "model", true, err);
    c.in_channels = (int)ms_config_int(&r, "in_channels", true, 13, 1, 1024);
    c.out_channels = (int)ms_config_int(&r, "out_channels", true, 4, 1, 1024);
    c.levels = ms_config_ints(&r, "block_out_channels", true, 1, MAX_WIDTH, c.channels, MS_UNET_MAX_LEVELS);
    read_blocks(&r, "down_block_types", "DownBlock3D", "CrossAttnDownBlock3D", c.down_attention, c.levels);
    read_blocks(&r, "up_block_types", "UpBlock3D", "CrossAttnUpBlock3D", c.up_attention, c.levels);
    int64_t heads[MS_UNET_MAX_LEVELS] = {8};
    int n_heads = ms_config_ints(&r, "attention_head_dim", false, 1, 1024, heads, MS_UNET_MAX_LEVELS);
    if (n_heads > 1 && n_heads != c.levels)
        ms_config_refuse(&r, "attention_head_dim", "must be one number or one for each block");
    for (int i = 0; i < c.levels; i++)
        c.heads[i] = (int)heads[n_heads > 1 ? i : 0];
    c.layers_per_block = (int)ms_config_int(&r, "layers_per_block", true, 2, 1, 16);
    c.cross_attention_dim = ms_config_int(&r, "cross_attention_dim", true, 384, 1, MAX_WIDTH);
    c.norm_groups = (int)ms_config_int(&r, "norm_num_groups", false, 32, 1, 1024);
    c.norm_eps = (float)ms_config_number(&r, "norm_eps", false, 1e-5);
    c.mid_scale = (float)ms_config_number(&r, "mid_block_scale_factor", false, 1);
    c.freq_shift = (float)ms_config_number(&r, "freq_shift", false, 0);
    c.flip_sin_to_cos = ms_config_bool(&r, "flip_sin_to_cos", true);
    c.linear_projection = ms_config_bool(&r, "use_linear_projection", false);
    c.norm_per_frame = ms_config_bool(&r, "use_inflated_groupnorm", false);
    c.audio_layer = ms_config_bool(&r, "add_audio_layer", false);
    refuse_unknown(&r);
    if (r.status == MS_OK)
        read_motion(&r, &c);
    if (r.status == MS_OK)
        check_widths(&r, &c);
    MS_TRY(r.status);
    *ret_config = c;
    return MS_OK;
}

void ms_unet_time_embedding(const ms_unet_config *config, int64_t timestep, float *ret_embedding) {
    int64_t dim = config->channels[0], half = dim / 2;
    for (int64_t i = 0; i < half; i++) {
        float exponent = (float)(-log(10000.0)) * (float)i / ((float)half - config->freq_shift);
        float angle = (float)timestep * expf(exponent);
        ret_embedding[i] = config->flip_sin_to_cos ? cosf(angle) : sinf(angle);
        ret_embedding[half + i] = config->flip_sin_to_cos ? sinf(angle) : cosf(angle);
    }
    if (dim % 2)
        ret_embedding[dim - 1] = 0;
}
