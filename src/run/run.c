/* ms_run(): opening in the order in which things can fail, frames through the three threads of run_job.h,
   segments joined at the end. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/sized.h"
#include "run/run_job.h"
#include "system/host.h"

#define SEGMENT_FRAMES 64

static void close_all(ms_job *j, ms_status status, ms_error *err) {
    ms_sampler_destroy(&j->sampler);
    ms_run_store_close(&j->store, status, err);
    ms_audio_reader_close(&j->sound);
    ms_sound_splice_close(&j->splice);
    ms_frame_source_destroy(&j->source);
    ms_face_stage_destroy(&j->stage);
    ms_buffer_pool_destroy(&j->pictures);
    ms_redraw_end(&j->redraw);
    ms_face_finder_destroy(&j->finder);
    ms_speech_close(&j->speech);
    ms_clip_close(&j->clip);
    ms_face_thread_free_buffers(&j->faces);
    ms_write_thread_free_buffers(&j->write);
    ms_mem_free(j->write.pair);
    ms_mem_free(j->window);
    ms_mem_free(j->window_faces);
    ms_mem_free(j->part_segments);
    if (j->sink_bytes)
        ms_mem_release(j->mem, MS_LEDGER_FRAMES, j->sink_bytes);
    if (j->model == &j->own_model)
        ms_model_end(&j->own_model);
    else if (j->mem)
        ms_model_give_back(j->model);
}

static void fill_faces(const ms_job *j, ms_run_report *r) {
    static const ms_face_tally nothing;
    const ms_face_tally *tally = j->finder ? ms_face_finder_tally(j->finder) : &nothing;
    ms_face_tally_report(tally, r->frames, r->frames_without_face, &r->faces);
}

/* A run that only had to join its segments has no engine and read no frames. */
static void fill_report(ms_job *j) {
    ms_run_report *r = &j->report;
    ms_job_enter(j, NULL);
    const ms_video_info *info = ms_clip_info(j->clip);
    const ms_engine_program *program = j->redraw.engine ? ms_engine_program_of(j->redraw.engine) : NULL;
    ms_engine_memory memory =
        program ? ms_engine_get_memory(j->redraw.engine, program) : (ms_engine_memory){0};
    r->frames = j->p->work == MS_RUN_WORK_PART ? j->store.frames : j->total;
    r->segments = ms_segments_of(j->total, j->segment_frames);
    r->segments_finished = j->p->share ? ms_job_count_segments(j) : j->store.segments;
    r->frames_kept = r->frames - ms_job_frames_within(j, r->frames);
    r->frames_without_face = j->counts.without_face;
    r->frames_interpolated = j->counts.interpolated;
    r->windows = j->counts.windows;
    r->windows_kept = j->windows_kept;
    r->windows_computed = j->windows_computed;
    fill_faces(j, r);
    if (!r->job_note[0] && j->store.faces && ms_face_store_note(j->store.faces))
        snprintf(r->job_note, sizeof(r->job_note), "%s", ms_face_store_note(j->store.faces));
    r->video_frames = j->source ? ms_frame_source_order(j->source)->clip_frames : j->store.place.clip_frames;
    r->source_frames_lost = ms_clip_frames_lost(j->clip);
    r->width = info->width;
    r->height = info->height;
    if (j->p->output) {
        ms_video_writer_params writer = ms_job_writer_params(j);
        ms_video_writer_size(&writer, &r->width, &r->height);
    }
    r->fps = (double)info->fps.num / (double)info->fps.den;
    if (!j->redraw.engine)
        r->resolution = r->wanted_resolution = ms_job_wanted_resolution(j);
    r->arena_bytes = memory.arena_bytes;
    r->weight_bytes = memory.weight_bytes;
    r->streamed_bytes = memory.streamed_bytes;
    r->weights_read_bytes = ms_redraw_read_bytes(&j->redraw);
    r->recoveries = j->redraw.recoveries;
    r->n_changes = j->redraw.n_changes;
    memcpy(r->change, j->redraw.change, sizeof(r->change));
    ms_run_latents_fill_report(&j->redraw.latents, &r->latents);
    r->peak_resident_bytes = ms_host_peak_resident_bytes();
    r->window_frames = j->redraw.engine ? (int)ms_engine_window_frames(j->redraw.engine) : 0;
    ms_run_report_memory(r, j->mem, j->sampler);
    ms_mem_usage device;
    ms_mem_get_usage(j->model->device_mem, &device);
    r->device_peak_bytes = device.peak_bytes;
    r->stage_s[MS_STAGE_FACES] = j->faces.worker.busy_s;
    r->stage_s[MS_STAGE_WRITE] = j->write.worker.busy_s + j->join_s;
    r->seconds = ms_now_s() - j->started;
    ms_job_predict_whole(j);
}

