#include "job/segment_leases.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/ticker.h"

#define TEXT_BYTES 64 /* of a lease, and of a worker's file */

struct ms_leases {
    const ms_job_folder *folder;
    char boot[TEXT_BYTES]; /* of this machine since it was started; "" = not known */
    ms_ticker beating;
    struct timespec came;         /* by the file system's clock */
    pthread_mutex_t lock;         /* what follows */
    char name[MS_JOB_NAME_BYTES]; /* of the worker's file */
    int fd;
};

static void read_boot(char ret_text[TEXT_BYTES]) {
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f || !fgets(ret_text, TEXT_BYTES, f))
        ret_text[0] = 0;
    ret_text[strcspn(ret_text, "\n")] = 0;
    if (f)
        fclose(f);
}

/* The file system's clock, which may be a server's. */
static void touch(const ms_leases *l) {
    futimens(l->fd, NULL);
}

/* ---- small files ---- */

static void lease_name(int64_t number, char ret_name[MS_JOB_NAME_BYTES]) {
    snprintf(ret_name, MS_JOB_NAME_BYTES, MS_LEASE_FILES "%06lld", (long long)number);
}

/* A line of it. False: it cannot be read, or is none of ours. */
static bool read_line(int fd, char ret_text[TEXT_BYTES]) {
    ssize_t n = pread(fd, ret_text, TEXT_BYTES - 1, 0);
    ret_text[n > 0 ? n : 0] = 0;
    char *end = strchr(ret_text, '\n');
    if (!end)
        return false;
    *end = 0;
    return strchr(ret_text, '/') == NULL;
}

static bool write_line(int fd, const char *text) {
    char line[TEXT_BYTES + 1];
    int n = snprintf(line, sizeof(line), "%s\n", text);
    return write(fd, line, (size_t)n) == n;
}

/* ---- who lives ---- */

/* On this machine, and nobody holds the lock on its file. Where a lock cannot be had for another reason than
   that somebody has it, its clock tells. */
static bool has_ended(const ms_leases *l, int fd) {
    char boot[TEXT_BYTES];
    return l->boot[0] && read_line(fd, boot) && strcmp(boot, l->boot) == 0 &&
           flock(fd, LOCK_SH | LOCK_NB) == 0;
}

/* By its file, which is open. One that is stopped holds its lock, and makes nothing: so wherever it is, its
   clock tells. One that is far ahead is no living one's either. */
static bool lives(const ms_leases *l, int fd) {
    struct stat its, ours;
    if (has_ended(l, fd))
        return false;
    touch(l);
    return fstat(fd, &its) == 0 && fstat(l->fd, &ours) == 0 &&
           llabs((long long)ours.st_mtim.tv_sec - (long long)its.st_mtim.tv_sec) <= MS_LEASE_DEAD_S;
}

static bool holder_lives(const ms_leases *l, const char *holder) {
    int fd = -1;
    if (strncmp(holder, MS_WORKER_FILES, strlen(MS_WORKER_FILES)) != 0 ||
        ms_job_folder_read(l->folder, holder, false, &fd, NULL) != MS_OK)
        return false;
    bool living = lives(l, fd);
    close(fd);
    if (!living)
        ms_job_folder_unlink(l->folder, holder);
    return living;
}

/* ---- leases ---- */

