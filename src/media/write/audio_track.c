#include "media/write/audio_track.h"

#include <math.h>
#include <string.h>

#include <libavutil/intreadwrite.h>

#include "audio/chunks.h"
#include "media/av_compat.h"

/* Samples of a packet where the codec does not fix it (PCM). */
#define FREE_FRAME_SAMPLES 1024
#define GAP_S 0.1           /* a jump of timestamps beyond this is a gap, below it rounding */
#define FALLBACK_RATE 48000 /* for an original whose rate the encoder does not know */

/* ---- encoding */

/* AAC's first 1024 samples are its own warming up. mp4 says so in an edit list;
   Matroska, as FFmpeg 5.1 writes it, would start the picture that much later (64 ms
   at 16 kHz), so it gets FLAC, which has no delay. */
enum AVCodecID ms_audio_track_encoder(ms_container container) {
    switch (container) {
    case MS_CONTAINER_MKV:
        return AV_CODEC_ID_FLAC;
    case MS_CONTAINER_AVI:
        return AV_CODEC_ID_PCM_S16LE;
    case MS_CONTAINER_MP4:
    case MS_CONTAINER_MOV:
        break;
    }
    return AV_CODEC_ID_AAC;
}

static bool rate_supported(const AVCodec *codec, int rate) {
    const int *rates = ms_av_sample_rates(codec);
    if (!rates)
        return true;
    for (; *rates; rates++)
        if (*rates == rate)
            return true;
    return false;
}

static int open_codec(ms_audio_track *t, const AVCodec *codec, const ms_video_writer_params *p) {
    AVCodecContext *c = t->codec = avcodec_alloc_context3(codec);
    t->frame = av_frame_alloc();
    if (!c || !t->frame)
        return AVERROR(ENOMEM);
    bool aac = codec->id == AV_CODEC_ID_AAC;
    ms_av_log_attach(t->mux->log, c);
    c->sample_fmt = aac ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_S16;
    c->sample_rate = t->feed.rate;
    c->time_base = (AVRational){1, t->feed.rate};
    MS_AV_DEFAULT_LAYOUT(c, t->feed.channels);
    if (aac)
        c->bit_rate = p->audio_bits ? p->audio_bits
                                    : t->feed.channels * (p->audio == MS_AUDIO_ORIGINAL ? 128000ll : 64000ll);
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    if (t->mux->format->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    int rc = avcodec_open2(c, codec, NULL);
    if (rc < 0)
        return rc;
    t->frame_samples = c->frame_size ? c->frame_size : FREE_FRAME_SAMPLES;
    t->frame->format = c->sample_fmt;
    t->frame->nb_samples = t->frame_samples;
    t->frame->sample_rate = c->sample_rate;
    MS_AV_DEFAULT_LAYOUT(t->frame, t->feed.channels);
    return av_frame_get_buffer(t->frame, 0);
}

static ms_status open_encoder(ms_audio_track *t, const ms_video_writer_params *p, ms_error *err) {
    const AVCodec *codec = avcodec_find_encoder(ms_audio_track_encoder(t->mux->container));
    if (!codec)
        return ms_fail(err, MS_UNSUPPORTED, "this build's FFmpeg has no %s encoder",
                       avcodec_get_name(ms_audio_track_encoder(t->mux->container)));
    if (p->audio == MS_AUDIO_ORIGINAL) {
        ms_audio_reader_params rp = {.stream = p->audio_stream, .source_format = true, .room = p->audio_room};
        MS_TRY(ms_audio_reader_open(t->mem, p->audio_path, &rp, &t->reader, err));
        if (!rate_supported(codec, ms_audio_reader_info(t->reader)->rate)) {
            ms_audio_reader_close(&t->reader);
            rp.rate = FALLBACK_RATE;
            MS_TRY(ms_audio_reader_open(t->mem, p->audio_path, &rp, &t->reader, err));
        }
        const ms_audio_info *info = ms_audio_reader_info(t->reader);
        t->feed = (ms_audio_feed){.rate = info->rate, .channels = info->channels};
        MS_TRY(ms_audio_reader_seek(t->reader, p->audio_skip_us * info->rate / 1000000, err));
    } else {
        t->feed = p->feed;
        if (!t->feed.read || t->feed.rate < 1 || t->feed.channels < 1 || !rate_supported(codec, t->feed.rate))
            return ms_fail(err, MS_INVALID_ARGUMENT, "audio of %d channels at %d Hz cannot be encoded as %s",
                           t->feed.channels, t->feed.rate, codec->name);
    }
    int rc = open_codec(t, codec, p);
    if (rc < 0)
        return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_UNSUPPORTED, t->mux->log, rc,
                          "cannot open the %s encoder for %d channels at %d Hz", codec->name,
                          t->feed.channels, t->feed.rate);
    size_t bytes = (size_t)t->frame_samples * (size_t)t->feed.channels * sizeof(float);
    t->samples = ms_mem_alloc(t->mem, MS_LEDGER_GENERAL, bytes);
    if (!t->samples)
        return ms_fail_alloc(err, t->mem, bytes, "audio samples");
    return ms_mux_add_encoder(t->mux, t->codec, &t->index, err);
}

