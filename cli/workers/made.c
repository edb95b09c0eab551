#include "workers/made.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "console/console.h"
#include "memsafe/plan.h"

#define MOST_SECONDS 1e12
#define MOST_BYTES (INT64_C(1) << 60)

/* ---- telling ---- */

static void put_stages(ms_buf *b, const char *name, const double *stage_s) {
    ms_buf_printf(b, ", \"%s\": {", name);
    for (int i = 0; i < MS_STAGE_COUNT; i++) {
        ms_buf_printf(b, "%s\"%s\": ", i ? ", " : "", ms_stage_name((ms_stage)i));
        ms_buf_json_number(b, stage_s[i]);
    }
    ms_buf_printf(b, "}");
}

static void tell_layout(const ms_run_choice *c) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_json_member(&b, "", "rung", ms_rung_name(c->rung));
    ms_buf_printf(&b,
                  ", \"vae_batch\": %d, \"planned_bytes\": %zu, \"whole_bytes\": %zu, \"window_s\": %.4f, "
                  "\"slice_frames\": %" PRId64 ", \"slice_pixels\": %" PRId64 ", \"stripe_rows\": %" PRId64
                  ", \"fits\": %s, \"taken\": %s",
                  c->vae_batch, c->peak_bytes, c->whole_bytes, c->window_s, c->slice_frames, c->slice_pixels,
                  c->stripe_rows, c->fits ? "true" : "false", c->taken ? "true" : "false");
    if (!b.failed)
        cli_event("layout", b.data);
    ms_buf_free(&b);
}

static void put_chosen(ms_buf *b, const ms_run_report *r) {
    ms_buf_json_member(b, "", "rung", ms_rung_name(r->rung));
    ms_buf_json_member(b, ", ", "model", r->model);
    ms_buf_json_member(b, ", ", "tier", r->tier);
    ms_buf_json_member(b, ", ", "precision", r->precision);
    ms_buf_json_member(b, ", ", "device", r->device);
    ms_buf_json_member(b, ", ", "tier_reason", r->tier_reason);
    ms_buf_json_member(b, ", ", "budget_reason", r->budget_reason);
    ms_buf_printf(b,
                  ", \"vae_encode_batch\": %d, \"vae_decode_batch\": %d, \"window_frames\": %d, "
                  "\"serial_branches\": %s, \"fell_back\": %s, \"history_runs\": %d",
                  r->vae_encode_batch, r->vae_decode_batch, r->window_frames,
                  r->serial_branches ? "true" : "false", r->fell_back ? "true" : "false", r->history_runs);
}

static void put_memory(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b,
                  ", \"budget_bytes\": %zu, \"host_budget_bytes\": %zu, \"planned_bytes\": %zu, "
                  "\"host_planned_bytes\": %zu, \"peak_resident_bytes\": %zu, \"device_peak_bytes\": %zu, "
                  "\"arena_bytes\": %zu, "
                  "\"weight_bytes\": %zu, \"streamed_bytes\": %zu, \"weights_read_bytes\": %" PRIu64,
                  r->budget_bytes, r->host_budget_bytes, r->planned_bytes, r->host_planned_bytes,
                  r->peak_resident_bytes, r->device_peak_bytes, r->arena_bytes, r->weight_bytes,
                  r->streamed_bytes, r->weights_read_bytes);
}

void cli_made_tell(const ms_run_report *r) {
    ms_buf b;
    for (int i = 0; i < r->n_choices; i++)
        tell_layout(&r->choice[i]);
    ms_buf_init(&b, NULL);
    put_chosen(&b, r);
    put_memory(&b, r);
    ms_buf_printf(&b,
                  ", \"windows_computed\": %" PRId64 ", \"windows_kept\": %" PRId64 ", \"recoveries\": %d",
                  r->windows_computed, r->windows_kept, r->recoveries);
    put_stages(&b, "seconds", r->stage_s);
    put_stages(&b, "planned_seconds", r->planned_s);
    ms_buf_printf(&b, ", \"planned_total_s\": ");
    ms_buf_json_number(&b, r->planned_total_s);
    ms_buf_printf(&b, ", \"planned_window_s\": ");
    ms_buf_json_number(&b, r->planned_window_s);
    if (!b.failed)
        cli_event("made", b.data);
    ms_buf_free(&b);
}

