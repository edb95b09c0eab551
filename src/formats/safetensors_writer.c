/* Writing safetensors; the format is described in safetensors.c. */
#include <string.h>

#include "base/error.h"
#include "formats/safetensors.h"
#include "formats/tensor_writer.h"

/* Readers view the data in place, so the header is padded with spaces to a multiple of the widest element. */
#define ALIGN_BYTES 8

static void put_metadata(ms_tensor_writer *w, ms_buf *header) {
    bool format = false;
    ms_buf_printf(header, "{\"%s\":{", MS_SAFETENSORS_METADATA);
    for (size_t i = 0; i < w->pair_count; i++) {
        format |= strcmp(w->pairs[i].name, "format") == 0;
        ms_buf_json_string(header, w->pairs[i].name);
        ms_buf_append(header, ":", 1);
        ms_buf_json_string(header, w->pairs[i].text);
        if (i + 1 < w->pair_count)
            ms_buf_append(header, ",", 1);
    }
    /* diffusers and transformers refuse files that do not say this. */
    if (!format)
        ms_buf_printf(header, "%s\"format\":\"pt\"", w->pair_count ? "," : "");
    ms_buf_append(header, "}", 1);
}

static const char *dtype_name(ms_dtype dtype) {
    static const char *const names[MS_DTYPE_COUNT] = {
#define X(name, bytes, text, st) st,
        MS_DTYPE_MAP(X)
#undef X
    };
    return names[dtype];
}

/* offset is still counted from the start of the data. */
static void put_tensor(ms_buf *header, const ms_out_tensor *tensor) {
    ms_buf_append(header, ",", 1);
    ms_buf_json_string(header, tensor->name);
    ms_buf_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(tensor->dtype));
    for (int d = 0; d < tensor->rank; d++)
        ms_buf_printf(header, "%s%lld", d ? "," : "", (long long)tensor->shape[d]);
    ms_buf_printf(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)tensor->offset,
                  (unsigned long long)(tensor->offset + tensor->bytes));
}

static ms_status write_header(ms_tensor_writer *w, ms_buf *header, ms_error *err) {
    unsigned char length[MS_SAFETENSORS_LENGTH_BYTES];
    ms_buf_append(header, "}", 1);
    while (header->length % ALIGN_BYTES && !header->failed)
        ms_buf_append(header, " ", 1);
    if (header->failed)
        return ms_fail_alloc(err, w->mem, header->length, "a safetensors header");
    if (header->length > MS_SAFETENSORS_MAX_HEADER_BYTES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: a safetensors header of %zu bytes, more than %d",
                       w->path, header->length, MS_SAFETENSORS_MAX_HEADER_BYTES);
    for (size_t i = 0; i < sizeof(length); i++)
        length[i] = (unsigned char)((uint64_t)header->length >> (8 * i));
    MS_TRY(ms_out_append(w, length, sizeof(length), err));
    return ms_out_append(w, header->data, header->length, err);
}

static ms_status begin(ms_tensor_writer *w, ms_error *err) {
    ms_buf header;
    uint64_t data_bytes = 0;
    ms_buf_init(&header, w->mem);
    put_metadata(w, &header);
    for (size_t element = 8; element > 0; element /= 2) {
        for (size_t i = 0; i < w->count; i++) {
            if (ms_dtype_bytes(w->tensors[i]->dtype) != element)
                continue;
            w->tensors[i]->offset = data_bytes;
            if (__builtin_add_overflow(data_bytes, w->tensors[i]->bytes, &data_bytes) ||
                data_bytes > INT64_MAX / 2) {
                ms_buf_free(&header);
                return ms_fail(err, MS_INVALID_ARGUMENT, "%s: the tensors' sizes overflow", w->path);
            }
            put_tensor(&header, w->tensors[i]);
        }
    }
    ms_status status = write_header(w, &header, err);
    uint64_t data_start = MS_SAFETENSORS_LENGTH_BYTES + header.length;
    ms_buf_free(&header);
    for (size_t i = 0; i < w->count; i++)
        w->tensors[i]->offset += data_start;
    w->total_bytes = data_start + data_bytes;
    return status;
}

static ms_status tensor_begin(ms_tensor_writer *w, ms_out_tensor *tensor, ms_error *err) {
    return ms_out_seek(w, tensor->offset, err);
}

const ms_out_format ms_out_safetensors = {.begin = begin, .tensor_begin = tensor_begin};
