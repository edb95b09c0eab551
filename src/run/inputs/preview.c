#include "run/inputs/preview.h"

#include <math.h>

#include "base/error.h"

void ms_preview_begin(ms_preview *v, int64_t frame) {
    if (!v->frames || v->begun)
        return;
    v->begun = true;
    v->first = frame;
}

bool ms_preview_leaves_out(const ms_preview *v, const ms_output_frame *leaving) {
    return v->frames && (!v->begun || leaving->number >= v->frames);
}

bool ms_preview_is_done(const ms_preview *v) {
    return v->frames && v->handed >= v->frames;
}

/* A row of the video, as it is written. */
static size_t row_bytes(const ms_inputs *in) {
    const ms_video_info *info = ms_clip_info(in->clip);
    return (size_t)info->width * 3 * (info->deep ? sizeof(uint16_t) : 1);
}

size_t ms_preview_bytes(const ms_inputs *in) {
    return in->preview_frames ? 2 * row_bytes(in) * (size_t)ms_clip_info(in->clip)->height : 0;
}

int64_t ms_preview_sound_us(const ms_preview *v, const ms_inputs *in) {
    const ms_video_info *info = ms_clip_info(in->clip);
    if (!v->begun)
        return 0;
    return llrint((double)(v->first - in->range.before) * info->fps.den * 1e6 / info->fps.num);
}

ms_status ms_preview_begin_sound(const ms_preview *v, const ms_inputs *in, ms_error *err) {
    if (!v->frames || !in->sound)
        return MS_OK;
    int64_t skip = ms_preview_sound_us(v, in) * MS_SPEECH_RATE / 1000000;
    return ms_audio_reader_seek(in->sound, ms_inputs_speech_skip(in) + skip, err);
}
