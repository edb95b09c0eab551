/* What drawn people say: babble and, where it is built in, espeak-ng's English. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "world/espeak.h"
#include "world/sentences.h"
#include "world/talk.h"
#include "world/voice.h"

static ms_error err;

static talk say(talk_request request) {
    talk t = {0};
    assert_ms_ok(talk_create(NULL, &request, &t, &err), &err);
    return t;
}

static void same(const talk *a, const talk *b) {
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->samples, b->samples, (size_t)a->count * sizeof(float));
    assert_int_equal(a->said.count, b->said.count);
    for (int i = 0; i < a->said.count; i++) {
        assert_int_equal(a->said.events[i].phone, b->said.events[i].phone);
        assert_true(a->said.events[i].start_s == b->said.events[i].start_s);
    }
}

static void covers(const talk *t, float seconds) {
    assert_true(t->said.events[0].start_s == 0);
    for (int i = 0; i + 1 < t->said.count; i++) {
        assert_true(t->said.events[i].end_s > t->said.events[i].start_s);
        assert_true(fabsf(t->said.events[i].end_s - t->said.events[i + 1].start_s) < 1e-4f);
    }
    assert_true(fabsf(t->said.events[t->said.count - 1].end_s - seconds) < 1e-3f);
}

static void equal_requests_sound_equal_whatever_was_said_before(void **state) {
    (void)state;
    for (int synth = TALK_BABBLE; synth <= TALK_MIXED; synth++) {
        talk_request r = {.synth = (talk_synth)synth, .seed = 7, .turn = 0.4f, .seconds = 2};
        talk a = say(r);
        r.seed = 8;
        talk other = say(r);
        r.seed = 7;
        talk b = say(r);
        same(&a, &b);
        covers(&a, 2);
        assert_int_equal(a.count, 2 * VOICE_RATE);
        assert_memory_not_equal(a.samples, other.samples, (size_t)a.count * sizeof(float));
        talk_free(&a);
        talk_free(&b);
        talk_free(&other);
    }
}

static void mixed_is_both(void **state) {
    (void)state;
    int english = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        talk_request r = {.synth = TALK_MIXED, .seed = seed, .turn = -0.2f, .seconds = 1};
        talk mixed = say(r);
        r.synth = TALK_BABBLE;
        talk babble = say(r);
        english += memcmp(mixed.samples, babble.samples, (size_t)babble.count * sizeof(float)) != 0;
        talk_free(&mixed);
        talk_free(&babble);
    }
    assert_true(espeak_built_in() ? english > 3 && english < 17 : english == 0);
}

static void without_espeak_babble_is_heard_and_said_so(void **state) {
    (void)state;
    talk_request r = {.synth = TALK_ESPEAK, .seed = 3, .seconds = 1};
    assert_true((talk_fallback(&r) == NULL) == espeak_built_in());
    r.synth = TALK_BABBLE;
    assert_null(talk_fallback(&r));
    r.text = "A word.";
    talk t = {0};
    ms_status status = talk_create(NULL, &r, &t, &err);
    assert_int_equal(status, espeak_built_in() ? MS_OK : MS_UNSUPPORTED);
    talk_free(&t);
}

/* Lips are shut where a b is heard and open where an a is; sound is where vowels
   are and not after the end. */
static void a_text_moves_the_lips_with_its_sound(void **state) {
    (void)state;
    if (!espeak_built_in())
        skip();
    talk t = say((talk_request){.text = "Barbara bought a papa bear.", .seed = 11, .turn = -0.5f});
    float seconds = (float)t.count / VOICE_RATE;
    assert_true(seconds > 1 && seconds < 5);
    covers(&t, seconds);
    int shut = 0, open = 0;
    for (int i = 0; i < t.said.count; i++) {
        const speech_event *e = &t.said.events[i];
        float middle = 0.5f * (e->start_s + e->end_s), power = 0;
        w_mouth mouth = speech_mouth(&t.said, middle);
        for (int64_t k = (int64_t)(e->start_s * VOICE_RATE); k < (int64_t)(e->end_s * VOICE_RATE); k++)
            power += t.samples[k] * t.samples[k] / ((e->end_s - e->start_s) * VOICE_RATE);
        if (e->phone == PHONE_B || e->phone == PHONE_P) {
            assert_true(mouth.open * (1 - mouth.press) < 0.15f);
            shut++;
        }
        if (e->phone == PHONE_AA) {
            assert_true(mouth.open > 0.4f);
            assert_true(power > 1e-4f);
            open++;
        }
    }
    assert_true(shut >= 5 && open >= 1);
    talk_free(&t);

    talk longer = say((talk_request){.text = "Oh.", .seed = 11, .turn = -0.5f, .seconds = 4});
    covers(&longer, 4);
    for (int64_t k = 3 * VOICE_RATE; k < 4 * VOICE_RATE; k++)
        assert_true(fabsf(longer.samples[k]) < 1e-3f);
    talk_free(&longer);
}

