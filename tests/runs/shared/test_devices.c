/* One run by several processes, on one machine: workers on devices, and parts that are typed; the file is
   that of a single run. Kills in between are in tests/e2e/kill_workers. */
#include "test.h"

#include "memsafe/plan.h"
#include "support/run_inputs.h"
#include "text/json.h"

#define FRAMES 40
#define SPEECH_FRAMES 52

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(FRAMES, SPEECH_FRAMES);
    assert_int_equal(chdir(test_dir()), 0);
    test_set_history("history.db");
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

#define JOB                                                                                                  \
    "-i in.avi -a in.wav -m model --track in.jsonl --steps 2 --resolution 64 --codec ffv1 --segment 9 "

static void assert_same(const char *output) {
    shell("cmp want.mkv %s && rm %s && test ! -e %s.memsafe", output, output, output);
}

static ms_json_doc *read_json(const char *path) {
    static char text[1 << 20];
    ms_json_doc *doc = NULL;
    ms_error err;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    const size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    assert_ms_ok(ms_json_parse(NULL, text, n, &doc, &err), &err);
    return doc;
}

static double number(const ms_json *object, const char *name) {
    return ms_json_get_number(object, name, -1);
}

/* What the workers did and why, not what the process did that joins. */
static void assert_report_is_of_the_workers(const char *path, int workers) {
    ms_json_doc *doc = read_json(path);
    const ms_json *r = ms_json_root(doc), *seconds = ms_json_get(r, "seconds"),
                  *planned = ms_json_get(r, "planned_seconds"), *worker = ms_json_get(r, "workers");
    static const char *const some[] = {"planned_bytes", "weight_bytes", "arena_bytes", "windows_computed",
                                       "planned_window_s"};
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        if (!(number(r, some[i]) > 0))
            fail_msg("%s: %s is %g", path, some[i], number(r, some[i]));
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        if (!(number(seconds, ms_stage_name((ms_stage)i)) > 0 || i == MS_STAGE_FACES) ||
            !(number(planned, ms_stage_name((ms_stage)i)) > 0 || i == MS_STAGE_FACES))
            fail_msg("%s: no time for %s", path, ms_stage_name((ms_stage)i));
    assert_true(number(planned, "total") > 0);
    assert_string_equal(ms_json_get_text(r, "rung"), "full");
    assert_true(ms_json_get_text(r, "tier_reason")[0] && ms_json_get_text(r, "budget_reason")[0]);
    assert_true(ms_json_get(r, "layouts")->count > 0);
    assert_int_equal(worker->count, workers);
    double peak = 0, windows = 0, denoising_s = 0;
    for (int i = 0; i < workers; i++) {
        const ms_json *w = ms_json_at(worker, (uint32_t)i);
        peak += number(w, "peak_resident_bytes");
        windows += number(w, "windows_computed");
        denoising_s += number(ms_json_get(w, "stages"), "denoise");
        assert_string_equal(ms_json_get_text(w, "rung"), "full");
    }
    assert_true(number(r, "peak_resident_bytes") >= peak && peak > 0);
    assert_true(number(r, "windows_computed") == windows);
    assert_true(fabs(number(seconds, "denoise") - denoising_s) < 0.01);
    ms_json_doc_destroy(&doc);
}

static void workers_make_the_same_file(void **state) {
    (void)state;
    assert_run_works("run " JOB "want.mkv");
    assert_run_works("run " JOB "--device cpu:2 --report workers.json two.mkv");
    assert_non_null(strstr(test_output, "two.mkv will have 54 frames, made in 6 segments by 2 workers\n"));
    assert_non_null(strstr(test_output, "two.mkv: 54 frames of 160x144"));
    assert_same("two.mkv");
    shell("grep -q '\"workers\": .{\"device\": \"cpu\", \"frames\": ' workers.json");
    assert_report_is_of_the_workers("workers.json", 2);
    shell("grep -q '\"notes\": .{\"code\"' workers.json");
    assert_run_works("run " JOB "--device cpu,remote,cpu -b 2G -v --report apart.json three.mkv 2>&1");
    assert_same("three.mkv");
    if (!strstr(test_output, "peak of the device ") || !strstr(test_output, " of the device's and "))
        fail_msg("nothing is said of the device's memory: %s", test_output);
    shell("grep '\"device\": \"remote\"' apart.json | grep -q '\"device_peak_bytes\": [1-9]'");
    assert_run_works("run " JOB "--device cpu:4 -q four.mkv");
    assert_same("four.mkv");
}

