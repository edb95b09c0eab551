#include "audio/mel_filters.h"

#include <string.h>

#define LINEAR_HZ (200.0 / 3.0)
#define BREAK_HZ 1000.0
#define BREAK_MEL (BREAK_HZ / LINEAR_HZ)
#define LN_6_4 1.85629799036562622190
#define LN_8 2.07944154167983592825
#define LOG_STEP (LN_6_4 / 27.0)

static double mel_to_hz(double mel) {
    return mel < BREAK_MEL ? LINEAR_HZ * mel : BREAK_HZ * ms_exp(LOG_STEP * (mel - BREAK_MEL));
}

void ms_mel_filters(ms_mel_filter filters[MS_MEL_BINS]) {
    /* 80 triangles between 82 points, evenly spaced in mel from 0 to 8 kHz. */
    const double top = BREAK_MEL + LN_8 / LOG_STEP;
    double hz[MS_MEL_BINS + 2];
    for (int i = 0; i < MS_MEL_BINS + 2; i++)
        hz[i] = mel_to_hz(top * i / (MS_MEL_BINS + 1));

    memset(filters, 0, MS_MEL_BINS * sizeof(*filters));
    for (int m = 0; m < MS_MEL_BINS; m++) {
        ms_mel_filter *f = &filters[m];
        double area = 2.0 / (hz[m + 2] - hz[m]);
        for (int k = 0; k < MS_FFT_BINS; k++) {
            double bin_hz = (double)k * MS_MEL_RATE / MS_FFT_SIZE;
            double rising = (bin_hz - hz[m]) / (hz[m + 1] - hz[m]);
            double falling = (hz[m + 2] - bin_hz) / (hz[m + 2] - hz[m + 1]);
            double height = rising < falling ? rising : falling;
            if (height <= 0 || f->count == MS_MEL_MAX_TAPS)
                continue;
            if (f->count == 0)
                f->first = k;
            /* librosa stores the height first */
            f->weight[f->count++] = (float)((double)(float)height * area);
        }
    }
}
