/* --device, the same in every command that has it, and the one way in which commands open what it names. */
#ifndef MS_CLI_DEVICE_OPTION_H
#define MS_CLI_DEVICE_OPTION_H

#include "device/compute.h"
#include "options.h"

/* type: of the command's state; field: a const char *. */
#define CLI_DEVICE_OPTION(type, field)                                                                       \
    {                                                                                                        \
        "device", 0, CLI_TEXT, offsetof(type, field), "auto|cpu|NAME[:N]",                                   \
            "where the networks run; NAME: a back end, which may be a plug-in; N: which of its devices", 0,  \
            0                                                                                                \
    }

typedef enum cli_device_use {
    CLI_DEVICE_WORKS, /* one that computes nothing is refused */
    CLI_DEVICE_PLANS, /* sizes alone are asked for: memory_bytes, where it is not here */
} cli_device_use;

/* device: NULL = auto. memory_bytes: of one that is not here. */
ms_status cli_open_device(const char *device, int threads, cli_device_use use, size_t memory_bytes,
                          ms_compute *ret_compute, ms_error *err);

#endif
