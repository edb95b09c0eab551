#include "submit/log_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "files/same_file.h"

#define TRIES 5 /* whoever had it may take it away meanwhile */

bool cli_log_folder_file(const char *folder, const char *file, char ret_path[PATH_MAX]) {
    const int n = snprintf(ret_path, PATH_MAX, "%s/%s", folder, file);
    return n > 0 && n < PATH_MAX;
}

ms_status cli_log_folder_take(const char *folder, const char *shown, int *ret_lock, ms_error *err) {
    char path[PATH_MAX];
    struct stat st;
    *ret_lock = -1;
    if (!cli_log_folder_file(folder, "in-use", path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the output's name is too long");
    for (int i = 0; i < TRIES; i++) {
        if (mkdir(folder, 0777) != 0 && !(lstat(folder, &st) == 0 && S_ISDIR(st.st_mode)))
            break;
        const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0)
            break;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(fd);
            return ms_fail(err, MS_IO, "%s: another memsafe submit of this output is being followed", shown);
        }
        if (ms_is_named(fd, path)) {
            *ret_lock = fd;
            return MS_OK;
        }
        close(fd);
    }
    return ms_fail(err, MS_IO, "%s: no folder for what the steps say can be made: %s", shown,
                   strerror(errno));
}

void cli_log_folder_let_go(const char *folder, int lock, bool goes) {
    char path[PATH_MAX];
    if (lock < 0)
        return;
    if (cli_log_folder_file(folder, "in-use", path))
        unlink(path);
    close(lock);
    if (goes)
        rmdir(folder);
}

void cli_log_folder_refresh(const char *folder) {
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof(name), ".look-%ld", (long)getpid());
    if (!cli_log_folder_file(folder, name, path))
        return;
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    close(fd);
    unlink(path);
}
