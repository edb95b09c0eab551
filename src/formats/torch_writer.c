/*
 * The zip archive of a torch file: stored members whose data begins at multiples of 64 bytes (as torch pads
 * them, so that it can map them), local headers complete with CRC-32 and sizes, zip64 fields where 32 bits do
 * not suffice.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/tensor_writer.h"
#include "formats/zip_format.h"

#define ALIGN_BYTES 64
#define CRC_AT 14 /* in a local header */
#define ROOT "archive/"
#define NAME_ROOM 48
#define ZIP64_LOCAL_EXTRA_BYTES 20
#define VERSION_STORED 20
#define VERSION_ZIP64 45
#define DATE_1980_01_01 0x21 /* no clock: the same tensors give the same file */

typedef struct member {
    char name[NAME_ROOM];
    uint64_t bytes, header_offset, data_offset;
    uint32_t crc;
} member;

/* Little-endian fields of a header. */
typedef struct header {
    unsigned char data[ZIP_CENTRAL_BYTES + NAME_ROOM + 32 + ALIGN_BYTES];
    size_t bytes;
} header;

static void put(header *h, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        h->data[h->bytes++] = (unsigned char)(value >> (8 * i));
}

static bool is_large(const ms_tensor_writer *w, uint64_t value) {
    return value >= w->zip64_from;
}

static uint64_t low32(const ms_tensor_writer *w, uint64_t value) {
    return is_large(w, value) ? 0xffffffff : value;
}

/* Everything between header_offset and data_offset; the gap is filled with an extra field of its own. */
static ms_status write_local(ms_tensor_writer *w, const member *m, ms_error *err) {
    header h = {.bytes = 0};
    size_t name_bytes = strlen(m->name);
    bool large = is_large(w, m->bytes);
    size_t extra_bytes = (size_t)(m->data_offset - m->header_offset) - ZIP_LOCAL_BYTES - name_bytes;
    put(&h, ZIP_LOCAL, 4);
    put(&h, large ? VERSION_ZIP64 : VERSION_STORED, 2);
    put(&h, ZIP_UTF8, 2);
    put(&h, ZIP_STORED, 2);
    put(&h, 0, 2);
    put(&h, DATE_1980_01_01, 2);
    put(&h, m->crc, 4);
    put(&h, low32(w, m->bytes), 4);
    put(&h, low32(w, m->bytes), 4);
    put(&h, name_bytes, 2);
    put(&h, extra_bytes, 2);
    memcpy(h.data + h.bytes, m->name, name_bytes);
    h.bytes += name_bytes;
    if (large) {
        put(&h, ZIP64_EXTRA, 2);
        put(&h, 16, 2);
        put(&h, m->bytes, 8);
        put(&h, m->bytes, 8);
        extra_bytes -= ZIP64_LOCAL_EXTRA_BYTES;
    }
    put(&h, ZIP_PADDING_EXTRA, 2);
    put(&h, extra_bytes - 4, 2);
    MS_TRY(ms_out_append(w, h.data, h.bytes, err));
    static const unsigned char zeros[ALIGN_BYTES];
    return ms_out_append(w, zeros, extra_bytes - 4, err);
}

