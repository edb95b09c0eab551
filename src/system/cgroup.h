/*
 * Memory limits that control groups set (cgroup v2, the kernel's admin-guide/cgroup-v2.rst). A limit of any
 * group on the way to the root binds, and each counts what all its members use: what this process may still
 * take is the least that one of them leaves.
 */
#ifndef MS_SYSTEM_CGROUP_H
#define MS_SYSTEM_CGROUP_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* Where the kernel's files are; NULL = where they are on a running system. Tests put folders of their own. */
typedef struct ms_host_paths {
    const char *proc;   /* "/proc" */
    const char *cgroup; /* where the v2 hierarchy is mounted: as <proc>/self/mountinfo says */
} ms_host_paths;

#define MS_CGROUP_LEVELS 24

/* How often a group, its members included, ran into its limits: memory.events. */
typedef struct ms_cgroup_events {
    uint64_t high, max, oom, oom_kill;
} ms_cgroup_events;

typedef struct ms_cgroup_level {
    size_t dir_chars;     /* its folder is the first so many characters of ms_cgroup.dir */
    size_t current_bytes; /* memory.current, page cache included; 0 = unknown */
    /* of these, page cache that the kernel drops before it refuses (inactive_file) */
    size_t reclaimable_bytes;
    size_t max_bytes, high_bytes; /* SIZE_MAX = no limit */
    size_t left_bytes;            /* the lesser limit less what is used and not reclaimable; SIZE_MAX = all */
    ms_cgroup_events events;
} ms_cgroup_level;

typedef struct ms_cgroup {
    char dir[PATH_MAX];                      /* this process's group; empty when there is no v2 hierarchy */
    ms_cgroup_level level[MS_CGROUP_LEVELS]; /* from the process's own group up to the mount point */
    int levels;
    int binding; /* the level that leaves least; -1 = none has a limit */
} ms_cgroup;

/* paths NULL = the running system's. Never fails: what cannot be read has no limit. */
void ms_cgroup_read(const ms_host_paths *paths, ms_cgroup *ret_cgroup);

/* What the limits leave; SIZE_MAX without any. */
size_t ms_cgroup_left_bytes(const ms_cgroup *cgroup);

/* The least memory.max or memory.high of all levels; SIZE_MAX without any. */
size_t ms_cgroup_limit_bytes(const ms_cgroup *cgroup);

#endif
