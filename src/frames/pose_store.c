#include "frames/pose_store.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32.h"
#include "base/error.h"
#include "files/full_io.h"
#include "pictures/align.h"

#define BLOCK 512 /* poses */

typedef struct record {
    uint8_t present, interpolated, begins, zero;
    float affine[2][3];
    uint32_t crc; /* of the record's number and of what is before this */
} record;

struct ms_pose_store {
    char *path;
    int fd;
    pthread_mutex_t lock;
    ms_crc32_table crc;
    int64_t count;
    record tail[BLOCK]; /* of the last, unfinished block */
    int64_t cached;     /* block that is in cache, -1 = none */
    record cache[BLOCK];
};

static ms_status fail_io(const ms_pose_store *s, const char *what, ms_error *err) {
    return ms_fail(err, MS_IO, "cannot %s %s: %s", what, s->path, strerror(errno));
}

static ms_status write_block(ms_pose_store *s, int64_t block, int64_t poses, ms_error *err) {
    off_t at = (off_t)(block * BLOCK) * (off_t)sizeof(record);
    return ms_write_full_at(s->fd, s->tail, (size_t)poses * sizeof(record), at) ? MS_OK
                                                                                : fail_io(s, "write", err);
}

static ms_status read_block(ms_pose_store *s, int64_t block, int64_t poses, record *ret, ms_error *err) {
    off_t at = (off_t)(block * BLOCK) * (off_t)sizeof(record);
    if (ms_read_full_at(s->fd, ret, (size_t)poses * sizeof(record), at))
        return MS_OK;
    return errno ? fail_io(s, "read", err) : ms_fail(err, MS_DAMAGED, "%s is shorter than it was", s->path);
}

static uint32_t checksum(const ms_pose_store *s, int64_t index, const record *r) {
    return ms_crc32(&s->crc, ms_crc32(&s->crc, 0, &index, sizeof(index)), r, offsetof(record, crc));
}

static ms_status fail_field(const ms_pose_store *s, int64_t index, const char *field, double value,
                            ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "%s is damaged: pose %lld: %s is %g", s->path, (long long)index, field,
                   value);
}

static ms_status check_record(const ms_pose_store *s, int64_t index, const record *r, ms_error *err) {
    const struct {
        const char *name;
        uint8_t value;
    } flags[] = {{"present", r->present}, {"interpolated", r->interpolated}, {"begins", r->begins}};
    if (r->crc != checksum(s, index, r))
        return ms_fail(err, MS_DAMAGED, "%s is damaged: pose %lld is not as it was written", s->path,
                       (long long)index);
    for (int i = 0; i < 3; i++)
        if (flags[i].value > 1)
            return fail_field(s, index, flags[i].name, flags[i].value, err);
    if (r->zero)
        return fail_field(s, index, "the fourth byte", r->zero, err);
    double value;
    const char *wrong = ms_affine_wrong((const float(*)[3])r->affine, r->present != 0, &value);
    return wrong ? fail_field(s, index, wrong, value, err) : MS_OK;
}

ms_status ms_pose_store_open(ms_mem *mem, int fd, const char *path, int64_t count, ms_pose_store **ret_store,
                             ms_error *err) {
    ms_status status;
    ms_pose_store *s = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s) {
        close(fd);
        return ms_fail_alloc(err, mem, sizeof(*s), "the faces' positions");
    }
    pthread_mutex_init(&s->lock, NULL);
    ms_crc32_init(&s->crc);
    s->fd = fd;
    s->cached = -1;
    s->count = count;
    s->path = ms_strdup(mem, path);
    if (!s->path) {
        status = ms_fail_alloc(err, mem, strlen(path) + 1, "a file name");
        goto fail;
    }
    MS_GOTO(read_block(s, count / BLOCK, count % BLOCK, s->tail, err));
    *ret_store = s;
    return MS_OK;
fail:
    ms_pose_store_close(&s);
    return status;
}

