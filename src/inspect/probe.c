/* ms_probe: the machine. */
#include "memsafe/probe.h"

#include <string.h>

#include "base/log.h"
#include "base/sized.h"
#include "device/nvml.h"
#include "device/self_test/self_test.h"
#include "memsafe_have.h"
#include "planner/run_history.h"
#include "predict/bandwidth.h"
#include "system/host.h"

#if MS_HAVE_FFMPEG
#include "media/write/video_writer.h"
#endif

#define MOST_CARDS 64

struct ms_probe {
    ms_host host;
    int n_cards;
    ms_nvml_card card[MOST_CARDS];
    bool has_device;
    ms_compute compute;
    size_t nominal_bytes, free_bytes; /* of the device */
};

/* ---- looking ---- */

static ms_status open_device(ms_probe *probe, const ms_probe_params *p, ms_error *err) {
    const ms_compute_params params = {.device = p->device,
                                      .threads = p->threads,
                                      .isa_limit = MS_ISA_COUNT - 1,
                                      .memory_bytes = p->memory_bytes,
                                      .must_compute = p->must_compute};
    /* A device that fails its test is looked at all the same, when it is named. */
    if (strcmp(p->device, "auto") == 0)
        MS_TRY(ms_compute_open_tested(&params, &probe->compute, err));
    else
        MS_TRY(ms_compute_open(&params, &probe->compute, err));
    const ms_device *dev = probe->compute.dev;
    probe->has_device = true;
    probe->nominal_bytes = ms_host_nominal_bytes(&probe->host);
    probe->free_bytes = ms_host_free_bytes(&probe->host);
    if (!dev->caps.host_memory)
        dev->backend->memory(dev, &probe->free_bytes, &probe->nominal_bytes);
    return MS_OK;
}

ms_status ms_probe_create_sized(const ms_probe_params *params, size_t params_bytes, ms_probe **ret_probe,
                                ms_error *err) {
    ms_probe_params p = {0};
    ms_error_clear(err);
    if (params)
        MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_probe, err);
    ms_probe *probe = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*probe));
    if (!probe)
        return ms_fail_alloc(err, NULL, sizeof(*probe), "the probe");
    ms_host_read(&probe->host);
    probe->n_cards = ms_nvml_cards(probe->card, MOST_CARDS);
    ms_status status = p.device ? open_device(probe, &p, err) : MS_OK;
    if (status != MS_OK) {
        ms_probe_destroy(&probe);
        return status;
    }
    *ret_probe = probe;
    return MS_OK;
}

void ms_probe_destroy(ms_probe **probe) {
    if (!probe || !*probe)
        return;
    ms_compute_close(&(*probe)->compute);
    ms_mem_free(*probe);
    *probe = NULL;
}

/* ---- what there is ---- */

void ms_probe_get_host_sized(const ms_probe *probe, ms_probe_host *ret_host, size_t host_bytes) {
    ms_probe_host host = {.cpu_name = ""};
    if (probe) {
        const ms_host *h = &probe->host;
        host = (ms_probe_host){.cpu_name = h->cpu_name,
                               .cpus = h->cpus,
                               .total_bytes = h->total_bytes,
                               .available_bytes = h->available_bytes,
                               .swap_free_bytes = h->swap_free_bytes,
                               .address_limit_bytes = h->address_limit_bytes,
                               .data_limit_bytes = h->data_limit_bytes,
                               .locked_limit_bytes = h->locked_limit_bytes,
                               .cgroup_limit_bytes = ms_cgroup_limit_bytes(&h->cgroup),
                               .cgroup_left_bytes = ms_cgroup_left_bytes(&h->cgroup),
                               .cgroup_levels = h->cgroup.levels,
                               .cgroup_binding = h->cgroup.binding,
                               .free_bytes = ms_host_free_bytes(h),
                               .nominal_bytes = ms_host_nominal_bytes(h)};
    }
    ms_sized_fill(ret_host, host_bytes, &host, sizeof(host));
}

