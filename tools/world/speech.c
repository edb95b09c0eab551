#include "world/speech.h"

#include "base/error.h"

/* docs/demo.md shows this table. open, wide, round, press, tuck, tongue; dominance, reach. */
static const speech_viseme visemes[PHONE_COUNT] = {
    [PHONE_SILENCE] = {"_", {0.00f, 0.00f, 0, 0, 0, 0}, 0.5f, 0.09f},
    [PHONE_AA] = {"aa", {0.95f, 0.05f, 0, 0, 0, 0}, 1.6f, 0.07f},
    [PHONE_AE] = {"ae", {0.75f, 0.45f, 0, 0, 0, 0}, 1.6f, 0.07f},
    [PHONE_AH] = {"ah", {0.60f, 0.05f, 0, 0, 0, 0}, 1.3f, 0.06f},
    [PHONE_AO] = {"ao", {0.70f, -0.3f, 0.55f, 0, 0, 0}, 1.6f, 0.07f},
    [PHONE_EH] = {"eh", {0.52f, 0.50f, 0, 0, 0, 0}, 1.4f, 0.06f},
    [PHONE_IH] = {"ih", {0.32f, 0.60f, 0, 0, 0, 0}, 1.2f, 0.06f},
    [PHONE_IY] = {"iy", {0.22f, 0.95f, 0, 0, 0, 0}, 1.4f, 0.07f},
    [PHONE_UW] = {"uw", {0.18f, -0.6f, 1.0f, 0, 0, 0}, 1.7f, 0.09f},
    [PHONE_OW] = {"ow", {0.45f, -0.4f, 0.8f, 0, 0, 0}, 1.6f, 0.08f},
    [PHONE_M] = {"m", {0.00f, 0.0f, 0, 0.9f, 0, 0}, 5.0f, 0.035f},
    [PHONE_B] = {"b", {0.00f, 0.0f, 0, 1.0f, 0, 0}, 6.0f, 0.032f},
    [PHONE_P] = {"p", {0.00f, 0.0f, 0, 1.0f, 0, 0}, 6.0f, 0.032f},
    [PHONE_N] = {"n", {0.20f, 0.25f, 0, 0, 0, 0.6f}, 0.7f, 0.045f},
    [PHONE_D] = {"d", {0.18f, 0.25f, 0, 0, 0, 0.7f}, 0.8f, 0.04f},
    [PHONE_T] = {"t", {0.15f, 0.25f, 0, 0, 0, 0.7f}, 0.8f, 0.04f},
    [PHONE_G] = {"g", {0.25f, 0.10f, 0, 0, 0, 0}, 0.5f, 0.04f},
    [PHONE_K] = {"k", {0.25f, 0.10f, 0, 0, 0, 0}, 0.5f, 0.04f},
    [PHONE_F] = {"f", {0.14f, 0.15f, 0, 0, 1.0f, 0}, 3.0f, 0.045f},
    [PHONE_V] = {"v", {0.14f, 0.15f, 0, 0, 1.0f, 0}, 2.5f, 0.045f},
    [PHONE_S] = {"s", {0.14f, 0.60f, 0, 0, 0, 0.2f}, 1.4f, 0.05f},
    [PHONE_Z] = {"z", {0.14f, 0.55f, 0, 0, 0, 0.2f}, 1.4f, 0.05f},
    [PHONE_SH] = {"sh", {0.20f, -0.3f, 0.7f, 0, 0, 0}, 1.5f, 0.06f},
    [PHONE_TH] = {"th", {0.22f, 0.20f, 0, 0, 0, 1.0f}, 1.2f, 0.045f},
    [PHONE_HH] = {"hh", {0.40f, 0.05f, 0, 0, 0, 0}, 0.3f, 0.05f},
    [PHONE_L] = {"l", {0.32f, 0.20f, 0, 0, 0, 1.0f}, 0.9f, 0.045f},
    [PHONE_R] = {"r", {0.28f, -0.2f, 0.4f, 0, 0, 0}, 0.9f, 0.05f},
    [PHONE_W] = {"w", {0.12f, -0.6f, 1.0f, 0, 0, 0}, 1.8f, 0.06f},
    [PHONE_Y] = {"y", {0.22f, 0.70f, 0, 0, 0, 0}, 0.8f, 0.045f},
};

const speech_viseme *speech_viseme_of(speech_phone phone) {
    return &visemes[phone];
}

/* ---- made-up speech */

typedef struct babble {
    w_dice dice;
    speech_event *events; /* NULL: count only */
    int count;
    float at_s, end_s, pace;
} babble;

static void say(babble *b, speech_phone phone, float length_s, float stress) {
    float length = length_s * b->pace, left = b->end_s - b->at_s;
    if (left <= 0)
        return;
    if (length > left - 0.02f)
        length = left;
    if (b->events)
        b->events[b->count] = (speech_event){phone, b->at_s, b->at_s + length, stress};
    b->count++;
    b->at_s = length < left ? b->at_s + length : b->end_s;
}

