#include "session/loaded_model.h"

#include <stdio.h>
#include <string.h>

#include "base/sized.h"
#include "device/self_test/self_test.h"
#include "planner/params_check.h"
#include "planner/run_plan.h"
#include "system/host.h"

ms_status ms_model_open_device(ms_model *m, const char *device, int threads, ms_error *err) {
    MS_TRY(ms_mem_create(0, &m->mem));
    MS_TRY(ms_mem_create(0, &m->device_mem));
    const ms_compute_params params = {.device = device,
                                      .mem = m->mem,
                                      .device_mem = m->device_mem,
                                      .threads = threads,
                                      .isa_limit = MS_ISA_COUNT - 1,
                                      .must_compute = true};
    MS_TRY(ms_compute_open_tested(&params, &m->compute, err));
    m->apart = !m->compute.dev->caps.host_memory;
    return ms_compute_open_host(&m->compute, &m->face_compute, err);
}

static ms_status charge_base(ms_model *m, size_t bytes, ms_error *err) {
    ms_mem_release(m->mem, MS_LEDGER_GENERAL, m->base_bytes);
    m->base_bytes = 0;
    if (!ms_mem_charge(m->mem, MS_LEDGER_GENERAL, bytes))
        return ms_fail_alloc(err, m->mem, bytes, "the program itself");
    m->base_bytes = bytes;
    return MS_OK;
}

ms_status ms_model_open_memory(ms_model *m, const ms_profile_source *profile, ms_precision precision,
                               size_t budget_bytes, size_t host_budget_bytes, ms_error *err) {
    ms_run_policy_params policy = {.source = profile,
                                   .precision = precision,
                                   .budget_bytes = budget_bytes,
                                   .host_budget_bytes = host_budget_bytes};
    ms_device *dev = m->compute.dev;
    ms_run_policy_set_device(&policy, dev);
    MS_TRY(ms_run_policy_load(&policy, &m->policy, err));
    MS_TRY(ms_run_share_join(&m->share, m->policy.host_budget_bytes, err));
    m->compute.replay = m->policy.profile.value[MS_FIELD_DEVICE_GRAPHS] != 0;
    m->compute.activation = ms_run_activation(dev, m->policy.precision);
    /* The budgets hold from the plan on: only the plan knows the least that would do, and says so. */
    return charge_base(m, m->share.base_bytes + MS_RUN_PROCESS_BYTES, err);
}

/* Until the inputs are open, what FFmpeg and the program hold was an upper bound. Now it can be measured, but
   for what the decoder and pages of the program may still add: the sum of the ledgers becomes that. The
   encoder's bound counts pages that the decoder has brought in already. */
ms_status ms_model_settle_base(ms_model *m, size_t growth_bytes, ms_error *err) {
    ms_mem_usage usage;
    size_t resident;
    if (!ms_run_share_measure(&m->share, &resident))
        return MS_OK;
    ms_mem_get_usage(m->mem, &usage);
    size_t ours = usage.current_bytes - m->base_bytes + MS_RUN_SHARED_BYTES;
    size_t holds = resident + growth_bytes + MS_RUN_PROCESS_BYTES;
    return charge_base(m, holds > ours ? holds - ours : 0, err);
}

/* The last part of a path, without a slash at its end; length 0 where that says nothing ("/", ".", ".."). */
static const char *last_part(const char *path, int *ret_length) {
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/')
        n--;
    size_t first = n;
    while (first > 0 && path[first - 1] != '/')
        first--;
    *ret_length = (int)(n - first);
    if (strspn(path + first, ".") >= n - first)
        *ret_length = 0;
    return path + first;
}

ms_status ms_model_find_files(ms_model *m, const ms_model_names *names, unsigned parts, ms_error *err) {
    int n = 0;
    MS_TRY(ms_model_files_find(names, parts, &m->files, err));
    const char *name = names->dir && !names->unet ? last_part(names->dir, &n) : "";
    if (n == 0)
        name = last_part(m->files.unet, &n);
    snprintf(m->name, sizeof(m->name), "%.*s", n, name);
    return MS_OK;
}

ms_status ms_model_open_weights(ms_model *m, ms_error *err) {
    const ms_engine_weights_params params = {
        .compute = m->compute, .files = &m->files, .precision = m->policy.precision};
    return m->weights ? MS_OK : ms_engine_weights_create(&params, &m->weights, err);
}

static ms_status look_at_nets(const ms_model *m, ms_known_file files[2], ms_error *err) {
    MS_TRY(ms_known_file_look(&files[0], m->files.detector, "networks", err));
    return ms_known_file_look(&files[1], m->files.landmarks, "networks", err);
}

