/* `memsafe probe`: what this machine has, and what a run would make of it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/console.h"
#include "options/device_option.h"
#include "options/history_file.h"
#include "memsafe/library.h"
#include "memsafe/probe.h"
#include "memsafe/profile.h"
#include "options/profile_options.h"
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
    ms_probe *probe;
    ms_probe_host host;
    ms_probe_device device;
    bool measured;
    ms_probe_bandwidth disk, upload;
    bool calibrated;
    ms_probe_rates rates;
    char kept[256]; /* where, or why not */
    char *profile;  /* as it is printed; to be freed */
} probe_result;

static void probe_defaults(void *state) {
    ((probe_state *)state)->file = "/proc/self/exe";
}

static ms_status measure(const probe_state *s, probe_result *r, ms_error *err) {
    MS_TRY(ms_probe_disk(r->probe, s->file, &r->disk, err));
    MS_TRY(ms_probe_upload(r->probe, &r->upload, err));
    r->measured = true;
    return MS_OK;
}

/* Measures anew, at length, and leaves it where runs look for it. */
static ms_status calibrate(const probe_state *s, probe_result *r, ms_error *err) {
    const char *path = cli_history_file();
    const bool kept = path && ms_has_feature(MS_FEATURE_SQLITE);
    MS_TRY(ms_probe_calibrate(r->probe, s->file, kept ? path : NULL, &r->rates, err));
    r->calibrated = true;
    if (kept)
        snprintf(r->kept, sizeof(r->kept), "%.255s", path);
    else
        snprintf(r->kept, sizeof(r->kept), "nowhere: %s",
                 path ? "this build has no SQLite" : "MEMSAFE_HISTORY=off");
    return MS_OK;
}

static ms_status look(const probe_state *s, probe_result *r, ms_error *err) {
    const ms_probe_params params = {
        .device = s->device ? s->device : "auto", .threads = s->threads, .must_compute = true};
    const ms_profile_source source = cli_profile_source(&s->profile);
    MS_TRY(ms_probe_create(&params, &r->probe, err));
    ms_probe_get_host(r->probe, &r->host);
    ms_probe_get_device(r->probe, &r->device);
    MS_TRY(ms_profile_describe(&source, r->device.nominal_bytes, 0,
                               s->json ? MS_PROFILE_JSON : MS_PROFILE_TEXT, &r->profile, err));
    if (s->measure)
        MS_TRY(measure(s, r, err));
    return s->calibrate ? calibrate(s, r, err) : MS_OK;
}

/* ---- for people ---- */

/* Where a line begins, before what it tells. */
static void text_label(ms_buf *out, const char *label) {
    ms_buf_printf(out, cli_is_narrow() ? "  %s: " : "  %-24s ", label);
}

static void text_line(ms_buf *out, const char *label, const char *text) {
    text_label(out, label);
    ms_buf_printf(out, "%s\n", text);
}

static void text_bytes(ms_buf *out, const char *label, size_t bytes) {
    char size[MS_SIZE_TEXT_BYTES];
    text_line(out, label, bytes == SIZE_MAX ? "no limit" : ms_size_format(size, bytes));
}

static void text_bandwidth(ms_buf *out, const char *label, const ms_probe_bandwidth *b, const char *how) {
    char rate[MS_SIZE_TEXT_BYTES], size[MS_SIZE_TEXT_BYTES];
    text_label(out, label);
    ms_buf_printf(out, "%s/s (%s in %.2f s, %s)\n", ms_size_format(rate, (uint64_t)b->bytes_per_s),
                  ms_size_format(size, b->bytes), b->seconds, how);
}

static void text_host(ms_buf *out, const probe_result *r) {
    const ms_probe_host *h = &r->host;
    ms_probe_cgroup binding;
    ms_buf_printf(out, "Host memory\n");
    text_bytes(out, "total", h->total_bytes);
    text_bytes(out, "available", h->available_bytes);
    text_bytes(out, "cgroup limit", h->cgroup_limit_bytes);
    if (ms_probe_get_cgroup(r->probe, h->cgroup_binding, &binding)) {
        text_bytes(out, "cgroup leaves", h->cgroup_left_bytes);
        text_label(out, "limited by");
        ms_buf_printf(out, "%.*s\n", (int)binding.dir_chars, binding.dir);
    }
    text_bytes(out, "address space limit", h->address_limit_bytes);
    text_bytes(out, "data limit", h->data_limit_bytes);
    text_bytes(out, "locked memory limit", h->locked_limit_bytes);
    text_bytes(out, "free for a run", h->free_bytes);
}

