#include "planner/optimizer.h"

#include <string.h>

#include "base/sized.h"

#define MAX_SIDE 65536

struct ms_optimizer {
    ms_profile profile;
    ms_optimizer_params p; /* its texts are not looked at again */
};

static const struct {
    const char *name;
    ms_field_id field;
} tasks[MS_TASK_COUNT] = {
#define X(name, text) {text, MS_FIELD_##name##_BATCH},
    MS_TASK_MAP(X)
#undef X
};

_Static_assert(MS_TASK_COUNT <= MS_TASK_ROOM, "tasks have outgrown the public structs");

const char *ms_task_name(ms_task task) {
    return task >= 0 && task < MS_TASK_COUNT ? tasks[task].name : "unknown";
}

ms_field_id ms_task_field(ms_task task) {
    return tasks[task].field;
}

bool ms_task_find(const char *name, ms_task *ret_task) {
    for (int t = 0; name && ret_task && t < MS_TASK_COUNT; t++) {
        if (strcmp(tasks[t].name, name) == 0) {
            *ret_task = (ms_task)t;
            return true;
        }
    }
    return false;
}

const char *ms_batch_limit_name(ms_batch_limit limit) {
    static const char *const names[] = {"cap", "frames", "memory", "host_memory", "pressure"};
    return limit >= 0 && limit <= MS_BATCH_BY_PRESSURE ? names[limit] : "unknown";
}

static const ms_optimizer_params defaults = {.environment = true};

void ms_optimizer_params_init_sized(ms_optimizer_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

ms_status ms_optimizer_create_with(ms_mem *mem, const ms_profile *profile, const ms_optimizer_params *params,
                                   ms_optimizer **ret_optimizer, ms_error *err) {
    ms_optimizer *o = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*o));
    if (!o)
        return ms_fail_alloc(err, mem, sizeof(*o), "the optimizer");
    o->profile = *profile;
    o->p = *params;
    if (!o->p.host_budget_bytes)
        o->p.host_budget_bytes = (size_t)profile->value[MS_FIELD_HOST_BUDGET];
    *ret_optimizer = o;
    return MS_OK;
}

ms_status ms_optimizer_create_sized(const ms_optimizer_params *params, size_t params_bytes,
                                    ms_optimizer **ret_optimizer, ms_error *err) {
    ms_profile profile;
    ms_optimizer_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_optimizer, err);
    if (p.device && !p.device_bytes) {
        ms_device_info info;
        ms_device_get_info(p.device, &info);
        p.device_bytes = info.total_bytes;
    }
    ms_profile_params source = {.device_bytes = p.device_bytes,
                                .device_has_bf16 = p.device_has_bf16,
                                .tier = p.profile,
                                .tier_called = "profile",
                                .file = p.profile_file,
                                .environment = p.environment,
                                .settings = p.settings,
                                .n_settings = p.n_settings};
    if (!p.device_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "the device or its nominal memory (device_bytes) is missing");
    MS_TRY(ms_profile_load(&source, &profile, err));
    return ms_optimizer_create_with(NULL, &profile, &p, ret_optimizer, err);
}

void ms_optimizer_destroy(ms_optimizer **optimizer) {
    if (!optimizer)
        return;
    ms_mem_free(*optimizer);
    *optimizer = NULL;
}

const ms_profile *ms_optimizer_profile(const ms_optimizer *o) {
    return &o->profile;
}

const char *ms_optimizer_tier(const ms_optimizer *o) {
    return o ? ms_tier_name(o->profile.tier) : "unknown";
}

int ms_optimizer_clean_up_frames(const ms_optimizer *o) {
    return o ? (int)o->profile.value[MS_FIELD_CLEAN_UP_FRAMES] : 0;
}

/* ---- what a batch costs ---- */