/* *ret_there: the name is taken. */
static bool make(const ms_leases *l, const char *name, bool *ret_there) {
    int fd = openat(l->folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    *ret_there = fd < 0 && errno == EEXIST;
    if (fd < 0)
        return false;
    bool written = write_line(fd, l->name);
    close(fd);
    if (!written)
        ms_job_folder_unlink(l->folder, name);
    return written;
}

/* Whose the lease is: "" = nobody's any more. A new one is empty until its line is written. */
static void read_holder(const ms_leases *l, const char *name, char ret_holder[TEXT_BYTES], bool *ret_new) {
    int fd = -1;
    struct stat st, ours;
    ret_holder[0] = 0;
    *ret_new = false;
    if (ms_job_folder_read(l->folder, name, false, &fd, NULL) != MS_OK)
        return;
    /* The size first: a line that is written between the two is read then, and the lease is not taken for one
       that says nothing. */
    const bool empty = fstat(fd, &st) == 0 && st.st_size == 0;
    if (!read_line(fd, ret_holder)) {
        ret_holder[0] = 0;
        touch(l);
        *ret_new = empty && fstat(l->fd, &ours) == 0 &&
                   llabs((long long)ours.st_mtim.tv_sec - (long long)st.st_mtim.tv_sec) <= MS_LEASE_BEAT_S;
    }
    close(fd);
}

static ms_status make_worker_file(ms_leases *l, ms_error *err) {
    uint64_t chance[2];
    int fd;
    char name[MS_JOB_NAME_BYTES];
    ms_siphash_random_key(chance);
    snprintf(name, sizeof(name), MS_WORKER_FILES "%016llx", (unsigned long long)chance[0]);
    MS_TRY(ms_job_folder_create(l->folder, name, &fd, err));
    flock(fd, LOCK_EX | LOCK_NB); /* nobody else has it */
    if (!write_line(fd, l->boot)) {
        int why = errno; /* disk full: the file would count as one who lives */
        close(fd);
        ms_job_folder_unlink(l->folder, name);
        return ms_fail(err, MS_IO, "cannot write %s/%s: %s", l->folder->path, name, strerror(why));
    }
    if (l->fd >= 0)
        close(l->fd);
    l->fd = fd;
    memcpy(l->name, name, sizeof(name));
    return MS_OK;
}

/* Whether somebody removed our file. What another client of a network file system removed may still say that
   it has a name (or nothing more, ESTALE), so its name is looked at too. */
static bool is_removed(const ms_leases *l) {
    struct stat open, named;
    if (fstat(l->fd, &open) != 0)
        return errno == ESTALE;
    if (open.st_nlink == 0)
        return true;
    if (fstatat(l->folder->fd, l->name, &named, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || errno == ESTALE;
    return open.st_dev != named.st_dev || open.st_ino != named.st_ino;
}

/* Somebody took us for dead, for we were stopped or the file system was away: what we had is others' now, and
   from here on we have another name. */
static void come_back(ms_leases *l) {
    if (is_removed(l))
        make_worker_file(l, NULL);
}

static double beat(void *arg) {
    ms_leases *l = arg;
    pthread_mutex_lock(&l->lock);
    come_back(l);
    touch(l);
    pthread_mutex_unlock(&l->lock);
    return MS_LEASE_BEAT_S;
}

static bool take(ms_leases *l, const char *name) {
    char holder[TEXT_BYTES];
    come_back(l);
    for (int attempt = 0; attempt < 2; attempt++) {
        bool there, is_new;
        if (make(l, name, &there) || !there)
            return true;
        read_holder(l, name, holder, &is_new);
        if (is_new || strcmp(holder, l->name) == 0 || (holder[0] && holder_lives(l, holder)))
            return false;
        if (unlinkat(l->folder->fd, name, 0) != 0 && errno != ENOENT)
            return true; /* it is nobody's, and nobody can take it away */
    }
    return false; /* another was quicker */
}

bool ms_leases_take(ms_leases *l, int64_t number) {
    char name[MS_JOB_NAME_BYTES];
    lease_name(number, name);
    pthread_mutex_lock(&l->lock);
    bool taken = take(l, name);
    pthread_mutex_unlock(&l->lock);
    return taken;
}

void ms_leases_give_back(ms_leases *l, int64_t number) {
    char name[MS_JOB_NAME_BYTES], holder[TEXT_BYTES];
    bool is_new;
    lease_name(number, name);
    pthread_mutex_lock(&l->lock);
    read_holder(l, name, holder, &is_new);
    if (strcmp(holder, l->name) == 0)
        ms_job_folder_unlink(l->folder, name);
    pthread_mutex_unlock(&l->lock);
}

static ms_status give_back(void *arg, int64_t number, ms_error *err) {
    (void)err;
    ms_leases_give_back(arg, number);
    return MS_OK;
}

/* ---- opening ---- */

ms_status ms_leases_open(ms_mem *mem, const ms_job_folder *folder, ms_leases **ret_leases, ms_error *err) {
    ms_leases *l = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*l));
    if (!l)
        return ms_fail_alloc(err, mem, sizeof(*l), "leases of segments");
    l->folder = folder;
    l->fd = -1;
    read_boot(l->boot);
    pthread_mutex_init(&l->lock, NULL);
    struct stat st;
    ms_status status = make_worker_file(l, err);
    if (status == MS_OK && fstat(l->fd, &st) == 0)
        l->came = st.st_mtim;
    if (status == MS_OK && ms_ticker_start(&l->beating, MS_LEASE_BEAT_S, beat, l) != 0)
        status = ms_fail(err, MS_HOST_MEMORY, "cannot start the thread that shows that it lives");
    if (status != MS_OK)
        ms_leases_close(&l);
    else
        *ret_leases = l;
    return status;
}

/* ---- what the dead left ---- */

typedef struct looking {
    const ms_leases *l;
    bool others;
} looking;

static void look_at(void *arg, const char *name) {
    looking *k = arg;
    if (strcmp(name, k->l->name) != 0 && holder_lives(k->l, name))
        k->others = true;
}

void ms_leases_clear(ms_leases *l) {
    looking k = {.l = l};
    pthread_mutex_lock(&l->lock);
    ms_job_folder_named(l->folder, MS_WORKER_FILES, look_at, &k);
    pthread_mutex_unlock(&l->lock);
    if (!k.others)
        ms_job_folder_clear_half_done(l->folder, &l->came);
}

void ms_leases_close(ms_leases **leases) {
    ms_leases *l = *leases;
    if (!l)
        return;
    ms_ticker_stop(&l->beating);
    if (l->fd >= 0) {
        ms_job_folder_numbered(l->folder, MS_LEASE_FILES, give_back, l, NULL);
        ms_job_folder_unlink(l->folder, l->name);
        close(l->fd);
    }
    pthread_mutex_destroy(&l->lock);
    ms_mem_free(l);
    *leases = NULL;
}
