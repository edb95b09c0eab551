#include "formats/pickle_globals.h"

#include <string.h>

static const ms_pickle_global globals[] = {
    {"collections", "OrderedDict", MS_GLOBAL_ORDERED_DICT, MS_F32},
    {"torch._utils", "_rebuild_tensor", MS_GLOBAL_REBUILD_TENSOR, MS_F32},
    {"torch._utils", "_rebuild_tensor_v2", MS_GLOBAL_REBUILD_TENSOR, MS_F32},
    {"torch._utils", "_rebuild_tensor_v3", MS_GLOBAL_REBUILD_TENSOR_V3, MS_F32},
    {"torch._utils", "_rebuild_parameter", MS_GLOBAL_REBUILD_PARAMETER, MS_F32},
    {"torch", "Size", MS_GLOBAL_SIZE, MS_F32},
    {"torch", "device", MS_GLOBAL_DEVICE, MS_F32},
    {"torch", "FloatStorage", MS_GLOBAL_STORAGE, MS_F32},
    {"torch", "HalfStorage", MS_GLOBAL_STORAGE, MS_F16},
    {"torch", "BFloat16Storage", MS_GLOBAL_STORAGE, MS_BF16},
    {"torch", "DoubleStorage", MS_GLOBAL_STORAGE, MS_F64},
    {"torch", "LongStorage", MS_GLOBAL_STORAGE, MS_I64},
    {"torch", "IntStorage", MS_GLOBAL_STORAGE, MS_I32},
    {"torch", "ShortStorage", MS_GLOBAL_STORAGE, MS_I16},
    {"torch", "CharStorage", MS_GLOBAL_STORAGE, MS_I8},
    {"torch", "ByteStorage", MS_GLOBAL_STORAGE, MS_U8},
    {"torch", "BoolStorage", MS_GLOBAL_STORAGE, MS_BOOL},
    {"torch", "UntypedStorage", MS_GLOBAL_UNTYPED_STORAGE, MS_U8},
    {"torch.storage", "UntypedStorage", MS_GLOBAL_UNTYPED_STORAGE, MS_U8},
    {"torch", "float32", MS_GLOBAL_DTYPE, MS_F32},
    {"torch", "float16", MS_GLOBAL_DTYPE, MS_F16},
    {"torch", "bfloat16", MS_GLOBAL_DTYPE, MS_BF16},
    {"torch", "float64", MS_GLOBAL_DTYPE, MS_F64},
    {"torch", "int64", MS_GLOBAL_DTYPE, MS_I64},
    {"torch", "int32", MS_GLOBAL_DTYPE, MS_I32},
    {"torch", "int16", MS_GLOBAL_DTYPE, MS_I16},
    {"torch", "int8", MS_GLOBAL_DTYPE, MS_I8},
    {"torch", "uint8", MS_GLOBAL_DTYPE, MS_U8},
    {"torch", "bool", MS_GLOBAL_DTYPE, MS_BOOL},
};

static bool text_is(const ms_pickle_text *text, const char *expected) {
    return text->length == strlen(expected) && memcmp(text->data, expected, text->length) == 0;
}

const ms_pickle_global *ms_pickle_find_global(const ms_pickle_text *module, const ms_pickle_text *name) {
    for (size_t i = 0; i < sizeof(globals) / sizeof(*globals); i++)
        if (text_is(name, globals[i].name) && text_is(module, globals[i].module))
            return &globals[i];
    return NULL;
}

ms_pickle_items *ms_pickle_new_items(ms_region *region) {
    ms_pickle_items *items = ms_region_alloc(region, sizeof(*items));
    if (items)
        *items = (ms_pickle_items){0};
    return items;
}

bool ms_pickle_append(ms_region *region, ms_pickle_items *items, ms_pickle_value value) {
    if (items->count == items->capacity) {
        size_t capacity = items->capacity ? items->capacity * 2 : 4;
        ms_pickle_value *at = ms_region_alloc_array(region, capacity, sizeof(*at));
        if (!at)
            return false;
        if (items->count)
            memcpy(at, items->at, items->count * sizeof(*at));
        items->at = at;
        items->capacity = capacity;
    }
    items->at[items->count++] = value;
    return true;
}