/* In its first windows: its segment is made by the others. */
static void a_device_is_lost_in_mid_run(void **state) {
    (void)state;
    setenv("MEMSAFE_REMOTE_LOSE_AFTER", "9000", 1);
    assert_run_works("run " JOB "--device cpu,remote lost.mkv 2>&1");
    unsetenv("MEMSAFE_REMOTE_LOSE_AFTER");
    assert_non_null(strstr(test_output, "the worker on remote ended: "));
    assert_non_null(strstr(test_output, "device lost; the others go on"));
    assert_same("lost.mkv");
}

/* Windows across the ends of segments are made by both neighbours: the bar knows. */
static void the_bar_goes_with_the_frames(void **state) {
    (void)state;
    const double total = 30, in_work = 18; /* of both: a segment, and what waits to be written */
    assert_run_works("run " JOB
                     "--steps 1 --segment 3 --frames 30 --device cpu:2 --progress json bar.mkv 2>&1");
    for (const char *at = test_output; (at = strstr(at, "\"fraction\": ")) != NULL; at++) {
        const char *done = strstr(at, "\"frames_done\": ");
        const double fraction = atof(at + 12), frames = done ? atof(done + 15) : total;
        if (fraction > (frames + in_work) / total)
            fail_msg("%g of the work with %g of %g frames", fraction, frames, total);
    }
    shell("rm bar.mkv");
}

static int count(const char *text, const char *what) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

/* One plan, each warning once, and a fraction that never falls, from the first step to the last. */
static void several_devices_tell_one_run(void **state) {
    (void)state;
    assert_run_works("run " JOB "--device cpu:2 -b 2G --progress json told.mkv 2>&1");
    assert_int_equal(count(test_output, "\"event\": \"plan\""), 1);
    assert_non_null(strstr(test_output, "\"output\": \"told.mkv\", \"frames\": 54, \"frames_resumed\": 0"));
    assert_int_equal(count(test_output, "the model's weights are random"), 1);
    assert_non_null(strstr(test_output, "\", \"kind\": \"note\"}"));
    assert_int_equal(count(test_output, "\"event\": \"start\""), 1);
    double last = 0;
    for (const char *at = test_output; (at = strstr(at, "\"fraction\": ")) != NULL; at++) {
        double fraction = at[12] == 'n' ? last : atof(at + 12);
        assert_true(fraction >= last && fraction <= 1);
        last = fraction;
    }
    assert_true(last == 1);
    assert_same("told.mkv");
    assert_run_works("split " JOB "told.mkv");
    assert_run_works("run --part auto --device cpu:2 --report part.json told.mkv");
    assert_report_is_of_the_workers("part.json", 2);
    shell("grep -q '\"width\": 160, \"height\": 144, \"fps\": 25' part.json && "
          "grep -q '\"frames\": 54,' part.json && grep -q '\"rung\": \"full\"' part.json");
    assert_non_null(strstr(test_output, "of told.mkv this makes up to 54 frames of 160x144"));
    assert_non_null(strstr(test_output, "of memory\n"));
    assert_run_works("join told.mkv");
    assert_run_works("run --part auto told.mkv"); /* who comes late has nothing to do */
    assert_non_null(strstr(test_output, "told.mkv is there, and no job beside it: nothing to do\n"));
    assert_run_works("run " JOB "--part auto told.mkv");
    assert_non_null(strstr(test_output, "told.mkv: 54 frames, finished by an earlier run: nothing to do\n"));
    assert_run_fails(11, "told.mkv is there: it is joined already, or it is of another job", "join told.mkv");
    assert_same("told.mkv");
    assert_run_fails(11, "it goes with the job when that is joined", "join told.mkv");
}

