#include "formats/torch_zip.h"

#include <string.h>

#include "base/error.h"
#include "formats/zip_format.h"
#include "text/text.h"

/* 1 GB of directory would be 16 million tensors; 64 MiB still are a million. */
#define MAX_DIRECTORY_BYTES ((uint64_t)64 << 20)
#define MAX_NAME_BYTES 1024

static uint64_t get(const unsigned char *p, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static ms_status no_memory(const ms_zip *zip, size_t bytes, ms_error *err) {
    return ms_fail_alloc(err, zip->region->mem, bytes, "a zip directory");
}

/* The end record is the last thing in the file; behind it there may be a comment of up to 64 KiB. */
static ms_status find_end(const ms_zip *zip, unsigned char *ret_end, uint64_t *ret_offset, ms_error *err) {
    uint64_t file_bytes = zip->source->bytes;
    size_t bytes = file_bytes < ZIP_END_BYTES + 0xffff ? (size_t)file_bytes : ZIP_END_BYTES + 0xffff;
    unsigned char *tail = ms_mem_alloc(zip->region->mem, MS_LEDGER_GENERAL, bytes);
    if (!tail)
        return no_memory(zip, bytes, err);
    ms_status status = ms_source_read(zip->source, file_bytes - bytes, tail, bytes, err);
    bool found = false;
    for (size_t at = bytes; status == MS_OK && !found && at-- > 0;) {
        const unsigned char *p = tail + at;
        size_t behind = bytes - at;
        found = behind >= ZIP_END_BYTES && get(p, 4) == ZIP_END && get(p + 20, 2) == behind - ZIP_END_BYTES;
        if (found) {
            memcpy(ret_end, p, ZIP_END_BYTES);
            *ret_offset = file_bytes - behind;
        }
    }
    ms_mem_free(tail);
    if (status == MS_OK && !found)
        return ms_fail(err, MS_BAD_MODEL, "is a zip archive without its end: is it cut short?");
    return status;
}

/* A field of the end record, or of the zip64 one where the former says so. Both must agree else. */
static bool merge(uint64_t small, uint64_t small_max, uint64_t large, uint64_t *ret_value) {
    *ret_value = large;
    return small == large || small == small_max;
}

static ms_status disagree(ms_error *err) {
    return ms_fail(err, MS_BAD_MODEL, "is a damaged zip archive: its two end records disagree");
}

/* Reads the zip64 end record when there is a locator before the end record. *end_offset becomes where the
   directory must end. */
static ms_status read_zip64_end(ms_zip *zip, const unsigned char *end, uint64_t *end_offset, uint64_t *count,
                                ms_error *err) {
    unsigned char locator[ZIP64_LOCATOR_BYTES], end64[ZIP64_END_BYTES];
    if (*end_offset < ZIP64_LOCATOR_BYTES)
        return MS_OK;
    MS_TRY(ms_source_read(zip->source, *end_offset - ZIP64_LOCATOR_BYTES, locator, sizeof(locator), err));
    if (get(locator, 4) != ZIP64_LOCATOR)
        return MS_OK;
    uint64_t end64_offset = get(locator + 8, 8);
    if (end64_offset > *end_offset - ZIP64_LOCATOR_BYTES ||
        *end_offset - ZIP64_LOCATOR_BYTES - end64_offset < ZIP64_END_BYTES)
        return ms_fail(err, MS_BAD_MODEL,
                       "is a damaged zip archive: its zip64 end record is said to be at byte %llu",
                       (unsigned long long)end64_offset);
    MS_TRY(ms_source_read(zip->source, end64_offset, end64, sizeof(end64), err));
    if (get(end64, 4) != ZIP64_END)
        return ms_fail(err, MS_BAD_MODEL,
                       "is a damaged zip archive: there is no zip64 end record at byte %llu",
                       (unsigned long long)end64_offset);
    if (!merge(get(end + 10, 2), 0xffff, get(end64 + 32, 8), count) ||
        !merge(get(end + 12, 4), 0xffffffff, get(end64 + 40, 8), &zip->directory_bytes) ||
        !merge(get(end + 16, 4), 0xffffffff, get(end64 + 48, 8), &zip->directory_offset))
        return disagree(err);
    if (get(end64 + 16, 4) || get(end64 + 20, 4) || get(end64 + 24, 8) != *count)
        return ms_fail(err, MS_BAD_MODEL, "is one part of a zip archive in several");
    *end_offset = end64_offset;
    return MS_OK;
}

static ms_status read_end(ms_zip *zip, uint64_t *ret_count, ms_error *err) {
    unsigned char end[ZIP_END_BYTES];
    uint64_t end_offset = 0;
    MS_TRY(find_end(zip, end, &end_offset, err));
    if (get(end + 4, 2) || get(end + 6, 2) || get(end + 8, 2) != get(end + 10, 2))
        return ms_fail(err, MS_BAD_MODEL, "is one part of a zip archive in several");
    *ret_count = get(end + 10, 2);
    zip->directory_bytes = get(end + 12, 4);
    zip->directory_offset = get(end + 16, 4);
    MS_TRY(read_zip64_end(zip, end, &end_offset, ret_count, err));
    if (zip->directory_offset > end_offset || end_offset - zip->directory_offset != zip->directory_bytes)
        return ms_fail(
            err, MS_BAD_MODEL,
            "is a damaged zip archive: %llu bytes of directory at byte %llu do not end at byte %llu",
            (unsigned long long)zip->directory_bytes, (unsigned long long)zip->directory_offset,
            (unsigned long long)end_offset);
    if (zip->directory_bytes > MAX_DIRECTORY_BYTES)
        return ms_fail(err, MS_BAD_MODEL, "has a zip directory of %llu bytes, more than %llu",
                       (unsigned long long)zip->directory_bytes, (unsigned long long)MAX_DIRECTORY_BYTES);
    if (*ret_count > zip->directory_bytes / ZIP_CENTRAL_BYTES)
        return ms_fail(err, MS_BAD_MODEL, "is a damaged zip archive: %llu members in %llu bytes of directory",
                       (unsigned long long)*ret_count, (unsigned long long)zip->directory_bytes);
    return MS_OK;
}

static bool is_safe_name(const char *name, size_t length) {
    if (length == 0 || length > MAX_NAME_BYTES || name[0] == '/' || memchr(name, 0, length) ||
        memchr(name, '\\', length) || ms_utf8_valid_bytes(name, length) < length)
        return false;
    for (size_t at = 0; at < length;) {
        const char *slash = memchr(name + at, '/', length - at);
        size_t part = slash ? (size_t)(slash - name) - at : length - at;
        if (part == 2 && name[at] == '.' && name[at + 1] == '.')
            return false;
        at += part + 1;
    }
    return true;
}

/* Sizes and offset that do not fit 32 bits are in the zip64 extra field, in this order and only then. */
static bool read_zip64_extra(const unsigned char *extra, size_t length, uint64_t *const fields[3]) {
    bool wanted = *fields[0] == 0xffffffff || *fields[1] == 0xffffffff || *fields[2] == 0xffffffff;
    while (wanted && length >= 4) {
        size_t bytes = (size_t)get(extra + 2, 2), at = 4;
        if (bytes > length - 4)
            return false;
        if (get(extra, 2) == ZIP64_EXTRA) {
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != 0xffffffff)
                    continue;
                if (at + 8 > 4 + bytes)
                    return false;
                *fields[i] = get(extra + at, 8);
                at += 8;
            }
            return true;
        }
        extra += 4 + bytes;
        length -= 4 + bytes;
    }
    return !wanted;
}

