#include "formats/onnx/onnx_file.h"

#include <string.h>

#include "base/error.h"
#include "formats/onnx/onnx_internal.h"
#include "formats/source.h"
#include "memsafe_have.h"

/* Tensors from this size on have a block of their own that can be given back. */
#define LARGE_BYTES ((size_t)16384)
/* An empty node takes 2 bytes in the file and about 170 in memory. Networks with large weights take little
   more than their size, networks without any about 12 times that. */
#define MEMORY_FACTOR 16
#define MEMORY_EXTRA ((size_t)4 << 20)
#define MEMORY_EXTRA_LARGE ((size_t)256 << 20)

typedef struct onnx_block {
    struct onnx_block *previous, *next;
    size_t bytes;
    void *padding; /* the data behind stays aligned to 32 bytes */
} onnx_block;

static void *alloc_block(onnx_owner *o, size_t bytes) {
    onnx_block *block = ms_mem_alloc(o->region.mem, MS_LEDGER_STAGING, sizeof(*block) + bytes);
    if (!block)
        return NULL;
    *block = (onnx_block){.next = o->blocks, .bytes = bytes};
    if (o->blocks)
        o->blocks->previous = block;
    o->blocks = block;
    return block + 1;
}

void *ms_onnx_alloc(onnx_owner *o, size_t bytes) {
    if (bytes > o->limit_bytes - o->used_bytes) {
        o->over_limit = true;
        return NULL;
    }
    o->used_bytes += bytes;
    return bytes >= LARGE_BYTES ? alloc_block(o, bytes) : ms_region_alloc(&o->region, bytes);
}

void *ms_onnx_alloc_array(onnx_owner *o, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        o->over_limit = true;
        return NULL;
    }
    return ms_onnx_alloc(o, total);
}

ms_status(ms_onnx_no_memory)(onnx_owner *o) {
    if (o->over_limit)
        return ms_fail(o->err, MS_BAD_MODEL, "asks for more than %zu bytes of memory for its size",
                       o->limit_bytes);
    return ms_fail_alloc(o->err, o->region.mem, o->used_bytes, "an ONNX file");
}

void ms_onnx_file_close(ms_onnx_file **file) {
    if (!file || !*file)
        return;
    onnx_owner *o = (onnx_owner *)*file;
    while (o->blocks) {
        onnx_block *block = o->blocks;
        o->blocks = block->next;
        ms_mem_free(block);
    }
    ms_region_free(&o->region);
    ms_mem_free(o);
    *file = NULL;
}

void ms_onnx_file_release(ms_onnx_file *file, int32_t value) {
    onnx_owner *o = (onnx_owner *)file;
    /* The table holds constant pointers for readers; the tensors themselves are the owner's. */
    ms_onnx_tensor *t = (ms_onnx_tensor *)(uintptr_t)file->constants[value];
    size_t bytes = t ? (size_t)t->elements * ms_dtype_bytes(t->dtype) : 0;
    if (bytes < LARGE_BYTES || !t->data)
        return;
    onnx_block *block = (onnx_block *)(uintptr_t)t->data - 1;
    if (block->previous)
        block->previous->next = block->next;
    else
        o->blocks = block->next;
    if (block->next)
        block->next->previous = block->previous;
    o->used_bytes -= block->bytes;
    ms_mem_free(block);
    t->data = NULL;
}

static size_t memory_limit(uint64_t bytes) {
    uint64_t small = MEMORY_FACTOR * bytes + MEMORY_EXTRA, large = 2 * bytes + MEMORY_EXTRA_LARGE;
    return (size_t)(small < large ? small : large);
}

static ms_status open_bytes(onnx_owner *o, const char *path, const void *data, size_t bytes) {
    o->limit_bytes = memory_limit(bytes);
    char *copy = ms_region_strndup(&o->region, path, strlen(path));
    if (!copy)
        return ms_onnx_no_memory(o);
    o->file.path = copy;
    return ms_onnx_read(o, data, bytes);
}

ms_status ms_onnx_file_open_memory(ms_mem *mem, const char *name, const void *data, size_t bytes,
                                   ms_onnx_file **ret_file, ms_error *err) {
    if (bytes > MS_ONNX_MAX_FILE_BYTES)
        return ms_fail(err, MS_BAD_MODEL, "%s: has %zu bytes, more than the %llu that are read", name, bytes,
                       (unsigned long long)MS_ONNX_MAX_FILE_BYTES);
    onnx_owner *o = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*o));
    if (!o)
        return ms_fail_alloc(err, mem, sizeof(*o), name);
    ms_region_init(&o->region, mem, SIZE_MAX);
    o->err = err;
    ms_status status = open_bytes(o, name, data, bytes);
    o->err = NULL;
    ms_onnx_file *file = &o->file;
    if (status != MS_OK) {
        ms_onnx_file_close(&file);
        return ms_fail_prefix(err, status, "%s", name);
    }
    *ret_file = file;
    return MS_OK;
}

ms_status ms_onnx_file_open(ms_mem *mem, const char *path, ms_onnx_file **ret_file, ms_error *err) {
    ms_source source;
    ms_status status = ms_source_open(path, &source, err);
    if (status != MS_OK)
        return ms_fail_prefix(err, status, "%s", path);
    void *data = NULL;
    if (source.bytes > MS_ONNX_MAX_FILE_BYTES) {
        status = ms_fail(err, MS_BAD_MODEL, "has %llu bytes, more than the %llu that are read",
                         (unsigned long long)source.bytes, (unsigned long long)MS_ONNX_MAX_FILE_BYTES);
    } else {
        data = ms_mem_alloc(mem, MS_LEDGER_STAGING, (size_t)source.bytes);
        status = data ? ms_source_read(&source, 0, data, (size_t)source.bytes, err)
                      : ms_fail_alloc(err, mem, (size_t)source.bytes, "reading the file");
    }
    ms_source_close(&source);
    if (status != MS_OK)
        status = ms_fail_prefix(err, status, "%s", path);
    else
        status = ms_onnx_file_open_memory(mem, path, data, (size_t)source.bytes, ret_file, err);
    ms_mem_free(data);
    return status;
}

#if !MS_HAVE_ONNX
ms_status ms_onnx_read(onnx_owner *o, const void *data, size_t bytes) {
    (void)data;
    (void)bytes;
    return ms_fail(o->err, MS_UNSUPPORTED,
                   "this build cannot read ONNX files: it was made without protobuf-c (Debian packages "
                   "libprotobuf-c-dev and protobuf-c-compiler)");
}
#endif