/* As many frames are named as --resume then takes over, whoever made them. */
static void what_is_kept_is_counted(void **state) {
    (void)state;
    int kept = -1;
    shell(MS_CLI_PATH " run " JOB "--steps 12 --device cpu:2 kept.mkv >kept.log 2>&1 & p=$!; "
                      "while kill -0 $p && ! test -e kept.mkv.memsafe/segment-000002; do sleep 0.02; done; "
                      "kill -TERM $p; wait $p; test $? = 10");
    assert_run_works("run " JOB "--steps 12 --device cpu:2 --resume kept.mkv");
    const char *resumed = strstr(test_output, " of them were finished by an earlier run");
    assert_non_null(resumed);
    while (resumed > test_output && resumed[-1] != ' ')
        resumed--;
    shell("grep -o '[0-9]* of 54 frames are kept in kept.mkv.memsafe' kept.log > said");
    FILE *f = fopen("said", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &kept), 1);
    fclose(f);
    assert_int_equal(kept, atoi(resumed));
    assert_true(kept >= 9 && kept < 54);
    assert_run_works("run " JOB "--steps 12 whole.mkv");
    shell("cmp kept.mkv whole.mkv && rm kept.mkv whole.mkv");
}

/* One whose budget is too small for anything gives up, and says so; where all do, it is the run's error. */
static void a_worker_that_cannot_work_stops_nobody(void **state) {
    (void)state;
    assert_run_works("run " JOB "--device remote,cpu:2 --host-budget 9G -b 1M some.mkv");
    assert_same("some.mkv");
    assert_run_fails(3, "needs at least", "run " JOB "--device cpu:2 -b 4M none.mkv");
    assert_run_fails(11, "--resume goes on from there", "run " JOB "none.mkv");
    assert_run_works("run " JOB "--resume none.mkv");
    assert_same("none.mkv");
}

/* The faces are there before any segment is. */
static void ending_it_early_names_the_faces(void **state) {
    (void)state;
    shell(MS_CLI_PATH " run " JOB "--steps 999 --device cpu:2 early.mkv >early.log 2>&1 & p=$!; "
                      "while kill -0 $p && ! grep -q 'segments by 2 workers' early.log; do sleep 0.02; done; "
                      "kill -TERM $p; wait $p; test $? = 10");
    shell("grep -q '^  the faces that were found are kept in early.mkv.memsafe$' early.log && "
          "grep -q '^  to go on: .* --resume$' early.log && ! grep -q 'nothing' early.log");
    shell("rm -r early.mkv.memsafe");
}

static void an_unfinished_job_is_gone_on_with(void **state) {
    (void)state;
    assert_run_works("split " JOB "half.mkv");
    assert_run_works("run --part 1/2 half.mkv");
    assert_non_null(strstr(test_output, "half.mkv.memsafe has 3 of 6 segments\n"));
    assert_run_fails(11, "resume", "run " JOB "--device cpu:2 half.mkv");
    assert_run_works("run " JOB "--device cpu:2 --resume half.mkv");
    assert_non_null(strstr(test_output, "  27 of them were finished by an earlier run\n"));
    assert_same("half.mkv");
    assert_run_works("run " JOB "--device cpu:2 half.mkv");
    assert_run_works("run " JOB "--device cpu:2 --resume half.mkv");
    assert_non_null(strstr(test_output, "finished by an earlier run: nothing to do\n"));
    assert_same("half.mkv");
}

/* Options that decide the bits come from the split; each part has budget, threads and instructions of its
   own. */
static void parts_in_any_order(void **state) {
    (void)state;
    assert_run_works("split " JOB "parts.mkv");
    assert_non_null(
        strstr(test_output, "parts.mkv.memsafe has the faces of 54 frames, to be made in 6 segments\n"));
    setenv("MEMSAFE_ISA", "avx2", 1); /* as on an older processor */
    assert_run_works("run --part 3/3 -b 1G --threads 1 parts.mkv");
    setenv("MEMSAFE_ISA", test_at_length() ? "c" : "avx2", 1);
    assert_run_works("run " JOB "--part 1/3 parts.mkv");
    unsetenv("MEMSAFE_ISA");
    assert_run_fails(11, " is missing", "join parts.mkv");
    assert_non_null(strstr(test_output, "\n  to go on: " MS_CLI_PATH " run --part auto parts.mkv\n"));
    assert_run_works("run --part 2/3 --force-rung single-frame parts.mkv");
    assert_non_null(strstr(test_output, "parts.mkv.memsafe has 6 of 6 segments\n  next: " MS_CLI_PATH
                                        " join parts.mkv\n"));
    assert_run_works("join --report joined.json parts.mkv");
    assert_same("parts.mkv");

    assert_run_works("split " JOB "'a name.mkv'");
    assert_non_null(strstr(test_output, ": " MS_CLI_PATH " run --part auto 'a name.mkv'\n"));
    assert_run_works("split " JOB "auto.mkv");
    shell("mkdir -p elsewhere && cd elsewhere && " MS_CLI_PATH " run --part auto ../auto.mkv -q & "
          "p=$!; " MS_CLI_PATH " run --part auto -q auto.mkv && wait $p");
    assert_run_works("run --part 9/9 auto.mkv"); /* nothing is left to be made */
    assert_run_works("join auto.mkv");
    assert_same("auto.mkv");
}

