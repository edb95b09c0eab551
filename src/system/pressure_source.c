#include "system/pressure_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

/* The longest file read as a whole is memory.stat, about 2 KB. */
#define MAX_FILE_BYTES 8192

/* dir/name as text; false when it cannot be read. Without stdio, whose buffers are allocated. */
static bool read_text(const char *dir, const char *name, char ret_text[MAX_FILE_BYTES]) {
    char path[MS_PRESSURE_MAX_PATH + 32];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = n > 0 && (size_t)n < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    size_t length = 0;
    for (;;) {
        ssize_t got = read(fd, ret_text + length, MAX_FILE_BYTES - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            length = 0; /* PSI that is switched off opens, and answers EOPNOTSUPP */
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    close(fd);
    ret_text[length] = 0;
    return length > 0;
}

/* A number of digits at text; unknown when there is none or it does not fit. */
static int64_t number_at(const char *text) {
    text += strspn(text, " \t");
    if (*text < '0' || *text > '9')
        return MS_PRESSURE_UNKNOWN;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    return errno ? MS_PRESSURE_UNKNOWN : value;
}

/* The rest of the line that begins with the word and its separator; NULL when there is none. */
static const char *line_of(const char *text, const char *word) {
    size_t length = strlen(word);
    while (text) {
        if (strncmp(text, word, length) == 0)
            return text + length;
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    return NULL;
}

static int64_t number_of(const char *text, const char *word) {
    const char *rest = line_of(text, word);
    return rest ? number_at(rest) : MS_PRESSURE_UNKNOWN;
}

/* ---- the host ---- */

static int64_t kib_of(const char *text, const char *word) {
    int64_t kib = number_of(text, word);
    return kib < 0 || kib > INT64_MAX / 1024 ? MS_PRESSURE_UNKNOWN : kib * 1024;
}

static void read_host(const char *proc, ms_pressure_sample *s) {
    char text[MAX_FILE_BYTES];
    if (!read_text(proc, "meminfo", text))
        return;
    s->host_total = kib_of(text, "MemTotal:");
    s->host_available = kib_of(text, "MemAvailable:");
    s->swap_total = kib_of(text, "SwapTotal:");
    int64_t swap_free = kib_of(text, "SwapFree:");
    if (swap_free >= 0 && s->swap_total >= swap_free)
        s->swap_used = s->swap_total - swap_free;
}

/* ---- stalls ---- */

/* "some avg10=1.53 avg60=0.87 avg300=0.23 total=129374": percent of the last ten seconds, microseconds. The
   number is read by hand because strtod follows the process's locale. */
static bool read_psi_line(const char *text, const char *word, double *ret_avg10, int64_t *ret_total_us) {
    const char *line = line_of(text, word);
    if (!line || strncmp(line, "avg10=", 6) != 0)
        return false;
    int64_t whole = number_at(line + 6);
    const char *dot = line + 6 + strspn(line + 6, "0123456789"), *total = strstr(line, "total=");
    if (whole < 0 || *dot != '.' || !total)
        return false;
    size_t digits = strspn(dot + 1, "0123456789");
    double part = digits ? (double)number_at(dot + 1) : 0;
    for (size_t i = 0; i < digits; i++)
        part /= 10;
    *ret_avg10 = (double)whole + part;
    *ret_total_us = number_at(total + 6);
    return true;
}

static bool read_psi(const char *dir, const char *name, ms_pressure_sample *s) {
    char text[MAX_FILE_BYTES];
    if (!read_text(dir, name, text) || !read_psi_line(text, "some ", &s->psi_some, &s->psi_some_us))
        return false;
    read_psi_line(text, "full ", &s->psi_full, &s->psi_full_us);
    return true;
}

/* ---- cgroup v2 ---- */

/* The folder of this process's own cgroup. It is looked up each time: a process may be moved. */
static bool own_cgroup(const ms_pressure_source *source, char ret_dir[MS_PRESSURE_MAX_PATH]) {
    char text[MAX_FILE_BYTES];
    if (!source->cgroup[0] || !read_text(source->proc, "self/cgroup", text))
        return false;
    const char *path = line_of(text, "0::");
    if (!path || *path != '/')
        return false;
    size_t length = strcspn(path, "\n"), root = strlen(source->cgroup_root);
    /* Where a part of the hierarchy is mounted, as in a container that sees the host's names. */
    if (length >= root && strncmp(path, source->cgroup_root, root) == 0 &&
        (path[root] == '/' || length == root)) {
        path += root;
        length -= root;
    }
    while (length > 0 && path[length - 1] == '/')
        length--;
    int n = snprintf(ret_dir, MS_PRESSURE_MAX_PATH, "%s%.*s", source->cgroup, (int)length, path);
    return n > 0 && n < MS_PRESSURE_MAX_PATH;
}

static int64_t read_limit(const char *dir, const char *name) {
    char text[MAX_FILE_BYTES];
    if (!read_text(dir, name, text))
        return MS_PRESSURE_UNKNOWN;
    return strncmp(text, "max", 3) == 0 ? MS_PRESSURE_NO_LIMIT : number_at(text);
}

static void read_group(const char *dir, int depth, ms_pressure_sample *s) {
    char text[MAX_FILE_BYTES];
    s->cgroup_depth = depth;
    s->cgroup_max = read_limit(dir, "memory.max");
    s->cgroup_high = read_limit(dir, "memory.high");
    s->cgroup_current = read_limit(dir, "memory.current");
    if (read_text(dir, "memory.stat", text))
        s->cgroup_cache = number_of(text, "inactive_file ");
    if (!read_text(dir, "memory.events", text))
        return;
    s->events_high = number_of(text, "high ");
    s->events_max = number_of(text, "max ");
    int64_t oom = number_of(text, "oom "), kills = number_of(text, "oom_kill ");
    s->events_oom = kills > oom ? kills : oom;
}

static double share_left(const ms_pressure_sample *s) {
    int64_t limit = ms_pressure_cgroup_limit(s), left = ms_pressure_cgroup_free(s);
    return left < 0 ? 2 : limit > 0 ? (double)left / (double)limit : 0; /* 2: no limit, more than any */
}

/* A limit of any group on the way to the root binds; the one with the least share left is told, of equals the
   nearest. */
static void read_cgroup(const ms_pressure_source *source, ms_pressure_sample *s) {
    char dir[MS_PRESSURE_MAX_PATH];
    if (!own_cgroup(source, dir))
        return;
    read_psi(dir, "memory.pressure", s);
    read_group(dir, 0, s);
    for (int depth = 1; strlen(dir) > strlen(source->cgroup); depth++) {
        *strrchr(dir, '/') = 0;
        ms_pressure_sample other = *s;
        read_group(dir, depth, &other);
        if (share_left(&other) < share_left(s))
            *s = other;
    }
    if (s->cgroup_current < 0) /* the root has no such files; nor has a group without the memory controller */
        s->cgroup_depth = MS_PRESSURE_UNKNOWN;
}

/* ---- source ---- */

/* A field of mountinfo, whose spaces and the like are written as three octal digits. */
static bool unescape(const char *field, size_t length, char ret_path[MS_PRESSURE_MAX_PATH]) {
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (n + 1 == MS_PRESSURE_MAX_PATH)
            return false;
        if (field[i] == '\\' && length - i > 3 && strspn(field + i + 1, "01234567") >= 3) {
            ret_path[n++] =
                (char)((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
            i += 3;
        } else {
            ret_path[n++] = field[i];
        }
    }
    ret_path[n] = 0;
    return true;
}

/* "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw": root and
   mount point are the fourth and fifth field, the type is the first after the dash. */
static bool parse_mount(const char *line, ms_pressure_source *source) {
    const char *dash = strstr(line, " - ");
    if (!dash || strncmp(dash, " - cgroup2 ", 11) != 0)
        return false;
    const char *fields[2];
    size_t lengths[2];
    for (int i = 0; i < 5; i++) {
        size_t length = strcspn(line, " ");
        if (i >= 3) {
            fields[i - 3] = line;
            lengths[i - 3] = length;
        }
        line += length;
        line += strspn(line, " ");
    }
    if (!unescape(fields[0], lengths[0], source->cgroup_root) ||
        !unescape(fields[1], lengths[1], source->cgroup)) {
        source->cgroup[0] = 0;
        return false;
    }
    if (strcmp(source->cgroup_root, "/") == 0)
        source->cgroup_root[0] = 0;
    return true;
}

static void find_cgroup(ms_pressure_source *source) {
    char path[MS_PRESSURE_MAX_PATH + 32], line[4096]; /* a longer line is no cgroup's */
    snprintf(path, sizeof(path), "%s/self/mountinfo", source->proc);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f) && !parse_mount(line, source)) {
    }
    fclose(f);
}

ms_status ms_pressure_source_init(const ms_pressure_roots *roots, const ms_device *device,
                                  ms_pressure_source *ret_source, ms_error *err) {
    const char *proc = roots && roots->proc ? roots->proc : "/proc";
    const char *cgroup = roots && roots->cgroup ? roots->cgroup : "";
    if (strlen(proc) >= MS_PRESSURE_MAX_PATH || strlen(cgroup) >= MS_PRESSURE_MAX_PATH)
        return ms_fail(err, MS_INVALID_ARGUMENT, "pressure: a root of more than %d bytes",
                       MS_PRESSURE_MAX_PATH - 1);
    ms_pressure_source source = {.device = device};
    snprintf(source.proc, sizeof(source.proc), "%s", proc);
    snprintf(source.cgroup, sizeof(source.cgroup), "%s", cgroup);
    if (device && device->caps.host_memory)
        source.device = NULL;
    if (!source.cgroup[0])
        find_cgroup(&source);
    *ret_source = source;
    return MS_OK;
}

void ms_pressure_sample_read(const ms_pressure_source *source, ms_pressure_sample *ret_sample) {
    ms_pressure_sample s;
    ms_pressure_sample_init(&s);
    s.time_s = ms_now_s();
    read_host(source->proc, &s);
    read_cgroup(source, &s);
    if (s.psi_some < 0)
        read_psi(source->proc, "pressure/memory", &s);
    if (source->device) {
        size_t free_bytes, total_bytes;
        source->device->backend->memory(source->device, &free_bytes, &total_bytes);
        s.device_free = free_bytes < INT64_MAX ? (int64_t)free_bytes : INT64_MAX;
        s.device_total = total_bytes < INT64_MAX ? (int64_t)total_bytes : INT64_MAX;
    }
    *ret_sample = s;
}
