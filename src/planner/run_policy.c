#include "planner/run_policy.h"

#include <string.h>

#include "base/error.h"
#include "engine/engine.h"
#include "models/vae.h"
#include "planner/batch_cost.h"
#include "planner/optimizer.h"
#include "system/host.h"

/* ---- the profile and the budget ---- */

static const ms_dtype types[] = {
    [MS_PRECISION_FP32] = MS_F32, [MS_PRECISION_FP16] = MS_F16, [MS_PRECISION_BF16] = MS_BF16};

ms_precision ms_precision_of(const char *dtype_name) {
    for (int p = MS_PRECISION_FP32; p <= MS_PRECISION_BF16; p++)
        if (strcmp(ms_dtype_name(types[p]), dtype_name) == 0)
            return (ms_precision)p;
    return MS_PRECISION_AUTO;
}

static size_t lesser_budget(size_t a, size_t b) {
    if (!a || !b)
        return a ? a : b;
    return a < b ? a : b;
}

void ms_run_policy_set_device(ms_run_policy_params *p, const ms_device *dev) {
    if (dev->caps.host_memory)
        return;
    dev->backend->memory(dev, &p->device_free_bytes, &p->device_bytes);
    p->device_free_bytes += dev->caps.own_bytes;
    p->device_has_bf16 = (dev->caps.activations & 1u << MS_BF16) != 0;
}

ms_status ms_run_policy_load(const ms_run_policy_params *params, ms_run_policy *ret_policy, ms_error *err) {
    ms_host host;
    ms_host_read(&host);
    ms_profile_params load = ms_profile_params_of(params->source);
    load.device_bytes = params->device_bytes ? params->device_bytes : ms_host_nominal_bytes(&host);
    load.device_has_bf16 = params->device_has_bf16;
    load.budget_bytes = params->budget_bytes;
    load.host_budget_bytes = params->host_budget_bytes;
    MS_TRY(ms_profile_load(&load, &ret_policy->profile, err));
    const int64_t *value = ret_policy->profile.value;
    ret_policy->precision = params->precision == MS_PRECISION_AUTO ? (ms_dtype)value[MS_FIELD_PRECISION]
                                                                   : types[params->precision];
    const bool apart = params->device_bytes > 0;
    const double left = (double)(100 - value[MS_FIELD_SAFETY_MARGIN]) / 100;
    size_t budget = (size_t)value[MS_FIELD_BUDGET], host_budget = (size_t)value[MS_FIELD_HOST_BUDGET];
    if (!apart)
        budget = host_budget = lesser_budget(budget, host_budget);
    if (!host_budget && !host.total_bytes)
        return ms_fail(
            err, MS_BUDGET,
            "/proc/meminfo cannot be read, so how much memory is free is not known: name a budget, "
            "or mount /proc");
    if (!host_budget)
        host_budget = (size_t)((double)ms_host_free_bytes(&host) * left);
    if (!budget)
        budget = apart ? (size_t)((double)params->device_free_bytes * left) : host_budget;
    if (apart)
        budget = lesser_budget(budget ? budget : 1, params->device_bytes); /* 0 would be no budget */
    ret_policy->budget_bytes = budget;
    ret_policy->host_budget_bytes = host_budget;
    return MS_OK;
}

ms_dtype ms_run_activation(const ms_device *device, ms_dtype precision) {
    return device->caps.activations & 1u << precision ? precision : MS_F32;
}

int ms_run_lower_resolution(int resolution) {
    int lower = (resolution - 1) / 64 * 64;
    return lower >= 128 ? lower : 0;
}

/* ---- batches ---- */

typedef struct asking {
    const ms_run_batch_params *p;
    const ms_optimizer *optimizer;
    ms_batch_request request;
} asking;

