/* The latent cache changes no frame: looped clips with and without it, a second run over
   the same video with other speech, memory pressure, a budget that leaves no room. */
#include "test.h"

#include "support/cli.h"
#include "support/media/decoded.h"
#include "text/json.h"

#define FRAMES 9

static char inputs[2048];

static void write_speech(const char *path, int samples, double pitch) {
    uint8_t header[44] = "RIFF....WAVEfmt \020\0\0\0\001\0\001\0\200>\0\0\0}\0\0\002\0\020\0data";
    for (int i = 0; i < 4; i++) {
        header[4 + i] = (uint8_t)((uint32_t)(36 + 2 * samples) >> (8 * i));
        header[40 + i] = (uint8_t)((uint32_t)(2 * samples) >> (8 * i));
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(header, 1, sizeof(header), f);
    for (int i = 0; i < samples; i++) {
        int16_t x = (int16_t)(9000 * sin(i * pitch) * sin(i * 0.0009));
        fwrite(&x, 2, 1, f);
    }
    fclose(f);
}

static int prepare(void **state) {
    (void)state;
    char line[1024];
    snprintf(line, sizeof(line), "%s --seed 3 --frames %d --size 240x208 -o %s --track %s >/dev/null",
             MS_DRAW_CLIP_PATH, FRAMES, test_file("in.mkv"), test_file("in.jsonl"));
    assert_int_equal(system(line), 0);
    write_speech(test_file("one.wav"), 16000, 0.05);
    write_speech(test_file("other.wav"), 14000, 0.09);
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    snprintf(inputs, sizeof(inputs),
             "--video %s --track %s --model %s --steps 1 --resolution 64 --guidance 1 --codec ffv1 "
             "--audio-out none -y",
             test_file("in.mkv"), test_file("in.jsonl"), test_file("model"));
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

typedef struct outcome {
    uint64_t hash;
    char state[12];
    int64_t hits, misses, frames;
    double raw, stored, psnr; /* psnr 0 = nothing was lost */
} outcome;

static outcome run(const char *speech, const char *options) {
    const char *output = test_file("out.mkv"), *report = test_file("report.json");
    assert_run_works("run %s -v --audio %s -o %s --report %s %s", inputs, test_file(speech), output, report,
                     options);
    ms_error err;
    ms_json_doc *doc = NULL;
    static char text[32768];
    FILE *f = fopen(report, "r");
    assert_non_null(f);
    size_t length = fread(text, 1, sizeof(text), f);
    fclose(f);
    assert_ms_ok(ms_json_parse(NULL, text, length, &doc, &err), &err);
    const ms_json *root = ms_json_root(doc), *l = ms_json_get(root, "latent_cache");
    outcome o = {.hash = test_hash_video(output, NULL),
                 .hits = ms_json_get(l, "hits")->integer,
                 .misses = ms_json_get(l, "misses")->integer,
                 .frames = ms_json_get(root, "frames")->integer,
                 .raw = ms_json_get(l, "raw_bytes")->number,
                 .stored = ms_json_get(l, "stored_bytes")->number,
                 .psnr = ms_json_get(l, "psnr_db")->number};
    snprintf(o.state, sizeof(o.state), "%s", ms_json_get(l, "state")->string);
#ifndef SANITIZED /* a sanitizer keeps memory of its own */
    assert_true(ms_json_get(root, "peak_resident_bytes")->number <=
                ms_json_get(root, "budget_bytes")->number);
#endif
    assert_true(ms_json_get(root, "planned_bytes")->number <= ms_json_get(root, "budget_bytes")->number);
    ms_json_doc_destroy(&doc);
    return o;
}

static void loops_are_the_same_with_and_without(void **state) {
    (void)state;
    static const char *const loops[] = {"pingpong", "repeat", "hold"};
    for (int i = 0; i < 3; i++) {
        char options[200];
        snprintf(options, sizeof(options), "--loop %s --latent-cache off", loops[i]);
        outcome off = run("one.wav", options);
        assert_string_equal(off.state, "off");
        snprintf(options, sizeof(options), "--loop %s --latent-rank %d", loops[i], 30 + 35 * i);
        outcome on = run("one.wav", options);
        assert_string_equal(on.state, "memory");
        assert_true(on.hash == off.hash);
        assert_int_equal(on.misses, FRAMES); /* every frame of the clip once */
        assert_int_equal(on.hits, on.frames - FRAMES);
        assert_non_null(strstr(test_output, "latent cache (memory)"));
    }
    outcome none = run("one.wav", "--loop none");
    assert_string_equal(none.state, "no loop");
    assert_int_equal(none.hits + none.misses, 0);
}

static void a_run_with_other_speech_finds_them(void **state) {
    (void)state;
    char options[700];
    uint64_t one = run("one.wav", "--latent-cache off").hash,
             other = run("other.wav", "--latent-cache off").hash;
    snprintf(options, sizeof(options), "--latent-cache-dir %s", test_file("cache"));
    outcome first = run("one.wav", options);
    assert_string_equal(first.state, "folder");
    assert_int_equal(first.misses, FRAMES);
    assert_true(first.hash == one);
    outcome second = run("other.wav", options);
    assert_int_equal(second.misses, 0);
    assert_int_equal(second.hits, second.frames);
    assert_true(second.hash == other && other != one);
    snprintf(options, sizeof(options), "--precision fp32 --latent-cache-dir %s", test_file("cache"));
    assert_int_equal(run("one.wav", options).misses, FRAMES); /* other weights */
    snprintf(options, sizeof(options), "--latent-cache-dir %s/no/such", test_dir());
    assert_run_fails(11, "no/such", "run %s --audio %s -o %s %s", inputs, test_file("one.wav"),
                     test_file("none.mkv"), options);
}

static void a_lossy_run_says_what_it_lost(void **state) {
    (void)state;
    outcome exact = run("one.wav", "--latent-rank 50"),
            lossy = run("one.wav", "--latent-rank 50 --latent-cache lossy");
    assert_true(lossy.psnr > 20 && exact.psnr == 0);
    assert_true(lossy.stored < exact.stored && lossy.raw == exact.raw);
    assert_true(lossy.hash != exact.hash);
    assert_non_null(strstr(test_output, "PSNR"));
    assert_run_fails(2, "--latent-rank", "run %s --audio %s -o %s --latent-cache lossy --latent-rank 100",
                     inputs, test_file("one.wav"), test_file("none.mkv"));
    assert_run_fails(2, "cannot be resumed", "run %s --audio %s -o %s --latent-cache lossy --resume", inputs,
                     test_file("one.wav"), test_file("none.mkv"));
    assert_run_fails(2, "latent-rank", "run %s --audio %s -o %s --latent-rank 101", inputs,
                     test_file("one.wav"), test_file("none.mkv"));
}

/* Caches go first when others take memory, and come back. */
static void pressure_takes_the_cache(void **state) {
    (void)state;
    uint64_t expected = run("one.wav", "--latent-cache off").hash;
    char options[600];
    FILE *f = fopen(test_file("trace.jsonl"), "w");
    assert_non_null(f);
    fputs("{\"at\":1,\"level\":\"critical\"}\n{\"at\":2,\"level\":\"none\"}\n", f);
    fclose(f);
    snprintf(options, sizeof(options), "--pressure-trace %s", test_file("trace.jsonl"));
    outcome o = run("one.wav", options);
    assert_true(o.hash == expected);
    assert_true(o.misses > 0 && o.hits + o.misses <= o.frames);
    snprintf(options, sizeof(options), "--force-rung stream-all --pressure-trace %s",
             test_file("trace.jsonl"));
    assert_true(run("one.wav", options).hash == expected);
}

static void without_room_there_is_none(void **state) {
    (void)state;
    uint64_t expected = run("one.wav", "--latent-cache off").hash;
    assert_run_fails(3, "needs at least", "run %s --audio %s -o %s --budget 1M", inputs, test_file("one.wav"),
                     test_file("none.mkv"));
    char options[100];
    snprintf(options, sizeof(options), "--budget %dM", atoi(strstr(test_output, "at least") + 8) + 1);
    outcome o = run("one.wav", options);
    assert_string_equal(o.state, "no room");
    assert_true(o.hash == expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_are_the_same_with_and_without),
        cmocka_unit_test(a_run_with_other_speech_finds_them),
        cmocka_unit_test(a_lossy_run_says_what_it_lost),
        cmocka_unit_test(pressure_takes_the_cache),
        cmocka_unit_test(without_room_there_is_none),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
