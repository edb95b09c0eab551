#include "media/read/audio_reader.h"

#include <inttypes.h>
#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/opt.h>

#include "media/av.h"
#include "media/av_compat.h"

#define MAX_BLOCK_SAMPLES 65536 /* that one step of resampling gives, some of the filter's besides */
#define MAX_PLANES 64           /* swresample's own limit, SWR_CH_MAX */
#define MAX_SOURCE_RATE 1000000 /* Hz: the filter grows with it */

struct ms_audio_reader {
    ms_mem *mem;
    char *path;
    bool source_format;
    ms_picture_room room;
    bool charged;
    ms_av_log log;
    ms_audio_info info;

    ms_av_input in;
    AVStream *stream;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    struct SwrContext *swr;
    /* what swr was made for */
    int src_rate, src_format;
    ms_av_layout src_layout;
    bool packets_done, ended;
    int fed; /* samples of the frame that swr has */

    void *block; /* samples that swr gave: int16_t of one channel, or float of all */
    int64_t block_capacity, block_count, block_at;
    int64_t position;
    int64_t lost, lost_before; /* in this reading, and the most of any reading before */
};

static ms_status open_file(ms_audio_reader *r, int stream, ms_error *err) {
    MS_TRY(ms_av_input_open(&r->in, r->path, r->room, &r->log, err));
    AVFormatContext *format = r->in.format;
    if (stream < 0)
        stream = ms_av_best_stream(format, AVMEDIA_TYPE_AUDIO);
    if (stream < 0 || stream >= (int)format->nb_streams ||
        format->streams[stream]->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
        return ms_fail(err, MS_BAD_MEDIA, "%s has no audio stream (format %s, %u other stream%s)", r->path,
                       format->iformat->name, format->nb_streams, format->nb_streams == 1 ? "" : "s");
    ms_av_select(format, stream);
    r->stream = format->streams[stream];
    r->packets_done = r->ended = false;
    r->fed = 0;
    av_frame_unref(r->frame);
    r->block_count = r->block_at = r->position = 0;
    r->lost = 0;
    return ms_av_open_decoder(r->stream, 1, r->room, &r->log, r->path, &r->codec, err);
}

static void close_file(ms_audio_reader *r) {
    swr_free(&r->swr);
    ms_av_layout_uninit(&r->src_layout);
    ms_av_codec_free(&r->codec);
    ms_av_input_close(&r->in);
    if (r->lost > r->lost_before)
        r->lost_before = r->lost;
}

/* ---- decoding */

static ms_status read_packet(ms_audio_reader *r, ms_error *err) {
    int rc;
    do {
        rc = av_read_frame(r->in.format, r->packet);
        if (rc >= 0 && r->packet->stream_index != r->stream->index)
            av_packet_unref(r->packet);
    } while (rc == AVERROR(EAGAIN) || (rc >= 0 && !r->packet->data));
    if (rc < 0) {
        if (r->in.read_errno)
            return ms_fail(err, MS_IO, "cannot read %s: %s", r->path, strerror(r->in.read_errno));
        if (rc == AVERROR(ENOMEM))
            return ms_fail(err, MS_HOST_MEMORY, "out of memory reading %s", r->path);
        r->packets_done = true;
        rc = avcodec_send_packet(r->codec, NULL);
    } else {
        rc = avcodec_send_packet(r->codec, r->packet);
        av_packet_unref(r->packet);
    }
    if (rc == AVERROR(ENOMEM))
        return ms_fail(err, MS_HOST_MEMORY, "out of memory decoding %s", r->path);
    if (rc < 0 && rc != AVERROR_EOF)
        r->lost++;
    return MS_OK;
}

/* The next decoded frame; false at the end. */
static ms_status decode(ms_audio_reader *r, bool *ret_got, ms_error *err) {
    for (;;) {
        int rc = avcodec_receive_frame(r->codec, r->frame);
        if (rc >= 0) {
            *ret_got = true;
            return MS_OK;
        }
        if (rc == AVERROR_EOF) {
            *ret_got = false;
            return MS_OK;
        }
        if (rc == AVERROR(ENOMEM))
            return ms_fail(err, MS_HOST_MEMORY, "out of memory decoding %s", r->path);
        if (rc != AVERROR(EAGAIN)) {
            r->lost++;
            if (r->packets_done) {
                *ret_got = false;
                return MS_OK;
            }
        }
        MS_TRY(read_packet(r, err));
    }
}

/* ---- resampling: the options are swresample's defaults, as in the filter that ffmpeg inserts */

/* What swresample computes in. From 16 bits to 16 bits FFmpeg 5.1 takes these, and 7.1 takes floats: it is
   told, so that speech is heard alike with all of them. */
static enum AVSampleFormat inside_format(int from) {
    const int bytes = av_get_bytes_per_sample(from);
    return bytes <= 2 ? AV_SAMPLE_FMT_S16P : bytes <= 4 ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_DBLP;
}

static ms_status make_swr(ms_audio_reader *r, ms_av_layout *layout, ms_error *err) {
    swr_free(&r->swr);
    if (r->frame->sample_rate < 1 || r->frame->sample_rate > MAX_SOURCE_RATE ||
        layout->nb_channels > MAX_PLANES)
        return ms_fail(err, MS_BAD_MEDIA,
                       "%s: sound of %d channels at %d Hz; up to %d at 1 to %d Hz can be read", r->path,
                       layout->nb_channels, r->frame->sample_rate, MAX_PLANES, MAX_SOURCE_RATE);
    int rc = ms_av_swr_alloc(&r->swr, r->source_format ? layout : NULL,
                             r->source_format ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_S16, r->info.rate, layout,
                             r->frame->format, r->frame->sample_rate);
    if (rc >= 0 && !r->source_format)
        rc = av_opt_set_sample_fmt(r->swr, "internal_sample_fmt", inside_format(r->frame->format), 0);
    if (rc >= 0)
        rc = swr_init(r->swr);
    if (rc >= 0)
        rc = MS_AV_GET_LAYOUT(r->frame, &r->src_layout);
    if (rc < 0)
        return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_BAD_MEDIA, &r->log, rc,
                          "%s: cannot resample %d channels at %d Hz", r->path, layout->nb_channels,
                          r->frame->sample_rate);
    r->src_rate = r->frame->sample_rate;
    r->src_format = r->frame->format;
    return MS_OK;
}

