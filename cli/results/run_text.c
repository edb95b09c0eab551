#include "results/run_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "console/console.h"
#include "options/history_file.h"
#include "text/duration.h"
#include "text/json.h"
#include "text/size.h"

/* "102 frames of 384x384, 25 a second (4.1 s)" */
static void describe(const ms_run_report *r, int64_t frames, char *text, size_t bytes) {
    char length[MS_DURATION_TEXT_BYTES];
    if (frames > 0)
        snprintf(text, bytes, "%" PRId64 " frame%s of %dx%d, %.4g a second (%s)", frames,
                 frames == 1 ? "" : "s", r->width, r->height, r->fps,
                 ms_duration_format(length, (double)frames / r->fps));
    else
        snprintf(text, bytes, "frames of %dx%d, %.4g a second, until the video ends", r->width, r->height,
                 r->fps);
}

/* ---- before ---- */

static void say_layout(const ms_run_report *r) {
    char planned[MS_SIZE_TEXT_BYTES], budget[MS_SIZE_TEXT_BYTES], time[MS_DURATION_TEXT_BYTES],
        past[CLI_PAST_TEXT_BYTES];
    const bool apart = r->host_budget_bytes > 0;
    cli_say("  %s tier, %s weights, faces of %d px; rung %s (%s)\n", r->tier, r->precision, r->resolution,
            ms_rung_name(r->rung), ms_rung_text(r->rung));
    cli_say("  budget%s %s (%s), planned %s\n", apart ? " of the device" : "",
            ms_size_format(budget, r->budget_bytes), r->budget_reason,
            ms_size_format(planned, r->planned_bytes));
    if (apart)
        cli_say("  budget of the host %s, planned %s\n", ms_size_format(budget, r->host_budget_bytes),
                ms_size_format(planned, r->host_planned_bytes));
    if (r->planned_total_s > 0)
        cli_say("  predicted time with what is done already %s%s\n",
                ms_duration_format(time, r->planned_total_s), cli_past_text(r->history_runs, past));
}

/* What --resume found. True: something. */
static bool say_found(const ms_run_params *p, const ms_run_report *r) {
    char total[32] = "";
    int64_t kept = r->frames_resumed + r->faces_resumed, left = r->planned_frames - kept;
    if (!p->resume)
        return false;
    if (kept == 0) {
        cli_say("  --resume: nothing is there from an earlier run, this one begins at the beginning\n");
        return false;
    }
    if (r->planned_frames > 0)
        snprintf(total, sizeof(total), " of %" PRId64, r->planned_frames);
    cli_say("  kept from an earlier run: %" PRId64 "%s frames", kept, total);
    if (r->faces_resumed)
        cli_say(" (%" PRId64 " finished, %" PRId64 " redrawn and to be encoded)", r->frames_resumed,
                r->faces_resumed);
    if (r->planned_frames > 0 && left >= 0)
        cli_say("; %" PRId64 " are left", left);
    cli_say("\n");
    return true;
}

static const char *memory_text(const ms_run_report *r, char *text, size_t size) {
    char planned[MS_SIZE_TEXT_BYTES], host[MS_SIZE_TEXT_BYTES];
    ms_size_format(planned, r->planned_bytes);
    if (r->host_budget_bytes)
        snprintf(text, size, "%s of the device's and %s of the host's memory", planned,
                 ms_size_format(host, r->host_planned_bytes));
    else
        snprintf(text, size, "%s of memory", planned);
    return text;
}

void cli_run_say_need(const char *work, const ms_run_report *r) {
    char time[MS_DURATION_TEXT_BYTES], memory[2 * MS_SIZE_TEXT_BYTES + 48];
    memory_text(r, memory, sizeof(memory));
    if (r->planned_left_s > 0)
        cli_say("  %s will take about %s and at most %s\n", work, ms_duration_format(time, r->planned_left_s),
                memory);
    else
        cli_say("  %s will take at most %s; how long is not known\n", work, memory);
}