static void fill_frame(const ms_audio_track *t, int n) {
    int channels = t->feed.channels;
    for (int i = 0; i < n * channels; i++) {
        float x = isfinite(t->samples[i]) ? t->samples[i] : 0;
        if (t->codec->sample_fmt == AV_SAMPLE_FMT_FLTP) {
            ((float *)t->frame->extended_data[i % channels])[i / channels] = x;
        } else {
            float y = x * 32768.0f;
            y = y < -32768.0f ? -32768.0f : y > 32767.0f ? 32767.0f : y;
            ((int16_t *)t->frame->data[0])[i] = (int16_t)lrintf(y);
        }
    }
    t->frame->nb_samples = n;
}

static ms_status drain_encoder(ms_audio_track *t, ms_error *err) {
    for (;;) {
        int rc = avcodec_receive_packet(t->codec, t->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return MS_OK;
        if (rc < 0)
            return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_INTERNAL, t->mux->log, rc,
                              "the %s encoder failed", t->codec->codec->name);
        MS_TRY(ms_mux_write(t->mux, t->packet, t->index, t->codec->time_base, err));
    }
}

static ms_status send_frame(ms_audio_track *t, int n, ms_error *err) {
    int rc = 0;
    if (n) {
        rc = av_frame_make_writable(t->frame);
        if (rc >= 0)
            fill_frame(t, n);
        t->frame->pts = t->sent;
    }
    if (rc >= 0)
        rc = avcodec_send_frame(t->codec, n ? t->frame : NULL);
    if (rc < 0)
        return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_INTERNAL, t->mux->log, rc,
                          "the %s encoder failed", t->codec->codec->name);
    t->sent += n;
    return drain_encoder(t, err);
}

static ms_status read_feed(ms_audio_track *t, int64_t max, int64_t *ret_count, ms_error *err) {
    if (t->reader)
        return ms_audio_reader_read(t->reader, t->samples, max, ret_count, err);
    return t->feed.read(t->feed.context, t->samples, max, ret_count, err);
}

static ms_status advance_encoder(ms_audio_track *t, int64_t frames, bool last, ms_error *err) {
    int64_t target = ms_output_samples(frames, t->fps, t->feed.rate);
    while (!t->feed_ended) {
        int64_t n = target - t->sent, got;
        if (n <= 0 || (n < t->frame_samples && !last))
            break;
        n = n < t->frame_samples ? n : t->frame_samples;
        MS_TRY(read_feed(t, n, &got, err));
        t->feed_ended = got < n;
        if (got > 0)
            MS_TRY(send_frame(t, (int)got, err));
    }
    return last ? send_frame(t, 0, err) : MS_OK;
}

/* ---- copying */

/* Codecs that players take in the container, not all that the muxer would write. */
bool ms_audio_track_copies(ms_container container, enum AVCodecID codec) {
    switch (container) {
    case MS_CONTAINER_MP4:
        return codec == AV_CODEC_ID_AAC || codec == AV_CODEC_ID_MP3 || codec == AV_CODEC_ID_AC3 ||
               codec == AV_CODEC_ID_EAC3 || codec == AV_CODEC_ID_ALAC;
    case MS_CONTAINER_MOV:
        return codec == AV_CODEC_ID_AAC || codec == AV_CODEC_ID_MP3 || codec == AV_CODEC_ID_AC3 ||
               codec == AV_CODEC_ID_ALAC || codec == AV_CODEC_ID_PCM_S16LE ||
               codec == AV_CODEC_ID_PCM_S24LE || codec == AV_CODEC_ID_PCM_F32LE;
    case MS_CONTAINER_MKV:
        return codec == AV_CODEC_ID_AAC || codec == AV_CODEC_ID_MP3 || codec == AV_CODEC_ID_AC3 ||
               codec == AV_CODEC_ID_EAC3 || codec == AV_CODEC_ID_DTS || codec == AV_CODEC_ID_FLAC ||
               codec == AV_CODEC_ID_OPUS || codec == AV_CODEC_ID_VORBIS || codec == AV_CODEC_ID_ALAC ||
               codec == AV_CODEC_ID_PCM_S16LE || codec == AV_CODEC_ID_PCM_S24LE ||
               codec == AV_CODEC_ID_PCM_F32LE;
    case MS_CONTAINER_AVI:
        return codec == AV_CODEC_ID_MP3 || codec == AV_CODEC_ID_AC3 || codec == AV_CODEC_ID_PCM_S16LE;
    }
    return false;
}