/* A stream may change its rate or channels; ffmpeg builds a new filter then and so do we.
   With the source's own format as the output the channels given out cannot change. */
static ms_status match_swr(ms_audio_reader *r, ms_error *err) {
    const AVFrame *f = r->frame;
    if (r->swr && r->src_rate == f->sample_rate && r->src_format == f->format &&
        MS_AV_HAS_LAYOUT(f, &r->src_layout))
        return MS_OK;
    if (r->source_format && MS_AV_CHANNELS(f) != r->info.channels)
        return ms_fail(err, MS_UNSUPPORTED, "%s changes from %d to %d channels", r->path, r->info.channels,
                       MS_AV_CHANNELS(f));
    ms_av_layout layout = {0};
    if (MS_AV_GET_LAYOUT(f, &layout) < 0)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory decoding %s", r->path);
    ms_av_layout_settle(&layout);
    ms_status status = make_swr(r, &layout, err);
    ms_av_layout_uninit(&layout);
    return status;
}

static size_t sample_bytes(const ms_audio_reader *r) {
    return r->source_format ? sizeof(float) * (size_t)r->info.channels : sizeof(int16_t);
}

/* Room for n samples in the block; what it holds is lost. */
static ms_status need_block(ms_audio_reader *r, int64_t n, ms_error *err) {
    if (n <= r->block_capacity)
        return MS_OK;
    ms_mem_free(r->block);
    r->block_capacity = 0;
    r->block = ms_alloc_array(r->mem, MS_LEDGER_GENERAL, (size_t)n, sample_bytes(r));
    if (!r->block) {
        ms_fail_alloc(err, r->mem, (size_t)n * sample_bytes(r), "decoded audio");
        return ms_fail_prefix(err, MS_HOST_MEMORY, "%s", r->path);
    }
    r->block_capacity = n;
    return MS_OK;
}

/* Samples of the frame that swr gets at a time. A frame at 1 Hz would come out 16000 times as
   long: what one call gives is bounded, and what comes out does not depend on the pieces. */
