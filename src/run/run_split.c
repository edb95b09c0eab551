/* The first step of a job in parts: its faces. What the networks that redraw need is neither opened nor
   planned. */
#include "base/clock.h"
#include "run/run_job.h"

/* Faces of so many frames of the clip, as far as is known. */
static int64_t expected_frames(const ms_job *j) {
    int64_t clip = ms_inputs_clip_frames(&j->in), wanted = ms_inputs_wanted_frames(&j->in);
    return clip > 0 && clip < wanted ? clip : wanted < INT64_MAX ? wanted : 0;
}

/* By what the frames since the beginning took; those of an earlier run say nothing. */
static void tell(ms_job *j, int64_t done, double began) {
    int64_t expected = expected_frames(j), earlier = j->store.place.clip_frames;
    ms_eta_value value = {.fraction = -1, .left_s = -1};
    if (expected > 0 && done > expected)
        expected = done;
    if (expected > 0 && done > earlier) {
        value.fraction = (double)done / (double)expected;
        value.left_s = (ms_now_s() - began) / (double)(done - earlier) * (double)(expected - done);
    }
    if (ms_progress_is_time_to_tell(&j->progress))
        ms_progress_tell_frames(&j->progress, done, expected, &value);
}

/* Places while faces are found: behind the last frame, and at the beginning of its window. */
typedef struct split_places {
    ms_resume_point here, window_start;
    int64_t in_window;
} split_places;

static ms_status note_place(ms_job *j, const ms_resume_point *place, ms_error *err) {
    MS_TRY(ms_inputs_check_video(&j->in, err));
    return ms_run_store_note_place(&j->store, place, err);
}

/* As a run cuts windows, so that one that goes on from a place makes the same. */
static ms_status pass_frame(ms_job *j, const ms_output_frame *f, split_places *p, ms_error *err) {
    if (ms_window_ends(p->in_window, j->model->files.unet_config.num_frames, &f->pose))
        p->in_window = 0;
    if (p->in_window == 0)
        p->window_start = p->here;
    p->in_window += f->pose.present;
    MS_TRY(ms_save_place(j->from.frames, f->number + 1, &p->here, err));
    if ((f->number + 1) % j->segment_frames != 0)
        return MS_OK;
    return note_place(j, f->pose.present ? &p->window_start : &p->here, err);
}

/* Through the clip once, or as far as the output shows it. */
static ms_status find_faces(ms_job *j, split_places *p, ms_error *err) {
    const ms_frame_order *order = ms_frame_source_order(j->from.frames);
    double began = ms_now_s();
    p->here = p->window_start = j->here;
    while (!ms_frame_order_is_complete(order)) {
        ms_output_frame frame;
        bool got = false;
        if (j->p->cancelled && j->p->cancelled(j->p->arg))
            return ms_fail(err, MS_CANCELLED, "cancelled when the faces of %lld frames were found",
                           (long long)order->clip_frames);
        MS_TRY(ms_frame_source_next(j->from.frames, &frame, &got, err));
        if (!got)
            break;
        ms_buffer_pool_put(j->from.pictures, frame.rgb);
        MS_TRY(pass_frame(j, &frame, p, err));
        tell(j, p->here.frame, began);
    }
    return ms_save_place(j->from.frames, p->here.frame, &p->here, err);
}

/* What has no face, or no frame, is no job. */
static ms_status end(ms_job *j, const split_places *p, ms_error *err) {
    const ms_frame_order *order = ms_frame_source_order(j->from.frames);
    MS_TRY(ms_used_model_check(&j->used, err));
    j->total = ms_frame_order_frames(order);
    MS_TRY(ms_inputs_count_faces(&j->in, order, 0, j->total, &j->counts, err));
    MS_TRY(ms_job_check_counts(j, err));
    return note_place(j, &p->here, err);
}

ms_status ms_job_split(ms_job *j, ms_error *err) {
    ms_progress_enter(&j->progress, ms_stage_name(MS_STAGE_FACES));
    ms_progress_tell(&j->progress); /* the job's folder is there */
    MS_TRY(ms_face_geometry_init(ms_inputs_resolution(&j->in), &j->geometry, err));
    MS_TRY(ms_job_open_faces(j, err));
    MS_TRY(ms_job_open_source(j, 0, err));
    split_places *places = ms_mem_calloc(j->mem, MS_LEDGER_GENERAL, 1, sizeof(*places));
    if (!places)
        return ms_fail_alloc(err, j->mem, sizeof(*places), "places in the video");
    ms_status status = find_faces(j, places, err);
    if (status == MS_OK)
        status = end(j, places, err);
    ms_mem_free(places);
    return status;
}
