#include "weights/params.h"

#include <string.h>

#include "base/error.h"
#include "base/region.h"
#include "text/strmap.h"
#include "weights/weights_internal.h"

/* Large enough that the cost of beginning a copy does not count, small enough that two can be held. */
#define SLOT_BYTES ((size_t)4 << 20)

typedef struct entry {
    ms_param_decl decl;
    int64_t elements; /* of one part */
} entry;

struct ms_params {
    ms_mem *mem;
    const ms_device *dev;
    ms_region region;  /* names and the map */
    ms_strmap by_name; /* value: index + 1 as a pointer */
    entry **entries;   /* in the region, so declarations stay where they are */
    int count, capacity;
};

ms_status ms_params_create(ms_mem *mem, const ms_device *dev, ms_params **ret_params, ms_error *err) {
    ms_params *p = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*p));
    if (!p)
        return ms_fail_alloc(err, mem, sizeof(*p), "a list of parameters");
    p->mem = mem;
    p->dev = dev;
    ms_region_init(&p->region, mem, SIZE_MAX);
    ms_strmap_init(&p->by_name, &p->region);
    *ret_params = p;
    return MS_OK;
}

void ms_params_destroy(ms_params **params) {
    if (!params || !*params)
        return;
    ms_params *p = *params;
    ms_region_free(&p->region);
    ms_mem_free(p->entries);
    ms_mem_free(p);
    *params = NULL;
}

/* ---- declaring ---- */

