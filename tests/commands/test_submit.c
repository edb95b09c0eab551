/* `memsafe submit slurm` with stand-ins for Slurm's programs, which run the steps at once as processes. A
   real Slurm is in tests/slurm. */
#include "test.h"

#include "support/run_inputs.h"

/* Numbers are counted up in $SLURM_FAKE/next, states are lines of $SLURM_FAKE/states as squeue prints them,
   and scripts are kept as ID.sh. What is called is in $SLURM_FAKE/calls. HOLD: nothing is begun; REFUSE=ID:
   that one is not taken. DIE=N: the N-th task of an array is killed when it begins, and put back once.
   LATE=S: logs are seen so many seconds after their tasks have ended. SLOW=ID: that one is not taken before
   $SLURM_FAKE/go is there. FATAL: scancel dies. CLUSTER: whose numbers they are. What squeue is asked is in
   $SLURM_FAKE/asked. */
static const char fake_sbatch[] =
    "#!/bin/sh\n"
    "cd \"$SLURM_FAKE\" || exit 1\n"
    "echo \"sbatch $*\" >>calls\n"
    "id=$(($(cat next 2>/dev/null || echo 100) + 1)); echo $id >next\n"
    "if [ \"$REFUSE\" = $id ]; then echo 'sbatch: error: Batch job submission failed: Invalid account' >&2; "
    "exit 1; fi\n"
    "tasks='' log='' after='' name=''\n"
    "for w; do case $w in --array=1-*) tasks=${w#--array=1-} ;; --output=*) log=${w#--output=} ;;\n"
    "    --job-name=*) name=${w#--job-name=} ;;\n"
    "    --dependency=afterok:*) after=${w#--dependency=afterok:}; after=${after%%,*} ;; esac; done\n"
    "cat >$id.sh\n"
    "tell() { echo \"$1|$2|$3|None|$name\" >>states; }\n"
    "work() { # place\n"
    "    file=$(printf %s \"$log\" | sed \"s/%%/#/g; s/%j/$id/; s/%A/$id/; s/%a/$1/; s/#/%/g\")\n"
    "    if [ -n \"$DIE\" ] && [ \"$DIE\" = \"$1\" ]; then sh $id.sh >>\"$file\" 2>&1 & p=$!; "
    "until grep -q start \"$file\"; do sleep 0.02; done; kill -9 $p; wait $p; export SLURM_RESTART_COUNT=1; "
    "fi\n"
    "    seen=$file; if [ -n \"$LATE\" ]; then file=$PWD/late-$id-$1; fi\n"
    "    if SLURM_ARRAY_TASK_ID=$1 sh $id.sh >>\"$file\" 2>&1; then tell $id \"${1:-N/A}\" COMPLETED; else "
    "tell $id \"${1:-N/A}\" FAILED; fi\n"
    "    if [ -n \"$LATE\" ]; then (sleep $LATE; mv \"$file\" \"$seen\") & fi\n"
    "}\n"
    "if [ -n \"$HOLD\" ]; then tell $id N/A PENDING\n"
    "elif [ -n \"$after\" ] && ! grep -q \"^$after|N/A|COMPLETED\" states; then tell $id \"${tasks:+1}\" "
    "CANCELLED\n"
    "elif [ -n \"$tasks\" ]; then for i in $(seq $tasks); do work $i; done\n"
    "else work ''; fi\n"
    "while [ \"$SLOW\" = $id ] && [ ! -e go ]; do sleep 0.02; done\n"
    "echo \"$id${CLUSTER:+;$CLUSTER}\"\n";
static const char fake_squeue[] =
    "#!/bin/sh\necho \"$*\" >>\"$SLURM_FAKE/asked\"\ncat \"$SLURM_FAKE/states\"\n";
static const char fake_scancel[] = "#!/bin/sh\n"
                                   "if [ -n \"$FATAL\" ]; then kill -9 $$; fi\n"
                                   "cd \"$SLURM_FAKE\" && echo \"scancel $*\" >>calls\n"
                                   "sed -i 's/PENDING/CANCELLED/' states 2>/dev/null || true\n";

