/* `memsafe plan`: what a run would take, without running it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "commands.h"
#include "memsafe/plan.h"
#include "progress.h"

typedef struct plan_state {
    ms_plan_params p;
    const char *size, *svg;
    int precision, rung, codec, frames;
    bool json, compare;
} plan_state;

static void plan_defaults(void *state) {
    plan_state *s = state;
    ms_plan_params_init(&s->p);
    s->frames = (int)s->p.frames;
}

static ms_status parse_size(const char *text, int *width, int *height, ms_error *err) {
    char end;
    if (sscanf(text, "%dx%d%c", width, height, &end) != 2)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--size: \"%s\" is not like 1280x720", text);
    return MS_OK;
}

static void row(const char *what, size_t bytes) {
    printf("  %-44s %10.1f MB\n", what, (double)bytes / 1e6);
}

static void print_text(const plan_state *s, const ms_plan_report *r) {
    printf("%s at %d px, %s weights, %dx%d, %" PRId64 " frames\n", s->p.model ? s->p.model : s->p.shape,
           r->resolution, r->precision, s->p.width, s->p.height, s->p.frames);
    printf("Rung %s: %s\n", ms_rung_name(r->rung), ms_rung_text(r->rung));
    printf("  VAE %d picture%s at a time; guidance %s; ", r->vae_batch, r->vae_batch == 1 ? "" : "s",
           r->serial_branches ? "one branch after the other" : "both branches together");
    if (r->slice_frames)
        printf("layers over %" PRId64 " frames or %" PRId64 " pixels at a time\n", r->slice_frames,
               r->slice_pixels);
    else
        printf("layers not sliced\n");
    if (r->stripe_rows)
        printf("  VAE in stripes of %" PRId64 " rows\n", r->stripe_rows);
    printf("Memory at the peak\n");
    row("the program and its libraries", r->process_bytes);
    row("video decoder and encoder (upper bound)", r->codec_bytes);
    row("pictures on their way (upper bound)", r->frame_bytes);
    row("buffers and plans", r->buffer_bytes);
    row("weights that stay", r->resident_bytes);
    row("buffer for weights that pass through", r->stream_bytes);
    row("arena", r->arena_bytes);
    row("peak", r->peak_bytes);
    row("budget", r->budget_bytes);
    row("smallest budget that works", r->least_bytes);
    if (r->streamed_bytes)
        printf("  %.0f of %.0f MB of weights are read again when they are needed\n",
               (double)r->streamed_bytes / 1e6, (double)r->weight_bytes / 1e6);
    printf("Arena\n");
    for (int i = 0; i < r->n_phases; i++)
        printf("  %-16s %8.1f MB, %.3f x the lower bound; %d operations, %.2f TFLOP\n", r->phase[i].name,
               (double)r->phase[i].arena_bytes / 1e6,
               (double)r->phase[i].arena_bytes / (double)r->phase[i].lower_bound_bytes,
               r->phase[i].operations, r->phase[i].tflop);
    printf("Time\n  about %.0f s for a window of %d frames, %.1f min for all %" PRId64 "\n", r->window_s,
           r->window_frames, r->total_s / 60, r->windows);
}

static void print_json(const ms_plan_report *r) {
    printf("{\"rung\": \"%s\", \"tier\": \"%s\", \"precision\": \"%s\", \"resolution\": %d, "
           "\"vae_batch\": %d, \"serial_branches\": %s, \"slice_frames\": %" PRId64
           ", \"slice_pixels\": %" PRId64 ", \"stripe_rows\": %" PRId64 ",\n",
           ms_rung_name(r->rung), r->tier, r->precision, r->resolution, r->vae_batch,
           r->serial_branches ? "true" : "false", r->slice_frames, r->slice_pixels, r->stripe_rows);
    printf(
        " \"bytes\": {\"process\": %zu, \"codec\": %zu, \"frames\": %zu, \"buffers\": %zu, \"weights\": %zu, "
        "\"stream\": %zu, \"arena\": %zu, \"peak\": %zu, \"budget\": %zu, \"least\": %zu, "
        "\"all_weights\": %zu, \"streamed\": %zu},\n \"phases\": [",
        r->process_bytes, r->codec_bytes, r->frame_bytes, r->buffer_bytes, r->resident_bytes, r->stream_bytes,
        r->arena_bytes, r->peak_bytes, r->budget_bytes, r->least_bytes, r->weight_bytes, r->streamed_bytes);
    for (int i = 0; i < r->n_phases; i++)
        printf("%s{\"name\": \"%s\", \"arena_bytes\": %zu, \"lower_bound_bytes\": %zu, \"operations\": %d, "
               "\"tflop\": %.4f}",
               i ? ", " : "", r->phase[i].name, r->phase[i].arena_bytes, r->phase[i].lower_bound_bytes,
               r->phase[i].operations, r->phase[i].tflop);
    printf("],\n \"windows\": %" PRId64 ", \"window_s\": %.3f, \"total_s\": %.3f}\n", r->windows, r->window_s,
           r->total_s);
}

/* One line a budget, one column a length. */
static ms_status print_comparison(const plan_state *s, ms_error *err) {
    static const double budgets_gb[] = {8, 16, 24, 40, 80};
    static const int64_t lengths[] = {50, 200, 500};
    printf("%-8s %-13s %10s %12s   predicted minutes for %d, %d, %d frames\n", "budget", "rung", "peak MB",
           "streamed MB", (int)lengths[0], (int)lengths[1], (int)lengths[2]);
    for (size_t b = 0; b < sizeof(budgets_gb) / sizeof(budgets_gb[0]); b++) {
        ms_plan_report r;
        ms_plan_params p = s->p;
        p.budget_bytes = (size_t)(budgets_gb[b] * 1e9);
        double minutes[3];
        ms_status status = MS_OK;
        for (int i = 0; i < 3 && status == MS_OK; i++) {
            p.frames = lengths[i];
            status = ms_plan_run(&p, &r, NULL, err);
            minutes[i] = r.total_s / 60;
        }
        if (status == MS_BUDGET)
            printf("%5.0f GB needs at least %.0f MB\n", budgets_gb[b], (double)r.least_bytes / 1e6);
        else if (status != MS_OK)
            return status;
        else
            printf("%5.0f GB %-13s %10.0f %12.0f   %8.1f %8.1f %8.1f\n", budgets_gb[b], ms_rung_name(r.rung),
                   (double)r.peak_bytes / 1e6, (double)r.streamed_bytes / 1e6, minutes[0], minutes[1],
                   minutes[2]);
    }
    return MS_OK;
}

