/* Torch archives (support/models/torch_archive.h) that are read from memory. */
#ifndef MS_TESTS_SUPPORT_MODELS_TORCH_READ_H
#define MS_TESTS_SUPPORT_MODELS_TORCH_READ_H

#include "test.h"

#include "formats/tensor_file_internal.h"
#include "support/models/torch_archive.h"

/* An archive of one pickle and, when elements > 0, storage "0" of float32 0, 1, 2 ... */
static inline void make_archive(archive *a, const byte_string *pickle, size_t elements) {
    float *values = malloc(elements * sizeof(*values) + 1);
    for (size_t i = 0; i < elements; i++)
        values[i] = (float)i;
    *a = (archive){0};
    archive_add(a, "x/data.pkl", pickle->data, pickle->length);
    archive_add(a, "x/byteorder", "little", 6);
    if (elements)
        archive_add(a, "x/data/0", values, elements * sizeof(*values));
    archive_end(a);
    free(values);
}

/* {"t": view} */
static inline void pickle_one_view(byte_string *pickle, const view *v) {
    *pickle = (byte_string){0};
    bytes_text(pickle, "\x80\x02}");
    pickle_text(pickle, "t");
    pickle_view(pickle, v);
    bytes_text(pickle, "s.");
}

static inline ms_status open_archive(const archive *a, ms_tensor_file **ret_file, ms_error *err) {
    return ms_tensor_file_open_memory(NULL, "mem", a->file.data, a->file.length, ret_file, err);
}

static inline void assert_archive_refused(const archive *a, const char *because) {
    ms_error err = {0};
    ms_tensor_file *file = NULL;
    ms_status status = open_archive(a, &file, &err);
    if (status != MS_BAD_MODEL || !strstr(err.message, because))
        fail_msg("%s: \"%s\" does not say \"%s\"", ms_status_name(status), err.message, because);
}

#endif
