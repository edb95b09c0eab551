#include "options/profile_options.h"

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
