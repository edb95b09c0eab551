#include "world/espeak.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "world/voice.h"

static const char *const accents[] = {
    "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
};

espeak_voice espeak_voice_of(uint64_t seed, float turn) {
    w_dice d = {seed, W_STREAM_VOICE, 1, 0};
    espeak_voice v;
    const char *accent = accents[w_pick(&d, sizeof(accents) / sizeof(accents[0]))];
    snprintf(v.name, sizeof(v.name), "%s+%c%d", accent, turn < 0 ? 'm' : 'f',
             1 + w_pick(&d, turn < 0 ? 8 : 5));
    v.words_a_minute = (int)w_roll(&d, 125, 195);
    v.pitch = (int)w_clamp(50 + 15 * turn + w_roll(&d, -15, 15), 0, 99);
    v.range = (int)w_roll(&d, 30, 75);
    return v;
}

#if MS_HAVE_ESPEAK

#include <errno.h>
#include <espeak-ng/speak_lib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_RATE 48000
#define MAX_TEXT 20000

typedef struct heard {
    char phoneme[9];
    float at_s;
} heard;

/* What the child that speaks leaves for its parent. */
typedef struct tape {
    bool whole;
    int rate, max_heard, heard_count;
    int64_t max_samples, count;
    heard *heard;
    int16_t *samples;
} tape;

static tape *recording; /* the callback is given no context */

static int take(short *samples, int count, espeak_EVENT *events) {
    tape *t = recording;
    for (const espeak_EVENT *e = events; e->type != espeakEVENT_LIST_TERMINATED; e++) {
        if (e->type != espeakEVENT_PHONEME || t->heard_count == t->max_heard)
            continue;
        heard *h = &t->heard[t->heard_count++];
        memcpy(h->phoneme, e->id.string, sizeof(e->id.string));
        h->at_s = (float)e->sample / (float)t->rate;
    }
    for (int i = 0; i < count && samples && t->count < t->max_samples; i++)
        t->samples[t->count++] = samples[i];
    return t->count == t->max_samples; /* 1 ends it */
}

/* Runs in a process of its own, since espeak-ng goes on with its oscillators where
   the last call left them: what it says would depend on what it said before. */
static bool speak(tape *t, const char *text, const espeak_voice *v) {
    recording = t;
    t->rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL,
                                espeakINITIALIZE_PHONEME_EVENTS | espeakINITIALIZE_DONT_EXIT);
    if (t->rate <= 0 || t->rate > MAX_RATE || espeak_SetVoiceByName(v->name) != EE_OK)
        return false;
    espeak_SetSynthCallback(take);
    espeak_SetParameter(espeakRATE, v->words_a_minute, 0);
    espeak_SetParameter(espeakPITCH, v->pitch, 0);
    espeak_SetParameter(espeakRANGE, v->range, 0);
    return espeak_Synth(text, strlen(text) + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, NULL, NULL) == EE_OK;
}

static ms_status record(tape *t, const char *text, const espeak_voice *v, ms_error *err) {
    int code;
    pid_t child = fork();
    if (child < 0)
        return ms_fail(err, MS_IO, "no process for the voice: %s", strerror(errno));
    if (child == 0) {
        t->whole = speak(t, text, v);
        _exit(0);
    }
    while (waitpid(child, &code, 0) < 0 && errno == EINTR)
        ;
    if (t->whole)
        return MS_OK;
    return ms_fail(err, MS_UNSUPPORTED, "espeak-ng does not speak as %s; is espeak-ng-data installed?",
                   v->name);
}

/* ---- 16 kHz */

enum { REACH = 24, TAPS = 2 * REACH };

static int common_divisor(int a, int b) {
    return b ? common_divisor(b, a % b) : a;
}

/* What lies below 8 kHz at 16 kHz: a sinc under a Hann window, whose places between
   samples repeat after `phases`. */
