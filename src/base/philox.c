#include "base/philox.h"

#include <math.h>

void ms_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_words[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    ret_words[0] = c0;
    ret_words[1] = c1;
    ret_words[2] = c2;
    ret_words[3] = c3;
}

static void four_normals(const uint32_t words[4], float ret_normals[4]) {
    const double two_pi = 6.283185307179586476925286766559;
    for (int pair = 0; pair < 2; pair++) {
        double u = ((double)words[2 * pair] + 0.5) * 0x1p-32;
        double v = ((double)words[2 * pair + 1] + 0.5) * 0x1p-32;
        double r = sqrt(-2.0 * log(u));
        ret_normals[2 * pair] = (float)(r * cos(two_pi * v));
        ret_normals[2 * pair + 1] = (float)(r * sin(two_pi * v));
    }
}

void ms_noise_normals(uint64_t seed, uint32_t stream, uint32_t frame, uint64_t first, uint64_t count,
                      float *ret_normals) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint64_t done = 0;
    while (done < count) {
        uint64_t element = first + done;
        const uint32_t counter[4] = {(uint32_t)(element / 4), frame, stream, 0};
        uint32_t words[4];
        float normals[4];
        ms_philox4x32_10(counter, key, words);
        four_normals(words, normals);
        for (uint64_t i = element % 4; i < 4 && done < count; i++)
            ret_normals[done++] = normals[i];
    }
}