/* What the report says of the whole run, for who has a callback in place of it. */
static void tell_doubts(const ms_run_report *r) {
    if (r->job_note[0])
        ms_log_tell(MS_LOG_WARNING, "job", "%s", r->job_note);
    if (r->faces.doubt[0])
        ms_log_tell(MS_LOG_WARNING, "doubtful-faces", "the faces are doubtful: %s", r->faces.doubt);
}

/* A first reading needs the whole machinery, one whose segments are all there none of it. */
static ms_status make_segments(ms_job *j, ms_error *err) {
    MS_TRY(ms_job_open_engine(j, err));
    MS_TRY(ms_job_open_stages(j, err));
    return ms_job_run_frames(j, err);
}

/* Of a job whose segments are all there, by the poses alone. */
static ms_status count_frames(ms_job *j, ms_error *err) {
    if (j->store.named) /* they may be gone */
        return MS_OK;
    MS_TRY(ms_run_store_open_poses(&j->store, err));
    MS_TRY(ms_job_count_faces(j, &j->store.order, 0, j->store.total, err));
    return ms_job_check_counts(j, err);
}

static ms_status join(ms_job *j, ms_error *err) {
    double began = ms_now_s();
    char comment[MS_JOB_COMMENT_BYTES];
    MS_TRY(ms_run_store_check_whole(&j->store, j->total, err));
    MS_TRY(ms_job_begin_preview_sound(j, err));
    ms_video_writer_params writer = ms_job_writer_params(j);
    writer.tags = ms_job_tags(j, comment);
    ms_job_write_up(j);
    MS_TRY(ms_run_store_join(&j->store, j->p->output, &writer, err));
    j->join_s = ms_now_s() - began;
    return MS_OK;
}

/* Everything but opening and closing. */
static ms_status work(ms_job *j, ms_error *err) {
    const ms_run_work what = j->p->work;
    if (what == MS_RUN_WORK_PART)
        MS_TRY(ms_job_check_part(j, err));
    if (what == MS_RUN_WORK_SPLIT)
        return j->store.named || j->store.complete ? count_frames(j, err) : ms_job_split(j, err);
    if (!j->store.whole && what != MS_RUN_WORK_JOIN)
        MS_TRY(make_segments(j, err));
    else
        MS_TRY(count_frames(j, err));
    if (j->p->output && !j->store.named && what != MS_RUN_WORK_PART)
        MS_TRY(join(j, err));
    return MS_OK;
}

static ms_status run_job(ms_job *j, ms_error *err) {
    ms_job_enter(j, "load");
    MS_TRY(ms_job_open_model(j, err));
    MS_TRY(ms_job_open_memory(j, err));
    MS_TRY(ms_job_sort_part(j, err));
    MS_TRY(ms_sampler_create(j->mem, &j->sampler, err));
    MS_TRY(ms_redraw_watch(&j->redraw, j->p->pressure_trace, err));
    MS_TRY(ms_job_open_inputs(j, err));
    ms_job_tell(j);
    MS_TRY(work(j, err));
    ms_job_tell_end(j);
    fill_report(j);
    tell_doubts(&j->report);
    if (j->p->work == MS_RUN_WORK_ALL && j->source && j->frames_before == 0 && j->windows_kept == 0 &&
        j->store.place.clip_frames == 0 && !j->preview.frames) /* the times of a part say nothing */
        ms_job_describe_past(j);
    return MS_OK;
}

static int64_t dropped_frames(const ms_job *j) {
    int64_t more = j->write.frames_done - j->store.kept_frames;
    return more > 0 ? more : 0;
}

ms_status ms_run_media(const ms_run_params *params, ms_run_report *ret_report, size_t report_bytes,
                       ms_error *err) {
    ms_job *j = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*j));
    if (!j)
        return ms_fail_alloc(err, NULL, sizeof(*j), "the run");
    j->p = params;
    j->store.folder.fd = -1;
    j->segment_frames = params->segment_frames ? params->segment_frames : SEGMENT_FRAMES;
    j->model = params->loaded ? params->loaded : &j->own_model;
    j->started = ms_now_s();
    j->redraw = (ms_redraw){.model = j->model,
                            .rung = params->rung,
                            .started = j->started,
                            .layout_changed = ms_job_follow_layout,
                            .arg = j};
    ms_status status = run_job(j, err);
    close_all(j, status, err);
    if (status == MS_OK && params->history)
        ms_job_record_past(j);
    if (status != MS_OK)
        j->report = (ms_run_report){.fps = j->report.fps,
                                    .frames_resumable = j->store.kept_frames,
                                    .frames_dropped = dropped_frames(j)};
    ms_sized_fill(ret_report, report_bytes, &j->report, sizeof(j->report));
    ms_mem_free(j);
    return status;
}
