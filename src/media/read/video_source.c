#include "media/read/video_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/parseutils.h>
#include <libavutil/pixdesc.h>

#include "media/av_compat.h"
#include "media/source_name.h"

#define JUMP_US (10ll * AV_TIME_BASE) /* ffmpeg's dts_delta_threshold */
#define MISSING_US 500000        /* of announced and found length: rounding, and frames that stay longer */
#define MAX_ERRORS_IN_A_ROW 1000 /* at the end of the packets: a decoder that never stops complaining */

/* By the container, and by what probing found. */
static ms_status check_size(const ms_video_source *s, ms_error *err) {
    const AVCodecParameters *par = s->stream->codecpar;
    int width, height;
    MS_TRY(ms_av_check_room(s->room, s->in.announced_width, s->in.announced_height, AV_PIX_FMT_NONE, s->path,
                            err));
    MS_TRY(ms_av_check_room(s->room, par->width, par->height, (enum AVPixelFormat)par->format, s->path, err));
    return par->width == 0 && ms_av_log_refused(s->log, &width, &height)
               ? ms_av_check_room(s->room, width, height, AV_PIX_FMT_NONE, s->path, err)
               : MS_OK;
}

static ms_status open_input(ms_video_source *s, ms_error *err) {
    MS_TRY(ms_source_name_numbered(s->path, &s->numbered, err));
    if (!s->numbered)
        return ms_av_input_open(&s->in, s->path, s->room, s->log, err);
    s->next_file = 0;
    MS_TRY(ms_numbered_find(s->path, &s->files, err));
    return ms_picture_files_open(&s->in, s->path, &s->files, s->pictures_rate, s->threads, s->room, s->log,
                                 err);
}

ms_status ms_video_source_open(ms_video_source *s, int stream, ms_error *err) {
    ms_status status;
    MS_TRY(open_input(s, err));
    AVFormatContext *format = s->in.format;
    if (stream < 0)
        stream = ms_av_best_stream(format, AVMEDIA_TYPE_VIDEO);
    if (stream < 0 || stream >= (int)format->nb_streams ||
        format->streams[stream]->codecpar->codec_type != AVMEDIA_TYPE_VIDEO) {
        status = ms_fail(err, MS_BAD_MEDIA, "%s has no video stream (format %s, %u other stream%s)", s->path,
                         format->iformat->name, format->nb_streams, format->nb_streams == 1 ? "" : "s");
        goto fail;
    }
    ms_av_select(format, stream);
    s->stream = format->streams[stream];
    MS_GOTO(check_size(s, err));
    s->packet = av_packet_alloc();
    if (!s->packet) {
        status = ms_fail(err, MS_HOST_MEMORY, "out of memory opening %s", s->path);
        goto fail;
    }
    MS_GOTO(ms_av_open_decoder(s->stream, s->threads, s->room, s->log, s->path, &s->codec, err));
    s->offset = format->start_time == AV_NOPTS_VALUE ? 0 : -format->start_time;
    s->next_dts = s->last_dts = s->next_ts = AV_NOPTS_VALUE;
    s->reach = MS_VIDEO_REACH_NOTHING;
    s->started = s->packets_done = s->discontinuous = false;
    return MS_OK;
fail:
    ms_video_source_close(s);
    return status;
}

void ms_video_source_close(ms_video_source *s) {
    ms_av_codec_free(&s->codec);
    av_packet_free(&s->packet);
    ms_av_input_close(&s->in);
    s->stream = NULL;
}

ms_status ms_video_source_restart(ms_video_source *s, ms_error *err) {
    ms_video_reach reach = s->reach;
    int stream = s->stream ? s->stream->index : -1;
    ms_video_source_close(s);
    MS_TRY(ms_video_source_open(s, stream, err));
    s->reach = reach;
    return MS_OK;
}

bool ms_video_source_seek(ms_video_source *s, int64_t ts) {
    int64_t offset = av_rescale_q(s->offset, AV_TIME_BASE_Q, s->stream->time_base);
    if (s->numbered)
        s->next_file = (int)(ts < 0 ? 0 : ts < s->files.count ? ts : s->files.count - 1);
    else if (s->discontinuous ||
             av_seek_frame(s->in.format, s->stream->index, ts - offset, AVSEEK_FLAG_BACKWARD) < 0)
        return false;
    avcodec_flush_buffers(s->codec);
    s->next_dts = s->last_dts = s->next_ts = AV_NOPTS_VALUE;
    s->started = true; /* timestamps that are missing now stay unknown: the caller notices and restarts */
    s->packets_done = false;
    return true;
}

/* ---- packets */

