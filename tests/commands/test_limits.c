/* What no run may be asked for, and files that are made to take more than they say:
   refused before the memory is taken. */
#include "test.h"

#include <signal.h>
#include <time.h>

#include "base/pool.h"
#include "support/media/clip.h"
#include "support/media/hostile.h"
#include "support/peak.h"

#define BUDGET "120M"
#define BUDGET_BYTES ((size_t)120 << 20)
#define FACES MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"
#define SIDE 6000 /* a picture of 36 million pixels, 108 MB as RGB */

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

/* ---- numbers on the command line ---- */

/* Said before any file is opened: there is none. */
#define RUN "run --video no.mp4 --audio no.wav -o no-out.mp4 --model no-model "

static void numbers_out_of_range_are_refused(void **state) {
    (void)state;
    assert_run_fails(2, "\"4294967297/1\" is no rate", RUN "--fps 4294967297/1");
    assert_run_fails(2, "\"25/4294967297\" is no rate", RUN "--fps 25/4294967297");
    assert_run_fails(2, "1/2147483647 is no frame rate", RUN "--fps 1/2147483647");
    assert_run_fails(2, "2000/1 is no frame rate", RUN "--fps 2000/1");
    assert_run_fails(2, "\"-25/-1\" is no rate", RUN "--fps -25/-1");
    assert_run_fails(2, "not 500", RUN "--threads 500");
    assert_run_fails(2, "CPUs", RUN "--threads 500");
    assert_run_fails(2, "--budget: 0 is no memory", RUN "--budget 0");
    assert_run_fails(2, "--host-budget: 0G is no memory", RUN "--host-budget 0G");
    assert_run_fails(2, "--latent-cache-size: 0 is no memory", RUN "--latent-cache-size 0");
    assert_run_fails(2, "1/2147483647 is no frame rate",
                     "detect --video no.mp4 -o no.jsonl --model no-model --fps 1/2147483647");
    assert_run_fails(2, "not 500", "plan --shape tiny --threads 500");
    assert_run_fails(2, "--budget: 0 is no memory", "plan --shape tiny --budget 0");
    assert_run_fails(11, "no.mp4", RUN "--fps 30000/1001"); /* what is right comes as far as the files */
}

/* However far out a number of threads is, and whichever command is asked: the range is one. */
static void threads_have_one_range(void **state) {
    (void)state;
    static const char *const commands[] = {RUN, RUN "--device cpu:2", "plan --shape tiny",
                                           "batch-size --shape tiny", "probe --calibrate"};
    char range[64];
    snprintf(range, sizeof(range), "threads must be 0 (all) to %d with the %d CPU", ms_pool_most_threads(),
             ms_cpu_count());
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_run_fails(2, range, "%s --threads -1", commands[i]);
        assert_non_null(strstr(test_output, "not -1"));
        assert_run_fails(2, range, "%s --threads 5000", commands[i]);
        assert_non_null(strstr(test_output, "not 5000"));
    }
}

static void a_seed_with_a_leading_zero_is_decimal(void **state) {
    (void)state;
    char line[1200];
    assert_program_works(MS_STAGE_PATH, "noise --seed 10 -o %s", test_file("ten.safetensors"));
    static const char *const same[] = {"010", "0000010", "0xa", "0XA"}, *const wrong[] = {"0x", "1e3", "08x",
                                                                                          "-1", ""};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_program_works(MS_STAGE_PATH, "noise --seed %s -o %s", same[i], test_file("same.safetensors"));
        snprintf(line, sizeof(line), "cmp %s %s", test_file("ten.safetensors"),
                 test_file("same.safetensors"));
        if (system(line) != 0)
            fail_msg("--seed %s is not 10", same[i]);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_program_fails(MS_STAGE_PATH, 2, "whole number", "noise --seed '%s' -o %s", wrong[i],
                             test_file("no"));
}

/* ---- pictures ---- */

static char wanted[300]; /* what makes a run or a detection, but for the video */

static int setup(void **state) {
    (void)state;
    hostile_wav(test_file("speech.wav"), 16000, 48000);
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    snprintf(wanted, sizeof(wanted), "%s", test_dir());
    return 0;
}

/* Every command that opens a video, in its budget; nothing is left behind. */
static void is_refused_within_the_budget(const char *video) {
    assert_run_within(BUDGET_BYTES, 3, "to be read, and the budget leaves",
                      "run --video %s --audio %s/speech.wav -o %s/out.mp4 --model %s/model --track %s/none "
                      "--budget " BUDGET,
                      video, wanted, wanted, wanted, wanted);
    assert_non_null(strstr(test_output, "pictures of 60"));
    assert_run_within(BUDGET_BYTES, 3, "to be read, and the budget leaves",
                      "score %s --audio %s/speech.wav --faces " FACES " --budget " BUDGET, video, wanted);
    assert_run_within(BUDGET_BYTES, 3, "to be read, and the budget leaves",
                      "detect --video %s -o %s/out.jsonl --faces " FACES " --budget " BUDGET, video, wanted);
    assert_false(test_exists(test_file("out.mp4")) || test_exists(test_file("out.jsonl")));
}

