/* What the output will not have as the input has it: one line each, before the
   work. docs/media.md lists them. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "files/numbered.h"
#include "media/hdr.h"
#include "models/synthesize/synthesize.h"
#include "run/inputs/inputs.h"
#include "text/duration.h"

/* Below this a tail is rounding: of the frame rate, of the packets of sound. */
#define TAIL_S 0.25

/* log10 energy of the loudest moment: as little as rounding to 16 bits leaves of nothing. */
#define SILENCE -9.5f

static void note_hint(ms_inputs *in, const char *code, ms_hint hint, const char *fmt, ...) MS_PRINTF(4, 5);

static void note_hint(ms_inputs *in, const char *code, ms_hint hint, const char *fmt, ...) {
    ms_inputs_notes *all = &in->notes;
    if (all->n == MS_RUN_MAX_NOTES)
        return;
    ms_run_note *n = &all->note[all->n++];
    snprintf(n->code, sizeof(n->code), "%s", code);
    n->hint = hint;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n->text, sizeof(n->text), fmt, ap);
    va_end(ap);
    ms_log_tell(MS_LOG_NOTE, code, "%s", n->text);
}

#define note(in, code, ...) note_hint(in, code, MS_HINT_NONE, __VA_ARGS__)

static double rate_of(ms_rational fps) {
    return fps.num > 0 && fps.den > 0 ? (double)fps.num / (double)fps.den : 0;
}

static void note_rate(ms_inputs *in, const ms_video_info *info) {
    double from = rate_of(info->source_fps), to = rate_of(info->fps);
    if (from > 0 && fabs(from - to) > 0.001 * from)
        note_hint(in, "frame-rate", MS_HINT_FRAME_RATE, "the video's %.5g frames a second become %.5g", from,
                  to);
}

/* The longer one of video and speech. A limit that was asked for needs no telling, but for what it
   does not show: an output that is shorter, and words that are cut off amid a film that goes on. */
static void note_tails(ms_inputs *in, const ms_video_info *info) {
    static const char *const goes_on[] = {[MS_LOOP_MODE_PINGPONG] = "goes backwards, then forwards again",
                                          [MS_LOOP_MODE_REPEAT] = "begins anew",
                                          [MS_LOOP_MODE_HOLD] = "stands still"};
    char length[MS_DURATION_TEXT_BYTES], from[MS_DURATION_TEXT_BYTES];
    double speech = (double)ms_speech_stats(in->speech).samples / MS_SPEECH_RATE,
           begins = ms_inputs_begins_s(in);
    double asked = in->p->frames > 0 ? (double)in->p->frames / rate_of(info->fps) : speech;
    double video = info->duration_s - (double)in->range.first / rate_of(info->fps);
    double range = (double)in->p->duration_us / 1e6;              /* 0 = without an end of its own */
    double used = (double)in->range.redrawn / rate_of(info->fps); /* a little more than the speech */
    bool keep = in->p->rest == MS_REST_KEEP;
    if (info->duration_s <= 0 || asked < fmin(speech, range > 0 ? range : speech))
        return;
    if (range > 0 && fmin(video, range) - used > TAIL_S && !keep)
        note(in, "video-tail",
             "the speech is shorter than the range, whose last %s, from %s on, are not used",
             ms_duration_format(length, fmin(video, range) - used), ms_duration_format(from, begins + used));
    if (range > 0 && keep && range < video && speech - range > TAIL_S)
        note(in, "speech-tail", "the speech is longer than the range: its last %s, from %s on, are not used",
             ms_duration_format(length, speech - range), ms_duration_format(from, range));
    if (range > 0 && range < speech)
        speech = range;
    if (range == 0 && video - used > TAIL_S && !keep)
        note(in, "video-tail", "the video is longer than the speech: its last %s, from %s on, are not used",
             ms_duration_format(length, video - used), ms_duration_format(from, begins + used));
    if (speech - video > TAIL_S && !keep && in->p->loop != MS_LOOP_MODE_NONE)
        note_hint(in, "loop", MS_HINT_LOOP, "the speech is longer than the video: from %s on the video %s",
                  ms_duration_format(from, video), goes_on[in->p->loop]);
    if (speech - video > TAIL_S && (keep || in->p->loop == MS_LOOP_MODE_NONE))
        note_hint(in, "speech-tail", keep ? MS_HINT_REST_KEEP : MS_HINT_LOOP_NONE,
                  "the speech is longer than the video: its last %s, from %s on, are not used",
                  ms_duration_format(length, speech - video), ms_duration_format(from, video));
}

static const char *plural(int n) {
    return n == 1 ? "" : "s";
}

