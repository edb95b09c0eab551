#include "formats/tensor_file.h"

#include <string.h>

#include "base/error.h"
#include "formats/safetensors.h"
#include "formats/tensor_file_internal.h"
#include "text/text.h"

ms_status ms_tensor_set_shape(ms_tensor_entry *entry, int64_t rank, const int64_t *shape, ms_error *err) {
    ms_tensor_info *info = &entry->info;
    char q[MS_QUOTE_BYTES];
    ms_quote(q, info->name, strlen(info->name));
    if (rank > MS_TENSOR_MAX_RANK)
        return ms_fail(err, MS_BAD_MODEL, "tensor \"%s\": %lld dimensions, more than %d", q, (long long)rank,
                       MS_TENSOR_MAX_RANK);
    info->rank = (int)rank;
    info->elements = 1;
    info->contiguous = true;
    for (int d = 0; d < info->rank; d++) {
        if (shape[d] < 0)
            return ms_fail(err, MS_BAD_MODEL, "tensor \"%s\": dimension %d of its shape is %lld", q, d,
                           (long long)shape[d]);
        info->shape[d] = shape[d];
        if (shape[d] == 0)
            info->elements = 0;
    }
    int64_t step = 1, bytes;
    for (int d = info->rank - 1; d >= 0; d--) {
        entry->stride[d] = step;
        if (info->elements && __builtin_mul_overflow(step, shape[d], &step))
            return ms_fail(err, MS_BAD_MODEL, "tensor \"%s\": the product of its shape overflows", q);
    }
    if (info->elements)
        info->elements = step;
    if (__builtin_mul_overflow(info->elements, (int64_t)ms_dtype_bytes(info->dtype), &bytes))
        return ms_fail(err, MS_BAD_MODEL, "tensor \"%s\": the product of its shape overflows", q);
    return MS_OK;
}

static bool grow(ms_tensor_file *file) {
    size_t capacity = file->capacity ? file->capacity * 2 : 64;
    ms_tensor_entry **entries = ms_region_alloc_array(&file->region, capacity, sizeof(ms_tensor_entry *));
    if (!entries)
        return false;
    if (file->count)
        memcpy(entries, file->entries, file->count * sizeof(ms_tensor_entry *));
    file->entries = entries;
    file->capacity = capacity;
    return true;
}

ms_status ms_tensor_file_new_entry(ms_tensor_file *file, const char *name, size_t length,
                                   ms_tensor_entry **ret_entry, ms_error *err) {
    ms_tensor_entry *entry = ms_region_alloc(&file->region, sizeof(*entry));
    char *own_name = ms_region_strndup(&file->region, name, length);
    if (!entry || !own_name)
        return ms_fail_alloc(err, file->mem, sizeof(*entry) + length, "a tensor's entry");
    memset(entry, 0, sizeof(*entry));
    entry->info.name = own_name;
    *ret_entry = entry;
    return MS_OK;
}

ms_status ms_tensor_file_add(ms_tensor_file *file, ms_tensor_entry *entry, ms_error *err) {
    if (file->count == file->capacity && !grow(file))
        return ms_fail_alloc(err, file->mem, 2 * file->capacity * sizeof(entry), "the list of tensors");
    const char *name = entry->info.name;
    char q[MS_QUOTE_BYTES];
    ms_strmap_result result = ms_strmap_add(&file->names, name, strlen(name), entry);
    if (result == MS_STRMAP_NO_MEMORY)
        return ms_fail_alloc(err, file->mem, 2 * file->count * sizeof(entry), "the table of tensor names");
    if (result == MS_STRMAP_PRESENT)
        return ms_fail(err, MS_BAD_MODEL, "two tensors are named \"%s\"", ms_quote(q, name, strlen(name)));
    file->entries[file->count++] = entry;
    return MS_OK;
}

static bool begins(const unsigned char *head, size_t bytes, const void *with, size_t with_bytes) {
    return bytes >= with_bytes && memcmp(head, with, with_bytes) == 0;
}