static int plan_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    plan_state s = *(const plan_state *)state;
    static const ms_precision precisions[] = {MS_PRECISION_AUTO, MS_PRECISION_FP32, MS_PRECISION_FP16,
                                              MS_PRECISION_BF16};
    ms_plan_report r = {0};
    char *svg = NULL;
    ms_error err;
    ms_error_clear(&err);
    s.p.precision = precisions[s.precision];
    s.p.rung = (ms_rung)s.rung;
    s.p.codec = (ms_output_codec)s.codec;
    s.p.frames = s.frames;
    ms_status status = s.size ? parse_size(s.size, &s.p.width, &s.p.height, &err) : MS_OK;
    if (status == MS_OK && s.compare)
        return (status = print_comparison(&s, &err)) == MS_OK ? 0 : cli_fail(&err);
    if (status == MS_OK)
        status = ms_plan_run(&s.p, &r, s.svg ? &svg : NULL, &err);
    if (status == MS_OK || status == MS_BUDGET) {
        if (s.json)
            print_json(&r);
        else
            print_text(&s, &r);
    }
    if (svg) {
        ms_status written = cli_write_file(s.svg, svg, strlen(svg), status == MS_OK ? &err : NULL);
        status = status == MS_OK ? written : status;
    }
    ms_plan_free_svg(&svg);
    return status == MS_OK ? 0 : cli_fail(&err);
}

#define P(field) offsetof(plan_state, p.field)

static const cli_option plan_options[] = {
    {"model", 'm', CLI_TEXT, P(model), "DIR", "model folder; only its configs are read", 0, 0},
    {"shape", 0, CLI_TEXT, P(shape), "latentsync-1.5|latentsync-1.6|tiny",
     "a published model's shape in place of a folder (default latentsync-1.5)", 0, 0},
    {"size", 0, CLI_TEXT, offsetof(plan_state, size), "WxH", "of the video (default 1280x720)", 0, 0},
    {"frames", 0, CLI_INT, offsetof(plan_state, frames), "N", "of the output (default 250)", 1, 2147483647},
    {"looping", 0, CLI_FLAG, P(turns), NULL, "the speech is longer than the clip", 0, 0},
    {"budget", 'b', CLI_BYTES, P(budget_bytes), "SIZE",
     "memory to plan for, like 2G (default: as `memsafe run`)", 0, 0},
    {"force-rung", 0, CLI_CHOICE, offsetof(plan_state, rung),
     "auto|full|batch|serial|slices|tiles|stream-part|stream-all|single-frame", "as for `memsafe run`", 0, 0},
    {"precision", 0, CLI_CHOICE, offsetof(plan_state, precision), "auto|fp32|fp16|bf16",
     "storage of the weights", 0, 0},
    {"resolution", 0, CLI_INT, P(resolution), "PX", "side of the face (default: the model's)", 64, 2048},
    {"steps", 'n', CLI_INT, P(steps), "N", "denoising steps (default 20)", 1, 999},
    {"guidance", 'g', CLI_NUMBER, P(guidance), "X", "1 and less run one branch (default 1.5)", 0, 100},
    {"deepcache", 0, CLI_FLAG, P(deepcache), NULL, "whole UNet on every third step only", 0, 0},
    {"codec", 'c', CLI_CHOICE, offsetof(plan_state, codec), "h264|hevc|ffv1", "of the output", 0, 0},
    {"threads", 't', CLI_INT, P(threads), "N", "threads; 0 = all", 0, 1024},
    {"json", 'j', CLI_FLAG, offsetof(plan_state, json), NULL, "print JSON", 0, 0},
    {"svg", 0, CLI_TEXT, offsetof(plan_state, svg), "FILE", "draw the memory over a window", 0, 0},
    {"compare", 0, CLI_FLAG, offsetof(plan_state, compare), NULL, "a table of budgets from 8 to 80 GB", 0, 0},
};

const cli_command cli_plan_command = {
    .name = "plan",
    .summary = "Say what a run would take in memory and time, without running it",
    .usage = "[--model DIR | --shape NAME] [OPTIONS]",
    .text = "Every byte is computed as the run itself computes it. The exit code is 3 when the budget is "
            "too small.",
    .options = plan_options,
    .n_options = CLI_COUNT(plan_options),
    .state_bytes = sizeof(plan_state),
    .defaults = plan_defaults,
    .run = plan_run,
};
