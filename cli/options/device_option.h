/* --device, the same in every command that has it. */
#ifndef MS_CLI_DEVICE_OPTION_H
#define MS_CLI_DEVICE_OPTION_H

#include "options/options.h"

/* type: of the command's state; field: a const char *. */
#define CLI_DEVICE_OPTION(type, field)                                                                       \
    {                                                                                                        \
        "device", 0, CLI_TEXT, offsetof(type, field), "auto|cpu|NAME[:N]",                                   \
            "where the networks run; NAME: a back end, which may be a plug-in; N: which of its devices", 0,  \
            0                                                                                                \
    }

#endif
