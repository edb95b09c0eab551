#include "device/cards.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ms_card cards[] = {
    {"GeForce RTX 2060", NULL, 75, 6, 30, 25.8, 6.5, 336},
    {"GeForce RTX 2080", NULL, 75, 8, 46, 42.4, 10.6, 448},
    {"GeForce RTX 2080 Ti", NULL, 75, 11, 68, 56.9, 14.2, 616},
    {"Tesla T4", NULL, 75, 16, 40, 65, 8.1, 320},
    {"A100 40 GB", "A100*40GB*", 80, 40, 108, 312, 19.5, 1555},
    {"A100 80 GB", "A100*80GB*", 80, 80, 108, 312, 19.5, 2039},
    {"GeForce RTX 3050", NULL, 86, 8, 20, 18.2, 9.1, 224},
    {"GeForce RTX 3080", NULL, 86, 10, 68, 59.5, 29.8, 760},
    {"GeForce RTX 3060", NULL, 86, 12, 28, 25.5, 12.7, 360},
    {"RTX A4000", NULL, 86, 16, 48, 76.7, 19.2, 448},
    {"GeForce RTX 3090", NULL, 86, 24, 82, 71, 35.6, 936},
    {"RTX A6000", NULL, 86, 48, 84, 154.8, 38.7, 768},
    {"GeForce RTX 4060", NULL, 89, 8, 24, 30.2, 15.1, 272},
    {"GeForce RTX 4070", NULL, 89, 12, 46, 58.3, 29.1, 504},
    {"GeForce RTX 4080", NULL, 89, 16, 76, 97.5, 48.7, 717},
    {"GeForce RTX 4090", NULL, 89, 24, 128, 165.2, 82.6, 1008},
    {"L40S", NULL, 89, 48, 142, 362, 91.6, 864},
    {"H100 SXM", "H100 80GB HBM3", 90, 80, 132, 989, 67, 3350},
    {"H200", NULL, 90, 141, 132, 989, 67, 4800},
    {"B200", NULL, 100, 180, 148, 2250, 75, 8000},
    {"GeForce RTX 5060", NULL, 120, 8, 30, 38.4, 19.2, 448},
    {"GeForce RTX 5070", NULL, 120, 12, 48, 61.7, 30.9, 672},
    {"GeForce RTX 5080", NULL, 120, 16, 84, 112.6, 56.3, 960},
    {"GeForce RTX 5090", NULL, 120, 32, 170, 209.5, 104.8, 1792},
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

/* Of the memory that is sold the driver keeps some; makers sell cards of one name with others. */
#define LEAST_PART_OF_MEMORY 0.9

bool ms_card_is(const ms_card *card, const char *description) {
    const char *end = strstr(description, " (sm_");
    char name[128];
    int arch = 0;
    double gib = 0;
    if (!end || sscanf(end, " (sm_%d, %lf GiB)", &arch, &gib) != 2 || arch != card->arch)
        return false;
    if (gib > card->memory_gib || gib < LEAST_PART_OF_MEMORY * card->memory_gib)
        return false;
    if (strncmp(description, "NVIDIA ", 7) == 0)
        description += 7;
    snprintf(name, sizeof(name), "%.*s", (int)(end - description), description);
    return fnmatch(card->driver_name ? card->driver_name : card->name, name, 0) == 0;
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
    if (mib < SMALL_CONTEXT_MIB) /* of smaller cards none is published */
        mib = SMALL_CONTEXT_MIB;
    return (size_t)(mib + KERNELS_MIB) << 20;
}
