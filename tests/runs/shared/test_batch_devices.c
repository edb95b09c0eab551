/* A batch that several devices share: each clip is what its own run makes, whoever made it or died. */
#include "test.h"

#include "support/run_inputs.h"

#define CLIPS 4
#define ALL "-m model --track in.jsonl --resolution 64 --codec ffv1 --segment 9 "

/* Lines of "name0.mkv" to "name3.mkv". */
static void write_list(const char *name) {
    char path[64];
    snprintf(path, sizeof(path), "%s.jsonl", name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < CLIPS; i++)
        fprintf(f, "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"%s%d.mkv\", \"seed\": %d}\n",
                name, i, i);
    assert_int_equal(fclose(f), 0);
}

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(20, 24);
    assert_int_equal(chdir(test_dir()), 0);
    test_set_history("history.db");
    for (int i = 0; i < CLIPS; i++) {
        char line[200];
        snprintf(line, sizeof(line), "run -i in.avi -a in.wav " ALL "--steps 3 --seed %d want%d.mkv", i, i);
        assert_run_works(line);
    }
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void assert_same(const char *name) {
    for (int i = 0; i < CLIPS; i++)
        shell("cmp want%d.mkv %s%d.mkv && test ! -e %s%d.mkv.memsafe", i, name, i, name, i);
}