/* Words that are printed go on: a segment that is there is made by nobody. */
static void a_foreign_segment_is_made_again(void **state) {
    (void)state;
    assert_run_works("split " JOB "mine.mkv");
    assert_run_fails(2, "has seed ", "run " JOB "--seed 5 --part auto mine.mkv");
    assert_null(strstr(test_output, "begins anew")); /* which it would not */
    assert_run_works("run --part auto -q mine.mkv");
    assert_run_fails(2, "has seed ", "join " JOB "--seed 5 mine.mkv");
    assert_null(strstr(test_output, "begins anew"));
    assert_run_works("split " JOB "--seed 5 other.mkv");
    assert_run_works("run --part 1/2 -q other.mkv");
    shell("cp other.mkv.memsafe/segment-000001 mine.mkv.memsafe && rm -r other.mkv.memsafe");
    assert_run_fails(13, "mine.mkv.memsafe/segment-000001 is of another job", "join mine.mkv");
    assert_non_null(strstr(test_output, "\n  to go on, remove that file, then: " MS_CLI_PATH
                                        " run --part auto mine.mkv\n"));
    shell("rm mine.mkv.memsafe/segment-000001");
    assert_run_works("run --part auto mine.mkv");
    assert_run_works("join mine.mkv");
    assert_same("mine.mkv");
}

#if MS_HAVE_ONNX
#define FOUND                                                                                                \
    "-i in.avi -a in.wav -m model --faces " MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l "         \
    "--steps 2 --resolution 64 --codec ffv1 --segment 9 "

/* The command is kept from the beginning, so that the output's name is enough to go on. */
static void a_killed_split_says_how_to_go_on(void **state) {
    (void)state;
    shell(MS_CLI_PATH " split " FOUND "dead.mkv >dead.log 2>&1 & p=$!; "
                      "while kill -0 $p && ! test -e dead.mkv.memsafe/command; do sleep 0.01; done; "
                      "kill -KILL $p; wait $p; test $? = 137");
    assert_run_fails(11, "the job's faces are not all found: it must be split first", "join dead.mkv");
    assert_non_null(strstr(test_output, "\n  to go on: " MS_CLI_PATH " split --resume dead.mkv\n"));
    assert_null(strstr(test_output, "--resume goes on"));
    assert_run_fails(11, "it must be split first", "run --part auto dead.mkv");
    assert_non_null(strstr(test_output, "\n  to go on: " MS_CLI_PATH " split --resume dead.mkv\n"));
    assert_run_works("split --resume dead.mkv");
    assert_run_works("run --part auto dead.mkv");
    assert_run_works("join dead.mkv");
    assert_run_works("run " FOUND "found.mkv");
    shell("cmp dead.mkv found.mkv && rm dead.mkv found.mkv");
}
#endif

/* The C kernels are slow: a short part always, all of a job at length. */
static void a_part_by_the_c_kernels(void **state) {
    (void)state;
    assert_run_works("run " JOB "--steps 1 --frames 9 want-c.mkv");
    assert_run_works("split " JOB "--steps 1 --frames 9 c.mkv");
    setenv("MEMSAFE_ISA", "c", 1);
    assert_run_works("run --part 1/1 c.mkv");
    unsetenv("MEMSAFE_ISA");
    assert_run_works("join c.mkv");
    shell("cmp want-c.mkv c.mkv && rm want-c.mkv c.mkv");
}

