/* `memsafe plan`: what a run would take, without running it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/console.h"
#include "options/device_option.h"
#include "files/in_use.h"
#include "files/new_file.h"
#include "options/history_file.h"
#include "results/plan_times.h"
#include "options/model_choice.h"
#include "results/plan_compare.h"
#include "results/plan_html.h"
#include "results/stage_sum.h"
#include "options/profile_options.h"
#include "text/duration.h"
#include "text/json.h"
#include "text/size.h"

typedef struct plan_state {
    ms_plan_params p;
    const char *size, *svg, *html;
    int precision, rung, codec, paste;
    int frames; /* 0 = not said */
    bool demo, json, compare, force;
    cli_profile_options profile;
} plan_state;

static void plan_defaults(void *state) {
    plan_state *s = state;
    ms_plan_params_init(&s->p);
}

static ms_status parse_size(const char *text, int *width, int *height, ms_error *err) {
    char end;
    if (sscanf(text, "%dx%d%c", width, height, &end) != 2)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--size: \"%s\" is not like 1280x720", text);
    return MS_OK;
}

static void row(const char *what, size_t bytes) {
    char size[MS_SIZE_TEXT_BYTES];
    cli_print(cli_is_narrow() ? "  %s: %s\n" : "  %-44s %10s\n", what, ms_size_format(size, bytes));
}

/* What is compared is in one unit, and in the one that --budget takes. The peak is rounded up as
   the smallest budget is: what is said to be enough is never less than what is said to be taken. */
static void mib_row(const char *what, uint64_t mib) {
    cli_print(cli_is_narrow() ? "  %s: %llu MiB\n" : "  %-44s %6llu MiB\n", what, (unsigned long long)mib);
}

static void print_host(const ms_plan_report *r) {
    row("the program and its libraries", r->process_bytes);
    row("video decoder and encoder (upper bound)", r->codec_bytes);
    row("pictures on their way (upper bound)", r->frame_bytes);
    if (r->face_bytes)
        row("networks that find faces", r->face_bytes);
    row("buffers and plans", r->buffer_bytes);
    if (r->cache_bytes)
        row("cache of latents, while there is room", r->cache_bytes);
}

static void print_memory(const ms_plan_report *r, size_t device_bytes) {
    char streamed[MS_SIZE_TEXT_BYTES], weights[MS_SIZE_TEXT_BYTES], more[MS_SIZE_TEXT_BYTES];
    cli_print(r->host_bytes ? "Device memory at the peak\n" : "Memory at the peak\n");
    if (!r->host_bytes)
        print_host(r);
    if (r->device_own_bytes)
        row("the device itself", r->device_own_bytes);
    row("weights that stay", r->resident_bytes);
    row("buffer for weights that pass through", r->stream_bytes);
    row("latents and DeepCache's tensor of a window", r->latent_bytes);
    row("arena", r->arena_bytes);
    if (r->launch_bytes)
        row("captured launches", r->launch_bytes);
    mib_row("peak", ms_size_whole_mib(r->peak_bytes));
    if (r->budget_bytes >> 20)
        mib_row("budget", r->budget_bytes >> 20);
    else
        row("budget", r->budget_bytes);
    if (r->margin_percent)
        cli_print("    which is %s less the %d %% that the %s tier leaves alone; --budget says another\n",
                  device_bytes ? ms_size_format(more, device_bytes) : "what is free now", r->margin_percent,
                  r->tier);
    mib_row("smallest budget that works", ms_size_whole_mib(r->least_bytes));
    if (r->turns_bytes)
        cli_print("  A clip that is looped, be it for the two frames after the speech, takes %s more%s "
                  "(--looping)\n",
                  ms_size_format(more, r->turns_bytes), r->host_bytes ? " of the host" : "");
    if (r->streamed_bytes)
        cli_print("  %s of %s of weights are read again when they are needed\n",
                  ms_size_format(streamed, r->streamed_bytes), ms_size_format(weights, r->weight_bytes));
    if (!r->host_bytes)
        return;
    cli_print("Host memory besides\n");
    print_host(r);
    row("together", r->host_bytes);
}

static void print_time(const plan_state *s, const ms_plan_report *r) {
    if (r->total_s <= 0) {
        cli_print("Time\n  not known: the device is not here\n");
        return;
    }
    char whose[CLI_WHOSE_TIMES_BYTES];
    cli_print("Time (%s; faces and write go on beside the rest)\n", cli_whose_times(r, whose));
    double work = cli_stage_sum(r->stage_s);
    char all[MS_DURATION_TEXT_BYTES], window[MS_DURATION_TEXT_BYTES], frame[MS_DURATION_TEXT_BYTES];
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        cli_print("  %-16s %12s %5.1f %%\n", ms_stage_name((ms_stage)i),
                  ms_duration_format(all, r->stage_s[i]), 100 * r->stage_s[i] / work);
    cli_print("  %-16s %12s; %s for each of %" PRId64 " windows of %d frames, %s a frame\n", "all",
              ms_duration_format(all, r->total_s), ms_duration_format(window, r->window_s), r->windows,
              r->window_frames, ms_duration_format(frame, r->total_s / (double)s->p.frames));
}