static void write_program(const char *name, const char *text) {
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, 0755), 0);
}

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(20, 24);
    assert_int_equal(chdir(test_dir()), 0);
    test_set_history("history.db");
    assert_int_equal(mkdir("bin", 0755), 0);
    write_program("bin/sbatch", fake_sbatch);
    write_program("bin/squeue", fake_squeue);
    write_program("bin/scancel", fake_scancel);
    char path[8192];
    snprintf(path, sizeof(path), "%s/bin:%s", test_dir(), getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("SLURM_FAKE", test_file("fake"), 1);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void shell_says(const char *line) {
    if (test_shell(line) != 0)
        fail_msg("failed: %s: %s", line, test_output);
}

static int begin_anew(void **state) {
    (void)state;
    shell_says("rm -rf fake && mkdir fake && touch fake/states");
    static const char *const kinds[] = {"HOLD", "REFUSE", "DIE", "LATE", "SLOW", "CLUSTER", "FATAL"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        unsetenv(kinds[i]); /* of a case that failed */
    return 0;
}

#define JOB                                                                                                  \
    "-i in.avi -a in.wav -m model --track in.jsonl --steps 1 --resolution 64 --codec ffv1 --segment 9 "

static void a_cluster_makes_the_file_of_a_run(void **state) {
    (void)state;
    assert_run_works("run " JOB "want.mkv");
    assert_run_works("submit slurm " JOB "--tasks 2 --cpus 1 --partition long --gres gpu:1 --time-limit 9 "
                     "--sbatch=--account=film --sbatch --qos=low --report r.json -y 'odd %%j '\\''name.mkv'");
    assert_non_null(strstr(test_output, "split is job 101, 2 tasks are job 102, join is job 103\n"));
    assert_non_null(strstr(test_output, "name.mkv: 26 frames of 160x144, 25 a second"));
    shell_says("cmp want.mkv odd*.mkv && test -s r.json && test ! -e odd*.memsafe && test ! -e odd*.slurm");
    shell_says(
        "test $(grep -c -- '^sbatch --parsable .*--partition=long --gres=gpu:1 --time=9 --cpus-per-task=1 "
        "--account=film --qos=low$' fake/calls) = 3");
    shell_says("grep -q -- ' --dependency=afterok:101 --kill-on-invalid-dep=yes --array=1-2 ' fake/calls");
    shell_says("grep -q -- ' --dependency=afterok:101,afterany:102 --kill-on-invalid-dep=yes ' fake/calls");
    /* Each step has what is its own, and none what is submit's. */
    shell_says("grep -q -- ' split .*RESTART.* --threads 1 -i in.avi .* -y ' fake/101.sh");
    shell_says("grep -q -- ' run --part auto .* --threads 1 -i in.avi ' fake/102.sh");
    shell_says("grep -q -- ' join .* --report r.json -y ' fake/103.sh");
    shell_says("! grep -q -- '--report' fake/101.sh fake/102.sh");
    shell_says("! grep -q -- ' -y' fake/102.sh");
    shell_says("! grep -qE -- '--(tasks|partition|gres|sbatch|cpus|time-limit)' fake/*.sh");
    shell_says("mv odd*.mkv odd.mkv");
}

static void what_is_missing_is_made(void **state) {
    (void)state;
    assert_run_fails(11, "exists already; -y replaces it", "submit slurm " JOB "odd.mkv");
    assert_run_works("submit slurm " JOB "--resume odd.mkv --progress json");
    assert_non_null(strstr(test_output, "\"already_finished\": true"));
    shell_says("tail -n 1 fake/calls | grep -qx 'scancel 101 102 103'");
    assert_run_works("submit slurm " JOB "--tasks 1 -y odd.mkv"); /* job 104 and those behind it */
    shell_says("cmp want.mkv odd.mkv && test ! -e odd.mkv.memsafe");
    assert_run_works("split " JOB "half.mkv");
    assert_run_works("run " JOB "--part 1/2 half.mkv");
    assert_run_fails(11, "an unfinished job is there", "submit slurm " JOB "half.mkv");
    assert_run_works("submit slurm " JOB "half.mkv --resume --progress json");
    assert_non_null(strstr(test_output,
                           "{\"event\": \"slurm\", \"tasks\": 8, \"resumed\": false, \"split\": \"110\", "
                           "\"parts\": \"111\", \"join\": \"112\"}"));
    assert_non_null(strstr(test_output, "\"fraction\": 1, "));
    assert_non_null(strstr(test_output, "\"frames\": 26, "));
    shell_says("cmp want.mkv half.mkv && test ! -e half.mkv.slurm && rm half.mkv");
}

/* What begins again goes on in its log; a task that fails stops nobody, and where all fail it is the error */
static void failures_are_told(void **state) {
    (void)state;
    setenv("DIE", "1", 1);
    assert_run_works("submit slurm " JOB "--tasks 2 again.mkv");
    unsetenv("DIE");
    assert_non_null(strstr(test_output, "task 1 of 2 (job 102_1) was put back into the queue by Slurm"));
    shell_says("cmp want.mkv again.mkv");
    assert_run_fails(3, "task 2 of 2 (job 105_2) failed: a budget of 1.00 MiB is too small",
                     "submit slurm " JOB "--tasks 2 -b 1M none.mkv");
    assert_non_null(strstr(test_output, "  what the steps said is in none.mkv.slurm\n"));
    shell_says("test -s none.mkv.slurm/join-106.log && rm -r none.mkv.*");
    assert_run_fails(11, "nonsuch", "submit slurm " JOB "-m nonsuch none.mkv");
    assert_null(strstr(test_output, "task 1 of")); /* which had nothing to begin with */
}

static void what_slurm_refuses_leaves_nothing_there(void **state) {
    (void)state;
    setenv("HOLD", "1", 1);
    setenv("REFUSE", "103", 1);
    assert_run_fails(11, "Slurm does not take memsafe-join: Batch job submission failed: Invalid account",
                     "submit slurm " JOB "no.mkv");
    unsetenv("REFUSE");
    shell_says("tail -n 1 fake/calls | grep -qx 'scancel 101 102' && test ! -e no.mkv.slurm");
    assert_int_equal(test_shell("PATH=/nonexistent " MS_CLI_PATH " submit slurm " JOB "no.mkv 2>&1"), 11);
    assert_non_null(strstr(test_output, "sbatch is not here: this machine must have Slurm's programs"));
    assert_non_null(strstr(test_output, "slurm-client"));
    assert_run_works("submit slurm " JOB "--no-follow no.mkv");
    assert_non_null(strstr(test_output, "squeue -j 104,105,106 shows them, scancel 104 105 106 ends them"));
    unsetenv("HOLD");
}

/* Once Slurm was asked how it goes. */
#define INTERRUPTED " 2>&1 & p=$!; until test -s fake/asked; do sleep 0.02; done; kill -INT $p; wait $p"

static void ctrl_c_cancels_all_of_it(void **state) {
    (void)state;
    setenv("HOLD", "1", 1);
    int code = test_shell(MS_CLI_PATH " submit slurm " JOB "stop.mkv" INTERRUPTED);
    if (code != 10 || !strstr(test_output, "cancelled, and all its jobs in Slurm with it"))
        fail_msg("%d: %s", code, test_output);
    shell_says("tail -n 1 fake/calls && tail -n 1 fake/calls | grep -qx 'scancel 101 102 103'");
    /* What was not cancelled is not said to be. */
    begin_anew(NULL);
    setenv("HOLD", "1", 1);
    setenv("FATAL", "1", 1);
    code = test_shell(MS_CLI_PATH " submit slurm " JOB "fatal.mkv" INTERRUPTED);
    if (code != 10 || !strstr(test_output, "cancelled, but Slurm's jobs may go on: scancel was killed"))
        fail_msg("%d: %s", code, test_output);
}

/* While sbatch waits for its controller, too; what it answers then is cancelled, and no more is submitted. */
static void ctrl_c_is_heard_while_sbatch_waits(void **state) {
    (void)state;
    static const struct {
        const char *slow, *option, *cancelled;
    } cases[] = {{"101", "", "scancel 101"}, {"103", "--no-follow ", "scancel 101 102 103"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin_anew(NULL);
        setenv("HOLD", "1", 1);
        setenv("SLOW", cases[i].slow, 1);
        char line[2000];
        snprintf(line, sizeof(line),
                 MS_CLI_PATH " submit slurm " JOB "%s slow.mkv 2>&1 & p=$!; "
                             "until test -s fake/%s.sh; do sleep 0.02; done; kill -INT $p; sleep 0.5; "
                             "touch fake/go; wait $p",
                 cases[i].option, cases[i].slow);
        const int code = test_shell(line);
        if (code != 10 || !strstr(test_output, "cancelling as soon as sbatch answers") ||
            !strstr(test_output, "cancelled, and what was submitted with it"))
            fail_msg("%d: %s", code, test_output);
        snprintf(line, sizeof(line), "tail -n 1 fake/calls | grep -qx '%s' && test ! -e slow.mkv.slurm",
                 cases[i].cancelled);
        shell_says(line);
    }
    unsetenv("SLOW");
    unsetenv("HOLD");
}

/* A job's number is one of its cluster: another one's job of that number is left alone. */
static void numbers_are_of_their_cluster(void **state) {
    (void)state;
    setenv("CLUSTER", "far", 1);
    assert_run_works("submit slurm " JOB "--tasks 1 --sbatch=--clusters=far,near -y far.mkv");
    shell_says("cmp want.mkv far.mkv && rm far.mkv");
    shell_says("grep -q -- '-M far$' fake/asked && ! grep -qv -- '-M far$' fake/asked");
    shell_says("test $(grep -c -- '^sbatch .* --clusters=far$' fake/calls) = 2"); /* array and join */
    setenv("HOLD", "1", 1);
    assert_run_works("submit slurm " JOB "--no-follow far.mkv");
    assert_non_null(strstr(test_output, "squeue -M far -j 104,105,106 shows them, scancel -M far 104 105 106 "
                                        "ends them"));
    setenv("REFUSE", "109", 1);
    assert_run_fails(11, "Invalid account", "submit slurm " JOB "refused.mkv");
    shell_says("tail -n 1 fake/calls | grep -qx 'scancel -M far 107 108'");
    setenv("CLUSTER", "far; rm", 1);
    assert_run_fails(11, "sbatch gave no job's number", "submit slurm " JOB "refused.mkv");
    /* It is not ended by a number that may be another cluster's; its own words say which it is. */
    assert_non_null(strstr(test_output, "but \"110;far; rm\""));
    shell_says("tail -n 1 fake/calls | grep -q ^sbatch");
    unsetenv("REFUSE");
    unsetenv("HOLD");
    unsetenv("CLUSTER");
}

/* On a network file system Slurm may be heard before the log is seen: the task's own error is waited for. */
static void a_log_that_comes_late_is_waited_for(void **state) {
    (void)state;
    setenv("LATE", "3", 1);
    assert_run_fails(3, "a budget of 1.00 MiB is too small", "submit slurm " JOB "--tasks 1 -b 1M late.mkv");
    unsetenv("LATE");
    shell_says("sleep 1; rm -rf late.mkv.*"); /* what comes now */
}

/* Whoever ends first would take the other's logs away. */
static void one_submit_of_an_output_at_a_time(void **state) {
    (void)state;
    setenv("HOLD", "1", 1);
    const int code = test_shell(
        MS_CLI_PATH
        " submit slurm " JOB "both.mkv >first 2>&1 & p=$!; "
        "until test -e both.mkv.slurm/in-use && test -s fake/103.sh; do sleep 0.02; done; " MS_CLI_PATH
        " submit slurm " JOB "both.mkv 2>&1; code=$?; "
        "kill -INT $p; wait $p; test $? = 10 && exit $code");
    if (code != 11 ||
        !strstr(test_output, "both.mkv.slurm: another memsafe submit of this output is being followed"))
        fail_msg("%d: %s", code, test_output);
    shell_says(
        "test ! -e both.mkv.slurm/in-use && ! grep -q '^sbatch.*104' fake/calls && test ! -e fake/104.sh");
    assert_run_works("submit slurm " JOB "--no-follow both.mkv"); /* and another one afterwards */
    shell_says("test -d both.mkv.slurm && test ! -e both.mkv.slurm/in-use");
    unsetenv("HOLD");
}

/* Whoever followed it is gone, or nobody did. */
static void what_is_still_in_slurm_is_followed(void **state) {
    (void)state;
    setenv("HOLD", "1", 1);
    assert_run_works("submit slurm " JOB "--tasks 3 --no-follow kept.mkv");
    assert_run_fails(
        11,
        "kept.mkv: jobs 101,102,103 of an earlier submit are still in Slurm; --resume follows them; "
        "scancel 101 102 103 ends them",
        "submit slurm " JOB "kept.mkv");
    assert_run_fails(11, "and they were asked for otherwise",
                     "submit slurm " JOB "--resume --paste mouth kept.mkv");
    assert_run_works("submit slurm " JOB "--resume --no-follow kept.mkv -q --progress json");
    assert_non_null(strstr(test_output, "\"tasks\": 3, \"resumed\": true, \"split\": \"101\", "));
    assert_run_works("submit slurm " JOB "--resume --tasks 2 -y --no-follow kept.mkv");
    assert_non_null(strstr(test_output, "still at work"));
    assert_non_null(strstr(test_output, "--tasks 2 is not for jobs that are in Slurm already: they are 3"));
    shell_says("test $(grep -c ^sbatch fake/calls) = 3 && test $(cat fake/next) = 103");
    /* Other jobs have these numbers; and what has ended. */
    shell_says("sed -i 's/memsafe-/other-/' fake/states");
    assert_run_works("submit slurm " JOB "--no-follow kept.mkv");
    shell_says("test $(cat fake/next) = 106 && sed -i 's/PENDING/COMPLETED/' fake/states");
    unsetenv("HOLD");
    /* Its logs say how it went, though it is over when it is taken up. */
    assert_run_works("submit slurm " JOB "--resume kept.mkv");
    shell_says("test $(cat fake/next) = 109 && cmp want.mkv kept.mkv && test ! -e kept.mkv.slurm");
    shell_says("rm kept.mkv");
}

/* The folder may be others' to write in: what is noted there goes on command lines. */
static void a_damaged_note_is_none(void **state) {
    (void)state;
    static const char *const damage[] = {
        "s/split\": \"/&-/",      "s/split\": \"[0-9]*/split\": \"/", "s/8/1001/", "s/8/0/", "s/}//",
        "s/cluster\": \"/&$(id)/"};
    char line[256];
    setenv("HOLD", "1", 1);
    assert_run_works("submit slurm " JOB "--no-follow noted.mkv");
    assert_run_fails(11, "still in Slurm", "submit slurm " JOB "--no-follow noted.mkv");
    shell_says("cp noted.mkv.slurm/jobs good");
    for (int i = 0; i < (int)(sizeof(damage) / sizeof(damage[0])); i++) {
        snprintf(line, sizeof(line),
                 "sed '/asked/{s/asked\": \"[0-9a-f]*/asked\": \"/;%s}' good >noted.mkv.slurm/jobs",
                 damage[i]);
        shell_says(line);
        assert_run_works("submit slurm " JOB "--no-follow noted.mkv");
        snprintf(line, sizeof(line), "test $(cat fake/next) = %d", 106 + 3 * i);
        shell_says(line);
    }
    unsetenv("HOLD");
    shell_says("rm -r noted.mkv.slurm");
}

static void a_batch_is_an_array(void **state) {
    (void)state;
    FILE *f = fopen("jobs.jsonl", "w");
    assert_non_null(f);
    for (int i = 1; i <= 3; i++)
        fprintf(f, "{\"video\": \"in.avi\", \"audio\": \"in%s.wav\", \"out\": \"b%d.mkv\"}\n",
                i == 3 ? "3" : "", i);
    assert_int_equal(fclose(f), 0);
#define BATCH "jobs.jsonl -m model --track in.jsonl --steps 1 --resolution 64 --codec ffv1 --segment 9 "
    assert_run_fails(11, "jobs.jsonl:3: b3.mkv: cannot read in3.wav", "submit slurm " BATCH "--tasks 2");
    assert_non_null(strstr(test_output, "3 clips of jobs.jsonl in Slurm, as job 101 of 2 tasks\n"));
    assert_non_null(strstr(test_output, "2 made, 1 failed\nmemsafe: 1 of 3 jobs failed\n"));
    shell_says("cmp want.mkv b1.mkv && cmp want.mkv b2.mkv && cp in.wav in3.wav");
    assert_run_works("submit slurm " BATCH "--tasks 50");
    assert_non_null(strstr(test_output, "1 made, 2 finished before\n"));
    shell_says("cmp want.mkv b3.mkv && grep -q -- ' --array=1-3$' fake/calls && test ! -e jobs.jsonl.slurm");
    shell_says("echo '[1]' >>jobs.jsonl"); /* seen before anything waits for a node */
    assert_run_fails(2, "jobs.jsonl:4: a job is an object", "submit slurm " BATCH);
}

static void wrong_words_are_refused(void **state) {
    (void)state;
    assert_run_fails(2, "\"pbs\" is no scheduler that memsafe knows", "submit pbs " JOB "no.mkv");
    assert_run_fails(2, "the tasks share the work out", "submit slurm " JOB "--part auto no.mkv");
    assert_run_fails(2, "--preview is of `memsafe run` alone", "submit slurm " JOB "--preview no.mkv");
    assert_run_fails(2, "a video (-i FILE) is missing", "submit slurm");
    assert_run_fails(2, "the speech (-a FILE) is missing", "submit slurm -i in.avi no.mkv");
    assert_run_fails(11, "cannot read none.wav", "submit slurm -i in.avi -a none.wav no.mkv");
    assert_run_fails(2, "did you mean --partition", "submit slurm " JOB "--partitoin x no.mkv");
    assert_run_fails(2, "a file or a folder that its nodes see", "submit slurm -");
    assert_run_fails(2, "in.avi is a file that is read", "submit slurm " JOB "in.avi -y");
    assert_run_fails(2, "--threads: -2 is no number of threads", "submit slurm " JOB "no.mkv --threads -2");
    assert_run_fails(2, "backslash", "submit slurm " JOB "'no\\.mkv'");
    shell_says("test ! -e fake/calls");
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_cluster_makes_the_file_of_a_run, begin_anew),
        cmocka_unit_test_setup(what_is_missing_is_made, begin_anew),
        cmocka_unit_test_setup(failures_are_told, begin_anew),
        cmocka_unit_test_setup(what_slurm_refuses_leaves_nothing_there, begin_anew),
        cmocka_unit_test_setup(ctrl_c_cancels_all_of_it, begin_anew),
        cmocka_unit_test_setup(ctrl_c_is_heard_while_sbatch_waits, begin_anew),
        cmocka_unit_test_setup(numbers_are_of_their_cluster, begin_anew),
        cmocka_unit_test_setup(a_log_that_comes_late_is_waited_for, begin_anew),
        cmocka_unit_test_setup(one_submit_of_an_output_at_a_time, begin_anew),
        cmocka_unit_test_setup(what_is_still_in_slurm_is_followed, begin_anew),
        cmocka_unit_test_setup(a_damaged_note_is_none, begin_anew),
        cmocka_unit_test_setup(a_batch_is_an_array, begin_anew),
        cmocka_unit_test_setup(wrong_words_are_refused, begin_anew),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
