/*
 * Small vector maths for the drawn world, and its random numbers. Nothing here calls libm for anything but
 * sqrt and floor, which are exact: a seed gives the same picture with every compiler and C library.
 */
#ifndef WORLD_WMATH_H
#define WORLD_WMATH_H

#include <math.h>
#include <stdint.h>

typedef struct w_vec {
    float x, y;
} w_vec;

typedef struct w_rgb {
    float r, g, b; /* 0 to 1, gamma-coded as in the output */
} w_rgb;

static inline w_vec w_v(float x, float y) {
    return (w_vec){x, y};
}

static inline w_vec w_add(w_vec a, w_vec b) {
    return (w_vec){a.x + b.x, a.y + b.y};
}

static inline w_vec w_sub(w_vec a, w_vec b) {
    return (w_vec){a.x - b.x, a.y - b.y};
}

static inline w_vec w_scale(w_vec a, float s) {
    return (w_vec){a.x * s, a.y * s};
}

static inline float w_length(w_vec a) {
    return sqrtf(a.x * a.x + a.y * a.y);
}

static inline float w_mix(float a, float b, float t) {
    return a + (b - a) * t;
}

static inline w_vec w_mix_v(w_vec a, w_vec b, float t) {
    return (w_vec){w_mix(a.x, b.x, t), w_mix(a.y, b.y, t)};
}

static inline w_rgb w_mix_rgb(w_rgb a, w_rgb b, float t) {
    return (w_rgb){w_mix(a.r, b.r, t), w_mix(a.g, b.g, t), w_mix(a.b, b.b, t)};
}

static inline w_rgb w_tint(w_rgb a, float r, float g, float b) {
    return (w_rgb){a.r * r, a.g * g, a.b * b};
}

static inline float w_clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

/* 0 up to `from`, 1 from `to` on, smooth between. */
static inline float w_smooth(float from, float to, float x) {
    float t = w_clamp((x - from) / (to - from), 0, 1);
    return t * t * (3 - 2 * t);
}

/* sin(2 pi turns), to about 1e-6. */
float w_sin_turns(float turns);

static inline float w_cos_turns(float turns) {
    return w_sin_turns(turns + 0.25f);
}

/* Streams of random numbers that a world draws from. */
enum {
    W_STREAM_PERSON = 0x5701,
    W_STREAM_STRANDS = 0x5702,
    W_STREAM_MOTION = 0x5703,
    W_STREAM_GRAIN = 0x5704,
    W_STREAM_SPEECH = 0x5705,
    W_STREAM_VOICE = 0x5706,
};

/* Uniform in [0, 1): number `index` of (seed, stream, row). */
float w_random(uint64_t seed, uint32_t stream, uint32_t row, uint32_t index);

/* Four at once: words of counter (index, row, stream, 1). */
void w_random4(uint64_t seed, uint32_t stream, uint32_t row, uint32_t index, float ret_values[4]);

/* Takes numbers one after the other, so that parameters can be listed without numbering them. */
typedef struct w_dice {
    uint64_t seed;
    uint32_t stream, row, next;
} w_dice;

float w_roll(w_dice *dice, float low, float high);

/* 0 to count - 1. */
int w_pick(w_dice *dice, int count);

/* True with that probability. */
int w_chance(w_dice *dice, float probability);

#endif