static size_t add(size_t a, size_t b) {
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

static size_t times(size_t a, size_t b) {
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

static ms_status table_cost(const ms_task_cost *c, ms_task task, const ms_batch_request *r, int items,
                            ms_batch_bytes *ret_bytes, ms_error *err) {
    if (!c->fixed_bytes && !c->item_bytes && !c->pixel_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "what %s costs is not known: it needs a cost function or an entry in the table",
                       ms_task_name(task));
    size_t item = add(c->item_bytes, times(c->pixel_bytes, (size_t)r->height * (size_t)r->width));
    *ret_bytes = (ms_batch_bytes){.device_bytes = add(c->fixed_bytes, times((size_t)items, item))};
    return MS_OK;
}

static ms_status cost(const ms_optimizer *o, ms_task task, const ms_batch_request *r, int items,
                      ms_batch_bytes *ret_bytes, ms_error *err) {
    return o->p.cost ? o->p.cost(o->p.arg, task, r, items, ret_bytes, err)
                     : table_cost(&o->p.costs[task], task, r, items, ret_bytes, err);
}

/* ---- a query ---- */

static ms_status check(ms_task task, const ms_batch_request *r, ms_error *err) {
    if (task < 0 || task >= MS_TASK_COUNT)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d is no task", (int)task);
    if (r->height < 1 || r->width < 1 || r->height > MAX_SIDE || r->width > MAX_SIDE)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: items of %dx%d pixels", ms_task_name(task), r->width,
                       r->height);
    if (r->frames < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: %d frames", ms_task_name(task), r->frames);
    if (r->pressure < 0 || r->pressure > 3)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: a pressure of %d; it must be 0 to 3",
                       ms_task_name(task), r->pressure);
    return MS_OK;
}

static void find_room(const ms_optimizer *o, const ms_batch_request *r, ms_batch_answer *a) {
    size_t budget = (size_t)o->profile.value[MS_FIELD_BUDGET];
    size_t margin = (size_t)o->profile.value[MS_FIELD_SAFETY_MARGIN];
    if (r->free_bytes)
        a->free_bytes = r->free_bytes;
    else if (o->p.ask_free)
        a->free_bytes = o->p.ask_free(o->p.arg);
    else
        a->free_bytes = o->p.free_bytes;
    if (!a->free_bytes && !o->p.ask_free && o->p.device) {
        ms_device_info info;
        ms_device_get_info(o->p.device, &info);
        a->free_bytes = info.free_bytes;
    }
    a->usable_bytes = a->free_bytes / 100 * (100 - margin) + a->free_bytes % 100 * (100 - margin) / 100;
    if (budget && budget < a->usable_bytes)
        a->usable_bytes = budget;
    a->usable_host_bytes = o->p.host_budget_bytes ? o->p.host_budget_bytes : SIZE_MAX;
}

static void find_cap(const ms_optimizer *o, ms_task task, const ms_batch_request *r, ms_batch_answer *a) {
    int64_t cap = o->profile.value[ms_task_field(task)];
    a->cap = cap ? (int)cap : MS_BATCH_LIMIT;
    a->cap_is_users = cap && ms_profile_is_set(&o->profile, ms_task_field(task));
    a->batch = a->cap;
    a->limit = MS_BATCH_BY_CAP;
    if (r->frames && r->frames < a->batch) {
        a->batch = r->frames;
        a->limit = MS_BATCH_BY_FRAMES;
    }
}

static bool fits(const ms_batch_answer *a, const ms_batch_bytes *bytes, ms_batch_limit *ret_limit) {
    if (bytes->device_bytes > a->usable_bytes)
        *ret_limit = MS_BATCH_BY_MEMORY;
    else if (bytes->host_bytes > a->usable_host_bytes)
        *ret_limit = MS_BATCH_BY_HOST_MEMORY;
    else
        return true;
    return false;
}

/* The largest batch up to a->batch that fits; one item when none does. */
static ms_status lower_by_memory(const ms_optimizer *o, ms_task task, const ms_batch_request *r,
                                 ms_batch_answer *a, ms_error *err) {
    int good = 1, bad = a->batch + 1;
    ms_batch_bytes bytes;
    ms_batch_limit limit = a->limit;
    MS_TRY(cost(o, task, r, 1, &a->one, err));
    a->fits = fits(a, &a->one, &limit);
    if (!a->fits)
        bad = 2;
    for (int items = a->batch; bad - good > 1; items = good + (bad - good) / 2) { /* the whole first */
        MS_TRY(cost(o, task, r, items, &bytes, err));
        if (fits(a, &bytes, &limit))
            good = items;
        else
            bad = items;
    }
    if (good < a->batch || !a->fits)
        a->limit = limit;
    a->batch = good;
    return MS_OK;
}

static void lower_by_pressure(const ms_batch_request *r, ms_batch_answer *a) {
    int lowered = r->pressure == 3 ? 1 : a->batch >> r->pressure;
    if (lowered < 1)
        lowered = 1;
    if (lowered < a->batch) {
        a->batch = lowered;
        a->limit = MS_BATCH_BY_PRESSURE;
    }
}

ms_status ms_optimizer_explain_sized(const ms_optimizer *o, ms_task task, const ms_batch_request *request,
                                     size_t request_bytes, ms_batch_answer *ret_answer, size_t answer_bytes,
                                     ms_error *err) {
    ms_batch_request r = {0};
    ms_batch_answer a = {0};
    ms_error_clear(err);
    MS_READ_SIZED(&r, request, request_bytes, err);
    MS_CHECK_SIZED(ret_answer, answer_bytes, err);
    MS_NEED(o, err);
    MS_NEED(ret_answer, err);
    MS_TRY(check(task, &r, err));
    find_room(o, &r, &a);
    find_cap(o, task, &r, &a);
    MS_TRY(lower_by_memory(o, task, &r, &a, err));
    lower_by_pressure(&r, &a);
    MS_TRY(cost(o, task, &r, a.batch, &a.needed, err));
    ms_sized_fill(ret_answer, answer_bytes, &a, sizeof(a));
    return MS_OK;
}

ms_status ms_optimizer_get_optimal_batch_size_sized(const ms_optimizer *o, ms_task task,
                                                    const ms_batch_request *request, size_t request_bytes,
                                                    int *ret_batch, ms_error *err) {
    ms_batch_answer a;
    ms_error_clear(err);
    MS_NEED(ret_batch, err);
    MS_TRY(ms_optimizer_explain_sized(o, task, request, request_bytes, &a, sizeof(a), err));
    *ret_batch = a.batch;
    return MS_OK;
}