/* *ret_copied false: the container cannot hold the codec; nothing is open then. */
static ms_status open_copy(ms_audio_track *t, const ms_video_writer_params *p, bool *ret_copied,
                           ms_error *err) {
    *ret_copied = false;
    MS_TRY(ms_av_input_open(&t->in, p->audio_path, p->audio_room, t->mux->log, err));
    AVFormatContext *format = t->in.format;
    int stream = p->audio_stream >= 0 ? p->audio_stream : ms_av_best_stream(format, AVMEDIA_TYPE_AUDIO);
    if (stream < 0 || stream >= (int)format->nb_streams ||
        format->streams[stream]->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
        return ms_fail(err, MS_BAD_MEDIA, "%s has no audio stream", p->audio_path);
    const AVStream *st = format->streams[stream];
    if (!ms_audio_track_copies(t->mux->container, st->codecpar->codec_id)) {
        ms_av_input_close(&t->in);
        return MS_OK;
    }
    ms_av_select(format, stream);
    t->stream = st;
    t->path = p->audio_path;
    *ret_copied = true;
    return ms_mux_add_copy(t->mux, st->codecpar, st->time_base, &t->index, err);
}

static bool counts_from_zero(const ms_audio_track *t) {
    /* Matroska notes Opus's delay beside the stream and takes it off the timestamps again. */
    return t->mux->container == MS_CONTAINER_MKV && t->stream->codecpar->codec_id == AV_CODEC_ID_OPUS;
}

/* Sets where the first packet goes: what a decoder skips lies before zero. */
static void begin_copy(ms_audio_track *t) {
    const AVCodecParameters *par = t->stream->codecpar;
    int64_t start = t->stream->start_time == AV_NOPTS_VALUE ? 0 : t->stream->start_time;
    t->shift = -start;
    t->next_ts = t->packet->pts == AV_NOPTS_VALUE ? start : t->packet->pts;
    if (counts_from_zero(t)) {
        t->shift = -t->next_ts;
        t->delay =
            av_rescale_q(par->initial_padding, (AVRational){1, par->sample_rate}, t->stream->time_base);
    }
    t->begun = true;
}

/* The packet's place in the output: its own timestamp, with gaps closed as the audio reader closes them. */
static void place_packet(ms_audio_track *t) {
    AVPacket *packet = t->packet;
    const AVCodecParameters *par = t->stream->codecpar;
    if (packet->duration <= 0)
        packet->duration =
            av_rescale_q(par->frame_size, (AVRational){1, par->sample_rate}, t->stream->time_base);
    if (packet->duration <= 0)
        packet->duration = 1;
    int64_t ts = packet->pts == AV_NOPTS_VALUE ? t->next_ts : packet->pts;
    int64_t gap = ts - t->next_ts;
    if (fabs((double)gap * av_q2d(t->stream->time_base)) > GAP_S)
        t->shift -= gap;
    t->next_ts = ts + packet->duration;
    packet->pts = packet->dts = ts + t->shift;
}

/* The next packet of the stream into t->packet with its timestamp in the output; false at the end. */
static ms_status next_packet(ms_audio_track *t, bool *ret_got, ms_error *err) {
    bool mov = t->mux->container == MS_CONTAINER_MP4 || t->mux->container == MS_CONTAINER_MOV;
    for (;; av_packet_unref(t->packet)) {
        int rc = av_read_frame(t->in.format, t->packet);
        if (rc == AVERROR(EAGAIN))
            continue;
        if (rc < 0) {
            if (t->in.read_errno)
                return ms_fail(err, MS_IO, "cannot read %s: %s", t->path, strerror(t->in.read_errno));
            if (rc == AVERROR(ENOMEM))
                return ms_fail(err, MS_HOST_MEMORY, "out of memory reading %s", t->path);
            *ret_got = false;
            return MS_OK;
        }
        if (t->packet->stream_index != t->stream->index)
            continue;
        if (!t->begun)
            begin_copy(t);
        place_packet(t);
        /* Only mp4 can start before zero: elsewhere FFmpeg 5.1 would start the picture later instead. */
        if (!mov && (double)t->packet->pts * av_q2d(t->stream->time_base) < -0.0005)
            continue;
        *ret_got = true;
        return MS_OK;
    }
}

/* The last packet reaches past the video's end. mp4 takes a shorter duration,
   Matroska a note of samples to discard, PCM can be cut itself; what is left (MP3
   and AC-3 in AVI) plays some 30 ms longer than the picture. */
static ms_status cut_packet(ms_audio_track *t, int64_t limit, ms_error *err) {
    AVPacket *packet = t->packet;
    const AVCodecParameters *par = t->stream->codecpar;
    const AVRational sample = {1, par->sample_rate};
    int64_t keep = av_rescale_q(limit - packet->pts, t->stream->time_base, sample);
    int64_t have = av_rescale_q(packet->duration, t->stream->time_base, sample);
    int pcm_bytes = av_get_exact_bits_per_sample(par->codec_id) / 8 * MS_AV_CHANNELS(par);
    if (pcm_bytes > 0 && keep * pcm_bytes < packet->size) {
        av_shrink_packet(packet, (int)(keep * pcm_bytes));
    } else if (t->mux->container == MS_CONTAINER_MKV) {
        uint8_t *note = av_packet_new_side_data(packet, AV_PKT_DATA_SKIP_SAMPLES, 10);
        if (!note)
            return ms_fail(err, MS_HOST_MEMORY, "out of memory for the audio track");
        memset(note, 0, 10);
        AV_WL32(note + 4, (uint32_t)(have - keep));
    }
    packet->duration = limit - packet->pts;
    return MS_OK;
}

static ms_status advance_copy(ms_audio_track *t, int64_t frames, bool last, ms_error *err) {
    AVRational tb = t->stream->time_base;
    while (!t->packets_done) {
        if (!t->pending) {
            MS_TRY(next_packet(t, &t->pending, err));
            t->packets_done = !t->pending;
            continue;
        }
        int64_t limit = (int64_t)((double)frames / t->fps / av_q2d(tb)) + t->delay;
        if (t->packet->pts >= limit)
            break;
        /* Held back until it is known whether the video goes on: the last one is shortened. */
        if (t->packet->pts + t->packet->duration > limit) {
            if (!last)
                break;
            MS_TRY(cut_packet(t, limit, err));
        }
        t->pending = false;
        MS_TRY(ms_mux_write(t->mux, t->packet, t->index, tb, err));
    }
    return MS_OK;
}

/* ---- */

ms_status ms_audio_track_open(ms_audio_track *t, ms_mem *mem, ms_mux *mux, const ms_video_writer_params *p,
                              ms_error *err) {
    ms_status status;
    bool copied = false;
    *t = (ms_audio_track){.mem = mem, .mux = mux, .fps = (double)p->fps.num / p->fps.den, .in.fd = -1};
    t->packet = av_packet_alloc();
    if (!t->packet)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the audio track");
    if (p->audio == MS_AUDIO_ORIGINAL && p->audio_skip_us == 0) /* packets cannot be cut at any sample */
        MS_GOTO(open_copy(t, p, &copied, err));
    if (!copied)
        MS_GOTO(open_encoder(t, p, err));
    return MS_OK;
fail:
    ms_audio_track_close(t);
    return status;
}

void ms_audio_track_close(ms_audio_track *t) {
    ms_av_input_close(&t->in);
    ms_audio_reader_close(&t->reader);
    ms_av_codec_free(&t->codec);
    av_frame_free(&t->frame);
    av_packet_free(&t->packet);
    ms_mem_free(t->samples);
    t->samples = NULL;
}

ms_status ms_audio_track_advance(ms_audio_track *t, int64_t frames, bool last, ms_error *err) {
    return t->codec ? advance_encoder(t, frames, last, err) : advance_copy(t, frames, last, err);
}
