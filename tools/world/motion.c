/* How a person moves besides speaking: all from the seed and the time, so any frame can be made alone. */
#include "world/world.h"

/* Slow and smooth, -1 to 1: three waves that do not repeat together. */
static float drift(uint64_t seed, uint32_t row, float time_s) {
    static const float rate[3] = {0.11f, 0.23f, 0.41f}, size[3] = {0.5f, 0.32f, 0.18f};
    float sum = 0;
    for (uint32_t i = 0; i < 3; i++) {
        float r[4];
        w_random4(seed, W_STREAM_MOTION, row, i, r);
        sum += size[i] * w_sin_turns(time_s * rate[i] * (0.8f + 0.4f * r[0]) + r[1]);
    }
    return sum;
}

/* A blink a third of a second long somewhere in every three seconds. */
static float blink_at(uint64_t seed, float time_s) {
    float slot = floorf(time_s / 3), r = w_random(seed, W_STREAM_MOTION, 100, (uint32_t)(int)slot);
    float t = time_s - slot * 3 - 0.3f - 2.2f * r;
    return w_smooth(0, 0.10f, t) * (1 - w_smooth(0.14f, 0.30f, t));
}

/* The eyes rest on one place for a second or so, then jump. */
static float gaze_at(uint64_t seed, uint32_t row, float time_s) {
    float slot = floorf(time_s / 1.3f), t = time_s - slot * 1.3f;
    float before = w_random(seed, W_STREAM_MOTION, row, (uint32_t)(int)slot) - 0.5f;
    float after = w_random(seed, W_STREAM_MOTION, row, (uint32_t)(int)slot + 1) - 0.5f;
    return w_mix(before, after, w_smooth(1.24f, 1.30f, t));
}

void world_moment(const world *w, double time_s, w_moment *ret_moment) {
    uint64_t seed = w->person.seed;
    float t = (float)time_s, lively = 0.7f + 0.6f * w_random(seed, W_STREAM_MOTION, 101, 0);
    *ret_moment = (w_moment){
        .yaw = 0.030f * lively * drift(seed, 0, t),
        .pitch = 0.014f * lively * drift(seed, 1, t),
        .roll = 0.011f * lively * drift(seed, 2, t),
        .x = 0.10f * lively * drift(seed, 3, t),
        .y = 0.05f * lively * drift(seed, 4, t),
        .blink = blink_at(seed, t),
        .gaze_x = 0.7f * gaze_at(seed, 102, t),
        .gaze_y = 0.5f * gaze_at(seed, 103, t),
        .brow_raise = drift(seed, 5, 2 * t),
    };
}