static void print_text(const plan_state *s, const ms_plan_report *r) {
    cli_print("%s at %d px, %s weights, %dx%d, %" PRId64 " frames; %s tier\n",
              s->p.model ? s->p.model : s->p.shape, r->resolution, r->precision, s->p.width, s->p.height,
              s->p.frames, r->tier);
    if (r->budget_bytes && r->peak_bytes > r->budget_bytes)
        cli_print("It does not fit; this is the least that it would take:\n");
    cli_print("Rung %s: %s\n", ms_rung_name(r->rung), ms_rung_text(r->rung));
    if (r->resolution < r->wanted_resolution)
        cli_print("  %d px do not fit: planned for %d px (--allow-downscale)\n", r->wanted_resolution,
                  r->resolution);
    cli_print("  VAE encodes %d and decodes %d at a time; guidance %s;", r->vae_encode_batch,
              r->vae_decode_batch,
              r->serial_branches ? "one branch after the other" : "both branches together");
    if (r->slice_frames)
        cli_print(" layers over %" PRId64 " frame%s or %" PRId64 " pixels at a time\n", r->slice_frames,
                  r->slice_frames == 1 ? "" : "s", r->slice_pixels);
    else
        cli_print(" layers not sliced\n");
    if (r->stripe_rows)
        cli_print("  VAE in stripes of %" PRId64 " rows\n", r->stripe_rows);
    if (r->attention_parts > 1)
        cli_print("  attention in %d parts\n", r->attention_parts);
    print_memory(r, s->p.device_bytes);
    char arena[MS_SIZE_TEXT_BYTES];
    cli_print("Arena\n");
    for (int i = 0; i < r->n_phases; i++)
        cli_print(cli_is_narrow() ? "  %s: %s, %.3f x the lower bound; %d operations, %.2f TFLOP\n"
                                  : "  %-16s %8s, %.3f x the lower bound; %d operations, %.2f TFLOP\n",
                  r->phase[i].name, ms_size_format(arena, r->phase[i].arena_bytes),
                  (double)r->phase[i].arena_bytes / (double)r->phase[i].lower_bound_bytes,
                  r->phase[i].operations, r->phase[i].tflop);
    print_time(s, r);
    if (r->history_warning[0])
        cli_print("Note\n  %s\n", r->history_warning);
}

static void print_json(const ms_plan_report *r) {
    printf("{\"rung\": \"%s\", \"tier\": \"%s\", \"precision\": \"%s\", \"resolution\": %d, "
           "\"wanted_resolution\": %d, \"vae_encode_batch\": %d, \"vae_decode_batch\": %d, "
           "\"attention_parts\": %d, \"serial_branches\": %s, \"slice_frames\": %" PRId64
           ", \"slice_pixels\": %" PRId64 ", \"stripe_rows\": %" PRId64 ",\n",
           ms_rung_name(r->rung), r->tier, r->precision, r->resolution, r->wanted_resolution,
           r->vae_encode_batch, r->vae_decode_batch, r->attention_parts,
           r->serial_branches ? "true" : "false", r->slice_frames, r->slice_pixels, r->stripe_rows);
    printf(" \"bytes\": {\"process\": %zu, \"codec\": %zu, \"frames\": %zu, \"faces\": %zu, \"cache\": %zu, "
           "\"buffers\": %zu, \"device_own\": %zu, \"weights\": %zu, "
           "\"stream\": %zu, \"latents\": %zu, \"arena\": %zu, \"launches\": %zu, \"peak\": %zu, \"budget\": "
           "%zu, "
           "\"least\": %zu, \"all_weights\": %zu, \"streamed\": %zu, \"host\": %zu, \"looping\": %zu},\n "
           "\"phases\": [",
           r->process_bytes, r->codec_bytes, r->frame_bytes, r->face_bytes, r->cache_bytes, r->buffer_bytes,
           r->device_own_bytes, r->resident_bytes, r->stream_bytes, r->latent_bytes, r->arena_bytes,
           r->launch_bytes, r->peak_bytes, r->budget_bytes, r->least_bytes, r->weight_bytes,
           r->streamed_bytes, r->host_bytes, r->turns_bytes);
    for (int i = 0; i < r->n_phases; i++)
        printf("%s{\"name\": \"%s\", \"arena_bytes\": %zu, \"lower_bound_bytes\": %zu, \"operations\": %d, "
               "\"tflop\": %.4f}",
               i ? ", " : "", r->phase[i].name, r->phase[i].arena_bytes, r->phase[i].lower_bound_bytes,
               r->phase[i].operations, r->phase[i].tflop);
    printf("],\n \"windows\": %" PRId64 ", \"window_s\": %.3f, \"stage_s\": {", r->windows, r->window_s);
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        printf("%s\"%s\": %.3f", i ? ", " : "", ms_stage_name((ms_stage)i), r->stage_s[i]);
    printf("}, \"total_s\": %.3f, \"history_runs\": %d, \"%s\": ", r->total_s, r->history_runs,
           r->card_measured ? "measured_on" : "estimated_for");
    if (r->card[0])
        printf("\"%s\"}\n", r->card);
    else
        printf("null}\n");
}