static ms_status check_member(const ms_zip_member *member, const char *q, unsigned flags, uint64_t packed,
                              const ms_zip *zip, ms_error *err) {
    if (flags & (ZIP_ENCRYPTED | ZIP_PATCHED | ZIP_MASKED))
        return ms_fail(err, MS_BAD_MODEL, "zip member \"%s\" is encrypted", q);
    if (member->method == ZIP_STORED && packed != member->bytes)
        return ms_fail(err, MS_BAD_MODEL, "zip member \"%s\" is stored, yet has %llu bytes in place of %llu",
                       q, (unsigned long long)packed, (unsigned long long)member->bytes);
    if (member->header_offset > zip->directory_offset ||
        packed > zip->directory_offset - member->header_offset)
        return ms_fail(err, MS_BAD_MODEL,
                       "zip member \"%s\": its %llu bytes at byte %llu run into the directory", q,
                       (unsigned long long)packed, (unsigned long long)member->header_offset);
    return MS_OK;
}

/* One entry of the directory; *at moves behind it. */
static ms_status read_entry(ms_zip *zip, const unsigned char *directory, size_t *at, ms_error *err) {
    const unsigned char *p = directory + *at;
    size_t left = (size_t)zip->directory_bytes - *at;
    if (left < ZIP_CENTRAL_BYTES || get(p, 4) != ZIP_CENTRAL)
        return ms_fail(err, MS_BAD_MODEL, "is a damaged zip archive: no directory entry at byte %llu",
                       (unsigned long long)(zip->directory_offset + *at));
    size_t name_bytes = (size_t)get(p + 28, 2), extra_bytes = (size_t)get(p + 30, 2);
    size_t bytes = ZIP_CENTRAL_BYTES + name_bytes + extra_bytes + (size_t)get(p + 32, 2);
    if (left < bytes)
        return ms_fail(err, MS_BAD_MODEL, "is a damaged zip archive: its directory ends within an entry");
    ms_zip_member *member = &zip->members[zip->count];
    const char *name = (const char *)p + ZIP_CENTRAL_BYTES;
    char q[MS_QUOTE_BYTES];
    ms_quote(q, name, name_bytes);
    if (!is_safe_name(name, name_bytes))
        return ms_fail(err, MS_BAD_MODEL, "zip member \"%s\": a name that no checkpoint has", q);
    uint64_t packed = get(p + 20, 4);
    *member = (ms_zip_member){.bytes = get(p + 24, 4),
                              .header_offset = get(p + 42, 4),
                              .crc = (uint32_t)get(p + 16, 4),
                              .method = (uint16_t)get(p + 10, 2)};
    if (!read_zip64_extra(p + ZIP_CENTRAL_BYTES + name_bytes, extra_bytes,
                          (uint64_t *const[3]){&member->bytes, &packed, &member->header_offset}))
        return ms_fail(err, MS_BAD_MODEL, "zip member \"%s\": its zip64 sizes are missing", q);
    MS_TRY(check_member(member, q, (unsigned)get(p + 8, 2), packed, zip, err));
    member->name = ms_region_strndup(zip->region, name, name_bytes);
    if (!member->name)
        return no_memory(zip, name_bytes, err);
    ms_strmap_result result = ms_strmap_add(&zip->names, member->name, name_bytes, member);
    if (result == MS_STRMAP_PRESENT)
        return ms_fail(err, MS_BAD_MODEL, "has two zip members named \"%s\"", q);
    if (result == MS_STRMAP_NO_MEMORY)
        return no_memory(zip, zip->count * sizeof(*member), err);
    zip->count++;
    *at += bytes;
    return MS_OK;
}

