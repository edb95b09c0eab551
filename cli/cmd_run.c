/* `memsafe run`: the whole job. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/new_file.h"
#include "commands.h"
#include "demo_model.h"
#include "fps.h"
#include "history_file.h"
#include "memsafe/run.h"
#include "models/model_files.h"
#include "notes.h"
#include "profile_options.h"
#include "progress.h"

typedef struct run_state {
    ms_run_params p;
    const char *fps, *report;
    int precision, loop, codec, audio_out, progress, rung, latents;
    int frames, resolution, segment;
    bool replace_report;
    cli_profile_options profile;
} run_state;

/* What the library's callbacks get. */
typedef struct run_view {
    cli_progress progress;
    bool quiet;
    const char *demo_model; /* "" when a model was named */
} run_view;

static void run_defaults(void *state) {
    ms_run_params_init(&((run_state *)state)->p);
}

static void report_latents(const ms_run_report *r) {
    const ms_run_latents_report *l = &r->latents;
    if (l->hits + l->misses == 0)
        return;
    printf("  latent cache (%s): %" PRId64 " of %" PRId64 " faces found; %.1f MB kept in %.1f MB (%.2f : 1)",
           l->state, l->hits, l->hits + l->misses, (double)l->raw_bytes / 1e6, (double)l->stored_bytes / 1e6,
           l->stored_bytes ? (double)l->raw_bytes / (double)l->stored_bytes : 1);
    if (l->lossy)
        printf(", lossy: PSNR %.1f dB", l->psnr_db);
    printf("\n");
}

static void show_progress(void *arg, const ms_run_progress *progress) {
    run_view *view = arg;
    cli_progress_show(&view->progress, progress);
}

/* The first lines: what was decided before any work. */
static void show_plan(void *arg, const ms_run_report *r) {
    const run_view *view = arg;
    if (view->quiet)
        return;
    if (view->demo_model[0])
        fprintf(stderr,
                "memsafe: no --model: using the demo model, which knows drawn faces only (%s)\n"
                "memsafe: scripts/fetch-models gets the official weights for real ones\n",
                view->demo_model);
    printf("%s tier, %s weights, %d px; rung %s: at most %.0f MB of a budget of %.0f MB\n", r->tier,
           r->precision, r->resolution, ms_rung_name(r->rung), (double)r->planned_bytes / 1e6,
           (double)r->budget_bytes / 1e6);
    if (r->resolution < r->wanted_resolution)
        printf("%d px do not fit: the face is redrawn at %d px (--allow-downscale)\n", r->wanted_resolution,
               r->resolution);
    fflush(stdout);
    cli_show_notes(r);
}

static void report_text(const ms_run_report *r, const char *output) {
    if (r->already_finished) {
        printf("%s: %" PRId64 " frames, finished by an earlier run: nothing to do\n", output, r->frames);
        return;
    }
    printf("%s: %" PRId64 " frames of %dx%d at %g fps in %.1f s (%.2f s a frame)\n", output, r->frames,
           r->width, r->height, r->fps, r->seconds, r->seconds / (double)r->frames);
    printf("  %s tier, %s weights, rung %s (%s); peak %.0f MB of a budget of %.0f MB\n", r->tier,
           r->precision, ms_rung_name(r->rung), ms_rung_text(r->rung), (double)r->peak_resident_bytes / 1e6,
           (double)r->budget_bytes / 1e6);
    if (r->resolution < r->wanted_resolution)
        printf("  redrawn at %d px in place of %d, which did not fit\n", r->resolution, r->wanted_resolution);
    for (int i = 0; i < r->n_changes; i++)
        printf("  frame %" PRId64 ": memory pressure %s (%s), from here on rung %s\n", r->change[i].frame,
               r->change[i].level, r->change[i].reason, ms_rung_name(r->change[i].rung));
    if (r->recoveries)
        printf("  memory ran out %d time%s and was made do with\n", r->recoveries,
               r->recoveries == 1 ? "" : "s");
    if (r->frames_resumed)
        printf("  %" PRId64 " of them were finished by an earlier run\n", r->frames_resumed);
    if (r->history_warning[0])
        printf("  %s\n", r->history_warning);
    report_latents(r);
    if (r->frames_interpolated)
        printf("  %" PRId64 " frames: face bridged between neighbours\n", r->frames_interpolated);
    if (r->frames_without_face)
        printf("  %" PRId64 " frames without a usable face passed through unchanged\n",
               r->frames_without_face);
    if (r->source_frames_lost)
        printf("  the input is damaged: %" PRId64
               " of its frames could not be decoded or are not there; %" PRId64 " were used\n",
               r->source_frames_lost, r->video_frames);
}