/* ---- taking ---- */

static double seconds(const ms_json *line, const char *name) {
    const double s = ms_json_get_number(line, name, 0);
    return s > 0 && s < MOST_SECONDS ? s : 0;
}

static int64_t number(const ms_json *line, const char *name, int64_t most) {
    const int64_t n = ms_json_get_integer(line, name, 0);
    return n > 0 && n <= most ? n : 0;
}

static size_t bytes(const ms_json *line, const char *name) {
    return (size_t)number(line, name, MOST_BYTES);
}

static void take_stages(const ms_json *stages, double *ret_s) {
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ret_s[i] = seconds(stages, ms_stage_name((ms_stage)i));
}

static void take_layout(const ms_json *line, ms_run_report *r) {
    if (r->n_choices < 0 || r->n_choices >= MS_RUN_MAX_CHOICES)
        return;
    r->choice[r->n_choices++] = (ms_run_choice){.rung = ms_rung_named(ms_json_get_text(line, "rung")),
                                                .vae_batch = (int)number(line, "vae_batch", INT32_MAX),
                                                .peak_bytes = bytes(line, "planned_bytes"),
                                                .whole_bytes = bytes(line, "whole_bytes"),
                                                .window_s = seconds(line, "window_s"),
                                                .slice_frames = number(line, "slice_frames", INT32_MAX),
                                                .slice_pixels = number(line, "slice_pixels", INT64_MAX),
                                                .stripe_rows = number(line, "stripe_rows", INT32_MAX),
                                                .fits = ms_json_get_flag(line, "fits"),
                                                .taken = ms_json_get_flag(line, "taken")};
}

static void take_chosen(const ms_json *line, ms_run_report *r) {
    r->rung = ms_rung_named(ms_json_get_text(line, "rung"));
    snprintf(r->model, sizeof(r->model), "%s", ms_json_get_text(line, "model"));
    snprintf(r->tier, sizeof(r->tier), "%s", ms_json_get_text(line, "tier"));
    snprintf(r->precision, sizeof(r->precision), "%s", ms_json_get_text(line, "precision"));
    snprintf(r->device, sizeof(r->device), "%s", ms_json_get_text(line, "device"));
    snprintf(r->tier_reason, sizeof(r->tier_reason), "%s", ms_json_get_text(line, "tier_reason"));
    snprintf(r->budget_reason, sizeof(r->budget_reason), "%s", ms_json_get_text(line, "budget_reason"));
    r->vae_encode_batch = (int)number(line, "vae_encode_batch", INT32_MAX);
    r->vae_decode_batch = (int)number(line, "vae_decode_batch", INT32_MAX);
    r->window_frames = (int)number(line, "window_frames", INT32_MAX);
    r->serial_branches = ms_json_get_flag(line, "serial_branches");
    r->fell_back = ms_json_get_flag(line, "fell_back");
    r->history_runs = (int)number(line, "history_runs", INT32_MAX);
}

static void take_memory(const ms_json *line, ms_run_report *r) {
    r->budget_bytes = bytes(line, "budget_bytes");
    r->host_budget_bytes = bytes(line, "host_budget_bytes");
    r->planned_bytes = bytes(line, "planned_bytes");
    r->host_planned_bytes = bytes(line, "host_planned_bytes");
    r->peak_resident_bytes = bytes(line, "peak_resident_bytes");
    r->device_peak_bytes = bytes(line, "device_peak_bytes");
    r->arena_bytes = bytes(line, "arena_bytes");
    r->weight_bytes = bytes(line, "weight_bytes");
    r->streamed_bytes = bytes(line, "streamed_bytes");
    r->weights_read_bytes = bytes(line, "weights_read_bytes");
}

bool cli_made_take(const char *event, const ms_json *line, ms_run_report *r) {
    if (strcmp(event, "layout") == 0)
        take_layout(line, r);
    if (strcmp(event, "made") != 0)
        return false;
    take_chosen(line, r);
    take_memory(line, r);
    r->windows_computed = number(line, "windows_computed", MS_RUN_MAX_FRAMES);
    r->windows_kept = number(line, "windows_kept", MS_RUN_MAX_FRAMES);
    r->recoveries = (int)number(line, "recoveries", 1000000);
    take_stages(ms_json_get(line, "seconds"), r->stage_s);
    take_stages(ms_json_get(line, "planned_seconds"), r->planned_s);
    r->planned_total_s = seconds(line, "planned_total_s");
    r->planned_window_s = seconds(line, "planned_window_s");
    return true;
}

