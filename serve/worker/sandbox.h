/* What a worker gives up before it opens what somebody uploaded. */
#ifndef SERVE_SANDBOX_H
#define SERVE_SANDBOX_H

#include <stddef.h>

#include "memsafe/status.h"

typedef struct sandbox_limits {
    size_t cpu_s, address_bytes, file_bytes; /* 0 = as they are */
} sandbox_limits;

/*
 * For good: no new privileges, no core file, the limits, and a filter of system calls by which no program is
 * run, no process is begun or looked into, no socket is opened, no file system is mounted, nobody else is
 * signalled. Threads stay, and files as far as the user may open them. Before the process has threads.
 * MS_UNSUPPORTED: the kernel has no such filter.
 */
ms_status sandbox_enter(const sandbox_limits *limits, ms_error *err);

#endif
