/* ms_run(): opening in the order in which things can fail, frames through the three threads of run_job.h,
   segments joined at the end. */
#include "base/clock.h"
#include "base/sized.h"
#include "run/run_internal.h"
#include "run/run_job.h"
#include "run/threads/part.h"
#include "system/host.h"

#define SEGMENT_FRAMES 64

/* What works on the job does not see the report. */
typedef struct whole_run {
    ms_job job;
    ms_run_report report;
} whole_run;

static void close_all(ms_job *j, ms_status status, ms_error *err) {
    ms_sampler_destroy(&j->sampler);
    ms_run_store_close(&j->store, status, err);
    ms_job_close_source(&j->from);
    ms_redraw_end(&j->redraw);
    ms_inputs_close(&j->in);
    ms_face_thread_free_buffers(&j->faces);
    ms_write_thread_free_buffers(&j->write);
    ms_mem_free(j->write.pair);
    ms_job_window_free(&j->window);
    ms_mem_free(j->part_segments);
    if (j->sink_bytes)
        ms_mem_release(j->mem, MS_LEDGER_FRAMES, j->sink_bytes);
    if (j->model == &j->own_model)
        ms_model_end(&j->own_model);
    else if (j->mem)
        ms_model_give_back(j->model);
}

/* A first reading needs the whole machinery, one whose segments are all there none of it. */
static ms_status make_segments(whole_run *run, ms_error *err) {
    ms_job *j = &run->job;
    MS_TRY(ms_job_make_plan(j, err));
    if (j->p->planned) {
        ms_job_report_plan(j, &run->report);
        j->p->planned(j->p->arg, &run->report);
    }
    MS_TRY(ms_job_begin_engine(j, err));
    MS_TRY(ms_job_open_stages(j, err));
    return ms_job_run_frames(j, err);
}

/* Of a job whose segments are all there, by the poses alone. */
static ms_status count_frames(ms_job *j, ms_error *err) {
    if (j->store.named) /* they may be gone */
        return MS_OK;
    MS_TRY(ms_run_store_open_poses(&j->store, err));
    MS_TRY(ms_inputs_count_faces(&j->in, &j->store.order, 0, j->store.total, &j->counts, err));
    return ms_job_check_counts(j, err);
}

static ms_status join(ms_job *j, ms_error *err) {
    double began = ms_now_s();
    char comment[MS_JOB_COMMENT_BYTES];
    MS_TRY(ms_run_store_check_whole(&j->store, j->total, err));
    MS_TRY(ms_preview_begin_sound(&j->preview, &j->in, err));
    ms_video_writer_params writer = ms_inputs_writer(&j->in);
    writer.audio_skip_us += ms_preview_sound_us(&j->preview, &j->in);
    writer.tags = ms_job_tags(j, comment);
    ms_progress_write_up(&j->progress);
    MS_TRY(ms_run_store_join(&j->store, j->p->output, &writer, err));
    j->end.join_s = ms_now_s() - began;
    return MS_OK;
}

/* Everything but opening and closing. */
static ms_status work(whole_run *run, ms_error *err) {
    ms_job *j = &run->job;
    const ms_run_work what = j->p->work;
    if (what == MS_RUN_WORK_PART)
        MS_TRY(ms_part_check(j->p, ms_segments_of(j->total, j->segment_frames), err));
    if (what == MS_RUN_WORK_SPLIT)
        return j->store.named || j->store.complete ? count_frames(j, err) : ms_job_split(j, err);
    if (!j->store.whole && what != MS_RUN_WORK_JOIN)
        MS_TRY(make_segments(run, err));
    else
        MS_TRY(count_frames(j, err));
    if (j->p->output && !j->store.named && what != MS_RUN_WORK_PART)
        MS_TRY(join(j, err));
    return MS_OK;
}

/* Locks of a folder may not reach other machines: of two that join there one is first, and who makes segments
   finds the folder gone. */
static bool was_finished_elsewhere(ms_job *j, ms_status status) {
    const ms_run_work what = j->p->work;
    return (what == MS_RUN_WORK_PART || what == MS_RUN_WORK_JOIN) &&
           (status == MS_IO || status == MS_DAMAGED) && ms_run_store_was_finished(&j->store, j->p->output);
}

static ms_status work_unless_finished(whole_run *run, ms_error *err) {
    ms_job *j = &run->job;
    ms_status status = work(run, err);
    if (!was_finished_elsewhere(j, status))
        return status;
    ms_error_clear(err);
    j->total = j->store.total;
    return MS_OK;
}

static void end(ms_job *j) {
    ms_progress_tell_end(&j->progress);
    ms_progress_enter(&j->progress, NULL);
    j->end.seconds = ms_now_s() - j->progress.started;
    j->end.peak_resident_bytes = ms_host_peak_resident_bytes();
}

static ms_status run_job(whole_run *run, ms_error *err) {
    ms_job *j = &run->job;
    ms_progress_enter(&j->progress, "load");
    MS_TRY(ms_job_open_model(j, err));
    MS_TRY(ms_job_open_memory(j, err));
    MS_TRY(ms_part_sort(j->p, j->mem, &j->part_segments, err));
    MS_TRY(ms_sampler_create(j->mem, &j->sampler, err));
    MS_TRY(ms_redraw_watch(&j->redraw, j->p->pressure_trace, err));
    MS_TRY(ms_job_open_inputs(j, err));
    ms_progress_tell(&j->progress);
    MS_TRY(work_unless_finished(run, err));
    end(j);
    ms_job_report_end(j, &run->report);
    ms_job_tell_doubts(j);
    if (j->p->work == MS_RUN_WORK_ALL && j->from.frames && j->frames_before == 0 && j->window.kept == 0 &&
        j->store.place.clip_frames == 0 && !j->preview.frames) /* the times of a part say nothing */
        ms_job_describe_past(j);
    return MS_OK;
}

ms_status ms_run_media(const ms_run_params *params, ms_run_report *ret_report, size_t report_bytes,
                       ms_error *err) {
    whole_run *run = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*run));
    if (!run)
        return ms_fail_alloc(err, NULL, sizeof(*run), "the run");
    ms_job *j = &run->job;
    j->p = params;
    j->store.folder.fd = -1;
    j->segment_frames = params->segment_frames ? params->segment_frames : SEGMENT_FRAMES;
    j->model = params->loaded ? params->loaded : &j->own_model;
    j->progress = (ms_progress){
        .p = params, .started = ms_now_s(), .frames_done = &j->write.frames_done, .plan = &j->redraw.plan};
    j->redraw = (ms_redraw){.model = j->model,
                            .rung = params->rung,
                            .started = j->progress.started,
                            .layout_changed = ms_job_follow_layout,
                            .arg = j};
    ms_status status = run_job(run, err);
    close_all(j, status, err);
    if (status == MS_OK && params->history)
        ms_job_record_past(j);
    ms_job_report_closed(j, status, &run->report);
    ms_sized_fill(ret_report, report_bytes, &run->report, sizeof(run->report));
    ms_mem_free(run);
    return status;
}
