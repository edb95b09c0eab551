/*
 * What a drawn person says, and its sound: babble of the formant synthesiser, or English of espeak-ng.
 */
#ifndef WORLD_TALK_H
#define WORLD_TALK_H

#include "world/speech.h"

typedef enum talk_synth {
    TALK_BABBLE,
    TALK_ESPEAK, /* babble where espeak-ng is not built in */
    TALK_MIXED,  /* the seed chooses, one in two */
} talk_synth;

typedef struct talk_request {
    talk_synth synth;
    const char *text; /* NULL: made up from the seed; else espeak-ng says this, once */
    uint64_t seed;    /* of words and voice */
    float turn;       /* person.voice_turn */
    float seconds;    /* 0, with a text: as long as it takes, at most TALK_MAX_S */
} talk_request;

#define TALK_MAX_S 60

typedef struct talk {
    speech said;
    float *samples; /* 16 kHz, -1 to 1 */
    int64_t count;
} talk;

/* "babble", "espeak" or "mixed". */
bool talk_synth_of(const char *name, talk_synth *ret_synth);

/* A line for the user where espeak-ng was asked for and babble will be heard; else NULL. */
const char *talk_fallback(const talk_request *request);

/* Equal for equal requests (and versions of espeak-ng). MS_UNSUPPORTED: a text
   without espeak-ng. MS_HOST_MEMORY. */
ms_status talk_create(ms_mem *mem, const talk_request *request, talk *ret_talk, ms_error *err);
void talk_free(talk *t);

#endif