static void say_syllable(babble *b, bool first, bool last, float stress) {
    static const speech_phone onsets[] = {PHONE_M,  PHONE_B,  PHONE_P, PHONE_N, PHONE_D, PHONE_T,
                                          PHONE_G,  PHONE_K,  PHONE_F, PHONE_V, PHONE_S, PHONE_SH,
                                          PHONE_TH, PHONE_HH, PHONE_L, PHONE_R, PHONE_W, PHONE_Y};
    static const speech_phone codas[] = {PHONE_N, PHONE_T, PHONE_S, PHONE_Z, PHONE_L,
                                         PHONE_R, PHONE_K, PHONE_M, PHONE_P};
    w_dice *d = &b->dice;
    if (!first || w_chance(d, 0.8f)) {
        speech_phone onset = onsets[w_pick(d, 18)];
        say(b, onset, w_roll(d, 0.06f, 0.10f), stress);
    }
    speech_phone vowel = (speech_phone)(PHONE_AA + w_pick(d, PHONE_OW - PHONE_AA + 1));
    say(b, vowel, w_roll(d, 0.09f, 0.14f) * (1 + 0.45f * stress + (last ? 0.3f : 0)), stress);
    if (w_chance(d, last ? 0.5f : 0.2f)) {
        speech_phone coda = codas[w_pick(d, 9)];
        say(b, coda, w_roll(d, 0.06f, 0.10f), stress);
    }
}

static void say_all(babble *b) {
    w_dice *d = &b->dice;
    say(b, PHONE_SILENCE, w_roll(d, 0.08f, 0.20f), 0);
    while (b->at_s < b->end_s) {
        int words = 2 + w_pick(d, 4);
        for (int i = 0; i < words; i++) {
            int syllables = 1 + w_pick(d, 3), accent = w_pick(d, syllables);
            for (int s = 0; s < syllables; s++)
                say_syllable(b, s == 0, s == syllables - 1,
                             s == accent ? w_roll(d, 0.6f, 1) : w_roll(d, 0, 0.4f));
        }
        say(b, PHONE_SILENCE, w_roll(d, 0.18f, 0.40f), 0);
    }
}

ms_status speech_babble(ms_mem *mem, uint64_t seed, float duration_s, speech *ret_speech, ms_error *err) {
    if (!(duration_s > 0) || duration_s > 36000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%g seconds of speech", (double)duration_s);
    babble start = {.dice = {seed, W_STREAM_SPEECH, 0, 0}, .end_s = duration_s};
    start.pace = w_roll(&start.dice, 0.85f, 1.15f);
    babble counted = start;
    say_all(&counted);
    start.events = ms_alloc_array(mem, MS_LEDGER_GENERAL, (size_t)counted.count, sizeof(*start.events));
    if (!start.events)
        return ms_fail_alloc(err, mem, (size_t)counted.count * sizeof(*start.events), "speech");
    say_all(&start);
    *ret_speech = (speech){start.events, start.count};
    return MS_OK;
}

void speech_free(speech *s) {
    ms_mem_free(s->events);
    *s = (speech){0};
}

/* ---- the mouth */

static int event_at(const speech *s, float time_s) {
    int low = 0, high = s->count - 1;
    while (low < high) {
        int mid = (low + high + 1) / 2;
        if (s->events[mid].start_s <= time_s)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

w_mouth speech_mouth(const speech *s, float time_s) {
    enum { FIELDS = sizeof(w_mouth) / sizeof(float), AROUND = 5 };
    union {
        w_mouth mouth;
        float field[FIELDS];
    } sum = {.field = {0}}, one;
    float total = 0;
    int here = event_at(s, time_s);
    for (int i = here - AROUND; i <= here + AROUND; i++) {
        if (i < 0 || i >= s->count)
            continue;
        const speech_event *e = &s->events[i];
        const speech_viseme *v = &visemes[e->phone];
        /* Distance from the middle half of the phone: a long one holds its shape. */
        float half = 0.25f * (e->end_s - e->start_s),
              away = fabsf(time_s - 0.5f * (e->start_s + e->end_s)) - half;
        float d = (away > 0 ? away : 0) / v->reach_s, near = 1 / (1 + d * d);
        float weight = v->dominance * near * near;
        one.mouth = v->mouth;
        one.mouth.open *= 0.8f + 0.3f * e->stress;
        for (int k = 0; k < FIELDS; k++)
            sum.field[k] += weight * one.field[k];
        total += weight;
    }
    for (int k = 0; k < FIELDS; k++)
        sum.field[k] = total > 0 ? sum.field[k] / total : 0;
    return sum.mouth;
}
