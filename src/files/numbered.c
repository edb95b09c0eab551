#include "files/numbered.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/new_file.h"

#define FIRST_NUMBERS 5 /* that FFmpeg looks at: 0 to 4 */
#define MOST_DIGITS 9   /* numbers are int */
#define MOST_FILES 100000000

/* Copies up to what ends a literal part, with %% as one sign. Returns where that is; NULL: too long. */
static const char *copy_literal(const char *from, char *to) {
    size_t n = 0;
    for (; *from && !(from[0] == '%' && from[1] != '%'); from++) {
        if (n + 1 >= MS_NUMBERED_PATH_BYTES)
            return NULL;
        to[n++] = *from;
        from += *from == '%';
    }
    to[n] = 0;
    return from;
}

static bool parse(const char *path, ms_numbered *n) {
    *n = (ms_numbered){0};
    const char *at = copy_literal(path, n->before);
    if (!at || *at != '%')
        return false;
    for (at++; isdigit((unsigned char)*at) && n->digits <= MOST_DIGITS; at++)
        n->digits = 10 * n->digits + (*at - '0');
    if (*at != 'd' || n->digits > MOST_DIGITS)
        return false;
    at = copy_literal(at + 1, n->after);
    return at && !*at && !strchr(n->after, '/');
}

bool ms_numbered_is(const char *path) {
    ms_numbered n;
    return path && strchr(path, '%') && access(path, F_OK) != 0 && parse(path, &n);
}

void ms_numbered_name(const ms_numbered *n, int number, char ret_path[MS_NUMBERED_PATH_BYTES]) {
    /* What does not fit is no file's path. */
    if (snprintf(ret_path, MS_NUMBERED_PATH_BYTES, "%s%0*d%s", n->before, n->digits, number, n->after) >=
        MS_NUMBERED_PATH_BYTES)
        ret_path[0] = 0;
}

static bool newer(struct timespec a, struct timespec b) {
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

ms_status ms_numbered_find(const char *path, ms_numbered *n, ms_error *err) {
    char name[MS_NUMBERED_PATH_BYTES];
    struct stat st;
    if (!parse(path, n))
        return ms_fail(err, MS_IO, "%s: this is no pattern of numbered files", path);
    for (; n->first < FIRST_NUMBERS; n->first++) {
        ms_numbered_name(n, n->first, name);
        if (stat(name, &st) == 0)
            break;
    }
    while (n->first < FIRST_NUMBERS) {
        ms_numbered_name(n, n->first + n->count, name);
        if (n->count == MOST_FILES || stat(name, &st) != 0)
            break;
        if (!S_ISREG(st.st_mode))
            return ms_fail(err, MS_IO, "cannot read %s: it is no regular file", name);
        n->count++;
        n->bytes += st.st_size;
        n->largest_bytes = st.st_size > n->largest_bytes ? st.st_size : n->largest_bytes;
        if (newer(st.st_mtim, n->changed))
            n->changed = st.st_mtim;
    }
    if (n->count == 0)
        return ms_fail(err, MS_IO,
                       "cannot read %s: there is no file of that name with a number from 0 to %d, where it "
                       "would begin",
                       path, FIRST_NUMBERS - 1);
    return MS_OK;
}

ms_status ms_numbered_open(const ms_numbered *n, int number, int *ret_fd, struct stat *ret_stat,
                           ms_error *err) {
    char name[MS_NUMBERED_PATH_BYTES];
    ms_numbered_name(n, number, name);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ms_fail(err, MS_IO, "cannot read %s: %s", name, strerror(errno));
    bool known = fstat(fd, ret_stat) == 0;
    if (!known || !S_ISREG(ret_stat->st_mode)) {
        ms_fail(err, MS_IO, "cannot read %s: %s", name, known ? "it is no regular file" : strerror(errno));
        close(fd);
        return MS_IO;
    }
    *ret_fd = fd;
    return MS_OK;
}

/* The number in a name of the folder; -1: it is none of these files. */
static int number_of(const ms_numbered *n, const char *start, const char *name) {
    char *end, again[MS_NUMBERED_PATH_BYTES];
    size_t length = strlen(start);
    if (strncmp(name, start, length) != 0 || !isdigit((unsigned char)name[length]))
        return -1;
    errno = 0;
    long number = strtol(name + length, &end, 10);
    if (errno || number > 999999999 || strcmp(end, n->after) != 0)
        return -1;
    if (snprintf(again, sizeof(again), "%s%0*ld%s", start, n->digits, number, n->after) >= (int)sizeof(again))
        return -1;
    return strcmp(again, name) == 0 ? (int)number : -1;
}

bool ms_numbered_behind_gap(const ms_numbered *n, int *ret_next, int *ret_files) {
    char folder[MS_NUMBERED_PATH_BYTES];
    ms_folder_of(n->before, folder, sizeof(folder));
    DIR *dir = opendir(folder);
    *ret_files = 0;
    if (!dir)
        return false;
    for (struct dirent *e; (e = readdir(dir));) {
        int number = number_of(n, ms_name_in(n->before), e->d_name);
        if (number < n->first + n->count)
            continue;
        if (*ret_files == 0 || number < *ret_next)
            *ret_next = number;
        ++*ret_files;
    }
    closedir(dir);
    return *ret_files > 0;
}

bool ms_numbered_gap(const char *path, char *ret_text, size_t bytes) {
    char gap[MS_NUMBERED_PATH_BYTES], next[MS_NUMBERED_PATH_BYTES];
    ms_numbered n;
    int number, files;
    if (!ms_numbered_is(path) || ms_numbered_find(path, &n, NULL) != MS_OK ||
        !ms_numbered_behind_gap(&n, &number, &files))
        return false;
    ms_numbered_name(&n, n.first + n.count, gap);
    ms_numbered_name(&n, number, next);
    snprintf(ret_text, bytes,
             "%.80s is missing: the video ends there, and %d file%s from %.80s on %s not read",
             ms_name_in(gap), files, files == 1 ? "" : "s", ms_name_in(next), files == 1 ? "is" : "are");
    return true;
}

int ms_numbered_stat(const char *path, struct stat *ret) {
    ms_numbered n;
    if (!ms_numbered_is(path))
        return stat(path, ret);
    if (ms_numbered_find(path, &n, NULL) != MS_OK) {
        errno = ENOENT;
        return -1;
    }
    *ret = (struct stat){.st_mode = S_IFREG | 0600, .st_size = n.bytes, .st_mtim = n.changed};
    return 0;
}

bool ms_numbered_holds(const char *path, const struct stat *file) {
    ms_numbered n;
    char name[MS_NUMBERED_PATH_BYTES];
    struct stat st;
    if (!ms_numbered_is(path) || ms_numbered_find(path, &n, NULL) != MS_OK)
        return false;
    for (int i = 0; i < n.count; i++) {
        ms_numbered_name(&n, n.first + i, name);
        if (stat(name, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino)
            return true;
    }
    return false;
}
