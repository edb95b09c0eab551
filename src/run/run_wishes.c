/* What the caller wishes of how the output is stored. memsafe stores it in one way,
   so a wish is met, or is an error before the work. */
#include <string.h>

#include "base/error.h"
#include "run/run_job.h"

static ms_status check_picture(const ms_job *j, const ms_video_writer_params *w, ms_error *err) {
    if (!j->p->pixel_format || ms_video_writer_stores(w, j->p->pixel_format))
        return MS_OK;
    return ms_fail(
        err, MS_UNSUPPORTED,
        "the output would be %s, not %s: the pixel format follows the codec and the video; leave it out, or "
        "choose another codec",
        ms_video_writer_pixel_format(w), j->p->pixel_format);
}

static ms_status check_sound(const ms_job *j, const ms_video_writer_params *w, ms_error *err) {
    const char *wanted = j->p->sound_codec;
    if (!wanted || w->audio == MS_AUDIO_NONE)
        return MS_OK;
    /* Only a whole track that is given can be copied. */
    const char *given = w->audio == MS_AUDIO_ORIGINAL && !j->splice ? ms_speech_codec(j->speech) : "";
    const char *encoded = ms_video_writer_encodes_sound(j->p->output, w, given);
    const char *written = encoded ? encoded : given;
    if (strcmp(written, wanted) == 0)
        return MS_OK;
    return ms_fail(
        err, MS_UNSUPPORTED,
        "the output's sound would be %s, not %s: %s; leave the codec out, or give the speech in it", written,
        wanted, encoded ? "what this kind of file cannot take is encoded so" : "it is copied as it is given");
}

ms_status ms_job_check_wishes(const ms_job *j, ms_error *err) {
    ms_video_writer_params w = ms_job_writer_params(j);
    if (!j->p->output) /* frames go to the program as they are */
        return MS_OK;
    MS_TRY(check_picture(j, &w, err));
    return check_sound(j, &w, err);
}
