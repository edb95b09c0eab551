/* A drawn picture and a hash, for known answers: hashes of what the official code makes of the picture. */
#ifndef MS_TESTS_SUPPORT_MEDIA_DRAWN_H
#define MS_TESTS_SUPPORT_MEDIA_DRAWN_H

#include <stdint.h>
#include <stdlib.h>

#include "pictures/image.h"

static inline uint8_t test_drawn_sample(int x, int y, int c) {
    int v = ((x * (3 + c) + y * (5 - c)) >> 1) + (((x >> 4) ^ (y >> 3)) & 15) * 9 + ((x * y) >> 7) * (c + 1);
    return (uint8_t)(v & 255);
}

/* Interleaved, in just the bytes that it needs. channels 1: the green one. free(image.data) releases it. */
static inline ms_image test_drawn_image(int width, int height, int channels) {
    uint8_t *p = malloc((size_t)width * (size_t)height * (size_t)channels), *out = p;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                *out++ = test_drawn_sample(x, y, channels == 1 ? 1 : c);
    return (ms_image){p, width, height, channels, (size_t)width * (size_t)channels};
}

static inline ms_image test_blank_image(int width, int height, int channels) {
    uint8_t *p = calloc((size_t)width * (size_t)height, (size_t)channels);
    return (ms_image){p, width, height, channels, (size_t)width * (size_t)channels};
}

/* FNV-1a, 64 bits. */
static inline uint64_t test_fnv1a(const void *data, size_t bytes) {
    const uint8_t *p = data;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ p[i]) * 1099511628211u;
    return hash;
}

#endif