static int piece_of(const ms_audio_reader *r) {
    int64_t most = (int64_t)MAX_BLOCK_SAMPLES * r->src_rate / r->info.rate;
    int left = r->frame->nb_samples - r->fed;
    return left < most ? left : most > 1 ? (int)most : 1;
}

/* Where swr goes on in the frame. */
static void find_planes(const ms_audio_reader *r, const uint8_t *ret_planes[MAX_PLANES]) {
    const AVFrame *f = r->frame;
    bool planar = av_sample_fmt_is_planar(f->format);
    size_t step = (size_t)av_get_bytes_per_sample(f->format) * (planar ? 1 : (size_t)MS_AV_CHANNELS(f));
    for (int i = 0; i < (planar ? MS_AV_CHANNELS(f) : 1); i++)
        ret_planes[i] = f->extended_data[i] + (size_t)r->fed * step;
}

static ms_status resample(ms_audio_reader *r, bool got, ms_error *err) {
    const uint8_t *planes[MAX_PLANES];
    int count = got ? piece_of(r) : 0;
    int room = swr_get_out_samples(r->swr, count);
    MS_TRY(need_block(r, room > 0 ? room : 1, err));
    uint8_t *out = r->block;
    if (got)
        find_planes(r, planes);
    int n = swr_convert(r->swr, &out, (int)r->block_capacity, got ? planes : NULL, count);
    if (n < 0)
        return ms_fail_av(err, MS_OK, &r->log, n, "%s: resampling", r->path);
    r->block_count = n;
    r->fed += count;
    if (got && r->fed == r->frame->nb_samples) {
        av_frame_unref(r->frame);
        r->fed = 0;
    }
    if (!got && n == 0)
        r->ended = true;
    return MS_OK;
}

/* Refills the block; at the end `ended` is set and the block may be empty. */
static ms_status refill(ms_audio_reader *r, ms_error *err) {
    bool got = r->fed > 0;
    r->block_at = r->block_count = 0;
    if (!got) {
        MS_TRY(decode(r, &got, err));
        if (got)
            MS_TRY(match_swr(r, err));
    }
    if (!r->swr) {
        r->ended = true;
        return MS_OK;
    }
    return resample(r, got, err);
}

/* ---- the public side */

static void give(ms_audio_reader *r, float *dst, int64_t n) {
    if (r->source_format) {
        size_t row = (size_t)r->info.channels;
        memcpy(dst, (const float *)r->block + (size_t)r->block_at * row, (size_t)n * row * sizeof(float));
    } else {
        const int16_t *src = (const int16_t *)r->block + r->block_at;
        for (int64_t i = 0; i < n; i++)
            dst[i] = src[i] * 0x1p-15f;
    }
}

/* dst NULL: samples are passed over. */
static ms_status take(ms_audio_reader *r, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    int64_t done = 0;
    while (done < max && !(r->ended && r->block_at == r->block_count)) {
        if (r->block_at == r->block_count) {
            MS_TRY(refill(r, err));
            continue;
        }
        int64_t n = r->block_count - r->block_at;
        n = n < max - done ? n : max - done;
        if (dst)
            give(r, dst + done * r->info.channels, n);
        r->block_at += n;
        r->position += n;
        done += n;
    }
    *ret_count = done;
    return MS_OK;
}

ms_status ms_audio_reader_read(ms_audio_reader *r, float *dst, int64_t max, int64_t *ret_count,
                               ms_error *err) {
    ms_av_log *previous = ms_av_log_enter(&r->log);
    ms_status status = take(r, dst, max, ret_count, err);
    ms_av_log_leave(previous);
    if (status)
        ms_error_where(err, "audio", -1);
    return status;
}

