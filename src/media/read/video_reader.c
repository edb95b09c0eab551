#include "media/read/video_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/pixdesc.h>

#include "base/log.h"
#include "media/av_compat.h"
#include "media/codec_memory.h"
#include "media/convert.h"
#include "media/hdr_light.h"
#include "media/read/cfr.h"
#include "media/read/video_source.h"

#define MARK_TRIES 3 /* earlier marks to try when one does not lead where it should */

struct ms_video_reader {
    ms_mem *mem;
    char *path;
    ms_av_log log;
    ms_video_info info;
    ms_video_damage damage;
    ms_video_source source;
    ms_to_rgb rgb;
    size_t charged; /* to the codec ledger */
    size_t growth;  /* of that, what may come after opening */

    ms_cfr_params rate;
    ms_cfr cfr;
    AVFrame *frame[2]; /* [now]: the newest source frame, [1 - now]: the one before */
    int now;
    bool have[2];
    int64_t before, current; /* times that the older and the newer frame are still to be put out */
    int64_t serial;          /* of the newest source frame, to know what the RGB picture holds */
    int64_t rgb_serial;      /* -1 = nothing */
    int64_t position;
    bool ended;
    bool decoded_ahead; /* open has read the first frame */
    int64_t ahead_ts;

    ms_video_mark *marks; /* [MS_VIDEO_MAX_MARKS], by first_frame */
    int n_marks;
    int64_t mark_gap; /* output frames between two, at least */
};

/* ---- marks */

static ms_cfr cfr_of(const ms_video_mark *mark) {
    return (ms_cfr){mark->rate_state[0],
                    mark->rate_state[1],
                    {mark->rate_state[2], mark->rate_state[3], mark->rate_state[4]}};
}