/* Sizes that the container says, that the decoder alone knows, and those of streams
   that the file's header does not have. */
static void pictures_are_held_against_the_budget(void **state) {
    (void)state;
    hostile_pictures(test_file("said.mkv"), "png", "gray", SIDE, SIDE);
    is_refused_within_the_budget(test_file("said.mkv"));
    hostile_lying_pictures(test_file("lying.mkv"), SIDE, SIDE);
    is_refused_within_the_budget(test_file("lying.mkv"));
    hostile_pictures(test_file("late.flv"), "flv", "yuv420p", SIDE, SIDE);
    is_refused_within_the_budget(test_file("late.flv"));
}

/* It is the file that is wrong, not what was asked for. */
static void pictures_without_a_shape_are_bad_media(void **state) {
    (void)state;
    static const struct { int width, height; } sizes[] = {{16384, 2}, {2, 1024}, {16388, 128}, {64, 1}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char said[64];
        snprintf(said, sizeof(said), "pictures of %dx%d", sizes[i].width, sizes[i].height);
        hostile_pictures(test_file("strip.mkv"), "png", "gray", sizes[i].width, sizes[i].height);
        assert_run_fails(7, said, "run --video %s --audio %s -o %s --model %s --track %s",
                         test_file("strip.mkv"), test_file("speech.wav"), test_file("out.mp4"),
                         test_file("model"), test_file("none"));
        assert_run_fails(7, said, "detect --video %s -o %s --faces " FACES, test_file("strip.mkv"),
                         test_file("out.jsonl"));
        assert_run_fails(7, said, "score %s --audio %s --faces " FACES, test_file("strip.mkv"),
                         test_file("speech.wav"));
    }
}

/* A picture that comes with the sound is nobody's business, however large. */
static void pictures_of_the_speech_are_not_decoded(void **state) {
    (void)state;
    hostile_pictures(test_file("film.mkv"), "png", "gray", SIDE, SIDE);
    hostile_pictures(test_file("small.mkv"), "png", "gray", 64, 64);
    assert_run_within(BUDGET_BYTES, 7, "no audio stream",
                      "run --video %s --audio %s -o %s --model %s --track %s --budget " BUDGET,
                      test_file("small.mkv"), test_file("film.mkv"), test_file("out.mp4"), test_file("model"),
                      test_file("none"));
}

/* ---- sound ---- */

/* A sample at 1 Hz is 16,000 of speech: a packet of PCM was 369 MB and 19 s without a look at Ctrl-C. */
static void slow_sound_takes_no_more_memory_and_can_be_cancelled(void **state) {
    (void)state;
    int status = 0;
    struct rusage usage;
    hostile_pictures(test_file("small.mkv"), "png", "gray", 64, 64);
    hostile_wav(test_file("slow.wav"), 1, 100000);
    static const char *const names[] = {"small.mkv", "slow.wav", "out.mp4", "model", "none"};
    char paths[5][512];
    for (int i = 0; i < 5; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s", test_file(names[i]));
    pid_t child = fork();
    if (child == 0) {
        execl(MS_CLI_PATH, MS_CLI_PATH, "run", "--video", paths[0], "--audio", paths[1], "-o", paths[2],
              "--model", paths[3], "--track", paths[4], "--budget", BUDGET, "--progress", "none",
              (char *)NULL);
        _exit(127);
    }
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    assert_int_equal(kill(child, SIGINT), 0);
    time_t asked = time(NULL);
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 10);
    assert_true(time(NULL) - asked <= 5); /* a busy machine's */
    if (TEST_PEAK_COUNTS && (size_t)usage.ru_maxrss * 1024 > BUDGET_BYTES)
        fail_msg("held %ld KiB", usage.ru_maxrss);
    hostile_wav(test_file("fast.wav"), 2147483647, 100000);
    assert_run_within(BUDGET_BYTES, 7, "2147483647 Hz",
                      "run --video %s --audio %s -o %s --model %s --track %s", paths[0],
                      test_file("fast.wav"), paths[2], paths[3], paths[4]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(threads_have_one_range),
        cmocka_unit_test(a_seed_with_a_leading_zero_is_decimal),
        cmocka_unit_test(pictures_are_held_against_the_budget),
        cmocka_unit_test(pictures_without_a_shape_are_bad_media),
        cmocka_unit_test(pictures_of_the_speech_are_not_decoded),
        cmocka_unit_test(slow_sound_takes_no_more_memory_and_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
