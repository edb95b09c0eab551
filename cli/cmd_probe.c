/* `memsafe probe`: what this machine has, and what a run would make of it. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "commands.h"
#include "console.h"
#include "device_option.h"
#include "history_file.h"
#include "planner/run_history.h"
#include "predict/bandwidth.h"
#include "profile_options.h"
#include "system/host.h"
#include "text/json.h"
#include "text/size.h"

typedef struct probe_state {
    bool json, fields, measure, calibrate;
    int threads;
    const char *device;
    const char *file; /* to measure the disk with */
    cli_profile_options profile;
} probe_state;

typedef struct probe_result {
    ms_host host;
    char device[128], backend[32];
    bool apart, bf16;                 /* of the device */
    size_t nominal_bytes, free_bytes; /* of the device */
    bool measured;
    ms_bandwidth disk, upload;
    bool calibrated;
    int threads;
    ms_calibration rates;
    char kept[MS_HISTORY_TEXT_BYTES]; /* where, or why not */
    ms_profile profile;
} probe_result;

static void probe_defaults(void *state) {
    ((probe_state *)state)->file = "/proc/self/exe";
}

static ms_status measure(const probe_state *s, const ms_compute *compute, probe_result *r, ms_error *err) {
    const ms_bandwidth_params params = {0};
    MS_TRY(ms_bandwidth_of_file(&params, s->file, &r->disk, err));
    MS_TRY(ms_bandwidth_of_upload(&params, compute, &r->upload, err));
    r->measured = true;
    return MS_OK;
}

/* Measures anew, at length, and leaves it where runs look for it. */
static ms_status calibrate(const probe_state *s, const ms_compute *compute, probe_result *r, ms_error *err) {
    const ms_machine machine = ms_run_machine(compute);
    const char *path = cli_history_file();
    ms_history *history = NULL;
    char warning[MS_HISTORY_TEXT_BYTES];
    int64_t id;
    MS_TRY(ms_calibrate(compute, s->file, MS_CALIBRATE_FULL_S, &r->rates, err));
    r->calibrated = true;
    r->threads = machine.threads;
    if (!path || !ms_history_supported()) {
        snprintf(r->kept, sizeof(r->kept), "nowhere: %s",
                 path ? "this build has no SQLite" : "MEMSAFE_HISTORY=off");
        return MS_OK;
    }
    MS_TRY(ms_history_open(path, &history, warning, err));
    ms_status status = ms_history_put_calibration(history, &machine, &r->rates, &id, err);
    ms_history_close(&history);
    snprintf(r->kept, sizeof(r->kept), "%.255s", path);
    return status;
}

/* Where the device's memory is the host's: what the limits make of it. */
static void look_at_memory(const ms_device *dev, probe_result *r) {
    r->apart = !dev->caps.host_memory;
    r->nominal_bytes = ms_host_nominal_bytes(&r->host);
    r->free_bytes = ms_host_free_bytes(&r->host);
    if (r->apart)
        dev->backend->memory(dev, &r->free_bytes, &r->nominal_bytes);
}

static ms_status look(const probe_state *s, probe_result *r, ms_error *err) {
    ms_compute compute = {0};
    ms_host_read(&r->host);
    MS_TRY(cli_open_device(s->device, s->threads, CLI_DEVICE_WORKS, 0, &compute, err));
    look_at_memory(compute.dev, r);
    snprintf(r->device, sizeof(r->device), "%s", compute.dev->description);
    snprintf(r->backend, sizeof(r->backend), "%s", compute.dev->backend->name);
    r->bf16 = compute.dev->caps.activations & 1u << MS_BF16;
    ms_status status = cli_profile_load(&s->profile, r->nominal_bytes, 0, &r->profile, err);
    if (status == MS_OK && s->measure)
        status = measure(s, &compute, r, err);
    if (status == MS_OK && s->calibrate)
        status = calibrate(s, &compute, r, err);
    ms_compute_close(&compute);
    return status;
}

/* ---- for people ---- */

