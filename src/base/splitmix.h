/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): numbers for
   tests and schedules, the same on every machine. */
#ifndef MS_BASE_SPLITMIX_H
#define MS_BASE_SPLITMIX_H

#include <stdint.h>

static inline uint64_t ms_splitmix64(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

#endif