/* Places a member at *position and moves that behind it. */
static void place(const ms_tensor_writer *w, member *m, uint64_t *position) {
    m->header_offset = *position;
    uint64_t data = *position + ZIP_LOCAL_BYTES + strlen(m->name) + 4;
    if (is_large(w, m->bytes))
        data += ZIP64_LOCAL_EXTRA_BYTES;
    m->data_offset = (data + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    *position = m->data_offset + m->bytes;
}

static void central_entry(const ms_tensor_writer *w, const member *m, header *h) {
    size_t name_bytes = strlen(m->name);
    bool large = is_large(w, m->bytes), far = is_large(w, m->header_offset);
    size_t extra = (large ? 16 : 0) + (far ? 8 : 0);
    h->bytes = 0;
    put(h, ZIP_CENTRAL, 4);
    put(h, extra ? VERSION_ZIP64 : VERSION_STORED, 2);
    put(h, extra ? VERSION_ZIP64 : VERSION_STORED, 2);
    put(h, ZIP_UTF8, 2);
    put(h, ZIP_STORED, 2);
    put(h, 0, 2);
    put(h, DATE_1980_01_01, 2);
    put(h, m->crc, 4);
    put(h, low32(w, m->bytes), 4);
    put(h, low32(w, m->bytes), 4);
    put(h, name_bytes, 2);
    put(h, extra ? extra + 4 : 0, 2);
    put(h, 0, 2); /* comment */
    put(h, 0, 2); /* disk */
    put(h, 0, 2); /* internal attributes */
    put(h, 0, 4); /* external attributes */
    put(h, low32(w, m->header_offset), 4);
    memcpy(h->data + h->bytes, m->name, name_bytes);
    h->bytes += name_bytes;
    if (extra) {
        put(h, ZIP64_EXTRA, 2);
        put(h, extra, 2);
    }
    if (large) {
        put(h, m->bytes, 8);
        put(h, m->bytes, 8);
    }
    if (far)
        put(h, m->header_offset, 8);
}

/* The small members come first, in this order. */
#define SMALL_MEMBERS 3

typedef struct small_member {
    const char *name, *text; /* text NULL: the pickle */
} small_member;

static const small_member small_members[SMALL_MEMBERS] = {
    {ROOT "data.pkl", NULL}, {ROOT "byteorder", "little"}, {ROOT "version", "3\n"}};

static void describe_small(const ms_tensor_writer *w, size_t index, uint64_t *position, member *m,
                           const void **ret_data) {
    const char *text = small_members[index].text;
    *ret_data = text ? text : w->pickle.data;
    *m = (member){.bytes = text ? strlen(text) : w->pickle.length};
    snprintf(m->name, sizeof(m->name), "%s", small_members[index].name);
    m->crc = ms_crc32(w->crc_table, 0, *ret_data, (size_t)m->bytes);
    place(w, m, position);
}

static void describe_tensor(const ms_tensor_writer *w, size_t index, member *m) {
    const ms_out_tensor *t = w->tensors[index];
    *m = (member){
        .bytes = t->bytes, .header_offset = t->header_offset, .data_offset = t->offset, .crc = t->crc};
    snprintf(m->name, sizeof(m->name), ROOT "data/%zu", index);
}

static ms_status begin(ms_tensor_writer *w, ms_error *err) {
    uint64_t position = 0, directory = 0;
    header h;
    member m;
    w->crc_table = ms_mem_alloc(w->mem, MS_LEDGER_GENERAL, sizeof(*w->crc_table));
    if (!w->crc_table)
        return ms_fail_alloc(err, w->mem, sizeof(*w->crc_table), "a checksum");
    ms_crc32_init(w->crc_table);
    MS_TRY(ms_torch_write_pickle(w, err));
    for (size_t i = 0; i < SMALL_MEMBERS; i++) {
        const void *data;
        describe_small(w, i, &position, &m, &data);
        MS_TRY(write_local(w, &m, err));
        MS_TRY(ms_out_append(w, data, (size_t)m.bytes, err));
        central_entry(w, &m, &h);
        directory += h.bytes;
    }
    for (size_t i = 0; i < w->count; i++) {
        describe_tensor(w, i, &m);
        place(w, &m, &position);
        w->tensors[i]->header_offset = m.header_offset;
        w->tensors[i]->offset = m.data_offset;
        if (m.bytes > INT64_MAX / 2 || position > INT64_MAX / 2)
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s: the tensors' sizes overflow", w->path);
        central_entry(w, &m, &h);
        directory += h.bytes;
    }
    w->total_bytes = position + directory + ZIP64_END_BYTES + ZIP64_LOCATOR_BYTES + ZIP_END_BYTES;
    return MS_OK;
}

static ms_status tensor_begin(ms_tensor_writer *w, ms_out_tensor *tensor, ms_error *err) {
    member m;
    (void)tensor;
    describe_tensor(w, w->current, &m);
    return write_local(w, &m, err);
}

static void tensor_data(ms_tensor_writer *w, ms_out_tensor *tensor, const void *data, size_t bytes) {
    tensor->crc = ms_crc32(w->crc_table, tensor->crc, data, bytes);
}

static ms_status tensor_end(ms_tensor_writer *w, ms_out_tensor *tensor, ms_error *err) {
    header h = {.bytes = 0};
    put(&h, tensor->crc, 4);
    return ms_out_patch(w, tensor->header_offset + CRC_AT, h.data, h.bytes, err);
}

/* The zip64 end record and its locator; torch writes them always, so readers of torch files know them. */
static ms_status write_zip64_end(ms_tensor_writer *w, uint64_t count, uint64_t directory, ms_error *err) {
    header h = {.bytes = 0};
    uint64_t end = ms_out_tell(w);
    put(&h, ZIP64_END, 4);
    put(&h, ZIP64_END_BYTES - 12, 8);
    put(&h, VERSION_ZIP64, 2);
    put(&h, VERSION_ZIP64, 2);
    put(&h, 0, 4);
    put(&h, 0, 4);
    put(&h, count, 8);
    put(&h, count, 8);
    put(&h, end - directory, 8);
    put(&h, directory, 8);
    put(&h, ZIP64_LOCATOR, 4);
    put(&h, 0, 4);
    put(&h, end, 8);
    put(&h, 1, 4);
    return ms_out_append(w, h.data, h.bytes, err);
}

static ms_status write_end(ms_tensor_writer *w, uint64_t directory, ms_error *err) {
    header h = {.bytes = 0};
    uint64_t count = w->count + SMALL_MEMBERS, bytes = ms_out_tell(w) - directory;
    MS_TRY(write_zip64_end(w, count, directory, err));
    put(&h, ZIP_END, 4);
    put(&h, 0, 2);
    put(&h, 0, 2);
    put(&h, count < 0xffff ? count : 0xffff, 2);
    put(&h, count < 0xffff ? count : 0xffff, 2);
    put(&h, low32(w, bytes), 4);
    put(&h, low32(w, directory), 4);
    put(&h, 0, 2);
    return ms_out_append(w, h.data, h.bytes, err);
}

static ms_status end(ms_tensor_writer *w, ms_error *err) {
    uint64_t directory = ms_out_tell(w), position = 0;
    header h;
    member m;
    for (size_t i = 0; i < SMALL_MEMBERS; i++) {
        const void *data;
        describe_small(w, i, &position, &m, &data);
        central_entry(w, &m, &h);
        MS_TRY(ms_out_append(w, h.data, h.bytes, err));
    }
    for (size_t i = 0; i < w->count; i++) {
        describe_tensor(w, i, &m);
        central_entry(w, &m, &h);
        MS_TRY(ms_out_append(w, h.data, h.bytes, err));
    }
    return write_end(w, directory, err);
}

const ms_out_format ms_out_torch = {.begin = begin,
                                    .tensor_begin = tensor_begin,
                                    .tensor_data = tensor_data,
                                    .tensor_end = tensor_end,
                                    .end = end};
