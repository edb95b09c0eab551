/* Reading a tensor's elements: straight from the file when they lie there in row-major order, else gathered
   through a window over the file; converted to float32 on request. */
#include <string.h>

#include "base/error.h"
#include "formats/tensor_file_internal.h"
#include "text/text.h"

/* Held against the staging ledger while a strided view is read. A transposed 1280 x 1280 float32 matrix (6.5
   MB) fits, so that it costs one read. */
#define WINDOW_BYTES ((size_t)16 << 20)

/* A window that serves fewer than one element for this many of its bytes was too long. */
#define WINDOW_BYTES_PER_ELEMENT 4096

#define CONVERT_ELEMENTS 2048

/* Elements of one tensor in row-major order, from a given one on. */
typedef struct cursor {
    const ms_tensor_file *file;
    const ms_tensor_entry *entry;
    size_t element_bytes;
    ms_error *err;
    uint64_t next; /* contiguous: byte offset in the file */
    /* the rest is for views only; offsets count elements from the tensor's first */
    int64_t at[MS_TENSOR_MAX_RANK]; /* coordinates of the next element */
    int64_t offset, last_offset;    /* of the next element; the largest of all that will be asked for */
    unsigned char *window;
    size_t window_bytes, use_bytes; /* its size, and how much of that is filled at a time */
    int64_t window_first, window_end;
    size_t served; /* elements since it was filled */
} cursor;

static int64_t last_dim_stride(const ms_tensor_entry *entry) {
    return entry->info.rank ? entry->stride[entry->info.rank - 1] : 0;
}

static void coordinates(const ms_tensor_entry *entry, int64_t element, int64_t ret_at[MS_TENSOR_MAX_RANK]) {
    for (int d = entry->info.rank - 1; d >= 0; d--) {
        ret_at[d] = element % entry->info.shape[d];
        element /= entry->info.shape[d];
    }
}

static int64_t offset_of(const ms_tensor_entry *entry, const int64_t *at) {
    int64_t offset = 0;
    for (int d = 0; d < entry->info.rank; d++)
        offset += at[d] * entry->stride[d];
    return offset;
}

/* Least and largest offset of elements first .. last: coordinates that both share are fixed, the first that
   differs runs from one to the other, those behind it may take any value. */
static void span(const ms_tensor_entry *entry, const int64_t *first, const int64_t *last, int64_t *ret_low,
                 int64_t *ret_high) {
    int64_t low = 0, high = 0;
    int d = 0;
    for (; d < entry->info.rank && first[d] == last[d]; d++)
        low += first[d] * entry->stride[d];
    high = low;
    if (d < entry->info.rank) {
        low += first[d] * entry->stride[d];
        high += last[d] * entry->stride[d];
    }
    for (d++; d < entry->info.rank; d++)
        high += (entry->info.shape[d] - 1) * entry->stride[d];
    *ret_low = low;
    *ret_high = high;
}

static ms_status fill(cursor *c, int64_t first) {
    int64_t elements = (int64_t)(c->use_bytes / c->element_bytes);
    if (elements > c->last_offset - first + 1)
        elements = c->last_offset - first + 1;
    c->window_first = first;
    c->window_end = first + elements;
    c->served = 0;
    return ms_source_read(&c->file->source, c->entry->offset + (uint64_t)first * c->element_bytes, c->window,
                          (size_t)elements * c->element_bytes, c->err);
}

static ms_status cursor_open(cursor *c, int64_t first, int64_t count) {
    const ms_tensor_entry *entry = c->entry;
    c->element_bytes = ms_dtype_bytes(entry->info.dtype);
    c->next = entry->offset + (uint64_t)first * c->element_bytes;
    if (entry->info.contiguous || count == 0)
        return MS_OK;
    int64_t last[MS_TENSOR_MAX_RANK], low;
    coordinates(entry, first, c->at);
    coordinates(entry, first + count - 1, last);
    c->offset = offset_of(entry, c->at);
    span(entry, c->at, last, &low, &c->last_offset);
    uint64_t bytes = (uint64_t)(c->last_offset - low + 1) * c->element_bytes;
    c->window_bytes = bytes < WINDOW_BYTES ? (size_t)bytes : WINDOW_BYTES;
    c->use_bytes = c->window_bytes;
    c->window = ms_mem_alloc(c->file->mem, MS_LEDGER_STAGING, c->window_bytes);
    if (!c->window)
        return ms_fail_alloc(c->err, c->file->mem, c->window_bytes, "reading a strided tensor");
    return fill(c, bytes == c->window_bytes ? low : c->offset);
}

static void cursor_close(cursor *c) {
    ms_mem_free(c->window);
}

/* The next element is outside the window: fill it from there, shorter when the last one was of little use. */
static ms_status refill(cursor *c) {
    if (c->served * WINDOW_BYTES_PER_ELEMENT < c->use_bytes)
        c->use_bytes =
            c->use_bytes / 2 > WINDOW_BYTES_PER_ELEMENT ? c->use_bytes / 2 : WINDOW_BYTES_PER_ELEMENT;
    else if (c->use_bytes <= c->window_bytes / 2)
        c->use_bytes *= 2;
    if (c->use_bytes > c->window_bytes)
        c->use_bytes = c->window_bytes;
    return fill(c, c->offset);
}

static void copy_strided(unsigned char *dst, const unsigned char *src, int64_t n, int64_t stride,
                         size_t bytes) {
    if (stride == 1) {
        memcpy(dst, src, (size_t)n * bytes);
        return;
    }
#define COPY(type)                                                                                           \
    for (int64_t i = 0; i < n; i++)                                                                          \
    memcpy(dst + (size_t)i * sizeof(type), src + (size_t)(i * stride) * sizeof(type), sizeof(type))
    switch (bytes) {
    case 1:
        COPY(uint8_t);
        break;
    case 2:
        COPY(uint16_t);
        break;
    case 4:
        COPY(uint32_t);
        break;
    default:
        COPY(uint64_t);
    }
#undef COPY
}