static ms_status to_voice_rate(ms_mem *mem, const tape *t, float *samples, int64_t count, ms_error *err) {
    const double pi = 3.14159265358979, cut = t->rate > VOICE_RATE ? (double)VOICE_RATE / t->rate : 1;
    int phases = VOICE_RATE / common_divisor(t->rate, VOICE_RATE);
    float *taps = ms_alloc_array(mem, MS_LEDGER_STAGING, (size_t)phases * TAPS, sizeof(float));
    if (!taps)
        return ms_fail_alloc(err, mem, (size_t)phases * TAPS * sizeof(float), "a filter");
    for (int i = 0; i < phases * TAPS; i++) {
        double at = (double)(i / TAPS) * t->rate / VOICE_RATE, d = at - floor(at) + REACH - 1 - i % TAPS;
        double x = pi * cut * d, window = 0.5 + 0.5 * cos(pi * d / (REACH + 1));
        taps[i] = (float)((fabs(x) < 1e-9 ? 1 : sin(x) / x) * window * cut / 32768);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t first = i * t->rate / VOICE_RATE - REACH + 1;
        const float *w = taps + (i % phases) * TAPS;
        float sum = 0;
        for (int k = 0; k < TAPS; k++)
            if (first + k >= 0 && first + k < t->count)
                sum += w[k] * t->samples[first + k];
        samples[i] = sum;
    }
    ms_mem_free(taps);
    return MS_OK;
}

static float loudness(const float *samples, int64_t from, int64_t to) {
    double sum = 0;
    for (int64_t i = from; i < to; i++)
        sum += (double)samples[i] * (double)samples[i];
    return to > from ? (float)sqrt(sum / (double)(to - from)) : 0;
}

/* As loud as voice.h's, whatever the voice. */
static void level(float *samples, int64_t count) {
    double sum = 0;
    int64_t loud = 0;
    for (int64_t i = 0; i < count; i++) {
        double power = (double)samples[i] * (double)samples[i];
        sum += power > 1e-5 ? power : 0;
        loud += power > 1e-5;
    }
    float gain = loud ? (float)(0.10 / sqrt(sum / (double)loud)) : 1;
    for (int64_t i = 0; i < count; i++)
        samples[i] = w_clamp(samples[i] * gain, -0.98f, 0.98f);
}

/* ---- events */

typedef struct line {
    speech_event *at;
    int count;
} line;

static void add(line *l, speech_phone phone, float start_s, float end_s) {
    speech_event *last = l->count ? &l->at[l->count - 1] : NULL;
    if (end_s <= start_s)
        return;
    if (last && phone == PHONE_SILENCE && last->phone == PHONE_SILENCE)
        last->end_s = end_s;
    else
        l->at[l->count++] = (speech_event){phone, start_s, end_s, 0};
}

static void line_up(line *l, const tape *t, float start_s, float end_s) {
    add(l, PHONE_SILENCE, 0, start_s);
    for (int i = 0; i < t->heard_count; i++) {
        speech_phone phones[2];
        float split, from = start_s + t->heard[i].at_s,
                     to = i + 1 < t->heard_count ? start_s + t->heard[i + 1].at_s : end_s;
        from = from < end_s ? from : end_s;
        to = to < end_s ? to : end_s;
        if (i == 0 && from > start_s)
            add(l, PHONE_SILENCE, start_s, from);
        int n = espeak_phones(t->heard[i].phoneme, phones, &split);
        add(l, phones[0], from, w_mix(from, to, split));
        if (n == 2)
            add(l, phones[1], w_mix(from, to, split), to);
    }
    float said = l->count ? l->at[l->count - 1].end_s : 0;
    add(l, PHONE_SILENCE, said, end_s);
}

static bool is_vowel(speech_phone phone) {
    return phone >= PHONE_AA && phone <= PHONE_OW;
}

/* 0.5 for a vowel as loud as they are in the mean, 0 and 1 at 6 dB from it;
   consonants as the vowel after them. */
