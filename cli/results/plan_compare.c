#include "results/plan_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "console/console.h"
#include "memsafe/probe.h"
#include "results/plan_times.h"
#include "text/duration.h"
#include "text/size.h"

enum { BUDGETS = 5, LENGTHS = 3 };
#define TABLE_COLUMNS 132
static const double sizes_gib[BUDGETS] = {8, 16, 24, 40, 80};
static const int64_t lengths[LENGTHS] = {50, 200, 500};

/* A budget of that size; where the device is not here, a device of it with its tier's margin left. */
static ms_status plan_one(const ms_plan_params *params, bool here, double gib, int64_t frames,
                          ms_plan_report *ret_report, ms_error *err) {
    ms_plan_params p = *params;
    p.frames = frames;
    *(here ? &p.budget_bytes : &p.device_bytes) = (size_t)(gib * 0x1p30);
    ms_status status = ms_plan_run(&p, ret_report, NULL, err);
    return status == MS_BUDGET ? MS_OK : status;
}

static bool fits(const ms_plan_report *r) {
    return r->peak_bytes <= r->budget_bytes;
}

/* "VAE 4, UNet 16 x 2" */
static const char *batches(const ms_plan_report *r, char text[64]) {
    int64_t frames = r->slice_frames ? r->slice_frames : r->window_frames;
    snprintf(text, 64, "VAE %d, UNet %" PRId64 " x %d", r->vae_decode_batch, frames,
             r->serial_branches ? 1 : 2);
    return text;
}

static const char *time_text(const ms_plan_report *r, char text[MS_DURATION_TEXT_BYTES]) {
    if (!fits(r))
        snprintf(text, MS_DURATION_TEXT_BYTES, "-");
    else if (r->total_s <= 0)
        snprintf(text, MS_DURATION_TEXT_BYTES, "?");
    else
        ms_duration_format(text, r->total_s);
    return text;
}

static void text_line(double gib, const ms_plan_report r[LENGTHS]) {
    const ms_plan_report *longest = &r[LENGTHS - 1];
    char batch[64], times[LENGTHS][MS_DURATION_TEXT_BYTES], peak[MS_SIZE_TEXT_BYTES],
        least[MS_SIZE_TEXT_BYTES], streamed[MS_SIZE_TEXT_BYTES];
    cli_print(cli_is_narrower(TABLE_COLUMNS) ? "%.0f GiB: %s, " : "%5.0f GiB %-13s ", gib, longest->tier);
    if (!fits(longest)) {
        cli_print("does not fit: needs at least %llu MiB\n",
                  (unsigned long long)ms_size_whole_mib(longest->least_bytes));
        return;
    }
    bool narrow = cli_is_narrower(TABLE_COLUMNS);
    cli_print(narrow ? "rung %s\n  at a time: %s; weights %s\n  peak %s, least %s, streamed %s\n"
                     : "%-13s %-19s %-9s %9s %9s %9s",
              ms_rung_name(longest->rung), batches(longest, batch), longest->precision,
              ms_size_format(peak, longest->peak_bytes), ms_size_format(least, longest->least_bytes),
              ms_size_format(streamed, longest->streamed_bytes));
    for (int i = 0; i < LENGTHS && narrow; i++)
        cli_print("%s %" PRId64 " frames %s", i ? "," : " ", lengths[i], time_text(&r[i], times[i]));
    for (int i = 0; i < LENGTHS && !narrow; i++)
        cli_print(" %12s", time_text(&r[i], times[i]));
    cli_print("\n");
}

/* null: of this machine, or not known. */
static void json_card(const ms_plan_report *r) {
    printf(", \"%s\": ", r->card_measured ? "measured_on" : "estimated_for");
    if (r->card[0])
        printf("\"%s\"}", r->card);
    else
        printf("null}");
}

static void json_line(double gib, const ms_plan_report r[LENGTHS], bool first) {
    for (int i = 0; i < LENGTHS; i++) {
        printf("%s{\"memory_gib\": %.0f, \"frames\": %" PRId64
               ", \"tier\": \"%s\", \"fits\": %s, \"rung\": \"%s\", "
               "\"precision\": \"%s\", \"vae_batch\": %d, \"unet_frames\": %" PRId64
               ", \"branches_together\": %s, \"peak_bytes\": %zu, \"least_bytes\": %zu, "
               "\"streamed_bytes\": %zu, \"total_s\": %.3f",
               first && i == 0 ? "[" : ",\n ", gib, lengths[i], r[i].tier, fits(&r[i]) ? "true" : "false",
               ms_rung_name(r[i].rung), r[i].precision, r[i].vae_decode_batch,
               r[i].slice_frames ? r[i].slice_frames : (int64_t)r[i].window_frames,
               r[i].serial_branches ? "false" : "true", r[i].peak_bytes, r[i].least_bytes,
               r[i].streamed_bytes, r[i].total_s);
        json_card(&r[i]);
    }
}

/* By what the times are, where a card was named that is not here. */
static void text_cards(ms_plan_report r[BUDGETS][LENGTHS]) {
    for (int b = 0; b < BUDGETS; b++) {
        char whose[CLI_WHOSE_TIMES_BYTES];
        if (r[b][0].card[0])
            cli_print("%s%.0f GiB: %s\n", b ? "" : "\nTimes:\n", sizes_gib[b],
                      cli_whose_times(&r[b][0], whose));
    }
}

static ms_status is_here(const ms_plan_params *params, bool *ret_here, ms_error *err) {
    const ms_probe_params looked_at = {.device = params->device ? params->device : "auto", .threads = 1};
    ms_probe *probe = NULL;
    ms_probe_device device;
    MS_TRY(ms_probe_create(&looked_at, &probe, err));
    ms_probe_get_device(probe, &device);
    ms_probe_destroy(&probe);
    *ret_here = device.computes;
    return MS_OK;
}

ms_status cli_plan_compare(const ms_plan_params *params, bool json, ms_error *err) {
    static ms_plan_report reports[BUDGETS][LENGTHS];
    bool here = false;
    if (!params->arch)
        MS_TRY(is_here(params, &here, err));
    for (int b = 0; b < BUDGETS; b++)
        for (int i = 0; i < LENGTHS; i++)
            MS_TRY(plan_one(params, here, sizes_gib[b], lengths[i], &reports[b][i], err));
    if (!json && !cli_is_narrower(TABLE_COLUMNS))
        cli_print("%-9s %-13s %-13s %-19s %-9s %9s %9s %9s %12s %12s %12s\n", "memory", "tier", "rung",
                  "at a time", "weights", "peak", "least", "streamed", "50 frames", "200 frames",
                  "500 frames");
    for (int b = 0; b < BUDGETS; b++) {
        if (json)
            json_line(sizes_gib[b], reports[b], b == 0);
        else
            text_line(sizes_gib[b], reports[b]);
    }
    if (json)
        printf("]\n");
    else
        text_cards(reports);
    return MS_OK;
}
