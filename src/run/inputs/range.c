/* The part of the video that is redrawn, and how long the output becomes (docs/ranges.md). */
#include <math.h>

#include "base/error.h"
#include "engine/engine.h"
#include "run/inputs/inputs.h"

#define US_PER_S 1000000

int64_t ms_inputs_speech_skip(const ms_inputs *in) {
    return in->p->audio_start_us * MS_SPEECH_RATE / US_PER_S;
}

double ms_inputs_rate(const ms_inputs *in) {
    const ms_video_info *info = ms_clip_info(in->clip);
    return (double)info->fps.num / (double)info->fps.den;
}

ms_loop ms_inputs_loop(const ms_inputs *in) {
    static const ms_loop loops[] = {[MS_LOOP_MODE_PINGPONG] = MS_LOOP_PINGPONG,
                                    [MS_LOOP_MODE_REPEAT] = MS_LOOP_REPEAT,
                                    [MS_LOOP_MODE_HOLD] = MS_LOOP_HOLD,
                                    [MS_LOOP_MODE_NONE] = MS_LOOP_NONE};
    return in->p->rest == MS_REST_KEEP ? MS_LOOP_NONE : loops[in->p->loop];
}

static bool keeps(const ms_inputs *in) {
    return in->p->rest == MS_REST_KEEP;
}

/* The frame that begins nearest to a time. */
static int64_t frame_at(const ms_inputs *in, int64_t us) {
    const ms_video_info *info = ms_clip_info(in->clip);
    return (int64_t)llrintl((long double)us * info->fps.num / ((long double)info->fps.den * US_PER_S));
}

/* Frames that begin within so long, as FFmpeg's -t counts them: 13 in half a second at 25 frames a second. */
static int64_t frames_within(const ms_inputs *in, int64_t us) {
    const ms_video_info *info = ms_clip_info(in->clip);
    return (int64_t)ceill((long double)us * info->fps.num / ((long double)info->fps.den * US_PER_S));
}

static double seconds_of(const ms_inputs *in, int64_t frames) {
    const ms_video_info *info = ms_clip_info(in->clip);
    return (double)frames * info->fps.den / info->fps.num;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

ms_status ms_inputs_find_range(ms_inputs *in, ms_error *err) {
    const ms_run_params *p = in->p;
    const ms_video_info *info = ms_clip_info(in->clip);
    ms_mel_stats speech = ms_speech_stats(in->speech);
    ms_inputs_range *r = &in->range;
    double start_s = (double)p->start_us / US_PER_S;
    /* What the file announces may be a little wrong; what was then not there is found by reading. */
    if (info->duration_s > 0 && start_s > info->duration_s + 1)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s ends after %.3f s, before the range begins (start: %.3f s)", p->video,
                       info->duration_s, start_s);
    r->set = p->start_us || p->duration_us || keeps(in);
    r->first = frame_at(in, p->start_us);
    r->before = keeps(in) ? r->first : 0;
    const ms_engine_params engine = {.files = in->files, .fps = ms_inputs_rate(in), .speech = speech};
    r->redrawn = ms_engine_count_frames(&engine);
    r->sound_s = (double)speech.samples / MS_SPEECH_RATE;
    if (p->duration_us) {
        int64_t frames = frames_within(in, p->duration_us);
        r->redrawn = least(r->redrawn, frames);
        r->sound_s = fmin(r->sound_s, seconds_of(in, frames));
    }
    if (!keeps(in) && p->frames > 0)
        r->redrawn = least(r->redrawn, p->frames);
    in->preview_frames =
        p->preview_frames == MS_RUN_PREVIEW_WINDOW ? in->files->unet_config.num_frames : p->preview_frames;
    return MS_OK;
}

double ms_inputs_begins_s(const ms_inputs *in) {
    return keeps(in) ? 0 : seconds_of(in, in->range.first);
}

int64_t ms_inputs_clip_frames(const ms_inputs *in) {
    int64_t frames = ms_clip_info(in->clip)->frames, first = keeps(in) ? 0 : in->range.first;
    return frames > first ? frames - first : 0;
}

int64_t ms_inputs_frames_after_speech(const ms_inputs *in, int64_t expected) {
    const ms_video_info *info = ms_clip_info(in->clip);
    int64_t samples = ms_speech_stats(in->speech).samples;
    int64_t within =
        (int64_t)ceill((long double)samples * info->fps.num / ((long double)info->fps.den * MS_SPEECH_RATE));
    return keeps(in) || in->preview_frames || expected <= within ? 0 : expected - within;
}

int64_t ms_inputs_wanted_frames(const ms_inputs *in) {
    if (!keeps(in))
        return in->range.redrawn;
    return in->p->frames > 0 ? in->p->frames : INT64_MAX;
}

/* Where the clip's length is not known, a day of it: only the muxer's index is bounded by this. */
int64_t ms_inputs_most_frames(const ms_inputs *in) {
    if (in->preview_frames)
        return in->preview_frames;
    int64_t clip = ms_inputs_clip_frames(in), day = frame_at(in, (int64_t)86400 * US_PER_S);
    return least(ms_inputs_wanted_frames(in), keeps(in) && clip > 0 ? clip + clip / 100 + 3 : day);
}

ms_status ms_inputs_count_faces(const ms_inputs *in, const ms_frame_order *order, int64_t from, int64_t to,
                                ms_frame_counts *ret_counts, ms_error *err) {
    const int64_t begins = in->range.before, ends = in->range.redrawn;
    if (!in->preview_frames && from < begins)
        from = begins;
    if (!in->preview_frames && to > begins && to - begins > ends)
        to = begins + ends;
    return ms_frame_order_count(order, from, to, in->files->unet_config.num_frames, ret_counts, err);
}

int64_t ms_inputs_frames_within(const ms_inputs *in, int64_t frames) {
    if (in->preview_frames) /* shows nothing else */
        return frames;
    int64_t within = frames - in->range.before;
    return within < 0 ? 0 : least(within, in->range.redrawn);
}
