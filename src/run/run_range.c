/* The part of the video that is redrawn, and how long the output becomes (docs/ranges.md). */
#include <math.h>

#include "files/numbered.h"
#include "run/run_job.h"

#define US_PER_S 1000000

int64_t ms_job_speech_skip(const ms_run_params *p) {
    return p->audio_start_us * MS_SPEECH_RATE / US_PER_S;
}

static bool keeps(const ms_job *j) {
    return j->p->rest == MS_REST_KEEP;
}

/* The frame that begins nearest to a time. */
static int64_t frame_at(const ms_job *j, int64_t us) {
    const ms_video_info *info = ms_clip_info(j->clip);
    return (int64_t)llrintl((long double)us * info->fps.num / ((long double)info->fps.den * US_PER_S));
}

/* Frames that begin within so long, as FFmpeg's -t counts them: 13 in half a second at 25 frames a second. */
static int64_t frames_within(const ms_job *j, int64_t us) {
    const ms_video_info *info = ms_clip_info(j->clip);
    return (int64_t)ceill((long double)us * info->fps.num / ((long double)info->fps.den * US_PER_S));
}

static double seconds_of(const ms_job *j, int64_t frames) {
    const ms_video_info *info = ms_clip_info(j->clip);
    return (double)frames * info->fps.den / info->fps.num;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

ms_status ms_job_find_range(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    const ms_video_info *info = ms_clip_info(j->clip);
    ms_mel_stats speech = ms_speech_stats(j->speech);
    ms_job_range *r = &j->range;
    double start_s = (double)p->start_us / US_PER_S;
    /* What the file announces may be a little wrong; what was then not there is found by reading. */
    if (info->duration_s > 0 && start_s > info->duration_s + 1)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s ends after %.3f s, before the range begins (start: %.3f s)", p->video,
                       info->duration_s, start_s);
    r->set = p->start_us || p->duration_us || keeps(j);
    r->first = frame_at(j, p->start_us);
    r->before = keeps(j) ? r->first : 0;
    const ms_engine_params engine = {
        .files = &j->model->files, .fps = (double)info->fps.num / (double)info->fps.den, .speech = speech};
    r->redrawn = ms_engine_count_frames(&engine);
    r->sound_s = (double)speech.samples / MS_SPEECH_RATE;
    if (p->duration_us) {
        int64_t frames = frames_within(j, p->duration_us);
        r->redrawn = least(r->redrawn, frames);
        r->sound_s = fmin(r->sound_s, seconds_of(j, frames));
    }
    if (!keeps(j) && p->frames > 0)
        r->redrawn = least(r->redrawn, p->frames);
    j->preview.frames = p->preview_frames == MS_RUN_PREVIEW_WINDOW ? j->model->files.unet_config.num_frames
                                                                   : p->preview_frames;
    return MS_OK;
}

ms_status ms_job_open_splice(ms_job *j, ms_error *err) {
    const ms_run_params *p = j->p;
    bool speech = p->audio_output == MS_AUDIO_OUTPUT_SPEECH;
    if (!keeps(j) || j->preview.frames || !p->output || p->audio_output == MS_AUDIO_OUTPUT_NONE)
        return MS_OK;
    ms_sound_splice_params splice = {.base = ms_numbered_is(p->video) ? NULL : p->video,
                                     .over = p->audio,
                                     .over_skip_us = p->audio_start_us,
                                     .from_s = seconds_of(j, j->range.first),
                                     .length_s = j->range.sound_s,
                                     .rate = speech ? MS_SPEECH_RATE : 0,
                                     .channels = speech ? 1 : 0,
                                     .room = j->room};
    return ms_sound_splice_open(j->mem, &splice, &j->splice, err);
}

double ms_job_begins_s(const ms_job *j) {
    return keeps(j) ? 0 : seconds_of(j, j->range.first);
}

int64_t ms_job_clip_frames(const ms_job *j) {
    int64_t frames = ms_clip_info(j->clip)->frames, first = keeps(j) ? 0 : j->range.first;
    return frames > first ? frames - first : 0;
}

int64_t ms_job_frames_after_speech(const ms_job *j) {
    const ms_video_info *info = ms_clip_info(j->clip);
    int64_t samples = ms_speech_stats(j->speech).samples;
    int64_t within =
        (int64_t)ceill((long double)samples * info->fps.num / ((long double)info->fps.den * MS_SPEECH_RATE));
    return keeps(j) || j->preview.frames || j->expected <= within ? 0 : j->expected - within;
}

int64_t ms_job_wanted_frames(const ms_job *j) {
    if (!keeps(j))
        return j->range.redrawn;
    return j->p->frames > 0 ? j->p->frames : INT64_MAX;
}

/* Where the clip's length is not known, a day of it: only the muxer's index is bounded by this. */
int64_t ms_job_most_frames(const ms_job *j) {
    if (j->preview.frames)
        return j->preview.frames;
    int64_t clip = ms_job_clip_frames(j), day = frame_at(j, (int64_t)86400 * US_PER_S);
    return least(ms_job_wanted_frames(j), keeps(j) && clip > 0 ? clip + clip / 100 + 3 : day);
}

ms_status ms_job_count_faces(ms_job *j, const ms_frame_order *order, int64_t from, int64_t to,
                             ms_error *err) {
    const int64_t begins = j->range.before, ends = j->range.redrawn;
    if (!j->preview.frames && from < begins)
        from = begins;
    if (!j->preview.frames && to > begins && to - begins > ends)
        to = begins + ends;
    return ms_frame_order_count(order, from, to, j->model->files.unet_config.num_frames, &j->counts, err);
}

int64_t ms_job_frames_within(const ms_job *j, int64_t frames) {
    if (j->preview.frames) /* shows nothing else */
        return frames;
    int64_t within = frames - j->range.before;
    return within < 0 ? 0 : least(within, j->range.redrawn);
}