static ms_status read_directory(ms_zip *zip, uint64_t count, ms_error *err) {
    size_t bytes = (size_t)zip->directory_bytes, at = 0;
    unsigned char *directory = ms_mem_alloc(zip->region->mem, MS_LEDGER_GENERAL, bytes);
    zip->members = ms_region_alloc_array(zip->region, (size_t)count, sizeof(*zip->members));
    if (!directory || !zip->members) {
        ms_mem_free(directory);
        return no_memory(zip, bytes, err);
    }
    ms_status status = ms_source_read(zip->source, zip->directory_offset, directory, bytes, err);
    while (status == MS_OK && zip->count < count)
        status = read_entry(zip, directory, &at, err);
    ms_mem_free(directory);
    if (status == MS_OK && at != bytes)
        return ms_fail(err, MS_BAD_MODEL,
                       "is a damaged zip archive: %zu bytes of directory follow its last entry", bytes - at);
    return status;
}

ms_status ms_zip_read(const ms_source *source, ms_region *region, ms_zip *ret_zip, ms_error *err) {
    ms_zip zip = {.source = source, .region = region};
    uint64_t count = 0;
    ms_strmap_init(&zip.names, region);
    MS_TRY(read_end(&zip, &count, err));
    MS_TRY(read_directory(&zip, count, err));
    *ret_zip = zip;
    return MS_OK;
}

ms_zip_member *ms_zip_find(const ms_zip *zip, const char *name, size_t length) {
    return ms_strmap_find(&zip->names, name, length);
}

ms_status ms_zip_locate(const ms_zip *zip, ms_zip_member *member, ms_error *err) {
    unsigned char header[ZIP_LOCAL_BYTES + MAX_NAME_BYTES];
    size_t name_bytes = strlen(member->name), bytes = ZIP_LOCAL_BYTES + name_bytes;
    char q[MS_QUOTE_BYTES];
    if (member->data_offset)
        return MS_OK;
    ms_quote(q, member->name, name_bytes);
    if (member->method != ZIP_STORED)
        return ms_fail(
            err, MS_BAD_MODEL,
            "zip member \"%s\" is compressed (method %u); torch.save stores without compression, so save it "
            "with that again",
            q, member->method);
    if (bytes > zip->directory_offset - member->header_offset)
        return ms_fail(err, MS_BAD_MODEL, "zip member \"%s\": its local header runs into the directory", q);
    MS_TRY(ms_source_read(zip->source, member->header_offset, header, bytes, err));
    if (get(header, 4) != ZIP_LOCAL || get(header + 8, 2) != ZIP_STORED ||
        get(header + 26, 2) != name_bytes || memcmp(header + ZIP_LOCAL_BYTES, member->name, name_bytes) != 0)
        return ms_fail(err, MS_BAD_MODEL, "zip member \"%s\": the local header at byte %llu is not its own",
                       q, (unsigned long long)member->header_offset);
    uint64_t data_offset = member->header_offset + bytes + get(header + 28, 2);
    if (data_offset > zip->directory_offset || member->bytes > zip->directory_offset - data_offset)
        return ms_fail(err, MS_BAD_MODEL,
                       "zip member \"%s\": its %llu bytes at byte %llu run into the directory", q,
                       (unsigned long long)member->bytes, (unsigned long long)data_offset);
    member->data_offset = data_offset;
    return MS_OK;
}