/* Steps over n elements of the last dimension. */
static void advance(cursor *c, int64_t n) {
    const ms_tensor_entry *entry = c->entry;
    int d = entry->info.rank - 1;
    c->at[d] += n;
    c->offset += n * entry->stride[d];
    for (; d > 0 && c->at[d] == entry->info.shape[d]; d--) {
        c->at[d] = 0;
        c->at[d - 1]++;
        c->offset += entry->stride[d - 1] - entry->info.shape[d] * entry->stride[d];
    }
}

static ms_status gather(cursor *c, int64_t count, unsigned char *dst) {
    int last = c->entry->info.rank - 1;
    int64_t stride = last_dim_stride(c->entry);
    while (count > 0) {
        if (c->offset < c->window_first || c->offset >= c->window_end)
            MS_TRY(refill(c));
        int64_t n = c->entry->info.shape[last] - c->at[last];
        if (n > count)
            n = count;
        if (stride && n > (c->window_end - 1 - c->offset) / stride + 1)
            n = (c->window_end - 1 - c->offset) / stride + 1;
        copy_strided(dst, c->window + (size_t)(c->offset - c->window_first) * c->element_bytes, n, stride,
                     c->element_bytes);
        c->served += (size_t)n;
        dst += (size_t)n * c->element_bytes;
        count -= n;
        advance(c, n);
    }
    return MS_OK;
}

static ms_status cursor_read(cursor *c, int64_t count, void *dst) {
    if (!c->entry->info.contiguous)
        return gather(c, count, dst);
    size_t bytes = (size_t)count * c->element_bytes;
    MS_TRY(ms_source_read(&c->file->source, c->next, dst, bytes, c->err));
    c->next += bytes;
    return MS_OK;
}

static ms_status check_range(const ms_tensor_info *tensor, int64_t first, int64_t count, ms_error *err) {
    if (first >= 0 && count >= 0 && first <= tensor->elements && count <= tensor->elements - first)
        return MS_OK;
    return ms_fail(err, MS_INVALID_ARGUMENT, "%lld elements from %lld on are not in its %lld",
                   (long long)count, (long long)first, (long long)tensor->elements);
}

static ms_status name_tensor(ms_error *err, ms_status status, const cursor *c) {
    char q[MS_QUOTE_BYTES];
    const char *name = c->entry->info.name;
    return ms_fail_prefix(err, status, "%s: tensor \"%s\"", c->file->path, ms_quote(q, name, strlen(name)));
}

ms_status ms_tensor_file_read(const ms_tensor_file *file, const ms_tensor_info *tensor, int64_t first,
                              int64_t count, void *dst, ms_error *err) {
    cursor c = {.file = file, .entry = (const ms_tensor_entry *)tensor, .err = err};
    ms_status status;
    MS_GOTO(check_range(tensor, first, count, err));
    MS_GOTO(cursor_open(&c, first, count));
    MS_GOTO(cursor_read(&c, count, dst));
    cursor_close(&c);
    return MS_OK;
fail:
    cursor_close(&c);
    return name_tensor(err, status, &c);
}

static void widen(ms_dtype dtype, const void *src, int64_t n, float *dst) {
#define CONVERT(type, expression)                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                        \
        type x;                                                                                              \
        memcpy(&x, (const char *)src + (size_t)i * sizeof(x), sizeof(x));                                    \
        dst[i] = (expression);                                                                               \
    }                                                                                                        \
    break
    switch (dtype) {
    case MS_F16:
        CONVERT(uint16_t, ms_f16_to_f32(x));
    case MS_BF16:
        CONVERT(uint16_t, ms_bf16_to_f32(x));
    case MS_F64:
        CONVERT(double, (float)x);
    case MS_I64:
        CONVERT(int64_t, (float)x);
    case MS_I32:
        CONVERT(int32_t, (float)x);
    case MS_I16:
        CONVERT(int16_t, x);
    case MS_I8:
        CONVERT(int8_t, x);
    case MS_U8:
        CONVERT(uint8_t, x);
    case MS_BOOL:
        CONVERT(uint8_t, x != 0);
    case MS_F32:
    case MS_DTYPE_COUNT:
        break;
    }
#undef CONVERT
}

static ms_status read_widened(cursor *c, int64_t count, float *dst) {
    uint64_t block[CONVERT_ELEMENTS]; /* the widest element is 8 bytes */
    while (count > 0) {
        int64_t n = count < CONVERT_ELEMENTS ? count : CONVERT_ELEMENTS;
        MS_TRY(cursor_read(c, n, block));
        widen(c->entry->info.dtype, block, n, dst);
        dst += n;
        count -= n;
    }
    return MS_OK;
}

ms_status ms_tensor_file_read_f32(const ms_tensor_file *file, const ms_tensor_info *tensor, int64_t first,
                                  int64_t count, float *dst, ms_error *err) {
    if (tensor->dtype == MS_F32)
        return ms_tensor_file_read(file, tensor, first, count, dst, err);
    cursor c = {.file = file, .entry = (const ms_tensor_entry *)tensor, .err = err};
    ms_status status;
    MS_GOTO(check_range(tensor, first, count, err));
    MS_GOTO(cursor_open(&c, first, count));
    MS_GOTO(read_widened(&c, count, dst));
    cursor_close(&c);
    return MS_OK;
fail:
    cursor_close(&c);
    return name_tensor(err, status, &c);
}
