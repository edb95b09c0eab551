/* The options that choose a profile, for every command that has one. */
#ifndef MS_CLI_PROFILE_OPTIONS_H
#define MS_CLI_PROFILE_OPTIONS_H

#include "memsafe/run.h"
#include "options/options.h"

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

/* For whatever of the library takes a profile; borrows from options. */
ms_profile_source cli_profile_source(const cli_profile_options *options);

#endif
