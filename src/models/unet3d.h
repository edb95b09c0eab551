/*
 * LatentSync's denoiser: UNet3DConditionModel (bytedance/LatentSync, latentsync/models/unet.py), a Stable
 * Diffusion UNet whose layers see the frames of a window as images, with audio cross-attention and temporal
 * motion modules.
 */
#ifndef MS_MODELS_UNET3D_H
#define MS_MODELS_UNET3D_H

#include "graph/graph.h"
#include "text/json.h"

#define MS_UNET_MAX_LEVELS 6

typedef struct ms_unet_config {
    /* `data` */
    int num_frames, resolution, audio_sample_rate, video_fps;
    int audio_feat_length[2];
    /* `model` */
    int in_channels, out_channels;
    int levels;
    int64_t channels[MS_UNET_MAX_LEVELS];
    /* up: in the order of up_blocks */
    bool down_attention[MS_UNET_MAX_LEVELS], up_attention[MS_UNET_MAX_LEVELS];
    int heads[MS_UNET_MAX_LEVELS];
    int layers_per_block;
    int64_t cross_attention_dim;
    int norm_groups;
    float norm_eps, mid_scale, freq_shift;
    bool flip_sin_to_cos, linear_projection, norm_per_frame, audio_layer;
    bool down_motion[MS_UNET_MAX_LEVELS], up_motion[MS_UNET_MAX_LEVELS], mid_motion;
    int motion_heads, motion_blocks, motion_attentions, motion_positions, motion_dim_div;
    bool motion_position;
} ms_unet_config;

/* From the tree of an official config (unet.yaml). Options that no released model uses and that are not
   implemented are refused by name, never ignored. path: for messages. */
ms_status ms_unet_config_read(const ms_json *root, const char *path, ms_unet_config *ret_config,
                              ms_error *err);

/* Tokens of audio that one frame attends to: rows of the feature window. */
static inline int64_t ms_unet_audio_rows(const ms_unet_config *c) {
    return 2 * (int64_t)(c->audio_feat_length[0] + c->audio_feat_length[1] + 1);
}

/* What a graph computes. DeepCache (Ma et al., CVPR 2024; interval 3, branch 0) keeps the tensor that enters
   the last resnet of the last up block; on most steps only conv_in and that last layer run. */
typedef enum ms_unet_kind {
    MS_UNET_FULL,
    MS_UNET_FULL_KEEP, /* full, and gives out the tensor to keep */
    MS_UNET_CACHED,    /* takes it */
} ms_unet_kind;

typedef struct ms_unet_shape {
    ms_unet_kind kind;
    int64_t branches, frames, h, w; /* latent size; images = branches x frames */
    int64_t tokens;                 /* audio tokens of a frame */
    bool parts;                     /* the sample is put together from its parts, see below */
    bool taps;                      /* also give out the intermediate values that the golden cases hold */
} ms_unet_shape;

/*
 * Inputs: "sample" [images, h, w, in_channels]; "time" [1, 1, 1, channels[0]]
 * (ms_unet_time_embedding); "audio" [images, tokens, 1, cross_attention_dim]; CACHED: "cache".
 * Outputs: "noise" [images, h, w, out_channels]; KEEP: "cache". With `parts`, instead of "sample":
 * "latents", "masked", "reference" [frames, h, w, out_channels] and "mask" [1, h, w, 1], which are
 * the same in every branch. Declares its parameters in the graph's weights and finishes the graph.
 */
ms_status ms_unet_build(ms_graph *graph, const ms_unet_config *config, const ms_unet_shape *shape,
                        ms_error *err);

/* Sinusoidal embedding of a timestep, channels[0] values (diffusers' get_timestep_embedding). */
void ms_unet_time_embedding(const ms_unet_config *config, int64_t timestep, float *ret_embedding);

#endif
