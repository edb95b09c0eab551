#include "formats/tensor_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "formats/safetensors.h"
#include "text/text.h"

#define BUFFER_BYTES ((size_t)1 << 20)
#define LARGEST_WRITE ((size_t)1 << 30)

static ms_status keep_failure(ms_tensor_writer *w, ms_status status) {
    if (status != MS_OK && w->failed == MS_OK)
        w->failed = status;
    return status;
}

static ms_status write_at(ms_tensor_writer *w, const unsigned char *data, size_t bytes, uint64_t offset,
                          ms_error *err) {
    while (bytes) {
        ssize_t n = pwrite(w->file.fd, data, bytes < LARGEST_WRITE ? bytes : LARGEST_WRITE, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ms_fail(err, MS_IO, "%s: cannot write %zu bytes at byte %llu: %s", w->path, bytes,
                           (unsigned long long)offset, strerror(errno));
        data += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return MS_OK;
}

static ms_status flush(ms_tensor_writer *w, ms_error *err) {
    MS_TRY(write_at(w, w->buffer, w->buffered, w->buffer_offset, err));
    w->buffer_offset += w->buffered;
    w->buffered = 0;
    return MS_OK;
}

uint64_t ms_out_tell(const ms_tensor_writer *w) {
    return w->buffer_offset + w->buffered;
}

ms_status ms_out_seek(ms_tensor_writer *w, uint64_t offset, ms_error *err) {
    if (offset == ms_out_tell(w))
        return MS_OK;
    MS_TRY(flush(w, err));
    w->buffer_offset = offset;
    return MS_OK;
}

ms_status ms_out_append(ms_tensor_writer *w, const void *data, size_t bytes, ms_error *err) {
    if (bytes > BUFFER_BYTES - w->buffered)
        MS_TRY(flush(w, err));
    if (bytes >= BUFFER_BYTES) {
        MS_TRY(write_at(w, data, bytes, w->buffer_offset, err));
        w->buffer_offset += bytes;
        return MS_OK;
    }
    if (bytes)
        memcpy(w->buffer + w->buffered, data, bytes);
    w->buffered += bytes;
    return MS_OK;
}

ms_status ms_out_patch(ms_tensor_writer *w, uint64_t offset, const void *data, size_t bytes, ms_error *err) {
    if (offset >= w->buffer_offset) {
        memcpy(w->buffer + (offset - w->buffer_offset), data, bytes);
        return MS_OK;
    }
    if (offset + bytes > w->buffer_offset)
        MS_TRY(flush(w, err));
    return write_at(w, data, bytes, offset, err);
}

static void destroy(ms_tensor_writer **writer) {
    ms_tensor_writer *w = *writer;
    ms_new_file_abort(&w->file);
    ms_mem_free(w->buffer);
    ms_mem_free(w->crc_table);
    ms_buf_free(&w->pickle);
    ms_region_free(&w->region);
    ms_mem_free(w);
    *writer = NULL;
}

ms_status ms_tensor_writer_create(ms_mem *mem, const char *path, ms_tensor_format format,
                                  ms_tensor_writer **ret_writer, ms_error *err) {
    ms_tensor_writer *w = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, mem, sizeof(*w), "a tensor writer");
    ms_status status;
    w->mem = mem;
    w->file = MS_NEW_FILE_NONE;
    w->format = format == MS_FORMAT_TORCH ? &ms_out_torch : &ms_out_safetensors;
    w->zip64_from = 0xffffffff;
    ms_buf_init(&w->pickle, mem);
    ms_region_init(&w->region, mem, SIZE_MAX);
    ms_strmap_init(&w->names, &w->region);
    ms_strmap_init(&w->pair_names, &w->region);
    w->path = ms_region_strndup(&w->region, path, strlen(path));
    w->buffer = ms_mem_alloc(mem, MS_LEDGER_STAGING, BUFFER_BYTES);
    if (!w->path || !w->buffer)
        status = ms_fail_alloc(err, mem, BUFFER_BYTES, "a tensor writer's buffer");
    else
        status = ms_new_file_open(&w->file, mem, path, true, err);
    if (status != MS_OK) {
        destroy(&w);
        return status;
    }
    *ret_writer = w;
    return MS_OK;
}

/* Room for one more item in an array that lives in the region; NULL when there is none. */
static void *with_room(ms_region *region, void *items, size_t count, size_t *capacity, size_t bytes) {
    if (count < *capacity)
        return items;
    size_t more = *capacity ? *capacity * 2 : 64;
    void *bigger = ms_region_alloc_array(region, more, bytes);
    if (!bigger)
        return NULL;
    if (count)
        memcpy(bigger, items, count * bytes);
    *capacity = more;
    return bigger;
}

/* A copy of a name that may still be declared. */
static ms_status take_name(ms_tensor_writer *w, const char *name, const char **ret_name, ms_error *err) {
    char q[MS_QUOTE_BYTES];
    size_t length = strlen(name);
    if (w->failed)
        return ms_fail(err, w->failed, "%s: the writer has failed before", w->path);
    if (w->started)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: \"%s\" is declared after data was written", w->path,
                       ms_quote(q, name, length));
    if (ms_utf8_valid_bytes(name, length) < length)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: the name \"%s\" is not UTF-8", w->path,
                       ms_quote(q, name, length));
    char *own = ms_region_strndup(&w->region, name, length);
    if (!own)
        return ms_fail_alloc(err, w->mem, length, "a name");
    *ret_name = own;
    return MS_OK;
}