/* *ret_most: whatever the memory. *ret_fits: with the memory that is free. */
static ms_status ask(const asking *a, ms_task task, int64_t *ret_most, int64_t *ret_fits, ms_error *err) {
    int batch;
    ms_batch_request r = a->request;
    if (task == MS_TASK_UNET_INFERENCE)
        r.frames = a->p->files->unet_config.num_frames;
    r.free_bytes = SIZE_MAX / 2;
    MS_TRY(ms_optimizer_get_optimal_batch_size(a->optimizer, task, &r, &batch, err));
    *ret_most = batch;
    r.free_bytes = a->p->free_bytes ? a->p->free_bytes : 1;
    MS_TRY(ms_optimizer_get_optimal_batch_size(a->optimizer, task, &r, &batch, err));
    *ret_fits = batch < *ret_most ? batch : *ret_most;
    return MS_OK;
}

static void lower(int64_t *value, int64_t to) {
    if (*value > to)
        *value = to;
}

int64_t ms_run_vae_batch(const ms_profile *profile, ms_field_id field, int width, int64_t window,
                         int64_t batch) {
    if (!ms_profile_is_set(profile, field))
        lower(&batch, ms_engine_paying_batch(width));
    lower(&batch, window);
    return batch;
}

static ms_status ask_all(const asking *a, ms_run_rules *r, ms_error *err) {
    const ms_profile *profile = a->p->profile;
    int64_t window = a->p->files->unet_config.num_frames;
    int width = a->request.width;
    MS_TRY(ask(a, MS_TASK_VAE_ENCODE, &r->encode_batch, &r->encode_fit, err));
    MS_TRY(ask(a, MS_TASK_VAE_DECODE, &r->decode_batch, &r->decode_fit, err));
    MS_TRY(ask(a, MS_TASK_UNET_INFERENCE, &r->unet_frames, &r->unet_fit, err));
    r->encode_batch = ms_run_vae_batch(profile, MS_FIELD_VAE_ENCODE_BATCH, width, window, r->encode_batch);
    r->decode_batch = ms_run_vae_batch(profile, MS_FIELD_VAE_DECODE_BATCH, width, window, r->decode_batch);
    lower(&r->encode_fit, r->encode_batch);
    lower(&r->decode_fit, r->decode_batch);
    if (r->unet_frames >= window)
        r->unet_frames = 0;
    /* On the CPU stripes ask for more arithmetic than they save memory: always only where the user says
       so. */
    if (r->tiling == MS_TILING_ON && !ms_profile_is_set(profile, MS_FIELD_VAE_TILING))
        r->tiling = MS_TILING_BY_NEED;
    return MS_OK;
}

ms_status ms_run_rules_ask(const ms_run_batch_params *p, ms_run_rules *ret_rules, ms_error *err) {
    int side = p->resolution ? p->resolution : p->files->unet_config.resolution;
    /* Branches one after the other: that is how the rungs run on which the answer matters. */
    ms_batch_cost_params cost = {.compute = p->compute, .files = p->files, .branches = 1};
    ms_profile profile = *p->profile;
    profile.value[MS_FIELD_BUDGET] = profile.value[MS_FIELD_HOST_BUDGET] = 0;
    profile.value[MS_FIELD_SAFETY_MARGIN] = 0; /* the budget is what is left when these are counted */
    ms_run_rules rules = {.attention_parts = profile.value[MS_FIELD_ATTENTION_SLICES],
                          .tiling = (ms_vae_tiling)profile.value[MS_FIELD_VAE_TILING],
                          .offload = (ms_weight_offload)profile.value[MS_FIELD_WEIGHT_OFFLOAD]};
    ms_batch_costs *costs = NULL;
    ms_optimizer *optimizer = NULL;
    ms_status status;
    MS_GOTO(ms_batch_costs_create(&cost, &costs, err));
    ms_optimizer_params params = {.device_bytes = profile.device_bytes, .cost = ms_batch_cost, .arg = costs};
    MS_GOTO(ms_optimizer_create_with(p->compute->mem, &profile, &params, &optimizer, err));
    const asking a = {.p = p, .optimizer = optimizer, .request = {.height = side, .width = side}};
    MS_GOTO(ask_all(&a, &rules, err));
    *ret_rules = rules;
fail:
    ms_optimizer_destroy(&optimizer);
    ms_batch_costs_destroy(&costs);
    return status;
}
