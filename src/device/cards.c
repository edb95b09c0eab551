#include "device/cards.h"

#include <stdlib.h>
#include <string.h>

static const ms_card cards[] = {
    {"GeForce RTX 2060", 75, 6, 30, 25.8, 6.5, 336},
    {"GeForce RTX 2080", 75, 8, 46, 42.4, 10.6, 448},
    {"GeForce RTX 2080 Ti", 75, 11, 68, 56.9, 14.2, 616},
    {"Tesla T4", 75, 16, 40, 65, 8.1, 320},
    {"A100 40 GB", 80, 40, 108, 312, 19.5, 1555},
    {"A100 80 GB", 80, 80, 108, 312, 19.5, 2039},
    {"GeForce RTX 3050", 86, 8, 20, 18.2, 9.1, 224},
    {"GeForce RTX 3080", 86, 10, 68, 59.5, 29.8, 760},
    {"GeForce RTX 3060", 86, 12, 28, 25.5, 12.7, 360},
    {"RTX A4000", 86, 16, 48, 76.7, 19.2, 448},
    {"GeForce RTX 3090", 86, 24, 82, 71, 35.6, 936},
    {"RTX A6000", 86, 48, 84, 154.8, 38.7, 768},
    {"GeForce RTX 4060", 89, 8, 24, 30.2, 15.1, 272},
    {"GeForce RTX 4070", 89, 12, 46, 58.3, 29.1, 504},
    {"GeForce RTX 4080", 89, 16, 76, 97.5, 48.7, 717},
    {"GeForce RTX 4090", 89, 24, 128, 165.2, 82.6, 1008},
    {"L40S", 89, 48, 142, 362, 91.6, 864},
    {"H100 SXM", 90, 80, 132, 989, 67, 3350},
    {"H200", 90, 141, 132, 989, 67, 4800},
    {"B200", 100, 180, 148, 2250, 75, 8000},
    {"GeForce RTX 5060", 120, 8, 30, 38.4, 19.2, 448},
    {"GeForce RTX 5070", 120, 12, 48, 61.7, 30.9, 672},
    {"GeForce RTX 5080", 120, 16, 84, 112.6, 56.3, 960},
    {"GeForce RTX 5090", 120, 32, 170, 209.5, 104.8, 1792},
};

#define N_CARDS ((int)(sizeof(cards) / sizeof(cards[0])))

#define SMALL_CONTEXT_MIB 107.0
#define CONTEXT_MIB_PER_MULTIPROCESSOR ((612 - 107.0) / (148 - 34))
#define KERNELS_MIB 16

const ms_card *ms_card_at(int index) {
    return index >= 0 && index < N_CARDS ? &cards[index] : NULL;
}

const ms_card *ms_card_find(int arch, size_t memory_bytes) {
    const ms_card *found = NULL;
    for (int i = 0; i < N_CARDS; i++) {
        const ms_card *c = &cards[i];
        if (c->arch == arch && (!found || (size_t)c->memory_gib << 30 <= memory_bytes))
            found = c;
    }
    return found;
}

/* "8.6", as NVIDIA writes compute capabilities. */
static long read_capability(const char *text, char **end) {
    long arch = strtol(text, end, 10);
    if (**end == '.' && (*end)[1] >= '0' && (*end)[1] <= '9')
        arch = 10 * arch + strtol(*end + 1, end, 10);
    return arch;
}

int ms_card_arch(const char *text) {
    char *end;
    if (strncmp(text, "sm_", 3) == 0)
        text += 3;
    if (*text < '0' || *text > '9')
        return 0;
    long arch = read_capability(text, &end);
    if (*end == 'a') /* sm_90a: how kernels for sm_90 may be compiled */
        end++;
    for (int i = 0; *end == 0 && i < N_CARDS; i++)
        if (cards[i].arch == arch)
            return (int)arch;
    return 0;
}

size_t ms_card_context_bytes(const ms_card *card) {
    double mib = SMALL_CONTEXT_MIB + CONTEXT_MIB_PER_MULTIPROCESSOR * (card->multiprocessors - 34);
    return (size_t)(mib + KERNELS_MIB) << 20;
}