void cli_run_say_plan(const ms_run_params *p, const ms_run_report *r) {
    char what[128];
    describe(r, r->planned_frames, what, sizeof(what));
    if (p->work == MS_RUN_WORK_PART)
        cli_say("of %s this makes %s%s", p->output, p->part ? "" : "up to ", what);
    else
        cli_say("%s will have %s", p->output, what);
    if (r->frames_after_speech == 1)
        cli_say("; the last one follows the speech, as the official pipeline's does");
    else if (r->frames_after_speech > 1)
        cli_say("; the last %" PRId64 " follow the speech, as the official pipeline's do",
                r->frames_after_speech);
    cli_say("\n");
    cli_run_say_need(say_found(p, r) ? "the rest" : "this", r);
    if (r->resolution < r->wanted_resolution)
        cli_say("  %d px do not fit: the face is redrawn at %d px (--allow-downscale)\n",
                r->wanted_resolution, r->resolution);
    if (cli_console_is_verbose())
        say_layout(r);
}

/* ---- after ---- */

static void say_latents(const ms_run_report *r) {
    const ms_run_latents_report *l = &r->latents;
    char raw[MS_SIZE_TEXT_BYTES], stored[MS_SIZE_TEXT_BYTES];
    if (l->hits + l->misses == 0)
        return;
    cli_say("  latent cache (%s): %" PRId64 " of %" PRId64 " faces found; %s kept in %s (%.2f : 1)", l->state,
            l->hits, l->hits + l->misses, ms_size_format(raw, l->raw_bytes),
            ms_size_format(stored, l->stored_bytes),
            l->stored_bytes ? (double)l->raw_bytes / (double)l->stored_bytes : 1);
    if (l->lossy)
        cli_say(", lossy: PSNR %.1f dB", l->psnr_db);
    cli_say("\n");
}

static void say_memory(const ms_run_report *r) {
    char peak[MS_SIZE_TEXT_BYTES], budget[MS_SIZE_TEXT_BYTES];
    const bool apart = r->host_budget_bytes > 0;
    cli_say("  %s tier, %s weights, rung %s (%s); ", r->tier, r->precision, ms_rung_name(r->rung),
            ms_rung_text(r->rung));
    if (apart)
        cli_say("peak of the device %s of a budget of %s, ", ms_size_format(peak, r->device_peak_bytes),
                ms_size_format(budget, r->budget_bytes));
    cli_say("peak%s %s of a budget of %s\n", apart ? " of the host" : "",
            ms_size_format(peak, r->peak_resident_bytes),
            ms_size_format(budget, apart ? r->host_budget_bytes : r->budget_bytes));
    for (int i = 0; i < r->n_changes; i++)
        cli_say("  frame %" PRId64 ": memory pressure %s (%s), from here on rung %s\n", r->change[i].frame,
                r->change[i].level, r->change[i].reason, ms_rung_name(r->change[i].rung));
}

static void say_frames(const ms_run_report *r) {
    if (r->resolution < r->wanted_resolution)
        cli_say("  redrawn at %d px in place of %d, which did not fit\n", r->resolution,
                r->wanted_resolution);
    if (r->frames_resumed)
        cli_say("  %" PRId64 " of them were finished by an earlier run\n", r->frames_resumed);
    if (r->windows_kept)
        cli_say("  %" PRId64
                " window%s of up to %d frames had been redrawn by an earlier run and only had to be "
                "encoded\n",
                r->windows_kept, r->windows_kept == 1 ? "" : "s", r->window_frames);
    if (r->recoveries)
        cli_say("  memory ran out %d time%s and was made do with\n", r->recoveries,
                r->recoveries == 1 ? "" : "s");
    if (r->frames_interpolated)
        cli_say("  %" PRId64 " frames: face bridged between neighbours\n", r->frames_interpolated);
    if (r->whole_s > 0)
        cli_say("  the whole, %" PRId64 " frames, would take about %s\n", r->whole_frames,
                ms_duration_format((char[MS_DURATION_TEXT_BYTES]){0}, r->whole_s));
    if (r->frames_kept)
        cli_say("  %" PRId64 " frames outside the range passed through unchanged\n", r->frames_kept);
    if (r->frames_without_face)
        cli_say("  %" PRId64 " frames without a usable face passed through unchanged\n",
                r->frames_without_face);
    if (r->source_frames_lost)
        cli_say("  the input is damaged: %" PRId64
                " of its frames could not be decoded or are not there; %" PRId64 " were used\n",
                r->source_frames_lost, r->video_frames);
    if (r->job_note[0])
        cli_say("  %s\n", r->job_note);
    if (r->history_warning[0])
        cli_say("  %s\n", r->history_warning);
}

