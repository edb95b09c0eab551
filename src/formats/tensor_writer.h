/* What the streaming writer and the formats share. */
#ifndef MS_FORMATS_TENSOR_WRITER_H
#define MS_FORMATS_TENSOR_WRITER_H

#include "base/crc32.h"
#include "base/region.h"
#include "files/new_file.h"
#include "formats/tensor_file.h"
#include "text/json.h"
#include "text/strmap.h"

typedef struct ms_out_tensor {
    const char *name;
    ms_dtype dtype;
    int rank;
    int64_t shape[MS_TENSOR_MAX_RANK];
    uint64_t bytes;
    uint64_t offset; /* of its data in the file; set by begin() */
    /* torch only */
    uint64_t header_offset; /* of its zip member */
    uint32_t crc;           /* of the data written so far */
} ms_out_tensor;

typedef struct ms_out_pair {
    const char *name, *text; /* metadata */
    int64_t integer;         /* torch integers */
} ms_out_pair;

/* A format: where things lie, and what surrounds a tensor's data. Each may write with ms_out_append and
   ms_out_patch. */
typedef struct ms_out_format {
    /* all is declared: sets offsets and total_bytes */
    ms_status (*begin)(ms_tensor_writer *w, ms_error *err);
    ms_status (*tensor_begin)(ms_tensor_writer *w, ms_out_tensor *tensor, ms_error *err);
    void (*tensor_data)(ms_tensor_writer *w, ms_out_tensor *tensor, const void *data, size_t bytes);
    ms_status (*tensor_end)(ms_tensor_writer *w, ms_out_tensor *tensor, ms_error *err);
    ms_status (*end)(ms_tensor_writer *w, ms_error *err);
} ms_out_format;

extern const ms_out_format ms_out_safetensors, ms_out_torch;

struct ms_tensor_writer {
    ms_mem *mem;
    ms_region region;
    const char *path;
    ms_new_file file;
    const ms_out_format *format;
    ms_status failed; /* what the first failure was, else MS_OK */

    ms_out_tensor **tensors;
    size_t count, capacity;
    ms_strmap names;
    ms_out_pair *pairs; /* integers or metadata, in order of declaration */
    size_t pair_count, pair_capacity;
    ms_strmap pair_names;

    /* torch only */
    const char *root;
    ms_buf pickle;
    ms_crc32_table *crc_table;
    uint64_t zip64_from; /* sizes and offsets from here on are written in zip64 form; lowered by tests */

    bool started;
    size_t current;       /* tensor that is being written */
    uint64_t done;        /* bytes of it */
    uint64_t total_bytes; /* of the file; set by begin() */

    unsigned char *buffer; /* bytes of the file from buffer_offset on that are not written yet */
    size_t buffered;
    uint64_t buffer_offset;
};

/* data.pkl of a torch file, into w->pickle. */
ms_status ms_torch_write_pickle(ms_tensor_writer *w, ms_error *err);

/* Writes go on where the last one ended unless moved. */
ms_status ms_out_seek(ms_tensor_writer *w, uint64_t offset, ms_error *err);
uint64_t ms_out_tell(const ms_tensor_writer *w);
ms_status ms_out_append(ms_tensor_writer *w, const void *data, size_t bytes, ms_error *err);

/* Overwrites bytes that were appended before. */
ms_status ms_out_patch(ms_tensor_writer *w, uint64_t offset, const void *data, size_t bytes, ms_error *err);

#endif
