/* The write thread: redrawn faces go back into their frames, frames into segments, finished segments into the
   journal. */
#include "pictures/restore.h"
#include "run/run_job.h"

static ms_status restore(ms_job *j, const ms_redrawn_frame *f, ms_error *err) {
    const ms_video_info *info = ms_clip_info(j->clip);
    ms_image image = {.data = f->frame.rgb,
                      .width = info->width,
                      .height = info->height,
                      .channels = 3,
                      .stride_bytes = (size_t)info->width * 3};
    ms_restore_args args = {.geometry = &j->geometry,
                            .face = f->face,
                            .affine = (const float(*)[3])f->frame.pose.affine,
                            .frame = &image,
                            .work = j->restore_work,
                            .work_bytes = j->restore_work_bytes,
                            .pool = j->model->compute.pool,
                            .region = j->region};
    MS_TRY(ms_restore_face(&args, NULL, err));
    ms_clip_put_back(j->clip, f->frame.rgb);
    return MS_OK;
}

static ms_status end_segment(ms_job *j, const ms_resume_point *resume, bool last, ms_error *err) {
    ms_journal_segment *g = &j->noting;
    g->number = j->store.segments;
    g->frames = ms_video_segment_frames(j->segment);
    g->last = last;
    g->resume = *resume;
    MS_TRY(ms_job_check_video(j, err));
    MS_TRY(ms_video_segment_finish(&j->segment, &g->bytes, err));
    return ms_run_store_add(&j->store, g, err);
}

static ms_status give_out(ms_job *j, const ms_redrawn_frame *f, ms_error *err) {
    const ms_video_info *info = ms_clip_info(j->clip);
    MS_TRY(ms_run_give_frame(j->p, f->frame.number, f->frame.rgb, info->width, info->height, err));
    if (!j->p->output) { /* that was all */
        j->store.frames++;
        atomic_fetch_add(&j->frames_done, 1);
        return MS_OK;
    }
    if (!j->segment) {
        char name[MS_JOB_NAME_BYTES], path[MS_JOB_PATH_BYTES];
        ms_video_writer_params params = ms_job_writer_params(j);
        int fd = -1;
        ms_job_segment_name(j->store.segments, name);
        ms_job_folder_file(&j->store.folder, name, path);
        MS_TRY(ms_job_folder_create(&j->store.folder, name, &fd, err));
        MS_TRY(ms_video_segment_open(j->mem, fd, path, &params, &j->segment, err));
    }
    MS_TRY(ms_video_segment_write(j->segment, ms_job_picture(j, f->frame.rgb), 0, err));
    if (f->ends_segment)
        MS_TRY(end_segment(j, &f->resume, false, err));
    atomic_fetch_add(&j->frames_done, 1);
    return MS_OK;
}

/* A run that goes on within a window makes the window's first frames again; they are in a segment already. */
static ms_status take(ms_job *j, const ms_redrawn_frame *f, ms_error *err) {
    if (f->frame.number < atomic_load(&j->frames_done))
        return MS_OK;
    ms_job_preview_before(j, f->frame.rgb);
    if (f->face)
        MS_TRY(restore(j, f, err));
    return give_out(j, f, err);
}

static void drop(ms_job *j, const ms_redrawn_frame *f) {
    ms_face_stage_put(j->stage, f->frame.rgb);
    ms_buffer_pool_put(j->redrawn, f->face);
}

static void *write_main(void *arg) {
    ms_job *j = arg;
    ms_worker *w = &j->write_worker;
    while (w->status == MS_OK && ms_queue_take(j->finished, &j->writing, -1) == MS_QUEUE_DONE) {
        double began = ms_now_s();
        w->status = take(j, &j->writing, &w->err);
        if (w->status != MS_OK)
            ms_error_where(&w->err, "write", j->writing.frame.number);
        drop(j, &j->writing);
        w->busy_s += ms_now_s() - began;
    }
    if (w->status == MS_OK && j->complete && j->segment)
        w->status = end_segment(j, &j->here, true, &w->err);
    ms_video_segment_abort(&j->segment);
    ms_queue_abort(j->finished);
    return NULL;
}

ms_status ms_job_start_write(ms_job *j, ms_error *err) {
    if (pthread_create(&j->write_worker.thread, NULL, write_main, j) != 0)
        return ms_fail(err, MS_HOST_MEMORY, "cannot start the thread that writes frames");
    j->write_worker.started = true;
    return MS_OK;
}

void ms_job_stop_write(ms_job *j, bool complete) {
    if (!j->write_worker.started)
        return;
    j->complete = complete;
    ms_queue_close(j->finished);
    pthread_join(j->write_worker.thread, NULL);
    j->write_worker.started = false;
    while (ms_queue_take_left(j->finished, &j->leaving))
        drop(j, &j->leaving);
}
