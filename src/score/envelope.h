/*
 * How loud the open mouth's part of speech is at each video frame: the amplitude between 320
 * and 3000 Hz, where vowels have their formants and neither hum nor hiss counts. Of 16 kHz
 * mono: power of Hann windows of 25 ms every 10 ms (the transform of audio/dsp.h), averaged
 * over 80 ms around the frame's middle (i + 0.5) / fps under a triangle, square root.
 */
#ifndef MS_SCORE_ENVELOPE_H
#define MS_SCORE_ENVELOPE_H

#include "audio/dsp.h"
#include "base/mem.h"

#define MS_ENVELOPE_HOP 160     /* samples */
#define MS_ENVELOPE_HALF_S 0.04 /* half of the triangle's base */
#define MS_ENVELOPE_LOW_BIN 8   /* of 40 Hz each */
#define MS_ENVELOPE_HIGH_BIN 75 /* inclusive */

typedef struct ms_envelope ms_envelope;

/* About 30 KB whatever the length. */
ms_status ms_envelope_create(ms_mem *mem, double fps, ms_envelope **ret_envelope, ms_error *err);
void ms_envelope_destroy(ms_envelope **envelope);

/* The next MS_ENVELOPE_HOP samples; zeros go in after the end of the sound. */
void ms_envelope_push(ms_envelope *envelope, const float samples[MS_ENVELOPE_HOP]);

/* The next frame's value; false = more samples are needed. Must be called until false after every push. */
bool ms_envelope_next(ms_envelope *envelope, double *ret_value);

#endif
