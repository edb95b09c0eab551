#include "files/in_use.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "files/new_file.h"
#include "files/numbered.h"
#include "files/same_file.h"

#define JOB ".memsafe"

bool ms_same_target(const char *a, const char *b) {
    char in_a[4096], in_b[4096];
    if (!a || !b)
        return false;
    ms_folder_of(a, in_a, sizeof(in_a));
    ms_folder_of(b, in_b, sizeof(in_b));
    return ms_same_file(a, b) || (strcmp(ms_name_in(a), ms_name_in(b)) == 0 && ms_same_file(in_a, in_b));
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* Whether a link leads to one of a folder's files, or is another name of it. */
static bool is_linked(const char *path, const char *folder, const char *ending) {
    struct stat file, st;
    bool is = false;
    if (stat(path, &file) != 0)
        return false;
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && !is && (e = readdir(dir));)
        is = e->d_ino == file.st_ino && ends_with(e->d_name, ending) &&
             fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && st.st_dev == file.st_dev &&
             st.st_ino == file.st_ino;
    if (dir)
        closedir(dir);
    return is;
}

/* Whether it is, or will be, one of a folder's files whose names end so. */
static bool is_within(const char *path, const char *folder, const char *ending) {
    char in[4096];
    ms_folder_of(path, in, sizeof(in));
    return (ends_with(path, ending) && ms_same_file(in, folder)) || is_linked(path, folder, ending);
}

static bool is_database(const char *path, const char *database) {
    static const char *const endings[] = {"", "-journal", "-wal", "-shm"};
    char name[4096];
    bool is = false;
    for (int i = 0; i < 4 && !is; i++) {
        int n = snprintf(name, sizeof(name), "%s%s", database, endings[i]);
        is = n > 0 && n < (int)sizeof(name) && ms_same_target(path, name);
    }
    return is;
}

static bool is_read(const ms_in_use *u, const char *path) {
    struct stat st;
    bool is = false;
    if (stat(path, &st) != 0)
        return false;
    for (int i = 0; i < u->n_files && !is; i++)
        is = ms_same_file(path, u->files[i]) || ms_numbered_holds(u->files[i], &st);
    return is;
}

ms_status ms_in_use_spare(const ms_in_use *u, const char *path, const char *what, ms_error *err) {
    char job[4096];
    if (!path)
        return MS_OK;
    if (is_read(u, path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s %s is a file that is read", what, path);
    if (ms_same_target(path, u->profile))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s %s is the profile, a file that is read", what, path);
    if (u->history && is_database(path, u->history))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s %s is the history of runs, %s", what, path,
                       u->history);
    if (u->latents && is_within(path, u->latents, MS_LATENTS_ENDING))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s %s is one of the latents that are kept in %s", what,
                       path, u->latents);
    int n = u->output ? snprintf(job, sizeof(job), "%s" JOB, u->output) : -1;
    if (n > 0 && n < (int)sizeof(job) && is_within(path, job, ""))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s %s is of the job's folder, %s", what, path, job);
    return MS_OK;
}
