/* The first step of a job in parts: its faces. What the networks that redraw need is neither opened nor
   planned. */
#include "run/run_job.h"

#define TELL_S 0.1

/* Faces of so many frames of the clip, as far as is known. */
static int64_t expected_frames(const ms_job *j) {
    int64_t clip = ms_job_clip_frames(j);
    return clip > 0 && clip < j->wanted ? clip : j->wanted < INT64_MAX ? j->wanted : 0;
}

static void tell(ms_job *j, int64_t done, double began) {
    double now = ms_now_s(), spent = now - began;
    int64_t expected = expected_frames(j), earlier = j->store.place.clip_frames;
    if (!j->p->progress || now - j->started - j->told_s < TELL_S)
        return;
    j->told_s = now - j->started;
    ms_run_progress progress = {.stage = ms_stage_name(MS_STAGE_FACES),
                                .frames_done = done,
                                .frames_total = expected > 0 && done > expected ? done : expected,
                                .seconds = now - j->started,
                                .fraction = -1,
                                .eta_s = -1};
    if (expected > 0 && done > earlier) {
        double left = (double)(progress.frames_total - done);
        progress.fraction = (double)done / (double)progress.frames_total;
        progress.eta_s = spent / (double)(done - earlier) * left;
    }
    j->p->progress(j->p->arg, &progress);
}

static ms_status note_place(ms_job *j, int64_t frame, ms_resume_point *place, ms_error *err) {
    MS_TRY(ms_job_check_video(j, err));
    MS_TRY(ms_save_place(j->source, frame, place, err));
    return ms_run_store_note_place(&j->store, place, err);
}

/* Through the clip once, or as far as the output shows it. */
static ms_status find_faces(ms_job *j, ms_resume_point *place, ms_error *err) {
    const ms_frame_order *order = ms_frame_source_order(j->source);
    int64_t done = j->here.frame;
    double began = ms_now_s();
    while (!ms_frame_order_is_complete(order)) {
        ms_output_frame frame;
        bool got = false;
        if (j->p->cancelled && j->p->cancelled(j->p->arg))
            return ms_fail(err, MS_CANCELLED, "cancelled when the faces of %lld frames were found",
                           (long long)order->clip_frames);
        MS_TRY(ms_frame_source_next(j->source, &frame, &got, err));
        if (!got)
            break;
        ms_buffer_pool_put(j->pictures, frame.rgb);
        done = frame.number + 1;
        if (done % j->segment_frames == 0)
            MS_TRY(note_place(j, done, place, err));
        tell(j, done, began);
    }
    return note_place(j, done, place, err);
}

ms_status ms_job_split(ms_job *j, ms_error *err) {
    ms_job_enter(j, ms_stage_name(MS_STAGE_FACES));
    j->wanted = ms_job_wanted_frames(j);
    j->resolution = ms_job_wanted_resolution(j);
    MS_TRY(ms_face_geometry_init(j->resolution, &j->geometry, err));
    MS_TRY(ms_job_open_faces(j, err));
    MS_TRY(ms_job_open_source(j, 0, err));
    ms_resume_point *place = ms_mem_alloc(j->mem, MS_LEDGER_GENERAL, sizeof(*place));
    if (!place)
        return ms_fail_alloc(err, j->mem, sizeof(*place), "a place in the video");
    ms_status status = find_faces(j, place, err);
    ms_mem_free(place);
    MS_TRY(status);
    MS_TRY(ms_job_check_model(j, err));
    const ms_frame_order *order = ms_frame_source_order(j->source);
    j->total = ms_frame_order_frames(order);
    MS_TRY(ms_job_count_faces(j, order, 0, j->total, err));
    return ms_job_check_counts(j, err);
}
