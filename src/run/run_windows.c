/* The caller's thread: aligned faces collect to windows, go through the engine and on to the write thread. */
#include <string.h>

#include "run/run_job.h"

/* How often a wait looks whether the run was cancelled. */
#define LOOK_S 0.05

static ms_status cancelled(const ms_job *j, ms_error *err) {
    return ms_fail(err, MS_CANCELLED, "cancelled after %lld frames",
                   (long long)atomic_load(&j->write.frames_done));
}

/* Fills j->leaving; a preview's frames are counted from its first. */
static void set_leaving(ms_job *j, const ms_output_frame *frame, float *face) {
    j->leaving.frame = *frame;
    j->leaving.frame.number -= j->preview.first;
    j->leaving.face = face;
}

/* Hands j->leaving to the write thread, which owns its buffers then. */
static ms_status hand_on(ms_job *j, ms_error *err) {
    if (ms_job_preview_leaves_out(j, &j->leaving.frame)) {
        ms_write_thread_drop(&j->write, &j->leaving);
        return MS_OK;
    }
    ms_queue_result result = MS_QUEUE_TIMEOUT;
    ms_job_enter(j, "write");
    while (result == MS_QUEUE_TIMEOUT && ms_job_poll(j) == MS_OK)
        result = ms_queue_push(j->write.finished, &j->leaving, LOOK_S);
    ms_job_did(j, result == MS_QUEUE_DONE);
    if (result == MS_QUEUE_DONE) {
        j->preview.handed = j->leaving.frame.number + 1;
        return MS_OK;
    }
    ms_write_thread_drop(&j->write, &j->leaving);
    if (result == MS_QUEUE_TIMEOUT)
        return cancelled(j, err);
    if (err)
        *err = j->write.worker.err;
    return j->write.worker.status;
}

static void mark_segment_end(ms_job *j, const ms_resume_point *resume) {
    j->leaving.ends_segment = (j->leaving.frame.number + 1) % j->segment_frames == 0;
    if (j->leaving.ends_segment)
        j->leaving.resume = *resume;
}

/* The window's next frame, with a face from the pool. A segment that ends within a window goes on at the window's
   beginning, one that ends with it behind it. */
static ms_status send(ms_job *j, int64_t index, float *face, ms_error *err) {
    set_leaving(j, &j->window[index], face);
    j->window[index].rgb = NULL;
    mark_segment_end(j, index == j->collected - 1 ? &j->here : &j->window_start);
    j->delivered = index + 1;
    ms_status status = hand_on(j, err);
    j->ended = status != MS_OK;
    ms_job_enter(j, "decode");
    return status;
}

/* Its segment was finished by an earlier run: the write thread does nothing with it. */
static bool is_finished(const ms_job *j, int64_t index) {
    return j->window[index].number < j->frames_before;
}

/* Only what was read before the video was looked at and found unchanged is worth keeping. */
static bool may_keep(const ms_job *j) {
    return j->store.faces && ms_job_check_video(j, NULL) == MS_OK;
}

/* A redrawn face. */
static ms_status deliver(void *arg, int64_t index, const float *face, ms_error *err) {
    ms_job *j = arg;
    if (index < j->delivered) /* before an allocation failed and the window began anew */
        return MS_OK;
    size_t side = (size_t)j->geometry.resolution;
    float *copy = ms_buffer_pool_take(j->write.redrawn, "a redrawn face", err);
    if (!copy)
        return MS_HOST_MEMORY;
    memcpy(copy, face, side * side * 3 * sizeof(float));
    if (!is_finished(j, index) && may_keep(j))
        ms_face_store_put(j->store.faces, j->window[index].number, copy);
    ms_job_did(j, 1);
    return send(j, index, copy, err);
}

