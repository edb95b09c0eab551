/*
 * The four tiers: policy by a device's nominal memory. The bytes of a run come from the planner; a tier says
 * what it may choose among. The table is data (tier.c); tests quote it.
 */
#ifndef MS_MEMORY_TIER_H
#define MS_MEMORY_TIER_H

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

/* By nominal bytes: up to 8 GiB, to 16 GiB, below 40 GiB, 40 GiB and more. */
ms_tier ms_tier_of(size_t nominal_bytes);
const char *ms_tier_name(ms_tier tier);

/* What --precision auto means: float16, except bfloat16 in a data centre when the device computes in it. */
ms_dtype ms_tier_precision(ms_tier tier, bool device_has_bf16);

/* Part of the free memory that a run leaves alone when it is given no budget. */
double ms_tier_margin(ms_tier tier);

#endif
