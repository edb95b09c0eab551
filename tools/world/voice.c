#include "world/voice.h"

#define PI 3.14159265358979
#define STEP 80 /* samples between changes of the filters: 5 ms */

/* Formants, loudness of voice and of noise, and where the noise lies. closure: part
   of the phone that is shut. */
typedef struct sound {
    float f1, f2, f3, voiced, noise, noise_hz, closure;
} sound;

static const sound sounds[PHONE_COUNT] = {
    [PHONE_SILENCE] = {500, 1500, 2500, 0, 0, 1000, 0},
    [PHONE_AA] = {730, 1090, 2440, 1.0f, 0, 1000, 0},
    [PHONE_AE] = {660, 1720, 2410, 1.0f, 0, 1000, 0},
    [PHONE_AH] = {640, 1190, 2390, 0.9f, 0, 1000, 0},
    [PHONE_AO] = {570, 840, 2410, 1.0f, 0, 1000, 0},
    [PHONE_EH] = {530, 1840, 2480, 0.95f, 0, 1000, 0},
    [PHONE_IH] = {390, 1990, 2550, 0.85f, 0, 1000, 0},
    [PHONE_IY] = {270, 2290, 3010, 0.85f, 0, 1000, 0},
    [PHONE_UW] = {300, 870, 2240, 0.8f, 0, 1000, 0},
    [PHONE_OW] = {450, 900, 2300, 0.95f, 0, 1000, 0},
    [PHONE_M] = {250, 1000, 2200, 0.35f, 0, 1000, 0},
    [PHONE_B] = {200, 900, 2200, 0.5f, 0.25f, 800, 0.75f},
    [PHONE_P] = {400, 900, 2200, 0, 0.5f, 900, 0.7f},
    [PHONE_N] = {250, 1500, 2500, 0.35f, 0, 1000, 0},
    [PHONE_D] = {250, 1700, 2600, 0.45f, 0.3f, 3500, 0.7f},
    [PHONE_T] = {400, 1700, 2600, 0, 0.6f, 4500, 0.6f},
    [PHONE_G] = {250, 1900, 2400, 0.45f, 0.3f, 1900, 0.7f},
    [PHONE_K] = {400, 1900, 2400, 0, 0.55f, 2000, 0.6f},
    [PHONE_F] = {350, 1200, 2300, 0, 0.25f, 5500, 0},
    [PHONE_V] = {300, 1200, 2300, 0.4f, 0.12f, 5000, 0},
    [PHONE_S] = {350, 1600, 2600, 0, 0.55f, 6200, 0},
    [PHONE_Z] = {300, 1600, 2600, 0.35f, 0.35f, 6000, 0},
    [PHONE_SH] = {350, 1700, 2500, 0, 0.6f, 3200, 0},
    [PHONE_TH] = {350, 1400, 2600, 0, 0.2f, 5800, 0},
    [PHONE_HH] = {500, 1500, 2500, 0, 0.3f, 1500, 0},
    [PHONE_L] = {360, 1200, 2700, 0.6f, 0, 1000, 0},
    [PHONE_R] = {330, 1150, 1600, 0.6f, 0, 1000, 0},
    [PHONE_W] = {290, 700, 2200, 0.6f, 0, 1000, 0},
    [PHONE_Y] = {270, 2200, 2900, 0.6f, 0, 1000, 0},
};

/* y[n] = a x[n] + b y[n-1] + c y[n-2], with gain 1 at 0 Hz (Klatt 1980). */
typedef struct resonator {
    double a, b, c, y1, y2;
} resonator;

static void tune(resonator *r, double hz, double width_hz) {
    double radius = exp(-PI * width_hz / VOICE_RATE);
    r->c = -radius * radius;
    r->b = 2 * radius * cos(2 * PI * hz / VOICE_RATE);
    r->a = 1 - r->b - r->c;
}

static double pass(resonator *r, double x) {
    double y = r->a * x + r->b * r->y1 + r->c * r->y2;
    r->y2 = r->y1;
    r->y1 = y;
    return y;
}

