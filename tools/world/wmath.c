#include "world/wmath.h"

#include "base/philox.h"

float w_sin_turns(float turns) {
    float t = turns - floorf(turns + 0.5f); /* -0.5 to 0.5 */
    if (t > 0.25f)
        t = 0.5f - t;
    else if (t < -0.25f)
        t = -0.5f - t;
    float x = t * 6.2831853f, s = x * x;
    return x * (1 + s * (-1.0f / 6 + s * (1.0f / 120 + s * (-1.0f / 5040 + s * (1.0f / 362880)))));
}

void w_random4(uint64_t seed, uint32_t stream, uint32_t row, uint32_t index, float ret_values[4]) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {index, row, stream, 1};
    uint32_t words[4];
    ms_philox4x32_10(counter, key, words);
    for (int i = 0; i < 4; i++)
        ret_values[i] = (float)(words[i] >> 8) * 0x1p-24f;
}

float w_random(uint64_t seed, uint32_t stream, uint32_t row, uint32_t index) {
    float values[4];
    w_random4(seed, stream, row, index / 4, values);
    return values[index % 4];
}

float w_roll(w_dice *dice, float low, float high) {
    return w_mix(low, high, w_random(dice->seed, dice->stream, dice->row, dice->next++));
}

int w_pick(w_dice *dice, int count) {
    int i = (int)w_roll(dice, 0, (float)count);
    return i < count ? i : count - 1;
}

int w_chance(w_dice *dice, float probability) {
    return w_roll(dice, 0, 1) < probability;
}
