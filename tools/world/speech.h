/*
 * Speech as a line of timed phones: made up from a seed, or anybody else's timing in the same
 * form. From it come the mouth's shape at any moment (speech_mouth) and the sound (voice.h).
 */
#ifndef WORLD_SPEECH_H
#define WORLD_SPEECH_H

#include "base/mem.h"
#include "world/face.h"

/* Names are those of ARPAbet in small letters; _ is silence. The order is that of the table in speech.c. */
typedef enum speech_phone {
    PHONE_SILENCE,
    PHONE_AA,
    PHONE_AE,
    PHONE_AH,
    PHONE_AO,
    PHONE_EH,
    PHONE_IH,
    PHONE_IY,
    PHONE_UW,
    PHONE_OW,
    PHONE_M,
    PHONE_B,
    PHONE_P,
    PHONE_N,
    PHONE_D,
    PHONE_T,
    PHONE_G,
    PHONE_K,
    PHONE_F,
    PHONE_V,
    PHONE_S,
    PHONE_Z,
    PHONE_SH,
    PHONE_TH,
    PHONE_HH,
    PHONE_L,
    PHONE_R,
    PHONE_W,
    PHONE_Y,
    PHONE_COUNT,
} speech_phone;

typedef struct speech_event {
    speech_phone phone;
    float start_s, end_s;
    float stress; /* 0 to 1: louder, higher, wider */
} speech_event;

typedef struct speech {
    speech_event *events; /* one after the other without holes */
    int count;
} speech;

/* What a phone's mouth looks like, and how much it insists on it against its neighbours. */
typedef struct speech_viseme {
    const char *phone;
    w_mouth mouth;
    float dominance, reach_s;
} speech_viseme;

const speech_viseme *speech_viseme_of(speech_phone phone);

/* Words of random syllables with pauses, for duration_s; the same for equal seeds. */
ms_status speech_babble(ms_mem *mem, uint64_t seed, float duration_s, speech *ret_speech, ms_error *err);
void speech_free(speech *s);

/*
 * The mouth at a moment: the mean of the targets of the phones around, each weighted by its dominance, which
 * falls with the distance in time (after Cohen and Massaro, "Modeling coarticulation in synthetic visual
 * speech", 1993, with a rational function in place of the exponential).
 */
w_mouth speech_mouth(const speech *s, float time_s);

#endif