static void report_latents_json(ms_buf *b, const ms_run_latents_report *l) {
    ms_buf_printf(b,
                  "  \"latent_cache\": {\"state\": \"%s\", \"lossy\": %s, \"hits\": %" PRId64
                  ", \"misses\": %" PRId64 ", \"blocks\": %" PRId64 ", \"dropped\": %" PRId64
                  ", \"raw_bytes\": %" PRIu64 ", \"stored_bytes\": %" PRIu64
                  ", \"capacity_bytes\": %zu, \"psnr_db\": ",
                  l->state, l->lossy ? "true" : "false", l->hits, l->misses, l->blocks, l->dropped,
                  l->raw_bytes, l->stored_bytes, l->capacity_bytes);
    ms_buf_json_number(b, l->psnr_db);
    ms_buf_printf(b, ", \"seconds\": %.4f},\n", l->seconds);
}

static void report_changes(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b, "  \"pressure_changes\": [");
    for (int i = 0; i < r->n_changes; i++) {
        const ms_run_change *c = &r->change[i];
        ms_buf_printf(b, "%s{\"frame\": %" PRId64 ", \"level\": \"%s\", \"rung\": \"%s\", \"reason\": ",
                      i ? ", " : "", c->frame, c->level, ms_rung_name(c->rung));
        ms_buf_json_string(b, c->reason);
        ms_buf_printf(b, "}");
    }
    ms_buf_printf(b, "],\n");
}

static void report_times(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b, "  \"seconds\": {\"total\": %.3f", r->seconds);
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ms_buf_printf(b, ", \"%s\": %.3f", ms_stage_name((ms_stage)i), r->stage_s[i]);
    ms_buf_printf(b, "},\n  \"planned_seconds\": {\"total\": %.3f", r->planned_total_s);
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ms_buf_printf(b, ", \"%s\": %.3f", ms_stage_name((ms_stage)i), r->planned_s[i]);
    ms_buf_printf(b, "},\n  \"history_warning\": ");
    ms_buf_json_string(b, r->history_warning);
    ms_buf_printf(b, "\n}\n");
}

static void report_memory(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b, "  \"tier_reason\": ");
    ms_buf_json_string(b, r->tier_reason);
    ms_buf_printf(b, ", \"budget_reason\": ");
    ms_buf_json_string(b, r->budget_reason);
    ms_buf_printf(b,
                  ",\n  \"vae_batch\": %d, \"window_frames\": %d, \"serial_branches\": %s,\n  \"layouts\": [",
                  r->vae_decode_batch, r->window_frames, r->serial_branches ? "true" : "false");
    for (int i = 0; i < r->n_choices; i++)
        ms_buf_printf(b,
                      "%s{\"rung\": \"%s\", \"vae_batch\": %d, \"slice_frames\": %" PRId64
                      ", \"slice_pixels\": %" PRId64 ", \"stripe_rows\": %" PRId64
                      ", \"planned_bytes\": %zu, \"window_s\": %.4f, \"fits\": %s, \"taken\": %s}",
                      i ? ", " : "", ms_rung_name(r->choice[i].rung), r->choice[i].vae_batch,
                      r->choice[i].slice_frames, r->choice[i].slice_pixels, r->choice[i].stripe_rows,
                      r->choice[i].peak_bytes, r->choice[i].window_s, r->choice[i].fits ? "true" : "false",
                      r->choice[i].taken ? "true" : "false");
    ms_buf_printf(b, "],\n");
}

static bool is_page(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (strcasecmp(dot, ".html") == 0 || strcasecmp(dot, ".htm") == 0);
}

static ms_status write_page(const char *path, const run_state *s, const ms_run_report *r, ms_error *err) {
    char *html = NULL;
    MS_TRY(ms_run_report_html(&s->p, r, &html, err));
    ms_status status = ms_new_file_save(path, html, strlen(html), s->replace_report, err);
    ms_free(html);
    return status;
}