void ms_pose_store_close(ms_pose_store **store) {
    if (!store || !*store)
        return;
    if ((*store)->fd >= 0)
        close((*store)->fd);
    pthread_mutex_destroy(&(*store)->lock);
    ms_mem_free((*store)->path);
    ms_mem_free(*store);
    *store = NULL;
}

int64_t ms_pose_store_count(ms_pose_store *s) {
    pthread_mutex_lock(&s->lock);
    int64_t count = s->count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

ms_status ms_pose_store_append(ms_pose_store *s, const ms_pose *pose, ms_error *err) {
    record r = {.present = pose->present, .interpolated = pose->interpolated, .begins = pose->begins};
    memcpy(r.affine, pose->affine, sizeof(r.affine));
    ms_status status = MS_OK;
    pthread_mutex_lock(&s->lock);
    r.crc = checksum(s, s->count, &r);
    s->tail[s->count % BLOCK] = r;
    if (s->count % BLOCK == BLOCK - 1)
        status = write_block(s, s->count / BLOCK, BLOCK, err);
    s->count += status == MS_OK;
    pthread_mutex_unlock(&s->lock);
    return status;
}

static ms_status get(ms_pose_store *s, int64_t index, record *ret, ms_error *err) {
    int64_t block = index / BLOCK;
    if (index < 0 || index >= s->count)
        return ms_fail(err, MS_INTERNAL, "there is no pose %lld", (long long)index);
    if (block != s->count / BLOCK && block != s->cached) {
        s->cached = -1;
        MS_TRY(read_block(s, block, BLOCK, s->cache, err));
        s->cached = block;
    }
    *ret = (block == s->cached ? s->cache : s->tail)[index % BLOCK];
    return check_record(s, index, ret, err);
}

static ms_status count_good(ms_pose_store *s, const ms_pose_check_params *p, int64_t *ret_good,
                            ms_error *err) {
    record r;
    for (int64_t i = 0; i < s->count; i++) {
        if (i % BLOCK == 0 && p->cancelled && p->cancelled(p->arg))
            return ms_fail(err, MS_CANCELLED, "cancelled while %s was read", s->path);
        MS_TRY(get(s, i, &r, err));
        *ret_good = i + 1;
    }
    return MS_OK;
}

ms_status ms_pose_store_check(const ms_pose_check_params *p, int64_t *ret_good, ms_error *err) {
    ms_pose_store *s = NULL;
    struct stat st = {0};
    if (fstat(p->fd, &st) != 0) {
        int why = errno;
        close(p->fd);
        return ms_fail(err, MS_IO, "cannot read %s: %s", p->path, strerror(why));
    }
    int64_t whole = (int64_t)st.st_size / (int64_t)sizeof(record), good = 0;
    MS_TRY(ms_pose_store_open(p->mem, p->fd, p->path, whole < p->count ? whole : p->count, &s, err));
    ms_status status = count_good(s, p, &good, err);
    ms_pose_store_close(&s);
    if (status != MS_OK && status != MS_DAMAGED)
        return status;
    ms_error_clear(err);
    *ret_good = good;
    return MS_OK;
}

ms_status ms_pose_store_get(ms_pose_store *s, int64_t index, ms_pose *ret_pose, ms_error *err) {
    record r;
    pthread_mutex_lock(&s->lock);
    ms_status status = get(s, index, &r, err);
    pthread_mutex_unlock(&s->lock);
    if (status != MS_OK)
        return status;
    *ret_pose =
        (ms_pose){.present = r.present == 1, .interpolated = r.interpolated == 1, .begins = r.begins == 1};
    memcpy(ret_pose->affine, r.affine, sizeof(r.affine));
    return MS_OK;
}

ms_status ms_pose_store_sync(ms_pose_store *s, ms_error *err) {
    pthread_mutex_lock(&s->lock);
    ms_status status = write_block(s, s->count / BLOCK, s->count % BLOCK, err);
    pthread_mutex_unlock(&s->lock);
    if (status != MS_OK)
        return status;
    return fdatasync(s->fd) == 0 ? MS_OK : fail_io(s, "write", err);
}
