/* The caller's thread: aligned faces collect to windows, go through the engine and on to the write thread. */
#include <stdlib.h>
#include <string.h>

#include "run/run_job.h"

/* How often a wait looks whether the run was cancelled. */
#define LOOK_S 0.05

ms_status ms_job_window_make(ms_job_window *w, ms_mem *mem, int64_t frames, int resolution, ms_error *err) {
    const size_t n = (size_t)frames, face = (size_t)resolution * (size_t)resolution * 3;
    w->frame = ms_alloc_array(mem, MS_LEDGER_GENERAL, n, sizeof(*w->frame));
    w->faces = ms_alloc_array(mem, MS_LEDGER_FRAMES, n, face);
    return w->frame && w->faces ? MS_OK : ms_fail_alloc(err, mem, n * face, "a window's faces");
}

void ms_job_window_free(ms_job_window *w) {
    ms_mem_free(w->frame);
    ms_mem_free(w->faces);
    w->frame = NULL;
    w->faces = NULL;
}

/* Output frames: the window's first, and the one behind it. */
static int64_t first_frame(const ms_job *j) {
    return j->window.frame[0].frame.number;
}

static int64_t behind_frame(const ms_job *j) {
    return j->window.frame[j->window.collected - 1].frame.number + 1;
}

static ms_status cancelled(const ms_job *j, ms_error *err) {
    return ms_fail(err, MS_CANCELLED, "cancelled after %lld frames",
                   (long long)atomic_load(&j->write.frames_done));
}

static ms_status fail_worker(const ms_worker *w, ms_error *err) {
    if (err)
        *err = w->err;
    return w->status;
}

/* Fills in what is leaving; a preview's frames are counted from its first. */
static void set_leaving(ms_job *j, const ms_window_frame *f, float *face) {
    j->window.leaving.frame = f->frame;
    j->window.leaving.frame.number -= j->preview.first;
    j->window.leaving.wanted = f->wanted;
    j->window.leaving.face = face;
}

/* Hands what is leaving to the write thread, which owns its buffers then. */
static ms_status hand_on(ms_job *j, ms_error *err) {
    if (ms_preview_leaves_out(&j->preview, &j->window.leaving.frame)) {
        ms_write_thread_drop(&j->write, &j->window.leaving);
        return MS_OK;
    }
    ms_queue_result result = MS_QUEUE_TIMEOUT;
    ms_progress_enter(&j->progress, "write");
    while (result == MS_QUEUE_TIMEOUT && ms_progress_poll(&j->progress) == MS_OK)
        result = ms_queue_push(j->write.finished, &j->window.leaving, LOOK_S);
    ms_progress_did(&j->progress, result == MS_QUEUE_DONE);
    if (result == MS_QUEUE_DONE) {
        j->preview.handed = j->window.leaving.frame.number + 1;
        return MS_OK;
    }
    ms_write_thread_drop(&j->write, &j->window.leaving);
    if (result == MS_QUEUE_TIMEOUT)
        return cancelled(j, err);
    return fail_worker(&j->write.worker, err);
}

/* place: where finding faces could go on behind the segment that the frame ends. */
static void mark_segment_end(ms_job *j, bool forward, const ms_resume_point *place) {
    int64_t behind = j->window.leaving.frame.number + 1;
    bool ends = behind % j->segment_frames == 0;
    j->window.leaving.ends_segment = ends || behind == j->store.total;
    j->window.leaving.has_place = ends && forward;
    if (j->window.leaving.has_place)
        j->window.leaving.place = *place;
}

/* The window's next frame, with a face from the pool. A segment that ends within a window goes on at the
   window's beginning, one that ends with it behind it. */
static ms_status send(ms_job *j, int64_t index, float *face, ms_error *err) {
    ms_window_frame *f = &j->window.frame[index];
    set_leaving(j, f, face);
    f->frame.rgb = NULL;
    mark_segment_end(j, f->forward, index == j->window.collected - 1 ? &j->here : &j->window.start);
    j->window.delivered = index + 1;
    ms_status status = hand_on(j, err);
    j->window.ended = status != MS_OK;
    ms_progress_enter(&j->progress, "decode");
    return status;
}

/* Only what was read before the video was looked at and found unchanged is worth keeping. */
static bool may_keep(const ms_job *j) {
    return j->store.faces && ms_inputs_check_video(&j->in, NULL) == MS_OK;
}

