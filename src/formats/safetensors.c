/*
 * The safetensors format (huggingface/safetensors, "Format" in its README, and the checks of its Rust
 * implementation): 8 bytes length of the header, little-endian; the header, a JSON object from tensor name to
 * {dtype, shape, data_offsets} and perhaps "__metadata__"; then the data, which the tensors' offsets must
 * cover without hole or overlap. Stricter than Rust in that a dimension must fit int64 and a name may hold no
 * NUL.
 */
#include "formats/safetensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/tensor_file_internal.h"
#include "text/json.h"
#include "text/text.h"

_Static_assert(MS_SAFETENSORS_MAX_HEADER_BYTES <= MS_JSON_MAX_BYTES,
               "every header that is allowed is parsed");

typedef struct reader {
    ms_tensor_file *file;
    uint64_t data_start, data_bytes;
    ms_error *err;
} reader;

static ms_status bad_tensor(reader *r, const char *name, const char *fmt, ...) MS_PRINTF(3, 4);

static ms_status bad_tensor(reader *r, const char *name, const char *fmt, ...) {
    char q[MS_QUOTE_BYTES], what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return ms_fail(r->err, MS_BAD_MODEL, "tensor \"%s\": %s", ms_quote(q, name, strlen(name)), what);
}

static ms_status read_dtype(reader *r, const ms_json *member, ms_dtype *ret_dtype) {
    static const char *const names[MS_DTYPE_COUNT] = {
#define X(name, bytes, text, st) st,
        MS_DTYPE_MAP(X)
#undef X
    };
    const ms_json *dtype = ms_json_get(member, "dtype");
    if (!dtype || dtype->type != MS_JSON_STRING)
        return bad_tensor(r, member->key, "has no \"dtype\" text");
    for (int i = 0; i < MS_DTYPE_COUNT; i++) {
        if (strcmp(dtype->string, names[i]) == 0) {
            *ret_dtype = (ms_dtype)i;
            return MS_OK;
        }
    }
    char q[MS_QUOTE_BYTES];
    return bad_tensor(r, member->key, "element type \"%s\" is unknown or not supported",
                      ms_quote(q, dtype->string, strlen(dtype->string)));
}

static ms_status read_shape(reader *r, const ms_json *member, ms_tensor_entry *entry) {
    const ms_json *shape = ms_json_get(member, "shape"), *dim;
    int64_t dims[MS_TENSOR_MAX_RANK];
    int rank = 0;
    if (!shape || shape->type != MS_JSON_ARRAY)
        return bad_tensor(r, member->key, "has no \"shape\" array");
    for (dim = shape->child; dim && rank < MS_TENSOR_MAX_RANK; dim = dim->next, rank++) {
        if (!dim->is_integer || dim->integer < 0)
            return bad_tensor(r, member->key, "dimension %d of its shape is no whole number from 0 to 2^63-1",
                              rank);
        dims[rank] = dim->integer;
    }
    return ms_tensor_set_shape(entry, shape->count, dims, r->err);
}

static ms_status read_offsets(reader *r, const ms_json *member, ms_tensor_entry *entry) {
    const ms_json *offsets = ms_json_get(member, "data_offsets");
    const ms_json *begin = ms_json_at(offsets, 0), *end = ms_json_at(offsets, 1);
    if (!begin || !end || offsets->count != 2)
        return bad_tensor(r, member->key, "has no \"data_offsets\" array of two");
    if (!begin->is_integer || !end->is_integer || begin->integer < 0 || end->integer < begin->integer)
        return bad_tensor(r, member->key, "data_offsets [%.17g, %.17g] are no range of bytes", begin->number,
                          end->number);
    if ((uint64_t)end->integer > r->data_bytes)
        return bad_tensor(r, member->key, "data_offsets [%lld, %lld] lie beyond the %llu bytes of data",
                          (long long)begin->integer, (long long)end->integer,
                          (unsigned long long)r->data_bytes);
    int64_t bytes = end->integer - begin->integer;
    int64_t needed = entry->info.elements * (int64_t)ms_dtype_bytes(entry->info.dtype);
    if (bytes != needed)
        return bad_tensor(
            r, member->key, "its shape takes %lld bytes, its data_offsets [%lld, %lld] hold %lld",
            (long long)needed, (long long)begin->integer, (long long)end->integer, (long long)bytes);
    entry->offset = r->data_start + (uint64_t)begin->integer;
    return MS_OK;
}

static ms_status read_tensor(reader *r, const ms_json *member) {
    ms_tensor_entry *entry = NULL;
    if (member->type != MS_JSON_OBJECT)
        return bad_tensor(r, member->key, "its header entry is no object");
    MS_TRY(ms_tensor_file_new_entry(r->file, member->key, strlen(member->key), &entry, r->err));
    MS_TRY(read_dtype(r, member, &entry->info.dtype));
    MS_TRY(read_shape(r, member, entry));
    MS_TRY(read_offsets(r, member, entry));
    return ms_tensor_file_add(r->file, entry, r->err);
}

static ms_status read_metadata(reader *r, const ms_json *metadata) {
    if (metadata->type == MS_JSON_NULL)
        return MS_OK;
    if (metadata->type != MS_JSON_OBJECT)
        return ms_fail(r->err, MS_BAD_MODEL, "header: \"%s\" is no object", MS_SAFETENSORS_METADATA);
    for (const ms_json *member = metadata->child; member; member = member->next) {
        char q[MS_QUOTE_BYTES];
        size_t length = strlen(member->key);
        if (member->type != MS_JSON_STRING)
            return ms_fail(r->err, MS_BAD_MODEL, "header: \"%s\": \"%s\" is no text", MS_SAFETENSORS_METADATA,
                           ms_quote(q, member->key, length));
        char *name = ms_region_strndup(&r->file->region, member->key, length);
        char *value = ms_region_strndup(&r->file->region, member->string, strlen(member->string));
        if (!name || !value || ms_strmap_add(&r->file->metadata, name, length, value) == MS_STRMAP_NO_MEMORY)
            return ms_fail_alloc(r->err, r->file->mem, length + strlen(member->string), "metadata");
    }
    return MS_OK;
}

