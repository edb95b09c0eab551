/*
 * Sine, logarithm, exponential and a 400-point real FFT in plain IEEE double arithmetic: the C library's
 * functions choose code by the CPU they find (with or without fused multiply-add), these give the same bits
 * on every machine.
 */
#ifndef MS_AUDIO_DSP_H
#define MS_AUDIO_DSP_H

#define MS_FFT_SIZE 400
#define MS_FFT_BINS (MS_FFT_SIZE / 2 + 1)

/* Transforms done side by side; results do not depend on it. Four doubles are one AVX register. */
#define MS_FFT_LANES 4

typedef struct ms_fft_tables {
    double cos[MS_FFT_SIZE], sin[MS_FFT_SIZE]; /* of 2 pi k / 400 */
} ms_fft_tables;

/* Working memory of one transform: the complex half-size signal, twice (Stockham's
   method sorts as it goes). */
typedef struct ms_fft_work {
    double re[2][MS_FFT_SIZE / 2][MS_FFT_LANES], im[2][MS_FFT_SIZE / 2][MS_FFT_LANES];
} ms_fft_work;

/* cos and sin of 2 pi k / n, error below 1e-15. */
void ms_cos_sin_turn(int k, int n, double *ret_cos, double *ret_sin);

/* log10 of a positive normal number, relative error below 1e-13; exp of |x| < 700, below 1e-14. */
double ms_log10(double x);
double ms_exp(double x);

void ms_fft_init(ms_fft_tables *tables);

/* |X_k|^2 for k = 0..200 of MS_FFT_LANES real signals. signal[n][lane], power[k][lane]. */
void ms_fft_power(const ms_fft_tables *tables, ms_fft_work *work, const double (*signal)[MS_FFT_LANES],
                  double (*power)[MS_FFT_LANES]);

#endif
