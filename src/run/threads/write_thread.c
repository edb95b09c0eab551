#include "run/threads/write_thread.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "planner/run_plan.h"
#include "report/run_report.h"

/* Segments of a run that were removed while they were made, after which another one ends it. */
#define MOST_LOST 16

/* ---- buffers ---- */

ms_status ms_write_thread_make_buffers(ms_write_thread *t, const ms_face_geometry *geometry,
                                       bool outputs_kept, ms_error *err) {
    const ms_video_info *info = ms_clip_info(t->clip);
    const size_t side = (size_t)geometry->resolution;
    if (ms_restore_workspace_bytes(geometry, info->width, info->height, ms_pool_threads(t->pool)) == 0)
        return ms_fail(err, MS_BAD_MEDIA, "%s: a picture of %dx%d is out of range", t->p->video, info->width,
                       info->height);
    MS_TRY(ms_restorer_make(t->mem, t->pool, geometry, info->width, info->height,
                            t->p->paste == MS_PASTE_MOUTH, &t->restorer, err));
    MS_TRY(ms_buffer_pool_create(t->mem, side * side * 3 * sizeof(float), outputs_kept, &t->redrawn, err));
    return ms_queue_create(t->mem, MS_RUN_REDRAWN_FRAMES, sizeof(ms_redrawn_frame), &t->finished, err);
}

void ms_write_thread_free_buffers(ms_write_thread *t) {
    ms_queue_destroy(&t->finished);
    ms_buffer_pool_destroy(&t->redrawn);
    ms_restorer_free(&t->restorer);
}

/* ---- a frame ---- */

/* A row of the video, as it is written. */
static size_t row_bytes(const ms_write_thread *t) {
    const ms_video_info *info = ms_clip_info(t->clip);
    return (size_t)info->width * 3 * (info->deep ? sizeof(uint16_t) : 1);
}

/* The frame itself, or its signal where HDR is kept. */
static const uint8_t *written(const ms_write_thread *t, uint8_t *rgb) {
    const uint16_t *deep = ms_clip_deep(t->clip, rgb);
    return deep ? (const uint8_t *)deep : rgb;
}

/* One half of a preview's picture. */
static void put_half(ms_write_thread *t, uint8_t *rgb, size_t half) {
    const uint8_t *picture = written(t, rgb);
    size_t row = row_bytes(t);
    for (int y = 0; y < ms_clip_info(t->clip)->height; y++)
        memcpy(t->pair + (2 * (size_t)y + half) * row, picture + (size_t)y * row, row);
}

static const uint8_t *picture_of(ms_write_thread *t, uint8_t *rgb) {
    if (!t->pair)
        return written(t, rgb);
    put_half(t, rgb, 1);
    return t->pair;
}

static ms_status restore(ms_write_thread *t, const ms_redrawn_frame *f, ms_error *err) {
    const ms_video_info *info = ms_clip_info(t->clip);
    const ms_image image = ms_image_rgb(f->frame.rgb, info->width, info->height);
    MS_TRY(ms_restorer_put(&t->restorer, f->face, (const float(*)[3])f->frame.pose.affine, &image, err));
    ms_clip_put_back(t->clip, f->frame.rgb);
    return MS_OK;
}

static ms_status end_segment(ms_write_thread *t, ms_error *err) {
    int64_t frames = ms_video_segment_frames(t->segment);
    MS_TRY(t->check(t->arg, err));
    ms_status status = ms_video_segment_finish(&t->segment, err);
    if (status == MS_OK)
        status = ms_run_store_end_segment(t->store, t->name, t->number, frames, err);
    const bool lost = status == MS_IO && atomic_load(&t->segments_lost) < MOST_LOST &&
                      ms_run_store_lost_segment(t->store, t->name, t->number);
    if (status != MS_OK && !lost)
        return status;
    t->frames_lost = lost ? frames : 0;
    if (lost) {
        ms_error_clear(err);
        atomic_fetch_add(&t->segments_lost, 1);
    }
    atomic_fetch_add(&t->segments_ended, 1);
    return MS_OK;
}

/* Opens the frame's segment. The one before may be the output's last, which is ended by what comes after
   it. */
