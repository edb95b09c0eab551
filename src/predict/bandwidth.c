#include "predict/bandwidth.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define FILE_BLOCK_BYTES ((size_t)4 << 20)
#define UPLOAD_BLOCK_BYTES ((size_t)64 << 20)
#define DIRECT_ALIGN 4096 /* of address, offset and length: what O_DIRECT wants everywhere */

/* Whether another block is to be moved. At least one is. */
static bool go_on(const ms_bandwidth_params *p, size_t default_bytes, double began, const ms_bandwidth *b) {
    double limit_s = p->limit_s > 0 ? p->limit_s : 0.5;
    size_t limit_bytes = p->limit_bytes ? p->limit_bytes : default_bytes;
    return b->bytes == 0 || (b->bytes < limit_bytes && ms_now_s() - began < limit_s);
}

static void finish(ms_bandwidth *b, double began) {
    b->seconds = ms_now_s() - began;
    if (b->seconds < 1e-9) /* the clock's step */
        b->seconds = 1e-9;
    b->bytes_per_s = (double)b->bytes / b->seconds;
}

/* Not every file system knows O_DIRECT. A disk may be measured as well as a file, but nothing is waited
   for. */
static int open_file(const char *path, bool *ret_direct) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
    *ret_direct = fd >= 0;
    return fd >= 0 || errno != EINVAL ? fd : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static ms_status read_blocks(const ms_bandwidth_params *p, int fd, const char *path, char *block,
                             ms_bandwidth *b, ms_error *err) {
    off_t at = 0;
    double began = ms_now_s();
    while (go_on(p, (size_t)1 << 30, began, b)) {
        if (!b->direct && at == 0)
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        ssize_t got = pread(fd, block, FILE_BLOCK_BYTES, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EINVAL && b->direct) { /* opened, but not read that way */
            b->direct = false;
            if (fcntl(fd, F_SETFL, 0) != 0)
                return ms_fail(err, MS_IO, "%s: cannot be read: %s", path, strerror(errno));
            continue;
        }
        if (got < 0)
            return ms_fail(err, MS_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (got == 0 && at == 0)
            return ms_fail(err, MS_IO, "%s: is empty, there is nothing to measure", path);
        b->bytes += (size_t)got;
        at = (size_t)got < FILE_BLOCK_BYTES ? 0 : at + got;
    }
    finish(b, began);
    return MS_OK;
}

ms_status ms_bandwidth_of_file(const ms_bandwidth_params *p, const char *path, ms_bandwidth *ret_bandwidth,
                               ms_error *err) {
    ms_bandwidth b = {0};
    int fd = open_file(path, &b.direct);
    if (fd < 0)
        return ms_fail(err, MS_IO, "%s: cannot be opened: %s", path, strerror(errno));
    char *room = ms_mem_alloc(p->mem, MS_LEDGER_STAGING, FILE_BLOCK_BYTES + DIRECT_ALIGN);
    ms_status status;
    if (room) {
        char *block = room + (DIRECT_ALIGN - (uintptr_t)room % DIRECT_ALIGN) % DIRECT_ALIGN;
        status = read_blocks(p, fd, path, block, &b, err);
    } else {
        status = ms_fail_alloc(err, p->mem, FILE_BLOCK_BYTES, "measuring the disk");
    }
    ms_mem_free(room);
    close(fd);
    if (status == MS_OK)
        *ret_bandwidth = b;
    return status;
}

static ms_status upload(const ms_bandwidth_params *p, const ms_compute *compute, void *dst, void *src,
                        size_t block, ms_bandwidth *b) {
    memset(src, 1, block); /* pages that were never written are all one page */
    MS_TRY(ms_compute_upload(compute, dst, src, block));
    double began = ms_now_s();
    while (go_on(p, (size_t)4 << 30, began, b)) {
        MS_TRY(ms_compute_upload(compute, dst, src, block));
        b->bytes += block;
    }
    finish(b, began);
    return MS_OK;
}

ms_status ms_bandwidth_of_upload(const ms_bandwidth_params *p, const ms_compute *compute,
                                 ms_bandwidth *ret_bandwidth, ms_error *err) {
    ms_bandwidth b = {0};
    const size_t block = p->block_bytes ? p->block_bytes : UPLOAD_BLOCK_BYTES;
    ms_status status;
    void *dst = NULL, *src = ms_mem_alloc(p->mem, MS_LEDGER_STAGING, block);
    if (!src)
        return ms_fail_alloc(err, p->mem, block, "measuring uploads");
    dst = compute->dev->backend->alloc(compute->dev, MS_LEDGER_STAGING, block);
    if (dst)
        status = upload(p, compute, dst, src, block, &b);
    else
        status = MS_DEVICE_MEMORY;
    if (status != MS_OK)
        ms_fail(err, status, "measuring uploads with %zu bytes on %s failed", block,
                compute->dev->description);
    else
        *ret_bandwidth = b;
    ms_device_free(compute->dev, dst);
    ms_mem_free(src);
    return status;
}