bool ms_probe_get_cgroup_sized(const ms_probe *probe, int level, ms_probe_cgroup *ret_cgroup,
                               size_t cgroup_bytes) {
    const bool there = probe && level >= 0 && level < probe->host.cgroup.levels;
    ms_probe_cgroup group = {0};
    if (there) {
        const ms_cgroup_level *l = &probe->host.cgroup.level[level];
        group = (ms_probe_cgroup){.dir = probe->host.cgroup.dir,
                                  .dir_chars = l->dir_chars,
                                  .max_bytes = l->max_bytes,
                                  .high_bytes = l->high_bytes,
                                  .left_bytes = l->left_bytes,
                                  .current_bytes = l->current_bytes,
                                  .reclaimable_bytes = l->reclaimable_bytes,
                                  .high_events = l->events.high,
                                  .max_events = l->events.max,
                                  .oom_events = l->events.oom,
                                  .oom_kill_events = l->events.oom_kill};
    }
    ms_sized_fill(ret_cgroup, cgroup_bytes, &group, sizeof(group));
    return there;
}

bool ms_probe_get_device_sized(const ms_probe *probe, ms_probe_device *ret_device, size_t device_bytes) {
    const bool there = probe && probe->has_device;
    ms_probe_device device = {0};
    if (there) {
        const ms_device *dev = probe->compute.dev;
        device = (ms_probe_device){.backend = dev->backend->name,
                                   .description = dev->description,
                                   .threads = ms_pool_threads(probe->compute.pool),
                                   .computes = dev->caps.computes,
                                   .own_memory = !dev->caps.host_memory,
                                   .bf16 = (dev->caps.activations & 1u << MS_BF16) != 0,
                                   .nominal_bytes = probe->nominal_bytes,
                                   .free_bytes = probe->free_bytes,
                                   .arch = dev->caps.arch};
    }
    ms_sized_fill(ret_device, device_bytes, &device, sizeof(device));
    return there;
}

bool ms_probe_get_card_sized(const ms_probe *probe, int index, ms_probe_card *ret_card, size_t card_bytes) {
    const bool there = probe && index >= 0 && index < probe->n_cards;
    ms_probe_card card = {.name = ""};
    if (there) {
        const ms_nvml_card *c = &probe->card[index];
        card = (ms_probe_card){.name = c->name,
                               .problem = c->problem[0] ? c->problem : NULL,
                               .arch = c->arch,
                               .nominal_bytes = c->total_bytes,
                               .free_bytes = c->free_bytes};
    }
    ms_sized_fill(ret_card, card_bytes, &card, sizeof(card));
    return there;
}

/* ---- measurements ---- */

static ms_status need_device(const ms_probe *probe, ms_error *err) {
    if (!probe->has_device)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "the probe was made without a device: there is nothing to measure");
    if (!probe->compute.dev->caps.computes)
        return ms_fail(err, MS_UNSUPPORTED, "%s computes nothing", probe->compute.dev->description);
    return MS_OK;
}

typedef struct trial_teller {
    void (*told)(void *arg, const ms_probe_trial *trial);
    void *arg;
} trial_teller;

static void tell_trial(void *arg, const ms_self_test_result *r) {
    const trial_teller *t = arg;
    const ms_probe_trial trial = {.family = r->family,
                                  .type = ms_dtype_name(r->dtype),
                                  .error = r->error,
                                  .allowed = r->allowed,
                                  .hash = r->hash,
                                  .predicted = r->predicted,
                                  .agrees = r->agrees};
    t->told(t->arg, &trial);
}

ms_status ms_probe_self_test(const ms_probe *probe, int seeds,
                             void (*told)(void *arg, const ms_probe_trial *trial), void *arg, ms_error *err) {
    trial_teller teller = {told, arg};
    ms_error_clear(err);
    MS_NEED(probe, err);
    MS_TRY(need_device(probe, err));
    if (seeds < 1 || seeds > 1000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "seeds must be 1 to 1000, not %d", seeds);
    return ms_self_test(probe->compute.dev, seeds, told ? tell_trial : NULL, &teller, err);
}

static void fill_bandwidth(ms_probe_bandwidth *to, size_t bytes, const ms_bandwidth *b) {
    const ms_probe_bandwidth bandwidth = {
        .bytes_per_s = b->bytes_per_s, .bytes = b->bytes, .seconds = b->seconds, .direct = b->direct};
    ms_sized_fill(to, bytes, &bandwidth, sizeof(bandwidth));
}

