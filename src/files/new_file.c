#include "files/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "files/full_io.h"

#define TEMP_TRIES 100

void ms_folder_of(const char *path, char *ret, size_t size) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(ret, size, ".");
    else
        snprintf(ret, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

const char *ms_name_in(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- before the work ---- */

static const char *kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a folder";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    case S_IFIFO:
        return "a pipe";
    case S_IFSOCK:
        return "a socket";
    default:
        return "no regular file";
    }
}

/* A rename would replace whatever is there by a regular file. */
static ms_status refuse_kind(const char *path, const struct stat *st, ms_error *err) {
    return S_ISREG(st->st_mode)
               ? MS_OK
               : ms_fail(err, MS_IO, "cannot write %s: it is %s", path, kind_of(st->st_mode));
}

ms_status ms_new_file_check(const char *path, bool force, ms_error *err) {
    struct stat st;
    char folder[4096];
    if (strcmp(path, "-") == 0)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "\"-\": the standard output is not written to, name a file (./- for one of that name)");
    if (lstat(path, &st) == 0) {
        struct stat target;
        if (!S_ISLNK(st.st_mode))
            MS_TRY(refuse_kind(path, &st, err));
        else if (stat(path, &target) == 0)
            MS_TRY(refuse_kind(path, &target, err));
        if (!force)
            return ms_fail_hint(err, MS_IO, MS_HINT_REPLACE, "cannot write %s: it exists already", path);
    } else if (errno != ENOENT) {
        return ms_fail(err, MS_IO, "cannot write %s: %s", path, strerror(errno));
    }
    ms_folder_of(path, folder, sizeof(folder));
    if (stat(folder, &st) < 0 || access(folder, W_OK | X_OK) < 0)
        return ms_fail(err, MS_IO, "cannot write %s: folder %s: %s", path, folder, strerror(errno));
    return MS_OK;
}

/* ---- the file ---- */

static ms_status fail_write(const ms_new_file *f, ms_error *err) {
    int code = errno;
    return ms_fail(err, MS_IO, "cannot write %s: %s", f->shown_as ? f->shown_as : f->path, strerror(code));
}

/* Not mkstemp(), which ignores the user's umask. */
static ms_status make_temp(ms_new_file *f, ms_mem *mem, ms_error *err) {
    static atomic_uint counter;
    char folder[4096];
    ms_folder_of(f->path, folder, sizeof(folder));
    for (int i = 0; i < TEMP_TRIES; i++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        char *name = ms_asprintf(mem, "%s/.memsafe-%lx-%x-%lx.part", folder, (long)getpid(),
                                 atomic_fetch_add(&counter, 1), (unsigned long)now.tv_nsec);
        if (!name)
            return ms_fail_alloc(err, mem, strlen(folder) + 40, "a file name");
        f->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (f->fd >= 0) {
            f->temp = name;
            return MS_OK;
        }
        ms_mem_free(name);
        if (errno != EEXIST)
            break;
    }
    return ms_fail(err, MS_IO, "cannot write %s: creating a file in %s: %s", f->path, folder,
                   strerror(errno));
}

ms_status ms_new_file_open(ms_new_file *f, ms_mem *mem, const char *path, bool replace, ms_error *err) {
    *f = MS_NEW_FILE_NONE;
    MS_TRY(ms_new_file_check(path, replace, err));
    f->replace = replace;
    f->path = ms_strdup(mem, path);
    if (!f->path)
        return ms_fail_alloc(err, mem, strlen(path) + 1, "a file name");
    ms_status status = make_temp(f, mem, err);
    if (status != MS_OK)
        ms_new_file_abort(f);
    return status;
}

ms_status ms_new_file_write(ms_new_file *f, const void *data, size_t bytes, ms_error *err) {
    return ms_write_full(f->fd, data, bytes) ? MS_OK : fail_write(f, err);
}

ms_status ms_new_file_take_name(const char *temp, const char *path, bool replace, ms_error *err) {
    struct stat st;
    if (lstat(path, &st) == 0 && !S_ISLNK(st.st_mode))
        MS_TRY(refuse_kind(path, &st, err));
    int rc = replace ? rename(temp, path) : renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE);
    if (rc < 0 && !replace && (errno == EINVAL || errno == ENOSYS)) { /* a file system that cannot do that */
        rc = lstat(path, &st) == 0 ? (errno = EEXIST, -1) : rename(temp, path);
    }
    if (rc < 0)
        return ms_fail(err, MS_IO, "cannot write %s: %s", path, strerror(errno));
    char folder[4096];
    ms_folder_of(path, folder, sizeof(folder));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) { /* some file systems cannot sync a folder: the file itself is safe already */
        fsync(fd);
        close(fd);
    }
    return MS_OK;
}

static ms_status close_and_name(ms_new_file *f, ms_error *err) {
    if (fsync(f->fd) < 0)
        return fail_write(f, err);
    int rc = close(f->fd);
    f->fd = -1;
    if (rc < 0)
        return fail_write(f, err);
    MS_TRY(ms_new_file_take_name(f->temp, f->path, f->replace, err));
    ms_mem_free(f->temp);
    f->temp = NULL;
    return MS_OK;
}

ms_status ms_new_file_finish(ms_new_file *f, ms_error *err) {
    ms_status status = close_and_name(f, err);
    ms_new_file_abort(f);
    return status;
}

void ms_new_file_abort(ms_new_file *f) {
    if (f->fd >= 0)
        close(f->fd);
    if (f->temp)
        unlink(f->temp);
    ms_mem_free(f->temp);
    ms_mem_free(f->path);
    *f = MS_NEW_FILE_NONE;
}

ms_status ms_new_file_save(const char *path, const void *data, size_t bytes, bool replace, ms_error *err) {
    ms_new_file f;
    MS_TRY(ms_new_file_open(&f, NULL, path, replace, err));
    ms_status status = ms_new_file_write(&f, data, bytes, err);
    if (status == MS_OK)
        return ms_new_file_finish(&f, err);
    ms_new_file_abort(&f);
    return status;
}