static ms_status write_page(const plan_state *s, const ms_plan_report *r, const char *svg, ms_error *err) {
    ms_buf page;
    ms_buf_init(&page, NULL);
    cli_plan_html(&s->p, r, svg, &page);
    ms_status status = page.failed ? ms_fail_alloc(err, NULL, page.length, "the page")
                                   : ms_new_file_save(s->html, page.data, page.length, s->force, err);
    ms_buf_free(&page);
    return status;
}

static ms_status write_drawings(const plan_state *s, const ms_plan_report *r, const char *svg,
                                ms_error *err) {
    if (s->svg)
        MS_TRY(ms_new_file_save(s->svg, svg, strlen(svg), s->force, err));
    return s->html ? write_page(s, r, svg, err) : MS_OK;
}

/* Before the planning, which takes some seconds. */
static ms_status check_drawings(const plan_state *s, ms_error *err) {
    const char *const files[] = {s->svg, s->html};
    const ms_in_use use = {.profile = s->p.profile.file, .history = s->p.history};
    if (ms_same_target(s->svg, s->html))
        return ms_fail(err, MS_INVALID_ARGUMENT, "--svg and --html name the same file %s", s->svg);
    const ms_model_check_params model = {.model = s->p.model};
    for (int i = 0; i < 2; i++)
        if (files[i]) {
            MS_TRY(ms_in_use_spare(&use, files[i], "drawing", err));
            MS_TRY(cli_spare_model(&model, files[i], "drawing", err));
            MS_TRY(ms_new_file_check(files[i], s->force, err));
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
    s.p.paste = (ms_paste)s.paste;
    s.p.codec = (ms_output_codec)s.codec;
    if (s.frames)
        s.p.frames = s.frames;
    s.p.history = cli_history_file();
    s.p.profile = cli_profile_source(&s.profile);
    cli_model_choice choice;
    if (s.demo && cli_choose_model(&s.p.model, true, false, CLI_NEEDS_ALL, &choice, &err) != MS_OK)
        return cli_fail(&err);
    ms_status status = cli_no_shape(s.p.model, &err);
    if (status == MS_OK && s.size)
        status = parse_size(s.size, &s.p.width, &s.p.height, &err);
    if (status == MS_OK)
        status = check_drawings(&s, &err);
    if (status == MS_OK && s.compare && s.p.budget_bytes)
        status = ms_fail(&err, MS_INVALID_ARGUMENT, "--compare has budgets of its own: leave out --budget");
    if (status == MS_OK && s.compare && s.p.device_bytes)
        status = ms_fail(&err, MS_INVALID_ARGUMENT,
                         "--compare has devices of its own, of 8 to 80 GiB: leave out --device-memory");
    if (status == MS_OK && s.compare && s.frames)
        status = ms_fail(&err, MS_INVALID_ARGUMENT, "--compare has lengths of its own: leave out --frames");
    if (status == MS_OK && s.compare)
        return cli_plan_compare(&s.p, s.json, &err) == MS_OK ? 0 : cli_fail(&err);
    if (status == MS_OK)
        status = ms_plan_run(&s.p, &r, s.svg || s.html ? &svg : NULL, &err);
    if (status == MS_OK || status == MS_BUDGET) {
        if (s.json)
            print_json(&r);
        else
            print_text(&s, &r);
    }
    if (svg) {
        ms_status written = write_drawings(&s, &r, svg, status == MS_OK ? &err : NULL);
        status = status == MS_OK ? written : status;
    }
    ms_plan_free_svg(&svg);
    cli_flush_now(); /* the error is the last thing that one sees */
    return status == MS_OK ? 0 : cli_fail(&err);
}

#define P(field) offsetof(plan_state, p.field)

static const cli_option plan_options[] = {
    CLI_GROUP("The run"),
    {"model", "m", CLI_TEXT, P(model), "DIR", "model folder; only its configs are read", 0, 0},
    CLI_DEMO_OPTION(plan_state, demo),
    {"shape", 0, CLI_TEXT, P(shape), "latentsync-1.5|latentsync-1.6|tiny",
     "a published model's shape in place of a folder (default latentsync-1.5)", 0, 0},
    {"size", 0, CLI_TEXT, offsetof(plan_state, size), "WxH", "of the video (default 1280x720)", 0, 0},
    {"frames", 0, CLI_INT, offsetof(plan_state, frames), "N", "of the output (default 250)", 1, 2147483647},
    {"looping", 0, CLI_FLAG, P(turns), NULL, "the output is longer than the clip, which is shown again", 0,
     0},
    {"steps", 0, CLI_INT, P(steps), "N", "denoising steps (default 20)", 1, 999},
    {"guidance", 0, CLI_NUMBER, P(guidance), "X", "1 and less run one branch (default 1.5)", 0, 100},
    {"deepcache", 0, CLI_FLAG, P(deepcache), NULL, "whole UNet on every third step only", 0, 0},
    {"resolution", 0, CLI_INT, P(resolution), "PX", "side of the face (default: the model's)", 64, 2048},
    {"paste", 0, CLI_CHOICE, offsetof(plan_state, paste), "face|mouth", "as for `memsafe run`", 0, 0},
    {"codec", "c", CLI_CHOICE, offsetof(plan_state, codec), "h264|hevc|ffv1", "of the output", 0, 0},
    {"tracked", 0, CLI_FLAG, P(tracked), NULL, "faces come from a track file: no networks find them", 0, 0},
    CLI_GROUP("Memory and speed"),
    {"budget", "b", CLI_BYTES, P(budget_bytes), "SIZE",
     "memory to plan for, like 2G (default: as `memsafe run`)", 0, 0},
    {"host-budget", 0, CLI_BYTES, P(host_budget_bytes), "SIZE", "as for `memsafe run`", 0, 0},
    {"allow-downscale", 0, CLI_FLAG, P(allow_downscale), NULL, "as for `memsafe run`", 0, 0},
    {"precision", 0, CLI_CHOICE, offsetof(plan_state, precision), "auto|fp32|fp16|bf16",
     "storage of the weights", 0, 0},
    {"threads", 0, CLI_INT, P(threads), "N", "threads; 0 = all", 0, 0},
    CLI_PROFILE_OPTIONS(plan_state, profile),
    {"force-rung", 0, CLI_CHOICE, offsetof(plan_state, rung),
     "auto|full|batch|serial|slices|tiles|stream-part|stream-all|single-frame", "as for `memsafe run`", 0, 0},
    {"compare", 0, CLI_FLAG, offsetof(plan_state, compare), NULL,
     "a table of 8 to 80 GiB and 50 to 500 frames", 0, 0},
    CLI_DEVICE_OPTION(plan_state, p.device),
    {"device-memory", 0, CLI_BYTES, P(device_bytes), "SIZE",
     "of a device that is not here, like 80G (--arch, or --device dummy)", 0, 0},
    {"arch", 0, CLI_TEXT, P(arch), "sm_NN", "of a CUDA card that is not here, with --device-memory", 0, 0},
    CLI_GROUP("What is shown"),
    {"json", "j", CLI_FLAG, offsetof(plan_state, json), NULL, "print JSON", 0, 0},
    {"svg", 0, CLI_TEXT, offsetof(plan_state, svg), "FILE", "draw the memory over a window", 0, 0},
    {"html", 0, CLI_TEXT, offsetof(plan_state, html), "FILE", "the drawing and the tables as one page", 0, 0},
    {"force", "y", CLI_FLAG, offsetof(plan_state, force), NULL, "replace existing files of --svg and --html",
     0, 0},
};

const cli_command cli_plan_command = {
    .name = "plan",
    .summary = "Say what a run would take in memory and time, without running it",
    .examples = {{"memsafe plan -m models/latentsync-1.5 --size 1280x720 --frames 250 -b 2G --html plan.html",
                  "would 10 s of 720p fit in 2 GiB, and how long would they take?"},
                 {"memsafe plan --shape latentsync-1.6", "the same of a model that is not there"},
                 {"memsafe plan --device cuda --arch sm_86 --device-memory 8G",
                  "would it fit on an 8 GB card of that architecture?"}},
    .usage = "[-m MODEL | --shape NAME | --demo] [OPTIONS]",
    .text = "Every byte is computed as the run itself computes it, but for what only the files could "
            "tell: there it is the most that it can be. The exit code is 3 when the budget is too "
            "small. " CLI_HISTORY_HELP,
    .options = plan_options,
    .n_options = CLI_COUNT(plan_options),
    .state_bytes = sizeof(plan_state),
    .defaults = plan_defaults,
    .run = plan_run,
};