static int64_t us_of(const ms_video_source *s, int64_t ts) {
    return av_rescale_q(ts, s->stream->time_base, AV_TIME_BASE_Q);
}

static int64_t packet_us(const ms_video_source *s, const AVPacket *packet) {
    if (packet->duration)
        return us_of(s, packet->duration);
    const AVCodecContext *c = s->codec;
    int ticks_per_frame = ms_av_ticks_per_frame(c);
    if (c->framerate.num == 0 || c->framerate.den == 0 || ticks_per_frame == 0)
        return 0;
    const AVCodecParserContext *parser = av_stream_get_parser(s->stream);
    int ticks = parser ? parser->repeat_pict + 1 : ticks_per_frame;
    return (int64_t)AV_TIME_BASE * c->framerate.den * ticks / c->framerate.num / ticks_per_frame;
}

/* Closes a jump of more than ten seconds, or backwards, by moving the offset. */
static void close_jump(ms_video_source *s, AVPacket *packet) {
    if (!(s->in.format->iformat->flags & AVFMT_TS_DISCONT) || packet->dts == AV_NOPTS_VALUE ||
        s->next_dts == AV_NOPTS_VALUE)
        return;
    int64_t dts = us_of(s, packet->dts), delta = dts - s->next_dts;
    bool back = s->last_dts != AV_NOPTS_VALUE && dts + AV_TIME_BASE / 10 < s->last_dts;
    if (delta >= -JUMP_US && delta <= JUMP_US && !back)
        return;
    s->discontinuous = true;
    s->offset -= delta;
    int64_t shift = av_rescale_q(delta, AV_TIME_BASE_Q, s->stream->time_base);
    packet->dts -= shift;
    if (packet->pts != AV_NOPTS_VALUE)
        packet->pts -= shift;
}

static void fix_timestamps(ms_video_source *s, AVPacket *packet) {
    int64_t offset = av_rescale_q(s->offset, AV_TIME_BASE_Q, s->stream->time_base);
    if (packet->dts != AV_NOPTS_VALUE)
        packet->dts += offset;
    if (packet->pts != AV_NOPTS_VALUE)
        packet->pts += offset;
    close_jump(s, packet);
    if (!s->started) {
        AVRational rate = s->stream->avg_frame_rate;
        s->next_dts = rate.num ? (int64_t)(-s->codec->has_b_frames * AV_TIME_BASE / av_q2d(rate)) : 0;
        s->started = true;
    }
    if (packet->dts != AV_NOPTS_VALUE)
        s->next_dts = us_of(s, packet->dts);
    else if (s->next_dts != AV_NOPTS_VALUE)
        packet->dts = av_rescale_q(s->next_dts, AV_TIME_BASE_Q, s->stream->time_base);
    s->last_dts = s->next_dts;
    int64_t duration = packet_us(s, packet);
    if (s->next_dts != AV_NOPTS_VALUE && duration)
        s->next_dts += duration;
}

/* Where a container counts no frames but says how long the stream is: what is missing of it,
   at the frame rate. AVI counts places, and a picture that stays has no packet in the next. */
static int64_t missing_at_end(const ms_video_source *s) {
    const AVFormatContext *format = s->in.format;
    const AVDictionaryEntry *own = av_dict_get(s->stream->metadata, "DURATION", NULL, 0);
    AVRational rate = s->stream->avg_frame_rate;
    bool avi = strcmp(format->iformat->name, "avi") == 0;
    int64_t length = 0;
    if (s->stream->nb_frames > 0 && !avi)
        return s->stream->nb_frames - s->damage->packets;
    if (avi && s->stream->nb_frames > 0 && rate.num > 0 && rate.den > 0)
        return s->next_dts == AV_NOPTS_VALUE
                   ? 0
                   : s->stream->nb_frames - av_rescale_q(s->next_dts, AV_TIME_BASE_Q, av_inv_q(rate));
    if (own && av_parse_time(&length, own->value, 1) < 0)
        length = 0;
    if (!own && format->nb_streams == 1 && format->duration_estimation_method == AVFMT_DURATION_FROM_STREAM &&
        format->duration > 0)
        length = format->duration;
    if (length <= 0 || s->next_dts == AV_NOPTS_VALUE || rate.num <= 0 || rate.den <= 0)
        return 0;
    if (av_cmp_q(rate, s->stream->r_frame_rate) !=
        0) /* pictures stay for different times, and the last may stay long */
        return 0;
    /* Decoding runs ahead of showing by the pictures that are held back: see fix_timestamps(). */
    int64_t held_us = av_rescale_q(s->codec->has_b_frames, av_inv_q(rate), AV_TIME_BASE_Q),
            missing_us = length - s->next_dts - held_us;
    return missing_us < MISSING_US ? 0 : av_rescale_q(missing_us, AV_TIME_BASE_Q, av_inv_q(rate));
}

