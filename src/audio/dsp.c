#include "audio/dsp.h"

#include <stdint.h>
#include <string.h>

#define HALF (MS_FFT_SIZE / 2)
#define PI 3.14159265358979323846

/* Taylor series on [0, pi/4]: the terms left out are below 1e-18. */
static double cos_small(double x) {
    double x2 = x * x, sum = 0;
    static const double c[] = {1.0 / 20922789888000.0,
                               -1.0 / 87178291200.0,
                               1.0 / 479001600.0,
                               -1.0 / 3628800.0,
                               1.0 / 40320.0,
                               -1.0 / 720.0,
                               1.0 / 24.0,
                               -1.0 / 2.0,
                               1.0};
    for (int i = 0; i < 9; i++)
        sum = sum * x2 + c[i];
    return sum;
}

static double sin_small(double x) {
    double x2 = x * x, sum = 0;
    static const double c[] = {1.0 / 355687428096000.0,
                               -1.0 / 1307674368000.0,
                               1.0 / 6227020800.0,
                               -1.0 / 39916800.0,
                               1.0 / 362880.0,
                               -1.0 / 5040.0,
                               1.0 / 120.0,
                               -1.0 / 6.0,
                               1.0};
    for (int i = 0; i < 9; i++)
        sum = sum * x2 + c[i];
    return sum * x;
}

void ms_cos_sin_turn(int k, int n, double *ret_cos, double *ret_sin) {
    /* In eighths of a turn: octant = floor(8 k / n), rest in [0, 1) eighth; exact integers until here. */
    int64_t m = (int64_t)((k % n + n) % n) * 8;
    int octant = (int)(m / n);
    int64_t rest = m % n;
    if (octant % 2) /* measure from the octant's far end, so that the angle stays within pi/4 */
        rest = n - rest;
    double angle = PI / 4 * (double)rest / n;
    double c = cos_small(angle), s = sin_small(angle);
    static const int8_t swap[8] = {0, 1, 1, 0, 0, 1, 1, 0};
    static const int8_t cos_sign[8] = {1, 1, -1, -1, -1, -1, 1, 1};
    static const int8_t sin_sign[8] = {1, 1, 1, 1, -1, -1, -1, -1};
    *ret_cos = cos_sign[octant] * (swap[octant] ? s : c);
    *ret_sin = sin_sign[octant] * (swap[octant] ? c : s);
}

double ms_log10(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof(m));
    if (m > 1.41421356237309504880) {
        m *= 0.5;
        exponent++;
    }
    /* ln m = 2 artanh(s), |s| < 0.172: the first term left out is s^19 / 19 < 2e-16 of s. */
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 17; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return exponent * 0.30102999566398119521 + 2 * s * sum * 0.43429448190325182765;
}

double ms_exp(double x) {
    int n = (int)(x * 1.44269504088896340736 + (x < 0 ? -0.5 : 0.5));
    /* ln 2 in two parts: the first has few enough bits that n times it is exact. */
    double r = (x - n * 0x1.62e42fefa0000p-1) - n * 0x1.cf79abc9e3b3ap-40;
    double sum = 1, term = 1;
    for (int k = 1; k <= 16; k++) {
        term = term * r / k;
        sum += term;
    }
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof(scale));
    return sum * scale;
}

void ms_fft_init(ms_fft_tables *tables) {
    for (int k = 0; k < MS_FFT_SIZE; k++)
        ms_cos_sin_turn(k, MS_FFT_SIZE, &tables->cos[k], &tables->sin[k]);
}

/* Short vectors that the compiler maps to what the target has. */
typedef double lanes __attribute__((vector_size(MS_FFT_LANES * sizeof(double))));

typedef struct cplx {
    lanes re, im;
} cplx;

static inline cplx load(const double (*re)[MS_FFT_LANES], const double (*im)[MS_FFT_LANES], int i) {
    cplx z;
    memcpy(&z.re, re[i], sizeof(lanes));
    memcpy(&z.im, im[i], sizeof(lanes));
    return z;
}

static inline void store(double (*re)[MS_FFT_LANES], double (*im)[MS_FFT_LANES], int i, const cplx *z) {
    memcpy(re[i], &z->re, sizeof(lanes));
    memcpy(im[i], &z->im, sizeof(lanes));
}

/* z times exp(-2 pi i k / 400). */
static inline void turn(const ms_fft_tables *t, cplx *z, int k) {
    double c = t->cos[k], s = t->sin[k];
    lanes re = z->re * c + z->im * s;
    z->im = z->im * c - z->re * s;
    z->re = re;
}

static inline void butterfly2(cplx *z) {
    cplx a = z[0], b = z[1];
    z[0].re = a.re + b.re;
    z[0].im = a.im + b.im;
    z[1].re = a.re - b.re;
    z[1].im = a.im - b.im;
}

