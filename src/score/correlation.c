#include "score/correlation.h"

#include <math.h>
#include <stdbool.h>

void ms_correlation_add(ms_correlation *c, double x, double y) {
    if (!isfinite(x) || !isfinite(y))
        return;
    c->n++;
    double dx = x - c->mean_x, dy = y - c->mean_y;
    c->mean_x += dx / (double)c->n;
    c->mean_y += dy / (double)c->n;
    c->xx += dx * (x - c->mean_x);
    c->yy += dy * (y - c->mean_y);
    c->xy += dx * (y - c->mean_y);
    c->error += (x - y) * (x - y);
}

double ms_correlation_r(const ms_correlation *c) {
    /* What rounding leaves of a series that does not vary is no variation. */
    double floor_x = 1e-24 * (double)c->n * c->mean_x * c->mean_x,
           floor_y = 1e-24 * (double)c->n * c->mean_y * c->mean_y;
    if (c->n < 3 || !(c->xx > floor_x) || !(c->yy > floor_y))
        return NAN;
    double r = c->xy / (sqrt(c->xx) * sqrt(c->yy));
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

double ms_correlation_rmse(const ms_correlation *c) {
    return c->n ? sqrt(c->error / (double)c->n) : NAN;
}

void ms_lag_correlation_add(ms_lag_correlation *c, double x, double y) {
    const int size = MS_LAG_MAX + 1;
    c->x[c->n % size] = x;
    c->y[c->n % size] = y;
    for (int k = 0; k <= MS_LAG_MAX && k <= c->n; k++) {
        int64_t before = (c->n - k) % size;
        ms_correlation_add(&c->at[MS_LAG_MAX + k], x, c->y[before]);
        if (k > 0)
            ms_correlation_add(&c->at[MS_LAG_MAX - k], c->x[before], y);
    }
    c->n++;
}

static void insert(double *sorted, int count, double value) {
    int i = count;
    for (; i > 0 && sorted[i - 1] > value; i--)
        sorted[i] = sorted[i - 1];
    sorted[i] = value;
}

ms_lag_peak ms_lag_correlation_peak(const ms_lag_correlation *c, int64_t min_pairs) {
    ms_lag_peak peak = {.r = NAN};
    double sorted[MS_LAGS];
    int count = 0;
    /* 0, 1, -1, 2, ...: of equals the smallest shift wins. */
    for (int i = 0; i < MS_LAGS; i++) {
        int lag = i % 2 ? (i + 1) / 2 : -i / 2;
        const ms_correlation *at = &c->at[MS_LAG_MAX + lag];
        double r = at->n >= min_pairs ? ms_correlation_r(at) : NAN;
        if (isnan(r))
            continue;
        insert(sorted, count++, r);
        if (isnan(peak.r) || r > peak.r) {
            peak.r = r;
            peak.lag = lag;
        }
    }
    if (count)
        peak.confidence = peak.r - (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    return peak;
}