static int count(const char *what) {
    int n = 0;
    for (const char *at = test_output; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

/* It never falls, and 1 is told once. */
static void check_fraction(void) {
    double last = 0;
    for (const char *at = test_output; (at = strstr(at, "\"fraction\": ")) != NULL; at++) {
        assert_true(atof(at + 12) > last || (atof(at + 12) == last && last < 1));
        last = atof(at + 12);
    }
    assert_true(last == 1);
}

static void workers_share_the_clips(void **state) {
    (void)state;
    write_list("two");
    assert_run_works("batch two.jsonl " ALL "--steps 3 --device cpu:2 --report reports");
    assert_same("two");
    assert_non_null(strstr(test_output, "[1/4] two0.mkv on cpu\n"));
    assert_non_null(strstr(test_output, "two3.mkv: 26 frames of 160x144"));
    assert_non_null(strstr(test_output, "4 made\n"));
    assert_int_equal(count("the model's weights are random"), 1); /* told once, not by each */
    shell("test $(grep -l '\"frames\": 26' reports/two?.json | wc -l) = 4");

    assert_run_works("batch two.jsonl " ALL "--steps 3 --device cpu:2 -y --progress json 2>&1");
    const char *second = strstr(test_output, "\"event\": \"job\", \"job\": 2"),
               *end = strstr(test_output, "\"event\": \"job-end\"");
    assert_true(second && end && second < end); /* both work at once */
    check_fraction();
    assert_same("two");
    assert_run_works("batch two.jsonl " ALL "--steps 3 --device cpu,remote --progress json --resume 2>&1");
    assert_int_equal(count("\"state\": \"finished-before\""), CLIPS);
    assert_int_equal(count("\"event\": \"job\", "), CLIPS);
    assert_int_equal(count("\"device\": \""), CLIPS);
    assert_non_null(strstr(test_output, "\"made\": 0, \"finished_before\": 4, \"failed\": 0, \"left\": 0"));
}

/* A part of the list, a clip that fails, and a worker that cannot work at all. */
static void failures_stop_nobody(void **state) {
    (void)state;
    write_list("odd");
    shell("sed -i 's/in.wav\", \"out\": \"odd1/none.wav\", \"out\": \"odd1/' odd.jsonl");
    assert_run_fails(11, "memsafe: odd.jsonl:2: odd1.mkv: cannot read none.wav",
                     "batch odd.jsonl " ALL "--steps 3 --device cpu:2 --part 2/2");
    assert_non_null(strstr(test_output, "1 made, 1 failed\n"));
    shell("cmp odd3.mkv want3.mkv && test ! -e odd0.mkv && test ! -e odd2.mkv && cp in.wav none.wav");
    assert_run_works("batch odd.jsonl " ALL
                     "--steps 3 --device remote,cpu --host-budget 9G -b 1M --resume 2>&1");
    assert_non_null(strstr(test_output, ": remote: a budget of 1.00 MiB is too small: "));
    assert_non_null(strstr(test_output, "; another device takes it\n"));
    assert_non_null(strstr(test_output, "3 made, 1 finished before\n"));
    assert_same("odd");
    write_list("none");
    assert_run_fails(3, "needs at least", "batch none.jsonl " ALL "--steps 3 --device cpu:2 -b 4M");
    shell("test ! -e none0.mkv");
}

/* Names, lists and workers of odd kinds: each clip ends in one way or another, and nobody waits for ever. */
static void odd_batches_end(void **state) {
    (void)state;
    char line[9600];
    memset(line, 'n', sizeof(line));
    snprintf(line + 9000, 100, ".mkv");
    FILE *f = fopen("long.jsonl", "w");
    assert_non_null(f);
    fprintf(f, "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"%s\"}\n", line);
    fprintf(f, "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"short.mkv\"}\n");
    assert_int_equal(fclose(f), 0);
    assert_int_equal(
        test_shell("timeout 100 " MS_CLI_PATH " batch long.jsonl " ALL "--steps 1 --device cpu:2 2>&1"), 2);
    assert_non_null(strstr(test_output, "1 made, 1 failed\n"));
    assert_int_equal(
        test_shell("timeout 20 " MS_CLI_PATH " batch /dev/stdin " ALL "--device cpu:2 <long.jsonl 2>&1"), 2);
    shell("echo '{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"s.mkv\", \"report\": "
          "\"self.jsonl\"}' > "
          "self.jsonl");
    assert_run_fails(2, "the report self.jsonl is a file that is read",
                     "batch self.jsonl -y " ALL "--device cpu:2");
    assert_run_fails(2, "not -5", "batch two.jsonl " ALL "--device cpu:2 --threads -5");
    assert_run_fails(2, "not 20000", "batch two.jsonl " ALL "--device cpu:2 --threads 20000");
    /* One that is asked to end gives its clip to the other. */
    write_list("asked");
    shell(
        MS_CLI_PATH
        " batch asked.jsonl " ALL "--steps 3 --device cpu:2 >asked.log 2>&1 & p=$!; "
        "while kill -0 $p && ! test -e asked0.mkv.memsafe/segment-000001; do sleep 0.02; done; "
        "read -r w rest < /proc/$p/task/$p/children; kill -TERM $w; wait $p && grep -q '^4 made$' asked.log");
    assert_same("asked");
    assert_run_works("batch asked.jsonl " ALL "--steps 3 --device cpu:2 -v -y");
    assert_null(strstr(test_output, " tier,  weights"));
}

/* Killed as soon as a clip has a segment: it goes on elsewhere. */
static void a_dead_workers_clip_goes_on(void **state) {
    (void)state;
    write_list("dead");
    shell(MS_CLI_PATH " batch dead.jsonl " ALL "--steps 3 --device cpu:2 >dead.log 2>&1 & p=$!; "
                      "while kill -0 $p && ! test -e dead0.mkv.memsafe/segment-000001; do sleep 0.02; done; "
                      "read -r w rest < /proc/$p/task/$p/children; kill -9 $w; wait $p");
    assert_same("dead");
    shell(
        "grep -q 'the worker on cpu ended: it was ended by signal 9 (Killed); the others go on' dead.log && "
        "grep -q '^4 made$' dead.log && test $(grep -c ' on cpu$' dead.log) = 5");
}

static void what_is_left_is_counted(void **state) {
    (void)state;
    write_list("kept");
    shell(MS_CLI_PATH " batch kept.jsonl " ALL "--steps 3 --device cpu:2 >kept.log 2>&1 & p=$!; "
                      "while kill -0 $p && ! test -e kept1.mkv.memsafe/segment-000001; do sleep 0.02; done; "
                      "kill -TERM $p; wait $p; test $? = 10 && "
                      "grep -q 'cancelled: [234] of 4 jobs are left' kept.log");
    assert_run_works("batch kept.jsonl " ALL "--steps 3 --device cpu:2 --resume");
    assert_same("kept");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_share_the_clips), cmocka_unit_test(failures_stop_nobody),
        cmocka_unit_test(odd_batches_end),         cmocka_unit_test(a_dead_workers_clip_goes_on),
        cmocka_unit_test(what_is_left_is_counted),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
