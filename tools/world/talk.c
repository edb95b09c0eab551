#include "world/talk.h"

#include <string.h>

#include "base/error.h"
#include "world/espeak.h"
#include "world/sentences.h"
#include "world/voice.h"

bool talk_synth_of(const char *name, talk_synth *ret_synth) {
    static const char *const names[] = {"babble", "espeak", "mixed"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_synth = (talk_synth)i;
            return true;
        }
    return false;
}

const char *talk_fallback(const talk_request *r) {
    bool asked = r->synth != TALK_BABBLE && !r->text;
    return asked && !espeak_built_in() ? "this build has no espeak-ng; random syllables are spoken instead"
                                       : NULL;
}

static ms_status babble(ms_mem *mem, const talk_request *r, talk *t, ms_error *err) {
    t->count = (int64_t)(r->seconds * VOICE_RATE + 0.5f);
    t->samples = ms_alloc_array(mem, MS_LEDGER_STAGING, (size_t)t->count, sizeof(float));
    if (!t->samples)
        return ms_fail_alloc(err, mem, (size_t)t->count * sizeof(float), "speech");
    MS_TRY(speech_babble(mem, r->seed, r->seconds, &t->said, err));
    const voice speaker = voice_of(r->seed, r->turn);
    voice_render(&speaker, &t->said, t->count, t->samples);
    return MS_OK;
}

static ms_status english(ms_mem *mem, const talk_request *r, talk *t, ms_error *err) {
    w_dice d = {r->seed, W_STREAM_SPEECH, 1, 0};
    char made_up[40 * SENTENCE_MAX];
    const char *text = r->text;
    float start_s = w_roll(&d, 0.05f, 0.25f);
    if (!text) {
        /* Nobody says more than a sentence a second. */
        int length = 0, sentences = 2 + (int)r->seconds;
        for (int i = 0; i < sentences && length + SENTENCE_MAX <= (int)sizeof(made_up); i++)
            length += sentence_write(&d, made_up + length);
        text = made_up;
    }
    const espeak_voice speaker = espeak_voice_of(r->seed, r->turn);
    bool open_end = r->seconds <= 0;
    return espeak_say(mem, text, &speaker, start_s, open_end ? TALK_MAX_S : r->seconds, !open_end, &t->said,
                      &t->samples, &t->count, err);
}

ms_status talk_create(ms_mem *mem, const talk_request *r, talk *ret_talk, ms_error *err) {
    talk t = {0};
    bool espeak = r->synth == TALK_ESPEAK ||
                  (r->synth == TALK_MIXED && w_random(r->seed, W_STREAM_SPEECH, 2, 0) < 0.5f);
    espeak = r->text || (espeak && espeak_built_in());
    ms_status status = espeak ? english(mem, r, &t, err) : babble(mem, r, &t, err);
    if (status == MS_OK)
        *ret_talk = t;
    else
        talk_free(&t);
    return status;
}

void talk_free(talk *t) {
    speech_free(&t->said);
    ms_mem_free(t->samples);
    *t = (talk){0};
}
