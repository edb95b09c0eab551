/* espeak-ng's phonemes of its English accents as the phones of the viseme table. */
#include <string.h>

#include "world/espeak.h"

typedef struct entry {
    const char *name;
    speech_phone first, second; /* second: PHONE_SILENCE for none */
    float split;
} entry;

#define ONE(name, phone)                                                                                     \
    { name, phone, PHONE_SILENCE, 1 }

/* docs/demo.md shows this table. Longer names stand before those that they begin with. */
static const entry entries[] = {
    /* diphthongs, vowels before r, affricates: two phones */
    {"eI", PHONE_EH, PHONE_IY, 0.5f},
    {"aI", PHONE_AA, PHONE_IH, 0.55f},
    {"OI", PHONE_AO, PHONE_IH, 0.55f},
    {"aU", PHONE_AA, PHONE_UW, 0.55f},
    {"oU", PHONE_OW, PHONE_UW, 0.6f},
    {"e@", PHONE_EH, PHONE_R, 0.6f},
    {"i@", PHONE_IH, PHONE_R, 0.6f},
    {"U@", PHONE_UW, PHONE_R, 0.6f},
    {"A@", PHONE_AA, PHONE_R, 0.65f},
    {"O@", PHONE_AO, PHONE_R, 0.65f},
    {"o@", PHONE_AO, PHONE_R, 0.65f},
    {"VR", PHONE_AH, PHONE_R, 0.6f},
    {"IR", PHONE_IH, PHONE_R, 0.6f},
    {"@L", PHONE_AH, PHONE_L, 0.4f},
    {"3:", PHONE_AH, PHONE_R, 0.3f},
    {"tS", PHONE_T, PHONE_SH, 0.45f},
    {"dZ", PHONE_D, PHONE_SH, 0.45f},
    /* vowels */
    ONE("aa", PHONE_AA),
    ONE("a#", PHONE_AH),
    ONE("a", PHONE_AE),
    ONE("A", PHONE_AA),
    ONE("0", PHONE_AO),
    ONE("O", PHONE_AO),
    ONE("o", PHONE_OW),
    ONE("E", PHONE_EH),
    ONE("e", PHONE_EH),
    ONE("i:", PHONE_IY),
    ONE("i", PHONE_IY),
    ONE("I", PHONE_IH),
    ONE("U", PHONE_UW),
    ONE("u", PHONE_UW),
    ONE("V", PHONE_AH),
    ONE("@", PHONE_AH),
    ONE("3", PHONE_R),
    /* consonants */
    ONE("m", PHONE_M),
    ONE("b", PHONE_B),
    ONE("p", PHONE_P),
    ONE("n", PHONE_N),
    ONE("N", PHONE_G),
    ONE("d", PHONE_D),
    ONE("t#", PHONE_D),
    ONE("t", PHONE_T),
    ONE("g", PHONE_G),
    ONE("k", PHONE_K),
    ONE("x", PHONE_K),
    ONE("f", PHONE_F),
    ONE("v", PHONE_V),
    ONE("s", PHONE_S),
    ONE("z", PHONE_Z),
    ONE("S", PHONE_SH),
    ONE("Z", PHONE_SH),
    ONE("T", PHONE_TH),
    ONE("D", PHONE_TH),
    ONE("h", PHONE_HH),
    ONE("?", PHONE_HH),
    ONE("l", PHONE_L),
    ONE("r", PHONE_R),
    ONE("R", PHONE_R),
    ONE("w", PHONE_W),
    ONE("j", PHONE_Y),
    ONE(";", PHONE_Y),
    ONE("_", PHONE_SILENCE),
};

/* Marks of variants ("I2", "aI@", "t[", "r-") follow the name that counts; from
   espeak-ng 1.52 on the stress stands before it. */
int espeak_phones(const char *phoneme, speech_phone ret_phones[2], float *ret_split) {
    *ret_split = 1;
    phoneme += strspn(phoneme, "',%=");
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        const entry *e = &entries[i];
        if (strncmp(phoneme, e->name, strlen(e->name)) != 0)
            continue;
        ret_phones[0] = e->first;
        ret_phones[1] = e->second;
        *ret_split = e->split;
        return e->split < 1 ? 2 : 1;
    }
    /* Of another language: any vowel. */
    ret_phones[0] = phoneme[0] ? PHONE_AH : PHONE_SILENCE;
    return 1;
}
