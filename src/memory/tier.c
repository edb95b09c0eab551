#include "memory/tier.h"

static const struct {
    const char *name;
    double below_gib; /* nominal memory, excluded; the last has none */
    bool below_included;
    bool prefers_bf16;
    double margin;
} tiers[MS_TIER_COUNT] = {
    {"compact", 8, true, false, 0.30},
    {"standard", 16, true, false, 0.25},
    {"professional", 40, false, false, 0.15},
    {"datacenter", 0, false, true, 0.10},
};

ms_tier ms_tier_of(size_t nominal_bytes) {
    double gib = (double)nominal_bytes / 0x1p30;
    for (int t = 0; t < MS_TIER_COUNT - 1; t++)
        if (gib < tiers[t].below_gib || (tiers[t].below_included && gib == tiers[t].below_gib))
            return (ms_tier)t;
    return MS_TIER_DATACENTER;
}

const char *ms_tier_name(ms_tier tier) {
    return tiers[tier].name;
}

ms_dtype ms_tier_precision(ms_tier tier, bool device_has_bf16) {
    return tiers[tier].prefers_bf16 && device_has_bf16 ? MS_BF16 : MS_F16;
}

double ms_tier_margin(ms_tier tier) {
    return tiers[tier].margin;
}