/* Whether the arguments begin with these types. */
static bool begin_with(const ms_pickle_items *arguments, const ms_pickle_type *types, size_t count) {
    if (arguments->count < count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (arguments->at[i].type != types[i])
            return false;
    return true;
}

static bool all_integers(const ms_pickle_items *items) {
    for (size_t i = 0; i < items->count; i++)
        if (items->at[i].type != MS_PICKLE_INTEGER)
            return false;
    return true;
}

static ms_status rebuild_tensor(ms_region *region, const ms_pickle_global *global,
                                const ms_pickle_items *arguments, ms_pickle_value *ret_value,
                                const char **ret_wrong) {
    static const ms_pickle_type types[] = {MS_PICKLE_STORAGE, MS_PICKLE_INTEGER, MS_PICKLE_TUPLE,
                                           MS_PICKLE_TUPLE};
    const ms_pickle_value *a = arguments->at;
    bool v3 = global->kind == MS_GLOBAL_REBUILD_TENSOR_V3;
    if (!begin_with(arguments, types, sizeof(types) / sizeof(*types)) || !all_integers(a[2].items) ||
        !all_integers(a[3].items) || a[2].items->count != a[3].items->count) {
        *ret_wrong = "does not get (storage, offset, size, stride)";
        return MS_OK;
    }
    if (v3 &&
        (arguments->count < 7 || a[6].type != MS_PICKLE_GLOBAL || a[6].global->kind != MS_GLOBAL_DTYPE)) {
        *ret_wrong = "does not get an element type";
        return MS_OK;
    }
    if (!v3 && a[0].storage->untyped) {
        *ret_wrong = "gets a storage without an element type";
        return MS_OK;
    }
    ms_pickle_tensor *tensor = ms_region_alloc(region, sizeof(*tensor));
    if (!tensor)
        return MS_HOST_MEMORY;
    *tensor = (ms_pickle_tensor){.storage = a[0].storage,
                                 .dtype = v3 ? a[6].global->dtype : a[0].storage->dtype,
                                 .offset = a[1].integer,
                                 .size = a[2].items,
                                 .stride = a[3].items};
    *ret_value = (ms_pickle_value){.type = MS_PICKLE_TENSOR, .tensor = tensor};
    return MS_OK;
}

/* OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]). */
static ms_status ordered_dict(ms_region *region, const ms_pickle_items *arguments, ms_pickle_value *ret_value,
                              const char **ret_wrong) {
    ms_pickle_items *dict = ms_pickle_new_items(region);
    if (!dict)
        return MS_HOST_MEMORY;
    *ret_value = (ms_pickle_value){.type = MS_PICKLE_DICT, .items = dict};
    if (arguments->count == 0)
        return MS_OK;
    *ret_wrong = "gets something else than a list of pairs";
    if (arguments->count != 1 || arguments->at[0].type != MS_PICKLE_LIST)
        return MS_OK;
    const ms_pickle_items *pairs = arguments->at[0].items;
    for (size_t i = 0; i < pairs->count; i++) {
        const ms_pickle_value *pair = &pairs->at[i];
        if ((pair->type != MS_PICKLE_LIST && pair->type != MS_PICKLE_TUPLE) || pair->items->count != 2)
            return MS_OK;
        if (!ms_pickle_append(region, dict, pair->items->at[0]) ||
            !ms_pickle_append(region, dict, pair->items->at[1]))
            return MS_HOST_MEMORY;
    }
    *ret_wrong = NULL;
    return MS_OK;
}

ms_status ms_pickle_call(ms_region *region, const ms_pickle_global *global, const ms_pickle_items *arguments,
                         ms_pickle_value *ret_value, const char **ret_wrong) {
    static const ms_pickle_type tensor_first[] = {MS_PICKLE_TENSOR}, tuple_first[] = {MS_PICKLE_TUPLE};
    *ret_wrong = NULL;
    switch (global->kind) {
    case MS_GLOBAL_ORDERED_DICT:
        return ordered_dict(region, arguments, ret_value, ret_wrong);
    case MS_GLOBAL_REBUILD_TENSOR:
    case MS_GLOBAL_REBUILD_TENSOR_V3:
        return rebuild_tensor(region, global, arguments, ret_value, ret_wrong);
    case MS_GLOBAL_REBUILD_PARAMETER:
        if (begin_with(arguments, tensor_first, 1))
            *ret_value = arguments->at[0];
        else
            *ret_wrong = "does not get a tensor";
        return MS_OK;
    case MS_GLOBAL_SIZE:
        if (begin_with(arguments, tuple_first, 1))
            *ret_value = arguments->at[0];
        else
            *ret_wrong = "does not get a tuple";
        return MS_OK;
    case MS_GLOBAL_DEVICE:
        *ret_value = (ms_pickle_value){.type = MS_PICKLE_OPAQUE};
        return MS_OK;
    case MS_GLOBAL_STORAGE:
    case MS_GLOBAL_UNTYPED_STORAGE:
    case MS_GLOBAL_DTYPE:
        break;
    }
    *ret_wrong = "is called, which no checkpoint does";
    return MS_OK;
}

ms_status ms_pickle_storage_from_id(ms_region *region, const ms_pickle_value *id, ms_pickle_value *ret_value,
                                    const char **ret_wrong) {
    static const ms_pickle_type types[] = {MS_PICKLE_TEXT, MS_PICKLE_GLOBAL, MS_PICKLE_TEXT, MS_PICKLE_TEXT,
                                           MS_PICKLE_INTEGER};
    *ret_wrong = "a persistent id is not (\"storage\", class, key, location, elements)";
    if (id->type != MS_PICKLE_TUPLE || !begin_with(id->items, types, sizeof(types) / sizeof(*types)))
        return MS_OK;
    const ms_pickle_value *a = id->items->at;
    bool untyped = a[1].global->kind == MS_GLOBAL_UNTYPED_STORAGE;
    if (!text_is(a[0].text, "storage") || (!untyped && a[1].global->kind != MS_GLOBAL_STORAGE))
        return MS_OK;
    ms_pickle_storage *storage = ms_region_alloc(region, sizeof(*storage));
    if (!storage)
        return MS_HOST_MEMORY;
    *storage = (ms_pickle_storage){
        .key = *a[2].text, .dtype = a[1].global->dtype, .untyped = untyped, .elements = a[4].integer};
    *ret_value = (ms_pickle_value){.type = MS_PICKLE_STORAGE, .storage = storage};
    *ret_wrong = NULL;
    return MS_OK;
}