/* A redrawn face. */
static ms_status deliver(void *arg, int64_t index, const float *face, ms_error *err) {
    ms_job *j = arg;
    if (index < j->window.delivered) /* before an allocation failed and the window began anew */
        return MS_OK;
    size_t side = (size_t)j->geometry.resolution;
    float *copy = ms_buffer_pool_take(j->write.redrawn, "a redrawn face", err);
    if (!copy)
        return MS_HOST_MEMORY;
    memcpy(copy, face, side * side * 3 * sizeof(float));
    if (j->window.frame[index].wanted && may_keep(j))
        ms_face_store_put(j->store.faces, j->window.frame[index].frame.number, copy);
    ms_progress_did(&j->progress, 1);
    return send(j, index, copy, err);
}

/* The window's faces as far as an earlier run had redrawn them. */
static ms_status deliver_kept(ms_job *j, ms_error *err) {
    for (int64_t i = 0; j->store.faces && i < j->window.collected; i++) {
        float *face = NULL;
        if (j->window.frame[i].wanted) {
            face = ms_buffer_pool_take(j->write.redrawn, "a redrawn face", err);
            if (!face)
                return MS_HOST_MEMORY;
            if (!ms_face_store_get(j->store.faces, j->window.frame[i].frame.number, face)) {
                ms_buffer_pool_put(j->write.redrawn, face);
                return MS_OK;
            }
        }
        MS_TRY(send(j, i, face, err));
    }
    return MS_OK;
}

/* What the allocator keeps of freed memory goes back to the system now and then, as the profile says. */
static void clean_up(ms_job *j) {
    int64_t interval = j->model->policy.profile.value[MS_FIELD_CLEAN_UP_FRAMES], frame = first_frame(j);
    if (interval == 0 || llabs((long long)(frame - j->window.cleaned)) < interval)
        return;
    ms_mem_trim();
    j->window.cleaned = frame;
}

/* Again and again while memory for it can be had with a smaller layout. */
static ms_status compute_window(ms_job *j, ms_error *err) {
    ms_window w = {.frames = j->window.collected,
                   .first_frame = first_frame(j) - j->in.range.before,
                   .faces = j->window.faces,
                   .deliver = deliver,
                   .arg = j};
    MS_TRY(ms_redraw_follow(&j->redraw, first_frame(j), err));
    clean_up(j);
    if (j->store.faces)
        ms_face_store_begin_window(j->store.faces, first_frame(j), behind_frame(j));
    ms_progress_mark_window(&j->progress);
    for (;;) {
        ms_progress_enter(&j->progress, "audio");
        ms_status status = ms_engine_run_window(j->redraw.engine, &w, err);
        if (status == MS_OK || j->window.ended) /* what failed is not the window */
            return status;
        MS_TRY(ms_redraw_recover(&j->redraw, first_frame(j), status, err));
        ms_progress_return_to_mark(&j->progress);
    }
}

static ms_status flush_window(ms_job *j, ms_error *err) {
    if (j->window.collected == 0)
        return MS_OK;
    j->preview.worked += j->window.collected;
    j->window.delivered = 0;
    ms_progress_begin_window(&j->progress, j->window.collected, ms_job_speech_segments(j, behind_frame(j)));
    MS_TRY(deliver_kept(j, err));
    bool kept = j->window.delivered == j->window.collected;
    j->window.kept += kept;
    j->window.computed += !kept;
    if (kept)
        ms_progress_skip_window(&j->progress);
    else
        MS_TRY(compute_window(j, err));
    if (may_keep(j))
        ms_face_store_end_window(j->store.faces);
    ms_progress_enter(&j->progress, "faces");
    j->window.collected = 0;
    return MS_OK;
}

static void collect(ms_job *j, const ms_ready_frame *f) {
    size_t face = (size_t)j->geometry.resolution * (size_t)j->geometry.resolution * 3;
    if (j->window.collected == 0 && f->forward)
        j->window.start = j->here;
    ms_preview_begin(&j->preview, f->frame.number);
    memcpy(j->window.faces + (size_t)j->window.collected * face, f->face, face);
    ms_buffer_pool_put(j->faces.aligned, f->face);
    j->window.frame[j->window.collected++] =
        (ms_window_frame){.frame = f->frame, .wanted = f->wanted, .forward = f->forward};
    if (f->forward)
        j->here = f->after;
}

static ms_status pass_through(ms_job *j, const ms_ready_frame *f, ms_error *err) {
    const ms_window_frame passing = {.frame = f->frame, .wanted = f->wanted, .forward = f->forward};
    set_leaving(j, &passing, NULL);
    if (f->forward)
        j->here = f->after;
    mark_segment_end(j, f->forward, &j->here);
    MS_TRY(hand_on(j, err));
    ms_progress_enter(&j->progress, "faces");
    return MS_OK;
}