static ms_status write_report(const char *path, const run_state *s, const ms_run_report *r, ms_error *err) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\n  \"video\": ");
    ms_buf_json_string(&b, s->p.video);
    ms_buf_printf(&b, ",\n  \"audio\": ");
    ms_buf_json_string(&b, s->p.audio);
    ms_buf_printf(&b, ",\n  \"output\": ");
    ms_buf_json_string(&b, s->p.output);
    ms_buf_printf(&b,
                  ",\n  \"seed\": %" PRIu64 ", \"steps\": %d, \"guidance\": %g, \"deepcache\": %s,\n"
                  "  \"resolution\": %d, \"wanted_resolution\": %d, \"vae_encode_batch\": %d, "
                  "\"vae_decode_batch\": %d,\n"
                  "  \"tier\": \"%s\", \"precision\": \"%s\",\n"
                  "  \"width\": %d, \"height\": %d, \"fps\": %g,\n"
                  "  \"frames\": %" PRId64 ", \"frames_without_face\": %" PRId64
                  ", \"frames_interpolated\": %" PRId64 ", \"windows\": %" PRId64 ",\n"
                  "  \"frames_resumed\": %" PRId64 ", \"video_frames\": %" PRId64
                  ", \"source_frames_lost\": %" PRId64 ",\n",
                  s->p.seed, s->p.steps, s->p.guidance, s->p.deepcache ? "true" : "false", r->resolution,
                  r->wanted_resolution, r->vae_encode_batch, r->vae_decode_batch, r->tier, r->precision,
                  r->width, r->height, r->fps, r->frames, r->frames_without_face, r->frames_interpolated,
                  r->windows, r->frames_resumed, r->video_frames, r->source_frames_lost);
    ms_buf_printf(&b, "  ");
    cli_notes_json(&b, r);
    ms_buf_printf(&b, ",\n");
    report_changes(&b, r);
    ms_buf_printf(&b, "  \"recoveries\": %d, \"fell_back\": %s,\n", r->recoveries,
                  r->fell_back ? "true" : "false");
    report_memory(&b, r);
    report_latents_json(&b, &r->latents);
    ms_buf_printf(&b,
                  "  \"rung\": \"%s\", \"budget_bytes\": %zu, \"planned_bytes\": %zu, "
                  "\"peak_resident_bytes\": %zu,\n"
                  "  \"weight_bytes\": %zu, \"streamed_bytes\": %zu, \"arena_bytes\": %zu, "
                  "\"planned_window_s\": %.3f,\n",
                  ms_rung_name(r->rung), r->budget_bytes, r->planned_bytes, r->peak_resident_bytes,
                  r->weight_bytes, r->streamed_bytes, r->arena_bytes, r->planned_window_s);
    report_times(&b, r);
    ms_status status = b.failed ? ms_fail_alloc(err, NULL, b.length, "the report")
                                : ms_new_file_save(path, b.data, b.length, s->replace_report, err);
    ms_buf_free(&b);
    return status;
}

/* Without a model, or all of its parts by name, the one that comes with the program. */
static ms_status default_model(run_state *s, char *path, size_t bytes, ms_error *err) {
    path[0] = 0;
    if (s->p.model || (s->p.config && s->p.unet && s->p.vae && s->p.whisper))
        return MS_OK;
    MS_TRY(cli_demo_model(path, bytes, err));
    s->p.model = path;
    return MS_OK;
}

/* Before the run, which may take hours: a report that cannot be written, or that would replace what the run reads or
   writes. */
