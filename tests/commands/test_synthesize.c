/* README's path without the real weights: a model is made up, looked at, planned
   with and run, without a track file. */
#include "test.h"

#include "base/mem.h"
#include "models/synthesize/synthesize_faces.h"
#include "support/cli.h"

static int prepare(void **state) {
    (void)state;
    char line[1024];
    snprintf(line, sizeof(line), "%s --seed 3 --frames 18 --size 240x208 -o %s --speech %s >/dev/null",
             MS_DRAW_CLIP_PATH, test_file("in.mkv"), test_file("in.wav"));
    assert_int_equal(system(line), 0);
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void the_path_runs_as_written(void **state) {
    (void)state;
    const char *model = test_file("model");
    assert_run_works("models %s", model);
    assert_non_null(strstr(test_output, "both have the operators and shapes"));
    assert_non_null(
        strstr(test_output, "the weights are random: faces will be noise; models --synthesize made it"));
    assert_run_works("doctor --model %s", model);
    assert_run_works("models -m %s --quick", model); /* the same words for the same thing */
    assert_run_works("doctor %s --quick", model);
    assert_non_null(strstr(test_output, "all tensors are there"));
    assert_null(strstr(test_output, "Nothing is missing.\n"));
    assert_run_works("models --demo");
    assert_null(strstr(test_output, "random"));
    assert_run_works("plan --model %s --frames 16", model);
    assert_run_works("run -i %s -a %s %s --model %s --steps 1 --frames 16", test_file("in.mkv"),
                     test_file("in.wav"), test_file("out.mkv"), model);
    assert_null(strstr(test_output, "without a usable face"));
    assert_null(strstr(test_output, "doubtful"));
    assert_non_null(strstr(test_output,
                           "memsafe: note: the model's weights are random: faces will be noise (models "
                           "--synthesize made it)\n"));
    assert_run_works("run -i %s -a %s %s --demo --steps 1 --frames 16 -y", test_file("in.mkv"),
                     test_file("in.wav"), test_file("out.mkv"));
    assert_null(strstr(test_output, "random"));
    /* Nothing is replaced, and its help says so. */
    assert_run_works("help models");
    assert_non_null(strstr(test_output, "folder to make; it may be there, but"));
    assert_run_fails(11, "is there already", "models --synthesize tiny -o %s", model);
}

/* One face, the same in every picture, wide or tall. */
static void there_is_one_face_in_every_picture(void **state) {
    (void)state;
    static const char *const sizes[] = {"640x360", "360x640", "256x256"};
    for (int i = 0; i < 3; i++) {
        char line[1024], first[512], next[512];
        snprintf(line, sizeof(line), "%s --seed 3 --frames 3 --size %s -o %s >/dev/null", MS_DRAW_CLIP_PATH,
                 sizes[i], test_file("clip.mkv"));
        assert_int_equal(system(line), 0);
        assert_run_works("detect -i %s -m %s -o %s -y", test_file("clip.mkv"), test_file("model"),
                         test_file("found.jsonl"));
        assert_non_null(strstr(test_output, "a face in 3 of 3 frames, 0 of them bridged"));
        FILE *track = fopen(test_file("found.jsonl"), "r");
        assert_non_null(track);
        assert_non_null(fgets(first, sizeof(first), track));
        assert_non_null(strstr(first, "\"bbox\":["));
        assert_null(strstr(first, "\"bbox\":[0,0,"));
        while (fgets(line, sizeof(line), track))
            if (strstr(line, "\"bbox\"")) {
                snprintf(next, sizeof(next), "%.60s", strstr(line, "\"bbox\""));
                assert_memory_equal(next, strstr(first, "\"bbox\""), 30);
            }
        fclose(track);
    }
}

static char *file_text(const char *path) {
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    return text;
}

/* The last line of a run says that its faces are doubtful, and the reports do. */
static void doubtful_faces_are_told_last(void **state) {
    (void)state;
    char line[1200];
    const char *warning =
        "memsafe: warning: the faces are doubtful: more than half of the frames have none (11 of 16)\n";
    assert_run_works("detect -i %s -m %s -o %s -y", test_file("in.mkv"), test_file("model"),
                     test_file("all.jsonl"));
    snprintf(line, sizeof(line), "head -5 %s >%s", test_file("all.jsonl"), test_file("few.jsonl"));
    assert_int_equal(system(line), 0);
    assert_run_works("run -i %s -a %s -y %s -m %s --track %s --steps 1 --frames 16 --report %s",
                     test_file("in.mkv"), test_file("in.wav"), test_file("few.mkv"), test_file("model"),
                     test_file("few.jsonl"), test_file("few.json"));
    size_t length = strlen(test_output);
    assert_true(length > strlen(warning));
    assert_string_equal(test_output + length - strlen(warning), warning);
    assert_non_null(strstr(file_text(test_file("few.json")),
                           "\"faces\": {\"score\": null, \"jitter\": null, \"doubt\": \"more than half"));
    assert_run_works("run -i %s -a %s -y %s -m %s --track %s --steps 1 --frames 16 --report %s",
                     test_file("in.mkv"), test_file("in.wav"), test_file("few.mkv"), test_file("model"),
                     test_file("few.jsonl"), test_file("few.html"));
    assert_non_null(strstr(file_text(test_file("few.html")), "the faces are doubtful"));
    assert_run_works("run -i %s -a %s -y %s -m %s --steps 1 --frames 16 --report %s", test_file("in.mkv"),
                     test_file("in.wav"), test_file("few.mkv"), test_file("model"), test_file("sure.json"));
    assert_null(strstr(test_output, "doubtful"));
    assert_non_null(strstr(file_text(test_file("sure.json")), "\"jitter\": 0, \"doubt\": null"));
}

/* Any allocation may fail: an error that says so, and no file. */
static void memory_runs_out(void **state) {
    (void)state;
    ms_error err;
    bool done = false;
    int failed = 0;
    for (uint64_t n = 1; !done; n += 1 + n / 8) {
        uint64_t began = ms_mem_fail_after(n, true);
        ms_status status = ms_synthesize_detector(test_file("d.onnx"), 7, true, &err);
        done = ms_mem_fail_after(0, false) < began + n;
        if (status == MS_OK)
            break;
        failed++;
        assert_int_equal(status, MS_HOST_MEMORY);
        assert_false(test_exists(test_file("d.onnx")));
    }
    assert_true(failed > 10);
    assert_true(test_exists(test_file("d.onnx")));
    assert_int_equal(ms_synthesize_detector(test_file("d.onnx"), 7, true, &err), MS_IO);
    assert_ms_ok(ms_synthesize_detector(test_file("full.onnx"), 7, false, &err), &err);
    struct stat st;
    assert_int_equal(stat(test_file("full.onnx"), &st), 0);
    assert_in_range(st.st_size, 16500000, 17500000); /* the published one has 16.9 MB */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_runs_as_written), cmocka_unit_test(there_is_one_face_in_every_picture),
        cmocka_unit_test(doubtful_faces_are_told_last), cmocka_unit_test(memory_runs_out)};
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
