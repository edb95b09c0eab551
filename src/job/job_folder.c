#include "job/job_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "files/same_file.h"

#define SUFFIX ".memsafe"

/* A file that memsafe does not make. */
static ms_status refuse_file(const ms_job_folder *f, const char *name, const char *why, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "%s/%s %s", f->path, name, why);
}

bool ms_job_folder_is_there(const ms_job_folder *f) {
    return ms_is_named(f->fd, f->path);
}

static ms_status open_there(ms_job_folder *f, ms_error *err) {
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return f->fd >= 0 ? MS_OK
                      : ms_fail(err, MS_IO, "cannot open the folder %s: %s", f->path, strerror(errno));
}

ms_status ms_job_folder_find(ms_job_folder *f, const char *output, bool *ret_there, ms_error *err) {
    *f = (ms_job_folder){.fd = -1};
    *ret_there = false;
    int n = snprintf(f->path, sizeof(f->path), "%s" SUFFIX, output);
    if (n < 0 || (size_t)n >= sizeof(f->path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the output's name is too long");
    struct stat st;
    if (lstat(f->path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? MS_OK
                   : ms_fail(err, MS_IO, "cannot look at %s: %s", f->path, strerror(errno));
    if (S_ISLNK(st.st_mode))
        return ms_fail(
            err, MS_IO,
            "%s is in the way: it is a symbolic link, which memsafe does not make and does not follow",
            f->path);
    if (!S_ISDIR(st.st_mode))
        return ms_fail(err, MS_IO, "%s is in the way: it is not a folder", f->path);
    *ret_there = true;
    return open_there(f, err);
}

ms_status ms_job_folder_open(ms_job_folder *f, bool shared, ms_error *err) {
    if (f->fd < 0) {
        f->created = mkdir(f->path, 0777) == 0;
        if (!f->created && errno != EEXIST)
            return ms_fail(err, MS_IO, "cannot write %.*s: its folder %s cannot be made: %s",
                           (int)(strlen(f->path) - strlen(SUFFIX)), f->path, f->path, strerror(errno));
        MS_TRY(open_there(f, err));
    }
    f->locked = flock(f->fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0;
    int why = errno;
    if (f->locked && ms_job_folder_is_there(f)) /* else a run that ended just now has removed it */
        return MS_OK;
    bool gone = f->locked;
    ms_job_folder_close(f);
    if (gone || why == EWOULDBLOCK)
        return ms_fail(err, MS_IO, "%s: another run is at work on this output", f->path);
    return ms_fail(err, MS_IO, "cannot lock the folder %s: %s", f->path, strerror(why));
}

/* ---- its files ---- */

void ms_job_folder_file(const ms_job_folder *f, const char *name, char ret_path[MS_JOB_PATH_BYTES]) {
    snprintf(ret_path, MS_JOB_PATH_BYTES, "%s/%s", f->path, name);
}

void ms_job_segment_name(int64_t number, char ret_name[MS_JOB_NAME_BYTES]) {
    snprintf(ret_name, MS_JOB_NAME_BYTES, MS_SEGMENT_FILES "%06lld", (long long)number);
}

bool ms_job_folder_has(const ms_job_folder *f, const char *name) {
    struct stat st;
    return f->fd >= 0 && (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT);
}

ms_status ms_job_folder_create(const ms_job_folder *f, const char *name, int *ret_fd, ms_error *err) {
    if (unlinkat(f->fd, name, 0) != 0 && errno != ENOENT)
        return ms_fail(err, MS_IO, "cannot remove %s/%s: %s", f->path, name, strerror(errno));
    *ret_fd = openat(f->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return *ret_fd >= 0 ? MS_OK
                        : ms_fail(err, MS_IO, "cannot make %s/%s: %s", f->path, name, strerror(errno));
}

/* Looked at before it is opened, for the message's sake, and again afterwards. */
ms_status ms_job_folder_read(const ms_job_folder *f, const char *name, bool write, int *ret_fd,
                             ms_error *err) {
    struct stat st;
    const int flags = (write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        return refuse_file(f, name, "is a symbolic link, which memsafe does not make and does not follow",
                           err);
    int fd = openat(f->fd, name, flags);
    if (fd < 0)
        return ms_fail(err, MS_IO, "cannot open %s/%s: %s", f->path, name, strerror(errno));
    const char *why = NULL;
    if (fstat(fd, &st) != 0) {
        int number = errno;
        close(fd);
        return ms_fail(err, MS_IO, "cannot read %s/%s: %s", f->path, name, strerror(number));
    }
    if (!S_ISREG(st.st_mode))
        why = "is not a regular file";
    else if (st.st_nlink > 1)
        why = "has other names too (hard links): it may be somebody else's file";
    if (!why) {
        *ret_fd = fd;
        return MS_OK;
    }
    close(fd);
    return refuse_file(f, name, why, err);
}

void ms_job_folder_unlink(const ms_job_folder *f, const char *name) {
    unlinkat(f->fd, name, 0);
}

ms_status ms_job_folder_sync(const ms_job_folder *f, ms_error *err) {
    if (!ms_job_folder_is_there(f))
        return ms_fail(err, MS_IO, "the folder %s is gone, or another has its name", f->path);
    fsync(f->fd); /* some file systems cannot sync a folder: the files themselves are safe already */
    return MS_OK;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* From the beginning, whoever read it before. */
static DIR *list(const ms_job_folder *f) {
    int fd = f->fd >= 0 ? openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

bool ms_job_folder_has_any(const ms_job_folder *f, const char *start) {
    DIR *dir = list(f);
    bool found = !dir;
    for (struct dirent *e; dir && !found && (e = readdir(dir));) {
        struct stat st;
        found = starts_with(e->d_name, start) && fstatat(f->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                st.st_size > 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* ---- segments ---- */

/* True and the number, when that number's file has that name. */
static bool number_of(const char *start, const char *file, int64_t *ret_number) {
    char name[MS_JOB_NAME_BYTES], *end = NULL;
    if (!starts_with(file, start) || strlen(file) >= sizeof(name))
        return false;
    *ret_number = strtoll(file + strlen(start), &end, 10);
    if (*ret_number < 0 || *end)
        return false;
    snprintf(name, sizeof(name), "%s%06lld", start, (long long)*ret_number);
    return strcmp(name, file) == 0;
}

ms_status ms_job_folder_numbered(const ms_job_folder *f, const char *start,
                                 ms_status (*take)(void *arg, int64_t number, ms_error *err), void *arg,
                                 ms_error *err) {
    DIR *dir = list(f);
    ms_status status = MS_OK;
    int64_t number;
    if (!dir)
        return ms_fail(err, MS_IO, "cannot list the folder %s: %s", f->path, strerror(errno));
    for (struct dirent *e; status == MS_OK && (e = readdir(dir));)
        if (number_of(start, e->d_name, &number))
            status = take(arg, number, err);
    closedir(dir);
    return status;
}

ms_status ms_job_folder_begin_segment(const ms_job_folder *f, int64_t number,
                                      char ret_name[MS_JOB_NAME_BYTES], int *ret_fd, ms_error *err) {
    uint64_t chance[2];
    ms_siphash_random_key(chance);
    snprintf(ret_name, MS_JOB_NAME_BYTES, "making-%06lld-%016llx", (long long)number,
             (unsigned long long)chance[0]);
    return ms_job_folder_create(f, ret_name, ret_fd, err);
}

ms_status ms_job_folder_end_segment(const ms_job_folder *f, const char *name, int64_t number, ms_error *err) {
    char whole[MS_JOB_NAME_BYTES];
    ms_job_segment_name(number, whole);
    if (renameat(f->fd, name, f->fd, whole) != 0)
        return ms_fail(err, MS_IO, "cannot name %s/%s: %s", f->path, whole, strerror(errno));
    return ms_job_folder_sync(f, err);
}

void ms_job_folder_named(const ms_job_folder *f, const char *start, void (*take)(void *arg, const char *name),
                         void *arg) {
    DIR *dir = list(f);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (starts_with(e->d_name, start))
            take(arg, e->d_name);
    if (dir)
        closedir(dir);
}

static bool is_before(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* before: NULL = whenever it was written. */
static void clear(const ms_job_folder *f, const char *const *starts, const struct timespec *before) {
    DIR *dir = list(f);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        bool remove = false;
        struct stat st;
        for (int i = 0; starts[i]; i++)
            remove |= starts_with(e->d_name, starts[i]);
        if (remove && before)
            remove =
                fstatat(f->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_before(&st.st_mtim, before);
        if (remove)
            unlinkat(f->fd, e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static const char *const half_done[] = {".memsafe-", "making-", MS_JOINED_FILES, NULL};

void ms_job_folder_clear_half_done(const ms_job_folder *f, const struct timespec *before) {
    clear(f, half_done, before);
}

/* The journal last: it says what the rest is, or that the output is finished. */
void ms_job_folder_clear(const ms_job_folder *f) {
    static const char *const work[] = {"poses",   MS_SEGMENT_FILES, "faces-",      "command",
                                       "worker-", "lease-",         MS_PARTS_FILE, NULL},
                             *const journal[] = {"journal.db", NULL};
    clear(f, half_done, NULL);
    clear(f, work, NULL);
    clear(f, journal, NULL);
}

void ms_job_folder_close(ms_job_folder *f) {
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    f->locked = false;
}

void ms_job_folder_remove(ms_job_folder *f) {
    ms_job_folder_clear(f);
    if (ms_job_folder_is_there(f))
        rmdir(f->path);
    ms_job_folder_close(f);
}