/* Index of the last mark at or before frame, -1 when there is none. */
static int find_mark(const ms_video_reader *r, int64_t frame) {
    int low = 0, high = r->n_marks;
    while (low < high) {
        int mid = (low + high) / 2;
        if (r->marks[mid].first_frame <= frame)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1;
}

/* Keeps every second mark, so that the table never grows. */
static void thin_marks(ms_video_reader *r) {
    int kept = 0;
    for (int i = 0; i < r->n_marks; i += 2)
        r->marks[kept++] = r->marks[i];
    r->n_marks = kept;
    r->mark_gap *= 2;
}

static void insert_mark(ms_video_reader *r, const ms_video_mark *mark) {
    int at = find_mark(r, mark->first_frame) + 1;
    if (at > 0 && r->marks[at - 1].first_frame == mark->first_frame)
        return;
    memmove(r->marks + at + 1, r->marks + at, (size_t)(r->n_marks - at) * sizeof(*r->marks));
    r->marks[at] = *mark;
    if (++r->n_marks == MS_VIDEO_MAX_MARKS)
        thin_marks(r);
}

/* Called with the rate conversion as it was before the frame. */
static void consider_mark(ms_video_reader *r, const ms_cfr *before, int64_t first_frame, int64_t ts) {
    const AVFrame *f = r->frame[r->now];
    if (!ms_av_is_key_frame(f) || r->source.discontinuous)
        return;
    int last = find_mark(r, first_frame);
    if (last >= 0 && first_frame - r->marks[last].first_frame < r->mark_gap)
        return;
    if (last + 1 < r->n_marks && r->marks[last + 1].first_frame - first_frame < r->mark_gap)
        return;
    ms_video_mark mark = {.timestamp = ts,
                          .fingerprint = ms_frame_hash(f),
                          .first_frame = first_frame,
                          .rate_state = {before->next_tick, before->frames, before->previous[0],
                                         before->previous[1], before->previous[2]}};
    insert_mark(r, &mark);
}

bool ms_video_reader_get_mark(const ms_video_reader *r, int64_t frame, ms_video_mark *ret_mark) {
    int at = find_mark(r, frame);
    if (at < 0)
        return false;
    *ret_mark = r->marks[at];
    return true;
}

void ms_video_reader_add_mark(ms_video_reader *r, const ms_video_mark *mark) {
    if (mark->first_frame >= 0)
        insert_mark(r, mark);
}

void ms_video_reader_save_place(const ms_video_reader *r, int64_t frame, ms_video_place *ret_place) {
    *ret_place = (ms_video_place){.packets = r->damage.packets,
                                  .packets_failed = r->damage.packets_failed,
                                  .frames_missing = r->damage.frames_missing,
                                  .frames_marred = r->damage.frames_marred,
                                  .reach = r->source.reach};
    ret_place->has_mark = ms_video_reader_get_mark(r, frame, &ret_place->mark);
}

void ms_video_reader_go_on(ms_video_reader *r, const ms_video_place *place) {
    r->damage.packets = place->packets;
    r->damage.packets_failed = place->packets_failed;
    r->damage.frames_missing = place->frames_missing;
    r->damage.frames_marred = place->frames_marred;
    r->source.reach = place->reach;
    if (place->has_mark)
        ms_video_reader_add_mark(r, &place->mark);
}

/* ---- frames at the output's rate */

/* The next source frame becomes [now]. */
static ms_status fetch(ms_video_reader *r, int64_t *ret_ts, bool *ret_got, ms_error *err) {
    if (r->decoded_ahead) {
        r->decoded_ahead = false;
        *ret_ts = r->ahead_ts;
        *ret_got = true;
        return MS_OK;
    }
    int other = 1 - r->now;
    av_frame_unref(r->frame[other]);
    r->have[other] = false;
    MS_TRY(ms_video_source_next(&r->source, r->frame[other], ret_ts, ret_got, err));
    r->now = other; /* at the end too: the newest frame is then the older one */
    r->have[other] = *ret_got;
    r->serial++;
    return MS_OK;
}

/* Moves on by one output frame; *ret_frame is borrowed until the next call, NULL at the end. */
static ms_status advance(ms_video_reader *r, const AVFrame **ret_frame, int64_t *ret_serial, ms_error *err) {
    for (;;) {
        if (r->before > 0) {
            r->before--;
            r->position++;
            *ret_frame = r->frame[1 - r->now];
            *ret_serial = r->serial - 1;
            return MS_OK;
        }
        if (r->current > 0) {
            r->current--;
            r->position++;
            *ret_frame = r->frame[r->now];
            *ret_serial = r->serial;
            return MS_OK;
        }
        if (r->ended) {
            *ret_frame = NULL;
            return MS_OK;
        }
        int64_t ts;
        bool got;
        MS_TRY(fetch(r, &ts, &got, err));
        if (!got) {
            r->ended = true;
            r->before = r->have[1 - r->now] ? ms_cfr_flush(&r->cfr) : 0;
            continue;
        }
        ms_cfr state = r->cfr;
        bool have_previous = r->have[1 - r->now];
        ms_cfr_step step =
            ms_cfr_push(&r->cfr, &r->rate, ts, ms_av_frame_duration(r->frame[r->now]), have_previous);
        consider_mark(r, &state, state.frames + step.before, ts);
        r->before = step.before;
        r->current = step.current;
    }
}

static void forget_frames(ms_video_reader *r) {
    for (int i = 0; i < 2; i++) {
        av_frame_unref(r->frame[i]);
        r->have[i] = false;
    }
    r->before = r->current = 0;
    r->serial += 2;
    r->ended = r->decoded_ahead = false;
}

/* Demuxers without an index (MPEG) may land after the key frame: try again from these many seconds before. */
static const double seek_ahead_s[] = {0, 2, 10};

/* Stands at the mark's first frame when it returns true; else the place is unknown. */
static ms_status try_mark(ms_video_reader *r, const ms_video_mark *mark, double ahead_s, bool *ret_there,
                          ms_error *err) {
    *ret_there = false;
    forget_frames(r);
    if (!ms_video_source_seek(&r->source, mark->timestamp - (int64_t)(ahead_s / av_q2d(r->rate.time_base))))
        return MS_OK;
    int64_t ts;
    bool got;
    do {
        MS_TRY(fetch(r, &ts, &got, err));
    } while (got && ts < mark->timestamp);
    if (!got || ts != mark->timestamp || ms_frame_hash(r->frame[r->now]) != mark->fingerprint)
        return MS_OK;
    av_frame_unref(r->frame[1 - r->now]);
    r->have[1 - r->now] = false;
    r->cfr = cfr_of(mark);
    ms_cfr_step step =
        ms_cfr_push(&r->cfr, &r->rate, ts, ms_av_frame_duration(r->frame[r->now]), mark->first_frame > 0);
    r->current = step.current;
    r->position = mark->first_frame;
    *ret_there = true;
    return MS_OK;
}

static ms_status go_to_mark(ms_video_reader *r, const ms_video_mark *mark, bool *ret_there, ms_error *err) {
    *ret_there = false;
    for (size_t i = 0; i < sizeof(seek_ahead_s) / sizeof(seek_ahead_s[0]) && !*ret_there; i++)
        MS_TRY(try_mark(r, mark, seek_ahead_s[i], ret_there, err));
    return MS_OK;
}

static ms_status restart(ms_video_reader *r, ms_error *err) {
    forget_frames(r);
    MS_TRY(ms_video_source_restart(&r->source, err));
    r->cfr = (ms_cfr){0};
    r->position = 0;
    return MS_OK;
}

static ms_status go_to(ms_video_reader *r, int64_t frame, ms_error *err) {
    int at = find_mark(r, frame);
    bool there = frame >= r->position;
    if (there && at >= 0 && r->marks[at].first_frame > r->position + r->mark_gap)
        there = false; /* an imported mark is nearer than where we stand */
    for (int tries = 0; !there && at >= 0 && tries < MARK_TRIES; tries++, at--)
        MS_TRY(go_to_mark(r, &r->marks[at], &there, err));
    if (!there)
        MS_TRY(restart(r, err));
    while (r->position < frame) {
        const AVFrame *skipped;
        int64_t serial;
        MS_TRY(advance(r, &skipped, &serial, err));
        if (!skipped)
            break;
    }
    return MS_OK;
}

/* ---- the public side */

ms_status ms_video_reader_seek(ms_video_reader *r, int64_t frame, ms_error *err) {
    if (frame < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: cannot seek to frame %" PRId64, r->path, frame);
    ms_av_log *previous = ms_av_log_enter(&r->log);
    ms_status status = go_to(r, frame, err);
    ms_av_log_leave(previous);
    if (status)
        ms_error_where(err, "decode", frame);
    return status;
}

ms_status ms_video_reader_read(ms_video_reader *r, uint8_t *rgb, ptrdiff_t stride, bool *ret_got,
                               ms_error *err) {
    return ms_video_reader_read_deep(r, rgb, stride, NULL, ret_got, err);
}

void ms_video_reader_put_back(const ms_video_reader *r, const uint8_t *rgb, uint16_t *deep) {
    ms_hdr_view_put_back(r->rgb.view, rgb, deep, 3 * (size_t)r->info.width * (size_t)r->info.height);
}

ms_status ms_video_reader_read_deep(ms_video_reader *r, uint8_t *rgb, ptrdiff_t stride, uint16_t *deep,
                                    bool *ret_got, ms_error *err) {
    ms_av_log *previous = ms_av_log_enter(&r->log);
    const AVFrame *frame;
    int64_t serial, number = r->position;
    ms_status status = advance(r, &frame, &serial, err);
    if (status == MS_OK && frame) {
        if (serial != r->rgb_serial) {
            r->rgb_serial = -1;
            status = ms_to_rgb_convert(&r->rgb, frame, err);
            if (status)
                ms_fail_prefix(err, status, "%s", r->path);
        }
        if (status == MS_OK) {
            r->rgb_serial = serial;
            ms_to_rgb_copy(&r->rgb, rgb, stride ? stride : 3 * (ptrdiff_t)r->info.width);
            if (deep)
                ms_to_rgb_copy_deep(&r->rgb, deep);
        }
    }
    ms_av_log_leave(previous);
    if (status == MS_OK)
        *ret_got = frame != NULL;
    else
        ms_error_where(err, "decode", number);
    return status;
}

int64_t ms_video_reader_tell(const ms_video_reader *r) {
    return r->position;
}

ms_status ms_video_reader_count(ms_video_reader *r, int64_t *ret_frames, ms_error *err) {
    int64_t position = r->position;
    MS_TRY(ms_video_reader_seek(r, INT64_MAX, err));
    int64_t frames = r->position;
    MS_TRY(ms_video_reader_seek(r, position, err));
    *ret_frames = frames;
    return MS_OK;
}

const ms_video_info *ms_video_reader_info(const ms_video_reader *r) {
    return &r->info;
}

void ms_video_reader_tags(const ms_video_reader *r, const AVFormatContext **ret_format, int *ret_stream) {
    *ret_format = r->source.in.format;
    *ret_stream = r->source.stream ? r->source.stream->index : -1;
}

int ms_video_reader_chapters_after(const ms_video_reader *r, double seconds) {
    const AVFormatContext *format = r->source.in.format;
    double zero = format->start_time == AV_NOPTS_VALUE ? 0 : (double)format->start_time / AV_TIME_BASE;
    int n = 0;
    for (unsigned i = 0; i < format->nb_chapters; i++) {
        const AVChapter *c = format->chapters[i];
        n += (double)c->start * av_q2d(c->time_base) - zero >= seconds;
    }
    return n;
}

void ms_video_reader_damage(const ms_video_reader *r, ms_video_damage_report *ret) {
    const ms_video_damage *d = &r->damage;
    *ret = (ms_video_damage_report){.frames_lost = d->packets_failed + d->frames_missing,
                                    .frames_marred = d->frames_marred,
                                    .truncated = d->truncated};
    if (!ret->frames_lost && !ret->frames_marred && !ret->truncated)
        return;
    snprintf(ret->message, sizeof(ret->message),
             "%.200s is damaged: %" PRId64 " frames lost, %" PRId64 " shown with errors%s%s%.100s", r->path,
             ret->frames_lost, ret->frames_marred, ret->truncated ? ", the file ends early" : "",
             d->last_error[0] ? "; last error: " : "", d->last_error);
}

/* ---- opening */

static bool sane(AVRational rate) {
    return rate.num > 0 && rate.den > 0 && av_q2d(rate) <= 1000;
}

/* A constant rate is exact in r_frame_rate; where that and the average disagree, the rate varies. */
static AVRational source_rate(const ms_video_reader *r) {
    AVStream *st = r->source.stream;
    AVRational guess = av_guess_frame_rate(r->source.in.format, st, NULL), average = st->avg_frame_rate;
    if (!sane(guess))
        return sane(average) ? average : (AVRational){0, 1};
    if (sane(average) && fabs(av_q2d(average) / av_q2d(guess) - 1) > 0.01)
        return average;
    return guess;
}

static double announced_seconds(const ms_video_reader *r) {
    const AVStream *st = r->source.stream;
    const AVFormatContext *format = r->source.in.format;
    if (st->duration > 0)
        return (double)st->duration * av_q2d(st->time_base);
    return format->duration > 0 ? (double)format->duration / AV_TIME_BASE : 0;
}

/* What is not read of the file. WebM's transparency is beside the stream, and only its tags tell. */
static void describe_rest(ms_video_info *info, const AVFormatContext *format, const AVStream *video) {
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *st = format->streams[i];
        bool picture = st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
        bool cover = picture && (st->disposition & AV_DISPOSITION_ATTACHED_PIC);
        info->n_subtitles += st->codecpar->codec_type == AVMEDIA_TYPE_SUBTITLE;
        info->n_covers += cover;
        info->n_other_videos += picture && !cover && st != video;
    }
    info->n_chapters = (int)format->nb_chapters;
    const AVDictionaryEntry *mode = av_dict_get(video->metadata, "alpha_mode", NULL, 0);
    info->alpha |= mode && strcmp(mode->value, "1") == 0;
}

static void describe_format(ms_video_info *info, const AVFrame *first) {
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(first->format);
    info->bits = desc ? desc->comp[0].depth : 0;
    info->chroma_across = desc ? 1 << desc->log2_chroma_w : 1;
    info->chroma_down = desc ? 1 << desc->log2_chroma_h : 1;
    info->alpha = desc && (desc->flags & AV_PIX_FMT_FLAG_ALPHA) && !(desc->flags & AV_PIX_FMT_FLAG_PAL);
    av_strlcpy(info->pixel_format, desc ? desc->name : "unknown", sizeof(info->pixel_format));
    ms_frame_colour fc = ms_frame_colour_of(first);
    info->colour = fc.colour;
    info->matrix_guessed = fc.matrix_guessed;
    info->range_guessed = fc.range_guessed;
    info->hdr_transfer = ms_hdr_name(fc.colour.transfer) ? fc.colour.transfer : 0;
    info->light = ms_hdr_light_of(first);
}

static void describe_audio(ms_video_info *info, const AVFormatContext *format) {
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *st = format->streams[i];
        if (st->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        if (info->n_audio < MS_VIDEO_MAX_AUDIO) {
            ms_stream_info *a = &info->audio[info->n_audio];
            a->index = (int)i;
            a->rate = st->codecpar->sample_rate;
            a->channels = MS_AV_CHANNELS(st->codecpar);
            a->duration_s = st->duration > 0 ? (double)st->duration * av_q2d(st->time_base) : 0;
            av_strlcpy(a->codec, avcodec_get_name(st->codecpar->codec_id), sizeof(a->codec));
        }
        info->n_audio++;
    }
}

static ms_orientation find_orientation(ms_video_reader *r, const AVFrame *first) {
    ms_orientation o = {0};
    const AVFrameSideData *sd = av_frame_get_side_data(first, AV_FRAME_DATA_DISPLAYMATRIX);
    const int32_t *matrix = sd ? (const int32_t *)sd->data : ms_av_display_matrix(r->source.stream);
    if (matrix)
        r->info.odd_angle = !ms_orientation_from_matrix(matrix, &o);
    return o;
}

static void describe(ms_video_reader *r, const AVFrame *first, ms_orientation o, ms_rational fps) {
    ms_video_info *info = &r->info;
    AVStream *st = r->source.stream;
    AVFormatContext *format = r->source.in.format;
    info->stored_width = first->width;
    info->stored_height = first->height;
    info->width = o.transpose ? first->height : first->width;
    info->height = o.transpose ? first->width : first->height;
    info->degrees = ms_orientation_degrees(o, &info->mirrored);
    AVRational sar = av_guess_sample_aspect_ratio(format, st, (AVFrame *)first);
    if (sar.num <= 0 || sar.den <= 0)
        sar = (AVRational){0, 1};
    else if (o.transpose)
        sar = av_inv_q(sar);
    info->pixel_aspect = (ms_rational){sar.num, sar.den};

    AVRational source = source_rate(r);
    info->source_fps = (ms_rational){source.num, source.den};
    if (fps.num == 0)
        fps = source.num ? info->source_fps : (ms_rational){25, 1};
    info->fps = fps;
    info->duration_s = announced_seconds(r);
    info->frames = (int64_t)(info->duration_s * fps.num / fps.den + 0.5);
    if (st->nb_frames > 0 && source.num && av_cmp_q(source, (AVRational){fps.num, fps.den}) == 0)
        info->frames = st->nb_frames;

    av_strlcpy(info->container, format->iformat->name, sizeof(info->container));
    av_strlcpy(info->codec, avcodec_get_name(st->codecpar->codec_id), sizeof(info->codec));
    describe_format(info, first);
    describe_audio(info, format);
    describe_rest(info, format, st);

    r->rate = (ms_cfr_params){.rate = {fps.num, fps.den},
                              .time_base = st->time_base,
                              .source_rate = av_guess_frame_rate(format, st, NULL),
                              .single_stream = format->nb_streams == 1};
    r->mark_gap = fps.num / fps.den > 1 ? fps.num / fps.den : 1;
}

static ms_status charge(ms_video_reader *r, const AVFrame *first, ms_error *err) {
    int64_t frame_bytes = 0;
    for (int i = 0; i < AV_NUM_DATA_POINTERS && first->buf[i]; i++)
        frame_bytes += (int64_t)first->buf[i]->size;
    const AVCodecContext *c = r->source.codec;
    /* AV1 and VP9 always have eight reference slots; the others say how many they use. */
    bool eight = c->codec_id == AV_CODEC_ID_AV1 || c->codec_id == AV_CODEC_ID_VP9;
    ms_decoder_load load = {.frame_bytes = frame_bytes,
                            .reference_frames = eight ? 8 : c->refs + c->has_b_frames,
                            .threads = c->thread_count,
                            .file_frames = r->source.numbered ? 0 : r->source.stream->nb_frames,
                            .packet_bytes = r->source.numbered ? r->source.files.largest_bytes : 0};
    size_t bytes = ms_decoder_bytes(&load);
    if (!ms_mem_charge(r->mem, MS_LEDGER_CODEC, bytes)) {
        ms_fail_alloc(err, r->mem, bytes, "the video decoder");
        return ms_fail_prefix(err, MS_HOST_MEMORY, "%s", r->path);
    }
    r->charged = bytes;
    r->growth = ms_decoder_growth_bytes(&load);
    return MS_OK;
}

static ms_status open_hdr(ms_video_reader *r, bool keep, ms_error *err) {
    MS_TRY(ms_to_rgb_set_hdr(&r->rgb, r->info.colour, keep, err));
    r->info.deep = keep;
    if (!keep)
        r->info.colour = (ms_colour){AVCOL_SPC_BT709, AVCOL_PRI_BT709, AVCOL_TRC_BT709, false};
    return MS_OK;
}

/* Decodes the first frame: only it knows the real size, format and turn. */
static ms_status begin(ms_video_reader *r, const ms_video_reader_params *params, ms_error *err) {
    MS_TRY(ms_video_source_open(&r->source, params->stream, err));
    bool got;
    int width, height;
    MS_TRY(fetch(r, &r->ahead_ts, &got, err));
    if (!got && ms_av_log_refused(&r->log, &width, &height))
        MS_TRY(ms_av_check_room(params->room, width, height, AV_PIX_FMT_NONE, r->path, err));
    if (!got)
        return ms_fail(err, MS_BAD_MEDIA, "%s: not one frame of its %s video could be decoded%s%s", r->path,
                       avcodec_get_name(r->source.stream->codecpar->codec_id), r->log.line[0] ? ": " : "",
                       r->log.line);
    r->decoded_ahead = true;
    const AVFrame *first = r->frame[r->now];
    MS_TRY(ms_av_check_room(params->room, first->width, first->height, (enum AVPixelFormat)first->format,
                            r->path, err));
    ms_orientation o = find_orientation(r, first);
    describe(r, first, o, params->fps);
    MS_TRY(charge(r, first, err));
    MS_TRY(ms_to_rgb_init(&r->rgb, r->mem, first->width, first->height, o, err));
    if (r->info.hdr_transfer)
        MS_TRY(open_hdr(r, params->keep_hdr, err));
    /* Once now, so that a format that cannot be converted is known before any work. */
    ms_status status = ms_to_rgb_convert(&r->rgb, first, err);
    if (status)
        return ms_fail_prefix(err, status, "%s", r->path);
    r->rgb_serial = r->serial;
    return MS_OK;
}

ms_status ms_video_reader_open(ms_mem *mem, const char *path, const ms_video_reader_params *params,
                               ms_video_reader **ret_reader, ms_error *err) {
    const ms_video_reader_params defaults = MS_VIDEO_READER_DEFAULTS;
    ms_status status;
    if (!params)
        params = &defaults;
    if (params->fps.num < 0 || params->fps.den < 0 || (params->fps.num > 0 && params->fps.den == 0) ||
        params->threads < 1)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frame rate %d/%d, %d threads", params->fps.num,
                       params->fps.den, params->threads);
    ms_video_reader *r = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*r));
    if (!r)
        return ms_fail_alloc(err, mem, sizeof(*r), "a video reader");
    ms_av_log *previous = ms_av_log_enter(&r->log);
    r->mem = mem;
    r->rgb_serial = -1;
    r->path = ms_strdup(mem, path);
    r->marks = ms_alloc_array(mem, MS_LEDGER_GENERAL, MS_VIDEO_MAX_MARKS, sizeof(*r->marks));
    r->frame[0] = av_frame_alloc();
    r->frame[1] = av_frame_alloc();
    if (!r->path || !r->marks || !r->frame[0] || !r->frame[1]) {
        status = ms_fail_alloc(err, mem, MS_VIDEO_MAX_MARKS * sizeof(*r->marks), "a video reader");
        goto fail;
    }
    r->source =
        (ms_video_source){.path = r->path,
                          .log = &r->log,
                          .damage = &r->damage,
                          .threads = params->threads,
                          .room = params->room,
                          .pictures_rate = params->fps.num ? (AVRational){params->fps.num, params->fps.den}
                                                           : MS_PICTURE_FILES_RATE,
                          .in.fd = -1};
    MS_GOTO(begin(r, params, err));
    ms_av_log_leave(previous);
    *ret_reader = r;
    return MS_OK;
fail:
    ms_av_log_leave(previous);
    ms_video_reader_close(&r);
    ms_error_where(err, "decode", -1);
    return status;
}

size_t ms_video_reader_growth_bytes(const ms_video_reader *r) {
    return r->growth;
}

void ms_video_reader_close(ms_video_reader **reader) {
    if (!reader || !*reader)
        return;
    ms_video_reader *r = *reader;
    ms_video_damage_report damage = {.message = ""};
    ms_video_reader_damage(r, &damage);
    if (damage.message[0])
        ms_log_tell(MS_LOG_WARNING, "damaged-video", "%s", damage.message);
    ms_av_log *previous = ms_av_log_enter(&r->log);
    ms_video_source_close(&r->source);
    ms_to_rgb_free(&r->rgb);
    av_frame_free(&r->frame[0]);
    av_frame_free(&r->frame[1]);
    ms_av_log_leave(previous);
    if (r->charged)
        ms_mem_release(r->mem, MS_LEDGER_CODEC, r->charged);
    ms_mem_free(r->marks);
    ms_mem_free(r->path);
    ms_mem_free(r);
    *reader = NULL;
}
