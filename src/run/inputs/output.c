/* How the output is stored. */
#include <string.h>

#include "base/error.h"
#include "files/numbered.h"
#include "run/inputs/inputs.h"

ms_status ms_inputs_open_splice(ms_inputs *in, ms_error *err) {
    const ms_run_params *p = in->p;
    const ms_video_info *info = ms_clip_info(in->clip);
    bool speech = p->audio_output == MS_AUDIO_OUTPUT_SPEECH;
    if (p->rest != MS_REST_KEEP || in->preview_frames || !p->output ||
        p->audio_output == MS_AUDIO_OUTPUT_NONE)
        return MS_OK;
    ms_sound_splice_params splice = {.base = ms_numbered_is(p->video) ? NULL : p->video,
                                     .over = p->audio,
                                     .over_skip_us = p->audio_start_us,
                                     .from_s = (double)in->range.first * info->fps.den / info->fps.num,
                                     .length_s = in->range.sound_s,
                                     .rate = speech ? MS_SPEECH_RATE : 0,
                                     .channels = speech ? 1 : 0,
                                     .room = in->room};
    return ms_sound_splice_open(in->mem, &splice, &in->splice, err);
}

static ms_status read_sound(void *context, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    return ms_audio_reader_read(context, dst, max, ret_count, err);
}

ms_video_writer_params ms_inputs_writer(const ms_inputs *in) {
    static const ms_video_codec codecs[] = {
        [MS_OUTPUT_H264] = MS_VIDEO_H264, [MS_OUTPUT_HEVC] = MS_VIDEO_HEVC, [MS_OUTPUT_FFV1] = MS_VIDEO_FFV1};
    static const ms_audio_mode modes[] = {[MS_AUDIO_OUTPUT_ORIGINAL] = MS_AUDIO_ORIGINAL,
                                          [MS_AUDIO_OUTPUT_SPEECH] = MS_AUDIO_FEED,
                                          [MS_AUDIO_OUTPUT_NONE] = MS_AUDIO_NONE};
    ms_video_writer_params w = MS_VIDEO_WRITER_DEFAULTS;
    const ms_video_info *info = ms_clip_info(in->clip);
    w.width = in->preview_frames ? 2 * info->width : info->width;
    w.height = info->height;
    w.fps = info->fps;
    w.pixel_aspect = info->pixel_aspect;
    w.codec = codecs[in->p->codec];
    w.crf = in->p->crf;
    w.colour = info->colour;
    w.colour.full_range = false;
    w.deep = info->deep;
    w.light = info->light;
    if (w.colour.matrix == 0 || w.codec == MS_VIDEO_FFV1) /* RGB sources name no matrix for YUV */
        w.colour.matrix = 2;
    w.force = in->p->force;
    w.shown_as = in->p->output;
    w.audio = modes[in->p->audio_output];
    w.audio_path = in->p->audio;
    w.audio_skip_us = in->p->audio_start_us;
    w.audio_room = in->room;
    w.feed = (ms_audio_feed){.read = read_sound, .context = in->sound, .rate = MS_SPEECH_RATE, .channels = 1};
    if (in->splice) {
        w.audio = MS_AUDIO_FEED;
        w.feed = (ms_audio_feed){.read = ms_sound_splice_read,
                                 .context = in->splice,
                                 .rate = ms_sound_splice_rate(in->splice),
                                 .channels = ms_sound_splice_channels(in->splice)};
    }
    w.expected_frames = ms_inputs_most_frames(in);
    return w;
}

void ms_inputs_output_size(const ms_inputs *in, int *ret_width, int *ret_height) {
    const ms_video_info *info = ms_clip_info(in->clip);
    const ms_video_writer_params writer = ms_inputs_writer(in);
    *ret_width = info->width;
    *ret_height = info->height;
    if (in->p->output)
        ms_video_writer_size(&writer, ret_width, ret_height);
}

/* ---- what the caller wishes ---- */

/* memsafe stores the output in one way, so a wish is met, or is an error before the work. */
static ms_status check_picture(const ms_inputs *in, const ms_video_writer_params *w, ms_error *err) {
    if (!in->p->pixel_format || ms_video_writer_stores(w, in->p->pixel_format))
        return MS_OK;
    return ms_fail(
        err, MS_UNSUPPORTED,
        "the output would be %s, not %s: the pixel format follows the codec and the video; leave it out, or "
        "choose another codec",
        ms_video_writer_pixel_format(w), in->p->pixel_format);
}

static ms_status check_sound(const ms_inputs *in, const ms_video_writer_params *w, ms_error *err) {
    const char *wanted = in->p->sound_codec;
    if (!wanted || w->audio == MS_AUDIO_NONE)
        return MS_OK;
    /* Only a whole track that is given can be copied. */
    const char *given = w->audio == MS_AUDIO_ORIGINAL && !in->splice ? ms_speech_codec(in->speech) : "";
    const char *encoded = ms_video_writer_encodes_sound(in->p->output, w, given);
    const char *written = encoded ? encoded : given;
    if (strcmp(written, wanted) == 0)
        return MS_OK;
    return ms_fail(
        err, MS_UNSUPPORTED,
        "the output's sound would be %s, not %s: %s; leave the codec out, or give the speech in it", written,
        wanted, encoded ? "what this kind of file cannot take is encoded so" : "it is copied as it is given");
}

ms_status ms_inputs_check_wishes(const ms_inputs *in, ms_error *err) {
    ms_video_writer_params w = ms_inputs_writer(in);
    if (!in->p->output) /* frames go to the program as they are */
        return MS_OK;
    MS_TRY(check_picture(in, &w, err));
    return check_sound(in, &w, err);
}