/* The gap ends what is read, as it does for FFmpeg. */
static void note_gap(ms_inputs *in) {
    char text[sizeof(in->notes.note[0].text)];
    if (ms_numbered_gap(in->p->video, text, sizeof(text)))
        note(in, "gap", "%s", text);
}

static void note_picture(ms_inputs *in, const ms_video_info *info, const ms_video_writer_params *w) {
    bool lossless = w->codec == MS_VIDEO_FFV1;
    int width, height;
    if (info->alpha)
        note(in, "alpha", "the video's transparency is dropped: the output is opaque");
    if (info->odd_angle)
        note(in, "angle",
             "the video asks players to turn it by an angle that is no quarter turn: it stays as "
             "it is stored");
    if (info->hdr_transfer && !info->deep)
        note_hint(in, "hdr", MS_HINT_TONEMAP, "the video is HDR (%s): it becomes an ordinary picture, BT.709",
                  ms_hdr_name(info->hdr_transfer));
    else if (info->deep && info->bits > 10)
        note(in, "bits", "the video's %d bits a colour become 10", info->bits);
    if (info->bits > 8 && !info->hdr_transfer)
        note(in, "bits", "the video's %d bits a colour become 8", info->bits);
    if (!lossless && (info->chroma_across < 2 || info->chroma_down < 2))
        note(in, "chroma", "the video's colours are stored at half the resolution (4:2:0), as players want");
    ms_video_writer_size(w, &width, &height);
    if (width != w->width || height != w->height)
        note(in, "size", "%dx%d becomes %dx%d: %s needs even sizes, the last %s repeated", w->width,
             w->height, width, height, ms_video_codec_name(w->codec),
             width == w->width     ? "row is"
             : height == w->height ? "column is"
                                   : "column and row are");
}

static void note_streams(ms_inputs *in, const ms_video_info *info) {
    if (info->n_subtitles)
        note(in, "subtitles", "%d subtitle track%s of the video %s dropped", info->n_subtitles,
             plural(info->n_subtitles), info->n_subtitles == 1 ? "is" : "are");
    if (info->n_covers)
        note(in, "cover", "%d cover picture%s of the video %s dropped", info->n_covers,
             plural(info->n_covers), info->n_covers == 1 ? "is" : "are");
    if (info->n_other_videos)
        note(in, "videos", "the file holds %d video tracks: the others than the first choice are dropped",
             info->n_other_videos + 1);
}

/* Seconds of the output as far as they are known before the work. */
static double output_seconds(const ms_inputs *in, const ms_video_info *info) {
    double speech = (double)ms_speech_stats(in->speech).samples / MS_SPEECH_RATE;
    double asked = (double)ms_inputs_wanted_frames(in) / rate_of(info->fps);
    return asked < speech || in->p->rest == MS_REST_KEEP ? asked : speech;
}

static void note_chapters(ms_inputs *in, const ms_video_info *info) {
    int all = info->n_chapters, lost;
    if (all == 0 || in->p->no_metadata)
        return;
    bool held = ms_video_writer_holds_chapters(in->p->output);
    lost = held ? ms_clip_chapters_after(in->clip, ms_inputs_begins_s(in) + output_seconds(in, info)) : all;
    if (lost > 0)
        note(in, "chapters", "%d of the video's %d chapter%s %s dropped: %s", lost, all, plural(all),
             lost == 1 ? "is" : "are", held ? "the output ends before" : "this kind of file has none");
}

static void note_sound(ms_inputs *in, const ms_video_writer_params *w) {
    const char *codec = ms_speech_codec(in->speech);
    if (w->audio != MS_AUDIO_ORIGINAL)
        return;
    const char *encoded = ms_video_writer_encodes_sound(in->p->output, w, codec);
    if (encoded)
        note(in, "sound", "%s sound cannot be copied into this kind of file: it is encoded anew as %s", codec,
             encoded);
}

void ms_inputs_note_model(ms_inputs *in) {
    if (ms_is_synthetic(in->mem, in->files->unet))
        note_hint(in, "random-weights", MS_HINT_SYNTHETIC,
                  "the model's weights are random: faces will be noise");
}

void ms_inputs_note_losses(ms_inputs *in) {
    const ms_video_info *info = ms_clip_info(in->clip);
    ms_video_writer_params w = ms_inputs_writer(in);
    note_gap(in);
    note_rate(in, info);
    note_tails(in, info);
    if (ms_speech_stats(in->speech).max <= SILENCE)
        note(in, "silence", "the speech is silent: mouths stay shut");
    if (!in->p->output) /* frames go to the program as they are */
        return;
    note_picture(in, info, &w);
    note_streams(in, info);
    note_chapters(in, info);
    note_sound(in, &w);
}