static void note_end(ms_video_source *s) {
    s->packets_done = true;
    int64_t missing = missing_at_end(s);
    if (missing > s->damage->frames_missing) {
        s->damage->frames_missing = missing;
        s->damage->truncated = true;
    }
}

static void keep_complaint(ms_video_source *s) {
    ms_av_log_line(s->log, s->damage->last_error, sizeof(s->damage->last_error));
}

/* A video's pictures may change their size and are scaled then; pictures that do are a mistake. */
static ms_status fail_size(const ms_video_source *s, int64_t index, int width, int height, ms_error *err) {
    char name[MS_NUMBERED_PATH_BYTES], first[MS_NUMBERED_PATH_BYTES];
    ms_numbered_name(&s->files, s->files.first + (int)index, name);
    ms_numbered_name(&s->files, s->files.first, first);
    return ms_fail(err, MS_BAD_MEDIA, "%s is %dx%d, and %s is %dx%d: numbered pictures must have one size",
                   name, width, height, first, s->picture_width, s->picture_height);
}

static ms_status check_picture(ms_video_source *s, const AVFrame *frame, int64_t index, ms_error *err) {
    if (!s->numbered)
        return MS_OK;
    if (s->picture_width && (frame->width != s->picture_width || frame->height != s->picture_height))
        return fail_size(s, index, frame->width, frame->height, err);
    s->picture_width = frame->width;
    s->picture_height = frame->height;
    return MS_OK;
}

/* Counts a packet that the decoder refused; only a lack of memory is a failure. */
static ms_status take_result(ms_video_source *s, int rc, ms_error *err) {
    if (rc == AVERROR(ENOMEM))
        return ms_fail(err, MS_HOST_MEMORY, "out of memory decoding %s", s->path);
    if (rc < 0 && rc != AVERROR_EOF && s->new_packet) {
        int width, height;
        if (s->numbered && s->picture_width && ms_av_log_refused(s->log, &width, &height))
            return fail_size(s, s->sent_ts, width, height, err);
        s->damage->packets_failed++;
        s->reach.refused++;
        keep_complaint(s);
    }
    return MS_OK;
}

static void note_trouble(ms_video_source *s) {
    if (s->sent_ts > s->reach.trouble_ts)
        s->reach.trouble_ts = s->sent_ts;
}

/* FFmpeg's number of an error; what ends the reading is in *ret_status. */
static int next_packet(ms_video_source *s, ms_status *ret_status, ms_error *err) {
    int rc;
    *ret_status = MS_OK;
    if (s->numbered) {
        if (s->next_file == s->files.count)
            return AVERROR_EOF;
        *ret_status = ms_picture_files_read(&s->files, s->next_file++, s->packet, err);
        return 0;
    }
    do {
        rc = av_read_frame(s->in.format, s->packet);
        if (rc >= 0 && s->packet->stream_index != s->stream->index)
            av_packet_unref(s->packet);
    } while (rc == AVERROR(EAGAIN) || (rc >= 0 && !s->packet->data));
    return rc;
}

/* Hands the decoder the next packet, or the news that there is none. */
static ms_status feed(ms_video_source *s, ms_error *err) {
    ms_status status;
    unsigned warnings = ms_av_log_warnings(s->log);
    int rc = next_packet(s, &status, err);
    if (status != MS_OK)
        return status;
    bool complained = ms_av_log_warnings(s->log) != warnings;
    if (rc < 0) {
        if (s->in.read_errno)
            return ms_fail(err, MS_IO, "cannot read %s: %s", s->path, strerror(s->in.read_errno));
        if (rc == AVERROR(ENOMEM))
            return ms_fail(err, MS_HOST_MEMORY, "out of memory reading %s", s->path);
        if (rc != AVERROR_EOF) {
            s->damage->truncated = true;
            keep_complaint(s);
        }
        note_end(s);
        return take_result(s, avcodec_send_packet(s->codec, NULL), err);
    }
    int64_t place = s->packet->dts != AV_NOPTS_VALUE ? s->packet->dts : s->packet->pos;
    s->new_packet = place > s->reach.packet;
    if (s->new_packet) {
        s->reach.packet = place;
        s->damage->packets++;
    }
    fix_timestamps(s, s->packet);
    s->sent_ts = s->packet->pts != AV_NOPTS_VALUE ? s->packet->pts : s->packet->dts;
    if (complained || s->packet->flags & AV_PKT_FLAG_CORRUPT)
        note_trouble(s);
    rc = avcodec_send_packet(s->codec, s->packet);
    av_packet_unref(s->packet);
    return take_result(s, rc, err);
}

