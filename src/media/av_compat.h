/*
 * FFmpeg 4.4 to 7.1: what is called differently in one of them is called here, and nowhere else
 * is there a guard on the version. No field is used that the version at hand calls deprecated.
 */
#ifndef MS_MEDIA_AV_COMPAT_H
#define MS_MEDIA_AV_COMPAT_H

#include <stdbool.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>

/* ---- layouts of channels: one struct from 5.1 on, before that a number and a mask (0 = not specified) */

#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 28, 100)

typedef AVChannelLayout ms_av_layout;

/* x: AVFrame, AVCodecContext or AVCodecParameters. Those that return an int: negative on failure. */
#define MS_AV_CHANNELS(x) ((x)->ch_layout.nb_channels)
#define MS_AV_DEFAULT_LAYOUT(x, channels) av_channel_layout_default(&(x)->ch_layout, channels)
#define MS_AV_GET_LAYOUT(x, ret_layout) av_channel_layout_copy(ret_layout, &(x)->ch_layout)
#define MS_AV_HAS_LAYOUT(x, layout) (av_channel_layout_compare(&(x)->ch_layout, layout) == 0)

static inline void ms_av_layout_uninit(ms_av_layout *layout) {
    av_channel_layout_uninit(layout);
}

/* The usual layout of as many channels, where none is specified. */
static inline void ms_av_layout_settle(ms_av_layout *layout) {
    if (layout->order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(layout, layout->nb_channels);
}

static inline void ms_av_layout_describe(const ms_av_layout *layout, char *ret, size_t size) {
    av_channel_layout_describe(layout, ret, size);
}

/* out NULL: mono. The layouts are not changed; libswresample 4 wants them without const. */
static inline int ms_av_swr_alloc(struct SwrContext **ret, ms_av_layout *out, enum AVSampleFormat out_format,
                                  int out_rate, ms_av_layout *in, enum AVSampleFormat in_format,
                                  int in_rate) {
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    return swr_alloc_set_opts2(ret, out ? out : &mono, out_format, out_rate, in, in_format, in_rate, 0, NULL);
}

#else

typedef struct ms_av_layout {
    uint64_t mask;
    int nb_channels;
} ms_av_layout;

#define MS_AV_CHANNELS(x) ((x)->channels)
#define MS_AV_DEFAULT_LAYOUT(x, n)                                                                           \
    ((x)->channels = (n), (x)->channel_layout = (uint64_t)av_get_default_channel_layout(n))
#define MS_AV_GET_LAYOUT(x, ret_layout)                                                                      \
    ((ret_layout)->nb_channels = (x)->channels, (ret_layout)->mask = (x)->channel_layout, 0)
#define MS_AV_HAS_LAYOUT(x, layout)                                                                          \
    ((x)->channels == (layout)->nb_channels && (x)->channel_layout == (layout)->mask)

static inline void ms_av_layout_uninit(ms_av_layout *layout) {
    *layout = (ms_av_layout){0};
}

static inline void ms_av_layout_settle(ms_av_layout *layout) {
    if (!layout->mask)
        layout->mask = (uint64_t)av_get_default_channel_layout(layout->nb_channels);
}

static inline void ms_av_layout_describe(const ms_av_layout *layout, char *ret, size_t size) {
    av_get_channel_layout_string(ret, (int)size, layout->nb_channels, layout->mask);
}

static inline int ms_av_swr_alloc(struct SwrContext **ret, ms_av_layout *out, enum AVSampleFormat out_format,
                                  int out_rate, ms_av_layout *in, enum AVSampleFormat in_format,
                                  int in_rate) {
    uint64_t out_mask = out ? out->mask : AV_CH_LAYOUT_MONO;
    *ret = swr_alloc_set_opts(*ret, (int64_t)out_mask, out_format, out_rate, (int64_t)in->mask, in_format,
                              in_rate, 0, NULL);
    return *ret ? 0 : AVERROR(ENOMEM);
}

#endif

/* ---- frames */

/* In the stream's time base, 0 = unknown. */
static inline int64_t ms_av_frame_duration(const AVFrame *frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    return frame->duration;
#else
    return frame->pkt_duration;
#endif
}

static inline bool ms_av_is_key_frame(const AVFrame *frame) {
#ifdef AV_FRAME_FLAG_KEY
    return frame->flags & AV_FRAME_FLAG_KEY;
#else
    return frame->key_frame;
#endif
}

/* ---- streams and codecs */

/* Ticks of the decoder's clock in a frame: 2 where the codec counts fields. */
static inline int ms_av_ticks_per_frame(const AVCodecContext *codec) {
#ifdef AV_CODEC_PROP_FIELDS
    const AVCodecDescriptor *description = avcodec_descriptor_get(codec->codec_id);
    return description && (description->props & AV_CODEC_PROP_FIELDS) ? 2 : 1;
#else
    return codec->ticks_per_frame;
#endif
}

/* The rates that the encoder takes, ended by 0; NULL: all. */
static inline const int *ms_av_sample_rates(const AVCodec *codec) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const void *rates = NULL;
    return avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_SAMPLE_RATE, 0, &rates, NULL) < 0
               ? NULL
               : rates;
#else
    return codec->supported_samplerates;
#endif
}

/* The turn that a player shall give the stream's pictures: nine numbers, NULL = none. */
static inline const int32_t *ms_av_display_matrix(const AVStream *stream) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100)
    const AVPacketSideData *data = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data ? (const int32_t *)data->data : NULL;
#else
    return (const int32_t *)av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
#endif
}

/* False: out of memory. */
static inline bool ms_av_set_display_matrix(AVStream *stream, const int32_t matrix[9]) {
    enum { BYTES = 9 * sizeof(int32_t) };
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100)
    AVCodecParameters *par = stream->codecpar;
    AVPacketSideData *side = av_packet_side_data_new(&par->coded_side_data, &par->nb_coded_side_data,
                                                     AV_PKT_DATA_DISPLAYMATRIX, BYTES, 0);
    uint8_t *data = side ? side->data : NULL;
#else
    uint8_t *data = av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, BYTES);
#endif
    if (data)
        memcpy(data, matrix, BYTES);
    return data != NULL;
}

/* The index in front, and colours noted, which FFmpeg 4 does only when it is asked to. */
#if LIBAVFORMAT_VERSION_MAJOR >= 59
#define MS_AV_MOV_FLAGS "+faststart"
#else
#define MS_AV_MOV_FLAGS "+faststart+write_colr"
#endif

/* What avio_alloc_context() hands to the function that writes. */
#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t ms_av_written;
#else
typedef uint8_t ms_av_written;
#endif

#endif