static void text_rate(ms_buf *out, const char *label, double bytes_per_s) {
    char rate[MS_SIZE_TEXT_BYTES];
    text_label(out, label);
    ms_buf_printf(out, "%s/s\n", ms_size_format(rate, (uint64_t)bytes_per_s));
}

static void text_flops(ms_buf *out, const char *label, double flops) {
    text_label(out, label);
    ms_buf_printf(out, "%.1f GFLOP/s\n", flops * 1e-9);
}

static void text_rates(ms_buf *out, const probe_result *r) {
    const ms_probe_rates *c = &r->rates;
    const int threads = r->device.threads;
    ms_buf_printf(out, "Kernels, %d thread%s (kept: %s)\n", threads, threads == 1 ? "" : "s", r->kept);
    text_flops(out, "convolution", c->conv_flops);
    text_flops(out, "linear layer", c->linear_flops);
    text_flops(out, "attention", c->attention_flops);
    text_rate(out, "sums and norms", c->moved_bytes);
    text_rate(out, "reading weights", c->weight_bytes);
    text_rate(out, "packing weights", c->pack_bytes);
    text_rate(out, "disk", c->disk_bytes);
    text_label(out, "starting an operation");
    ms_buf_printf(out, "%.1f us\n", 1e6 / c->passes);
}

static void text_cards(ms_buf *out, const probe_result *r) {
    ms_probe_card c;
    for (int i = 0; ms_probe_get_card(r->probe, i, &c); i++) {
        char total[MS_SIZE_TEXT_BYTES], free_text[MS_SIZE_TEXT_BYTES], number[16];
        if (i == 0)
            ms_buf_printf(out,
                          "CUDA cards (what memsafe does on them is predicted, not yet run on hardware)\n");
        snprintf(number, sizeof(number), "%d", i);
        text_label(out, number);
        if (c.problem)
            ms_buf_printf(out, "%s\n", c.problem);
        else if (c.nominal_bytes == 0)
            ms_buf_printf(out, "%s (sm_%d), the memory is the host's\n", c.name, c.arch);
        else
            ms_buf_printf(out, "%s (sm_%d), %s, %s free\n", c.name, c.arch,
                          ms_size_format(total, c.nominal_bytes), ms_size_format(free_text, c.free_bytes));
    }
}

/* The profile's table; in a narrow terminal "name: value, where it comes from". */
static void text_profile(ms_buf *out, const char *table) {
    if (!cli_is_narrow()) {
        ms_buf_printf(out, "%s", table);
        return;
    }
    bool begun = false, named = false; /* of this line */
    while (*table) {
        size_t spaces = strspn(table, " "), word = strcspn(table + spaces, " \n");
        bool gap = begun && spaces > 1;
        ms_buf_printf(out, "%.*s%.*s", gap ? 2 : (int)spaces,
                      !gap    ? table
                      : named ? ", "
                              : ": ",
                      (int)word, table + spaces);
        begun = true;
        named = named || gap;
        table += spaces + word;
        if (*table == '\n') {
            ms_buf_printf(out, "\n");
            begun = named = false;
            table++;
        }
    }
}

static void write_text(const probe_result *r, ms_buf *out) {
    char cpus[16];
    snprintf(cpus, sizeof(cpus), "%d", r->host.cpus);
    ms_buf_printf(out, "Processor\n");
    text_line(out, "name", r->host.cpu_name);
    text_line(out, "CPUs for this process", cpus);
    text_label(out, "instruction sets");
    for (int i = 0; ms_probe_instruction_set(i); i++)
        ms_buf_printf(out, "%s%s", i ? " " : "", ms_probe_instruction_set(i));
    ms_buf_printf(out, "\n");
    text_host(out, r);
    ms_buf_printf(out, "Device\n");
    text_line(out, r->device.backend, r->device.description);
    text_bytes(out, "nominal memory", r->device.nominal_bytes);
    text_bytes(out, "free memory", r->device.free_bytes);
    text_label(out, "back ends");
    for (int i = 0; ms_probe_backend(i); i++)
        ms_buf_printf(out, "%s%s%s", i ? " " : "", ms_probe_backend(i),
                      strcmp(ms_probe_backend(i), "dummy") == 0 ? " (sizes only)" : "");
    ms_buf_printf(out, "\n");
    text_cards(out, r);
    if (r->measured) {
        ms_buf_printf(out, "Bandwidth\n");
        text_bandwidth(out, "disk to host", &r->disk,
                       r->disk.direct ? "past the page cache" : "cached pages dropped before");
        text_bandwidth(out, "host to device", &r->upload,
                       r->device.own_memory ? "to the device" : "a copy within host memory");
    }
    if (r->calibrated)
        text_rates(out, r);
    text_profile(out, r->profile);
}