/* The last segment's failure is heard of, though no frame is left to be handed on: it waits for nobody. */
static void a_part_that_cannot_write_ends(void **state) {
    (void)state;
    assert_run_works("split " JOB "--frames 9 full.mkv");
    assert_int_equal(test_shell("ulimit -f 60; MEMSAFE_HISTORY=off timeout 100 " MS_CLI_PATH
                                " run --part auto full.mkv 2>&1"),
                     11);
    assert_run_works("run --part auto full.mkv");
    assert_run_works("join full.mkv");
    assert_run_works("split " JOB "--frames 9 --resume full.mkv");
    assert_non_null(strstr(test_output, "nothing to do"));
}

static void wrong_words_are_refused(void **state) {
    (void)state;
    assert_run_fails(2, "/dev/stdin: each device has a process of its own",
                     "run " JOB "--track /dev/stdin --device cpu:2 none.mkv <in.jsonl");
    assert_false(test_exists("none.mkv.memsafe"));
    assert_run_fails(2, "--part: \"4\" is neither auto nor like 3/8", "run " JOB "--part 4 no.mkv");
    assert_run_fails(2, "part 4 of 3 is none", "run " JOB "--part 4/3 no.mkv");
    assert_run_fails(2, "part 0 of 3 is none", "run " JOB "--part 0/3 no.mkv");
    assert_run_fails(2, "--device: cpu:0: behind cpu stands how many workers there are",
                     "run " JOB "--device cpu:0 no.mkv");
    assert_run_fails(2, "--device: remote and remote:0 are one device",
                     "run " JOB "--device remote,remote:0 no.mkv");
    assert_run_fails(2, "--device: auto is one device by itself", "run " JOB "--device cpu,auto no.mkv");
    assert_run_fails(2, "--device: \"\" names no device", "run " JOB "--device cpu, no.mkv");
    assert_run_fails(2, "--device: more than 16 devices", "run " JOB "--device cpu:17 no.mkv");
    assert_run_fails(2, "it is a preview", "run " JOB "--device cpu:2 --preview no.mkv");
    assert_run_fails(2, "--part is of `memsafe run` alone", "split " JOB "--part auto no.mkv");
    assert_run_fails(11, "it must be split first", "run " JOB "--part auto no.mkv");
    assert_run_fails(2, "the output (OUT) of the job that was split is missing; see `memsafe help join`",
                     "join");
    assert_run_fails(11, "no command is kept in no.mkv.memsafe/command", "join no.mkv");
    assert_run_fails(2, "run-worker is started by a run, not by hand", "run-worker 1 cpu 0 0 1");
}

/* Anybody may have put the folder there: what it says replaces no files, and is no other command. */
static void a_hostile_command_does_little(void **state) {
    (void)state;
    assert_run_works("split " JOB "odd.mkv");
    shell("cp odd.mkv.memsafe/command good");
    shell("sed 's/\"words\": ./&\"--report\", \"want.mkv\", \"--force\", /' good > odd.mkv.memsafe/command");
    assert_run_works("run --part auto odd.mkv");
    assert_run_works("join odd.mkv");
    assert_same("odd.mkv");
    assert_run_works("split " JOB "odd.mkv");
    shell("echo '{\"folder\": \"/\", \"words\": [3]}' > odd.mkv.memsafe/command");
    assert_run_fails(13, "odd.mkv.memsafe/command is not the command that split a job", "join odd.mkv");
    shell("ln -sf ../good odd.mkv.memsafe/command");
    assert_run_fails(11, "no command is kept", "join odd.mkv");
    shell("rm -r odd.mkv.memsafe");
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_make_the_same_file),
        cmocka_unit_test(a_device_is_lost_in_mid_run),
        cmocka_unit_test(the_bar_goes_with_the_frames),
        cmocka_unit_test(several_devices_tell_one_run),
        cmocka_unit_test(what_is_kept_is_counted),
        cmocka_unit_test(a_worker_that_cannot_work_stops_nobody),
        cmocka_unit_test(ending_it_early_names_the_faces),
        cmocka_unit_test(an_unfinished_job_is_gone_on_with),
        cmocka_unit_test(parts_in_any_order),
        cmocka_unit_test(a_foreign_segment_is_made_again),
#if MS_HAVE_ONNX
        cmocka_unit_test(a_killed_split_says_how_to_go_on),
#endif
        cmocka_unit_test(a_part_by_the_c_kernels),
        cmocka_unit_test(a_part_that_cannot_write_ends),
        cmocka_unit_test(wrong_words_are_refused),
        cmocka_unit_test(a_hostile_command_does_little),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