static uint64_t end_of(const ms_tensor_entry *entry) {
    return entry->offset + (uint64_t)entry->info.elements * ms_dtype_bytes(entry->info.dtype);
}

static bool before(const ms_tensor_entry *a, const ms_tensor_entry *b) {
    return a->offset != b->offset ? a->offset < b->offset : end_of(a) < end_of(b);
}

static void sift_down(ms_tensor_entry **heap, size_t root, size_t count) {
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && before(heap[child], heap[child + 1]))
            child++;
        if (!before(heap[root], heap[child]))
            return;
        ms_tensor_entry *entry = heap[root];
        heap[root] = heap[child];
        heap[child] = entry;
    }
}

/* By position. Most files are in order already; else heapsort, which no order of names can make slow. */
static void sort_entries(ms_tensor_entry **entries, size_t count) {
    size_t sorted = 1;
    while (sorted < count && !before(entries[sorted], entries[sorted - 1]))
        sorted++;
    if (sorted >= count)
        return;
    for (size_t root = count / 2; root-- > 0;)
        sift_down(entries, root, count);
    for (size_t end = count - 1; end > 0; end--) {
        ms_tensor_entry *last = entries[0];
        entries[0] = entries[end];
        entries[end] = last;
        sift_down(entries, 0, end);
    }
}

static ms_status check_cover(reader *r) {
    uint64_t covered = r->data_start;
    for (size_t i = 0; i < r->file->count; i++) {
        const ms_tensor_entry *entry = r->file->entries[i];
        if (entry->offset != covered)
            return bad_tensor(r, entry->info.name, "its data begins at offset %llu, %s at %llu",
                              (unsigned long long)(entry->offset - r->data_start),
                              entry->offset > covered ? "behind a hole that begins"
                                                      : "but the tensor before it ends",
                              (unsigned long long)(covered - r->data_start));
        covered = end_of(entry);
    }
    if (covered != r->data_start + r->data_bytes)
        return ms_fail(r->err, MS_BAD_MODEL, "its tensors cover %llu of the %llu bytes of data",
                       (unsigned long long)(covered - r->data_start), (unsigned long long)r->data_bytes);
    return MS_OK;
}

static ms_status read_members(reader *r, const ms_json *header) {
    if (header->type != MS_JSON_OBJECT)
        return ms_fail(r->err, MS_BAD_MODEL, "header: is no JSON object");
    for (const ms_json *member = header->child; member; member = member->next) {
        if (strcmp(member->key, MS_SAFETENSORS_METADATA) == 0)
            MS_TRY(read_metadata(r, member));
        else
            MS_TRY(read_tensor(r, member));
    }
    sort_entries(r->file->entries, r->file->count);
    return check_cover(r);
}

static ms_status read_header(reader *r, size_t bytes) {
    ms_json_doc *doc = NULL;
    ms_status status;
    char *text = ms_mem_alloc(r->file->mem, MS_LEDGER_GENERAL, bytes);
    if (!text)
        return ms_fail_alloc(r->err, r->file->mem, bytes, "a safetensors header");
    MS_GOTO(ms_source_read(&r->file->source, MS_SAFETENSORS_LENGTH_BYTES, text, bytes, r->err));
    status = ms_json_parse(r->file->mem, text, bytes, &doc, r->err);
    if (status == MS_INVALID_ARGUMENT)
        status = ms_fail_prefix(r->err, MS_BAD_MODEL, "header");
    if (status == MS_OK)
        status = read_members(r, ms_json_root(doc));
fail:
    ms_json_doc_destroy(&doc);
    ms_mem_free(text);
    return status;
}

ms_status ms_safetensors_read(ms_tensor_file *file, ms_error *err) {
    unsigned char length[MS_SAFETENSORS_LENGTH_BYTES];
    uint64_t header_bytes, file_bytes = file->source.bytes;
    if (file_bytes < sizeof(length))
        return ms_fail(err, MS_BAD_MODEL, "has %llu bytes, too few for a safetensors or torch file",
                       (unsigned long long)file_bytes);
    MS_TRY(ms_source_read(&file->source, 0, length, sizeof(length), err));
    header_bytes = ms_safetensors_header_bytes(length);
    if (header_bytes > MS_SAFETENSORS_MAX_HEADER_BYTES)
        return ms_fail(err, MS_BAD_MODEL,
                       "is no torch file, and as safetensors its header would have %llu bytes, more than %d",
                       (unsigned long long)header_bytes, MS_SAFETENSORS_MAX_HEADER_BYTES);
    if (header_bytes > file_bytes - sizeof(length))
        return ms_fail(err, MS_BAD_MODEL,
                       "its header of %llu bytes does not fit in the file's %llu: is it cut short?",
                       (unsigned long long)header_bytes, (unsigned long long)file_bytes);
    reader r = {.file = file, .err = err};
    r.data_start = sizeof(length) + header_bytes;
    r.data_bytes = file_bytes - r.data_start;
    file->format = "safetensors";
    return read_header(&r, (size_t)header_bytes);
}