/* ---- for programs ---- */

static void json_bytes(ms_buf *out, const char *key, size_t bytes) {
    if (bytes == SIZE_MAX)
        ms_buf_printf(out, "\"%s\": null, ", key);
    else
        ms_buf_printf(out, "\"%s\": %zu, ", key, bytes);
}

static void json_cgroup(ms_buf *out, const probe_result *r) {
    ms_probe_cgroup l;
    ms_buf_printf(out, "\"cgroup\": {\"levels\": [");
    for (int i = 0; ms_probe_get_cgroup(r->probe, i, &l); i++) {
        char dir[PATH_MAX];
        snprintf(dir, sizeof(dir), "%.*s", (int)l.dir_chars, l.dir);
        ms_buf_printf(out, "%s{\"dir\": ", i ? ", " : "");
        ms_buf_json_string(out, dir);
        ms_buf_printf(out, ", ");
        json_bytes(out, "max_bytes", l.max_bytes);
        json_bytes(out, "high_bytes", l.high_bytes);
        json_bytes(out, "left_bytes", l.left_bytes);
        ms_buf_printf(out,
                      "\"current_bytes\": %zu, \"reclaimable_bytes\": %zu, \"events\": {\"high\": %llu, "
                      "\"max\": %llu, \"oom\": %llu, \"oom_kill\": %llu}}",
                      l.current_bytes, l.reclaimable_bytes, (unsigned long long)l.high_events,
                      (unsigned long long)l.max_events, (unsigned long long)l.oom_events,
                      (unsigned long long)l.oom_kill_events);
    }
    ms_buf_printf(out, "], ");
    json_bytes(out, "left_bytes", r->host.cgroup_left_bytes);
    if (r->host.cgroup_binding < 0)
        ms_buf_printf(out, "\"binding\": null}, ");
    else
        ms_buf_printf(out, "\"binding\": %d}, ", r->host.cgroup_binding);
}

static void json_cards(ms_buf *out, const probe_result *r) {
    ms_probe_card c;
    ms_buf_printf(out, "\"cards\": [");
    for (int i = 0; ms_probe_get_card(r->probe, i, &c); i++) {
        ms_buf_printf(out, "%s{\"name\": ", i ? ", " : "");
        ms_buf_json_string(out, c.name);
        ms_buf_printf(out,
                      ", \"arch\": %d, \"nominal_bytes\": %zu, \"free_bytes\": %zu, \"problem\": ", c.arch,
                      c.nominal_bytes, c.free_bytes);
        if (c.problem)
            ms_buf_json_string(out, c.problem);
        else
            ms_buf_printf(out, "null");
        ms_buf_printf(out, "}");
    }
    ms_buf_printf(out, "], ");
}

