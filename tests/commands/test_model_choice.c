/* Which model a command takes when none is named. A copy of the program in a prefix of its own, so that
   what the machine and the source tree have is not found; $HOME and the data folder are the test's too. */
#include "test.h"

#include <stdbool.h>

#include "support/cli.h"

static char program[600];

/* As test_run(), by the copy. */
#define copy_run(...) run_as(program, __VA_ARGS__)

static int run_as(const char *path, const char *arguments) {
    char line[4096];
    snprintf(line, sizeof(line), "%s %s </dev/null 2>&1", path, arguments);
    return test_shell(line);
}

#define assert_copy(code, text, ...)                                                                         \
    do {                                                                                                     \
        char arguments_[2048];                                                                               \
        snprintf(arguments_, sizeof(arguments_), __VA_ARGS__);                                               \
        int code_ = copy_run(arguments_);                                                                    \
        if (code_ != (code) || !strstr(test_output, text))                                                   \
            fail_msg("%s: exit %d (want %d), wanted \"%s\" in: %s", arguments_, code_, code, text,           \
                     test_output);                                                                           \
    } while (0)

#define assert_says(text) assert_non_null(strstr(test_output, text))

static int prepare(void **state) {
    (void)state;
    setenv("MEMSAFE_HISTORY", "off", 1);
    setenv("HOME", test_file("home"), 1);
    setenv("MEMSAFE_DEMO_MODEL", MS_SOURCE_DIR "/models/demo", 1);
    unsetenv("XDG_DATA_HOME");
    unsetenv("MEMSAFE_MODEL");
    snprintf(program, sizeof(program), "%s", test_file("usr/bin/memsafe"));
    shell("mkdir -p %s && cp %s %s && cp %s/scripts/fetch-models %s", test_file("usr/bin"), MS_CLI_PATH,
          program, MS_SOURCE_DIR, test_file("usr/bin/memsafe-fetch-models"));
    shell("%s --seed 3 --frames 18 --size 240x208 -o %s --speech %s >/dev/null", MS_DRAW_CLIP_PATH,
          test_file("in.mkv"), test_file("in.wav"));
    return chdir(test_dir());
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

#define RUN "run -i in.mkv -a in.wav -y out.mkv --steps 1 --resolution 64 --frames 16 "

static void without_any_it_says_both_ways(void **state) {
    (void)state;
    static const char *const commands[] = {RUN, "detect -i in.mkv -o found.jsonl -y",
                                           "score in.mkv -a in.wav", "models"};
    for (int i = 0; i < 4; i++) {
        assert_copy(2, "--demo", "%s", commands[i]);
        assert_says("usr/bin/memsafe-fetch-models 1.5");
    }
    assert_false(test_exists("out.mkv"));
    /* In PATH the name is enough. */
    char old[4096];
    snprintf(old, sizeof(old), "%s", getenv("PATH"));
    shell("PATH=%s:$PATH %s models 2>said; grep -q '\"memsafe-fetch-models 1.5\"' said", test_file("usr/bin"),
          program);
    /* The program that was built says where the script is in the source tree,
       unless somebody has models there. */
    shell("%s " RUN " 2>said; grep -q -e scripts/fetch-models -e installed, -e are.installed said",
          MS_CLI_PATH);
}

static void doctor_says_that_the_weights_are_missing(void **state) {
    (void)state;
    assert_copy(0, "official weights     none", "doctor");
    assert_says("usr/bin/memsafe-fetch-models 1.5");
    assert_null(strstr(test_output, "Nothing is missing.\n"));
}

static void every_command_takes_the_demo_when_it_is_asked_for(void **state) {
    (void)state;
    assert_copy(0, "the demo model, which knows drawn faces only", RUN "--demo -v");
    assert_copy(0, "a face in 18 of 18 frames", "detect --demo -i in.mkv -o found.jsonl -y");
    assert_copy(0, "Lip sync", "score --demo in.mkv -a in.wav");
    assert_copy(0, "at 128 px", "plan --demo");
    assert_copy(0, "all tensors are there", "models --demo");
    assert_copy(0, "both have the operators", "doctor --demo");
    assert_copy(0, "{\"group\": \"Models\", \"name\": \"official weights\", \"state\": \"none\", ",
                "doctor --json");
    assert_copy(0, "\"text\": \"both have the operators", "doctor --demo --json");
    assert_copy(0, "unet_inference", "batch-size --demo");
    assert_copy(2, "two folders are the model: -m a and b", "doctor -m a b");
    assert_copy(2, "two folders are the model: -m a and b", "models -m a b");
    assert_copy(2, "--demo and --model", RUN "--demo -m somewhere");
    assert_copy(2, "--demo and --faces", "detect --demo --faces somewhere -i in.mkv -o found.jsonl -y");
}

/* Wherever it lies; a folder that is not whole does not count. */
static void the_one_that_is_installed_is_taken(void **state) {
    (void)state;
    static const char *const places[] = {"models", "home/.local/share/memsafe/models",
                                         "usr/share/memsafe/models"};
    shell("%s models --synthesize tiny -o synthetic >/dev/null", program);
    for (int i = 0; i < 3; i++) {
        shell("mkdir -p %s/half && cp synthetic/unet.yaml %s/half && mv synthetic %s/one", places[i],
              places[i], places[i]);
        assert_copy(0, "using the one that is installed", RUN);
        assert_says("models/one");
        assert_copy(0, "models/one", "detect -i in.mkv -o found.jsonl -y");
        assert_copy(0, "random weights       yes", "doctor"); /* they say so, wherever they lie */
        assert_says("official weights     none");
        assert_says("Nothing is missing but the official weights.\n");
        shell("mv %s/one synthetic && cp -r " MS_SOURCE_DIR "/models/demo %s/one", places[i], places[i]);
        /* What has no mark may be anybody's: no more is said than is known. */
        assert_copy(0, "model                yes      ", "doctor");
        assert_says("/one (whose weights they are is not written in them)");
        assert_null(strstr(test_output, "official weights"));
        assert_says("Nothing is missing.\n");
        shell("rm -r %s/one", places[i]);
    }
    setenv("XDG_DATA_HOME", test_file("data"), 1);
    shell("mkdir -p data/memsafe/models && mv synthetic data/memsafe/models/one");
    assert_copy(0, "data/memsafe/models/one", RUN);
    /* By a link from elsewhere it is still one; the demo is none. */
    shell("ln -s ../data/memsafe/models/one models/again && cp -r " MS_SOURCE_DIR "/models/demo models/demo");
    assert_copy(0, "using the one that is installed", RUN);
    shell("cp -r data/memsafe/models/one usr/share/memsafe/models/two");
    assert_copy(2, "2 models are installed", RUN);
    assert_says("models/again");
    assert_says("share/memsafe/models/two");
    assert_copy(0, "the demo model", RUN "--demo -v");
    setenv("MEMSAFE_MODEL", "usr/share/memsafe/models/two", 1);
    assert_copy(0, "using the one that is installed, usr/share/memsafe/models/two", RUN);
    setenv("MEMSAFE_MODEL", "nowhere", 1);
    assert_copy(9, "MEMSAFE_MODEL is nowhere", RUN);
    unsetenv("MEMSAFE_MODEL");
}

/* What is downloaded by the installed script lies where a run looks for it. */
static void the_installed_script_fills_the_data_folder(void **state) {
    (void)state;
    if (system("command -v curl >/dev/null && command -v unzip >/dev/null") != 0)
        skip();
    setenv("XDG_DATA_HOME", test_file("data"), 1);
    shell("sh usr/bin/memsafe-fetch-models 1.5 </dev/null >said 2>&1; grep -q 'download into "
          "%s/memsafe/models/latentsync-1.5:' "
          "said",
          test_file("data"));
    shell("sh " MS_SOURCE_DIR "/scripts/fetch-models 1.5 </dev/null >said 2>&1; "
          "grep -q 'download into models/latentsync-1.5:' said");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any_it_says_both_ways),
        cmocka_unit_test(doctor_says_that_the_weights_are_missing),
        cmocka_unit_test(every_command_takes_the_demo_when_it_is_asked_for),
        cmocka_unit_test(the_one_that_is_installed_is_taken),
        cmocka_unit_test(the_installed_script_fills_the_data_folder),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