/* What people have under such names that is neither format. */
static ms_status refuse_by_content(const unsigned char *head, size_t bytes, ms_error *err) {
    /* PROTO 2 and the number 0x1950a86a20f9469cfc6c, with which torch.save began before 1.6 */
    static const unsigned char old_torch[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a};
    static const char lfs[] = "version https://git-lfs";
    if (bytes == 0)
        return ms_fail(err, MS_BAD_MODEL, "is empty (0 bytes)");
    if (begins(head, bytes, lfs, sizeof(lfs) - 1))
        return ms_fail(err, MS_BAD_MODEL,
                       "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`");
    if (begins(head, bytes, "<!DOC", 5) || begins(head, bytes, "<html", 5))
        return ms_fail(err, MS_BAD_MODEL, "is a web page, not a model; the download went wrong");
    if (begins(head, bytes, old_torch, sizeof(old_torch)))
        return ms_fail(
            err, MS_BAD_MODEL,
            "is in torch.save's format from before torch 1.6, which is not read; convert it with: python3 -c "
            "\"import sys, torch; torch.save(torch.load(sys.argv[1], map_location='cpu', "
            "weights_only=True), sys.argv[2])\" OLD.pt NEW.pt");
    /* The length of a safetensors header may begin with these two bytes too, but then it is plausible. */
    if (head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 &&
        (bytes < 8 || ms_safetensors_header_bytes(head) > MS_SAFETENSORS_MAX_HEADER_BYTES))
        return ms_fail(
            err, MS_BAD_MODEL,
            "is a bare pickle, which is not read (nothing was executed); save its tensors with torch.save "
            "or as safetensors");
    return MS_OK;
}

static ms_status read_directory(ms_tensor_file *file, ms_error *err) {
    unsigned char head[32] = {0};
    size_t bytes = file->source.bytes < sizeof(head) ? (size_t)file->source.bytes : sizeof(head);
    MS_TRY(ms_source_read(&file->source, 0, head, bytes, err));
    MS_TRY(refuse_by_content(head, bytes, err));
    bool zip = begins(head, bytes, "PK\3\4", 4) || begins(head, bytes, "PK\5\6", 4);
    return zip ? ms_torch_read(file, err) : ms_safetensors_read(file, err);
}

static ms_status open_source(ms_mem *mem, const char *path, const ms_source *source,
                             ms_tensor_file **ret_file, ms_error *err) {
    ms_tensor_file *file = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*file));
    if (!file)
        return ms_fail_alloc(err, mem, sizeof(*file), "a tensor file");
    file->mem = mem;
    file->source = *source;
    ms_region_init(&file->region, mem, SIZE_MAX);
    ms_strmap_init(&file->names, &file->region);
    ms_strmap_init(&file->integers, &file->region);
    ms_strmap_init(&file->metadata, &file->region);
    file->checksums_end = &file->checksums;
    file->path = ms_region_strndup(&file->region, path, strlen(path));
    ms_status status =
        file->path ? read_directory(file, err) : ms_fail_alloc(err, mem, strlen(path), "a path");
    if (status != MS_OK) {
        file->source.fd = -1; /* the caller's */
        ms_tensor_file_close(&file);
        return ms_fail_prefix(err, status, "%s", path);
    }
    *ret_file = file;
    return MS_OK;
}

ms_status ms_tensor_file_open(ms_mem *mem, const char *path, ms_tensor_file **ret_file, ms_error *err) {
    ms_source source;
    ms_status status = ms_source_open(path, &source, err);
    if (status != MS_OK)
        return ms_fail_prefix(err, status, "%s", path);
    status = open_source(mem, path, &source, ret_file, err);
    if (status != MS_OK)
        ms_source_close(&source);
    return status;
}

ms_status ms_tensor_file_open_memory(ms_mem *mem, const char *name, const void *data, size_t bytes,
                                     ms_tensor_file **ret_file, ms_error *err) {
    ms_source source = ms_source_from_memory(data, bytes);
    return open_source(mem, name, &source, ret_file, err);
}

void ms_tensor_file_close(ms_tensor_file **file) {
    if (!file || !*file)
        return;
    ms_source_close(&(*file)->source);
    ms_region_free(&(*file)->region);
    ms_mem_free(*file);
    *file = NULL;
}

const char *ms_tensor_file_path(const ms_tensor_file *file) {
    return file->path;
}

const char *ms_tensor_file_format(const ms_tensor_file *file) {
    return file->format;
}

size_t ms_tensor_file_count(const ms_tensor_file *file) {
    return file->count;
}

uint64_t ms_tensor_file_bytes(const ms_tensor_file *file) {
    return file->source.bytes;
}

const ms_tensor_info *ms_tensor_file_get(const ms_tensor_file *file, size_t index) {
    return index < file->count ? &file->entries[index]->info : NULL;
}

const ms_tensor_info *ms_tensor_file_find(const ms_tensor_file *file, const char *name) {
    const ms_tensor_entry *entry = ms_strmap_find(&file->names, name, strlen(name));
    return entry ? &entry->info : NULL;
}

bool ms_tensor_file_integer(const ms_tensor_file *file, const char *name, int64_t *ret_value) {
    const int64_t *value = ms_strmap_find(&file->integers, name, strlen(name));
    if (!value)
        return false;
    *ret_value = *value;
    return true;
}

const char *ms_tensor_file_metadata(const ms_tensor_file *file, const char *name) {
    return ms_strmap_find(&file->metadata, name, strlen(name));
}
