/*
 * Reading the sound of a file as float samples.
 *
 * By default as speech: 16 kHz, one channel, rounded to 16 bits and divided by 32768, the very samples of
 * `ffmpeg -i FILE -f s16le -ac 1 -ar 16000`, which is how the reference reads audio. With source_format: the
 * file's own rate and channels, not rounded, interleaved.
 *
 * Like that command, the reader takes no notice of timestamps: a late start or a gap is closed up.
 */
#ifndef MS_MEDIA_READ_AUDIO_READER_H
#define MS_MEDIA_READ_AUDIO_READER_H

#include "media/media.h"

#define MS_SPEECH_RATE 16000

/* What a reader is charged with: FFmpeg's audio codecs and the resampler were
   measured below 3 MB for AAC, MP3, FLAC, Opus and PCM. */
#define MS_AUDIO_READER_BYTES ((size_t)3 << 20)

typedef struct ms_audio_reader ms_audio_reader;

typedef struct ms_audio_reader_params {
    int stream; /* index in the file, -1 = the one that ffmpeg would take */
    bool source_format;
    int rate;             /* with source_format: another rate than the source's; 0 = the source's */
    ms_picture_room room; /* for the file's pictures, of which FFmpeg may decode some to know the streams */
} ms_audio_reader_params;

#define MS_AUDIO_READER_DEFAULTS ((ms_audio_reader_params){.stream = -1})

typedef struct ms_audio_info {
    int rate, channels; /* of the samples given out */
    int source_rate, source_channels, stream;
    double duration_s; /* as announced; 0 = unknown */
    bool exact;        /* the duration is no estimate and not of some other stream of the file */
    char codec[24], layout[32];
    char language[16]; /* of the stream, as ISO 639-2 has it ("eng"); empty = not said */
} ms_audio_info;

/* MS_IO: no such file, not readable. MS_BAD_MEDIA: not media, no audio stream, or not one sample
   in it; each has its own message, with the path. MS_UNSUPPORTED: no decoder. Silence is fine. */
ms_status ms_audio_reader_open(ms_mem *mem, const char *path, const ms_audio_reader_params *params,
                               ms_audio_reader **ret_reader, ms_error *err);
void ms_audio_reader_close(ms_audio_reader **reader);

const ms_audio_info *ms_audio_reader_info(const ms_audio_reader *reader);

/* The next samples (of all channels) to dst, up to `max`; fewer than that, or 0, only at the end. Parts that
   cannot be decoded are left out, see ms_audio_reader_lost(). */
ms_status ms_audio_reader_read(ms_audio_reader *reader, float *dst, int64_t max, int64_t *ret_count,
                               ms_error *err);

/* Number of the sample that read gives next. */
int64_t ms_audio_reader_tell(const ms_audio_reader *reader);

/* Makes `sample` the next one: forwards by decoding up to it, backwards from the file's
   beginning, because most audio decoders only give the same samples when they have seen all
   before. Some 600 times as fast as the sound for AAC. Past the end, the next read gives 0. */
ms_status ms_audio_reader_seek(ms_audio_reader *reader, int64_t sample, ms_error *err);

/* Packets that could not be decoded so far, in the furthest reading. */
int64_t ms_audio_reader_lost(const ms_audio_reader *reader);

#endif
