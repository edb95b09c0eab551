#include "job/model_sum.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/hash.h"
#include "formats/torch_zip.h"

#define PIECE_BYTES ((size_t)1 << 20)
#define MOST_DIRECTORY_BYTES ((size_t)32 << 20)

/* Each hash is the key of the next. */
static void absorb(uint64_t sum[2], const void *data, size_t bytes) {
    const uint64_t key[2] = {sum[0], sum[1]};
    ms_siphash_128(key, data, bytes, sum);
}

/* False: no such archive, or one with a member that has no CRC. */
static bool sum_directory(ms_mem *mem, const ms_source *source, uint64_t sum[2]) {
    ms_region region;
    ms_zip zip;
    ms_region_init(&region, mem, MOST_DIRECTORY_BYTES);
    bool good = ms_zip_read(source, &region, &zip, NULL) == MS_OK && zip.count > 0;
    for (size_t i = 0; good && i < zip.count; i++) {
        const ms_zip_member *m = &zip.members[i];
        const uint64_t facts[] = {m->bytes, m->header_offset, m->crc, m->method};
        good = m->crc != 0 || m->bytes == 0;
        absorb(sum, m->name, strlen(m->name));
        absorb(sum, facts, sizeof(facts));
    }
    ms_region_free(&region);
    return good;
}

static ms_status sum_all(ms_mem *mem, const ms_source *source, bool (*cancelled)(void *arg), void *arg,
                         uint64_t sum[2], ms_error *err) {
    uint8_t *piece = ms_mem_alloc(mem, MS_LEDGER_STAGING, PIECE_BYTES);
    ms_status status = piece ? MS_OK : ms_fail_alloc(err, mem, PIECE_BYTES, "looking at the model");
    for (uint64_t at = 0; status == MS_OK && at < source->bytes; at += PIECE_BYTES) {
        uint64_t left = source->bytes - at;
        size_t bytes = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        if (cancelled && cancelled(arg))
            status = ms_fail(err, MS_CANCELLED, "cancelled while the model's files were looked at");
        else
            status = ms_source_read(source, at, piece, bytes, err);
        if (status == MS_OK)
            absorb(sum, piece, bytes);
    }
    ms_mem_free(piece);
    return status;
}

ms_status ms_model_sum(ms_mem *mem, int fd, bool (*cancelled)(void *arg), void *arg, uint64_t *ret_sum,
                       ms_error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ms_fail(err, MS_IO, "%s", strerror(errno));
    const ms_source source = {.fd = fd, .bytes = (uint64_t)st.st_size};
    uint64_t sum[2] = {0x6d6f64656c, 1};
    if (!sum_directory(mem, &source, sum)) {
        sum[0] = 0x6d6f64656c;
        sum[1] = 2;
        MS_TRY(sum_all(mem, &source, cancelled, arg, sum, err));
    }
    *ret_sum = sum[0];
    return MS_OK;
}