static ms_status enter_name(ms_tensor_writer *w, ms_strmap *map, const char *name, void *value,
                            ms_error *err) {
    char q[MS_QUOTE_BYTES];
    switch (ms_strmap_add(map, name, strlen(name), value)) {
    case MS_STRMAP_PRESENT:
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: \"%s\" is declared twice", w->path,
                       ms_quote(q, name, strlen(name)));
    case MS_STRMAP_NO_MEMORY:
        return ms_fail_alloc(err, w->mem, 2 * map->count * sizeof(void *), "the table of names");
    case MS_STRMAP_ADDED:
        break;
    }
    return MS_OK;
}

static ms_status set_shape(ms_tensor_writer *w, ms_out_tensor *tensor, int rank, const int64_t *shape,
                           ms_error *err) {
    int64_t bytes = (int64_t)ms_dtype_bytes(tensor->dtype);
    bool empty = false, overflow = false;
    if (rank < 0 || rank > MS_TENSOR_MAX_RANK)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: a tensor of %d dimensions", w->path, rank);
    tensor->rank = rank;
    for (int d = 0; d < rank; d++) {
        if (shape[d] < 0)
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s: dimension %d of a shape is %lld", w->path, d,
                           (long long)shape[d]);
        tensor->shape[d] = shape[d];
        empty |= shape[d] == 0;
        overflow |= __builtin_mul_overflow(bytes, shape[d] ? shape[d] : 1, &bytes);
    }
    if (overflow && !empty)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: the product of a shape overflows", w->path);
    tensor->bytes = empty ? 0 : (uint64_t)bytes;
    return MS_OK;
}

static ms_status declare(ms_tensor_writer *w, const char *name, const ms_out_tensor *shaped, ms_error *err) {
    ms_out_tensor *tensor = ms_region_alloc(&w->region, sizeof(*tensor));
    void *tensors = with_room(&w->region, w->tensors, w->count, &w->capacity, sizeof(*w->tensors));
    if (!tensor || !tensors)
        return ms_fail_alloc(err, w->mem, sizeof(*tensor), "a tensor's declaration");
    w->tensors = tensors;
    *tensor = *shaped;
    tensor->name = name;
    MS_TRY(enter_name(w, &w->names, name, tensor, err));
    w->tensors[w->count++] = tensor;
    return MS_OK;
}

ms_status ms_tensor_writer_declare(ms_tensor_writer *w, const char *name, ms_dtype dtype, int rank,
                                   const int64_t *shape, ms_error *err) {
    ms_out_tensor tensor = {.dtype = dtype};
    const char *own_name = NULL;
    MS_TRY(take_name(w, name, &own_name, err));
    if (w->format == &ms_out_safetensors && strcmp(name, MS_SAFETENSORS_METADATA) == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: no tensor can be named \"%s\"", w->path, name);
    MS_TRY(set_shape(w, &tensor, rank, shape, err));
    return declare(w, own_name, &tensor, err);
}

static ms_status add_pair(ms_tensor_writer *w, const char *name, ms_out_pair pair, ms_error *err) {
    MS_TRY(take_name(w, name, &pair.name, err));
    void *pairs = with_room(&w->region, w->pairs, w->pair_count, &w->pair_capacity, sizeof(*w->pairs));
    if (!pairs)
        return ms_fail_alloc(err, w->mem, sizeof(pair), "a scalar's declaration");
    w->pairs = pairs;
    MS_TRY(enter_name(w, &w->pair_names, pair.name, pairs, err));
    w->pairs[w->pair_count++] = pair;
    return MS_OK;
}

