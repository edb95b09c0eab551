#include "score/envelope.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define RATE 16000
#define HALF (MS_FFT_SIZE / 2)
#define BUFFER (MS_FFT_SIZE + MS_ENVELOPE_HOP)
#define COLUMNS 16 /* kept; a triangle spans 9 */

struct ms_envelope {
    double fps;
    ms_fft_tables tables;
    ms_fft_work work;
    double window[MS_FFT_SIZE];
    double signal[MS_FFT_SIZE][MS_FFT_LANES], power[MS_FFT_BINS][MS_FFT_LANES];
    float samples[BUFFER]; /* the last ones */
    int64_t pushed;        /* samples */
    int64_t columns;       /* column k is centred on sample k * hop */
    double column[COLUMNS];
    int64_t frame; /* next one */
};

ms_status ms_envelope_create(ms_mem *mem, double fps, ms_envelope **ret_envelope, ms_error *err) {
    if (!(fps > 0) || fps > 1000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%g frames a second", fps);
    ms_envelope *e = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*e));
    if (!e)
        return ms_fail_alloc(err, mem, sizeof(*e), "the speech's envelope");
    e->fps = fps;
    ms_fft_init(&e->tables);
    for (int i = 0; i < MS_FFT_SIZE; i++) {
        double c, s;
        ms_cos_sin_turn(i, MS_FFT_SIZE, &c, &s);
        e->window[i] = 0.5 - 0.5 * c;
    }
    *ret_envelope = e;
    return MS_OK;
}

void ms_envelope_destroy(ms_envelope **envelope) {
    if (!envelope || !*envelope)
        return;
    ms_mem_free(*envelope);
    *envelope = NULL;
}

static double band_power(ms_envelope *e, const float *samples) {
    for (int i = 0; i < MS_FFT_SIZE; i++)
        e->signal[i][0] = e->window[i] * (double)samples[i];
    ms_fft_power(&e->tables, &e->work, (const double(*)[MS_FFT_LANES])e->signal, e->power);
    double sum = 0;
    for (int k = MS_ENVELOPE_LOW_BIN; k <= MS_ENVELOPE_HIGH_BIN; k++)
        sum += e->power[k][0];
    return sum;
}

void ms_envelope_push(ms_envelope *e, const float samples[MS_ENVELOPE_HOP]) {
    memmove(e->samples, e->samples + MS_ENVELOPE_HOP, (BUFFER - MS_ENVELOPE_HOP) * sizeof(float));
    memcpy(e->samples + BUFFER - MS_ENVELOPE_HOP, samples, MS_ENVELOPE_HOP * sizeof(float));
    e->pushed += MS_ENVELOPE_HOP;
    while (e->columns * MS_ENVELOPE_HOP + HALF <= e->pushed) {
        int64_t first = e->columns * MS_ENVELOPE_HOP - HALF; /* of the window; zeros lie before the sound */
        e->column[e->columns % COLUMNS] = band_power(e, e->samples + (first - (e->pushed - BUFFER)));
        e->columns++;
    }
}

bool ms_envelope_next(ms_envelope *e, double *ret_value) {
    double hop_s = (double)MS_ENVELOPE_HOP / RATE, middle = ((double)e->frame + 0.5) / e->fps;
    double sum = 0, weights = 0;
    int64_t first = (int64_t)ceil((middle - MS_ENVELOPE_HALF_S) / hop_s);
    int64_t last = (int64_t)floor((middle + MS_ENVELOPE_HALF_S) / hop_s);
    if (last >= e->columns)
        return false;
    for (int64_t k = first < 0 ? 0 : first; k <= last; k++) {
        double weight = 1 - fabs((double)k * hop_s - middle) / MS_ENVELOPE_HALF_S;
        sum += weight * e->column[k % COLUMNS];
        weights += weight;
    }
    e->frame++;
    *ret_value = sqrt(sum / weights);
    return true;
}