static inline void butterfly4(cplx *z) {
    cplx a = z[0], b = z[1], c = z[2], d = z[3];
    lanes ac_re = a.re + c.re, ac_im = a.im + c.im, bd_re = b.re + d.re, bd_im = b.im + d.im;
    lanes dif_re = a.re - c.re, dif_im = a.im - c.im, rot_re = b.im - d.im, rot_im = d.re - b.re;
    z[0].re = ac_re + bd_re;
    z[0].im = ac_im + bd_im;
    z[2].re = ac_re - bd_re;
    z[2].im = ac_im - bd_im;
    z[1].re = dif_re + rot_re;
    z[1].im = dif_im + rot_im;
    z[3].re = dif_re - rot_re;
    z[3].im = dif_im - rot_im;
}

/* Five points by the symmetric sums of Rader's 1-4 and 2-3 pairs. */
static inline void butterfly5(cplx *z) {
    const double c1 = 0.30901699437494742410, c2 = -0.80901699437494742410; /* cos of 72 and 144 degrees */
    const double s1 = 0.95105651629515357212, s2 = 0.58778525229247312917;  /* sin of them */
    lanes p1_re = z[1].re + z[4].re, p1_im = z[1].im + z[4].im;
    lanes p2_re = z[2].re + z[3].re, p2_im = z[2].im + z[3].im;
    lanes m1_re = z[1].re - z[4].re, m1_im = z[1].im - z[4].im;
    lanes m2_re = z[2].re - z[3].re, m2_im = z[2].im - z[3].im;
    lanes a_re = z[0].re + p1_re * c1 + p2_re * c2, a_im = z[0].im + p1_im * c1 + p2_im * c2;
    lanes b_re = z[0].re + p1_re * c2 + p2_re * c1, b_im = z[0].im + p1_im * c2 + p2_im * c1;
    lanes e_re = m1_im * s1 + m2_im * s2, e_im = m1_re * s1 + m2_re * s2;
    lanes f_re = m1_im * s2 - m2_im * s1, f_im = m1_re * s2 - m2_re * s1;
    z[0].re = z[0].re + p1_re + p2_re;
    z[0].im = z[0].im + p1_im + p2_im;
    z[1].re = a_re + e_re;
    z[1].im = a_im - e_im;
    z[4].re = a_re - e_re;
    z[4].im = a_im + e_im;
    z[2].re = b_re + f_re;
    z[2].im = b_im - f_im;
    z[3].re = b_re - f_re;
    z[3].im = b_im + f_im;
}

/*
 * One pass of the self-sorting decimation in frequency (Stockham; see Van Loan,
 * "Computational Frameworks for the FFT", 1992): the signal is `stride` interleaved
 * signals of `length` points; each becomes `radix` signals of length / radix points.
 */
__attribute__((always_inline)) static inline void pass(const ms_fft_tables *t, ms_fft_work *w, int from,
                                                       int length, int stride, const int radix) {
    const int m = length / radix;
    for (int p = 0; p < m; p++) {
        for (int q = 0; q < stride; q++) {
            cplx z[5];
            for (int r = 0; r < radix; r++)
                z[r] = load((const double(*)[MS_FFT_LANES])w->re[from],
                            (const double(*)[MS_FFT_LANES])w->im[from], q + stride * (p + r * m));
            if (radix == 2)
                butterfly2(z);
            else if (radix == 4)
                butterfly4(z);
            else
                butterfly5(z);
            for (int r = 0; r < radix; r++) {
                if (r && p)
                    turn(t, &z[r], r * p * (MS_FFT_SIZE / length));
                store(w->re[1 - from], w->im[1 - from], q + stride * (radix * p + r), &z[r]);
            }
        }
    }
}

void ms_fft_power(const ms_fft_tables *tables, ms_fft_work *work, const double (*signal)[MS_FFT_LANES],
                  double (*power)[MS_FFT_LANES]) {
    /* The real signal's even and odd samples are one complex signal of half the
       length: 200 = 5 * 5 * 4 * 2. */
    for (int i = 0; i < HALF; i++) {
        memcpy(work->re[0][i], signal[2 * i], sizeof(lanes));
        memcpy(work->im[0][i], signal[2 * i + 1], sizeof(lanes));
    }
    pass(tables, work, 0, 200, 1, 5);
    pass(tables, work, 1, 40, 5, 5);
    pass(tables, work, 0, 8, 25, 4);
    pass(tables, work, 1, 2, 100, 2);

    const double(*re)[MS_FFT_LANES] = (const double(*)[MS_FFT_LANES])work->re[0];
    const double(*im)[MS_FFT_LANES] = (const double(*)[MS_FFT_LANES])work->im[0];
    for (int k = 0; k <= HALF; k++) {
        cplx a = load(re, im, k % HALF), b = load(re, im, (HALF - k) % HALF);
        /* X_k = E + exp(-2 pi i k / 400) O with E = (a + conj b) / 2, O = (a - conj b) / 2i. */
        cplx even = {(a.re + b.re) * 0.5, (a.im - b.im) * 0.5};
        cplx odd = {(a.im + b.im) * 0.5, (b.re - a.re) * 0.5};
        turn(tables, &odd, k);
        lanes x = even.re + odd.re, y = even.im + odd.im, sum = x * x + y * y;
        memcpy(power[k], &sum, sizeof(lanes));
    }
}
