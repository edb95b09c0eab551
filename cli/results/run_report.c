/* The report of a run, for programs and for people. */
#include "results/run_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "files/in_use.h"
#include "files/new_file.h"
#include "memsafe/library.h"
#include "results/notes.h"
#include "run/run_files.h"
#include "text/json.h"

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

static void report_preview(ms_buf *b, const cli_run_state *s, const ms_run_report *r) {
    if (s->preview)
        ms_buf_printf(b,
                      "  \"preview\": {\"frames\": %d, \"first_frame\": %" PRId64
                      ", \"whole_frames\": %" PRId64 ", \"whole_seconds\": %.3f},\n",
                      s->preview, r->preview_first, r->whole_frames, r->whole_s);
}

static void report_changes(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b, "  \"pressure_changes\": [");
    for (int i = 0; i < r->n_changes; i++) {
        const ms_run_change *c = &r->change[i];
        ms_buf_printf(b,
                      "%s{\"frame\": %" PRId64 ", \"level\": \"%s\", \"rung\": \"%s\", "
                      "\"weights_read_bytes\": %" PRIu64 ", \"reason\": ",
                      i ? ", " : "", c->frame, c->level, ms_rung_name(c->rung), c->read_bytes);
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
    ms_buf_printf(b, "},\n  \"history_runs\": %d,\n  \"job_note\": ", r->history_runs);
    ms_buf_json_string(b, r->job_note);
    ms_buf_printf(b, ",\n  \"history_warning\": ");
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
    ms_mem_free(html);
    return status;
}

/* ---- what it was made with ---- */

static const char *yes(bool value) {
    return value ? "true" : "false";
}

/* Paths as they were given, then the files that were found with what tells them from others. */
static void report_model(ms_buf *b, const cli_run_state *s, const ms_run_report *r) {
    ms_buf_json_member(b, "  \"model\": {", "name", r->model);
    ms_buf_json_member(b, ", ", "dir", s->p.model);
    ms_buf_json_member(b, ", ", "config", s->p.config);
    ms_buf_json_member(b, ", ", "unet", s->p.unet);
    ms_buf_json_member(b, ", ", "vae", s->p.vae);
    ms_buf_json_member(b, ", ", "whisper", s->p.whisper);
    ms_buf_json_member(b, ", ", "faces", s->p.faces);
    ms_buf_printf(b, ",\n    \"files\": [");
    for (int i = 0; i < r->n_model_files; i++) {
        ms_buf_json_member(b, i ? ",\n      {" : "{", "part", r->model_file[i].part);
        ms_buf_json_member(b, ", ", "path", r->model_file[i].path);
        ms_buf_json_member(b, ", ", "identity", r->model_file[i].identity);
        ms_buf_printf(b, "}");
    }
    ms_buf_printf(b, "]},\n");
}

/* As the run had them, defaults included: none of it says how it was cut up. */
static void report_options(ms_buf *b, const cli_run_state *s) {
    static const char *const precisions[] = {[MS_PRECISION_AUTO] = "auto",
                                             [MS_PRECISION_FP32] = "fp32",
                                             [MS_PRECISION_FP16] = "fp16",
                                             [MS_PRECISION_BF16] = "bf16"};
    static const char *const loops[] = {[MS_LOOP_MODE_PINGPONG] = "pingpong",
                                        [MS_LOOP_MODE_REPEAT] = "repeat",
                                        [MS_LOOP_MODE_HOLD] = "hold",
                                        [MS_LOOP_MODE_NONE] = "none"};
    static const char *const caches[] = {
        [MS_LATENT_CACHE_EXACT] = "exact", [MS_LATENT_CACHE_OFF] = "off", [MS_LATENT_CACHE_LOSSY] = "lossy"};
    const ms_run_params *p = &s->p;
    ms_buf_printf(b,
                  "  \"options\": {\"seed\": %" PRIu64
                  ", \"steps\": %d, \"guidance\": %g, \"deepcache\": %s, \"resolution\": %d, ",
                  p->seed, p->steps, p->guidance, yes(p->deepcache), p->resolution);
    ms_buf_printf(b, "\"paste\": \"%s\", \"precision\": \"%s\", \"loop\": \"%s\", \"fps\": \"%d/%d\",\n    ",
                  ms_paste_name(p->paste), precisions[p->precision], loops[p->loop], p->fps_num, p->fps_den);
    ms_buf_printf(b,
                  "\"frames\": %" PRId64 ", \"face\": %d, \"max_gap\": %d, \"allow_truncated\": %s, "
                  "\"metadata\": %s, \"tonemap\": %s, \"segment\": %" PRId64
                  ", \"resume\": %s, \"threads\": %d,\n    ",
                  p->frames, p->face, p->max_gap, yes(p->allow_truncated), yes(!p->no_metadata),
                  yes(p->tonemap), p->segment_frames ? p->segment_frames : 64, yes(p->resume), p->threads);
    ms_buf_printf(b,
                  "\"budget_bytes\": %zu, \"host_budget_bytes\": %zu, \"allow_downscale\": %s, "
                  "\"force_rung\": \"%s\", \"latent_cache\": \"%s\", \"latent_rank\": %d",
                  p->budget_bytes, p->host_budget_bytes, yes(p->allow_downscale), ms_rung_name(p->rung),
                  caches[p->latent_cache], p->latent_rank);
    ms_buf_printf(b, ", \"latent_cache_bytes\": %" PRIu64,
                  p->latent_cache_bytes ? p->latent_cache_bytes : UINT64_C(2) << 30);
    ms_buf_json_member(b, ", ", "latent_cache_dir", p->latent_cache_dir);
    ms_buf_json_member(b, ",\n    ", "device", p->device);
    ms_buf_json_member(b, ", ", "pressure_trace", p->pressure_trace);
    ms_buf_json_member(b, ", ", "track", p->track);
    ms_buf_json_member(b, ", ", "profile", p->profile.tier);
    bool no_file = p->profile.file_optional && access(p->profile.file, F_OK) != 0;
    ms_buf_json_member(b, ", ", "profile_file", no_file ? NULL : p->profile.file);
    ms_buf_printf(b, ", \"set\": [");
    for (int i = 0; i < p->profile.n_settings; i++) {
        ms_buf_printf(b, "%s", i ? ", " : "");
        ms_buf_json_string(b, p->profile.settings[i]);
    }
    ms_buf_printf(b, "]},\n");
}