ms_status ms_probe_disk_sized(const ms_probe *probe, const char *file, ms_probe_bandwidth *ret_bandwidth,
                              size_t bandwidth_bytes, ms_error *err) {
    const ms_bandwidth_params params = {0};
    ms_bandwidth disk;
    ms_error_clear(err);
    MS_NEED(probe, err);
    MS_NEED(file, err);
    MS_NEED(ret_bandwidth, err);
    MS_CHECK_SIZED(ret_bandwidth, bandwidth_bytes, err);
    MS_TRY(ms_bandwidth_of_file(&params, file, &disk, err));
    fill_bandwidth(ret_bandwidth, bandwidth_bytes, &disk);
    return MS_OK;
}

ms_status ms_probe_upload_sized(const ms_probe *probe, ms_probe_bandwidth *ret_bandwidth,
                                size_t bandwidth_bytes, ms_error *err) {
    const ms_bandwidth_params params = {0};
    ms_bandwidth upload;
    ms_error_clear(err);
    MS_NEED(probe, err);
    MS_NEED(ret_bandwidth, err);
    MS_CHECK_SIZED(ret_bandwidth, bandwidth_bytes, err);
    MS_TRY(need_device(probe, err));
    MS_TRY(ms_bandwidth_of_upload(&params, &probe->compute, &upload, err));
    fill_bandwidth(ret_bandwidth, bandwidth_bytes, &upload);
    return MS_OK;
}

static ms_status keep(const ms_probe *probe, const char *path, const ms_calibration *rates, ms_error *err) {
    const ms_machine machine = ms_run_machine(&probe->compute);
    char warning[MS_HISTORY_TEXT_BYTES];
    ms_history *history = NULL;
    int64_t id;
    MS_TRY(ms_history_open(path, &history, warning, err));
    if (warning[0])
        ms_log_tell(MS_LOG_WARNING, "history", "%s", warning);
    ms_status status = ms_history_put_calibration(history, &machine, rates, &id, err);
    ms_history_close(&history);
    return status;
}

ms_status ms_probe_calibrate_sized(const ms_probe *probe, const char *file, const char *history,
                                   ms_probe_rates *ret_rates, size_t rates_bytes, ms_error *err) {
    ms_calibration rates;
    ms_error_clear(err);
    MS_NEED(probe, err);
    MS_NEED(file, err);
    MS_NEED(ret_rates, err);
    MS_CHECK_SIZED(ret_rates, rates_bytes, err);
    MS_TRY(need_device(probe, err));
    if (history && !ms_history_supported())
        return ms_fail(err, MS_UNSUPPORTED, "this build keeps no history: it was made without SQLite");
    MS_TRY(ms_calibrate(&probe->compute, file, MS_CALIBRATE_FULL_S, &rates, err));
    ms_sized_fill(ret_rates, rates_bytes, &rates, sizeof(rates));
    return history ? keep(probe, history, &rates, err) : MS_OK;
}

/* ---- without a probe ---- */

const char *ms_probe_instruction_set(int index) {
    return index >= 0 && index <= (int)ms_isa_detect() ? ms_isa_name((ms_isa)index) : NULL;
}

const char *ms_probe_backend(int index) {
    const ms_backend *const *all = ms_backends();
    for (int i = 0; all[i]; i++)
        if (i == index)
            return all[i]->name;
    return NULL;
}

bool ms_probe_has_encoder(ms_output_codec codec) {
#if MS_HAVE_FFMPEG
    static const ms_video_codec codecs[] = {
        [MS_OUTPUT_H264] = MS_VIDEO_H264, [MS_OUTPUT_HEVC] = MS_VIDEO_HEVC, [MS_OUTPUT_FFV1] = MS_VIDEO_FFV1};
    if ((unsigned)codec >= sizeof(codecs) / sizeof(codecs[0]))
        return false;
    ms_video_writer_params params = MS_VIDEO_WRITER_DEFAULTS;
    params.width = params.height = 64;
    params.codec = codecs[codec];
    params.force = true;
    return ms_video_writer_check("probe.mkv", &params, NULL) != MS_UNSUPPORTED;
#else
    (void)codec;
    return false;
#endif
}
