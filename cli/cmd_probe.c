/* `memsafe probe`: what this machine has, and what a run would make of it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "commands.h"
#include "device/device.h"
#include "memory/host.h"
#include "memory/tier.h"

typedef struct probe_state {
    bool json;
} probe_state;

static void print_bytes(const char *label, size_t bytes) {
    if (bytes == SIZE_MAX)
        printf("  %-22s no limit\n", label);
    else
        printf("  %-22s %.2f GiB\n", label, (double)bytes / 0x1p30);
}

static void print_text(const ms_host *h, ms_tier tier) {
    printf("Processor\n  %-22s %s\n  %-22s %d\n  %-22s", "name", h->cpu_name, "CPUs for this process",
           h->cpus, "instruction sets");
    for (int i = 0; i <= (int)ms_isa_detect(); i++)
        printf(" %s", ms_isa_name((ms_isa)i));
    printf("\nHost memory\n");
    print_bytes("total", h->total_bytes);
    print_bytes("available", h->available_bytes);
    print_bytes("cgroup limit", h->cgroup_max_bytes);
    print_bytes("process limit", h->rlimit_bytes);
    print_bytes("free for a run", ms_host_free_bytes(h));
    printf("Back ends\n ");
    for (const ms_backend *const *b = ms_backends(); *b; b++)
        printf(" %s", (*b)->name);
    printf("\nTier\n  %s, because the cpu back end's device memory is the host's %.1f GiB;\n  precision auto "
           "means %s\n",
           ms_tier_name(tier), (double)h->total_bytes / 0x1p30,
           ms_dtype_name(ms_tier_precision(tier, false)));
}

static void json_bytes(ms_buf *out, const char *key, size_t bytes) {
    if (bytes == SIZE_MAX)
        ms_buf_printf(out, "\"%s\": null, ", key);
    else
        ms_buf_printf(out, "\"%s\": %zu, ", key, bytes);
}

static void print_json(const ms_host *h, ms_tier tier) {
    ms_buf out;
    ms_buf_init(&out, NULL);
    ms_buf_printf(&out, "{\"cpu\": {\"name\": ");
    ms_buf_json_string(&out, h->cpu_name);
    ms_buf_printf(&out, ", \"cpus\": %d, \"isa\": \"%s\"}, \"host\": {", h->cpus,
                  ms_isa_name(ms_isa_detect()));
    json_bytes(&out, "total_bytes", h->total_bytes);
    json_bytes(&out, "available_bytes", h->available_bytes);
    json_bytes(&out, "cgroup_max_bytes", h->cgroup_max_bytes);
    json_bytes(&out, "rlimit_bytes", h->rlimit_bytes);
    ms_buf_printf(&out, "\"free_bytes\": %zu}, \"backends\": [", ms_host_free_bytes(h));
    for (const ms_backend *const *b = ms_backends(); *b; b++)
        ms_buf_printf(&out, "%s\"%s\"", b == ms_backends() ? "" : ", ", (*b)->name);
    ms_buf_printf(&out, "], \"tier\": \"%s\", \"precision_auto\": \"%s\"}", ms_tier_name(tier),
                  ms_dtype_name(ms_tier_precision(tier, false)));
    printf("%s\n", out.failed ? "{}" : out.data);
    ms_buf_free(&out);
}

static int probe_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    ms_host host;
    ms_host_read(&host);
    ms_tier tier = ms_tier_of(host.total_bytes);
    if (((const probe_state *)state)->json)
        print_json(&host, tier);
    else
        print_text(&host, tier);
    return 0;
}

static const cli_option probe_options[] = {
    {"json", 'j', CLI_FLAG, offsetof(probe_state, json), NULL, "one JSON object", 0, 0},
};

const cli_command cli_probe_command = {
    .name = "probe",
    .summary = "Show the processor, the memory that a run may use, and the tier",
    .usage = "[--json]",
    .options = probe_options,
    .n_options = CLI_COUNT(probe_options),
    .state_bytes = sizeof(probe_state),
    .run = probe_run,
};
