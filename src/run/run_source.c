/* Opening what frames come from: faces, poses, the clip at the place where it goes on. */
#include "report/run_report.h"
#include "run/run_job.h"
#include "run/threads/part.h"

/* The face nets run beside the engine, so they have an arena of their own. */
ms_status ms_job_open_faces(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    bool finds = !p->track && !j->store.complete;
    if (finds)
        MS_TRY(ms_model_open_faces(j->model, err));
    const ms_face_finder_params finder = {.mem = j->mem,
                                          .track = p->track,
                                          .nets = finds ? j->model->nets : NULL,
                                          .face = p->face,
                                          .max_gap = p->max_gap};
    return ms_face_finder_create(&finder, &j->from.finder, err);
}

void ms_job_close_source(ms_job_source *s) {
    ms_frame_source_destroy(&s->frames);
    ms_face_stage_destroy(&s->stage);
    ms_buffer_pool_destroy(&s->pictures);
    ms_face_finder_destroy(&s->finder);
}

const ms_face_tally *ms_job_tally(const ms_job *j) {
    static const ms_face_tally nothing;
    return j->from.finder ? ms_face_finder_tally(j->from.finder) : &nothing;
}

static bool stopped(void *arg) {
    return atomic_load(&((ms_job *)arg)->faces.stop);
}

static void add_mark(void *arg, const ms_video_mark *mark) {
    ms_clip_add_mark(((ms_job *)arg)->in.clip, mark);
}

/* Goes on at the place that the journal has, or begins. The state at the beginning is a place, too. */
static ms_status go_on(ms_job *j, ms_error *err) {
    ms_video_place place;
    if (!j->store.has_place)
        return ms_frame_source_save(j->from.frames, &j->here.state, &place, err);
    MS_TRY(ms_run_store_marks(&j->store, add_mark, j, err));
    return ms_frame_source_restore(j->from.frames, &j->here.state, j->here.frame, err);
}

static void set_work(ms_job *j) {
    bool part = j->p->work == MS_RUN_WORK_PART;
    j->faces.next = j->here.frame;
    j->faces.work = (ms_segment_work){.finished = &j->store.before,
                                      .folder = part ? &j->store.folder : NULL,
                                      .segment_frames = j->segment_frames,
                                      .window_frames = j->model->files.unet_config.num_frames,
                                      .list = part ? j->p->segments : NULL,
                                      .n_list = part ? j->p->n_segments : 0,
                                      .leases = j->p->share ? j->store.leases : NULL,
                                      .ended = &j->write.segments_ended,
                                      .lost = &j->write.segments_lost,
                                      .forward = !j->store.complete,
                                      .forward_from = j->here.frame};
    if (!j->faces.work.forward)
        j->faces.next = 0;
    if (part)
        ms_part_limit(j->p, j->total, &j->faces.work);
}

/* pictures: that have their buffers from the start; more are made when they are needed. */
ms_status ms_job_open_source(ms_job *j, int64_t pictures, ms_error *err) {
    const ms_run_params *p = j->p;
    const ms_inputs_range *range = &j->in.range;
    bool keep = p->rest == MS_REST_KEEP;
    MS_TRY(ms_buffer_pool_create(j->mem, ms_clip_frame_bytes(j->in.clip), true, &j->from.pictures, err));
    ms_face_stage_params stage = {.mem = j->mem,
                                  .clip = j->in.clip,
                                  .pictures = j->from.pictures,
                                  .source = ms_face_finder_source(j->from.finder),
                                  .geometry = j->geometry,
                                  .max_gap = p->max_gap,
                                  .first_frame = keep ? 0 : range->first,
                                  .look_first = range->first,
                                  .look_end = range->set ? range->first + range->redrawn : 0,
                                  .stopped = stopped,
                                  .arg = j};
    MS_TRY(ms_face_stage_create(&stage, &j->from.stage, err));
    MS_TRY(ms_buffer_pool_fill(j->from.pictures, pictures, err));
    if (!j->store.poses) /* a part's are read when it is planned */
        MS_TRY(ms_run_store_open_poses(&j->store, err));
    ms_frame_source_params source = {.mem = j->mem,
                                     .clip = j->in.clip,
                                     .pictures = j->from.pictures,
                                     .stage = j->from.stage,
                                     .poses = j->store.poses,
                                     .loop = ms_inputs_loop(&j->in),
                                     .wanted = ms_inputs_wanted_frames(&j->in),
                                     .base = keep ? 0 : range->first};
    MS_TRY(ms_frame_source_create(&source, &j->from.frames, err));
    return go_on(j, err);
}

static ms_status open_preview(ms_job *j, ms_error *err) {
    const size_t bytes = ms_preview_bytes(&j->in);
    if (bytes == 0)
        return MS_OK;
    j->write.pair = ms_mem_alloc(j->mem, MS_LEDGER_FRAMES, bytes);
    return j->write.pair ? MS_OK : ms_fail_alloc(err, j->mem, bytes, "the preview's pictures");
}

ms_status ms_job_open_stages(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    ms_run_clip clip = ms_job_run_clip(j);
    j->store.expected_frames = j->total;
    if (clip.turns)
        MS_TRY(ms_clip_reserve_block(j->in.clip, err));
    MS_TRY(ms_job_open_source(j, ms_run_frame_buffers(&clip), err));
    MS_TRY(ms_buffer_pool_fill(j->faces.aligned, MS_RUN_ALIGNED_FACES, err));
    MS_TRY(ms_buffer_pool_fill(j->write.redrawn, MS_RUN_REDRAWN_FACES, err));
    MS_TRY(ms_run_store_open_faces(&j->store,
                                   3 * (size_t)j->geometry.resolution * (size_t)j->geometry.resolution,
                                   j->segment_frames, err));
    size_t sink = ms_run_sink_bytes(p, ms_clip_info(j->in.clip)->width, ms_clip_info(j->in.clip)->height);
    if (!ms_mem_charge(j->mem, MS_LEDGER_FRAMES, sink))
        return ms_fail_alloc(err, j->mem, sink, "the frames that the sink keeps");
    j->sink_bytes = sink;
    MS_TRY(open_preview(j, err));
    set_work(j);
    j->faces.clip = j->in.clip;
    j->faces.pictures = j->write.pictures = j->from.pictures;
    j->faces.source = j->from.frames;
    j->faces.check = j->write.check = ms_inputs_check_video;
    j->faces.arg = j->write.arg = &j->in;
    j->write.store = &j->store;
    j->write.writer = ms_inputs_writer(&j->in);
    return MS_OK;
}
