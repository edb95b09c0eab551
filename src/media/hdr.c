#include "media/hdr.h"

#include <math.h>

#define LEVELS 65536
#define TOP 65535.0
/* Light of a white sheet in the scene, in cd/m2 (ITU-R BT.2408): the unit of light below. */
#define WHITE 203.0
#define PQ_PEAK (10000.0 / WHITE)
#define HLG_PEAK (1000.0 / WHITE)
#define DISPLAY_GAMMA 2.4

const char *ms_hdr_name(int transfer) {
    return transfer == MS_TRANSFER_PQ ? "PQ" : transfer == MS_TRANSFER_HLG ? "HLG" : NULL;
}

/* ---- curves */

/* SMPTE ST 2084, signal to light. */
static double pq_light(double signal) {
    const double m1 = 2610.0 / 16384, m2 = 2523.0 / 4096 * 128, c1 = 3424.0 / 4096, c2 = 2413.0 / 4096 * 32,
                 c3 = 2392.0 / 4096 * 32;
    double p = pow(signal, 1 / m2);
    return PQ_PEAK * pow(fmax(p - c1, 0) / (c2 - c3 * p), 1 / m1);
}

/* ARIB STD-B67, signal to light of the scene, 0 to 1. */
static double hlg_light(double signal) {
    const double a = 0.17883277, b = 1 - 4 * a, c = 0.5 - a * log(4 * a);
    return signal <= 0.5 ? signal * signal / 3 : (exp((signal - c) / a) + b) / 12;
}

/*
 * Light of 0 to PQ_PEAK to 0 to 1: itself up to half of white, so that skin stays as it is,
 * and from there a hyperbola that goes on in the same direction and reaches 1 at the peak.
 */
static double shoulder(double light) {
    const double j = 0.5, p = PQ_PEAK;
    const double a = -j * j * (p - 1) / (j * j - 2 * j + p), b = (j * j - 2 * j * p + p) / (p - 1);
    if (light <= j)
        return light;
    return (b * b + 2 * b * j + j * j) / (b - a) * (light + a) / (light + b);
}

/* ---- tone mapping */

struct ms_tonemap {
    bool hlg, wide; /* primaries of BT.2020 */
    float light[LEVELS];
    uint8_t signal[LEVELS]; /* by the root of the light, which spreads the darks */
};

ms_status ms_tonemap_create(ms_mem *mem, int transfer, int primaries, ms_tonemap **ret_map, ms_error *err) {
    ms_tonemap *t = ms_mem_alloc(mem, MS_LEDGER_FRAMES, sizeof(*t));
    if (!t)
        return ms_fail_alloc(err, mem, sizeof(*t), "tone mapping");
    t->hlg = transfer == MS_TRANSFER_HLG;
    t->wide = primaries == 9 || primaries == 2;
    for (int i = 0; i < LEVELS; i++) {
        double x = i / TOP;
        t->light[i] = (float)(t->hlg ? hlg_light(x) : pq_light(x));
        t->signal[i] = (uint8_t)(255 * pow(x, 2 / DISPLAY_GAMMA) + 0.5);
    }
    *ret_map = t;
    return MS_OK;
}

void ms_tonemap_destroy(ms_tonemap **map) {
    if (!map || !*map)
        return;
    ms_mem_free(*map);
    *map = NULL;
}

/* BT.2100's OOTF of HLG for a display of 1000 cd/m2: by the scene's luminance. */
static void hlg_to_display(float rgb[3]) {
    float luminance = 0.2627f * rgb[0] + 0.6780f * rgb[1] + 0.0593f * rgb[2];
    float factor = luminance > 0 ? (float)HLG_PEAK * powf(luminance, 0.2f) : 0;
    for (int c = 0; c < 3; c++)
        rgb[c] *= factor;
}

/* ITU-R BT.2087. */
static void narrow_primaries(float rgb[3]) {
    float r = rgb[0], g = rgb[1], b = rgb[2];
    rgb[0] = 1.6605f * r - 0.5876f * g - 0.0728f * b;
    rgb[1] = -0.1246f * r + 1.1329f * g - 0.0083f * b;
    rgb[2] = -0.0182f * r - 0.1006f * g + 1.1187f * b;
}

void ms_tonemap_row(const ms_tonemap *t, const uint16_t *src, uint8_t *dst, size_t n) {
    for (size_t i = 0; i < n; i++, src += 3, dst += 3) {
        float rgb[3] = {t->light[src[0]], t->light[src[1]], t->light[src[2]]};
        if (t->hlg)
            hlg_to_display(rgb);
        if (t->wide)
            narrow_primaries(rgb);
        /* One factor for all three keeps the hue. */
        float most = fmaxf(rgb[0], fmaxf(rgb[1], rgb[2]));
        float factor = most > 0.5f ? (float)shoulder((double)most) / most : 1;
        for (int c = 0; c < 3; c++) {
            float light = fminf(fmaxf(rgb[c] * factor, 0), 1);
            dst[c] = t->signal[(int)(sqrtf(light) * (float)TOP + 0.5f)];
        }
    }
}

/* ---- the view */

struct ms_hdr_view {
    uint16_t down[LEVELS]; /* of a sample: its view in 16 bits; rises */
    uint16_t up[LEVELS];   /* the first sample whose view is that or more */
};

/* HLG was made to be shown as it is; PQ needs light, shoulder and a display's gamma. */
static double view_of(int transfer, double signal) {
    return transfer == MS_TRANSFER_HLG ? signal : pow(shoulder(pq_light(signal)), 1 / DISPLAY_GAMMA);
}

ms_status ms_hdr_view_create(ms_mem *mem, int transfer, ms_hdr_view **ret_view, ms_error *err) {
    ms_hdr_view *v = ms_mem_alloc(mem, MS_LEDGER_FRAMES, sizeof(*v));
    if (!v)
        return ms_fail_alloc(err, mem, sizeof(*v), "the view of an HDR picture");
    for (int i = 0; i < LEVELS; i++)
        v->down[i] = (uint16_t)(fmin(view_of(transfer, i / TOP), 1) * TOP + 0.5);
    int sample = 0;
    for (int i = 0; i < LEVELS; i++) {
        while (sample < LEVELS - 1 && v->down[sample] < i)
            sample++;
        v->up[i] = (uint16_t)sample;
    }
    *ret_view = v;
    return MS_OK;
}

void ms_hdr_view_destroy(ms_hdr_view **view) {
    if (!view || !*view)
        return;
    ms_mem_free(*view);
    *view = NULL;
}

/* 65535 = 257 * 255. */
static int eight_bits(int sixteen) {
    return (sixteen + 128) / 257;
}

void ms_hdr_view_row(const ms_hdr_view *v, const uint16_t *src, uint8_t *dst, size_t n) {
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t)eight_bits(v->down[src[i]]);
}

void ms_hdr_view_put_back(const ms_hdr_view *v, const uint8_t *redrawn, uint16_t *samples, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int was = v->down[samples[i]], moved = redrawn[i] - eight_bits(was);
        if (moved == 0)
            continue;
        int now = was + 257 * moved;
        int sample = v->up[now < 0 ? 0 : now >= LEVELS ? LEVELS - 1 : now];
        while (sample > 0 &&
               eight_bits(v->down[sample]) > redrawn[i]) /* in the darks the view is the finer one */
            sample--;
        samples[i] = (uint16_t)sample;
    }
}
