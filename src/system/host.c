#include "system/host.h"

#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "system/proc_file.h"

/* Value of "Name:   123 kB" in bytes; 0 when it is not there. */
static size_t read_kib(const char *proc, const char *file, const char *name) {
    uint64_t kib;
    return ms_proc_table_number(proc, file, name, &kib) ? (size_t)kib * 1024 : 0;
}

static void read_cpu_name(const char *proc, char *name, size_t size) {
    FILE *f = ms_proc_open(proc, "cpuinfo");
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

/* "Max data size   SOFT   HARD   bytes"; the soft limit is a number or "unlimited". */
static size_t read_limit(const char *proc, const char *name) {
    uint64_t bytes;
    return ms_proc_table_number(proc, "self/limits", name, &bytes) ? (size_t)bytes : SIZE_MAX;
}

void ms_host_read(ms_host *ret_host) {
    ms_host_read_from(NULL, ret_host);
}

void ms_host_read_from(const ms_host_paths *paths, ms_host *ret_host) {
    const char *proc = paths && paths->proc ? paths->proc : "/proc";
    ms_host *h = ret_host;
    h->total_bytes = read_kib(proc, "meminfo", "MemTotal");
    h->available_bytes = read_kib(proc, "meminfo", "MemAvailable");
    h->swap_free_bytes = read_kib(proc, "meminfo", "SwapFree");
    ms_cgroup_read(paths, &h->cgroup);
    h->address_limit_bytes = read_limit(proc, "Max address space");
    h->data_limit_bytes = read_limit(proc, "Max data size");
    h->locked_limit_bytes = read_limit(proc, "Max locked memory");
    h->address_bytes = read_kib(proc, "self/status", "VmSize");
    h->data_bytes = read_kib(proc, "self/status", "VmData");
    h->cpus = ms_cpu_count();
    read_cpu_name(proc, h->cpu_name, sizeof(h->cpu_name));
}

static size_t lesser(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t left(size_t limit, size_t used) {
    return limit == SIZE_MAX ? SIZE_MAX : limit > used ? limit - used : 0;
}

size_t ms_host_free_bytes(const ms_host *h) {
    size_t process =
        lesser(left(h->address_limit_bytes, h->address_bytes), left(h->data_limit_bytes, h->data_bytes));
    return lesser(lesser(h->available_bytes, ms_cgroup_left_bytes(&h->cgroup)), process);
}

size_t ms_host_nominal_bytes(const ms_host *h) {
    size_t process = lesser(h->address_limit_bytes, h->data_limit_bytes);
    return lesser(lesser(h->total_bytes, ms_cgroup_limit_bytes(&h->cgroup)), process);
}

size_t ms_host_resident_bytes(void) {
    return read_kib("/proc", "self/status", "VmRSS");
}

size_t ms_host_peak_resident_bytes(void) {
    return read_kib("/proc", "self/status", "VmHWM");
}
