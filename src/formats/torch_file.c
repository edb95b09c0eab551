/*
 * torch.save's zip archive to a directory of tensors. Under one root folder of any name: data.pkl, the
 * pickled object; data/<key>, the bytes of the storages; byteorder ("little"; missing in files before
 * torch 2.1); and members that do not matter here (version, .data/serialization_id, .format_version ...).
 */
#include <stdio.h>
#include <string.h>

#include "base/crc32.h"
#include "base/error.h"
#include "formats/pickle.h"
#include "formats/tensor_file_internal.h"
#include "formats/torch_zip.h"
#include "text/text.h"

/* The pickle of the 1246-tensor UNet has 150 KB. */
#define MAX_PICKLE_BYTES ((uint64_t)16 << 20)
#define MAX_PICKLE_MEMORY ((size_t)64 << 20)
#define MAX_NAME_BYTES 1024
#define MAX_DEPTH 32
/* One pickled dict can appear at many places: this bounds the names that they all give. */
#define MAX_VALUES ((size_t)1 << 16)
#define MAX_NAMES_BYTES ((size_t)16 << 20)

typedef struct reader {
    ms_tensor_file *file;
    ms_zip zip;
    ms_region region; /* the zip directory and the pickled values, for as long as reading takes */
    size_t root_bytes;
    char *pickle;
    char name[MAX_NAME_BYTES + 1];          /* of the value that is being looked at */
    size_t name_bytes, values, names_bytes; /* names_bytes: of all values so far */
    ms_error *err;
} reader;

static ms_status bad_value(reader *r, const char *what) {
    char q[MS_QUOTE_BYTES];
    return ms_fail(r->err, MS_BAD_MODEL, "\"%s\": %s", ms_quote(q, r->name, r->name_bytes), what);
}

/* "<root>/<name>", NULL when there is no such member. */
static ms_zip_member *find_member(reader *r, const char *name, size_t length) {
    char path[2 * MAX_NAME_BYTES];
    const char *root = r->zip.members[0].name;
    if (r->root_bytes + length >= sizeof(path))
        return NULL;
    memcpy(path, root, r->root_bytes);
    memcpy(path + r->root_bytes, name, length);
    return ms_zip_find(&r->zip, path, r->root_bytes + length);
}

static ms_status find_root(reader *r) {
    const char *first = r->zip.count ? r->zip.members[0].name : "", *slash = strchr(first, '/');
    if (!slash)
        return ms_fail(r->err, MS_BAD_MODEL,
                       "is a zip archive, but not one of torch.save's: nothing lies in a folder");
    r->root_bytes = (size_t)(slash - first) + 1;
    if (find_member(r, "constants.pkl", 13))
        return ms_fail(r->err, MS_BAD_MODEL,
                       "is a TorchScript program; only checkpoints (torch.save of a state dict) are read");
    if (!find_member(r, "data.pkl", 8))
        return ms_fail(r->err, MS_BAD_MODEL,
                       "is a zip archive, but not one of torch.save's: it has no %.*sdata.pkl",
                       (int)(r->root_bytes < 100 ? r->root_bytes : 100), first);
    return MS_OK;
}

static ms_status read_member(reader *r, ms_zip_member *member, void *dst) {
    MS_TRY(ms_zip_locate(&r->zip, member, r->err));
    return ms_source_read(&r->file->source, member->data_offset, dst, (size_t)member->bytes, r->err);
}

static ms_status check_byte_order(reader *r) {
    ms_zip_member *member = find_member(r, "byteorder", 9);
    char order[8] = "";
    if (!member)
        return MS_OK;
    if (member->bytes < sizeof(order))
        MS_TRY(read_member(r, member, order));
    if (strcmp(order, "little") != 0)
        return ms_fail(r->err, MS_BAD_MODEL, "its byte order is not little-endian");
    return MS_OK;
}

static ms_status check_crc(reader *r, const ms_zip_member *member) {
    ms_crc32_table *table = ms_mem_alloc(r->file->mem, MS_LEDGER_GENERAL, sizeof(*table));
    if (!table)
        return ms_fail_alloc(r->err, r->file->mem, sizeof(*table), "a checksum");
    ms_crc32_init(table);
    uint32_t crc = ms_crc32(table, 0, r->pickle, (size_t)member->bytes);
    ms_mem_free(table);
    if (member->crc && crc != member->crc)
        return ms_fail(r->err, MS_BAD_MODEL, "data.pkl is damaged: its CRC-32 is %08x, not %08x", crc,
                       member->crc);
    return MS_OK;
}

static ms_status read_pickle(reader *r, ms_pickle_value *ret_value) {
    ms_zip_member *member = find_member(r, "data.pkl", 8);
    if (member->bytes > MAX_PICKLE_BYTES)
        return ms_fail(r->err, MS_BAD_MODEL, "data.pkl has %llu bytes, more than %llu",
                       (unsigned long long)member->bytes, (unsigned long long)MAX_PICKLE_BYTES);
    r->pickle = ms_mem_alloc(r->file->mem, MS_LEDGER_GENERAL, (size_t)member->bytes);
    if (!r->pickle)
        return ms_fail_alloc(r->err, r->file->mem, (size_t)member->bytes, "data.pkl");
    MS_TRY(read_member(r, member, r->pickle));
    MS_TRY(check_crc(r, member));
    ms_status status = ms_pickle_read(&r->region, r->pickle, (size_t)member->bytes, ret_value, r->err);
    return status == MS_OK ? MS_OK : ms_fail_prefix(r->err, status, "data.pkl");
}

