/*
 * The four tiers: policy by a device's nominal memory. The bytes of a run come from the planner; a tier says
 * what it may choose among, and a profile (profile.h) is a tier with what the user changed. The table is data
 * in tier.c and nowhere else; tests quote it.
 */
#ifndef MS_PLANNER_TIER_H
#define MS_PLANNER_TIER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/dtype.h"

typedef enum ms_tier {
    MS_TIER_COMPACT,
    MS_TIER_STANDARD,
    MS_TIER_PROFESSIONAL,
    MS_TIER_DATACENTER,
    MS_TIER_COUNT
} ms_tier;

/* Whether weights may live in host memory and be streamed to the device. */
typedef enum ms_weight_offload {
    MS_OFFLOAD_OFF,
    MS_OFFLOAD_UNDER_PRESSURE,
    MS_OFFLOAD_ALLOWED,
} ms_weight_offload;

typedef enum ms_vae_tiling {
    MS_TILING_OFF,
    MS_TILING_BY_NEED,       /* when a whole picture does not fit */
    MS_TILING_BY_NEED_LARGE, /* likewise, in as few tiles as fit */
    MS_TILING_ON,
} ms_vae_tiling;

typedef struct ms_tier_policy {
    const char *name;
    ms_dtype precision; /* MS_BF16: if the device computes in it, else MS_F16 */
    int face_processing_batch, vae_decode_batch;
    ms_weight_offload weight_offload;
    int attention_slices; /* parts that attention is cut into; 0 = off */
    ms_vae_tiling vae_tiling;
    bool device_graphs, preallocated_outputs;
    int svd_rank_percent;        /* of latents in the cache: the rank kept; 0 = they are not compressed */
    bool gradient_checkpointing; /* in training */
    int clean_up_frames;         /* caches are cleaned up every so many frames; 0 = under pressure only */
    int safety_margin_percent;   /* of the free memory that is left alone */
} ms_tier_policy;

/*
 * By nominal bytes: up to 8 GiB, up to 16 GiB, below 40 GiB, 40 GiB and more. What a device reports is its
 * nominal size only roughly: a "40 GB" A100 says 39.4 to 40 GiB (part is kept for ECC and the driver), and a
 * machine's MemTotal lacks what the kernel took at boot. So a boundary counts as met from 3 % below it to 3 %
 * above it: compact reaches to 8.24 GiB, standard to 16.48 GiB, and 38.8 GiB is a data centre's. No card of
 * another nominal size lies in these gaps.
 */
ms_tier ms_tier_of(size_t nominal_bytes);
const ms_tier_policy *ms_tier_get_policy(ms_tier tier);
const char *ms_tier_name(ms_tier tier);

/* What --precision auto means: float16, except bfloat16 in a data centre when the device computes in it. */
ms_dtype ms_tier_precision(ms_tier tier, bool device_has_bf16);

#endif
