/* What can fail because of the input fails before the model is loaded, which takes longest. */
#include "run/inputs/inputs.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "files/numbered.h"
#include "media/hdr.h"
#include "media/read/whole.h"

/* A file that was cut off: said before the work, not after it. */
static ms_status check_whole(const ms_run_params *p, ms_error *err) {
    if (p->allow_truncated)
        return MS_OK;
    MS_TRY(ms_check_whole_file(p->video, err));
    return ms_check_whole_file(p->audio, err);
}

/* HDR goes through as it is: into a file of HEVC, unless it is to be tone-mapped. */
static bool keeps_hdr(const ms_run_params *p) {
    return p->output && p->codec == MS_OUTPUT_HEVC && !p->tonemap;
}

/* Never converted without a word: much of it would be lost. */
static ms_status check_hdr(const ms_inputs *in, ms_error *err) {
    const ms_video_info *info = ms_clip_info(in->clip);
    if (!info->hdr_transfer || info->deep || in->p->tonemap)
        return MS_OK;
    return ms_fail_hint(err, MS_UNSUPPORTED, MS_HINT_HDR, "%s is HDR (%s), which 8 bits a colour cannot hold",
                        in->p->video, ms_hdr_name(info->hdr_transfer));
}

static bool has_sound(const ms_inputs *in, const char *path) {
    ms_audio_reader_params params = MS_AUDIO_READER_DEFAULTS;
    ms_audio_reader *reader = NULL;
    params.room = in->room;
    bool has = ms_audio_reader_open(in->mem, path, &params, &reader, NULL) == MS_OK;
    ms_audio_reader_close(&reader);
    return has;
}

static ms_status open_video(const ms_inputs *in, const char *path, ms_clip **ret_clip, ms_error *err) {
    const ms_run_params *p = in->p;
    return ms_clip_open(in->mem, path, (ms_rational){p->fps_num, p->fps_den}, keeps_hdr(p), in->room,
                        ret_clip, err);
}

/* Two files in each other's place are told as that. */
static ms_status open_clip(ms_inputs *in, ms_error *err) {
    const ms_run_params *p = in->p;
    ms_clip *other = NULL;
    ms_status status = open_video(in, p->video, &in->clip, err);
    if (status != MS_BAD_MEDIA || !has_sound(in, p->video) || open_video(in, p->audio, &other, NULL) != MS_OK)
        return status;
    ms_clip_close(&other);
    return ms_fail(
        err, MS_BAD_MEDIA,
        "%s is given as the video and holds sound alone, %s is given as the speech and holds a video: "
        "are they swapped?",
        p->video, p->audio);
}

static ms_status open_speech(ms_inputs *in, ms_error *err) {
    const ms_run_params *p = in->p;
    const ms_speech_params speech = {.mem = in->mem,
                                     .path = p->audio,
                                     .skip = ms_inputs_speech_skip(in),
                                     .room = in->room,
                                     .cancelled = p->cancelled,
                                     .arg = p->arg};
    MS_TRY(ms_speech_open(&speech, &in->speech, err));
    if (!p->allow_truncated)
        MS_TRY(ms_speech_check_whole(in->speech, p->audio, err));
    if (p->audio_output != MS_AUDIO_OUTPUT_SPEECH)
        return MS_OK;
    ms_audio_reader_params sound = MS_AUDIO_READER_DEFAULTS;
    sound.room = in->room;
    MS_TRY(ms_audio_reader_open(in->mem, p->audio, &sound, &in->sound, err));
    return ms_audio_reader_seek(in->sound, ms_inputs_speech_skip(in), err);
}

ms_status ms_inputs_open(ms_inputs *in, ms_error *err) {
    const ms_run_params *p = in->p;
    MS_TRY(check_whole(p, err));
    MS_TRY(open_clip(in, err));
    MS_TRY(check_hdr(in, err));
    if (ms_numbered_stat(p->video, &in->video) < 0)
        return ms_fail(err, MS_IO, "cannot read %s: %s", p->video, strerror(errno));
    return open_speech(in, err);
}

ms_status ms_inputs_settle(ms_inputs *in, ms_error *err) {
    MS_TRY(ms_inputs_find_range(in, err));
    MS_TRY(ms_inputs_open_splice(in, err));
    MS_TRY(ms_inputs_check_wishes(in, err));
    ms_inputs_note_losses(in);
    return MS_OK;
}

void ms_inputs_close(ms_inputs *in) {
    ms_audio_reader_close(&in->sound);
    ms_sound_splice_close(&in->splice);
    ms_speech_close(&in->speech);
    ms_clip_close(&in->clip);
}

ms_status ms_inputs_check_video(const void *inputs, ms_error *err) {
    const ms_inputs *in = inputs;
    struct stat now;
    if (ms_numbered_stat(in->p->video, &now) < 0 || !S_ISREG(now.st_mode) ||
        (now.st_size == in->video.st_size && now.st_mtim.tv_sec == in->video.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == in->video.st_mtim.tv_nsec))
        return MS_OK; /* a file that was removed can be read to its end */
    return ms_fail(err, MS_IO, "%s changed while it was read: it had %lld bytes and now has %lld",
                   in->p->video, (long long)in->video.st_size, (long long)now.st_size);
}

int ms_inputs_resolution(const ms_inputs *in) {
    return in->p->resolution ? in->p->resolution : in->files->unet_config.resolution;
}