static const char *key_of(const ms_param_decl *d) {
    for (int i = 0; i < d->parts; i++)
        if (d->name[i])
            return d->name[i];
    return "";
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_decl(const ms_param_decl *a, const ms_param_decl *b) {
    bool same = a->parts == b->parts && a->rank == b->rank && a->vector == b->vector &&
                a->layout == b->layout && a->groups == b->groups;
    for (int i = 0; i < a->rank && same; i++)
        same = a->shape[i] == b->shape[i];
    for (int i = 0; i < a->parts && same; i++)
        same = same_text(a->name[i], b->name[i]);
    return same;
}

/* A copy of the declaration whose names live as long as the parameters; false when memory is out. */
static bool copy_decl(ms_params *p, const ms_param_decl *decl, ms_param_decl *ret_copy) {
    *ret_copy = *decl;
    for (int i = 0; i < decl->parts; i++) {
        const char *const from[2] = {decl->name[i], decl->other_name[i]};
        const char **to[2] = {&ret_copy->name[i], &ret_copy->other_name[i]};
        for (int j = 0; j < 2; j++) {
            *to[j] = from[j] ? ms_region_strndup(&p->region, from[j], strlen(from[j])) : NULL;
            if (from[j] && !*to[j])
                return false;
        }
    }
    return true;
}

static bool grow(ms_params *p) {
    if (p->count < p->capacity)
        return true;
    int wanted = p->capacity ? 2 * p->capacity : 256;
    size_t bytes = (size_t)wanted * sizeof(entry *);
    entry **entries =
        p->entries ? ms_realloc(p->entries, bytes) : ms_mem_alloc(p->mem, MS_LEDGER_GENERAL, bytes);
    if (!entries)
        return false;
    p->entries = entries;
    p->capacity = wanted;
    return true;
}

ms_status ms_params_declare(ms_params *p, const ms_param_decl *decl, ms_param *ret_param, ms_error *err) {
    const char *key = key_of(decl);
    uintptr_t known = (uintptr_t)ms_strmap_find(&p->by_name, key, strlen(key));
    if (known) {
        if (!same_decl(&p->entries[known - 1]->decl, decl))
            return ms_fail(err, MS_INTERNAL, "parameter %s is declared twice with different shapes", key);
        *ret_param = (ms_param)(known - 1);
        return MS_OK;
    }
    entry *e = ms_region_alloc(&p->region, sizeof(*e));
    if (!e || !grow(p) || !copy_decl(p, decl, &e->decl))
        return ms_fail_alloc(err, p->mem, sizeof(*e), "a list of parameters");
    e->elements = 1;
    for (int i = 0; i < decl->rank; i++)
        e->elements *= decl->shape[i];
    key = key_of(&e->decl);
    if (ms_strmap_add(&p->by_name, key, strlen(key), (void *)(uintptr_t)(p->count + 1)) != MS_STRMAP_ADDED)
        return ms_fail_alloc(err, p->mem, sizeof(*e), "a list of parameters");
    p->entries[p->count] = e;
    *ret_param = p->count++;
    return MS_OK;
}

size_t ms_params_own_bytes(const ms_params *p) {
    return ms_mem_charged_bytes(sizeof(*p)) + ms_region_held_bytes(&p->region) +
           (p->entries ? ms_mem_charged_bytes((size_t)p->capacity * sizeof(entry *)) : 0);
}

ms_mem *ms_params_mem(const ms_params *p) {
    return p->mem;
}

const ms_device *ms_params_device(const ms_params *p) {
    return p->dev;
}

size_t ms_params_count(const ms_params *p) {
    return (size_t)p->count;
}

const ms_param_decl *ms_params_decl(const ms_params *p, ms_param param) {
    return &p->entries[param]->decl;
}

int64_t ms_params_part_elements(const ms_params *p, ms_param param) {
    return p->entries[param]->elements;
}

/* Multiples of the golden section modulo 1: any range of them holds members that
   lie evenly spread (Knuth, The Art of Computer Programming 3, 6.4, theorem S). */
bool ms_params_is_streamed(const ms_params *p, ms_param param, ms_residency residency) {
    return !p->entries[param]->decl.vector && (uint32_t)param * 2654435769u < residency;
}

/* ---- sizes ---- */

ms_weight_shape ms_param_weight_shape(const ms_params *p, ms_param param, ms_dtype dtype) {
    const ms_param_decl *d = ms_params_decl(p, param);
    ms_weight_shape s = {.layout = d->layout,
                         .dtype = dtype,
                         .n = d->shape[0] * d->parts,
                         .c_in = d->rank > 1 ? d->shape[1] : 1,
                         .kernel_h = 1,
                         .kernel_w = 1,
                         .groups = d->groups ? d->groups : 1};
    if (d->rank == 4)
        s.kernel_h = (int)d->shape[2];
    if (d->rank >= 3)
        s.kernel_w = (int)d->shape[d->rank - 1];
    return s;
}

size_t ms_param_bytes(const ms_params *p, ms_param param, ms_dtype dtype) {
    const entry *e = p->entries[param];
    if (e->decl.vector)
        return (size_t)(e->elements * e->decl.parts) * sizeof(float);
    ms_weight_shape s = ms_param_weight_shape(p, param, dtype);
    return p->dev->backend->weight_bytes(&s);
}

size_t ms_params_bytes(const ms_params *p, ms_dtype precision) {
    return ms_params_resident_bytes(p, precision, MS_ALL_RESIDENT);
}

size_t ms_params_resident_bytes(const ms_params *p, ms_dtype precision, ms_residency residency) {
    size_t sum = 0;
    for (ms_param i = 0; i < p->count; i++)
        if (!ms_params_is_streamed(p, i, residency))
            sum += ms_param_bytes(p, i, precision);
    return sum;
}

size_t ms_params_held_bytes(const ms_params *p, ms_dtype precision, ms_residency residency) {
    size_t sum = 0;
    for (ms_param i = 0; i < p->count; i++)
        if (!ms_params_is_streamed(p, i, residency))
            sum += ms_device_block_bytes(p->dev, ms_param_bytes(p, i, precision));
    return sum;
}

size_t ms_params_stream_bytes(const ms_params *p, ms_dtype precision, ms_residency residency) {
    size_t first = 0, second = 0;
    for (ms_param i = 0; i < p->count; i++) {
        if (!ms_params_is_streamed(p, i, residency))
            continue;
        size_t bytes = ms_align_up(ms_param_bytes(p, i, precision), MS_MEM_ALIGN);
        if (bytes > first) {
            second = first;
            first = bytes;
        } else if (bytes > second) {
            second = bytes;
        }
    }
    return first + second;
}

/* Floats of one row of a matrix in the checkpoint. */
static size_t row_floats(const ms_params *p, ms_param param) {
    const entry *e = p->entries[param];
    return e->decl.vector ? 0 : (size_t)(e->elements / e->decl.shape[0]);
}

size_t ms_params_stream_scratch_floats(const ms_params *p, ms_residency residency) {
    size_t most = 0;
    if (p->dev->caps.raw_weights)
        return 0;
    for (ms_param i = 0; i < p->count; i++) {
        size_t floats = ms_params_is_streamed(p, i, residency) ? row_floats(p, i) * MS_PANEL_ROWS : 0;
        most = floats > most ? floats : most;
    }
    return most;
}

size_t ms_params_slot_bytes(const ms_params *p) {
    size_t most = p->dev->caps.raw_weights ? SLOT_BYTES : 0;
    for (ms_param i = 0; i < p->count && most; i++) {
        size_t bytes = row_floats(p, i) * sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return most;
}