static void json_bandwidth(ms_buf *out, const char *key, const ms_probe_bandwidth *b, bool measured) {
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
    ms_buf_printf(out, "\"calibration\": {\"threads\": %d", r->device.threads);
#define X(rate)                                                                                              \
    ms_buf_printf(out, ", \"%s_per_s\": ", #rate);                                                           \
    ms_buf_json_number(out, r->rates.rate);
    MS_RATE_MAP(X)
#undef X
    ms_buf_printf(out, "}");
}

static void write_json(const probe_result *r, ms_buf *out) {
    const ms_probe_host *h = &r->host;
    ms_buf_printf(out, "{\"cpu\": {\"name\": ");
    ms_buf_json_string(out, h->cpu_name);
    ms_buf_printf(out, ", \"cpus\": %d, \"isa\": [", h->cpus);
    for (int i = 0; ms_probe_instruction_set(i); i++)
        ms_buf_printf(out, "%s\"%s\"", i ? ", " : "", ms_probe_instruction_set(i));
    ms_buf_printf(out, "]}, \"host\": {");
    json_bytes(out, "total_bytes", h->total_bytes);
    json_bytes(out, "available_bytes", h->available_bytes);
    json_bytes(out, "swap_free_bytes", h->swap_free_bytes);
    json_cgroup(out, r);
    json_bytes(out, "address_limit_bytes", h->address_limit_bytes);
    json_bytes(out, "data_limit_bytes", h->data_limit_bytes);
    json_bytes(out, "locked_limit_bytes", h->locked_limit_bytes);
    ms_buf_printf(out, "\"free_bytes\": %zu}, \"devices\": [{\"backend\": \"%s\", \"name\": ", h->free_bytes,
                  r->device.backend);
    ms_buf_json_string(out, r->device.description);
    ms_buf_printf(out, ", \"nominal_bytes\": %zu, \"free_bytes\": %zu, \"bf16\": %s}], \"backends\": [",
                  r->device.nominal_bytes, r->device.free_bytes, r->device.bf16 ? "true" : "false");
    for (int i = 0; ms_probe_backend(i); i++)
        ms_buf_printf(out, "%s\"%s\"", i ? ", " : "", ms_probe_backend(i));
    ms_buf_printf(out, "], ");
    json_cards(out, r);
    json_bandwidth(out, "disk", &r->disk, r->measured);
    ms_buf_printf(out, ", ");
    json_bandwidth(out, "host_to_device", &r->upload, r->measured);
    ms_buf_printf(out, ", ");
    json_rates(out, r);
    ms_buf_printf(out, ", \"profile\": %s}\n", r->profile);
}

/* On a terminal the document's table would be torn: "name: values; meaning; on the CPU". */
static void print_fields(const char *table) {
    for (int row = 0; *table; row++) {
        const char *end = table + strcspn(table, "\n"), *at = table;
        static const char *const before[] = {"", ": ", "\n  ", "\n  on the CPU: "};
        for (int column = 0; row > 1 && column < 4 && at < end; column++) {
            at += strspn(at, "| `");
            size_t n = strcspn(at, "|");
            cli_print("%s%.*s", before[column], (int)(n - 1 - (at[n - 2] == '`')), at);
            at += n;
        }
        if (row > 1)
            cli_print("\n");
        table = end + (*end == '\n');
    }
}

static ms_status show_fields(bool json, ms_error *err) {
    char *fields = NULL;
    MS_TRY(ms_profile_fields(&fields, err));
    if (!json && isatty(STDOUT_FILENO))
        print_fields(fields);
    else
        cli_print_all(fields, json);
    ms_mem_free(fields);
    return MS_OK;
}

static ms_status show_machine(const probe_state *s, ms_error *err) {
    probe_result result = {0};
    ms_buf out;
    ms_buf_init(&out, NULL);
    ms_status status = look(s, &result, err);
    if (status == MS_OK) {
        (s->json ? write_json : write_text)(&result, &out);
        status = out.failed ? ms_fail_alloc(err, NULL, out.length, "the report") : MS_OK;
    }
    if (status == MS_OK)
        cli_print_all(out.data, s->json);
    ms_buf_free(&out);
    ms_mem_free(result.profile);
    ms_probe_destroy(&result.probe);
    return status;
}

static int probe_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const probe_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    ms_status status = s->fields ? show_fields(s->json, &err) : show_machine(s, &err);
    return status == MS_OK ? 0 : cli_fail(&err);
}

static const cli_option probe_options[] = {
    CLI_GROUP("Options"),
    {"json", "j", CLI_FLAG, offsetof(probe_state, json), NULL, "one JSON object", 0, 0},
    {"measure", 0, CLI_FLAG, offsetof(probe_state, measure), NULL,
     "measure how fast the disk is read and memory is copied (a second)", 0, 0},
    {"calibrate", 0, CLI_FLAG, offsetof(probe_state, calibrate), NULL,
     "measure anew what the kernels reach (seconds) and keep it for predictions", 0, 0},
    CLI_DEVICE_OPTION(probe_state, device),
    {"threads", 0, CLI_INT, offsetof(probe_state, threads), "N", "threads for that; 0 = all", 0, 0},
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
