/* `memsafe history`: what earlier runs predicted and what came. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/console.h"
#include "options/history_file.h"
#include "memsafe/history.h"
#include "results/stage_sum.h"
#include "text/duration.h"
#include "text/json.h"
#include "text/size.h"

typedef struct history_state {
    bool json, clear, verbose;
    int limit;
} history_state;

static void history_defaults(void *state) {
    ((history_state *)state)->limit = 20;
}

typedef struct listing {
    ms_buf out;
    int count;
    char machine[512]; /* of the run before: told again where it changes */
} listing;

/* ---- for people ---- */

#define TABLE_COLUMNS 80

static const char *when_text(const ms_past_run *r, char text[32]) {
    time_t t = (time_t)r->time_s;
    struct tm tm;
    snprintf(text, 32, "?");
    if (localtime_r(&t, &tm))
        strftime(text, 32, "%Y-%m-%d %H:%M", &tm);
    return text;
}

static void text_row(ms_buf *out, const char *label, const char *predicted_text, const char *measured_text,
                     double predicted, double measured) {
    const bool narrow = cli_is_narrow();
    ms_buf_printf(out, narrow ? "    %s: predicted %s, measured %s" : "    %-10s %12s %12s", label,
                  predicted_text, measured_text);
    if (predicted > 0)
        ms_buf_printf(out, narrow ? ", ratio %.2f" : " %8.2f", measured / predicted);
    ms_buf_printf(out, "\n");
}

static void size_row(ms_buf *out, const char *label, size_t predicted, size_t measured) {
    char a[MS_SIZE_TEXT_BYTES], b[MS_SIZE_TEXT_BYTES];
    text_row(out, label, ms_size_format(a, predicted), ms_size_format(b, measured), (double)predicted,
             (double)measured);
}

static void time_row(ms_buf *out, const char *label, double predicted, double measured) {
    char a[MS_DURATION_TEXT_BYTES], b[MS_DURATION_TEXT_BYTES];
    text_row(out, label, ms_duration_format(a, predicted), ms_duration_format(b, measured), predicted,
             measured);
}

/* Where it ran, with what model: for many runs alike. */
static void machine_line(listing *l, const ms_past_run *r) {
    char machine[sizeof(l->machine)];
    snprintf(machine, sizeof(machine), "%s, %d thread%s; %s", r->device, r->threads,
             r->threads == 1 ? "" : "s", r->model);
    if (strcmp(machine, l->machine) == 0)
        return;
    ms_buf_printf(&l->out, "%s%s\n", l->count ? "\n" : "", machine);
    if (!cli_is_narrower(TABLE_COLUMNS))
        ms_buf_printf(&l->out, "  %-16s %7s %9s %10s %10s %10s  %s\n", "", "frames", "of", "predicted",
                      "took", "peak", "rung");
    snprintf(l->machine, sizeof(l->machine), "%s", machine);
}

static ms_status short_run(void *arg, const ms_past_run *r) {
    listing *l = arg;
    char when[32], frames[24], size[24], predicted[MS_DURATION_TEXT_BYTES], took[MS_DURATION_TEXT_BYTES],
        peak[MS_SIZE_TEXT_BYTES];
    machine_line(l, r);
    snprintf(frames, sizeof(frames), "%" PRId64, r->frames);
    snprintf(size, sizeof(size), "%dx%d", r->width, r->height);
    ms_buf_printf(
        &l->out,
        cli_is_narrower(TABLE_COLUMNS) ? "  %s: %s frames of %s, predicted %s, took %s, peak %s, rung %s\n"
                                       : "  %-16s %7s %9s %10s %10s %10s  %s\n",
        when_text(r, when), frames, size, ms_duration_format(predicted, cli_stage_sum(r->predicted_s)),
        ms_duration_format(took, cli_stage_sum(r->measured_s)), ms_size_format(peak, r->peak_bytes),
        ms_rung_name(r->rung));
    l->count++;
    return MS_OK;
}

