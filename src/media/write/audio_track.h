/* The sound of an output file: samples to an encoder, or another file's packets as they are. */
#ifndef MS_MEDIA_WRITE_AUDIO_TRACK_H
#define MS_MEDIA_WRITE_AUDIO_TRACK_H

#include "media/read/audio_reader.h"
#include "media/write/mux.h"
#include "media/write/video_writer.h"

typedef struct ms_audio_track {
    ms_mem *mem;
    ms_mux *mux; /* borrowed */
    int index;   /* of the stream in the mux */
    double fps;  /* of the video */
    AVPacket *packet;

    /* encoding */
    AVCodecContext *codec; /* NULL when packets are copied */
    AVFrame *frame;
    ms_audio_reader *reader; /* the feed of an original that is encoded */
    ms_audio_feed feed;
    float *samples; /* [frame_samples][channels] */
    int frame_samples;
    int64_t sent;
    bool feed_ended;

    /* copying */
    const char *path; /* borrowed */
    ms_av_input in;
    const AVStream *stream;
    int64_t next_ts; /* the timestamp that is expected of the next packet, stream time base */
    int64_t shift;   /* from the file's timestamps to the output's */
    int64_t delay;   /* what the container takes off the timestamps again */
    bool begun, packets_done;
    bool pending; /* `packet` holds one that is not yet due */
} ms_audio_track;

/* Opens the source and adds a stream to the mux, whose header is not yet written. params->audio is not
   MS_AUDIO_NONE; params must outlive the track. */
ms_status ms_audio_track_open(ms_audio_track *track, ms_mem *mem, ms_mux *mux,
                              const ms_video_writer_params *params, ms_error *err);
void ms_audio_track_close(ms_audio_track *track);

/* Writes the sound that belongs to the first `frames` frames of video. last: that is all; the final part of a
   codec frame is written too. */
ms_status ms_audio_track_advance(ms_audio_track *track, int64_t frames, bool last, ms_error *err);

/* Whether a track of that codec can be copied into the container; if not, what it is encoded as. */
bool ms_audio_track_copies(ms_container container, enum AVCodecID codec);
enum AVCodecID ms_audio_track_encoder(ms_container container);

#endif