/* The window's faces as far as an earlier run had redrawn them. */
static ms_status deliver_kept(ms_job *j, ms_error *err) {
    for (int64_t i = 0; j->store.faces && i < j->collected; i++) {
        float *face = NULL;
        if (!is_finished(j, i)) {
            face = ms_buffer_pool_take(j->write.redrawn, "a redrawn face", err);
            if (!face)
                return MS_HOST_MEMORY;
            if (!ms_face_store_get(j->store.faces, j->window[i].number, face)) {
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
    int64_t interval = j->model->policy.profile.value[MS_FIELD_CLEAN_UP_FRAMES], frame = j->window[0].number;
    if (interval == 0 || frame - j->cleaned < interval)
        return;
    ms_mem_trim();
    j->cleaned = frame;
}

static ms_status flush_window(ms_job *j, ms_error *err) {
    if (j->collected == 0)
        return MS_OK;
    ms_window w = {.frames = j->collected,
                   .first_frame = j->window[0].number - j->range.before,
                   .faces = j->window_faces,
                   .deliver = deliver,
                   .arg = j};
    j->here.windows++;
    j->preview.worked += j->collected;
    j->delivered = 0;
    MS_TRY(deliver_kept(j, err));
    bool kept = j->delivered == j->collected;
    j->windows_kept += kept;
    j->windows_computed += !kept;
    if (kept) {
        ms_job_skip_window(j);
    } else {
        MS_TRY(ms_redraw_follow(&j->redraw, j->window[0].number, err));
        clean_up(j);
    }
    ms_job_mark_window(j);
    while (!kept) {
        ms_job_enter(j, "audio");
        ms_status status = ms_engine_run_window(j->redraw.engine, &w, err);
        if (status == MS_OK)
            break;
        if (j->ended) /* what failed is not the window */
            return status;
        MS_TRY(ms_redraw_recover(&j->redraw, j->window[0].number, status, err));
        ms_job_return_to_mark(j);
    }
    if (may_keep(j))
        ms_face_store_end_window(j->store.faces, j->here.frame);
    ms_job_enter(j, "faces");
    j->collected = 0;
    return MS_OK;
}

/* The counts go on while frames are taken, the rest is what the face thread saved. */
static void step_to(ms_job *j, const ms_resume_point *after) {
    ms_resume_point counts = j->here;
    j->here = *after;
    j->here.windows = counts.windows;
    j->here.without_face = counts.without_face;
    j->here.interpolated = counts.interpolated;
}

static void collect(ms_job *j, const ms_ready_frame *f) {
    size_t face = (size_t)j->geometry.resolution * (size_t)j->geometry.resolution * 3;
    if (j->collected == 0)
        j->window_start = j->here;
    if (j->preview.frames && !j->preview.begun) {
        j->preview.begun = true;
        j->preview.first = f->frame.number;
    }
    memcpy(j->window_faces + (size_t)j->collected * face, f->face, face);
    ms_buffer_pool_put(j->faces.aligned, f->face);
    j->window[j->collected++] = f->frame;
    j->here.interpolated += f->frame.pose.interpolated;
    step_to(j, &f->after);
}

static bool is_within(const ms_job *j, int64_t frame) {
    return ms_job_frames_within(j, frame + 1) > ms_job_frames_within(j, frame);
}

static ms_status pass_through(ms_job *j, const ms_ready_frame *f, ms_error *err) {
    set_leaving(j, &f->frame, NULL);
    if (is_within(j, f->frame.number) && !ms_job_preview_leaves_out(j, &j->leaving.frame))
        j->here.without_face++;
    step_to(j, &f->after);
    mark_segment_end(j, &j->here);
    MS_TRY(hand_on(j, err));
    ms_job_enter(j, "faces");
    return MS_OK;
}

static ms_status take_frame(ms_job *j, const ms_ready_frame *f, ms_error *err) {
    bool full = j->collected == ms_engine_window_frames(j->redraw.engine);
    if (full || f->frame.pose.begins || !f->frame.pose.present) {
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
    while (result == MS_QUEUE_TIMEOUT && ms_job_poll(j) == MS_OK) {
        result = ms_queue_take(j->faces.ready, &j->taken, LOOK_S);
    }
    *ret_got = result == MS_QUEUE_DONE;
    if (*ret_got) {
        ms_job_did(j, 1);
        ms_eta_frame(&j->eta, j->taken.frame.pose.present);
    }
    if (result == MS_QUEUE_TIMEOUT)
        return cancelled(j, err);
    if (!*ret_got && j->faces.worker.status != MS_OK) {
        if (err)
            *err = j->faces.worker.err;
        return j->faces.worker.status;
    }
    return MS_OK;
}

static ms_status run_windows(ms_job *j, ms_error *err) {
    bool got = true;
    ms_job_enter(j, "faces");
    MS_TRY(ms_write_thread_start(&j->write, err));
    MS_TRY(ms_face_thread_start(&j->faces, err));
    while (got && !ms_job_preview_done(j)) {
        MS_TRY(next_ready(j, &got, err));
        if (got)
            MS_TRY(take_frame(j, &j->taken, err));
    }
    return ms_job_preview_done(j) ? MS_OK : flush_window(j, err);
}

static ms_status check_result(ms_job *j, ms_error *err) {
    if (j->write.worker.status != MS_OK) {
        if (err)
            *err = j->write.worker.err;
        return j->write.worker.status;
    }
    int64_t within = ms_job_frames_within(j, j->store.frames);
    if (within == 0 && j->preview.frames && j->here.frame > j->range.before)
        return ms_fail_no_face(j->p->video, j->p->face, j->p->track, j->here.frame - j->range.before,
                               ms_face_finder_tally(j->finder), err);
    if (within == 0 && j->range.first > 0)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s ends before the range begins, at frame %lld (start: %.3f s)", j->p->video,
                       (long long)j->range.first, (double)j->p->start_us / 1e6);
    if (within == 0)
        return ms_fail(err, MS_BAD_MEDIA, "%s: has no frames", j->p->video);
    if (j->here.without_face == within)
        return ms_fail_no_face(j->p->video, j->p->face, j->p->track, within, ms_face_finder_tally(j->finder),
                               err);
    return MS_OK;
}

ms_status ms_job_run_frames(ms_job *j, ms_error *err) {
    ms_status status = run_windows(j, err);
    ms_job_write_up(j);
    ms_face_thread_stop(&j->faces);
    ms_write_thread_stop(&j->write, status == MS_OK ? &j->here : NULL);
    for (int64_t i = 0; i < j->collected; i++)
        ms_face_stage_put(j->stage, j->window[i].rgb);
    j->collected = 0;
    ms_job_tell(j);
    if (status == MS_CANCELLED)
        return cancelled(j, err);
    return status == MS_OK ? check_result(j, err) : status;
}
