/*
 * Torch archives made by hand in memory, for what torch.save does not write: odd views, odd pickles, broken
 * zips. Tests and fuzz targets only: running out of memory ends the program.
 */
#ifndef MS_TESTS_SUPPORT_MODELS_TORCH_ARCHIVE_H
#define MS_TESTS_SUPPORT_MODELS_TORCH_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_MAX_MEMBERS 32

typedef struct byte_string {
    unsigned char *data;
    size_t length, capacity;
} byte_string;

void bytes_append(byte_string *b, const void *data, size_t length);
void bytes_text(byte_string *b, const char *text); /* without the NUL */
void bytes_number(byte_string *b, uint64_t value, int count);
void bytes_free(byte_string *b);

/* A zip archive: add members, then end it. */
typedef struct archive {
    byte_string file;
    byte_string directory;
    size_t count;
} archive;

void archive_add(archive *a, const char *name, const void *data, size_t length);
void archive_end(archive *a);
void archive_free(archive *a);

/* The pickle of one tensor, left on the stack: a view of storage `key`. */
typedef struct view {
    const char *storage_class; /* "FloatStorage" */
    const char *key;
    int64_t storage_elements, offset;
    int rank;
    int64_t shape[9], stride[9];
} view;

void pickle_text(byte_string *b, const char *text);
void pickle_integer(byte_string *b, int64_t value);
void pickle_view(byte_string *b, const view *v);

/* The offset of the end record of a zip archive. */
size_t archive_end_offset(const archive *a);

#endif