ms_status ms_model_open_faces(ms_model *m, ms_error *err) {
    ms_known_file files[2] = {m->nets_files[0], m->nets_files[1]};
    if (m->nets)
        return MS_OK;
    MS_TRY(look_at_nets(m, files, err));
    MS_TRY(ms_face_nets_open(&m->face_compute, m->files.detector, m->files.landmarks, &m->nets, err));
    memcpy(m->nets_files, files, sizeof(files));
    ms_status status = ms_face_nets_make_arena(m->nets, err);
    if (status != MS_OK)
        ms_face_nets_close(&m->nets);
    return status;
}

ms_status ms_model_check_faces(const ms_model *m, ms_error *err) {
    return m->files.detector[0] ? MS_OK
                                : ms_fail_hint(err, MS_BAD_MODEL, MS_HINT_TRACK,
                                               "the model was opened without face networks, and nothing "
                                               "says where faces are");
}

ms_status ms_model_check_files(ms_model *m, ms_error *err) {
    if (m->nets)
        MS_TRY(look_at_nets(m, m->nets_files, err));
    return m->weights ? ms_engine_weights_check_files(m->weights, err) : MS_OK;
}

ms_status ms_model_find_speed(ms_model *m, const char *history, ms_history_key *key,
                              char ret_warning[MS_HISTORY_TEXT_BYTES], ms_error *err) {
    ret_warning[0] = 0;
    if (!history && m->has_speed)
        return MS_OK;
    ms_status status =
        ms_run_speed_find(&m->compute, history, m->files.unet, key, &m->speed, ret_warning, err);
    m->has_speed = status == MS_OK && !history;
    if (!ms_is_out_of_memory(status))
        return status;
    m->speed = ms_run_speed_nominal(); /* a budget with no room for measuring may have room for the work */
    ms_error_clear(err);
    return MS_OK;
}

static ms_engine_weights_memory loaded_bytes(const ms_model *m) {
    return m->weights ? ms_engine_weights_get_memory(m->weights) : (ms_engine_weights_memory){0};
}

size_t ms_model_device_bytes(const ms_model *m) {
    ms_mem_usage usage;
    ms_mem_get_usage(m->device_mem, &usage);
    return usage.current_bytes - loaded_bytes(m).weight_bytes;
}

size_t ms_model_host_bytes(const ms_model *m) {
    const ms_engine_weights_memory loaded = loaded_bytes(m);
    ms_mem_usage usage;
    ms_mem_get_usage(m->mem, &usage);
    return usage.current_bytes - loaded.host_bytes - (m->apart ? 0 : loaded.weight_bytes);
}

/* Of the host's memory, without the process itself. */
static size_t held_bytes(const ms_model *m) {
    ms_mem_usage usage;
    ms_mem_get_usage(m->mem, &usage);
    return usage.current_bytes - m->base_bytes;
}

static void rest(ms_model *m) {
    ms_mem_trim(); /* what was freed is not held, when the next one measures */
    ms_run_share_rest(&m->share, held_bytes(m));
}

/* Others may have begun meanwhile, and what the process holds is another amount. */
static ms_status end_rest(ms_model *m, ms_error *err) {
    ms_run_share_enter(&m->share);
    MS_TRY(ms_run_share_join(&m->share, m->policy.host_budget_bytes, err));
    const size_t held = held_bytes(m);
    size_t base = m->share.base_bytes;
    if (!m->share.others_bytes) /* it was measured, and has in it what the model holds */
        base -= held < base ? held : base;
    return charge_base(m, base + MS_RUN_PROCESS_BYTES, err);
}

ms_status ms_model_take(ms_model *m, ms_error *err) {
    if (atomic_exchange(&m->in_use, true))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the model is in use: one session or run at a time");
    ms_mem_set_budget(m->mem, 0);
    ms_mem_set_budget(m->device_mem, 0);
    ms_status status = ms_model_check_files(m, err);
    if (status == MS_OK && m->share.resting)
        status = end_rest(m, err);
    if (status != MS_OK) {
        ms_model_give_back(m);
        return status;
    }
    ms_mem_reset_peaks(m->mem);
    ms_mem_reset_peaks(m->device_mem);
    return MS_OK;
}

void ms_model_give_back(ms_model *m) {
    rest(m);
    atomic_store(&m->in_use, false);
}