void cli_run_say_result(const ms_run_params *p, const ms_run_report *r) {
    char what[128], time[MS_DURATION_TEXT_BYTES], frame[MS_DURATION_TEXT_BYTES];
    if (r->already_finished) {
        cli_say("%s: %" PRId64 " frames, finished by an earlier run: nothing to do\n", p->output, r->frames);
        return;
    }
    describe(r, r->frames, what, sizeof(what));
    cli_say("%s: %s, made in %s", p->output, what, ms_duration_format(time, r->seconds));
    if (cli_console_is_verbose() && r->frames > r->frames_resumed)
        cli_say(", %s a frame",
                ms_duration_format(frame, r->seconds / (double)(r->frames - r->frames_resumed)));
    cli_say("\n");
    say_frames(r);
    if (cli_console_is_verbose() || r->latents.lossy)
        say_latents(r);
    if (cli_console_is_verbose() && r->tier[0]) /* a batch's worker says nothing of it */
        say_memory(r);
}

static bool is_there(const char *output) {
    char folder[4096];
    int n = snprintf(folder, sizeof(folder), "%s.memsafe", output);
    return n > 0 && (size_t)n < sizeof(folder) && access(folder, F_OK) == 0;
}

/* The line that goes on with what is kept. A part and a join do so by themselves; a join that lacks segments
   needs somebody who makes them, and nobody makes one that is there. */
static void tell_next(const ms_run_params *p, ms_status why) {
    const bool replaces = !p->force && access(p->output, F_OK) == 0;
    if (p->work == MS_RUN_WORK_JOIN && why == MS_DAMAGED)
        cli_tell_command("  to go on, remove that file, then: ", cli_command_of("run --part auto", p->output),
                         "");
    else if (p->work == MS_RUN_WORK_JOIN)
        cli_tell_command("  to go on: ", cli_command_of("run --part auto", p->output), "");
    else if (p->work == MS_RUN_WORK_PART)
        cli_tell_command("  to go on: ", cli_command_line(), "");
    else
        cli_tell_command("  to go on: ", cli_command_line(),
                         p->resume  ? replaces ? " -y" : ""
                         : replaces ? " --resume -y"
                                    : " --resume");
}

void cli_run_say_kept(const ms_run_params *p, const ms_run_report *r, ms_status why) {
    bool goes_on = r->frames_resumable > 0;
    if (!p->output || cli_console_is_json() || why == MS_NO_FACE) /* of which there is no more to be made */
        return;
    if (!r->frames_resumable && r->frames_dropped > 0)
        cli_tell("  nothing is kept: %" PRId64 " frame%s made, less than a window\n", r->frames_dropped,
                 r->frames_dropped == 1 ? " was" : "s were");
    else if (!r->frames_resumable && p->resume && is_there(p->output)) /* it ended before it had looked */
        cli_tell("  what an earlier run kept is still in %s.memsafe\n", p->output);
    else if (!r->frames_resumable && why == MS_CANCELLED && is_there(p->output)) {
        cli_tell("  the faces that were found are kept in %s.memsafe\n", p->output);
        goes_on = true;
    } else if (!r->frames_resumable && why == MS_CANCELLED)
        cli_tell("  nothing was kept\n");
    if (goes_on)
        tell_next(p, why);
}
