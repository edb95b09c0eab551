/* ms_run(): frames of the clip go through face stage, engine and restoration to the writer, a window at a
 * time. */
#include "memory/host.h"
#include "pipeline/run_job.h"

static void close_all(ms_job *j) {
    ms_run_pressure_close(&j->pressure);
    for (int64_t i = 0; i < j->collected; i++)
        ms_face_stage_put(j->stage, j->window[i].rgb);
    ms_video_writer_abort(&j->writer);
    ms_audio_reader_close(&j->sound);
    ms_frame_source_destroy(&j->source);
    ms_face_stage_destroy(&j->stage);
    ms_engine_destroy(&j->engine);
    ms_face_finder_destroy(&j->faces);
    ms_speech_close(&j->speech);
    ms_clip_close(&j->clip);
    ms_free(j->work);
    ms_free(j->window);
    ms_free(j->aligned);
    ms_device_close(&j->dev);
    if (j->base_bytes)
        ms_mem_release(j->mem, MS_LEDGER_GENERAL, j->base_bytes);
    if (j->mem)
        ms_mem_destroy(&j->mem);
}

static void fill_report(ms_job *j) {
    ms_run_report *r = &j->report;
    ms_job_enter(j, NULL);
    const ms_video_info *info = ms_clip_info(j->clip);
    ms_engine_memory memory = ms_engine_get_memory(j->engine);
    r->video_frames = ms_frame_source_clip_frames(j->source);
    r->source_frames_lost = ms_clip_frames_lost(j->clip);
    r->width = info->width;
    r->height = info->height;
    r->fps = (double)info->fps.num / (double)info->fps.den;
    r->resolution = j->geometry.resolution;
    r->arena_bytes = memory.arena_bytes;
    r->weight_bytes = memory.weight_bytes;
    r->streamed_bytes = memory.streamed_bytes;
    r->peak_resident_bytes = ms_host_peak_resident_bytes();
    r->seconds = ms_job_now_s() - j->started;
}

static ms_status run_job(ms_job *j, ms_error *err) {
    ms_job_enter(j, "load");
    MS_TRY(ms_job_open_memory(j, err));
    MS_TRY(ms_run_pressure_open(j->mem, j->p->pressure_trace, &j->pressure, err));
    MS_TRY(ms_job_open_device(j, err));
    MS_TRY(ms_job_open_inputs(j, err));
    ms_job_tell(j, 0, 0);
    MS_TRY(ms_job_open_engine(j, err));
    MS_TRY(ms_job_open_stages(j, err));
    MS_TRY(ms_job_run_frames(j, err));
    fill_report(j);
    return MS_OK;
}

ms_status ms_run_media(const ms_run_params *params, ms_run_report *ret_report, ms_error *err) {
    ms_job *j = ms_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*j));
    if (!j)
        return ms_fail_alloc(err, NULL, sizeof(*j), "the run");
    j->p = params;
    j->started = ms_job_now_s();
    ms_status status = run_job(j, err);
    if (status == MS_OK && ret_report)
        *ret_report = j->report;
    close_all(j);
    ms_free(j);
    return status;
}
