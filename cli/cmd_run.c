/* `memsafe run`: the whole job. Its options are in run_options.c. */
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
#include "memsafe/run.h"
#include "models/model_files.h"
#include "notes.h"
#include "progress.h"
#include "run_options.h"

/* What the library's callbacks get. */
typedef struct run_view {
    cli_progress progress;
    bool quiet;
    const char *demo_model; /* "" when a model was named */
} run_view;

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
    if (r->frames_kept)
        printf("  %" PRId64 " frames outside the range passed through unchanged\n", r->frames_kept);
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

static void report_range(ms_buf *b, const cli_run_state *s, const ms_run_report *r) {
    ms_buf_printf(b,
                  "  \"range\": {\"start_s\": %.6f, \"duration_s\": %.6f, \"rest\": \"%s\", "
                  "\"audio_start_s\": %.6f, \"first_frame\": %" PRId64 ", \"frames_kept\": %" PRId64 "},\n",
                  (double)s->p.start_us / 1e6, (double)s->p.duration_us / 1e6,
                  s->p.rest == MS_REST_KEEP ? "keep" : "cut", (double)s->p.audio_start_us / 1e6,
                  r->range_first, r->frames_kept);
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

static ms_status write_page(const char *path, const cli_run_state *s, const ms_run_report *r, ms_error *err) {
    char *html = NULL;
    MS_TRY(ms_run_report_html(&s->p, r, &html, err));
    ms_status status = ms_new_file_save(path, html, strlen(html), s->replace_report, err);
    ms_free(html);
    return status;
}

static ms_status write_report(const char *path, const cli_run_state *s, const ms_run_report *r,
                              ms_error *err) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\n  \"video\": ");
    ms_buf_json_string(&b, s->p.video);
    ms_buf_printf(&b, ",\n  \"audio\": ");
    ms_buf_json_string(&b, s->p.audio);
    ms_buf_printf(&b, ",\n  \"output\": ");
    ms_buf_json_string(&b, s->p.output);
    ms_buf_printf(
        &b,
        ",\n  \"seed\": %" PRIu64 ", \"steps\": %d, \"guidance\": %g, \"deepcache\": %s,\n"
        "  \"paste\": \"%s\", \"resolution\": %d, \"wanted_resolution\": %d, \"vae_encode_batch\": %d, "
        "\"vae_decode_batch\": %d,\n"
        "  \"tier\": \"%s\", \"precision\": \"%s\",\n"
        "  \"width\": %d, \"height\": %d, \"fps\": %g,\n"
        "  \"frames\": %" PRId64 ", \"frames_without_face\": %" PRId64 ", \"frames_interpolated\": %" PRId64
        ", \"windows\": %" PRId64 ",\n"
        "  \"frames_resumed\": %" PRId64 ", \"video_frames\": %" PRId64 ", \"source_frames_lost\": %" PRId64
        ",\n",
        s->p.seed, s->p.steps, s->p.guidance, s->p.deepcache ? "true" : "false", ms_paste_name(s->p.paste),
        r->resolution, r->wanted_resolution, r->vae_encode_batch, r->vae_decode_batch, r->tier, r->precision,
        r->width, r->height, r->fps, r->frames, r->frames_without_face, r->frames_interpolated, r->windows,
        r->frames_resumed, r->video_frames, r->source_frames_lost);
    report_range(&b, s, r);
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
static ms_status default_model(cli_run_state *s, char *path, size_t bytes, ms_error *err) {
    path[0] = 0;
    if (s->p.model || (s->p.config && s->p.unet && s->p.vae && s->p.whisper))
        return MS_OK;
    MS_TRY(cli_demo_model(path, bytes, err));
    s->p.model = path;
    return MS_OK;
}

/* Before the run, which may take hours: a report that cannot be written, or that would replace what the run reads or
   writes. */
static ms_status check_report(cli_run_state *s, ms_error *err) {
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

int cli_run(const void *state, char **arguments, int n_arguments) {
    cli_run_state s = *(const cli_run_state *)state;
    char demo_model[4096];
    ms_run_report report;
    ms_error err;
    ms_error_clear(&err);
    if (default_model(&s, demo_model, sizeof(demo_model), &err) != MS_OK)
        return cli_fail(&err);
    if (cli_run_options_apply(&s, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (check_report(&s, &err) != MS_OK)
        return cli_fail(&err);
    run_view view = {.progress = cli_progress_begin((cli_progress_mode)s.progress),
                     .quiet = s.progress == CLI_PROGRESS_JSON,
                     .demo_model = demo_model};
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
