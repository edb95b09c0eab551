/* ms_batches: the batch sizes of our own pipeline. */
#include "memsafe/batches.h"

#include <string.h>

#include "base/sized.h"
#include "device/self_test/self_test.h"
#include "models/synthesize/synthesize.h"
#include "planner/batch_cost.h"
#include "planner/optimizer.h"
#include "planner/run_policy.h"
#include "system/host.h"

struct ms_batches {
    ms_model_files files;
    ms_profile profile;
    ms_compute compute;
    ms_batch_costs *costs;
    ms_optimizer *optimizer;
    char tier_reason[MS_PROFILE_TEXT_BYTES];
    size_t device_bytes, memory_bytes, weight_bytes, free_bytes;
};

_Static_assert(MS_BATCHES_TEXT_BYTES == MS_PROFILE_TEXT_BYTES, "texts of a profile");

static const ms_batches_params defaults = {.profile = {.environment = true}};

void ms_batches_params_init_sized(ms_batches_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

/* Checkpoints are not needed. */
static ms_status find_model(const ms_batches_params *p, ms_model_files *files, ms_error *err) {
    ms_model_names folder = {.dir = p->model, .faces = p->faces};
    ms_synthetic kind;
    if (p->model && p->shape)
        return ms_fail(err, MS_INVALID_ARGUMENT, "model %s and shape %s name two models", p->model, p->shape);
    if (p->model) {
        MS_TRY(ms_model_files_find(&folder, MS_PART_VAE | MS_PART_WHISPER, files, err));
    } else {
        MS_TRY(ms_synthetic_find(p->shape ? p->shape : "latentsync-1.5", &kind, err));
        MS_TRY(ms_synthetic_configs(kind, files, err));
    }
    if (!p->model && !p->faces)
        return MS_OK;
    ms_model_files *faces = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, sizeof(*faces));
    if (!faces)
        return ms_fail_alloc(err, NULL, sizeof(*faces), "the face nets' files");
    ms_status status = ms_model_files_find(&folder, MS_PART_FACES, faces, p->faces ? err : NULL);
    if (status == MS_OK)
        memcpy(files->detector, faces->detector, sizeof(files->detector));
    ms_mem_free(faces);
    return p->faces ? status : MS_OK; /* a folder may be without */
}

/* Without a size of what is free: what the weights leave of the budget, else of the device's nominal memory,
   else of what is free on this machine. A budget is a run's: nothing of it is left alone. */
static ms_status size_device(ms_batches *b, const ms_batches_params *p, ms_error *err) {
    const ms_device *dev = b->compute.dev;
    size_t free_bytes, total_bytes;
    ms_host host;
    if (dev->caps.host_memory) {
        ms_host_read(&host);
        total_bytes = ms_host_nominal_bytes(&host);
        free_bytes = ms_host_free_bytes(&host);
    } else {
        dev->backend->memory(dev, &free_bytes, &total_bytes);
    }
    if (!total_bytes)
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_DEVICE_BYTES,
                            "%s is not here: its memory must be stated", dev->description);
    b->device_bytes = p->device_bytes ? p->device_bytes : total_bytes;
    ms_profile_params profile = ms_profile_params_of(&p->profile);
    profile.device_bytes = b->device_bytes;
    profile.budget_bytes = p->budget_bytes;
    MS_TRY(ms_profile_load(&profile, &b->profile, err));
    MS_TRY(ms_batch_costs_weight_bytes(b->costs, (ms_dtype)b->profile.value[MS_FIELD_PRECISION],
                                       &b->weight_bytes, err));
    size_t held = p->device_bytes && dev->caps.computes ? p->device_bytes : free_bytes;
    size_t budget = (size_t)b->profile.value[MS_FIELD_BUDGET];
    b->memory_bytes = b->device_bytes;
    if (budget) {
        b->memory_bytes = held = budget < b->device_bytes ? budget : b->device_bytes;
        if (!p->free_bytes)
            b->profile.value[MS_FIELD_SAFETY_MARGIN] = 0;
    }
    b->free_bytes = held > b->weight_bytes ? held - b->weight_bytes : 0;
    if (p->free_bytes)
        b->free_bytes = p->free_bytes;
    ms_profile_tier_reason(&b->profile, b->tier_reason);
    return MS_OK;
}