/* ---- all of them ---- */

static void copy_choice(const ms_run_report *first, ms_run_report *r) {
    r->rung = first->rung;
    memcpy(r->tier, first->tier, sizeof(r->tier));
    memcpy(r->precision, first->precision, sizeof(r->precision));
    memcpy(r->device, first->device, sizeof(r->device));
    memcpy(r->tier_reason, first->tier_reason, sizeof(r->tier_reason));
    memcpy(r->budget_reason, first->budget_reason, sizeof(r->budget_reason));
    memcpy(r->choice, first->choice, sizeof(r->choice));
    r->n_choices = first->n_choices;
    r->vae_encode_batch = first->vae_encode_batch;
    r->vae_decode_batch = first->vae_decode_batch;
    r->window_frames = first->window_frames;
    r->serial_branches = first->serial_branches;
    r->fell_back = first->fell_back;
    r->history_runs = first->history_runs;
    r->planned_window_s = first->planned_window_s;
    r->budget_bytes = r->host_budget_bytes = r->planned_bytes = r->host_planned_bytes = 0;
    r->device_peak_bytes = 0;
}

void cli_made_add_memory(const cli_made_memory *one, ms_run_report *sum) {
    const bool was_apart = sum->host_budget_bytes > 0, is_apart = one->host_budget_bytes > 0;
    if (is_apart && !was_apart) { /* so far it was the processor's alone */
        sum->host_budget_bytes = sum->budget_bytes;
        sum->host_planned_bytes = sum->planned_bytes;
        sum->budget_bytes = sum->planned_bytes = 0;
    }
    const bool of_host = was_apart && !is_apart;
    *(of_host ? &sum->host_budget_bytes : &sum->budget_bytes) += one->budget_bytes;
    *(of_host ? &sum->host_planned_bytes : &sum->planned_bytes) += one->planned_bytes;
    sum->host_budget_bytes += one->host_budget_bytes;
    sum->host_planned_bytes += one->host_planned_bytes;
}

static void add(const ms_run_report *one, double share, ms_run_report *r) {
    const cli_made_memory memory = {one->budget_bytes, one->planned_bytes, one->host_budget_bytes,
                                    one->host_planned_bytes};
    cli_made_add_memory(&memory, r);
    r->device_peak_bytes += one->device_peak_bytes;
    r->arena_bytes += one->arena_bytes;
    r->weight_bytes += one->weight_bytes;
    r->streamed_bytes += one->streamed_bytes;
    r->weights_read_bytes += one->weights_read_bytes;
    r->windows_computed += one->windows_computed;
    r->windows_kept += one->windows_kept;
    r->recoveries += one->recoveries;
    for (int i = 0; i < MS_STAGE_COUNT; i++) {
        r->stage_s[i] += one->stage_s[i];
        r->planned_s[i] += i == MS_STAGE_LOAD ? one->planned_s[i] : share * one->planned_s[i];
    }
}

/* Of the whole work, by how fast it is predicted to be; alike where none predicts. */
static double share_of(const ms_run_report *one, double speed, int count) {
    if (speed <= 0)
        return 1.0 / count;
    return one->planned_total_s > 0 ? 1 / one->planned_total_s / speed : 0;
}

void cli_made_sum(const ms_run_report *const *made, int count, ms_run_report *r) {
    const ms_run_report *first = NULL;
    double speed = 0; /* jobs a second */
    size_t peak = 0;
    int n = 0;
    for (int i = 0; i < count; i++) {
        if (!made[i])
            continue;
        first = first ? first : made[i];
        n++;
        peak += made[i]->peak_resident_bytes;
        speed += made[i]->planned_total_s > 0 ? 1 / made[i]->planned_total_s : 0;
    }
    if (!first)
        return;
    copy_choice(first, r);
    for (int i = 0; i < count; i++)
        if (made[i])
            add(made[i], share_of(made[i], speed, n), r);
    r->planned_total_s = speed > 0 ? 1 / speed : 0;
    if (peak > r->peak_resident_bytes) /* they work at the same time */
        r->peak_resident_bytes = peak;
}
