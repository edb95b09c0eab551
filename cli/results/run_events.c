#include "results/run_events.h"

#include <inttypes.h>
#include <stdio.h>

#include "console/console.h"

static void put_text(ms_buf *b, const char *name, const char *value) {
    ms_buf_json_member(b, b->length ? ", " : "", name, value);
}

static void put_frames(ms_buf *b, const char *name, int64_t frames) {
    if (frames > 0)
        ms_buf_printf(b, ", \"%s\": %" PRId64, name, frames);
    else
        ms_buf_printf(b, ", \"%s\": null", name);
}

void cli_run_plan_event(const ms_run_params *p, const ms_run_report *r) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    put_text(&b, "output", p->output);
    put_frames(&b, "frames", r->planned_frames);
    ms_buf_printf(&b,
                  ", \"frames_resumed\": %" PRId64 ", \"faces_resumed\": %" PRId64
                  ", \"width\": %d, \"height\": %d, \"fps\": ",
                  r->frames_resumed, r->faces_resumed, r->width, r->height);
    ms_buf_json_number(&b, r->fps);
    ms_buf_printf(&b, ", \"eta_s\": ");
    if (r->planned_left_s > 0)
        ms_buf_printf(&b, "%.1f", r->planned_left_s);
    else
        ms_buf_printf(&b, "null");
    ms_buf_printf(&b, ", \"planned_bytes\": %zu, \"budget_bytes\": %zu", r->planned_bytes, r->budget_bytes);
    if (r->host_budget_bytes)
        ms_buf_printf(&b, ", \"host_planned_bytes\": %zu, \"host_budget_bytes\": %zu", r->host_planned_bytes,
                      r->host_budget_bytes);
    put_text(&b, "model", r->model);
    put_text(&b, "tier", r->tier);
    put_text(&b, "precision", r->precision);
    put_text(&b, "rung", ms_rung_name(r->rung));
    ms_buf_printf(&b, ", \"resolution\": %d", r->resolution);
    if (!b.failed)
        cli_event("plan", b.data);
    ms_buf_free(&b);
}

void cli_run_put_result(ms_buf *b, const char *output, const ms_run_report *r) {
    put_text(b, "output", output);
    ms_buf_printf(
        b,
        ", \"frames\": %" PRId64 ", \"frames_without_face\": %" PRId64 ", \"frames_resumed\": %" PRId64
        ", \"already_finished\": %s, \"seconds\": %.2f, \"peak_resident_bytes\": %zu, \"width\": %d, "
        "\"height\": %d, \"fps\": ",
        r->frames, r->frames_without_face, r->frames_resumed, r->already_finished ? "true" : "false",
        r->seconds, r->peak_resident_bytes, r->width, r->height);
    ms_buf_json_number(b, r->fps);
}

void cli_run_put_rest(ms_buf *b, const ms_run_report *r) {
    ms_buf_printf(b,
                  ", \"resolution\": %d, \"wanted_resolution\": %d, \"recoveries\": %d, "
                  "\"frames_interpolated\": %" PRId64 ", \"frames_kept\": %" PRId64
                  ", \"source_frames_lost\": %" PRId64 ", \"video_frames\": %" PRId64,
                  r->resolution, r->wanted_resolution, r->recoveries, r->frames_interpolated, r->frames_kept,
                  r->source_frames_lost, r->video_frames);
    put_text(b, "job_note", r->job_note);
    put_text(b, "history_warning", r->history_warning);
}

void cli_run_take_result(const ms_json *line, ms_run_report *r) {
    r->frames = ms_json_get_integer(line, "frames", 0);
    r->frames_without_face = ms_json_get_integer(line, "frames_without_face", 0);
    r->frames_resumed = ms_json_get_integer(line, "frames_resumed", 0);
    r->already_finished = ms_json_get_flag(line, "already_finished");
    r->seconds = ms_json_get_number(line, "seconds", 0);
    r->peak_resident_bytes = (size_t)ms_json_get_number(line, "peak_resident_bytes", 0);
    r->width = (int)ms_json_get_integer(line, "width", 0);
    r->height = (int)ms_json_get_integer(line, "height", 0);
    r->fps = ms_json_get_number(line, "fps", 0);
    r->resolution = (int)ms_json_get_integer(line, "resolution", 0);
    r->wanted_resolution = (int)ms_json_get_integer(line, "wanted_resolution", 0);
    r->recoveries = (int)ms_json_get_integer(line, "recoveries", 0);
    r->frames_interpolated = ms_json_get_integer(line, "frames_interpolated", 0);
    r->frames_kept = ms_json_get_integer(line, "frames_kept", 0);
    r->source_frames_lost = ms_json_get_integer(line, "source_frames_lost", 0);
    r->video_frames = ms_json_get_integer(line, "video_frames", 0);
    snprintf(r->job_note, sizeof(r->job_note), "%s", ms_json_get_text(line, "job_note"));
    snprintf(r->history_warning, sizeof(r->history_warning), "%s", ms_json_get_text(line, "history_warning"));
}

void cli_run_done_members(const ms_run_params *p, const ms_run_report *r) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    cli_run_put_result(&b, p->output, r);
    if (!b.failed)
        cli_last_members(b.data);
    ms_buf_free(&b);
}

void cli_run_kept_members(const ms_run_report *r) {
    char text[128];
    snprintf(text, sizeof(text), "\"frames_resumable\": %" PRId64 ", \"frames_dropped\": %" PRId64,
             r->frames_resumable, r->frames_dropped);
    cli_last_members(text);
}