static ms_status check_report(run_state *s, ms_error *err) {
    const ms_run_params *p = &s->p;
    const char *const files[] = {p->video,  p->audio, p->track, p->output,
                                 p->config, p->unet,  p->vae,   p->whisper};
    const ms_model_names model = {p->model, p->config, p->unet, p->vae, p->whisper, p->faces};
    if (!s->report)
        return MS_OK;
    if (p->output && strcmp(s->report, p->output) == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the report and the output are the same file %s", s->report);
    MS_TRY(ms_new_file_spares(s->report, "report", files, CLI_COUNT(files), err));
    MS_TRY(ms_model_files_spare(&model, s->report, "report", err));
    /* A command with --resume may be repeated after it has finished; the report of the run that did the work stays. */
    s->replace_report = p->force || (p->resume && p->output && access(p->output, F_OK) == 0);
    return ms_new_file_check(s->report, s->replace_report, err);
}

static int run_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    run_state s = *(const run_state *)state;
    char demo_model[4096];
    ms_run_report report;
    ms_error err;
    ms_error_clear(&err);
    if (default_model(&s, demo_model, sizeof(demo_model), &err) != MS_OK)
        return cli_fail(&err);
    static const ms_precision precisions[] = {MS_PRECISION_AUTO, MS_PRECISION_FP32, MS_PRECISION_FP16,
                                              MS_PRECISION_BF16};
    s.p.precision = precisions[s.precision];
    s.p.loop = (ms_loop_mode)s.loop;
    s.p.codec = (ms_output_codec)s.codec;
    s.p.audio_output = (ms_audio_output)s.audio_out;
    s.p.frames = s.frames;
    s.p.segment_frames = s.segment;
    s.p.rung = (ms_rung)s.rung;
    s.p.latent_cache = (ms_latent_cache_mode)s.latents;
    s.p.resolution = s.resolution;
    s.p.history = cli_history_file();
    if (s.fps && cli_parse_fps(s.fps, &s.p.fps_num, &s.p.fps_den, &err) != MS_OK)
        return cli_fail(&err);
    if (check_report(&s, &err) != MS_OK)
        return cli_fail(&err);
    run_view view = {.progress = cli_progress_begin((cli_progress_mode)s.progress),
                     .quiet = s.progress == CLI_PROGRESS_JSON,
                     .demo_model = demo_model};
    s.p.profile = cli_profile_source(&s.profile);
    s.p.progress = show_progress;
    s.p.planned = show_plan;
    s.p.arg = &view;
    s.p.cancelled = cli_interrupted;
    cli_catch_signals();
    ms_status status = ms_run(&s.p, &report, &err);
    cli_progress_end(&view.progress);
    if (status == MS_OK && s.report && !report.already_finished)
        status = (is_page(s.report) ? write_page : write_report)(s.report, &s, &report, &err);
    if (status != MS_OK)
        return cli_fail(&err);
    if (s.report && report.already_finished && access(s.report, F_OK) != 0)
        fprintf(stderr, "memsafe: no report is written to %s: an earlier run did the work\n", s.report);
    if (s.progress != CLI_PROGRESS_JSON)
        report_text(&report, s.p.output);
    return 0;
}

#define P(field) offsetof(run_state, p.field)

