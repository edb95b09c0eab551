#include "latents/symmetric_eigen.h"

#include <math.h>

/* It converges quadratically; matrices of a few hundred rows take about ten. */
#define MAX_SWEEPS 40

/* Rows p and q of m become c p - s q and s p + c q. */
static void rotate_rows(double *m, int n, int p, int q, double c, double s) {
    double *x = m + (long)p * n, *y = m + (long)q * n;
    for (int i = 0; i < n; i++) {
        double a = x[i], b = y[i];
        x[i] = c * a - s * b;
        y[i] = s * a + c * b;
    }
}

static void rotate_columns(double *m, int n, int p, int q, double c, double s) {
    for (int i = 0; i < n; i++) {
        double *x = m + (long)i * n, a = x[p], b = x[q];
        x[p] = c * a - s * b;
        x[q] = s * a + c * b;
    }
}

/* Makes a[p][q] zero. */
static void annihilate(double *a, double *vectors, int n, int p, int q) {
    double off = a[(long)p * n + q];
    double tau = (a[(long)q * n + q] - a[(long)p * n + p]) / (2 * off);
    double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau));
    double c = 1 / sqrt(1 + t * t), s = t * c;
    rotate_rows(a, n, p, q, c, s);
    rotate_columns(a, n, p, q, c, s);
    rotate_rows(vectors, n, p, q, c, s);
    a[(long)p * n + q] = a[(long)q * n + p] = 0;
}

static void sort(double *values, double *vectors, int n) {
    for (int k = 0; k < n; k++) {
        int largest = k;
        for (int i = k + 1; i < n; i++)
            largest = values[i] > values[largest] ? i : largest;
        double value = values[k];
        values[k] = values[largest];
        values[largest] = value;
        for (int i = 0; i < n && largest != k; i++) {
            double x = vectors[(long)k * n + i];
            vectors[(long)k * n + i] = vectors[(long)largest * n + i];
            vectors[(long)largest * n + i] = x;
        }
    }
}

void ms_symmetric_eigen(double *a, int n, double *ret_values, double *ret_vectors) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            ret_vectors[(long)i * n + j] = i == j;
    for (int sweep = 0, rotations = 1; sweep < MAX_SWEEPS && rotations; sweep++) {
        rotations = 0;
        for (int p = 0; p < n - 1; p++) {
            for (int q = p + 1; q < n; q++) {
                double size = sqrt(fabs(a[(long)p * n + p])) * sqrt(fabs(a[(long)q * n + q]));
                if (!(fabs(a[(long)p * n + q]) > 1e-15 * size))
                    continue; /* as good as zero beside its diagonal */
                annihilate(a, ret_vectors, n, p, q);
                rotations++;
            }
        }
    }
    for (int i = 0; i < n; i++)
        ret_values[i] = a[(long)i * n + i];
    sort(ret_values, ret_vectors, n);
}