/* ---- frames */

static int64_t take_timestamp(ms_video_source *s, const AVFrame *frame) {
    int64_t ts = frame->best_effort_timestamp;
    if (ts == AV_NOPTS_VALUE)
        ts = s->next_ts == AV_NOPTS_VALUE ? 0 : s->next_ts;
    int64_t duration = ms_av_frame_duration(frame);
    if (duration <= 0)
        duration = av_rescale_q(1, av_inv_q(av_guess_frame_rate(s->in.format, s->stream, NULL)),
                                s->stream->time_base);
    s->next_ts = ts + (duration > 0 ? duration : 1);
    return ts;
}

/* Demuxer or decoder complained and went on further down the file: how many frames
   would fit into the gap, but for those of refused packets, which are counted
   already? Both are ahead: a complaint may be about a gap that is still to come. */
static void count_hole(ms_video_source *s, int64_t previous, int64_t expected, int64_t ts) {
    AVRational rate = s->stream->avg_frame_rate;
    int64_t frames = 0;
    if (expected != AV_NOPTS_VALUE && rate.num > 0 && rate.den > 0) {
        /* FFmpeg 7 may give a damaged stream's pictures the duration of a field. */
        int64_t next = previous + av_rescale_q(1, av_inv_q(rate), s->stream->time_base);
        expected = expected > next ? expected : next;
        frames = av_rescale_q(ts - expected, s->stream->time_base, av_inv_q(rate));
    } else {
        s->reach.refused = 0; /* nobody can say where theirs would be */
    }
    if (frames <= 0)
        return;
    int64_t refused = frames < s->reach.refused ? frames : s->reach.refused;
    s->reach.refused -= refused;
    if (expected > s->reach.trouble_ts)
        return;
    s->damage->frames_missing += frames - refused;
    keep_complaint(s);
}

ms_status ms_video_source_next(ms_video_source *s, AVFrame *frame, int64_t *ret_ts, bool *ret_got,
                               ms_error *err) {
    for (;;) {
        int rc = avcodec_receive_frame(s->codec, frame);
        if (rc >= 0) {
            s->errors_in_a_row = 0;
            unsigned errors = ms_av_log_errors(s->log);
            if (errors != s->errors)
                note_trouble(s);
            s->errors = errors;
            int64_t expected = s->next_ts;
            *ret_ts = take_timestamp(s, frame);
            MS_TRY(check_picture(s, frame, *ret_ts, err));
            if (*ret_ts > s->reach.frame) {
                count_hole(s, s->reach.frame, expected, *ret_ts);
                s->reach.frame = *ret_ts;
                if (frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT)) {
                    s->damage->frames_marred++;
                    keep_complaint(s);
                }
            }
            *ret_got = true;
            return MS_OK;
        }
        if (rc == AVERROR(EAGAIN)) {
            MS_TRY(feed(s, err));
            continue;
        }
        if (rc == AVERROR_EOF || s->errors_in_a_row++ > MAX_ERRORS_IN_A_ROW) {
            *ret_got = false;
            return MS_OK;
        }
        MS_TRY(take_result(s, rc, err));
    }
}

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

uint64_t ms_frame_hash(const AVFrame *frame) {
    uint64_t h = mix((uint64_t)frame->width, (uint64_t)frame->height << 32 | (uint32_t)frame->format);
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    int planes = av_pix_fmt_count_planes(frame->format);
    if (!desc || (desc->flags & AV_PIX_FMT_FLAG_HWACCEL))
        return h;
    for (int p = 0; p < planes; p++) {
        int bytes = av_image_get_linesize(frame->format, frame->width, p);
        bool chroma = p == 1 || p == 2;
        int rows = chroma ? AV_CEIL_RSHIFT(frame->height, desc->log2_chroma_h) : frame->height;
        if ((desc->flags & AV_PIX_FMT_FLAG_PAL) && p == 1)
            continue;
        for (int y = 0; y < rows; y++) {
            const uint8_t *row = frame->data[p] + (ptrdiff_t)y * frame->linesize[p];
            int x = 0;
            uint64_t word = 0;
            for (; x + 8 <= bytes; x += 8) {
                memcpy(&word, row + x, 8);
                h = mix(h, word);
            }
            word = 0;
            memcpy(&word, row + x, (size_t)(bytes - x));
            h = mix(h, word);
        }
    }
    return h;
}