ms_status ms_model_hold_budget(ms_model *m, size_t planned_bytes, ms_error *err) {
    ms_mem_reset_peaks(m->device_mem); /* of measuring */
    /* More may be loaded of the weights than the plan keeps: it is read again, as far as it is kept. */
    ms_mem_usage usage;
    ms_mem_get_usage(m->apart ? m->device_mem : m->mem, &usage);
    if (m->weights && usage.current_bytes > m->policy.budget_bytes)
        ms_engine_weights_unload(m->weights);
    if (m->apart && !ms_mem_set_budget(m->device_mem, m->policy.budget_bytes))
        return ms_fail(err, MS_INTERNAL, "opening %s took more than the plan of %zu bytes",
                       m->compute.dev->description, planned_bytes);
    if (!ms_mem_set_budget(m->mem, m->policy.host_budget_bytes))
        return ms_fail(err, MS_INTERNAL, "opening took more than the plan of %zu bytes", planned_bytes);
    return MS_OK;
}

void ms_model_end(ms_model *m) {
    ms_face_nets_close(&m->nets);
    ms_engine_weights_destroy(&m->weights);
    ms_compute_close(&m->face_compute);
    ms_compute_close(&m->compute);
    if (m->device_mem)
        ms_mem_destroy(&m->device_mem);
    if (m->mem) {
        ms_mem_release(m->mem, MS_LEDGER_GENERAL, m->base_bytes);
        m->base_bytes = 0;
        ms_mem_destroy(&m->mem);
    }
    ms_run_share_leave(&m->share);
}

/* ---- the public interface ---- */

static const ms_model_params defaults = {.profile = {.environment = true}};

void ms_model_params_init_sized(ms_model_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

static ms_status check(const ms_model_params *p, ms_error *err) {
    if (!p->model && !(p->config && p->unet && p->vae && p->whisper && (p->faces || p->no_faces)))
        return ms_fail(err, MS_INVALID_ARGUMENT, "no model was named");
    return ms_check_choice("precision", (int)p->precision, MS_PRECISION_CHOICES, err);
}

static ms_status open_all(ms_model *m, const ms_model_params *p, ms_error *err) {
    const ms_model_names names = {.dir = p->model,
                                  .config = p->config,
                                  .unet = p->unet,
                                  .vae = p->vae,
                                  .whisper = p->whisper,
                                  .faces = p->faces};
    const unsigned parts = MS_PART_ALL & (p->no_faces ? ~(unsigned)MS_PART_FACES : ~0u);
    ms_run_share_enter(&m->share);
    ms_run_share_rest(&m->share, 0); /* opening takes little: it refuses no run that begins meanwhile */
    MS_TRY(ms_model_open_device(m, p->device, p->threads, err));
    MS_TRY(ms_model_open_memory(m, &p->profile, p->precision, p->budget_bytes, p->host_budget_bytes, err));
    MS_TRY(ms_model_find_files(m, &names, parts, err));
    rest(m);
    return MS_OK;
}

ms_status ms_model_open_sized(const ms_model_params *params, size_t params_bytes, ms_model **ret_model,
                              ms_error *err) {
    ms_model_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_model, err);
    MS_TRY(check(&p, err));
    ms_model *m = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*m));
    if (!m)
        return ms_fail_alloc(err, NULL, sizeof(*m), "the model");
    ms_status status = open_all(m, &p, err);
    if (status != MS_OK) {
        ms_model_close(&m);
        return status;
    }
    *ret_model = m;
    return MS_OK;
}

void ms_model_close(ms_model **model) {
    if (!model || !*model)
        return;
    ms_model_end(*model);
    ms_mem_free(*model);
    *model = NULL;
}

ms_status ms_model_evict(ms_model *m, ms_error *err) {
    ms_error_clear(err);
    MS_NEED(m, err);
    if (atomic_exchange(&m->in_use, true))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the model is in use and cannot be evicted");
    if (m->weights)
        ms_engine_weights_unload(m->weights);
    ms_face_nets_close(&m->nets);
    ms_model_give_back(m);
    return MS_OK;
}

void ms_model_get_info_sized(const ms_model *m, ms_model_info *ret_info, size_t info_bytes) {
    if (!m)
        return;
    ms_mem_usage usage;
    ms_mem_get_usage(m->apart ? m->device_mem : m->mem, &usage);
    ms_model_info r = {.resolution = m->files.unet_config.resolution,
                       .window_frames = m->files.unet_config.num_frames,
                       .has_faces = m->files.detector[0] != 0,
                       .loaded = m->weights && ms_engine_weights_loaded(m->weights),
                       .budget_bytes = m->policy.budget_bytes,
                       .held_bytes = usage.current_bytes};
    snprintf(r.device, sizeof(r.device), "%s", m->compute.dev->description);
    snprintf(r.arithmetic, sizeof(r.arithmetic), "%s", m->compute.dev->caps.arithmetic);
    snprintf(r.tier, sizeof(r.tier), "%s", ms_tier_name(m->policy.profile.tier));
    snprintf(r.precision, sizeof(r.precision), "%s", ms_dtype_name(m->policy.precision));
    ms_sized_fill(ret_info, info_bytes, &r, sizeof(r));
}