ms_status ms_tensor_writer_metadata(ms_tensor_writer *w, const char *name, const char *value, ms_error *err) {
    ms_out_pair pair = {0};
    if (w->format != &ms_out_safetensors)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: torch files have no metadata", w->path);
    MS_TRY(take_name(w, value, &pair.text, err));
    return add_pair(w, name, pair, err);
}

ms_status ms_tensor_writer_torch_layout(ms_tensor_writer *w, const char *root, ms_error *err) {
    if (w->format != &ms_out_torch)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: only torch files have a layout", w->path);
    w->root = NULL;
    return root ? take_name(w, root, &w->root, err) : MS_OK;
}

ms_status ms_tensor_writer_torch_integer(ms_tensor_writer *w, const char *name, int64_t value,
                                         ms_error *err) {
    if (w->format != &ms_out_torch)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: only torch files hold integers beside tensors",
                       w->path);
    return add_pair(w, name, (ms_out_pair){.integer = value}, err);
}

/* Moves on to the next tensor that has data; tensors without any are begun and ended on the way. */
static ms_status next_tensor(ms_tensor_writer *w, ms_error *err) {
    while (w->current < w->count && w->done == w->tensors[w->current]->bytes) {
        if (w->format->tensor_end)
            MS_TRY(w->format->tensor_end(w, w->tensors[w->current], err));
        w->done = 0;
        if (++w->current < w->count)
            MS_TRY(w->format->tensor_begin(w, w->tensors[w->current], err));
    }
    return MS_OK;
}

static ms_status start(ms_tensor_writer *w, ms_error *err) {
    if (w->started)
        return MS_OK;
    w->started = true;
    MS_TRY(w->format->begin(w, err));
    /* The room is asked for now: better no space left at once than after an hour. A file system that cannot
       give it says so with another error. */
    if (fallocate(w->file.fd, 0, 0, (off_t)w->total_bytes) != 0 &&
        (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
        return ms_fail(err, MS_IO, "%s: cannot make room for %llu bytes: %s", w->path,
                       (unsigned long long)w->total_bytes, strerror(errno));
    if (w->count)
        MS_TRY(w->format->tensor_begin(w, w->tensors[0], err));
    return next_tensor(w, err);
}

static ms_status write_data(ms_tensor_writer *w, const unsigned char *data, size_t bytes, ms_error *err) {
    MS_TRY(start(w, err));
    while (bytes) {
        if (w->current == w->count)
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s: %zu bytes more than the tensors hold", w->path,
                           bytes);
        ms_out_tensor *tensor = w->tensors[w->current];
        size_t n = bytes < tensor->bytes - w->done ? bytes : (size_t)(tensor->bytes - w->done);
        MS_TRY(ms_out_append(w, data, n, err));
        if (w->format->tensor_data)
            w->format->tensor_data(w, tensor, data, n);
        w->done += n;
        data += n;
        bytes -= n;
        MS_TRY(next_tensor(w, err));
    }
    return MS_OK;
}

ms_status ms_tensor_writer_write(ms_tensor_writer *w, const void *data, size_t bytes, ms_error *err) {
    if (w->failed)
        return ms_fail(err, w->failed, "%s: the writer has failed before", w->path);
    return keep_failure(w, write_data(w, data, bytes, err));
}

static ms_status finish(ms_tensor_writer *w, ms_error *err) {
    if (w->failed)
        return ms_fail(err, w->failed, "%s: the writer has failed before", w->path);
    MS_TRY(start(w, err));
    if (w->current < w->count) {
        const ms_out_tensor *tensor = w->tensors[w->current];
        char q[MS_QUOTE_BYTES];
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: tensor \"%s\" has %llu of its %llu bytes", w->path,
                       ms_quote(q, tensor->name, strlen(tensor->name)), (unsigned long long)w->done,
                       (unsigned long long)tensor->bytes);
    }
    if (w->format->end)
        MS_TRY(w->format->end(w, err));
    MS_TRY(flush(w, err));
    return ms_new_file_finish(&w->file, err);
}

ms_status ms_tensor_writer_finish(ms_tensor_writer **writer, ms_error *err) {
    ms_status status = finish(*writer, err);
    destroy(writer);
    return status;
}

void ms_tensor_writer_abort(ms_tensor_writer **writer) {
    if (writer && *writer)
        destroy(writer);
}