static ms_status use_segment(ms_write_thread *t, int64_t frame, ms_error *err) {
    int64_t number = frame / t->store->segment_frames;
    if (t->segment && t->number == number)
        return MS_OK;
    if (t->segment)
        MS_TRY(end_segment(t, err));
    char path[MS_JOB_PATH_BYTES];
    int fd = -1;
    ms_packet_label label;
    t->number = number;
    MS_TRY(ms_run_store_begin_segment(t->store, number, t->name, &fd, &label, err));
    ms_job_folder_file(&t->store->folder, t->name, path);
    return ms_video_segment_open(t->mem, fd, path, &t->writer, &label, &t->segment, err);
}

static ms_status give_out(ms_write_thread *t, const ms_redrawn_frame *f, ms_error *err) {
    const ms_video_info *info = ms_clip_info(t->clip);
    MS_TRY(ms_run_give_frame(t->p, f->frame.number, f->frame.rgb, info->width, info->height, err));
    if (!t->p->output) { /* that was all */
        t->store->frames++;
        atomic_fetch_add(&t->frames_done, 1);
        return MS_OK;
    }
    MS_TRY(use_segment(t, f->frame.number, err));
    MS_TRY(ms_video_segment_write(t->segment, picture_of(t, f->frame.rgb), 0, err));
    t->frames_lost = 0;
    if (f->ends_segment)
        MS_TRY(end_segment(t, err));
    atomic_fetch_add(&t->frames_done, 1 - t->frames_lost);
    return MS_OK;
}

static ms_status redraw(ms_write_thread *t, const ms_redrawn_frame *f, ms_error *err) {
    if (t->pair)
        put_half(t, f->frame.rgb, 0);
    if (f->face)
        MS_TRY(restore(t, f, err));
    return give_out(t, f, err);
}

static ms_status take(ms_write_thread *t, const ms_redrawn_frame *f, ms_error *err) {
    if (f->wanted)
        MS_TRY(redraw(t, f, err));
    if (!f->has_place || !t->p->output)
        return MS_OK;
    if (!f->wanted) /* else its segment's end has looked */
        MS_TRY(t->check(t->arg, err));
    return ms_run_store_note_place(t->store, &f->place, err);
}

void ms_write_thread_drop(ms_write_thread *t, const ms_redrawn_frame *f) {
    ms_buffer_pool_put(t->pictures, f->frame.rgb);
    ms_buffer_pool_put(t->redrawn, f->face);
}

static void *write_main(void *arg) {
    ms_write_thread *t = arg;
    ms_worker *w = &t->worker;
    while (w->status == MS_OK && ms_queue_take(t->finished, &t->writing, -1) == MS_QUEUE_DONE) {
        double began = ms_now_s();
        w->status = take(t, &t->writing, &w->err);
        if (w->status != MS_OK)
            ms_error_where(&w->err, "write", t->writing.frame.number);
        atomic_store(&t->failed, w->status != MS_OK); /* who hands on no more would not hear of it */
        ms_write_thread_drop(t, &t->writing);
        w->busy_s += ms_now_s() - began;
    }
    if (w->status == MS_OK && t->whole && t->segment)
        w->status = end_segment(t, &w->err);
    if (t->segment)
        ms_job_folder_unlink(&t->store->folder, t->name);
    ms_video_segment_abort(&t->segment);
    ms_queue_abort(t->finished);
    return NULL;
}

ms_status ms_write_thread_start(ms_write_thread *t, ms_error *err) {
    if (pthread_create(&t->worker.thread, NULL, write_main, t) != 0)
        return ms_fail(err, MS_HOST_MEMORY, "cannot start the thread that writes frames");
    t->worker.started = true;
    return MS_OK;
}

void ms_write_thread_stop(ms_write_thread *t, bool whole) {
    if (!t->worker.started)
        return;
    t->whole = whole;
    ms_queue_close(t->finished);
    pthread_join(t->worker.thread, NULL);
    t->worker.started = false;
    while (ms_queue_take_left(t->finished, &t->writing))
        ms_write_thread_drop(t, &t->writing);
}
