/* What the facade and the readers of the formats share. */
#ifndef MS_FORMATS_TENSOR_FILE_INTERNAL_H
#define MS_FORMATS_TENSOR_FILE_INTERNAL_H

#include "base/region.h"
#include "formats/source.h"
#include "formats/tensor_file.h"
#include "text/strmap.h"

/* info is the first member: the facade finds the entry from the pointer it gave out. */
typedef struct ms_tensor_entry {
    ms_tensor_info info;
    uint64_t offset;                    /* of element 0 in the file, bytes */
    int64_t stride[MS_TENSOR_MAX_RANK]; /* elements, none negative; row-major unless a view */
} ms_tensor_entry;

/* A part of the file whose CRC-32 the file holds: a torch storage. */
typedef struct ms_tensor_checksum {
    struct ms_tensor_checksum *next;
    const char *part, *tensor; /* the zip member, and the first tensor in it */
    uint64_t offset, bytes;
    uint32_t crc;
} ms_tensor_checksum;

struct ms_tensor_file {
    ms_mem *mem;
    const char *path, *format;
    ms_source source;
    ms_region region;
    ms_tensor_entry **entries;
    size_t count, capacity;
    ms_strmap names;    /* -> ms_tensor_entry */
    ms_strmap integers; /* -> int64_t */
    ms_strmap metadata; /* -> char */
    ms_tensor_checksum *checksums;
    ms_tensor_checksum **checksums_end;
};

/* Readers fill in a file whose source is open; messages need not name the path. */
ms_status ms_safetensors_read(ms_tensor_file *file, ms_error *err);
ms_status ms_torch_read(ms_tensor_file *file, ms_error *err);

/* Checks rank and shape, sets elements and row-major strides. who names the tensor in messages. */
ms_status ms_tensor_set_shape(ms_tensor_entry *entry, int64_t rank, const int64_t *shape, ms_error *err);

/* A cleared entry with a copy of the name, in the file's region. */
ms_status ms_tensor_file_new_entry(ms_tensor_file *file, const char *name, size_t length,
                                   ms_tensor_entry **ret_entry, ms_error *err);

/* Makes such an entry the file's next tensor. MS_BAD_MODEL for a name that is taken. */
ms_status ms_tensor_file_add(ms_tensor_file *file, ms_tensor_entry *entry, ms_error *err);

/* As ms_tensor_file_open, of a file that is in memory (borrowed until _close). name stands for the path. */
ms_status ms_tensor_file_open_memory(ms_mem *mem, const char *name, const void *data, size_t bytes,
                                     ms_tensor_file **ret_file, ms_error *err);

#endif
