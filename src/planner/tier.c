#include "planner/tier.h"

#define TOLERANCE 0.03

/* Upper bounds of nominal memory; whether the bound itself belongs to the tier decides on which side of it
   the tolerance lies. */
static const struct {
    double gib;
    bool included;
} bounds[MS_TIER_DATACENTER] = {{8, true}, {16, true}, {40, false}};

static const ms_tier_policy policies[MS_TIER_COUNT] = {
    [MS_TIER_COMPACT] =
        {
            .name = "compact",
            .precision = MS_F16,
            .face_processing_batch = 4,
            .vae_decode_batch = 1,
            .weight_offload = MS_OFFLOAD_ALLOWED,
            .attention_slices = 4,
            .vae_tiling = MS_TILING_ON,
            .device_graphs = false,
            .preallocated_outputs = false,
            .svd_rank_percent = 50,
            .gradient_checkpointing = true,
            .clean_up_frames = 8,
            .safety_margin_percent = 30,
        },
    [MS_TIER_STANDARD] =
        {
            .name = "standard",
            .precision = MS_F16,
            .face_processing_batch = 8,
            .vae_decode_batch = 3,
            .weight_offload = MS_OFFLOAD_UNDER_PRESSURE,
            .attention_slices = 0,
            .vae_tiling = MS_TILING_BY_NEED,
            .device_graphs = false,
            .preallocated_outputs = false,
            .svd_rank_percent = 70,
            .gradient_checkpointing = true,
            .clean_up_frames = 32,
            .safety_margin_percent = 25,
        },
    [MS_TIER_PROFESSIONAL] =
        {
            .name = "professional",
            .precision = MS_F16,
            .face_processing_batch = 16,
            .vae_decode_batch = 8,
            .weight_offload = MS_OFFLOAD_UNDER_PRESSURE,
            .attention_slices = 0,
            .vae_tiling = MS_TILING_BY_NEED_LARGE,
            .device_graphs = true,
            .preallocated_outputs = true,
            .svd_rank_percent = 90,
            .gradient_checkpointing = false,
            .clean_up_frames = 0,
            .safety_margin_percent = 15,
        },
    [MS_TIER_DATACENTER] =
        {
            .name = "datacenter",
            .precision = MS_BF16,
            .face_processing_batch = 32,
            .vae_decode_batch = 16,
            .weight_offload = MS_OFFLOAD_OFF,
            .attention_slices = 0,
            .vae_tiling = MS_TILING_OFF,
            .device_graphs = true,
            .preallocated_outputs = true,
            .svd_rank_percent = 0,
            .gradient_checkpointing = false,
            .clean_up_frames = 0,
            .safety_margin_percent = 10,
        },
};

ms_tier ms_tier_of(size_t nominal_bytes) {
    double gib = (double)nominal_bytes / 0x1p30;
    for (int t = 0; t < MS_TIER_DATACENTER; t++)
        if (bounds[t].included ? gib <= bounds[t].gib * (1 + TOLERANCE)
                               : gib < bounds[t].gib * (1 - TOLERANCE))
            return (ms_tier)t;
    return MS_TIER_DATACENTER;
}

const ms_tier_policy *ms_tier_get_policy(ms_tier tier) {
    return &policies[tier];
}

const char *ms_tier_name(ms_tier tier) {
    return policies[tier].name;
}

ms_dtype ms_tier_precision(ms_tier tier, bool device_has_bf16) {
    return policies[tier].precision == MS_BF16 && device_has_bf16 ? MS_BF16 : MS_F16;
}
