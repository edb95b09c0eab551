/*
 * data.pkl as torch.save writes it for a dict of contiguous tensors, one storage each: protocol 2, and only
 * opcodes that torch's weights-only reader knows. Entries are set one by one, so that reading needs a shallow
 * stack only.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/tensor_writer.h"
#include "text/text.h"

/* What is written once and recalled afterwards, by its index in the memo. */
enum {
    MEMO_REBUILD,
    MEMO_STORAGE,
    MEMO_CPU,
    MEMO_ORDERED_DICT,
    MEMO_CLASS /* + dtype */,
    MEMO_COUNT = MEMO_CLASS + MS_DTYPE_COUNT
};

typedef struct pickler {
    ms_buf *out;
    bool remembered[MEMO_COUNT];
} pickler;

static void put_byte(pickler *p, int byte) {
    char c = (char)byte;
    ms_buf_append(p->out, &c, 1);
}

static void put_number(pickler *p, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        put_byte(p, (int)(value >> (8 * i) & 0xff));
}

static void put_text(pickler *p, const char *text, size_t length) {
    put_byte(p, 'X'); /* BINUNICODE */
    put_number(p, length, 4);
    ms_buf_append(p->out, text, length);
}

static void put_integer(pickler *p, int64_t value) {
    if (value >= 0 && value <= 0xff) {
        put_byte(p, 'K'); /* BININT1 */
        put_number(p, (uint64_t)value, 1);
    } else if (value >= 0 && value <= 0xffff) {
        put_byte(p, 'M'); /* BININT2 */
        put_number(p, (uint64_t)value, 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        put_byte(p, 'J'); /* BININT */
        put_number(p, (uint64_t)value, 4);
    } else {
        put_byte(p, 0x8a); /* LONG1 */
        put_byte(p, 8);
        put_number(p, (uint64_t)value, 8);
    }
}

/* True when the value at this index was recalled; else it is to be written and remembered. */
static bool recall(pickler *p, int index) {
    if (!p->remembered[index])
        return false;
    put_byte(p, 'h'); /* BINGET */
    put_byte(p, index);
    return true;
}

static void remember(pickler *p, int index) {
    put_byte(p, 'q'); /* BINPUT */
    put_byte(p, index);
    p->remembered[index] = true;
}

static void put_global(pickler *p, int index, const char *module_and_name) {
    if (recall(p, index))
        return;
    ms_buf_printf(p->out, "c%s\n", module_and_name); /* GLOBAL */
    remember(p, index);
}

static void put_word(pickler *p, int index, const char *word) {
    if (recall(p, index))
        return;
    put_text(p, word, strlen(word));
    remember(p, index);
}

static void put_storage_class(pickler *p, ms_dtype dtype) {
    static const char *const classes[MS_DTYPE_COUNT] = {
        [MS_F32] = "torch\nFloatStorage",     [MS_F16] = "torch\nHalfStorage",
        [MS_BF16] = "torch\nBFloat16Storage", [MS_F64] = "torch\nDoubleStorage",
        [MS_I64] = "torch\nLongStorage",      [MS_I32] = "torch\nIntStorage",
        [MS_I16] = "torch\nShortStorage",     [MS_I8] = "torch\nCharStorage",
        [MS_U8] = "torch\nByteStorage",       [MS_BOOL] = "torch\nBoolStorage",
    };
    put_global(p, MEMO_CLASS + (int)dtype, classes[dtype]);
}

static void put_tuple(pickler *p, const int64_t *values, int count) {
    if (count == 0) {
        put_byte(p, ')'); /* EMPTY_TUPLE */
        return;
    }
    put_byte(p, '('); /* MARK */
    for (int i = 0; i < count; i++)
        put_integer(p, values[i]);
    put_byte(p, 't'); /* TUPLE */
}

/* ("storage", class, key, "cpu", elements) and BINPERSID */
static void put_storage(pickler *p, const ms_out_tensor *tensor, size_t index) {
    char key[24];
    int n = snprintf(key, sizeof(key), "%zu", index);
    put_byte(p, '(');
    put_word(p, MEMO_STORAGE, "storage");
    put_storage_class(p, tensor->dtype);
    put_text(p, key, (size_t)n);
    put_word(p, MEMO_CPU, "cpu");
    put_integer(p, (int64_t)(tensor->bytes / ms_dtype_bytes(tensor->dtype)));
    put_byte(p, 't');
    put_byte(p, 'Q');
}

/* _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict()) */
static void put_tensor(pickler *p, const ms_out_tensor *tensor, size_t index) {
    int64_t stride[MS_TENSOR_MAX_RANK], step = 1;
    for (int d = tensor->rank - 1; d >= 0; d--) {
        stride[d] = step;
        if (tensor->bytes) /* else the product may overflow */
            step *= tensor->shape[d];
    }
    put_global(p, MEMO_REBUILD, "torch._utils\n_rebuild_tensor_v2");
    put_byte(p, '(');
    put_storage(p, tensor, index);
    put_integer(p, 0);
    put_tuple(p, tensor->shape, tensor->rank);
    put_tuple(p, stride, tensor->rank);
    put_byte(p, 0x89); /* NEWFALSE: requires_grad */
    put_global(p, MEMO_ORDERED_DICT, "collections\nOrderedDict");
    put_byte(p, ')');
    put_byte(p, 'R'); /* REDUCE */
    put_byte(p, 't');
    put_byte(p, 'R');
}

static void put_tensors(pickler *p, const ms_tensor_writer *w) {
    for (size_t i = 0; i < w->count; i++) {
        put_text(p, w->tensors[i]->name, strlen(w->tensors[i]->name));
        put_tensor(p, w->tensors[i], i);
        put_byte(p, 's'); /* SETITEM */
    }
}

/* "dims" of "dims.n_mels", the whole of "global_step". */
static size_t key_bytes(const char *name) {
    return strcspn(name, ".");
}

static bool same_key(const char *a, const char *b) {
    size_t n = key_bytes(a);
    return n == key_bytes(b) && memcmp(a, b, n) == 0;
}

static bool comes_first(const ms_tensor_writer *w, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (same_key(w->pairs[i].name, w->pairs[index].name))
            return false;
    return true;
}

/* All integers below the top-level key of the first one, or that one alone. */
static void put_integers(pickler *p, const ms_tensor_writer *w, size_t first) {
    const char *name = w->pairs[first].name;
    size_t n = key_bytes(name);
    put_text(p, name, n);
    if (name[n] == 0) {
        put_integer(p, w->pairs[first].integer);
    } else {
        put_byte(p, '}'); /* EMPTY_DICT */
        for (size_t i = first; i < w->pair_count; i++) {
            const char *other = w->pairs[i].name;
            if (!same_key(name, other))
                continue;
            put_text(p, other + n + 1, strlen(other + n + 1));
            put_integer(p, w->pairs[i].integer);
            put_byte(p, 's');
        }
    }
    put_byte(p, 's');
}

/* The top level is one dict, so no key may stand for two things. */
static ms_status check_keys(const ms_tensor_writer *w, ms_error *err) {
    for (size_t i = 0; i < w->pair_count; i++) {
        const char *name = w->pairs[i].name;
        size_t n = key_bytes(name);
        bool tensor = w->root ? strlen(w->root) == n && memcmp(w->root, name, n) == 0
                              : ms_strmap_find(&w->names, name, n) != NULL;
        char q[MS_QUOTE_BYTES];
        if (tensor || (name[n] && ms_strmap_find(&w->pair_names, name, n)))
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s: the integer \"%s\" needs a key that is taken",
                           w->path, ms_quote(q, name, strlen(name)));
    }
    return MS_OK;
}

ms_status ms_torch_write_pickle(ms_tensor_writer *w, ms_error *err) {
    pickler p = {.out = &w->pickle};
    MS_TRY(check_keys(w, err));
    put_byte(&p, 0x80); /* PROTO */
    put_byte(&p, 2);
    put_byte(&p, '}');
    for (size_t i = 0; i < w->pair_count; i++)
        if (comes_first(w, i))
            put_integers(&p, w, i);
    if (w->root) {
        put_text(&p, w->root, strlen(w->root));
        put_byte(&p, '}');
    }
    put_tensors(&p, w);
    if (w->root)
        put_byte(&p, 's');
    put_byte(&p, '.'); /* STOP */
    return w->pickle.failed ? ms_fail_alloc(err, w->mem, w->pickle.length, "data.pkl") : MS_OK;
}
