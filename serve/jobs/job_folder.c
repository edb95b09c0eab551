#include "jobs/job_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define MOST_DEPTH 4

ms_status job_folder_make(int jobs, const char *id, ms_error *err) {
    if (mkdirat(jobs, id, 0700) != 0)
        return ms_fail(err, MS_IO, "the job's folder cannot be made: %s", strerror(errno));
    return MS_OK;
}

/* What the files of a folder take of the disk; `remove`: and they go. */
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
            sum += (uint64_t)s.st_blocks * 512;
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

uint64_t job_folder_bytes(int jobs, const char *id) {
    return walk(jobs, id, false, 0);
}

int job_folder_open(int jobs, const char *id, const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", id, name);
    return openat(jobs, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

void job_folder_sweep(int jobs, bool (*known)(void *arg, const char *id), void *arg) {
    int fd = openat(jobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.' && !known(arg, e->d_name))
            job_folder_remove(jobs, e->d_name);
    closedir(dir);
}
