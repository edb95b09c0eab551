#include "system/cgroup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "system/proc_file.h"

typedef struct mount_point {
    char root[PATH_MAX];  /* the group that is at the mount point */
    char point[PATH_MAX]; /* folder */
} mount_point;

static bool copy(char *dst, const char *text, size_t length) {
    if (length >= PATH_MAX)
        return false;
    memcpy(dst, text, length);
    dst[length] = 0;
    return true;
}

/* The n-th word of a line, counted from 0. */
static const char *word(const char *line, int n, size_t *ret_length) {
    for (; n > 0; n--) {
        line += strcspn(line, " ");
        line += *line == ' ';
    }
    *ret_length = strcspn(line, " \n");
    return line;
}

/* proc(5): "31 23 0:28 ROOT POINT options... - cgroup2 source options". A folder name with a space (written
   \040) is not a place where anybody mounts it. */
static bool find_mount(const char *proc, mount_point *ret_mount) {
    char line[3 * PATH_MAX];
    bool found = false;
    FILE *f = ms_proc_open(proc, "self/mountinfo");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f)) {
        const char *type = strstr(line, " - ");
        if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
            continue;
        size_t root_length, point_length;
        const char *root = word(line, 3, &root_length), *point = word(line, 4, &point_length);
        found = copy(ret_mount->root, root, root_length) && copy(ret_mount->point, point, point_length);
    }
    fclose(f);
    return found;
}

/* The v2 line of /proc/self/cgroup is "0::/path". */
static bool find_group(const char *proc, char *ret_group) {
    char line[PATH_MAX + 8];
    bool found = false;
    FILE *f = ms_proc_open(proc, "self/cgroup");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = 0;
        found = strncmp(line, "0::/", 4) == 0 && copy(ret_group, line + 3, strlen(line + 3));
    }
    fclose(f);
    return found;
}

/* The group's path seen from the mount point: a container may see a part of the hierarchy only. */
static const char *below_root(const char *group, const char *root) {
    size_t length = strlen(root);
    if (strcmp(root, "/") != 0 && strncmp(group, root, length) == 0 &&
        (group[length] == '/' || group[length] == 0))
        group += length;
    return strcmp(group, "/") == 0 ? "" : group;
}

static size_t limit(const char *dir, const char *name) {
    uint64_t value;
    return ms_proc_number(dir, name, &value) ? (size_t)value : SIZE_MAX;
}

static uint64_t event(const char *dir, const char *key) {
    uint64_t value;
    return ms_proc_table_number(dir, "memory.events", key, &value) ? value : 0;
}

static void read_level(const char *dir, ms_cgroup_level *l) {
    uint64_t value;
    l->max_bytes = limit(dir, "memory.max");
    l->high_bytes = limit(dir, "memory.high");
    l->current_bytes = ms_proc_number(dir, "memory.current", &value) ? (size_t)value : 0;
    l->reclaimable_bytes =
        ms_proc_table_number(dir, "memory.stat", "inactive_file", &value) ? (size_t)value : 0;
    l->events = (ms_cgroup_events){.high = event(dir, "high"),
                                   .max = event(dir, "max"),
                                   .oom = event(dir, "oom"),
                                   .oom_kill = event(dir, "oom_kill")};
    size_t least = l->max_bytes < l->high_bytes ? l->max_bytes : l->high_bytes;
    size_t used = l->current_bytes > l->reclaimable_bytes ? l->current_bytes - l->reclaimable_bytes : 0;
    l->left_bytes = least == SIZE_MAX ? SIZE_MAX : least > used ? least - used : 0;
}

static void read_levels(ms_cgroup *c, size_t mount_chars) {
    char dir[PATH_MAX];
    strcpy(dir, c->dir);
    for (size_t length = strlen(dir); c->levels < MS_CGROUP_LEVELS; c->levels++) {
        ms_cgroup_level *l = &c->level[c->levels];
        dir[length] = 0;
        l->dir_chars = length;
        read_level(dir, l);
        if (l->left_bytes < ms_cgroup_left_bytes(c))
            c->binding = c->levels;
        if (length <= mount_chars) {
            c->levels++;
            break;
        }
        do
            length--;
        while (length > mount_chars && dir[length] != '/');
    }
}

void ms_cgroup_read(const ms_host_paths *paths, ms_cgroup *ret_cgroup) {
    const char *proc = paths && paths->proc ? paths->proc : "/proc";
    char group[PATH_MAX];
    mount_point mount = {.root = "/"};
    ms_cgroup *c = ret_cgroup;
    memset(c, 0, sizeof(*c));
    c->binding = -1;
    bool mounted = paths && paths->cgroup ? copy(mount.point, paths->cgroup, strlen(paths->cgroup))
                                          : find_mount(proc, &mount);
    if (!mounted || !find_group(proc, group))
        return;
    int n = snprintf(c->dir, sizeof(c->dir), "%s%s", mount.point, below_root(group, mount.root));
    if (n < 0 || (size_t)n >= sizeof(c->dir)) {
        c->dir[0] = 0;
        return;
    }
    read_levels(c, strlen(mount.point));
}

size_t ms_cgroup_left_bytes(const ms_cgroup *c) {
    return c->binding < 0 ? SIZE_MAX : c->level[c->binding].left_bytes;
}

size_t ms_cgroup_limit_bytes(const ms_cgroup *c) {
    size_t least = SIZE_MAX;
    for (int i = 0; i < c->levels; i++) {
        least = c->level[i].max_bytes < least ? c->level[i].max_bytes : least;
        least = c->level[i].high_bytes < least ? c->level[i].high_bytes : least;
    }
    return least;
}
