/*
 * The sound of a video with a stretch of other sound laid over it: what a dubbed passage
 * sounds like. Gives floats at one rate and number of channels, whatever the two files
 * have; a file's sound that is at an end, or that there is none of, is silence.
 */
#ifndef MS_MEDIA_WRITE_SOUND_SPLICE_H
#define MS_MEDIA_WRITE_SOUND_SPLICE_H

#include "media/read/audio_reader.h"

typedef struct ms_sound_splice ms_sound_splice;

typedef struct ms_sound_splice_params {
    /* File whose sound is heard outside the stretch; it need not have any; NULL = silence */
    const char *base;
    const char *over;        /* file whose sound is laid over it */
    int64_t over_skip_us;    /* of `over`, left out at its beginning */
    double from_s, length_s; /* the stretch */
    /* 0 = as `base` has them, else as `over`; a rate that AAC does not know becomes 48 kHz */
    int rate, channels;
    ms_picture_room room; /* as in ms_audio_reader_params */
} ms_sound_splice_params;

/* MS_BAD_MEDIA and such: `over` cannot be read, or `base` is no media. Charges both readers. */
ms_status ms_sound_splice_open(ms_mem *mem, const ms_sound_splice_params *params,
                               ms_sound_splice **ret_splice, ms_error *err);
void ms_sound_splice_close(ms_sound_splice **splice);

int ms_sound_splice_rate(const ms_sound_splice *splice);
int ms_sound_splice_channels(const ms_sound_splice *splice);

/* Has the shape of ms_audio_feed's read; never ends. */
ms_status ms_sound_splice_read(void *splice, float *dst, int64_t max, int64_t *ret_count, ms_error *err);

#endif
