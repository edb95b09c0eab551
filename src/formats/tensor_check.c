/* The checksums of a file's tensors, see ms_tensor_file_check(). */
#include <string.h>

#include "base/crc32.h"
#include "base/error.h"
#include "formats/tensor_file_internal.h"
#include "text/text.h"

/* Stays in the second-level cache between being read and being summed. */
#define BLOCK_BYTES ((size_t)256 << 10)

typedef struct checker {
    ms_crc32_table table;
    unsigned char block[BLOCK_BYTES];
} checker;

static ms_status check_one(const ms_tensor_file *file, checker *k, const ms_tensor_checksum *c,
                           ms_error *err) {
    char part[MS_QUOTE_BYTES], tensor[MS_QUOTE_BYTES];
    uint32_t crc = 0;
    for (uint64_t at = 0; at < c->bytes; at += BLOCK_BYTES) {
        size_t bytes = c->bytes - at < BLOCK_BYTES ? (size_t)(c->bytes - at) : BLOCK_BYTES;
        ms_status status = ms_source_read(&file->source, c->offset + at, k->block, bytes, err);
        if (status != MS_OK)
            return ms_fail_prefix(err, status, "%s", file->path);
        crc = ms_crc32(&k->table, crc, k->block, bytes);
    }
    if (crc == c->crc)
        return MS_OK;
    return ms_fail(err, MS_BAD_MODEL,
                   "%s: tensor \"%s\" is damaged: the CRC-32 of its storage %s is %08x, not %08x", file->path,
                   ms_quote(tensor, c->tensor, strlen(c->tensor)), ms_quote(part, c->part, strlen(c->part)),
                   crc, c->crc);
}

size_t ms_tensor_file_checksums(const ms_tensor_file *file) {
    size_t count = 0;
    for (const ms_tensor_checksum *c = file->checksums; c; c = c->next)
        count++;
    return count;
}

ms_status ms_tensor_file_check(const ms_tensor_file *file, ms_tensor_report_fn report, void *arg,
                               ms_error *err) {
    if (!file->checksums)
        return MS_OK;
    checker *k = ms_mem_alloc(file->mem, MS_LEDGER_STAGING, sizeof(*k));
    if (!k)
        return ms_fail_alloc(err, file->mem, sizeof(*k), "checksums");
    ms_crc32_init(&k->table);
    ms_status result = MS_OK;
    for (const ms_tensor_checksum *c = file->checksums; c; c = c->next) {
        ms_error problem;
        ms_error_clear(&problem);
        ms_status status = check_one(file, k, c, &problem);
        if (status == MS_OK)
            continue;
        if (result == MS_OK && err)
            *err = problem;
        result = result == MS_OK ? status : result;
        if (report)
            report(arg, problem.message);
        if (status != MS_BAD_MODEL) /* the disk: the next one would not be better */
            break;
    }
    ms_mem_free(k);
    return result;
}