/* Where the storage's bytes lie, and that there are as many as it says. */
static ms_status find_storage(reader *r, const ms_pickle_storage *storage, ms_zip_member **ret_member) {
    char key[MAX_NAME_BYTES], q[MS_QUOTE_BYTES], what[MS_QUOTE_BYTES + 128];
    ms_quote(q, storage->key.data, storage->key.length);
    int n = snprintf(key, sizeof(key), "data/");
    ms_zip_member *member = NULL;
    if (storage->key.length < sizeof(key) - (size_t)n) {
        memcpy(key + n, storage->key.data, storage->key.length);
        member = find_member(r, key, (size_t)n + storage->key.length);
    }
    if (!member) {
        snprintf(what, sizeof(what), "its storage data/%s is not in the archive", q);
        return bad_value(r, what);
    }
    int64_t bytes, element = storage->untyped ? 1 : (int64_t)ms_dtype_bytes(storage->dtype);
    if (storage->elements < 0 || __builtin_mul_overflow(storage->elements, element, &bytes) ||
        (uint64_t)bytes != member->bytes) {
        snprintf(what, sizeof(what), "its storage data/%s has %llu bytes in place of %lld elements of %lld",
                 q, (unsigned long long)member->bytes, (long long)storage->elements, (long long)element);
        return bad_value(r, what);
    }
    MS_TRY(ms_zip_locate(&r->zip, member, r->err));
    *ret_member = member;
    return MS_OK;
}

/* For ms_tensor_file_check(); a storage that several tensors share is there once. */
static ms_status note_checksum(reader *r, ms_zip_member *member) {
    if (member->checksummed || !member->crc)
        return MS_OK;
    ms_tensor_checksum *c = ms_region_alloc(&r->file->region, sizeof(*c));
    char *part = ms_region_strndup(&r->file->region, member->name, strlen(member->name));
    char *tensor = ms_region_strndup(&r->file->region, r->name, r->name_bytes);
    if (!c || !part || !tensor)
        return ms_fail_alloc(r->err, r->file->mem, sizeof(*c), "a checksum");
    *c = (ms_tensor_checksum){.part = part,
                              .tensor = tensor,
                              .offset = member->data_offset,
                              .bytes = member->bytes,
                              .crc = member->crc};
    *r->file->checksums_end = c;
    r->file->checksums_end = &c->next;
    member->checksummed = true;
    return MS_OK;
}

/* Takes over strides and offset; checks that the view stays inside the storage's elements. */
static ms_status set_view(reader *r, const ms_pickle_tensor *tensor, uint64_t storage_bytes,
                          ms_tensor_entry *entry) {
    int64_t last = tensor->offset, row_major = 1;
    bool inside = tensor->offset >= 0;
    char what[128];
    for (int d = entry->info.rank - 1; d >= 0; d--) {
        int64_t stride = tensor->stride->at[d].integer, size = entry->info.shape[d], reach;
        if (stride < 0) {
            snprintf(what, sizeof(what), "its stride in dimension %d is %lld", d, (long long)stride);
            return bad_value(r, what);
        }
        entry->stride[d] = stride;
        if (entry->info.elements == 0)
            continue;
        if (size > 1 && stride != row_major)
            entry->info.contiguous = false;
        row_major *= size;
        inside = inside && !__builtin_mul_overflow(size - 1, stride, &reach) &&
                 !__builtin_add_overflow(last, reach, &last);
    }
    int64_t elements = (int64_t)(storage_bytes / ms_dtype_bytes(entry->info.dtype));
    if (!inside || (entry->info.elements && last >= elements)) {
        snprintf(what, sizeof(what),
                 "its view from element %lld on reaches outside its storage of %lld elements",
                 (long long)tensor->offset, (long long)elements);
        return bad_value(r, what);
    }
    return MS_OK;
}

static ms_status add_tensor(reader *r, const ms_pickle_tensor *tensor) {
    ms_tensor_entry *entry = NULL;
    ms_zip_member *member = NULL;
    int64_t shape[MS_TENSOR_MAX_RANK] = {0};
    for (size_t d = 0; d < tensor->size->count && d < MS_TENSOR_MAX_RANK; d++)
        shape[d] = tensor->size->at[d].integer;
    MS_TRY(find_storage(r, tensor->storage, &member));
    MS_TRY(note_checksum(r, member));
    MS_TRY(ms_tensor_file_new_entry(r->file, r->name, r->name_bytes, &entry, r->err));
    entry->info.dtype = tensor->dtype;
    MS_TRY(ms_tensor_set_shape(entry, (int64_t)tensor->size->count, shape, r->err));
    MS_TRY(set_view(r, tensor, member->bytes, entry));
    /* An empty tensor's offset may lie anywhere: nothing is ever read there. */
    entry->offset = member->data_offset;
    if (entry->info.elements)
        entry->offset += (uint64_t)tensor->offset * ms_dtype_bytes(tensor->dtype);
    return ms_tensor_file_add(r->file, entry, r->err);
}

