/*
 * The pickles that torch.save writes (protocols 2 to 5), read without running anything: a fixed list of
 * opcodes builds plain values, a fixed list of globals stands for the few classes and functions that a
 * checkpoint needs, and whatever is not on the lists ends the reading with its name. Depth, stack, memo and
 * memory are bounded. Facts about the opcodes are from CPython's Lib/pickletools.py, about the globals from
 * torch/serialization.py, torch/_utils.py and torch/_weights_only_unpickler.py.
 */
#ifndef MS_FORMATS_PICKLE_H
#define MS_FORMATS_PICKLE_H

#include "base/dtype.h"
#include "base/region.h"

typedef enum ms_pickle_type {
    MS_PICKLE_UNSET,
    MS_PICKLE_NONE,
    MS_PICKLE_BOOL,
    MS_PICKLE_INTEGER,
    MS_PICKLE_FLOAT,
    MS_PICKLE_TEXT,
    MS_PICKLE_TUPLE,
    MS_PICKLE_LIST,
    MS_PICKLE_DICT,
    MS_PICKLE_GLOBAL,
    MS_PICKLE_STORAGE,
    MS_PICKLE_TENSOR,
    MS_PICKLE_OPAQUE, /* bytes, integers over 64 bits, devices: may lie in a dict, but mean nothing here */
    MS_PICKLE_MARK,   /* on the reader's stack only */
} ms_pickle_type;

typedef struct ms_pickle_text {
    const char *data; /* in the pickle's bytes, not terminated */
    size_t length;
} ms_pickle_text;

/* Items of a tuple or list; keys and values in turn of a dict. */
typedef struct ms_pickle_items ms_pickle_items;

typedef struct ms_pickle_value {
    ms_pickle_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const ms_pickle_text *text;
        ms_pickle_items *items;
        const struct ms_pickle_global *global;
        const struct ms_pickle_storage *storage;
        const struct ms_pickle_tensor *tensor;
    };
} ms_pickle_value;

struct ms_pickle_items {
    size_t count, capacity;
    ms_pickle_value *at;
};

typedef struct ms_pickle_storage {
    ms_pickle_text key; /* the member "data/<key>" of the archive */
    ms_dtype dtype;
    bool untyped;     /* elements are bytes and dtype means nothing */
    int64_t elements; /* as the file says: may be anything */
} ms_pickle_storage;

/* A view of a storage, unchecked: sizes and strides are integers, but may be negative or absurd. */
typedef struct ms_pickle_tensor {
    const ms_pickle_storage *storage;
    ms_dtype dtype;
    int64_t offset; /* elements */
    const ms_pickle_items *size, *stride;
} ms_pickle_tensor;

/*
 * bytes must outlive the value, whose memory is the region's. MS_BAD_MODEL with the byte where it went wrong.
 * Containers may contain themselves: whoever walks them must bound the depth and the number of steps.
 */
ms_status ms_pickle_read(ms_region *region, const void *bytes, size_t length, ms_pickle_value *ret_value,
                         ms_error *err);

/* "a dict", "a tensor" ... for messages. */
const char *ms_pickle_type_name(ms_pickle_type type);

#endif