static ms_status prepare(ms_batches *b, const ms_batches_params *p, ms_error *err) {
    const ms_compute_params compute = {.device = p->device,
                                       .threads = p->threads,
                                       .isa_limit = MS_ISA_COUNT - 1,
                                       .memory_bytes = p->device_bytes};
    MS_TRY(find_model(p, &b->files, err));
    MS_TRY(ms_compute_open_tested(&compute, &b->compute, err));
    const ms_batch_cost_params costs = {
        .compute = &b->compute, .files = &b->files, .branches = p->serial ? 1 : 2};
    MS_TRY(ms_batch_costs_create(&costs, &b->costs, err));
    MS_TRY(size_device(b, p, err));
    const ms_optimizer_params optimizer = {
        .device_bytes = b->device_bytes, .free_bytes = b->free_bytes, .cost = ms_batch_cost, .arg = b->costs};
    return ms_optimizer_create_with(NULL, &b->profile, &optimizer, &b->optimizer, err);
}

ms_status ms_batches_create_sized(const ms_batches_params *params, size_t params_bytes,
                                  ms_batches **ret_batches, ms_error *err) {
    ms_batches_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_batches, err);
    ms_batches *b = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*b));
    if (!b)
        return ms_fail_alloc(err, NULL, sizeof(*b), "the batch sizes");
    ms_status status = prepare(b, &p, err);
    if (status != MS_OK) {
        ms_batches_destroy(&b);
        return status;
    }
    *ret_batches = b;
    return MS_OK;
}

void ms_batches_destroy(ms_batches **batches) {
    if (!batches || !*batches)
        return;
    ms_batches *b = *batches;
    ms_optimizer_destroy(&b->optimizer);
    ms_batch_costs_destroy(&b->costs);
    ms_compute_close(&b->compute);
    ms_mem_free(b);
    *batches = NULL;
}

void ms_batches_get_info_sized(const ms_batches *b, ms_batches_info *ret_info, size_t info_bytes) {
    ms_batches_info info = {.tier = "", .tier_reason = "", .precision = ""};
    if (b)
        info = (ms_batches_info){.tier = ms_tier_name(b->profile.tier),
                                 .tier_reason = b->tier_reason,
                                 .precision = ms_dtype_name((ms_dtype)b->profile.value[MS_FIELD_PRECISION]),
                                 .margin_percent = (int)b->profile.value[MS_FIELD_SAFETY_MARGIN],
                                 .memory_bytes = b->memory_bytes,
                                 .weight_bytes = b->weight_bytes,
                                 .free_bytes = b->free_bytes,
                                 .resolution = b->files.unet_config.resolution,
                                 .window_frames = b->files.unet_config.num_frames};
    ms_sized_fill(ret_info, info_bytes, &info, sizeof(info));
}

const ms_optimizer *ms_batches_optimizer(const ms_batches *b) {
    return b ? b->optimizer : NULL;
}

ms_status ms_batches_cost(void *batches, ms_task task, const ms_batch_request *request, int items,
                          ms_batch_bytes *ret_bytes, ms_error *err) {
    const ms_batches *b = batches;
    ms_error_clear(err);
    MS_NEED(batches, err);
    MS_NEED(request, err);
    MS_NEED(ret_bytes, err);
    if ((unsigned)task >= MS_TASK_COUNT || items < 1 || request->height < 1 || request->width < 1)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: %d items of %dx%d", ms_task_name(task), items,
                       request->width, request->height);
    return ms_batch_cost(b->costs, task, request, items, ret_bytes, err);
}

int ms_batches_in_a_run(const ms_batches *b, ms_task task, int width, int frames, int batch) {
    if (!b || batch < 1)
        return 0;
    int window = b->files.unet_config.num_frames;
    if (frames > 0 && frames < window)
        window = frames;
    switch (task) {
    case MS_TASK_FACE_DETECTION:
    case MS_TASK_FACE_PROCESSING: /* each frame on all threads */
        return 1;
    case MS_TASK_VAE_ENCODE:
    case MS_TASK_VAE_DECODE:
        return (int)ms_run_vae_batch(&b->profile, ms_task_field(task), width, window, batch);
    case MS_TASK_LATENT_PROCESSING: /* in place */
        return window;
    case MS_TASK_UNET_INFERENCE:
        return batch;
    case MS_TASK_COUNT:
        break;
    }
    return 0;
}

const char *ms_batches_cap_origin(const ms_batches *b, ms_task task, char ret_text[MS_BATCHES_TEXT_BYTES]) {
    if (!ret_text)
        return "";
    ret_text[0] = 0;
    if (b && (unsigned)task < MS_TASK_COUNT && b->profile.value[ms_task_field(task)])
        ms_profile_origin_text(&b->profile, ms_task_field(task), ret_text);
    return ret_text;
}
