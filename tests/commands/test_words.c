/* What people read: the order in which a command complains, what its errors leave
   out, and what it says of a budget. */
#include "test.h"

#include <math.h>

#include "support/cli.h"
#include "support/terminal.h"
#include "text/json.h"

static int prepare(void **state) {
    (void)state;
    char line[1024];
    snprintf(line, sizeof(line),
             "%s --seed 5 --frames 24 --size 64x64 -o %s --track %s --speech-seed 2 --speech %s >/dev/null",
             MS_DRAW_CLIP_PATH, test_file("in.avi"), test_file("in.jsonl"), test_file("in.wav"));
    assert_int_equal(system(line), 0);
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    assert_int_equal(chdir(test_dir()), 0);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

#define RUN                                                                                                  \
    "run -i in.avi -a in.wav -m model --steps 1 --guidance 1 --resolution 64 --frames 20 --codec ffv1 "

static void write_text(const char *name, const char *text) {
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void inputs_are_missed_before_the_model(void **state) {
    (void)state;
    setenv("MEMSAFE_MODEL", "there-is-none", 1);
    assert_run_fails(2, "the video (-i FILE) is missing", "run");
    assert_run_fails(2, "README.md is taken for the output", "run %s/README.md", MS_SOURCE_DIR);
    assert_run_fails(2, "the speech (-a FILE) is missing", "run -i nope.avi");
    assert_run_fails(2, "the output (its name at the end, or -o FILE) is missing",
                     "run -i nope.avi -a in.wav");
    assert_run_fails(11, "cannot read nope.avi: No such file", "run -i nope.avi -a in.wav out.mkv");
    assert_run_fails(11, "cannot read nope.wav: No such file", "run -i in.avi -a nope.wav out.mkv");
    assert_run_fails(9, "there-is-none", "run -i in.avi -a in.wav out.mkv");
    unsetenv("MEMSAFE_MODEL");
}

static void errors_name_no_inner_parts(void **state) {
    (void)state;
    write_text("bad.avi",
               "this is no video, and long enough to be looked at: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    assert_run_fails(7, "bad.avi", "run -i bad.avi -a in.wav -m model out.mkv");
    size_t n = strlen(test_output);
    if (n < 2 || test_output[n - 2] == ')')
        fail_msg("it ends with a stage: %s", test_output);
    write_text("bad.jsonl", "\n{\"frame\": 0, oops\n");
    assert_run_fails(7, "bad.jsonl:2: ", RUN "--track bad.jsonl out.mkv");
    assert_null(strstr(test_output, "line 1"));
}

static void without_a_face_nothing_is_said_of_keeping(void **state) {
    (void)state;
    write_text("none.jsonl", "\n");
    assert_run_fails(8, "face", RUN "--track none.jsonl out.mkv");
    assert_null(strstr(test_output, "kept"));
}

static void a_budget_above_the_machine_is_told(void **state) {
    (void)state;
    assert_run_works(RUN "--track in.jsonl -b 9000G rich.mkv");
    assert_non_null(strstr(test_output, "memsafe: note: the budget is 8.79 TiB, but this machine has only "));
    assert_run_works(RUN "--track in.jsonl --host-budget 9000G rich.mkv -y");
    assert_non_null(strstr(test_output, "memsafe: note: the budget is 8.79 TiB, but this machine has only "));
    assert_run_works(RUN "--track in.jsonl --host-budget 9000G --device remote rich.mkv -y");
    assert_non_null(
        strstr(test_output, "memsafe: note: the host budget is 8.79 TiB, but this machine has only "));
    assert_run_works(RUN "--track in.jsonl -b 200M poor.mkv");
    assert_null(strstr(test_output, "this machine has only"));
    assert_run_fails(3, "a budget of 1 byte is too small", RUN "--track in.jsonl -b 1 poor.mkv -y");
    assert_run_fails(3, "a budget of 1 byte is too small", "plan --shape tiny -b 1");
    assert_run_fails(3, "a budget of 10 MiB is too small", "plan --shape tiny -b 10.9M");
}

static void what_was_asked_for_is_told_to_who_asks(void **state) {
    (void)state;
    assert_run_fails(11, "nope.avi", "detect --demo -v -i nope.avi found.jsonl");
    assert_non_null(strstr(test_output, "memsafe: the demo model, which knows drawn faces only ("));
    assert_null(strstr(test_output, "/../"));
    assert_run_fails(11, "nope.avi", "detect --demo --progress json -i nope.avi found.jsonl");
    assert_non_null(strstr(test_output, "\"code\": \"demo-model\""));
    assert_run_fails(11, "nope.avi", "detect --demo -i nope.avi found.jsonl");
    assert_null(strstr(test_output, "demo"));
}

static void files_are_named_alike_in_every_command(void **state) {
    (void)state;
    assert_run_fails(2, "the video (-i FILE) is missing: in.avi is taken for the output", "detect in.avi");
    assert_run_fails(2, "the output (its name at the end, or -o FILE) is missing", "detect -i in.avi");
    assert_run_fails(2, "two files are the output: -o a and b", "detect -i in.avi -o a b");
    /* -i is the video that a run is given, also where its output is judged. */
    assert_run_fails(2, "the video to judge (its name alone) is missing; see", "score");
    assert_run_fails(2, "missing: -i a is the one that the run was given", "score -i a");
    assert_run_fails(2, "score has no option --input; did you mean -i or --video?", "score b --input a");
    assert_run_fails(2, "run: what is \"in.wav\"? usage: memsafe run -i VIDEO -a SPEECH OUT",
                     "run in.avi in.wav out.mkv");
    assert_run_fails(2, "-i: a command comes first, as in `memsafe run -i ...`",
                     "-i in.avi -i in.wav out.mkv");
    /* Its faces are too small for the detector: that is looked for behind the names. */
    assert_run_fails(8, "in.avi: no usable face in 3 frames",
                     "detect -m model -i in.avi lone.jsonl --frames 3");
    assert_run_fails(8, "(the demo model knows drawn faces only; ",
                     "detect --demo -i in.avi lone.jsonl --frames 3");
    assert_run_works("score in.avi -a in.wav --track in.jsonl -m model --json");
    assert_non_null(strstr(test_output, "{\"frames\":24,"));
    assert_null(strstr(test_output, "\"outside\":{\"identical\":true"));
    assert_run_works("score in.avi -i in.avi -a in.wav --track in.jsonl -m model --json");
    assert_non_null(strstr(test_output, "\"outside\":{\"identical\":true"));
}

/* Of 10 frames none begins a window; -q leaves the result, which was asked for, and says so. */
static void a_short_clip_has_no_window_border(void **state) {
    (void)state;
    assert_run_works("score in.avi -a in.wav --track in.jsonl -m model --frames 10 -q");
    assert_null(strstr(test_output, "nan"));
    assert_non_null(strstr(test_output, " levels; the clip is too short for a window border\n"));
    assert_run_works("score in.avi -a in.wav --track in.jsonl -m model --frames 1");
    assert_null(strstr(test_output, "Flicker        nan"));
    assert_run_works("help score");
    assert_non_null(strstr(test_output, "say nothing but the result and errors"));
    assert_run_works("help detect");
    assert_non_null(strstr(test_output, "say nothing but errors; of"));
}

static double outside_psnr(void) {
    ms_json_doc *doc = NULL;
    ms_error err;
    assert_ms_ok(ms_json_parse(NULL, test_output, strlen(test_output), &doc, &err), &err);
    const ms_json *outside = ms_json_get(ms_json_get(ms_json_root(doc), "input"), "outside");
    double psnr =
        ms_json_get(outside, "identical")->boolean ? INFINITY : ms_json_get(outside, "psnr_db")->number;
    ms_json_doc_destroy(&doc);
    return psnr;
}

/* A run that began within its input is compared from there on, by the run's own option. */
static void a_run_with_a_start_is_scored_from_there(void **state) {
    (void)state;
    assert_run_works(
        "run -i in.avi -a in.wav --track in.jsonl -m model --steps 1 --resolution 64 -ss 0.4 --frames 8 "
        "--paste mouth --codec ffv1 -y -q part.mkv");
    assert_run_works("score part.mkv -i in.avi -a in.wav --track in.jsonl -m model -ss 0.4 --json -q");
    double there = outside_psnr();
    assert_run_works("score part.mkv -i in.avi -a in.wav --track in.jsonl -m model --json -q");
    double from_the_start = outside_psnr();
    print_message("    %.1f dB from there, %.1f dB from the start\n", there, from_the_start);
    assert_true(there > from_the_start + 6);
    assert_run_fails(2, "before the run began (start: 90.000 s)",
                     "score part.mkv -i in.avi -a in.wav --track in.jsonl -m model -ss 90");
    assert_run_fails(2, "--start: \"x\" is not a time", "score part.mkv -i in.avi -a in.wav -m model -ss x");
}

/* In place of a table that would be cut into pieces. */
static void a_wide_table_becomes_lines(void **state) {
    (void)state;
    static char text[1 << 16];
    char line[4096];
    test_set_history("speed.db");
    snprintf(line, sizeof(line), "exec %s batch-size --demo", MS_CLI_PATH);
    test_on_terminal(80, "xterm", line, text, sizeof(text));
    assert_non_null(strstr(text, "  bound by "));
    assert_null(strstr(text, "batch bound by"));
    snprintf(line, sizeof(line), "exec %s plan --compare --demo", MS_CLI_PATH);
    test_on_terminal(80, "xterm", line, text, sizeof(text));
    assert_non_null(strstr(text, "8 GiB: compact, rung "));
    assert_run_works("batch-size --demo");
    assert_non_null(strstr(test_output, "batch bound by"));
}

static void plan_says_what_a_stated_device_leaves(void **state) {
    (void)state;
    assert_run_works("plan --demo --device dummy --device-memory 8G");
    assert_non_null(
        strstr(test_output, "which is 8.00 GiB less the 30 % that the compact tier leaves alone"));
    assert_run_works("plan --demo --device dummy --device-memory 8G --budget 2G");
    assert_null(strstr(test_output, "leaves alone"));
}

/* What is broken for the terminal's width breaks between words; a path and the like stays whole. */
static void everything_fits_the_terminal(void **state) {
    (void)state;
    static const char *const lines[] = {"help",
                                        "help run",
                                        "plan --demo",
                                        "plan --compare --demo",
                                        "doctor --demo",
                                        "probe",
                                        "probe --fields",
                                        "batch-size --demo",
                                        "models --demo --quick",
                                        "score in.avi -a in.wav --track in.jsonl -m model"};
    static char text[1 << 18];
    char line[4096];
    test_set_history("speed.db");
    for (int i = 0; i < (int)(sizeof(lines) / sizeof(lines[0])); i++) {
        for (int columns = 40; columns <= 80; columns += 40) {
            snprintf(line, sizeof(line), "exec %s %s", MS_CLI_PATH, lines[i]);
            test_on_terminal(columns, "xterm", line, text, sizeof(text));
            assert_true(strlen(text) > 100);
            for (char *at = text; *at; at += strcspn(at, "\r\n"), at += strspn(at, "\r\n")) {
                size_t n = strcspn(at, "\r\n"), from = strspn(at, " "), word = strcspn(at + from, " \r\n");
                if ((int)n > columns && from + word < n)
                    fail_msg("%s in %d columns: %.*s", lines[i], columns, (int)n, at);
            }
        }
    }
}

/* Columns would be torn where lines are broken. */
static void a_narrow_terminal_has_no_columns(void **state) {
    (void)state;
    static const char *const lines[] = {"probe", "probe --fields", "doctor --demo", "history -v"};
    static char text[1 << 18];
    char line[4096];
    test_set_history("narrow.db");
    assert_run_works(RUN "--track in.jsonl -y narrow.mkv");
    for (int i = 0; i < (int)(sizeof(lines) / sizeof(lines[0])); i++) {
        snprintf(line, sizeof(line), "exec %s %s", MS_CLI_PATH, lines[i]);
        test_on_terminal(40, "xterm", line, text, sizeof(text));
        for (char *at = text; *at; at += strcspn(at, "\r\n"), at += strspn(at, "\r\n")) {
            const char *gap = strstr(at + strspn(at, " "), "   ");
            if (gap && gap < at + strcspn(at, "\r\n"))
                fail_msg("%s: %.*s", lines[i], (int)strcspn(at, "\r\n"), at);
        }
    }
    test_set_history("speed.db");
}

static void compared_plans_have_lengths_of_their_own(void **state) {
    (void)state;
    assert_run_fails(2, "--compare has lengths of its own", "plan --compare --shape tiny --frames 9");
    assert_run_fails(2, "--compare has budgets of its own", "plan --compare --shape tiny -b 9G");
}

static void a_folder_that_is_not_there_is_one_error(void **state) {
    (void)state;
    assert_run_fails(11, "memsafe: nowhere: there is no such folder; memsafe-fetch-models", "models nowhere");
    assert_string_equal(strchr(test_output, '\n'), "\n");
}

/* Given back as a budget, what is called enough is enough; and it is never less
   than what is called the peak. */
static void the_least_budget_holds_the_peak(void **state) {
    (void)state;
    for (int mib = 10; mib < 14; mib++) {
        unsigned peak, least;
        char frames[64];
        snprintf(frames, sizeof(frames), "--frames %d", 50 * mib); /* the peak's part of a MiB differs */
        assert_int_equal(test_run("plan --shape tiny -b %dM %s", mib, frames), 3);
        assert_int_equal(sscanf(strstr(test_output, "\n  peak") + 7, "%u MiB", &peak), 1);
        assert_int_equal(sscanf(strstr(test_output, "budget that works") + 17, "%u MiB", &least), 1);
        assert_int_equal(peak + 2, least); /* MS_RUN_DRIFT_BYTES: of another process */
    }
}

/* Each column is told from the next, and why a run takes fewer. */
static void batches_have_clear_columns(void **state) {
    (void)state;
    assert_run_works("batch-size --device-memory 8G");
    assert_int_equal(strncmp(test_output, "For latentsync-1.5, tier compact, because ", 42), 0);
    assert_run_works("batch-size --shape tiny --device-memory 8G");
    assert_int_equal(strncmp(test_output, "For tiny, tier compact, because ", 32), 0);
    assert_non_null(strstr(test_output, " batch  in a run  one item needs  batch needs  batch bound by\n"));
    assert_non_null(strstr(test_output, "\nA run takes fewer where more do not pay: "));
}

/* A rung's text stands alone, one frame is no frames, and what is compared is in one unit. */
static void a_plan_reads_well(void **state) {
    (void)state;
    static const char *const rungs[] = {"serial",      "slices",     "tiles",
                                        "stream-part", "stream-all", "single-frame"};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(test_run("plan --shape tiny -b 9G --force-rung %s", rungs[i]), 0);
        const char *rung = strstr(test_output, "\nRung ");
        assert_non_null(rung);
        assert_int_not_equal(strncmp(strchr(rung, ':'), ": and ", 6), 0);
        assert_null(strstr(test_output, " 1 frames"));
        const char *budget = strstr(test_output, "\n  budget ");
        assert_non_null(budget);
        budget += 9 + strspn(budget + 9, " ");
        assert_int_equal(strncmp(budget, "9216 MiB\n", 9), 0);
    }
}

static void files_in_each_others_place_are_told(void **state) {
    (void)state;
    assert_run_fails(
        7,
        "in.wav is given as the video and holds sound alone, in.avi is given as the speech and holds "
        "a video: are they swapped?",
        "run -i in.wav -a in.avi -m model --track in.jsonl out.mkv");
    assert_run_fails(7, "in.wav has no video stream (format wav, 1 other stream)",
                     "run -i in.wav -a in.wav -m model --track in.jsonl out.mkv");
}

/* What comes is said as what comes, and so are the frames that come of no speech. */
static void the_first_line_is_of_what_will_be(void **state) {
    (void)state;
    assert_run_works(RUN "--track in.jsonl first.mkv");
    assert_non_null(strstr(test_output, "first.mkv will have 20 frames of 64x64, 25 a second (0.80 s)\n"));
    assert_int_equal(strncmp(test_output, "first.mkv: ", 11) == 0, 0);
    assert_non_null(strstr(test_output, "first.mkv: 20 frames of 64x64, 25 a second (0.80 s), made in "));
    assert_run_works("run -i in.avi -a in.wav -m model --steps 1 --guidance 1 --resolution 64 --codec ffv1 "
                     "--track in.jsonl -y first.mkv");
    assert_non_null(strstr(test_output,
                           "first.mkv will have 26 frames of 64x64, 25 a second (1.0 s); the last 2 "
                           "follow the speech, as the official pipeline's do\n"));
}

/* The overview says how to begin; its lines parse (test_options: they are the commands' own). */
static void the_overview_has_examples(void **state) {
    (void)state;
    static const char *const calls[] = {"--help", "help", "-h"};
    for (int i = 0; i < 3; i++) {
        assert_run_works("%s", calls[i]);
        assert_non_null(strstr(test_output, "\nExamples:\n  # "));
        assert_non_null(strstr(test_output, "\n  memsafe run -i talking.mp4 -a speech.wav out.mp4\n"));
        assert_non_null(strstr(test_output, "\n  memsafe doctor -m models/latentsync-1.5\n"));
    }
}

static void habits_are_told_apart(void **state) {
    (void)state;
    assert_run_fails(2, "run has no option -copyts", "run -copyts o.mp4");
    assert_run_fails(2, "run has no option -re", "run -re o.mp4");
    assert_run_fails(2, "\"nonsense\" is no level", "run -loglevel nonsense o.mp4");
    assert_run_fails(2, "-ss before the second -i", "run -i a.mp4 -ss 1 -i b.wav o.mp4");
    assert_run_fails(0, "memsafe ", "-version");
    assert_run_fails(2, "cannot be delayed", "run -itsoffset 1 o.mp4");
    assert_run_fails(2, "the video (-i FILE) is missing", "run -b2G o.mp4"); /* a number is a value */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_line_is_of_what_will_be),
        cmocka_unit_test(the_overview_has_examples),
        cmocka_unit_test(habits_are_told_apart),
        cmocka_unit_test(inputs_are_missed_before_the_model),
        cmocka_unit_test(errors_name_no_inner_parts),
        cmocka_unit_test(without_a_face_nothing_is_said_of_keeping),
        cmocka_unit_test(a_budget_above_the_machine_is_told),
        cmocka_unit_test(what_was_asked_for_is_told_to_who_asks),
        cmocka_unit_test(files_are_named_alike_in_every_command),
        cmocka_unit_test(files_in_each_others_place_are_told),
        cmocka_unit_test(a_plan_reads_well),
        cmocka_unit_test(a_narrow_terminal_has_no_columns),
        cmocka_unit_test(compared_plans_have_lengths_of_their_own),
        cmocka_unit_test(batches_have_clear_columns),
        cmocka_unit_test(a_short_clip_has_no_window_border),
        cmocka_unit_test(everything_fits_the_terminal),
        cmocka_unit_test(a_run_with_a_start_is_scored_from_there),
        cmocka_unit_test(a_wide_table_becomes_lines),
        cmocka_unit_test(plan_says_what_a_stated_device_leaves),
        cmocka_unit_test(a_folder_that_is_not_there_is_one_error),
        cmocka_unit_test(the_least_budget_holds_the_peak),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
