/*
 * Named tensors in a file: safetensors, or a torch zip archive (.pt, .bin) whose pickle is read by an
 * interpreter that knows a closed list of opcodes and globals and executes nothing. The format is found by
 * content, not by name.
 *
 * Nothing but the directory is kept in memory; data is read on demand with pread, so that it is not charged
 * to the process as mapped pages. Files are hostile: every offset, length, stride and product is checked
 * before use.
 *
 * Names in a torch file are the path in its nested dicts, joined with '.' ("state_dict.conv_in.weight").
 * Integers, floats and strings there are scalars ("global_step", "dims.n_mels").
 */
#ifndef MS_FORMATS_TENSOR_FILE_H
#define MS_FORMATS_TENSOR_FILE_H

#include "base/dtype.h"
#include "base/mem.h"

#define MS_TENSOR_MAX_RANK 8

typedef struct ms_tensor_file ms_tensor_file;

typedef struct ms_tensor_info {
    const char *name;
    ms_dtype dtype;
    int rank;
    int64_t shape[MS_TENSOR_MAX_RANK];
    int64_t elements; /* product of the shape; 1 for a scalar tensor */
    bool contiguous;  /* elements lie in the file in row-major order */
} ms_tensor_info;

/* MS_IO when the file cannot be opened or read, MS_BAD_MODEL when it is not what it says; the message names
   the path and, where there is one, the tensor. */
ms_status ms_tensor_file_open(ms_mem *mem, const char *path, ms_tensor_file **ret_file, ms_error *err);
void ms_tensor_file_close(ms_tensor_file **file);

const char *ms_tensor_file_path(const ms_tensor_file *file);
const char *ms_tensor_file_format(const ms_tensor_file *file); /* "safetensors", "torch" */
size_t ms_tensor_file_count(const ms_tensor_file *file);
uint64_t ms_tensor_file_bytes(const ms_tensor_file *file); /* size on disk */

/* In the file's order. */
const ms_tensor_info *ms_tensor_file_get(const ms_tensor_file *file, size_t index);

/* By name; NULL when absent. O(1). */
const ms_tensor_info *ms_tensor_file_find(const ms_tensor_file *file, const char *name);

/* An integer stored beside the tensors (torch files only); false when absent or not an integer. */
bool ms_tensor_file_integer(const ms_tensor_file *file, const char *name, int64_t *ret_value);

/* The metadata string of a safetensors file's "__metadata__"; NULL when absent. */
const char *ms_tensor_file_metadata(const ms_tensor_file *file, const char *name);

/* Elements first .. first+count-1 in row-major order of the shape, as stored (no conversion), into dst of
   count times the element's size. Strided views (torch permits them) are gathered. Safe to call from several
   threads. */
ms_status ms_tensor_file_read(const ms_tensor_file *file, const ms_tensor_info *tensor, int64_t first,
                              int64_t count, void *dst, ms_error *err);

/* The same, widened to float32. Integers and bool are converted by value; float64 is rounded. */
ms_status ms_tensor_file_read_f32(const ms_tensor_file *file, const ms_tensor_info *tensor, int64_t first,
                                  int64_t count, float *dst, ms_error *err);

/*
 * Reads all tensors' bytes once and compares them with the checksums that the file holds: a
 * torch archive has a CRC-32 for each storage, safetensors has none. Loading does not do this:
 * at 3 GB/s it would take a seventh longer. Calls report for each storage that is damaged and
 * goes on with the next; MS_BAD_MODEL if there was one, the error being the first.
 */
typedef void (*ms_tensor_report_fn)(void *arg, const char *problem);
size_t ms_tensor_file_checksums(const ms_tensor_file *file); /* how many there are */
ms_status ms_tensor_file_check(const ms_tensor_file *file, ms_tensor_report_fn report, void *arg,
                               ms_error *err);

/*
 * Writers. Both stream: declare all tensors first, then write their data in that order in any number of
 * pieces. Besides the names, shapes and a buffer of 1 MiB nothing is kept in memory. The file appears under
 * its name only with _finish (written to a temporary name beside it, synced, renamed); _abort leaves nothing.
 * After a failure every further call but _abort and _finish fails, too.
 */
typedef struct ms_tensor_writer ms_tensor_writer;

typedef enum ms_tensor_format {
    /* tensors are laid out by descending size of their elements, else in the order of declaration, so that
       every one is aligned; metadata "format" is "pt" unless set */
    MS_FORMAT_SAFETENSORS,
    /* zip of stored members with data.pkl of protocol 2, readable by torch.load(weights_only=True); data is
       aligned to 64 bytes */
    MS_FORMAT_TORCH,
} ms_tensor_format;

/* MS_IO when the temporary file cannot be created. */
ms_status ms_tensor_writer_create(ms_mem *mem, const char *path, ms_tensor_format format,
                                  ms_tensor_writer **ret_writer, ms_error *err);

/* name: UTF-8; for torch files it is one key of the dict `root` (see below), dots and all, as in a state
   dict. MS_INVALID_ARGUMENT for a duplicate, for a bad shape, and once data has been written. */
ms_status ms_tensor_writer_declare(ms_tensor_writer *writer, const char *name, ms_dtype dtype, int rank,
                                   const int64_t *shape, ms_error *err);

/* Torch only. root: key of the dict that holds the tensors ("state_dict"), NULL = the top level itself.
   integer: "global_step" at the top level, "dims.n_mels" in a dict `dims` at the top level. */
ms_status ms_tensor_writer_torch_layout(ms_tensor_writer *writer, const char *root, ms_error *err);
ms_status ms_tensor_writer_torch_integer(ms_tensor_writer *writer, const char *name, int64_t value,
                                         ms_error *err);

/* Safetensors only: a text for the file's "__metadata__". */
ms_status ms_tensor_writer_metadata(ms_tensor_writer *writer, const char *name, const char *value,
                                    ms_error *err);

/* The next bytes of the tensors' data, in the order of declaration. MS_IO when the disk is full or fails; the
   room for the whole file is asked for with the first byte where the file system can do that. */
ms_status ms_tensor_writer_write(ms_tensor_writer *writer, const void *data, size_t bytes, ms_error *err);

/* MS_INVALID_ARGUMENT when data is missing. The writer is gone afterwards, also on failure, and then so is
   the temporary file. */
ms_status ms_tensor_writer_finish(ms_tensor_writer **writer, ms_error *err);
void ms_tensor_writer_abort(ms_tensor_writer **writer);

#endif
