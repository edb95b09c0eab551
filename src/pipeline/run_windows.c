/* The frames of a run: they collect to windows, go through the engine and back into their pictures. */
#include "face/restore.h"
#include "pipeline/run_job.h"

static ms_image frame_image(const ms_job *j, uint8_t *rgb) {
    const ms_video_info *info = ms_clip_info(j->clip);
    return (ms_image){.data = rgb,
                      .width = info->width,
                      .height = info->height,
                      .channels = 3,
                      .stride_bytes = (size_t)info->width * 3};
}

static ms_status write_frame(ms_job *j, uint8_t *rgb, ms_error *err) {
    ms_status status = ms_video_writer_write(j->writer, rgb, 0, err);
    ms_face_stage_put(j->stage, rgb);
    if (status != MS_OK) {
        ms_error_where(err, "write", j->report.frames);
        return status;
    }
    j->report.frames++;
    ms_job_tell(j, 0, 0);
    return ms_job_poll(j) == MS_OK
               ? MS_OK
               : ms_fail(err, MS_CANCELLED, "cancelled after %lld frames", (long long)j->report.frames);
}

/* A redrawn face goes back into its frame, and the frame to the writer. */
static ms_status deliver(void *arg, int64_t index, const float *face, ms_error *err) {
    ms_job *j = arg;
    ms_output_frame *f = &j->window[index];
    ms_image image = frame_image(j, f->rgb);
    ms_restore_args restore = {.geometry = &j->geometry,
                               .face = face,
                               .affine = (const float(*)[3])f->pose.affine,
                               .frame = &image,
                               .work = j->work,
                               .work_bytes = j->work_bytes,
                               .pool = j->dev->pool};
    ms_job_enter(j, "write");
    MS_TRY(ms_restore_face(&restore, NULL, err));
    uint8_t *rgb = f->rgb;
    f->rgb = NULL;
    MS_TRY(write_frame(j, rgb, err));
    ms_job_enter(j, "decode");
    return MS_OK;
}

static ms_status flush_window(ms_job *j, ms_error *err) {
    if (j->collected == 0)
        return MS_OK;
    ms_window w = {.frames = j->collected,
                   .first_frame = j->window[0].number,
                   .faces = j->aligned,
                   .deliver = deliver,
                   .arg = j};
    MS_TRY(ms_job_follow_pressure(j, err));
    ms_job_enter(j, "audio");
    MS_TRY(ms_engine_run_window(j->engine, &w, err));
    ms_job_enter(j, "faces");
    j->report.windows++;
    j->collected = 0;
    return MS_OK;
}

/* Aligns the frame's face and puts it into the window. */
static ms_status collect(ms_job *j, const ms_output_frame *frame, ms_error *err) {
    size_t side = (size_t)j->geometry.resolution;
    ms_image image = frame_image(j, frame->rgb);
    ms_image_view view = ms_image_as_view(&image);
    ms_image face = {.data = j->aligned + (size_t)j->collected * side * side * 3,
                     .width = (int)side,
                     .height = (int)side,
                     .channels = 3,
                     .stride_bytes = side * 3};
    j->window[j->collected++] = *frame;
    return ms_align_face(&j->geometry, &view, frame->pose.affine, &face, j->work, j->work_bytes, err);
}

static ms_status take_frame(ms_job *j, ms_output_frame *frame, ms_error *err) {
    bool full = j->collected == ms_engine_window_frames(j->engine);
    if (full || frame->pose.begins || !frame->pose.present) {
        ms_status status = flush_window(j, err);
        if (status != MS_OK) {
            ms_face_stage_put(j->stage, frame->rgb);
            return status;
        }
    }
    if (!frame->pose.present) {
        j->report.frames_without_face++;
        return write_frame(j, frame->rgb, err);
    }
    j->report.frames_interpolated += frame->pose.interpolated;
    return collect(j, frame, err);
}

ms_status ms_job_run_frames(ms_job *j, ms_error *err) {
    ms_job_enter(j, "faces");
    for (;;) {
        ms_output_frame frame;
        bool got = false;
        MS_TRY(ms_frame_source_next(j->source, &frame, &got, err));
        if (!got)
            break;
        MS_TRY(take_frame(j, &frame, err));
    }
    MS_TRY(flush_window(j, err));
    if (j->report.frames == 0)
        return ms_fail(err, MS_BAD_MEDIA, "%s: has no frames", j->p->video);
    if (j->report.frames_without_face == j->report.frames)
        return ms_fail(err, MS_NO_FACE, "%s: no usable face in %lld frames", j->p->video,
                       (long long)j->report.frames);
    ms_job_enter(j, "write");
    return ms_video_writer_finish(&j->writer, err);
}