static void text_bytes(ms_buf *out, const char *label, size_t bytes) {
    char size[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(out, "  %-24s %s\n", label, bytes == SIZE_MAX ? "no limit" : ms_size_format(size, bytes));
}

static void text_bandwidth(ms_buf *out, const char *label, const ms_bandwidth *b, const char *how) {
    char rate[MS_SIZE_TEXT_BYTES], size[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(out, "  %-24s %s/s (%s in %.2f s, %s)\n", label,
                  ms_size_format(rate, (uint64_t)b->bytes_per_s), ms_size_format(size, b->bytes), b->seconds,
                  how);
}

static void text_host(ms_buf *out, const ms_host *h) {
    const ms_cgroup *c = &h->cgroup;
    ms_buf_printf(out, "Host memory\n");
    text_bytes(out, "total", h->total_bytes);
    text_bytes(out, "available", h->available_bytes);
    text_bytes(out, "cgroup limit", ms_cgroup_limit_bytes(c));
    if (c->binding >= 0) {
        text_bytes(out, "cgroup leaves", ms_cgroup_left_bytes(c));
        ms_buf_printf(out, "  %-24s %.*s\n", "limited by", (int)c->level[c->binding].dir_chars, c->dir);
    }
    text_bytes(out, "address space limit", h->address_limit_bytes);
    text_bytes(out, "data limit", h->data_limit_bytes);
    text_bytes(out, "locked memory limit", h->locked_limit_bytes);
    text_bytes(out, "free for a run", ms_host_free_bytes(h));
}

static void text_rate(ms_buf *out, const char *label, double bytes_per_s) {
    char rate[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(out, "  %-24s %s/s\n", label, ms_size_format(rate, (uint64_t)bytes_per_s));
}

static void text_rates(ms_buf *out, const probe_result *r) {
    const ms_calibration *c = &r->rates;
    ms_buf_printf(out, "Kernels, %d thread%s (kept: %s)\n", r->threads, r->threads == 1 ? "" : "s", r->kept);
    ms_buf_printf(out, "  %-24s %.1f GFLOP/s\n", "convolution", c->conv_flops * 1e-9);
    ms_buf_printf(out, "  %-24s %.1f GFLOP/s\n", "linear layer", c->linear_flops * 1e-9);
    ms_buf_printf(out, "  %-24s %.1f GFLOP/s\n", "attention", c->attention_flops * 1e-9);
    text_rate(out, "sums and norms", c->moved_bytes);
    text_rate(out, "reading weights", c->weight_bytes);
    text_rate(out, "packing weights", c->pack_bytes);
    text_rate(out, "disk", c->disk_bytes);
    ms_buf_printf(out, "  %-24s %.1f us\n", "starting an operation", 1e6 / c->passes);
}

static void write_text(const probe_result *r, ms_buf *out) {
    char reason[MS_PROFILE_TEXT_BYTES];
    ms_buf_printf(out, "Processor\n  %-24s %s\n  %-24s %d\n  %-24s", "name", r->host.cpu_name,
                  "CPUs for this process", r->host.cpus, "instruction sets");
    for (int i = 0; i <= (int)ms_isa_detect(); i++)
        ms_buf_printf(out, " %s", ms_isa_name((ms_isa)i));
    ms_buf_printf(out, "\n");
    text_host(out, &r->host);
    ms_buf_printf(out, "Device\n  %-24s %s\n", r->backend, r->device);
    text_bytes(out, "nominal memory", r->nominal_bytes);
    text_bytes(out, "free memory", r->free_bytes);
    ms_buf_printf(out, "  %-24s", "back ends");
    for (const ms_backend *const *b = ms_backends(); *b; b++)
        ms_buf_printf(out, " %s%s", (*b)->name, strcmp((*b)->name, "dummy") == 0 ? " (sizes only)" : "");
    ms_buf_printf(out, "\n");
    if (r->measured) {
        ms_buf_printf(out, "Bandwidth\n");
        text_bandwidth(out, "disk to host", &r->disk,
                       r->disk.direct ? "past the page cache" : "cached pages dropped before");
        text_bandwidth(out, "host to device", &r->upload,
                       r->apart ? "to the device" : "a copy within host memory");
    }
    if (r->calibrated)
        text_rates(out, r);
    ms_buf_printf(out, "Tier\n  %s, because %s\nProfile\n", ms_tier_name(r->profile.tier),
                  ms_profile_tier_reason(&r->profile, reason));
    ms_profile_write_text(&r->profile, out);
}

/* ---- for programs ---- */

static void json_bytes(ms_buf *out, const char *key, size_t bytes) {
    if (bytes == SIZE_MAX)
        ms_buf_printf(out, "\"%s\": null, ", key);
    else
        ms_buf_printf(out, "\"%s\": %zu, ", key, bytes);
}

static void json_cgroup(ms_buf *out, const ms_cgroup *c) {
    ms_buf_printf(out, "\"cgroup\": {\"levels\": [");
    for (int i = 0; i < c->levels; i++) {
        const ms_cgroup_level *l = &c->level[i];
        char dir[PATH_MAX];
        snprintf(dir, sizeof(dir), "%.*s", (int)l->dir_chars, c->dir);
        ms_buf_printf(out, "%s{\"dir\": ", i ? ", " : "");
        ms_buf_json_string(out, dir);
        ms_buf_printf(out, ", ");
        json_bytes(out, "max_bytes", l->max_bytes);
        json_bytes(out, "high_bytes", l->high_bytes);
        json_bytes(out, "left_bytes", l->left_bytes);
        ms_buf_printf(out,
                      "\"current_bytes\": %zu, \"reclaimable_bytes\": %zu, \"events\": {\"high\": %llu, "
                      "\"max\": %llu, \"oom\": %llu, \"oom_kill\": %llu}}",
                      l->current_bytes, l->reclaimable_bytes, (unsigned long long)l->events.high,
                      (unsigned long long)l->events.max, (unsigned long long)l->events.oom,
                      (unsigned long long)l->events.oom_kill);
    }
    ms_buf_printf(out, "], ");
    json_bytes(out, "left_bytes", ms_cgroup_left_bytes(c));
    if (c->binding < 0)
        ms_buf_printf(out, "\"binding\": null}, ");
    else
        ms_buf_printf(out, "\"binding\": %d}, ", c->binding);
}

static void json_bandwidth(ms_buf *out, const char *key, const ms_bandwidth *b, bool measured) {
    if (!measured) {
        ms_buf_printf(out, "\"%s\": null", key);
        return;
    }
    ms_buf_printf(out, "\"%s\": {\"bytes_per_s\": ", key);
    ms_buf_json_number(out, b->bytes_per_s);
    ms_buf_printf(out, ", \"bytes\": %zu, \"seconds\": ", b->bytes);
    ms_buf_json_number(out, b->seconds);
    ms_buf_printf(out, ", \"direct\": %s}", b->direct ? "true" : "false");
}

static void json_rates(ms_buf *out, const probe_result *r) {
    if (!r->calibrated) {
        ms_buf_printf(out, "\"calibration\": null");
        return;
    }
    ms_buf_printf(out, "\"calibration\": {\"threads\": %d", r->threads);
#define X(rate)                                                                                              \
    ms_buf_printf(out, ", \"%s_per_s\": ", #rate);                                                           \
    ms_buf_json_number(out, r->rates.rate);
    MS_CALIBRATION_MAP(X)
#undef X
    ms_buf_printf(out, "}");
}

static void write_json(const probe_result *r, ms_buf *out) {
    const ms_host *h = &r->host;
    ms_buf_printf(out, "{\"cpu\": {\"name\": ");
    ms_buf_json_string(out, h->cpu_name);
    ms_buf_printf(out, ", \"cpus\": %d, \"isa\": [", h->cpus);
    for (int i = 0; i <= (int)ms_isa_detect(); i++)
        ms_buf_printf(out, "%s\"%s\"", i ? ", " : "", ms_isa_name((ms_isa)i));
    ms_buf_printf(out, "]}, \"host\": {");
    json_bytes(out, "total_bytes", h->total_bytes);
    json_bytes(out, "available_bytes", h->available_bytes);
    json_bytes(out, "swap_free_bytes", h->swap_free_bytes);
    json_cgroup(out, &h->cgroup);
    json_bytes(out, "address_limit_bytes", h->address_limit_bytes);
    json_bytes(out, "data_limit_bytes", h->data_limit_bytes);
    json_bytes(out, "locked_limit_bytes", h->locked_limit_bytes);
    ms_buf_printf(out, "\"free_bytes\": %zu}, \"devices\": [{\"backend\": \"%s\", \"name\": ",
                  ms_host_free_bytes(h), r->backend);
    ms_buf_json_string(out, r->device);
    ms_buf_printf(out, ", \"nominal_bytes\": %zu, \"free_bytes\": %zu, \"bf16\": %s}], \"backends\": [",
                  r->nominal_bytes, r->free_bytes, r->bf16 ? "true" : "false");
    for (const ms_backend *const *b = ms_backends(); *b; b++)
        ms_buf_printf(out, "%s\"%s\"", b == ms_backends() ? "" : ", ", (*b)->name);
    ms_buf_printf(out, "], ");
    json_bandwidth(out, "disk", &r->disk, r->measured);
    ms_buf_printf(out, ", ");
    json_bandwidth(out, "host_to_device", &r->upload, r->measured);
    ms_buf_printf(out, ", ");
    json_rates(out, r);
    ms_buf_printf(out, ", \"profile\": ");
    ms_profile_write_json(&r->profile, out);
    ms_buf_printf(out, "}\n");
}

static int probe_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const probe_state *s = state;
    static probe_result result;
    ms_error err;
    ms_error_clear(&err);
    ms_buf out;
    ms_buf_init(&out, NULL);
    if (s->fields) {
        ms_profile_write_fields(&out);
    } else {
        if (look(s, &result, &err) != MS_OK)
            return cli_fail(&err);
        if (s->json)
            write_json(&result, &out);
        else
            write_text(&result, &out);
    }
    int code = 0;
    if (out.failed) {
        ms_fail_alloc(&err, NULL, out.length, "the report");
        code = cli_fail(&err);
    } else {
        cli_print_all(out.data, s->json);
    }
    ms_buf_free(&out);
    return code;
}

static const cli_option probe_options[] = {
    CLI_GROUP("Options"),
    {"json", "j", CLI_FLAG, offsetof(probe_state, json), NULL, "one JSON object", 0, 0},
    {"measure", 0, CLI_FLAG, offsetof(probe_state, measure), NULL,
     "measure how fast the disk is read and memory is copied (a second)", 0, 0},
    {"calibrate", 0, CLI_FLAG, offsetof(probe_state, calibrate), NULL,
     "measure anew what the kernels reach (seconds) and keep it for predictions", 0, 0},
    CLI_DEVICE_OPTION(probe_state, device),
    {"threads", 0, CLI_INT, offsetof(probe_state, threads), "N", "threads for that; 0 = all", 0, 1024},
    {"disk-file", 0, CLI_TEXT, offsetof(probe_state, file), "FILE",
     "file to read for both, a checkpoint is best (default: this program)", 0, 0},
    {"fields", 0, CLI_FLAG, offsetof(probe_state, fields), NULL, "only list the fields that a profile has", 0,
     0},
    CLI_PROFILE_OPTIONS(probe_state, profile),
};

const cli_command cli_probe_command = {
    .name = "probe",
    .summary = "Show the processor, the memory that a run may use, the tier and the profile",
    .examples = {{"memsafe probe", "what this machine has, and the profile that it gets"}},
    .usage = "[--json] [--measure] [--calibrate] [--profile NAME] [--set FIELD=VALUE]...",
    .text = CLI_HISTORY_HELP,
    .options = probe_options,
    .n_options = CLI_COUNT(probe_options),
    .state_bytes = sizeof(probe_state),
    .defaults = probe_defaults,
    .run = probe_run,
};
