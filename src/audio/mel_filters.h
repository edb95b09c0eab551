/*
 * The triangular mel filters of Slaney's Auditory Toolbox (Interval Research TR 1998-010), area normalised,
 * as librosa.filters.mel(sr=16000, n_fft=400, n_mels=80) makes them and Whisper ships them: linear below 1
 * kHz (200/3 Hz a mel), logarithmic above (6.4 ^ (1/27) a mel), 0 to 8 kHz, rounded to float32.
 */
#ifndef MS_AUDIO_MEL_FILTERS_H
#define MS_AUDIO_MEL_FILTERS_H

#include "audio/dsp.h"

#define MS_MEL_BINS 80
#define MS_MEL_RATE 16000

/* The widest filter covers 14 FFT bins; the tests hold it against the full matrix. */
#define MS_MEL_MAX_TAPS 16

typedef struct ms_mel_filter {
    int first, count; /* FFT bins */
    float weight[MS_MEL_MAX_TAPS];
} ms_mel_filter;

void ms_mel_filters(ms_mel_filter filters[MS_MEL_BINS]);

#endif
