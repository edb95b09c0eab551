#include "pictures/similarity.h"

#include <math.h>
#include <string.h>

#define EPSILON 0x1p-24f /* LAPACK's relative machine precision, slamch('E') */

/* The SVD of the triangle [f g; 0 h] (LAPACK slasv2; Demmel and Kahan 1990): left (cl, sl), right (cr, sr),
   values larger and smaller with signs. */
typedef struct triangle_svd {
    float larger, smaller, cl, sl, cr, sr;
} triangle_svd;

static void swap(float *a, float *b) {
    float t = *a;
    *a = *b;
    *b = t;
}

/* The rotations when |f| >= |h| and g is not 0. */
static void rotate_triangle(float f, float g, float h, triangle_svd *r) {
    float fa = fabsf(f), ha = fabsf(h), ga = fabsf(g);
    if (ga > fa && fa / ga < EPSILON) { /* g drowns f altogether */
        r->larger = ga;
        r->smaller = ha > 1.0f ? fa / (ga / ha) : (fa / ga) * ha;
        r->cl = 1.0f;
        r->sl = h / g;
        r->sr = 1.0f;
        r->cr = f / g;
        return;
    }
    float d = fa - ha, l = d == fa ? 1.0f : d / fa, m = g / f, t = 2.0f - l;
    float mm = m * m, s = sqrtf(t * t + mm);
    float q = l == 0.0f ? fabsf(m) : sqrtf(l * l + mm), a = 0.5f * (s + q);
    r->smaller = ha / a;
    r->larger = fa * a;
    if (mm != 0.0f)
        t = (m / (s + t) + m / (q + l)) * (1.0f + a);
    else if (l == 0.0f)
        t = copysignf(2.0f, f) * copysignf(1.0f, g);
    else
        t = g / copysignf(d, f) + m / t;
    l = sqrtf(t * t + 4.0f);
    r->cr = 2.0f / l;
    r->sr = t / l;
    r->cl = (r->cr + r->sr * m) / a;
    r->sl = (h / f) * r->sr / a;
}

static triangle_svd svd_triangle(float f, float g, float h) {
    triangle_svd r = {fabsf(f), fabsf(h), 1, 0, 1, 0};
    bool swapped = fabsf(h) > fabsf(f);
    float ft = f, ht = h;
    if (swapped) {
        swap(&ft, &ht);
        swap(&r.larger, &r.smaller);
    }
    bool g_leads = fabsf(g) > fabsf(ft);
    if (g != 0.0f)
        rotate_triangle(ft, g, ht, &r);
    if (swapped) {
        float cl = r.sr, sl = r.cr, cr = r.sl, sr = r.cl;
        r.cl = cl;
        r.sl = sl;
        r.cr = cr;
        r.sr = sr;
    }
    float sign;
    if (g_leads)
        sign = copysignf(1.0f, r.sr) * copysignf(1.0f, r.cl) * copysignf(1.0f, g);
    else if (swapped)
        sign = copysignf(1.0f, r.sr) * copysignf(1.0f, r.sl) * copysignf(1.0f, h);
    else
        sign = copysignf(1.0f, r.cr) * copysignf(1.0f, r.cl) * copysignf(1.0f, f);
    r.larger = copysignf(r.larger, sign);
    r.smaller = copysignf(r.smaller, sign * copysignf(1.0f, f) * copysignf(1.0f, h));
    return r;
}

/* I - tau v v^T with v = (1, v1) that zeroes the second element of a column (LAPACK slarfg). */
typedef struct householder {
    float tau, v1;
} householder;

static householder reflect_column(float *alpha, float x) {
    if (x == 0.0f)
        return (householder){0, 0};
    float big = fmaxf(fabsf(*alpha), fabsf(x)), small = fminf(fabsf(*alpha), fabsf(x)), ratio = small / big;
    float norm = small == 0.0f ? big : big * sqrtf(ratio * ratio + 1.0f);
    float beta = -copysignf(norm, *alpha);
    householder h = {(beta - *alpha) / beta, x * (1.0f / (*alpha - beta))};
    *alpha = beta;
    return h;
}

static void apply(householder h, float *x0, float *x1) {
    if (h.tau == 0.0f)
        return;
    float scaled = -h.tau * (*x0 + *x1 * h.v1);
    *x0 += scaled;
    *x1 += h.v1 * scaled;
}

