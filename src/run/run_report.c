/* The report of a run: filled from the run's state when there is a plan, and when the run ends. */
#include <libavcodec/avcodec.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "report/run_report.h"
#include "run/run_job.h"
#include "run/threads/part.h"

#define PUT_TEXT(dst, text) snprintf(dst, sizeof(dst), "%.*s", (int)sizeof(dst) - 1, text)

_Static_assert(MS_USED_FILES <= MS_RUN_MODEL_FILES, "files of a model have outgrown the report");

static void put_model(const ms_job *j, ms_run_report *r) {
    PUT_TEXT(r->model, j->model->name);
    r->n_model_files = j->used.n;
    for (int i = 0; i < j->used.n; i++) {
        PUT_TEXT(r->model_file[i].part, j->used.file[i].part);
        PUT_TEXT(r->model_file[i].path, j->used.file[i].path);
        PUT_TEXT(r->model_file[i].identity, j->used.file[i].identity);
    }
}

static void put_machine(const ms_job *j, ms_run_report *r) {
    const ms_model *m = j->model;
    PUT_TEXT(r->device, m->compute.dev->description);
    PUT_TEXT(r->tier, ms_tier_name(m->policy.profile.tier));
    PUT_TEXT(r->precision, ms_dtype_name(m->policy.precision));
    r->budget_bytes = m->policy.budget_bytes;
    r->host_budget_bytes = m->apart ? m->policy.host_budget_bytes : 0;
}

static void put_output(const ms_job *j, ms_run_report *r) {
    const ms_video_writer_params writer = ms_inputs_writer(&j->in);
    const unsigned version = avcodec_version();
    PUT_TEXT(r->video_codec, ms_video_codec_name(writer.codec));
    snprintf(r->codec_library, sizeof(r->codec_library), "%u.%u.%u", version >> 16, version >> 8 & 255,
             version & 255);
    ms_inputs_output_size(&j->in, &r->width, &r->height);
    r->fps = ms_inputs_rate(&j->in);
    r->range_first = j->in.range.first;
    r->n_notes = j->in.notes.n;
    memcpy(r->note, j->in.notes.note, sizeof(r->note));
}

const char *ms_job_note(const ms_job *j) {
    const char *faces = j->store.faces ? ms_face_store_note(j->store.faces) : NULL;
    return !j->store.note[0] && faces ? faces : j->store.note;
}

/* Of a job that an earlier run had begun. */
static void put_earlier(const ms_job *j, ms_run_report *r) {
    r->frames_resumed = j->frames_before;
    r->faces_resumed = j->store.faces_left;
    r->already_finished = j->store.finished;
    PUT_TEXT(r->job_note, ms_job_note(j));
}

/* The report tells of the layout that the run begins with, be it the planned one or the least. */
static void put_plan(const ms_job *j, ms_run_report *r) {
    const ms_job_plan *plan = &j->plan;
    if (!plan->made) /* a run that only has to join its segments */
        return;
    ms_run_report_plan(r, j->p, &j->model->policy.profile, &plan->chosen);
    ms_run_report_layout(r, &plan->begun);
    r->fell_back = plan->fell_back;
    for (int i = 0; r->fell_back && i < r->n_choices; i++)
        r->choice[i].taken = false;
    r->rung = plan->begun.rung;
    r->planned_bytes = plan->bytes;
    r->host_planned_bytes = plan->host_bytes;
    r->other_bytes += plan->latent_bytes;
}

static void put_forecast(const ms_job *j, ms_run_report *r) {
    const ms_job_forecast *f = &j->forecast;
    r->planned_window_s = f->window_s;
    memcpy(r->planned_s, f->stage_s, sizeof(f->stage_s));
    r->planned_total_s = f->total_s;
    r->planned_left_s = f->left_s;
    r->planned_frames = f->frames;
    r->frames_after_speech = ms_inputs_frames_after_speech(&j->in, f->frames);
    r->history_runs = j->past.runs;
    PUT_TEXT(r->history_warning, j->past.warning);
}

