#include "profile_options.h"

ms_profile_source cli_profile_source(const cli_profile_options *o) {
    return (ms_profile_source){.tier = o->profile,
                               .file = o->file ? o->file : CLI_PROFILE_FILE,
                               .file_optional = !o->file,
                               .environment = true,
                               .settings = o->settings.items,
                               .n_settings = o->settings.count,
                               .tier_called = "--profile",
                               .settings_called = "--set"};
}

ms_status cli_profile_load(const cli_profile_options *o, size_t device_bytes, size_t budget_bytes,
                           ms_profile *ret_profile, ms_error *err) {
    ms_profile_params params = {.device_bytes = device_bytes,
                                .tier = o->profile,
                                .file = o->file ? o->file : CLI_PROFILE_FILE,
                                .file_optional = !o->file,
                                .environment = true,
                                .settings = o->settings.items,
                                .n_settings = o->settings.count,
                                .tier_called = "--profile",
                                .settings_called = "--set",
                                .budget_bytes = budget_bytes};
    return ms_profile_load(&params, ret_profile, err);
}
