/*
 * What FFmpeg's codecs hold for us, by estimate: they allocate on their own, so a budget is
 * charged with an upper bound in advance. The constants were measured (docs/media.md says how
 * and on what); the test media_memory holds the estimates against the process's real growth.
 */
#ifndef MS_MEDIA_CODEC_MEMORY_H
#define MS_MEDIA_CODEC_MEMORY_H

#include "media/media.h"

typedef struct ms_decoder_load {
    int64_t frame_bytes;  /* one decoded frame in its pixel format */
    int reference_frames; /* that the stream may refer to, reordering included */
    int threads;
    int64_t packet_bytes; /* of the largest, where they are files of their own; 0 = little beside a frame */
    int64_t file_frames;  /* samples in the container's own index (mp4, mov); 0 = it has none */
} ms_decoder_load;

size_t ms_decoder_bytes(const ms_decoder_load *load);

/* Of those, what may come once the first frame is there: by then every thread holds
   one, but not every reference is taken, nor the second that the reader keeps. */
size_t ms_decoder_growth_bytes(const ms_decoder_load *load);

typedef struct ms_encoder_load {
    ms_video_codec codec;
    const char *preset;
    int width, height; /* of the encoded picture */
    int threads, lookahead;
    bool audio;
    bool deep;      /* 10 bits a colour, HEVC */
    int64_t frames; /* that will be encoded; 0 = not known */
    bool indexed;   /* the container keeps an index until the end (mp4, mov) */
} ms_encoder_load;

size_t ms_encoder_bytes(const ms_encoder_load *load);

/* More than any of the encoders makes of a picture of that size. What is read to be joined is held to it: a
   few such packets are on their way to a file at once, and less than the estimate of the encoder, which has
   no work meanwhile. */
int64_t ms_packet_most_bytes(int width, int height);

#endif
