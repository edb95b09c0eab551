#include "memory/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/pool.h"

/* Value of "Name:   123 kB" in a /proc file, in bytes; 0 when it is not there. */
static size_t read_kib(const char *path, const char *name) {
    FILE *f = fopen(path, "r");
    char line[256];
    size_t bytes = 0, length = strlen(name);
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            bytes = (size_t)strtoull(line + length + 1, NULL, 10) * 1024;
            break;
        }
    }
    fclose(f);
    return bytes;
}

static void read_cpu_name(char *name, size_t size) {
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    snprintf(name, size, "unknown");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            colon += strspn(colon, ": \t");
            colon[strcspn(colon, "\n")] = 0;
            snprintf(name, size, "%s", colon);
            break;
        }
    }
    fclose(f);
}

/* A cgroup file holds a number or "max". */
static size_t read_cgroup_number(const char *dir, const char *name) {
    char path[4480], text[64];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "r") : NULL;
    if (!f)
        return SIZE_MAX;
    size_t value = SIZE_MAX;
    if (fgets(text, sizeof(text), f) && text[0] >= '0' && text[0] <= '9')
        value = (size_t)strtoull(text, NULL, 10);
    fclose(f);
    return value;
}

/* The cgroup v2 path of this process, below the mount point; a limit of any ancestor binds too. */
static void read_cgroup(ms_host *host) {
    char line[4096], dir[4352] = "/sys/fs/cgroup";
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (f) {
        while (fgets(line, sizeof(line), f)) {
            line[strcspn(line, "\n")] = 0;
            if (strncmp(line, "0::/", 4) == 0)
                snprintf(dir, sizeof(dir), "/sys/fs/cgroup%s", line + 3);
        }
        fclose(f);
    }
    while (strlen(dir) >= strlen("/sys/fs/cgroup")) {
        size_t max = read_cgroup_number(dir, "memory.max");
        if (max < host->cgroup_max_bytes) {
            host->cgroup_max_bytes = max;
            size_t current = read_cgroup_number(dir, "memory.current");
            host->cgroup_current_bytes = current == SIZE_MAX ? 0 : current;
        }
        char *slash = strrchr(dir, '/');
        if (!slash)
            break;
        *slash = 0;
    }
}

static size_t read_rlimit(void) {
    size_t least = SIZE_MAX;
    static const int kinds[] = {RLIMIT_AS, RLIMIT_DATA};
    for (int i = 0; i < 2; i++) {
        struct rlimit r;
        if (getrlimit(kinds[i], &r) == 0 && r.rlim_cur != RLIM_INFINITY && (size_t)r.rlim_cur < least)
            least = (size_t)r.rlim_cur;
    }
    return least;
}

void ms_host_read(ms_host *ret_host) {
    ms_host h = {.cgroup_max_bytes = SIZE_MAX};
    h.total_bytes = read_kib("/proc/meminfo", "MemTotal");
    h.available_bytes = read_kib("/proc/meminfo", "MemAvailable");
    h.swap_free_bytes = read_kib("/proc/meminfo", "SwapFree");
    read_cgroup(&h);
    h.rlimit_bytes = read_rlimit();
    h.cpus = ms_cpu_count();
    read_cpu_name(h.cpu_name, sizeof(h.cpu_name));
    *ret_host = h;
}

size_t ms_host_free_bytes(const ms_host *host) {
    size_t bytes = host->available_bytes;
    if (host->cgroup_max_bytes != SIZE_MAX) {
        size_t used = host->cgroup_current_bytes;
        size_t left = host->cgroup_max_bytes > used ? host->cgroup_max_bytes - used : 0;
        bytes = left < bytes ? left : bytes;
    }
    return host->rlimit_bytes < bytes ? host->rlimit_bytes : bytes;
}

size_t ms_host_resident_bytes(void) {
    return read_kib("/proc/self/status", "VmRSS");
}

size_t ms_host_peak_resident_bytes(void) {
    return read_kib("/proc/self/status", "VmHWM");
}
