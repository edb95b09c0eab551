/* The globals that a checkpoint may name, and what calling them makes. */
#ifndef MS_FORMATS_PICKLE_GLOBALS_H
#define MS_FORMATS_PICKLE_GLOBALS_H

#include "formats/pickle.h"

typedef enum ms_pickle_global_kind {
    MS_GLOBAL_ORDERED_DICT,
    MS_GLOBAL_REBUILD_TENSOR,    /* (storage, offset, size, stride, ...) */
    MS_GLOBAL_REBUILD_TENSOR_V3, /* (storage, offset, size, stride, requires_grad, hooks, dtype, ...) */
    MS_GLOBAL_REBUILD_PARAMETER, /* (tensor, ...) */
    MS_GLOBAL_SIZE,              /* (tuple) */
    MS_GLOBAL_DEVICE,
    MS_GLOBAL_STORAGE, /* a storage class; named in persistent ids, never called */
    MS_GLOBAL_UNTYPED_STORAGE,
    MS_GLOBAL_DTYPE,
} ms_pickle_global_kind;

typedef struct ms_pickle_global {
    const char *module, *name;
    ms_pickle_global_kind kind;
    ms_dtype dtype; /* of a storage class or a dtype */
} ms_pickle_global;

/* NULL when it is not on the list. */
const ms_pickle_global *ms_pickle_find_global(const ms_pickle_text *module, const ms_pickle_text *name);

/* global(*arguments). Sets *ret_wrong (else NULL) when the arguments are not what torch writes.
   MS_HOST_MEMORY is the only failure. */
ms_status ms_pickle_call(ms_region *region, const ms_pickle_global *global, const ms_pickle_items *arguments,
                         ms_pickle_value *ret_value, const char **ret_wrong);

/* The storage that a persistent id stands for: ("storage", class, key, location, elements). */
ms_status ms_pickle_storage_from_id(ms_region *region, const ms_pickle_value *id, ms_pickle_value *ret_value,
                                    const char **ret_wrong);

/* Appends to a tuple, list or dict; false when there is no memory. */
bool ms_pickle_append(ms_region *region, ms_pickle_items *items, ms_pickle_value value);
ms_pickle_items *ms_pickle_new_items(ms_region *region);

#endif