/* Below this the off-diagonal counts as zero (LAPACK sbdsqr, whose factor max(10, eps^(-1/8)) is 10). */
static float negligible(float d0, float e, float d1) {
    float least = fabsf(d0);
    if (least != 0.0f)
        least = fminf(least, fabsf(d1) * (least / (least + fabsf(e))));
    return fmaxf(10.0f * EPSILON * (least / sqrtf(2.0f)), 6 * 2 * 2 * 0x1p-126f);
}

void ms_svd_2x2(const float a[2][2], float u[2][2], float s[2], float v[2][2]) {
    float d0 = a[0][0], e = a[0][1], d1 = a[1][1];
    householder h = reflect_column(&d0, a[1][0]);
    apply(h, &e, &d1);

    triangle_svd t = {.larger = d0, .smaller = d1, .cl = 1, .cr = 1};
    if (fabsf(e) > negligible(d0, e, d1))
        t = svd_triangle(d0, e, d1);
    float left[2][2] = {{t.cl, -t.sl}, {t.sl, t.cl}}, right[2][2] = {{t.cr, -t.sr}, {t.sr, t.cr}};
    s[0] = t.larger;
    s[1] = t.smaller;
    for (int i = 0; i < 2; i++)
        if (s[i] < 0.0f) {
            s[i] = -s[i];
            right[0][i] = -right[0][i];
            right[1][i] = -right[1][i];
        }
    if (s[0] < s[1]) {
        swap(&s[0], &s[1]);
        for (int i = 0; i < 2; i++) {
            swap(&left[i][0], &left[i][1]);
            swap(&right[i][0], &right[i][1]);
        }
    }
    for (int i = 0; i < 2; i++)
        apply(h, &left[0][i], &left[1][i]);
    memcpy(u, left, sizeof(left));
    memcpy(v, right, sizeof(right));
}

typedef struct point_set {
    float centre[2], deviation;
    float normal[3][2]; /* centred, in standard deviations */
} point_set;

/* The deviation is over all six centred numbers, with n - 1. */
static point_set normalise(const float points[3][2]) {
    point_set set;
    float centred[6], sum = 0;
    for (int c = 0; c < 2; c++)
        set.centre[c] = (points[0][c] + points[1][c] + points[2][c]) / 3.0f;
    for (int i = 0; i < 6; i++) {
        centred[i] = points[i / 2][i % 2] - set.centre[i % 2];
        sum += centred[i];
    }
    double mean = sum / 6.0f, squares = 0;
    for (int i = 0; i < 6; i++)
        squares += (centred[i] - mean) * (centred[i] - mean);
    set.deviation = (float)sqrt(squares / 5);
    for (int i = 0; i < 6; i++)
        set.normal[i / 2][i % 2] = centred[i] / set.deviation;
    return set;
}

bool ms_similarity_fit(const float from[3][2], const float to[3][2], ms_similarity *ret_fit) {
    point_set p = normalise(from), q = normalise(to);
    float covariance[2][2], u[2][2], s[2], v[2][2], r[2][2];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            covariance[i][j] = p.normal[0][i] * q.normal[0][j] + p.normal[1][i] * q.normal[1][j] +
                               p.normal[2][i] * q.normal[2][j];
    ms_svd_2x2(covariance, u, s, v);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                r[i][j] = v[i][0] * u[j][0] + v[i][1] * u[j][1];
        if (pass || r[0][0] * r[1][1] - r[0][1] * r[1][0] >= 0.0f)
            break;
        v[0][1] = -v[0][1]; /* a reflection: the closest rotation has the smaller axis turned round */
        v[1][1] = -v[1][1];
    }
    ms_similarity fit;
    float scale = q.deviation / p.deviation;
    bool finite = p.deviation > 0.0f && isfinite(scale);
    for (int i = 0; i < 2; i++) {
        fit.matrix[i][0] = scale * r[i][0];
        fit.matrix[i][1] = scale * r[i][1];
        fit.matrix[i][2] = q.centre[i] - scale * (r[i][0] * p.centre[0] + r[i][1] * p.centre[1]);
        fit.bias[i] = q.normal[2][i] - p.normal[2][i];
        for (int j = 0; j < 3; j++)
            finite = finite && isfinite(fit.matrix[i][j]);
        finite = finite && isfinite(fit.bias[i]);
    }
    if (finite)
        *ret_fit = fit;
    return finite;
}
