/* A preview: the job's first frames with a face, each beside the video's. */
#include <math.h>
#include <string.h>

#include "run/run_job.h"

/* A row of the video, as it is written. */
static size_t row_bytes(const ms_job *j) {
    const ms_video_info *info = ms_clip_info(j->in.clip);
    return (size_t)info->width * 3 * (info->deep ? sizeof(uint16_t) : 1);
}

size_t ms_job_preview_bytes(const ms_job *j) {
    return j->in.preview_frames ? 2 * row_bytes(j) * (size_t)ms_clip_info(j->in.clip)->height : 0;
}

ms_status ms_job_open_preview(ms_job *j, ms_error *err) {
    size_t bytes = ms_job_preview_bytes(j);
    if (bytes == 0)
        return MS_OK;
    j->write.pair = ms_mem_alloc(j->mem, MS_LEDGER_FRAMES, bytes);
    return j->write.pair ? MS_OK : ms_fail_alloc(err, j->mem, bytes, "the preview's pictures");
}

int64_t ms_job_preview_sound_us(const ms_job *j) {
    const ms_video_info *info = ms_clip_info(j->in.clip);
    if (!j->preview.begun)
        return 0;
    return llrint((double)(j->preview.first - j->in.range.before) * info->fps.den * 1e6 / info->fps.num);
}

ms_status ms_job_begin_preview_sound(ms_job *j, ms_error *err) {
    if (!j->in.preview_frames || !j->in.sound)
        return MS_OK;
    int64_t skip = ms_job_preview_sound_us(j) * MS_SPEECH_RATE / 1000000;
    return ms_audio_reader_seek(j->in.sound, ms_inputs_speech_skip(&j->in) + skip, err);
}

bool ms_job_preview_leaves_out(const ms_job *j, const ms_output_frame *leaving) {
    const ms_job_preview *v = &j->preview;
    return j->in.preview_frames && (!v->begun || leaving->number >= j->in.preview_frames);
}

bool ms_job_preview_done(const ms_job *j) {
    return j->in.preview_frames && j->preview.handed >= j->in.preview_frames;
}