static const cli_option run_options[] = {
    {"video", 'v', CLI_TEXT, P(video), "FILE", "talking-head video", 0, 0},
    {"audio", 'a', CLI_TEXT, P(audio), "FILE", "speech: any file with sound", 0, 0},
    {"out", 'o', CLI_TEXT, P(output), "FILE", "video to write; the extension names the container", 0, 0},
    {"model", 'm', CLI_TEXT, P(model), "DIR",
     "model folder like the official checkpoints/ (default: the demo model)", 0, 0},
    {"config", 0, CLI_TEXT, P(config), "FILE", "UNet config in place of the folder's unet.yaml", 0, 0},
    {"unet", 0, CLI_TEXT, P(unet), "FILE", "UNet checkpoint in place of the folder's", 0, 0},
    {"vae", 0, CLI_TEXT, P(vae), "PATH", "VAE folder or weights file in place of the folder's", 0, 0},
    {"whisper", 0, CLI_TEXT, P(whisper), "FILE", "Whisper checkpoint in place of the folder's", 0, 0},
    {"faces", 0, CLI_TEXT, P(faces), "DIR", "folder of the face nets in place of the folder's", 0, 0},
    {"seed", 's', CLI_U64, P(seed), "N", "64-bit seed (default 1247)", 0, 0},
    {"steps", 'n', CLI_INT, P(steps), "N", "denoising steps (default 20)", 1, 999},
    {"guidance", 'g', CLI_NUMBER, P(guidance), "X", "guidance scale (default 1.5); 1 and less run one branch",
     0, 100},
    {"deepcache", 0, CLI_FLAG, P(deepcache), NULL,
     "whole UNet on every third step only: about twice as fast, a little softer", 0, 0},
    {"resolution", 0, CLI_INT, offsetof(run_state, resolution), "PX",
     "side of the face (default: the model's)", 64, 2048},
    {"precision", 0, CLI_CHOICE, offsetof(run_state, precision), "auto|fp32|fp16|bf16",
     "storage of the weights; auto follows the machine's tier", 0, 0},
    {"threads", 't', CLI_INT, P(threads), "N", "threads; 0 = all. The result does not depend on it", 0, 1024},
    {"budget", 'b', CLI_BYTES, P(budget_bytes), "SIZE",
     "memory that the process may come to hold, like 2G (default: what is free less a margin)", 0, 0},
    {"host-budget", 0, CLI_BYTES, P(host_budget_bytes), "SIZE",
     "the same of the host; on the CPU, where the device's memory is\nthe host's, the lesser of the two "
     "holds",
     0, 0},
    {"allow-downscale", 0, CLI_FLAG, P(allow_downscale), NULL,
     "when nothing fits, redraw the face at the largest lower resolution\nthat does (a multiple of 64, 128 "
     "at "
     "least) and say so",
     0, 0},
    CLI_PROFILE_OPTIONS(run_state, profile),
    {"force-rung", 0, CLI_CHOICE, offsetof(run_state, rung),
     "auto|full|batch|serial|slices|tiles|stream-part|stream-all|single-frame",
     "how far to cut the work up (see docs/memory.md); the result does not depend on it", 0, 0},
    {"pressure-trace", 0, CLI_TEXT, P(pressure_trace), "FILE",
     "scripted memory pressure in place of the system's (docs/pressure.md)", 0, 0},
    {"latent-cache", 0, CLI_CHOICE, offsetof(run_state, latents), "exact|off|lossy",
     "keep what the encoder made of a face for when it comes again (docs/latent_cache.md)", 0, 0},
    {"latent-cache-dir", 0, CLI_TEXT, P(latent_cache_dir), "DIR",
     "keep it in a folder, for later runs over the same video", 0, 0},
    {"latent-cache-size", 0, CLI_BYTES, P(latent_cache_bytes), "SIZE",
     "most that the folder may hold, like 500M (default 2G)", 0, 0},
    {"latent-rank", 0, CLI_INT, P(latent_rank), "PERCENT",
     "rank of the SVD that predicts latents; 100 = no SVD (default: the tier's)", 1, 100},
    {"track", 0, CLI_TEXT, P(track), "FILE", "read faces from JSON lines (memsafe detect writes them)", 0, 0},
    {"face", 0, CLI_INT, P(face), "N", "follow the N-th face to appear, from 0 (default: the largest)", 0,
     1000},
    {"max-gap", 0, CLI_INT, P(max_gap), "N", "frames without a face that are bridged (default 12)", 0, 1000},
    {"allow-truncated", 0, CLI_FLAG, P(allow_truncated), NULL,
     "take a video or audio file that is cut off as far as it goes", 0, 0},
    {"fps", 'r', CLI_TEXT, offsetof(run_state, fps), "RATE",
     "frames a second: a number, 30000/1001, or source (default 25)", 0, 0},
    {"loop", 0, CLI_CHOICE, offsetof(run_state, loop), "pingpong|repeat|hold|none",
     "what to show when the audio is longer than the video", 0, 0},
    {"frames", 0, CLI_INT, offsetof(run_state, frames), "N", "stop after so many output frames; 0 = all", 0,
     2147483647},
    {"codec", 'c', CLI_CHOICE, offsetof(run_state, codec), "h264|hevc|ffv1",
     "ffv1 is lossless: the exact RGB frames", 0, 0},
    {"crf", 'q', CLI_INT, P(crf), "N", "quality of h264 and hevc, 0 to 51, smaller is better (default 18)", 0,
     51},
    {"audio-out", 0, CLI_CHOICE, offsetof(run_state, audio_out), "original|speech|none",
     "sound of the output: the given track, or the 16 kHz mono that the model heard", 0, 0},
    {"progress", 0, CLI_CHOICE, offsetof(run_state, progress), "auto|bar|json|none",
     "auto: a bar on a terminal, else nothing", 0, 0},
    {"report", 0, CLI_TEXT, offsetof(run_state, report), "FILE",
     "write what was chosen and why, memory over time and where the time went: a page for .html, else JSON",
     0, 0},
    {"resume", 0, CLI_FLAG, P(resume), NULL,
     "go on with a run that was interrupted; the file comes out as from one run.\nNothing to do when it is "
     "finished (docs/streaming.md)",
     0, 0},
    {"segment", 0, CLI_INT, offsetof(run_state, segment), "N",
     "output frames that are encoded together, and at most lost by a kill (default 64)", 1, 100000},
    {"force", 'f', CLI_FLAG, P(force), NULL,
     "replace an existing output and report, and an unfinished run's folder", 0, 0},
};

const cli_command cli_run_command = {
    .name = "run",
    .summary = "Lip-sync a video to speech",
    .usage = "--video FILE --audio FILE -o FILE [--model DIR] [OPTIONS]",
    .text = "Frames without a usable face pass through unchanged. The output appears under its name only "
            "when it is whole.",
    .options = run_options,
    .n_options = CLI_COUNT(run_options),
    .state_bytes = sizeof(run_state),
    .defaults = run_defaults,
    .run = run_run,
};