ms_status ms_audio_reader_seek(ms_audio_reader *r, int64_t sample, ms_error *err) {
    if (sample < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: cannot seek to sample %" PRId64, r->path, sample);
    ms_av_log *previous = ms_av_log_enter(&r->log);
    ms_status status = MS_OK;
    int64_t passed;
    if (sample < r->position) {
        int stream = r->stream->index;
        close_file(r);
        status = open_file(r, stream, err);
    }
    if (status == MS_OK)
        status = take(r, NULL, sample - r->position, &passed, err);
    ms_av_log_leave(previous);
    if (status)
        ms_error_where(err, "audio", -1);
    return status;
}

int64_t ms_audio_reader_tell(const ms_audio_reader *r) {
    return r->position;
}

int64_t ms_audio_reader_lost(const ms_audio_reader *r) {
    return r->lost > r->lost_before ? r->lost : r->lost_before;
}

const ms_audio_info *ms_audio_reader_info(const ms_audio_reader *r) {
    return &r->info;
}

static void describe(ms_audio_reader *r, int rate) {
    const AVCodecParameters *par = r->stream->codecpar;
    ms_audio_info *info = &r->info;
    info->source_rate = r->codec->sample_rate ? r->codec->sample_rate : par->sample_rate;
    info->source_channels = MS_AV_CHANNELS(r->codec);
    info->rate = !r->source_format ? MS_SPEECH_RATE : rate ? rate : info->source_rate;
    info->channels = r->source_format ? info->source_channels : 1;
    info->stream = r->stream->index;
    if (r->stream->duration > 0)
        info->duration_s = (double)r->stream->duration * av_q2d(r->stream->time_base);
    else if (r->in.format->duration > 0)
        info->duration_s = (double)r->in.format->duration / AV_TIME_BASE;
    /* Matroska's is the file's; a single stream is the file. */
    info->exact = info->duration_s > 0 && r->in.format->nb_streams == 1 &&
                  r->in.format->duration_estimation_method == AVFMT_DURATION_FROM_STREAM;
    av_strlcpy(info->codec, avcodec_get_name(par->codec_id), sizeof(info->codec));
    const AVDictionaryEntry *language = av_dict_get(r->stream->metadata, "language", NULL, 0);
    if (language && strcmp(language->value, "und") != 0)
        av_strlcpy(info->language, language->value, sizeof(info->language));
    ms_av_layout layout = {0};
    if (MS_AV_GET_LAYOUT(r->codec, &layout) >= 0)
        ms_av_layout_describe(&layout, info->layout, sizeof(info->layout));
    ms_av_layout_uninit(&layout);
}

ms_status ms_audio_reader_open(ms_mem *mem, const char *path, const ms_audio_reader_params *params,
                               ms_audio_reader **ret_reader, ms_error *err) {
    const ms_audio_reader_params defaults = MS_AUDIO_READER_DEFAULTS;
    ms_status status;
    if (!params)
        params = &defaults;
    ms_audio_reader *r = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*r));
    if (!r)
        return ms_fail_alloc(err, mem, sizeof(*r), "an audio reader");
    ms_av_log *previous = ms_av_log_enter(&r->log);
    r->mem = mem;
    r->source_format = params->source_format;
    r->room = params->room;
    r->in.fd = -1;
    r->charged = ms_mem_charge(mem, MS_LEDGER_CODEC, MS_AUDIO_READER_BYTES);
    r->path = ms_strdup(mem, path);
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    if (!r->charged || !r->path || !r->packet || !r->frame) {
        status = ms_fail_alloc(err, mem, MS_AUDIO_READER_BYTES, "an audio reader");
        goto fail;
    }
    MS_GOTO(open_file(r, params->stream, err));
    describe(r, params->rate);
    while (r->block_count == 0 && !r->ended)
        MS_GOTO(refill(r, err));
    if (r->block_count == 0) {
        status = ms_fail(err, MS_BAD_MEDIA, "%s: its %s audio stream holds no samples%s%s", path,
                         r->info.codec, r->log.line[0] ? ": " : "", r->log.line);
        goto fail;
    }
    ms_av_log_leave(previous);
    *ret_reader = r;
    return MS_OK;
fail:
    ms_av_log_leave(previous);
    ms_audio_reader_close(&r);
    ms_error_where(err, "audio", -1);
    return status;
}

void ms_audio_reader_close(ms_audio_reader **reader) {
    if (!reader || !*reader)
        return;
    ms_audio_reader *r = *reader;
    ms_av_log *previous = ms_av_log_enter(&r->log);
    close_file(r);
    av_packet_free(&r->packet);
    av_frame_free(&r->frame);
    ms_av_log_leave(previous);
    if (r->charged)
        ms_mem_release(r->mem, MS_LEDGER_CODEC, MS_AUDIO_READER_BYTES);
    ms_mem_free(r->block);
    ms_mem_free(r->path);
    ms_mem_free(r);
    *reader = NULL;
}