static ms_status text_run(void *arg, const ms_past_run *r) {
    listing *l = arg;
    char when[32], budget[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(&l->out, "%s%s  %s, %d thread%s\n  %s\n", l->count ? "\n" : "", when_text(r, when),
                  r->device, r->threads, r->threads == 1 ? "" : "s", r->model);
    ms_buf_printf(&l->out, "  %" PRId64 " frames of %dx%d to %s, faces %s; %d px, %s, %d step%s\n", r->frames,
                  r->width, r->height, r->codec, r->tracked ? "from a track" : "found", r->resolution,
                  r->precision, r->steps, r->steps == 1 ? "" : "s");
    ms_buf_printf(&l->out, "  rung %s (%s), budget %s\n", ms_rung_name(r->rung), r->layout,
                  ms_size_format(budget, r->budget_bytes));
    if (r->changes)
        ms_buf_printf(&l->out, "  the layout changed %d time%s under way: its times correct nothing\n",
                      r->changes, r->changes == 1 ? "" : "s");
    if (!cli_is_narrow())
        ms_buf_printf(&l->out, "    %-10s %12s %12s %8s\n", "", "predicted", "measured", "ratio");
    size_row(&l->out, "peak", r->planned_bytes, r->peak_bytes);
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        time_row(&l->out, ms_stage_name((ms_stage)i), r->predicted_s[i], r->measured_s[i]);
    time_row(&l->out, "sum", cli_stage_sum(r->predicted_s), cli_stage_sum(r->measured_s));
    l->count++;
    return MS_OK;
}

/* ---- for programs ---- */

static void json_text(ms_buf *out, const char *key, const char *text) {
    ms_buf_printf(out, "\"%s\": ", key);
    ms_buf_json_string(out, text);
    ms_buf_printf(out, ", ");
}

static void json_seconds(ms_buf *out, const char *key, const double seconds[MS_STAGE_ROOM]) {
    ms_buf_printf(out, ", \"%s\": {", key);
    for (int i = 0; i < MS_STAGE_COUNT; i++) {
        ms_buf_printf(out, "%s\"%s\": ", i ? ", " : "", ms_stage_name((ms_stage)i));
        ms_buf_json_number(out, seconds[i]);
    }
    ms_buf_printf(out, "}");
}

static ms_status json_run(void *arg, const ms_past_run *r) {
    listing *l = arg;
    ms_buf *out = &l->out;
    ms_buf_printf(out, "%s{\"time\": %" PRId64 ", ", l->count ? ",\n " : "", r->time_s);
    json_text(out, "device", r->device);
    json_text(out, "model", r->model);
    json_text(out, "precision", r->precision);
    json_text(out, "codec", r->codec);
    json_text(out, "layout", r->layout);
    ms_buf_printf(out,
                  "\"rung\": \"%s\", \"threads\": %d, \"resolution\": %d, \"tracked\": %s, \"width\": %d, "
                  "\"height\": %d, \"steps\": %d, \"frames\": %" PRId64
                  ", \"layout_changes\": %d, \"budget_bytes\": %zu, \"planned_bytes\": %zu, "
                  "\"peak_resident_bytes\": %zu",
                  ms_rung_name(r->rung), r->threads, r->resolution, r->tracked ? "true" : "false", r->width,
                  r->height, r->steps, r->frames, r->changes, r->budget_bytes, r->planned_bytes,
                  r->peak_bytes);
    json_seconds(out, "computed_s", r->computed_s);
    json_seconds(out, "predicted_s", r->predicted_s);
    json_seconds(out, "measured_s", r->measured_s);
    ms_buf_printf(out, "}");
    l->count++;
    return MS_OK;
}

static ms_status list(const char *path, const history_state *s, listing *l,
                      char warning[MS_HISTORY_WARNING_BYTES], ms_error *err) {
    if (s->json)
        ms_buf_printf(&l->out, "[");
    MS_TRY(ms_history_read(path, s->limit,
                           s->json      ? json_run
                           : s->verbose ? text_run
                                        : short_run,
                           l, warning, err));
    if (s->json)
        ms_buf_printf(&l->out, "]\n");
    else if (l->count == 0)
        ms_buf_printf(&l->out, "No run is on record.\n");
    return l->out.failed ? ms_fail_alloc(err, NULL, l->out.length, "the list") : MS_OK;
}

static int history_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const history_state *s = state;
    const char *path = cli_history_file();
    char warning[MS_HISTORY_WARNING_BYTES] = "";
    listing l = {.count = 0};
    ms_error err;
    ms_error_clear(&err);
    if (!path) {
        ms_fail(&err, MS_UNSUPPORTED, "no history is kept: MEMSAFE_HISTORY=off");
        return cli_fail(&err);
    }
    ms_buf_init(&l.out, NULL);
    ms_status status = s->clear ? ms_history_forget(path, warning, &err) : list(path, s, &l, warning, &err);
    if (warning[0])
        cli_warn("history", "%s", warning);
    if (status == MS_OK && l.out.data)
        cli_print_all(l.out.data, s->json);
    ms_buf_free(&l.out);
    return status == MS_OK ? 0 : cli_fail(&err);
}

static const cli_option history_options[] = {
    CLI_GROUP("Options"),
    {"verbose", "v", CLI_FLAG, offsetof(history_state, verbose), NULL,
     "each stage of each run: predicted, measured and their ratio", 0, 0},
    {"json", "j", CLI_FLAG, offsetof(history_state, json), NULL, "one JSON array", 0, 0},
    {"limit", 0, CLI_INT, offsetof(history_state, limit), "N", "runs to show, 0 = all (default 20)", 0,
     1000000},
    {"clear", 0, CLI_FLAG, offsetof(history_state, clear), NULL,
     "forget all runs; what the kernels reach stays", 0, 0},
};

const cli_command cli_history_command = {
    .name = "history",
    .summary = "Show what earlier runs predicted and what they then took",
    .examples = {{"memsafe history --limit 5", "the last five runs"}},
    .usage = "[-v] [--json] [--limit N] [--clear]",
    .text = "Newest first. Later predictions are corrected by it. Times are sums of stages; faces and "
            "write run beside\n"
            "the rest: a run takes less. " CLI_HISTORY_HELP,
    .options = history_options,
    .n_options = CLI_COUNT(history_options),
    .state_bytes = sizeof(history_state),
    .defaults = history_defaults,
    .run = history_run,
};