static ms_status take_frame(ms_job *j, const ms_ready_frame *f, ms_error *err) {
    if (f->pause)
        return flush_window(j, err);
    if (ms_window_ends(j->window.collected, ms_engine_window_frames(j->redraw.engine), &f->frame.pose)) {
        ms_status status = flush_window(j, err);
        if (status != MS_OK) {
            ms_face_thread_drop(&j->faces, f);
            return status;
        }
    }
    if (!f->frame.pose.present)
        return pass_through(j, f, err);
    collect(j, f);
    return MS_OK;
}

static ms_status next_ready(ms_job *j, bool *ret_got, ms_error *err) {
    ms_queue_result result = MS_QUEUE_TIMEOUT;
    while (result == MS_QUEUE_TIMEOUT && ms_progress_poll(&j->progress) == MS_OK) {
        if (atomic_load(&j->write.failed)) /* maybe of the last frames that there are for it */
            return fail_worker(&j->write.worker, err);
        result = ms_queue_take(j->faces.ready, &j->window.taken, LOOK_S);
    }
    *ret_got = result == MS_QUEUE_DONE;
    if (*ret_got && !j->window.taken.pause) {
        ms_progress_frame_came(&j->progress, j->window.taken.frame.pose.present);
    }
    if (result == MS_QUEUE_TIMEOUT)
        return cancelled(j, err);
    return *ret_got || j->faces.worker.status == MS_OK ? MS_OK : fail_worker(&j->faces.worker, err);
}

static ms_status run_windows(ms_job *j, ms_error *err) {
    bool got = true;
    ms_progress_enter(&j->progress, "faces");
    MS_TRY(ms_write_thread_start(&j->write, err));
    MS_TRY(ms_face_thread_start(&j->faces, err));
    while (got && !ms_preview_is_done(&j->preview)) {
        MS_TRY(next_ready(j, &got, err));
        if (got)
            MS_TRY(take_frame(j, &j->window.taken, err));
    }
    return ms_preview_is_done(&j->preview) ? MS_OK : flush_window(j, err);
}

/* Once the threads have ended: how long the output is, and what its frames are. */
static ms_status count_frames(ms_job *j, ms_error *err) {
    const ms_frame_order *order = ms_frame_source_order(j->from.frames);
    int64_t first = j->preview.first, frames = ms_frame_order_frames(order);
    if (j->preview.frames)
        frames = first + j->preview.handed;
    j->total = frames - first;
    return ms_inputs_count_faces(&j->in, order, first, frames, &j->counts, err);
}

ms_status ms_job_check_counts(const ms_job *j, ms_error *err) {
    const ms_face_tally *tally = ms_job_tally(j);
    int64_t within = ms_inputs_frames_within(&j->in, j->total);
    if (within == 0 && j->preview.frames && j->here.frame > j->in.range.before)
        return ms_fail_no_face(j->p->video, j->p->face, j->p->track, j->here.frame - j->in.range.before,
                               tally, err);
    if (within == 0 && j->in.range.first > 0)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s ends before the range begins, at frame %lld (start: %.3f s)", j->p->video,
                       (long long)j->in.range.first, (double)j->p->start_us / 1e6);
    if (within == 0)
        return ms_fail(err, MS_BAD_MEDIA, "%s: has no frames", j->p->video);
    if (j->counts.without_face == within)
        return ms_fail_no_face(j->p->video, j->p->face, j->p->track, within, tally, err);
    return MS_OK;
}

/* All faces are known now: who goes on with the job need not find any. */
static ms_status note_end(ms_job *j, ms_error *err) {
    if (!j->faces.found_all || !j->p->output)
        return MS_OK;
    return ms_run_store_note_place(&j->store, &j->faces.end, err);
}

ms_status ms_job_run_frames(ms_job *j, ms_error *err) {
    ms_status status = run_windows(j, err);
    ms_progress_write_up(&j->progress);
    ms_face_thread_stop(&j->faces);
    ms_write_thread_stop(&j->write, status == MS_OK);
    for (int64_t i = 0; i < j->window.collected; i++)
        ms_buffer_pool_put(j->from.pictures, j->window.frame[i].frame.rgb);
    j->window.collected = 0;
    ms_progress_tell(&j->progress);
    if (status == MS_CANCELLED)
        return cancelled(j, err);
    if (status != MS_OK)
        return status;
    if (j->write.worker.status != MS_OK)
        return fail_worker(&j->write.worker, err);
    MS_TRY(count_frames(j, err));
    MS_TRY(ms_job_check_counts(j, err));
    return note_end(j, err);
}
