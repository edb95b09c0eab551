/*
 * English from espeak-ng: the sound, and which phoneme begins when. Built in where libespeak-ng is found.
 */
#ifndef WORLD_ESPEAK_H
#define WORLD_ESPEAK_H

#include "world/speech.h"

typedef struct espeak_voice {
    char name[32];      /* accent and variant, as in "en-gb-scotland+f3" */
    int words_a_minute; /* 80 to 450 */
    int pitch, range;   /* 0 to 100; 50 is the voice's own */
} espeak_voice;

/* true: this build has espeak-ng. */
bool espeak_built_in(void);

/* One of 7 accents, 13 variants, speeds and pitches. turn: -1 deep to 1 high; a man's below 0. */
espeak_voice espeak_voice_of(uint64_t seed, float turn);

/*
 * Says text. start_s: silence before. max_s: what is longer is cut there. ret_samples: 16 kHz, -1 to 1,
 * ms_mem_free'd by the caller; their number is max_s * 16000 if whole, with silence at the end, else as
 * many as it takes. The events cover all of that. Stress is how loud a vowel is among the others. Equal for
 * equal arguments and version of espeak-ng. MS_UNSUPPORTED without espeak-ng or its data; MS_HOST_MEMORY.
 */
ms_status espeak_say(ms_mem *mem, const char *text, const espeak_voice *speaker, float start_s, float max_s,
                     bool whole, speech *ret_speech, float **ret_samples, int64_t *ret_count, ms_error *err);

/* An espeak-ng phoneme as one or two phones, the second from ret_split (0 to 1) of
   its length on; returns how many. */
int espeak_phones(const char *phoneme, speech_phone ret_phones[2], float *ret_split);

#endif