void ms_job_report_plan(const ms_job *j, ms_run_report *r) {
    *r = (ms_run_report){.wanted_resolution = ms_inputs_resolution(&j->in)};
    r->resolution = j->redraw.engine ? j->geometry.resolution : r->wanted_resolution;
    put_model(j, r);
    put_machine(j, r);
    put_output(j, r);
    put_earlier(j, r);
    put_plan(j, r);
    put_forecast(j, r);
}

/* ---- the end ---- */

static int64_t made_frames(const ms_job *j) {
    return j->p->work == MS_RUN_WORK_PART ? j->store.frames : j->total;
}

static void judge_faces(const ms_job *j, ms_run_faces_report *ret_faces) {
    ms_face_tally_report(ms_job_tally(j), made_frames(j), j->counts.without_face, ret_faces);
}

static void put_frames(const ms_job *j, ms_run_report *r) {
    r->frames = made_frames(j);
    r->segments = ms_segments_of(j->total, j->segment_frames);
    r->segments_finished =
        j->p->share && !j->store.finished ? ms_part_count_finished(&j->store, j->total) : j->store.segments;
    r->frames_kept = r->frames - ms_inputs_frames_within(&j->in, r->frames);
    r->frames_without_face = j->counts.without_face;
    r->frames_interpolated = j->counts.interpolated;
    r->windows = j->counts.windows;
    r->windows_kept = j->window.kept;
    r->windows_computed = j->window.computed;
    r->video_frames =
        j->from.frames ? ms_frame_source_order(j->from.frames)->clip_frames : j->store.place.clip_frames;
    r->source_frames_lost = ms_clip_frames_lost(j->in.clip);
    judge_faces(j, &r->faces);
}

/* A run that only had to join its segments has no engine. */
static void put_engine(const ms_job *j, ms_run_report *r) {
    const ms_redraw *d = &j->redraw;
    const ms_engine_program *program = d->engine ? ms_engine_program_of(d->engine) : NULL;
    const ms_engine_memory memory =
        program ? ms_engine_get_memory(d->engine, program) : (ms_engine_memory){0};
    r->window_frames = d->engine ? (int)ms_engine_window_frames(d->engine) : 0;
    r->arena_bytes = memory.arena_bytes;
    r->weight_bytes = memory.weight_bytes;
    r->streamed_bytes = memory.streamed_bytes;
    r->weights_read_bytes = ms_redraw_read_bytes(d);
    r->recoveries = d->recoveries;
    r->n_changes = d->n_changes;
    memcpy(r->change, d->change, sizeof(r->change));
    ms_run_latents_fill_report(&d->latents, &r->latents);
}

static void put_memory(const ms_job *j, ms_run_report *r) {
    ms_mem_usage device;
    ms_mem_get_usage(j->model->device_mem, &device);
    r->peak_resident_bytes = j->end.peak_resident_bytes;
    r->device_peak_bytes = device.peak_bytes;
    ms_run_report_memory(r, j->mem, j->sampler);
}

static void put_times(const ms_job *j, ms_run_report *r) {
    ms_job_stage_seconds(j, r->stage_s);
    r->seconds = j->end.seconds;
    r->preview_first = j->preview.first;
    ms_job_predict_whole(j, &r->whole_frames, &r->whole_s);
}

void ms_job_report_end(const ms_job *j, ms_run_report *r) {
    ms_job_report_plan(j, r);
    put_frames(j, r);
    put_engine(j, r);
    put_memory(j, r);
    put_times(j, r);
}

void ms_job_report_closed(const ms_job *j, ms_status status, ms_run_report *r) {
    const int64_t dropped = atomic_load(&j->write.frames_done) - j->store.kept_frames;
    if (status == MS_OK)
        PUT_TEXT(r->history_warning, j->past.warning);
    else
        *r = (ms_run_report){.fps = j->forecast.rate,
                             .frames_resumable = j->store.kept_frames,
                             .frames_dropped = dropped > 0 ? dropped : 0};
}

void ms_job_tell_doubts(const ms_job *j) {
    const char *note = ms_job_note(j);
    ms_run_faces_report faces;
    judge_faces(j, &faces);
    if (note[0])
        ms_log_tell(MS_LOG_WARNING, "job", "%s", note);
    if (faces.doubt[0])
        ms_log_tell(MS_LOG_WARNING, "doubtful-faces", "the faces are doubtful: %s", faces.doubt);
}
