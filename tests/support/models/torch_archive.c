#include "support/models/torch_archive.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "formats/zip_format.h"

void bytes_append(byte_string *b, const void *data, size_t length) {
    if (b->length + length > b->capacity) {
        b->capacity = 2 * (b->length + length) + 64;
        b->data = realloc(b->data, b->capacity);
        if (!b->data)
            abort();
    }
    if (length)
        memcpy(b->data + b->length, data, length);
    b->length += length;
}

void bytes_text(byte_string *b, const char *text) {
    bytes_append(b, text, strlen(text));
}

void bytes_number(byte_string *b, uint64_t value, int count) {
    for (int i = 0; i < count; i++) {
        unsigned char byte = i < 8 ? (unsigned char)(value >> (8 * i)) : 0;
        bytes_append(b, &byte, 1);
    }
}

void bytes_free(byte_string *b) {
    free(b->data);
    *b = (byte_string){0};
}

/* From the CRC to the length of the extra field, which local header and directory share. */
static void common_fields(byte_string *b, uint32_t crc, size_t length, size_t name_length) {
    bytes_number(b, 0, 2);          /* flags */
    bytes_number(b, ZIP_STORED, 2); /* method */
    bytes_number(b, 0x00210000, 4); /* time and date */
    bytes_number(b, crc, 4);
    bytes_number(b, length, 4);
    bytes_number(b, length, 4);
    bytes_number(b, name_length, 2);
    bytes_number(b, 0, 2);
}

void archive_add(archive *a, const char *name, const void *data, size_t length) {
    static ms_crc32_table table;
    ms_crc32_init(&table);
    uint32_t crc = ms_crc32(&table, 0, data, length);
    size_t offset = a->file.length, name_length = strlen(name);
    bytes_number(&a->file, ZIP_LOCAL, 4);
    bytes_number(&a->file, 20, 2);
    common_fields(&a->file, crc, length, name_length);
    bytes_append(&a->file, name, name_length);
    bytes_append(&a->file, data, length);
    bytes_number(&a->directory, ZIP_CENTRAL, 4);
    bytes_number(&a->directory, 20, 2);
    bytes_number(&a->directory, 20, 2);
    common_fields(&a->directory, crc, length, name_length);
    bytes_number(&a->directory, 0, 6); /* comment, disk, internal attributes */
    bytes_number(&a->directory, 0, 4);
    bytes_number(&a->directory, offset, 4);
    bytes_append(&a->directory, name, name_length);
    a->count++;
}

void archive_end(archive *a) {
    size_t offset = a->file.length;
    bytes_append(&a->file, a->directory.data, a->directory.length);
    bytes_number(&a->file, ZIP_END, 4);
    bytes_number(&a->file, 0, 4);
    bytes_number(&a->file, a->count, 2);
    bytes_number(&a->file, a->count, 2);
    bytes_number(&a->file, a->directory.length, 4);
    bytes_number(&a->file, offset, 4);
    bytes_number(&a->file, 0, 2);
}

size_t archive_end_offset(const archive *a) {
    return a->file.length - ZIP_END_BYTES;
}

void archive_free(archive *a) {
    bytes_free(&a->file);
    bytes_free(&a->directory);
    a->count = 0;
}

void pickle_text(byte_string *b, const char *text) {
    bytes_text(b, "X");
    bytes_number(b, strlen(text), 4);
    bytes_text(b, text);
}

void pickle_integer(byte_string *b, int64_t value) {
    bytes_text(b, "\x8a\x08");
    bytes_number(b, (uint64_t)value, 8);
}

static void pickle_tuple(byte_string *b, const int64_t *values, int count) {
    bytes_text(b, "(");
    for (int i = 0; i < count; i++)
        pickle_integer(b, values[i]);
    bytes_text(b, "t");
}

void pickle_view(byte_string *b, const view *v) {
    bytes_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(b, "storage");
    bytes_text(b, "ctorch\n");
    bytes_text(b, v->storage_class);
    bytes_text(b, "\n");
    pickle_text(b, v->key);
    pickle_text(b, "cpu");
    pickle_integer(b, v->storage_elements);
    bytes_text(b, "tQ");
    pickle_integer(b, v->offset);
    pickle_tuple(b, v->shape, v->rank);
    pickle_tuple(b, v->stride, v->rank);
    bytes_text(b, "\x89"
                  "ccollections\nOrderedDict\n)RtR");
}
