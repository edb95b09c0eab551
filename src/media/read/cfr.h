/*
 * Constant frame rate as `ffmpeg -r` makes it: frames with timestamps come in, each is put out zero or more
 * times. The rules are those of do_video_out() in FFmpeg 5.1's fftools/ffmpeg.c, methods "cfr" and, for files
 * with a single stream, "vscfr" (which does not fill a late start); they have hysteresis: a frame is dropped
 * only when it is more than 1.1 output frames behind, repeated only when it is more than 1.1 ahead, so the
 * result depends on all frames before. The whole state is this small struct: copy it to come back to a place.
 */
#ifndef MS_MEDIA_READ_CFR_H
#define MS_MEDIA_READ_CFR_H

#include <stdbool.h>
#include <stdint.h>

#include <libavutil/rational.h>

typedef struct ms_cfr_params {
    AVRational rate;        /* of the output */
    AVRational time_base;   /* of timestamps and durations */
    AVRational source_rate; /* the demuxer's guess; 0/0 when it has none */
    bool single_stream;     /* the file holds nothing but this stream */
} ms_cfr_params;

typedef struct ms_cfr {
    int64_t next_tick;   /* the output's clock */
    int64_t frames;      /* put out so far; differs from next_tick by a late start */
    int64_t previous[3]; /* repeats of the last inputs, newest first */
} ms_cfr;

typedef struct ms_cfr_step {
    int64_t before;  /* times to put out the frame that came before this one */
    int64_t current; /* times to put out this one, after that */
} ms_cfr_step;

/* A frame at timestamp ts; duration as the decoder says, 0 = unknown.
   have_previous: some frame came before. */
ms_cfr_step ms_cfr_push(ms_cfr *cfr, const ms_cfr_params *params, int64_t ts, int64_t duration,
                        bool have_previous);

/* At the end: how often the last frame is put out again. */
int64_t ms_cfr_flush(ms_cfr *cfr);

#endif
