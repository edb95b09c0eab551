/*
 * Correlation of two series that arrive a pair at a time, and of one against the other at every shift within
 * a range. Nothing is kept but sums (and, for shifts, the last few values): memory does not grow with the
 * length. A value that is not finite stands for "not known" and its pairs are left out.
 */
#ifndef MS_SCORE_CORRELATION_H
#define MS_SCORE_CORRELATION_H

#include <stdint.h>

#define MS_LAG_MAX 15 /* frames */
#define MS_LAGS (2 * MS_LAG_MAX + 1)

/* Means, squares and products about the means, updated pair by pair (Welford 1962). Zero-initialise. */
typedef struct ms_correlation {
    int64_t n;
    double mean_x, mean_y, xx, yy, xy;
    double error; /* sum of (x - y)^2 */
} ms_correlation;

void ms_correlation_add(ms_correlation *c, double x, double y);

/* Pearson's r; NAN with fewer than 3 pairs or when a series does not vary. */
double ms_correlation_r(const ms_correlation *c);

/* Root mean square of x - y; NAN without pairs. */
double ms_correlation_rmse(const ms_correlation *c);

/* Zero-initialise. */
typedef struct ms_lag_correlation {
    ms_correlation at[MS_LAGS]; /* at[MS_LAG_MAX + k]: x k frames after y */
    double x[MS_LAG_MAX + 1], y[MS_LAG_MAX + 1];
    int64_t n;
} ms_lag_correlation;

void ms_lag_correlation_add(ms_lag_correlation *c, double x, double y);

typedef struct ms_lag_peak {
    int lag;           /* x comes so many frames after y; the smallest of equals */
    double r;          /* there */
    double confidence; /* r less the median of all lags' */
} ms_lag_peak;

/* Lags with fewer than `min_pairs` pairs do not count. r is NAN, and the rest 0, when none does. */
ms_lag_peak ms_lag_correlation_peak(const ms_lag_correlation *c, int64_t min_pairs);

#endif