static ms_status add_integer(reader *r, int64_t integer) {
    int64_t *own = ms_region_alloc(&r->file->region, sizeof(*own));
    char *name = ms_region_strndup(&r->file->region, r->name, r->name_bytes);
    ms_strmap_result result = MS_STRMAP_NO_MEMORY;
    if (own && name) {
        *own = integer;
        result = ms_strmap_add(&r->file->integers, name, r->name_bytes, own);
    }
    if (result == MS_STRMAP_NO_MEMORY)
        return ms_fail_alloc(r->err, r->file->mem, r->name_bytes, "an integer");
    return result == MS_STRMAP_ADDED ? MS_OK : bad_value(r, "two integers have this name");
}

static ms_status add_value(reader *r, const ms_pickle_value *value, int depth);

/* Appends ".part" to the name, adds the value and takes the part off again. */
static ms_status add_named(reader *r, const char *part, size_t length, const ms_pickle_value *value,
                           int depth) {
    size_t before = r->name_bytes, at = before;
    bool nameless = depth == 0; /* the outermost value has no name, not even an empty one */
    if (length + 1 > MAX_NAME_BYTES - before)
        return bad_value(r, "the names in it are too long");
    if (!nameless)
        r->name[at++] = '.';
    memcpy(r->name + at, part, length);
    r->name_bytes = at + length;
    MS_TRY(add_value(r, value, depth + 1));
    r->name_bytes = before;
    return MS_OK;
}

static ms_status add_dict(reader *r, const ms_pickle_items *dict, int depth) {
    char number[24];
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        const ms_pickle_value *key = &dict->at[i];
        const char *text = number;
        size_t length;
        if (key->type == MS_PICKLE_TEXT) {
            text = key->text->data;
            length = key->text->length;
            if (memchr(text, 0, length) || ms_utf8_valid_bytes(text, length) < length)
                return bad_value(r, "a key in it is no valid text");
        } else if (key->type == MS_PICKLE_INTEGER) {
            length = (size_t)snprintf(number, sizeof(number), "%lld", (long long)key->integer);
        } else {
            return bad_value(r, "a key in it is neither text nor an integer");
        }
        MS_TRY(add_named(r, text, length, &dict->at[i + 1], depth));
    }
    return MS_OK;
}

static ms_status add_list(reader *r, const ms_pickle_items *list, int depth) {
    char number[24];
    for (size_t i = 0; i < list->count; i++) {
        int n = snprintf(number, sizeof(number), "%zu", i);
        MS_TRY(add_named(r, number, (size_t)n, &list->at[i], depth));
    }
    return MS_OK;
}

static ms_status add_value(reader *r, const ms_pickle_value *value, int depth) {
    if (depth > MAX_DEPTH)
        return bad_value(r, "is nested too deep");
    if (++r->values > MAX_VALUES)
        return bad_value(r, "the file holds too many values");
    r->names_bytes += r->name_bytes;
    if (r->names_bytes > MAX_NAMES_BYTES)
        return bad_value(r, "the names in the file are too long altogether");
    if (value->type == MS_PICKLE_DICT)
        return add_dict(r, value->items, depth);
    if (value->type == MS_PICKLE_LIST || value->type == MS_PICKLE_TUPLE)
        return add_list(r, value->items, depth);
    if (depth == 0)
        return ms_fail(r->err, MS_BAD_MODEL, "holds %s, not a dict of tensors",
                       ms_pickle_type_name(value->type));
    if (value->type == MS_PICKLE_TENSOR)
        return add_tensor(r, value->tensor);
    if (value->type == MS_PICKLE_INTEGER)
        return add_integer(r, value->integer);
    return MS_OK;
}

static ms_status read_archive(reader *r) {
    ms_pickle_value value = {0};
    MS_TRY(ms_zip_read(&r->file->source, &r->region, &r->zip, r->err));
    MS_TRY(find_root(r));
    MS_TRY(check_byte_order(r));
    MS_TRY(read_pickle(r, &value));
    return add_value(r, &value, 0);
}

ms_status ms_torch_read(ms_tensor_file *file, ms_error *err) {
    reader *r = ms_mem_calloc(file->mem, MS_LEDGER_GENERAL, 1, sizeof(*r));
    if (!r)
        return ms_fail_alloc(err, file->mem, sizeof(*r), "a torch file");
    r->file = file;
    r->err = err;
    file->format = "torch";
    ms_region_init(&r->region, file->mem, MAX_PICKLE_MEMORY);
    ms_status status = read_archive(r);
    ms_mem_free(r->pickle);
    ms_region_free(&r->region);
    ms_mem_free(r);
    return status;
}