static void mark_stress(line *l, const float *samples) {
    float sum = 0, stress = 0.5f;
    int vowels = 0;
    for (int i = 0; i < l->count; i++) {
        speech_event *e = &l->at[i];
        e->stress = loudness(samples, (int64_t)(e->start_s * VOICE_RATE), (int64_t)(e->end_s * VOICE_RATE));
        sum += is_vowel(e->phone) ? e->stress : 0;
        vowels += is_vowel(e->phone);
    }
    float mean = vowels && sum > 0 ? sum / (float)vowels : 1;
    for (int i = l->count - 1; i >= 0; i--) {
        speech_event *e = &l->at[i];
        if (is_vowel(e->phone))
            stress = w_clamp(0.5f + 20.0f / 12 * log10f(e->stress / mean + 1e-6f), 0, 1);
        e->stress = e->phone == PHONE_SILENCE ? 0 : stress;
    }
}

/* ---- all of it */

static ms_status develop(ms_mem *mem, const tape *t, float start_s, float max_s, bool whole,
                         speech *ret_speech, float **ret_samples, int64_t *ret_count, ms_error *err) {
    float said_s = start_s + (float)t->count / (float)t->rate,
          end_s = whole || said_s > max_s ? max_s : said_s;
    int64_t count = (int64_t)(end_s * VOICE_RATE), first = (int64_t)(start_s * VOICE_RATE);
    float *samples = ms_mem_calloc(mem, MS_LEDGER_STAGING, (size_t)count + 1, sizeof(float));
    line l = {ms_alloc_array(mem, MS_LEDGER_GENERAL, 2 * (size_t)t->heard_count + 3, sizeof(*l.at)), 0};
    ms_status status;
    if (!samples || !l.at) {
        status = ms_fail_alloc(err, mem, (size_t)count * sizeof(float), "speech");
        goto fail;
    }
    MS_GOTO(to_voice_rate(mem, t, samples + first, count - first, err));
    level(samples, count);
    line_up(&l, t, start_s, end_s);
    mark_stress(&l, samples);
    *ret_speech = (speech){l.at, l.count};
    *ret_samples = samples;
    *ret_count = count;
    return MS_OK;
fail:
    ms_mem_free(samples);
    ms_mem_free(l.at);
    return status;
}

ms_status espeak_say(ms_mem *mem, const char *text, const espeak_voice *speaker, float start_s, float max_s,
                     bool whole, speech *ret_speech, float **ret_samples, int64_t *ret_count, ms_error *err) {
    ms_status status;
    int64_t max_samples = (int64_t)((max_s - start_s) * MAX_RATE);
    if (max_samples <= 0 || strlen(text) > MAX_TEXT)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%zu bytes of text for %.2f s", strlen(text), (double)max_s);
    int max_heard = 64 + 40 * (int)max_s;
    size_t heard_bytes = (size_t)max_heard * sizeof(heard),
           bytes = sizeof(tape) + heard_bytes + (size_t)max_samples * sizeof(int16_t);
    tape *t = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        return ms_fail(err, MS_HOST_MEMORY, "no memory for %.1f s of speech", (double)max_s);
    t->max_heard = max_heard;
    t->max_samples = max_samples;
    t->heard = (heard *)(t + 1);
    t->samples = (int16_t *)((uint8_t *)t->heard + heard_bytes);
    MS_GOTO(record(t, text, speaker, err));
    MS_GOTO(develop(mem, t, start_s, max_s, whole, ret_speech, ret_samples, ret_count, err));
fail:
    munmap(t, bytes);
    return status;
}

bool espeak_built_in(void) {
    return true;
}

#else

bool espeak_built_in(void) {
    return false;
}

ms_status espeak_say(ms_mem *mem, const char *text, const espeak_voice *speaker, float start_s, float max_s,
                     bool whole, speech *ret_speech, float **ret_samples, int64_t *ret_count, ms_error *err) {
    (void)mem, (void)text, (void)speaker, (void)start_s, (void)max_s, (void)whole;
    (void)ret_speech, (void)ret_samples, (void)ret_count;
    return ms_fail(err, MS_UNSUPPORTED, "this build has no espeak-ng (libespeak-ng-dev)");
}

#endif