voice voice_of(uint64_t seed, float turn) {
    return (voice){.seed = seed,
                   .pitch_hz = turn < 0 ? 120 + 35 * turn : 120 + 95 * turn,
                   .formants = 1.08f + 0.09f * turn};
}

typedef struct throat {
    resonator formant[4], hiss;
    sound now; /* glides towards the current phone */
    double phase, low;
    float stress;
} throat;

/* The phone's sound at a moment within it; stops are shut first and then burst. */
static sound target_at(const speech_event *e, float time_s) {
    sound s = sounds[e->phone];
    if (s.closure > 0) {
        bool shut = time_s < e->start_s + s.closure * (e->end_s - e->start_s);
        s.voiced *= shut ? 0.25f : 0.6f;
        s.noise *= shut ? 0 : 1;
    }
    float edge = w_smooth(0, 0.03f, time_s - e->start_s);
    s.voiced *= w_mix(0.6f, 1, edge) * (0.75f + 0.25f * e->stress);
    return s;
}

static void glide(throat *t, const voice *v, const sound *to, float stress) {
    float k = 0.28f, fast = 0.55f;
    t->now.f1 = w_mix(t->now.f1, to->f1, k);
    t->now.f2 = w_mix(t->now.f2, to->f2, k);
    t->now.f3 = w_mix(t->now.f3, to->f3, k);
    t->now.voiced = w_mix(t->now.voiced, to->voiced, fast * 0.7f);
    t->now.noise = w_mix(t->now.noise, to->noise, fast);
    t->now.noise_hz = to->noise > 0 ? to->noise_hz : t->now.noise_hz;
    t->stress = w_mix(t->stress, stress, 0.1f);
    tune(&t->formant[0], (double)(t->now.f1 * v->formants), 70);
    tune(&t->formant[1], (double)(t->now.f2 * v->formants), 100);
    tune(&t->formant[2], (double)(t->now.f3 * v->formants), 150);
    tune(&t->formant[3], 3500 * (double)v->formants, 250);
    tune(&t->hiss, (double)t->now.noise_hz, 1200);
}

/* One glottal pulse a period: opens slowly, shuts fast (Rosenberg 1971), given as its slope. */
static double glottis(double phase) {
    if (phase < 0.4)
        return sin(PI * phase / 0.4) * 0.6;
    if (phase < 0.56)
        return -sin(PI * (phase - 0.4) / 0.16) * 1.5;
    return 0;
}

static float sample(throat *t, double hz, float noise) {
    t->phase += hz / VOICE_RATE;
    t->phase -= floor(t->phase);
    double breath = (double)noise * 0.03, source = (double)t->now.voiced * (glottis(t->phase) + breath);
    t->low = 0.55 * t->low + source; /* the slope towards high frequencies */
    double y = t->low;
    for (int i = 0; i < 4; i++)
        y = pass(&t->formant[i], y);
    double hiss = pass(&t->hiss, (double)noise) * (double)t->now.noise;
    return (float)(0.075 * y + 0.06 * hiss);
}

void voice_render(const voice *v, const speech *s, int64_t count, float *ret_samples) {
    throat t = {.now = sounds[PHONE_SILENCE]};
    int event = 0;
    double pitch = (double)v->pitch_hz;
    float noise[4] = {0};
    for (int64_t i = 0; i < count; i++) {
        if (i % STEP == 0) {
            float time_s = (float)i / VOICE_RATE;
            while (event + 1 < s->count && s->events[event + 1].start_s <= time_s)
                event++;
            const speech_event *e = &s->events[event];
            sound to = time_s < e->end_s ? target_at(e, time_s) : sounds[PHONE_SILENCE];
            glide(&t, v, &to, e->stress);
            float melody = 0.06f * w_sin_turns(0.45f * time_s) + 0.20f * (t.stress - 0.4f);
            pitch = (double)(v->pitch_hz * (1 + melody + 0.008f * w_sin_turns(5.3f * time_s)));
        }
        if (i % 4 == 0)
            w_random4(v->seed, W_STREAM_VOICE, 0, (uint32_t)(i / 4), noise);
        ret_samples[i] = w_clamp(sample(&t, pitch, 2 * noise[i % 4] - 1), -0.98f, 0.98f);
    }
}
