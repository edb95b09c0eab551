/* What a worker gives up before it opens what somebody uploaded. */
#ifndef SERVE_SANDBOX_H
#define SERVE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/status.h"

/* Of a thread, at most. */
#define SANDBOX_STACK_BYTES ((size_t)8 << 20)

typedef struct sandbox_limits {
    size_t cpu_s, address_bytes, file_bytes; /* 0 = as they are */
    /* What NVIDIA's driver opens no card without: a local socket that it listens at, where nobody who comes
       is let in, and names of its threads, which a process may write only where others of its user may look
       into it. Whom Landlock holds may not even so. */
    bool driver;
} sandbox_limits;

/*
 * For good: no new privileges, no core file, the limits, stacks that are no larger, and a filter of system
 * calls by which no program is run, no process is begun, changed or looked into, no socket is opened (but the
 * driver's, which leads nowhere), no file system is mounted, nobody else is signalled, no terminal is typed
 * into. Threads stay, and files, of which sandbox_files() is. Before the process has threads. MS_UNSUPPORTED:
 * the kernel has no such filter.
 */
ms_status sandbox_enter(const sandbox_limits *limits, ms_error *err);

/* Memory that is the process's own (heap, stacks; not files that are mapped to be read), for good. */
ms_status sandbox_data(size_t bytes, ms_error *err);

typedef struct sandbox_paths {
    const char *const *read; /* folders and files; one that is not there is left out */
    int n_read;
    const char *const *write; /* folders in which files are made, changed and removed */
    int n_write;
    const char *const *models; /* folders, and what links within them lead to */
    int n_models;
    bool driver; /* cards, and what this process's threads have in /proc: to read and write */
} sandbox_paths;

/*
 * Files, for good (Landlock): those paths, and what programs of this system read: libraries, this program's
 * folder and its plug-ins, /proc and /sys. After sandbox_enter(), before threads.
 * False: this kernel cannot (before 5.19, or turned off), and files stay as far as the user may open them.
 */
bool sandbox_files(const sandbox_paths *paths);

#endif
