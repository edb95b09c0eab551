/*
 * A small formant synthesiser: speech events to 16 kHz samples. It sounds like a machine, but vowels
 * have their formants, nasals, fricatives and stops their spectra, and all of it the events' timing,
 * which is what lips are read by. Formant values after Peterson and Barney (1952) and Klatt (1980).
 */
#ifndef WORLD_VOICE_H
#define WORLD_VOICE_H

#include "world/speech.h"

#define VOICE_RATE 16000

typedef struct voice {
    uint64_t seed;  /* of the noise */
    float pitch_hz; /* middle of the melody */
    float formants; /* factor: 1 a man's, 1.17 a woman's */
} voice;

/* turn: -1 deep to 1 high. */
voice voice_of(uint64_t seed, float turn);

/* count samples from the speech's start, -1 to 1; silence beyond its end. */
void voice_render(const voice *v, const speech *s, int64_t count, float *ret_samples);

#endif
