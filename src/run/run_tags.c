/* What the output says of itself: the video's titles and chapters, and how it was made. */
#include <stdio.h>
#include <string.h>

#include "memsafe/version.h"
#include "run/run_job.h"

static void write_comment(const ms_job *j, char comment[MS_JOB_COMMENT_BYTES]) {
    const ms_run_params *p = j->p;
    ms_video_writer_params w = ms_inputs_writer(&j->in);
    /* A run that only joins has not chosen one; it may then be no other. */
    int resolution = j->redraw.engine ? j->geometry.resolution : ms_inputs_resolution(&j->in);
    int n =
        snprintf(comment, MS_JOB_COMMENT_BYTES,
                 MS_TAGS_COMMENT_BEGINS "%s; model %s, %d px, %s; seed %llu, %d steps, guidance %.6g%s%s; %s",
                 MS_VERSION_TEXT, j->model->name, resolution, ms_dtype_name(j->model->policy.precision),
                 (unsigned long long)p->seed, p->steps, p->guidance, p->deepcache ? ", deepcache" : "",
                 p->paste == MS_PASTE_MOUTH ? ", paste mouth" : "", ms_video_codec_name(w.codec));
    if (w.codec != MS_VIDEO_FFV1 && n > 0 && n < MS_JOB_COMMENT_BYTES)
        snprintf(comment + n, (size_t)(MS_JOB_COMMENT_BYTES - n), " crf %d", p->crf);
}

ms_tags ms_job_tags(const ms_job *j, char comment[MS_JOB_COMMENT_BYTES]) {
    ms_tags tags = {.sound_language = ms_speech_language(j->in.speech)};
    if (j->p->no_metadata)
        return (ms_tags){0};
    const ms_video_info *info = ms_clip_info(j->in.clip);
    ms_clip_tags(j->in.clip, &tags.source, &tags.source_video);
    tags.from_s = ms_inputs_begins_s(&j->in) + (double)j->preview.first * info->fps.den / info->fps.num;
    tags.seconds = (double)j->total * info->fps.den / info->fps.num;
    write_comment(j, comment);
    tags.comment = comment;
    return tags;
}
