#include "jobs/job_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define MOST_DEPTH 4
#define GONE ".gone-"

ms_status job_folder_make(int jobs, const char *id, ms_error *err) {
    if (mkdirat(jobs, id, 0700) != 0)
        return ms_fail(err, MS_IO, "the job's folder cannot be made: %s", strerror(errno));
    return MS_OK;
}

/* What the files of a folder take of the disk, each job's share of a file that several have; `remove`: and
   they go. */
static uint64_t walk(int parent, const char *name, bool remove, int depth) {
    uint64_t sum = 0;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct stat s;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(fd, e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(s.st_mode) && depth < MOST_DEPTH)
            sum += walk(fd, e->d_name, remove, depth + 1);
        else if (S_ISREG(s.st_mode))
            sum += (uint64_t)s.st_blocks * 512 / (s.st_nlink ? s.st_nlink : 1);
        if (remove)
            unlinkat(fd, e->d_name, S_ISDIR(s.st_mode) ? AT_REMOVEDIR : 0);
    }
    closedir(dir);
    return sum;
}

void job_folder_remove(int jobs, const char *id) {
    walk(jobs, id, true, 0);
    unlinkat(jobs, id, AT_REMOVEDIR);
}

void job_folder_hide(int jobs, const char *id) {
    char name[NAME_MAX + sizeof(GONE)];
    snprintf(name, sizeof(name), GONE "%s", id);
    if (renameat(jobs, id, jobs, name) != 0 && errno != ENOENT)
        job_folder_remove(jobs, id);
}

bool job_folder_is_there(int jobs, const char *id) {
    struct stat s;
    return fstatat(jobs, id, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(s.st_mode);
}

ms_status job_folder_sync(int jobs, const char *id, ms_error *err) {
    int fd = openat(jobs, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0 && fsync(jobs) == 0;
    if (!done)
        ms_fail(err, MS_IO, "the job's folder cannot be kept: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return done ? MS_OK : MS_IO;
}

uint64_t job_folder_bytes(int jobs, const char *id) {
    return walk(jobs, id, false, 0);
}

int job_folder_open(int jobs, const char *id, const char *name, bool *ret_link) {
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", id, name);
    int fd = openat(jobs, path, flags | O_NOFOLLOW);
    *ret_link = fd < 0 && errno == ELOOP;
    return *ret_link ? openat(jobs, path, flags) : fd;
}

static void each(int jobs,
                 void (*act)(int jobs, const char *name, bool (*known)(void *, const char *), void *),
                 bool (*known)(void *arg, const char *id), void *arg) {
    int fd = openat(jobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        act(jobs, e->d_name, known, arg);
    closedir(dir);
}

static void hide_unknown(int jobs, const char *name, bool (*known)(void *arg, const char *id), void *arg) {
    if (name[0] != '.' && !known(arg, name))
        job_folder_hide(jobs, name);
}

void job_folder_sweep(int jobs, bool (*known)(void *arg, const char *id), void *arg) {
    each(jobs, hide_unknown, known, arg);
}

static void remove_hidden(int jobs, const char *name, bool (*known)(void *arg, const char *id), void *arg) {
    (void)known, (void)arg;
    if (strncmp(name, GONE, strlen(GONE)) == 0)
        job_folder_remove(jobs, name);
}

void job_folder_empty_trash(int jobs) {
    each(jobs, remove_hidden, NULL, NULL);
}
