/* The options that choose a profile, for every command that has one. */
#ifndef MS_CLI_PROFILE_OPTIONS_H
#define MS_CLI_PROFILE_OPTIONS_H

#include "memsafe/run.h"
#include "options.h"
#include "planner/profile.h"

/* Read from the current folder when no other file is named. */
#define CLI_PROFILE_FILE "memsafe.yaml"

typedef struct cli_profile_options {
    const char *profile, *file;
    cli_list settings;
} cli_profile_options;

/* Lines for a command's table; `member` is its cli_profile_options. */
#define CLI_PROFILE_OPTIONS(state, member)                                                                   \
    {"profile", 0,                                                                                           \
     CLI_TEXT,  offsetof(state, member.profile),                                                             \
     "NAME",    "auto, compact, standard, professional or datacenter (default: by memory)",                  \
     0,         0},                                                                                          \
        {"profile-file",                                                                                     \
         0,                                                                                                  \
         CLI_TEXT,                                                                                           \
         offsetof(state, member.file),                                                                       \
         "FILE",                                                                                             \
         "YAML or JSON with fields of the profile (default: ./" CLI_PROFILE_FILE " if it is there)",         \
         0,                                                                                                  \
         0},                                                                                                 \
    {                                                                                                        \
        "set", 0, CLI_LIST, offsetof(state, member.settings), "FIELD=VALUE",                                 \
            "one field of the profile; may be given several times;\n`memsafe probe --fields` lists them", 0, \
            0                                                                                                \
    }

/* The same for ms_run() and ms_plan_run(); borrows from options. */
ms_profile_source cli_profile_source(const cli_profile_options *options);

/* The effective profile for a device of that nominal size. budget_bytes: of the command's own --budget; 0 = none. */
ms_status cli_profile_load(const cli_profile_options *options, size_t device_bytes, size_t budget_bytes,
                           ms_profile *ret_profile, ms_error *err);

#endif