static void voices_differ_and_all_of_them_speak(void **state) {
    (void)state;
    espeak_voice man = espeak_voice_of(5, -0.7f), woman = espeak_voice_of(5, 0.7f);
    assert_non_null(strstr(man.name, "+m"));
    assert_non_null(strstr(woman.name, "+f"));
    assert_true(man.pitch < woman.pitch);
    if (!espeak_built_in())
        skip();
    for (uint64_t seed = 0; seed < 40; seed++) {
        talk t = say((talk_request){.text = "One.", .seed = seed, .turn = seed % 2 ? 0.5f : -0.5f});
        talk_free(&t);
    }
    espeak_voice nobody = {.name = "xx-none", .words_a_minute = 150, .pitch = 50, .range = 50};
    speech said = {0};
    float *samples = NULL;
    int64_t count = 0;
    assert_int_equal(espeak_say(NULL, "One.", &nobody, 0.1f, 2, true, &said, &samples, &count, &err),
                     MS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "xx-none"));
}

static void phonemes_become_phones(void **state) {
    (void)state;
    static const struct {
        const char *name;
        speech_phone first, second;
    } known[] = {
        {"aI", PHONE_AA, PHONE_IH},           {"aI@", PHONE_AA, PHONE_IH},
        {"a", PHONE_AE, PHONE_SILENCE},       {"tS", PHONE_T, PHONE_SH},
        {"t#", PHONE_D, PHONE_SILENCE},       {"t2", PHONE_T, PHONE_SILENCE},
        {"u:", PHONE_UW, PHONE_SILENCE},      {"i@3", PHONE_IH, PHONE_R},
        {"_:", PHONE_SILENCE, PHONE_SILENCE}, {"Y", PHONE_AH, PHONE_SILENCE},
        {"'A@", PHONE_AA, PHONE_R},           {",i:", PHONE_IY, PHONE_SILENCE},
        {"", PHONE_SILENCE, PHONE_SILENCE},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        speech_phone phones[2] = {PHONE_COUNT, PHONE_SILENCE};
        float split;
        int n = espeak_phones(known[i].name, phones, &split);
        assert_int_equal(phones[0], known[i].first);
        assert_int_equal(n, known[i].second == PHONE_SILENCE ? 1 : 2);
        if (n == 2) {
            assert_int_equal(phones[1], known[i].second);
            assert_true(split > 0 && split < 1);
        }
    }
}

static void sentences_are_whole(void **state) {
    (void)state;
    w_dice dice = {1, W_STREAM_SPEECH, 1, 0};
    char text[SENTENCE_MAX], before[SENTENCE_MAX] = "";
    for (int i = 0; i < 2000; i++) {
        int length = sentence_write(&dice, text);
        assert_true(length > 15 && length < SENTENCE_MAX);
        assert_int_equal(strlen(text), length);
        assert_true(text[length - 1] == ' ' && (text[length - 2] == '.' || text[length - 2] == '?'));
        assert_string_not_equal(text, before);
        memcpy(before, text, sizeof(text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_requests_sound_equal_whatever_was_said_before),
        cmocka_unit_test(mixed_is_both),
        cmocka_unit_test(without_espeak_babble_is_heard_and_said_so),
        cmocka_unit_test(a_text_moves_the_lips_with_its_sound),
        cmocka_unit_test(voices_differ_and_all_of_them_speak),
        cmocka_unit_test(phonemes_become_phones),
        cmocka_unit_test(sentences_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
