#include "pipeline/job_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

ms_status ms_job_folder_find(ms_job_folder *f, const char *output, bool *ret_there, ms_error *err) {
    f->fd = -1;
    f->created = false;
    int n = snprintf(f->path, sizeof(f->path), "%s.memsafe", output);
    if (n < 0 || (size_t)n >= sizeof(f->path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the output's name is too long");
    struct stat st;
    *ret_there = stat(f->path, &st) == 0;
    if (*ret_there && !S_ISDIR(st.st_mode))
        return ms_fail(err, MS_IO, "%s is in the way: it is not a folder", f->path);
    return MS_OK;
}

ms_status ms_job_folder_open(ms_job_folder *f, ms_error *err) {
    f->created = mkdir(f->path, 0777) == 0;
    if (!f->created && errno != EEXIST)
        return ms_fail(err, MS_IO, "cannot make the folder %s: %s", f->path, strerror(errno));
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0)
        return ms_fail(err, MS_IO, "cannot open the folder %s: %s", f->path, strerror(errno));
    if (flock(f->fd, LOCK_EX | LOCK_NB) == 0)
        return MS_OK;
    int why = errno;
    ms_job_folder_close(f);
    if (why == EWOULDBLOCK)
        return ms_fail(err, MS_IO, "%s: another run is at work on this output", f->path);
    return ms_fail(err, MS_IO, "cannot lock the folder %s: %s", f->path, strerror(why));
}

void ms_job_folder_file(const ms_job_folder *f, const char *name, char ret_path[MS_JOB_PATH_BYTES]) {
    snprintf(ret_path, MS_JOB_PATH_BYTES, "%s/%s", f->path, name);
}

void ms_job_folder_segment(const ms_job_folder *f, int64_t number, char ret_path[MS_JOB_PATH_BYTES]) {
    snprintf(ret_path, MS_JOB_PATH_BYTES, "%s/segment-%06lld", f->path, (long long)number);
}

ms_status ms_job_folder_sync(const ms_job_folder *f, ms_error *err) {
    struct stat st;
    if (stat(f->path, &st) < 0)
        return ms_fail(err, MS_IO, "the folder %s is gone: %s", f->path, strerror(errno));
    fsync(f->fd); /* some file systems cannot sync a folder: the files themselves are safe already */
    return MS_OK;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static void clear(const ms_job_folder *f, const char *const *starts) {
    int fd = dup(f->fd);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    rewinddir(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        bool remove = false;
        for (int i = 0; starts[i]; i++)
            remove |= starts_with(e->d_name, starts[i]);
        if (remove)
            unlinkat(f->fd, e->d_name, 0);
    }
    closedir(dir);
}

/* The journal last: it says what the rest is, or that the output is finished. */
void ms_job_folder_clear(const ms_job_folder *f, bool all) {
    static const char *const muxer[] = {".memsafe-", NULL},
                             *const work[] = {"poses", "segment-", "joined", NULL},
                             *const journal[] = {"journal.db", NULL};
    clear(f, muxer);
    if (!all)
        return;
    clear(f, work);
    clear(f, journal);
}

void ms_job_folder_close(ms_job_folder *f) {
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

void ms_job_folder_remove(ms_job_folder *f) {
    ms_job_folder_clear(f, true);
    rmdir(f->path);
    ms_job_folder_close(f);
}