static void report_codecs(ms_buf *b, const cli_run_state *s, const ms_run_report *r) {
    static const char *const sounds[] = {[MS_AUDIO_OUTPUT_ORIGINAL] = "original",
                                         [MS_AUDIO_OUTPUT_SPEECH] = "speech",
                                         [MS_AUDIO_OUTPUT_NONE] = "none"};
    ms_buf_json_member(b, "  \"codecs\": {", "video", r->video_codec);
    if (s->p.codec == MS_OUTPUT_FFV1)
        ms_buf_printf(b, ", \"crf\": null");
    else
        ms_buf_printf(b, ", \"crf\": %d", s->p.crf);
    ms_buf_json_member(b, ", ", "sound", sounds[s->p.audio_output]);
    ms_buf_json_member(b, ", ", "libavcodec", r->codec_library);
    ms_buf_printf(b, "},\n");
}

/* ---- the file ---- */

static ms_status write_json(const char *path, const cli_run_state *s, const ms_run_report *r,
                            const cli_workers_report *workers, ms_error *err) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\n  \"memsafe\": \"%s\",\n  \"video\": ", ms_version());
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
        ", \"windows\": %" PRId64 ", \"windows_computed\": %" PRId64 ", \"windows_kept\": %" PRId64 ",\n"
        "  \"frames_resumed\": %" PRId64 ", \"video_frames\": %" PRId64 ", \"source_frames_lost\": %" PRId64
        ",\n",
        s->p.seed, s->p.steps, s->p.guidance, s->p.deepcache ? "true" : "false", ms_paste_name(s->p.paste),
        r->resolution, r->wanted_resolution, r->vae_encode_batch, r->vae_decode_batch, r->tier, r->precision,
        r->width, r->height, r->fps, r->frames, r->frames_without_face, r->frames_interpolated, r->windows,
        r->windows_computed, r->windows_kept, r->frames_resumed, r->video_frames, r->source_frames_lost);
    report_range(&b, s, r);
    report_preview(&b, s, r);
    ms_buf_printf(&b, "  ");
    cli_notes_json(&b, r);
    ms_buf_printf(&b, ",\n  ");
    cli_faces_json(&b, r);
    ms_buf_printf(&b, ",\n");
    report_model(&b, s, r);
    report_options(&b, s);
    report_codecs(&b, s, r);
    report_changes(&b, r);
    ms_buf_printf(&b, "  \"recoveries\": %d, \"fell_back\": %s,\n", r->recoveries,
                  r->fell_back ? "true" : "false");
    report_memory(&b, r);
    report_latents_json(&b, &r->latents);
    ms_buf_printf(&b,
                  "  \"rung\": \"%s\", \"budget_bytes\": %zu, \"planned_bytes\": %zu, "
                  "\"peak_resident_bytes\": %zu,\n"
                  "  \"host_budget_bytes\": %zu, \"host_planned_bytes\": %zu, \"device_peak_bytes\": %zu,\n"
                  "  \"weight_bytes\": %zu, \"streamed_bytes\": %zu, \"weights_read_bytes\": %" PRIu64
                  ", \"arena_bytes\": %zu, \"planned_window_s\": %.3f,\n",
                  ms_rung_name(r->rung), r->budget_bytes, r->planned_bytes, r->peak_resident_bytes,
                  r->host_budget_bytes, r->host_planned_bytes, r->device_peak_bytes, r->weight_bytes,
                  r->streamed_bytes, r->weights_read_bytes, r->arena_bytes, r->planned_window_s);
    ms_buf_printf(&b, "  \"workers\": ");
    cli_workers_json(&b, workers);
    ms_buf_printf(&b, ",\n");
    report_times(&b, r);
    ms_status status = b.failed ? ms_fail_alloc(err, NULL, b.length, "the report")
                                : ms_new_file_save(path, b.data, b.length, s->replace_report, err);
    ms_buf_free(&b);
    return status;
}

ms_status cli_run_report_check(cli_run_state *s, ms_error *err) {
    const ms_run_params *p = &s->p;
    if (!s->report)
        return MS_OK;
    if (ms_same_target(s->report, p->output))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the report and the output are the same file %s", s->report);
    MS_TRY(ms_run_spare(p, s->report, "report", err));
    /* A command with --resume may be repeated after it has finished; the report of
       the run that did the work stays. */
    s->replace_report = p->force || (p->resume && p->output && access(p->output, F_OK) == 0);
    return ms_new_file_check(s->report, s->replace_report, err);
}

ms_status cli_run_report_write(const cli_run_state *s, const ms_run_report *r,
                               const cli_workers_report *workers, ms_error *err) {
    return is_page(s->report) ? write_page(s->report, s, r, err) : write_json(s->report, s, r, workers, err);
}
