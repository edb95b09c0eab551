/* Landlock by its system calls: there is no library to need, and headers of older systems lack what newer
   kernels have. */
#include "worker/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memsafe/probe.h"

#define CREATE_RULESET 444
#define ADD_RULE 445
#define RESTRICT_SELF 446
#define ASK_VERSION 1U
#define PATH_BENEATH 1
#define LEAST_VERSION 2 /* before it, no file could be renamed from one folder into another */
#define LINK_DEPTH 4

/* linux/landlock.h */
#define EXECUTE (1ULL << 0)
#define WRITE_FILE (1ULL << 1)
#define READ_FILE (1ULL << 2)
#define READ_DIR (1ULL << 3)
#define ALL_OF_1 ((1ULL << 13) - 1)
#define REFER (1ULL << 13)
#define TRUNCATE (1ULL << 14)
#define OF_FILES (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE)

#define READING (READ_FILE | READ_DIR)
#define CHANGING (ALL_OF_1 & ~EXECUTE & ~(1ULL << 6 | 1ULL << 9 | 1ULL << 10 | 1ULL << 11 | 1ULL << 12))
/* without devices, sockets, pipes, block devices, links */

typedef struct rules {
    int fd;
    uint64_t handled;
} rules;

static const char *const system_paths[] = {
    "/usr",  "/lib", "/lib32",           "/lib64",        "/opt", "/nix", "/gnu", "/run/opengl-driver",
    "/proc", "/sys", "/etc/ld.so.cache", "/etc/localtime"};

static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

static void allow(const rules *r, const char *path, uint64_t rights) {
    struct stat s;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &s) == 0) {
        rights &= r->handled & (S_ISDIR(s.st_mode) ? ~0ULL : OF_FILES);
        /* landlock_path_beneath_attr, which is packed */
        struct __attribute__((packed)) {
            uint64_t allowed;
            int32_t parent;
        } rule = {rights, fd};
        syscall(ADD_RULE, r->fd, PATH_BENEATH, &rule, 0);
    }
    close(fd);
}

static void allow_entries(const rules *r, const char *folder, const char *begin, uint64_t rights) {
    char path[PATH_MAX];
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, begin, strlen(begin)) == 0 &&
            snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) < (int)sizeof(path))
            allow(r, path, rights);
    closedir(dir);
}

/* Weights may be links into a store of files that has no names: Hugging Face's is such a one. */
static void allow_model(const rules *r, const char *folder, int depth) {
    char path[PATH_MAX], real[PATH_MAX];
    struct stat s;
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) >= (int)sizeof(path) ||
            lstat(path, &s) != 0)
            continue;
        if (S_ISLNK(s.st_mode) && realpath(path, real))
            allow(r, real, READING);
        else if (S_ISDIR(s.st_mode) && depth < LINK_DEPTH)
            allow_model(r, path, depth + 1);
    }
    closedir(dir);
}

/* dxg is Windows' subsystem's. From 570 on the driver names its threads by /proc, and opens no card where it
   may not. The rule is of an inode, of which /proc makes another where nobody holds this one. */
static void allow_driver(const rules *r) {
    static int held = -1;
    allow_entries(r, "/dev", "nvidia", READING | WRITE_FILE);
    allow_entries(r, "/dev", "dxg", READING | WRITE_FILE);
    if (held < 0)
        held = open("/proc/self/task", O_PATH | O_CLOEXEC | O_DIRECTORY);
    allow(r, "/proc/self/task", READING | WRITE_FILE);
}

static void allow_own(const rules *r) {
    char folder[PATH_MAX], path[PATH_MAX];
    for (int i = 0; ms_plugin_folder(i, folder, sizeof(folder)); i++)
        allow(r, folder, READING);
    if (realpath("/proc/self/exe", path))
        allow(r, path, READING);
    /* Where the loader was told to look. */
    const char *list = getenv("LD_LIBRARY_PATH");
    for (const char *at = list; at && *at;) {
        size_t n = strcspn(at, ":;");
        if (n > 0 && n < sizeof(path) && at[0] == '/') {
            snprintf(path, sizeof(path), "%.*s", (int)n, at);
            allow(r, path, READING);
        }
        at += n + (at[n] != 0);
    }
}

bool sandbox_files(const sandbox_paths *p) {
    long version = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
    rules r = {.handled = ALL_OF_1 | REFER | (version >= 3 ? TRUNCATE : 0)};
    if (version < LEAST_VERSION)
        return false;
    r.fd = (int)syscall(CREATE_RULESET, &r.handled, sizeof(r.handled), 0);
    if (r.fd < 0)
        return false;
    for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
        allow(&r, system_paths[i], READING);
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        allow(&r, devices[i], READ_FILE | WRITE_FILE);
    if (p->driver)
        allow_driver(&r);
    allow_own(&r);
    for (int i = 0; i < p->n_read; i++)
        allow(&r, p->read[i], READING);
    for (int i = 0; i < p->n_models; i++) {
        allow(&r, p->models[i], READING);
        allow_model(&r, p->models[i], 0);
    }
    for (int i = 0; i < p->n_write; i++)
        allow(&r, p->write[i], CHANGING | REFER | TRUNCATE);
    bool done = syscall(RESTRICT_SELF, r.fd, 0) == 0;
    close(r.fd);
    return done;
}
