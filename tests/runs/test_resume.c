/* Runs that end before their time: killed, cancelled, out of disk, with inputs that change. What was finished
   is kept, and the resumed file has the bytes of an uninterrupted run. */
#include "test.h"

#include <signal.h>
#include <sys/xattr.h>

#include "job/journal.h"
#include "support/resume.h"
#include "text/json.h"

/* ---- */

static const struct {
    const char *codec, *container;
} codecs[] = {{"ffv1", "mkv"}, {"h264", "mp4"}, {"hevc", "mkv"}};

static void killed_runs_are_resumed_to_the_same_bytes(void **state) {
    (void)state;
    enter_dir();
    for (int i = 0; i < 3; i++) {
        char want[64], got[64], folder[96], arguments[512], segment[128];
        snprintf(want, sizeof(want), "want-%s.%s", codecs[i].codec, codecs[i].container);
        snprintf(got, sizeof(got), "got-%s.%s", codecs[i].codec, codecs[i].container);
        snprintf(folder, sizeof(folder), "%s.memsafe", got);
        assert_run_works(SHORT "--codec %s -o %s", codecs[i].codec, want);
        /* Forward, and at the turn, and on the way back. */
        static const int after[] = {0, 3, 4};
        for (int k = i ? 2 : 0; k < 3; k++) {
            snprintf(arguments, sizeof(arguments), SHORT "--codec %s -o %s --resume --threads %d",
                     codecs[i].codec, got, 1 + k % 2);
            snprintf(segment, sizeof(segment), "%s/segment-%06d", folder, after[k]);
            pid_t pid = start(arguments, "log");
            int status = 0;
            if (!await_file(pid, segment, &status)) {
                read_log("log");
                fail_msg("it ended before segment %d: %s", after[k], test_output);
            }
            sleep_ms(7 * k);
            kill(pid, SIGKILL);
            await_end(pid);
            assert_true(test_exists(folder));
            assert_false(test_exists(got));
        }
        assert_run_works(SHORT "--codec %s -o %s --resume", codecs[i].codec, got);
        assert_non_null(strstr(test_output, "were finished by an earlier run"));
        assert_same_bytes(want, got);
        assert_false(test_exists(folder));
    }
}

/* x264's AVX-512 code steered by memory that nobody had written. glibc fills new memory with a byte that is
   asked for; elsewhere, as under a sanitizer, this shows nothing. */
static void what_memory_held_before_does_not_matter(void **state) {
    (void)state;
    enter_dir();
    for (int i = 0; i < 3; i++) {
        char names[2][64];
        static const char *const bytes[] = {"1", "170"};
        for (int k = 0; k < 2; k++) {
            snprintf(names[k], sizeof(names[k]), "%s-%s.%s", bytes[k], codecs[i].codec, codecs[i].container);
            setenv("MALLOC_PERTURB_", bytes[k], 1);
            assert_run_works(ARGUMENTS "--video in.avi --frames 20 --codec %s -o %s", codecs[i].codec,
                             names[k]);
            unsetenv("MALLOC_PERTURB_");
            if (k)
                assert_same_bytes(names[0], names[k]);
        }
    }
}

#if MS_HAVE_ONNX
/* Faces that are found, not read: the tracker's state is in the journal too. */
static void runs_that_find_faces_are_resumed(void **state) {
    (void)state;
    enter_dir();
    static const char found[] =
        "run --audio in.wav --model model --steps 1 --guidance 1 --resolution 64 --segment 8 "
        "--faces " MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l --video in.avi --frames 48 "
        "--codec ffv1 ";
    char resumed[1024];
    assert_run_works("%s -o found.mkv", found);
    assert_null(strstr(test_output, "without a usable face"));
    snprintf(resumed, sizeof(resumed), "%s -o refound.mkv --resume", found);
    static const char *const after[] = {"refound.mkv.memsafe/segment-000001",
                                        "refound.mkv.memsafe/segment-000003"};
    for (int i = 0; i < 2; i++) {
        pid_t pid = start(resumed, "log");
        int status = 0;
        if (!await_file(pid, after[i], &status)) {
            read_log("log");
            fail_msg("it ended before %s: %s", after[i], test_output);
        }
        kill(pid, SIGKILL);
        await_end(pid);
    }
    assert_run_works("%s", resumed);
    assert_non_null(strstr(test_output, "were finished by an earlier run"));
    assert_same_bytes("found.mkv", "refound.mkv");
}
#endif

/* Leaves a job with at least one segment. */
static void interrupt(const char *output, int number) {
    char arguments[512], segment[128];
    snprintf(arguments, sizeof(arguments), SHORT "--codec ffv1 -o %s", output);
    snprintf(segment, sizeof(segment), "%s.memsafe/segment-000002", output);
    pid_t pid = start(arguments, "log");
    int status = 0;
    assert_true(await_file(pid, segment, &status));
    kill(pid, number);
    int code = await_end(pid);
    assert_int_equal(code, number == SIGKILL ? -SIGKILL : ms_status_exit_code(MS_CANCELLED));
}

static void fresh_copy(const char *of, const char *name) {
    shell("rm -rf %s && cp -r %s %s", name, of, name);
}

/* What an uninterrupted run makes, and an unfinished job of it: made by the first who asks, so that each test
   can be run alone. */
static void enter_with_a_whole(void) {
    enter_dir();
    if (!test_exists("want-ffv1.mkv"))
        assert_run_works(SHORT "--codec ffv1 -o want-ffv1.mkv");
}

static void enter_with_a_saved_job(void) {
    enter_with_a_whole();
    if (test_exists("saved"))
        return;
    /* Not by a kill: one within a transaction leaves what undoes some damage to the journal. */
    interrupt("bad.mkv", SIGINT);
    shell("mv bad.mkv.memsafe saved");
}

static void interrupting_leaves_a_job_and_says_so(void **state) {
    (void)state;
    enter_with_a_whole();
    interrupt("int.mkv", SIGINT);
    assert_log_says("log", "cancelled after");
    assert_log_says("log", "of 60 frames are kept in int.mkv.memsafe\n  to go on: ");
    assert_false(test_exists("int.mkv"));
    assert_run_works(SHORT "--codec ffv1 -o int.mkv --resume");
    assert_same_bytes("want-ffv1.mkv", "int.mkv");
}

static void another_job_is_not_taken_over(void **state) {
    (void)state;
    enter_with_a_whole();
    interrupt("job.mkv", SIGKILL);
    assert_run_fails(ms_status_exit_code(MS_IO), "an unfinished job is there",
                     SHORT "--codec ffv1 -o job.mkv");
    assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT), "the unfinished job has steps 1, not 2",
                     SHORT "--codec ffv1 -o job.mkv --resume --steps 2");
    assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT), "has seed 1247, not 5",
                     SHORT "--codec ffv1 -o job.mkv --resume --seed 5");
    assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT), "has paste face, not mouth",
                     SHORT "--codec ffv1 -o job.mkv --resume --paste mouth");
    assert_int_equal(system("cp in.wav other.wav && printf x >> other.wav"), 0);
    assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT),
                     "begun with another file as the audio: it had 358444 bytes, other.wav has 358445; -y",
                     SHORT "--codec ffv1 -o job.mkv --resume --audio other.wav");
    assert_int_equal(system("cp in.wav other.wav"), 0);
    assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT),
                     "but it was written or copied since; -y begins anew",
                     SHORT "--codec ffv1 -o job.mkv --resume --audio other.wav");
    /* It is still good for the run that it belongs to, and --force throws it away. */
    assert_run_works(SHORT "--codec ffv1 -o job.mkv --resume");
    assert_non_null(strstr(test_output, "were finished by an earlier run"));
    assert_same_bytes("want-ffv1.mkv", "job.mkv");
    interrupt("job2.mkv", SIGKILL);
    assert_run_works(SHORT "--codec ffv1 -o job2.mkv --force");
    assert_null(strstr(test_output, "were finished by an earlier run"));
    assert_same_bytes("want-ffv1.mkv", "job2.mkv");
    assert_false(test_exists("job2.mkv.memsafe"));
}

/* Nothing was finished, so nothing is lost: a plain run need not be told to. */
static void a_folder_without_finished_segments_is_no_job(void **state) {
    (void)state;
    enter_with_a_whole();
    pid_t pid = start(SHORT "--codec ffv1 -o soon.mkv", "log");
    int status = 0;
    assert_true(await_file(pid, "soon.mkv.memsafe/journal.db", &status));
    kill(pid, SIGKILL);
    await_end(pid);
    assert_true(test_exists("soon.mkv.memsafe"));
    assert_run_works(SHORT "--codec ffv1 -o soon.mkv");
    assert_same_bytes("want-ffv1.mkv", "soon.mkv");
    assert_false(test_exists("soon.mkv.memsafe"));
}

/* What depends on more than the parameters: nothing is kept, and nothing is promised. */
static void what_cannot_be_resumed_does_not_promise_it(void **state) {
    (void)state;
    enter_dir();
    static const struct {
        const char *option, *why;
    } kinds[] = {{"--allow-downscale", "not kept: with allow_downscale"},
                 {"--latent-cache lossy", "not kept: with a lossy latent cache"}};
    for (int i = 0; i < 2; i++) {
        char arguments[512];
        snprintf(arguments, sizeof(arguments), SHORT "--codec ffv1 -o fleeting.mkv %s", kinds[i].option);
        for (int number = SIGINT; number; number = number == SIGINT ? SIGKILL : 0) {
            pid_t pid = start(arguments, "log");
            int status = 0;
            assert_true(await_file(pid, "fleeting.mkv.memsafe/segment-000002", &status));
            kill(pid, number);
            await_end(pid);
            if (number == SIGKILL)
                break;
            assert_log_says("log", kinds[i].why);
            assert_null(strstr(test_output, "--resume"));
            assert_false(test_exists("fleeting.mkv.memsafe"));
        }
        assert_true(test_exists("fleeting.mkv.memsafe")); /* of the killed one */
        assert_run_works("%s", arguments);
        /* Equal parameters do not make it the same job: what a cache held, or how much memory there was,
           decides, too. */
        assert_true(getxattr("fleeting.mkv", "user.memsafe.job", NULL, 0) < 0);
        assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT), "cannot be resumed", "%s --resume",
                         arguments);
        unlink("fleeting.mkv");
    }
}

/* A script may repeat its command. */
static void a_finished_run_is_not_done_again(void **state) {
    (void)state;
    enter_with_a_whole();
    static const char command[] = SHORT "--codec ffv1 -o done.mkv --resume --report done.json";
    assert_run_works(command);
    struct stat before, after;
    assert_int_equal(stat("done.mkv", &before), 0);
    if (getxattr("done.mkv", "user.memsafe.job", NULL, 0) < 0) {
        print_message("    skipped: no extended attributes in %s\n", test_dir());
        skip();
    }
    struct stat report;
    assert_int_equal(stat("done.json", &report), 0);
    assert_run_works(command);
    assert_non_null(strstr(test_output, "done.mkv: 60 frames, finished by an earlier run: nothing to do"));
    assert_int_equal(stat("done.mkv", &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    assert_int_equal(stat("done.json", &after), 0);
    assert_int_equal(report.st_ino, after.st_ino);
    /* Not for other parameters, another file of that name, or without --resume. */
    assert_run_fails(ms_status_exit_code(MS_IO), "nothing says that it is what this run would make",
                     SHORT "--codec ffv1 -o done.mkv --resume --seed 5");
    assert_run_fails(ms_status_exit_code(MS_IO), "it exists already", SHORT "--codec ffv1 -o done.mkv");
    assert_int_equal(system("printf x | dd of=done.mkv bs=1 seek=1000 conv=notrunc 2>/dev/null"), 0);
    assert_run_fails(ms_status_exit_code(MS_IO), "nothing says that it is what this run would make", "%s",
                     command);
    assert_run_works("%s --force", command);
    assert_same_bytes("want-ffv1.mkv", "done.mkv");
    /* A report that is there is not replaced unasked. */
    assert_run_fails(ms_status_exit_code(MS_IO), "cannot write done.json: it exists already; -y replaces it",
                     SHORT "--codec ffv1 -o new.mkv --report done.json");
    assert_false(test_exists("new.mkv"));
}

/* The output has its name, and the kill comes while the folder is removed: some of it is gone, or all but the
   folder. */
static void a_run_killed_while_it_cleans_up_is_finished(void **state) {
    (void)state;
    enter_with_a_whole();
    static const char command[] = SHORT "--codec ffv1 -o clean.mkv --resume";
    int status = 0;
    pid_t pid = start(command, "log");
    assert_true(await_file(pid, "clean.mkv.memsafe/segment-000002", &status));
    kill(pid, SIGKILL);
    await_end(pid);
    shell("cp -a clean.mkv.memsafe kept");
    assert_run_works(command);
    shell("rm kept/segment-* && mv kept clean.mkv.memsafe");
    struct stat before, after;
    ms_journal *journal;
    ms_job_folder job;
    const ms_journal_params params = {.folder = &job};
    bool begun, there;
    ms_error err;
    assert_int_equal(stat("clean.mkv", &before), 0);
    assert_ms_ok(ms_job_folder_find(&job, "clean.mkv", &there, &err), &err);
    assert_ms_ok(ms_journal_open(&params, &journal, &begun, &err), &err);
    assert_true(begun && there);
    const ms_journal_joined joined = {(uint64_t)before.st_dev, (uint64_t)before.st_ino, 30};
    assert_ms_ok(ms_journal_set_joined(journal, &joined, &err), &err);
    ms_journal_close(&journal);
    ms_job_folder_close(&job);
    assert_run_works(command);
    assert_false(test_exists("clean.mkv.memsafe"));
    assert_int_equal(stat("clean.mkv", &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    if (getxattr("clean.mkv", "user.memsafe.job", NULL, 0) >= 0) {
        shell("mkdir clean.mkv.memsafe && touch clean.mkv.memsafe/poses");
        assert_run_works(command);
        assert_false(test_exists("clean.mkv.memsafe"));
        assert_int_equal(stat("clean.mkv", &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
    }
    assert_same_bytes("want-ffv1.mkv", "clean.mkv");
}

static void one_run_at_a_time_works_on_an_output(void **state) {
    (void)state;
    enter_dir();
    pid_t pid = start(SHORT "--codec ffv1 -o two.mkv", "log");
    int status = 0;
    assert_true(await_file(pid, "two.mkv.memsafe/segment-000001", &status));
    assert_run_fails(ms_status_exit_code(MS_IO), "another run is at work",
                     SHORT "--codec ffv1 -o two.mkv --resume");
    kill(pid, SIGKILL);
    await_end(pid);
    assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT), "the unfinished job has seed",
                     SHORT "--codec ffv1 -o two.mkv --resume --seed 5");
    assert_run_works(SHORT "--codec ffv1 -o two.mkv --resume --seed 5 --force");
    unlink("two.mkv");
    /* Of a job without a finished segment nothing is lost. */
    pid = start(SHORT "--codec ffv1 -o two.mkv", "log");
    assert_true(await_file(pid, "two.mkv.memsafe/journal.db", &status));
    kill(pid, SIGKILL);
    await_end(pid);
    if (!test_exists("two.mkv.memsafe/segment-000000"))
        assert_run_works(SHORT "--codec ffv1 -o two.mkv --resume --seed 5");
}

/* A segment that is not what was written, or is gone, is made again, and faces whose positions are lost are
   found again. */
static void what_is_damaged_is_made_again(void **state) {
    (void)state;
    enter_with_a_saved_job();
    static const struct {
        const char *damage, *said;
    } kinds[] = {
        {"printf x >> bad.mkv.memsafe/segment-000000", "segment-000000 is damaged: made again"},
        {"printf '\\377' | dd of=bad.mkv.memsafe/segment-000001 bs=1 seek=3000 conv=notrunc 2>/dev/null",
         "segment-000001 is damaged: made again"},
        {"rm bad.mkv.memsafe/segment-000001", "segment-000001 is missing: made now"},
        {"truncate -s 4000 bad.mkv.memsafe/segment-000001", "segment-000001 is damaged: made again"},
        {"printf '\\377' | dd of=bad.mkv.memsafe/poses bs=1 seek=40 conv=notrunc 2>/dev/null",
         "positions (poses) are damaged: found again"},
        {"truncate -s 300 bad.mkv.memsafe/poses", "positions (poses) are damaged: found again"},
        {"rm bad.mkv.memsafe/poses", "positions (poses) are damaged: found again"},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fresh_copy("saved", "bad.mkv.memsafe");
        shell("%s", kinds[i].damage);
        assert_run_works(SHORT "--codec ffv1 -o bad.mkv --resume");
        if (!strstr(test_output, kinds[i].said))
            fail_msg("%s: wanted \"%s\" in: %s", kinds[i].damage, kinds[i].said, test_output);
        assert_same_bytes("want-ffv1.mkv", "bad.mkv");
        assert_false(test_exists("bad.mkv.memsafe"));
        unlink("bad.mkv");
    }
}

static void damaged_journals_are_refused(void **state) {
    (void)state;
    enter_with_a_saved_job();
    fresh_copy("saved", "bad.mkv.memsafe");
    shell("printf 'no database, but longer than a header of one hundred bytes' > bad.mkv.memsafe/journal.db");
    assert_run_fails(ms_status_exit_code(MS_DAMAGED), "the journal",
                     SHORT "--codec ffv1 -o bad.mkv --resume");
    fresh_copy("saved", "bad.mkv.memsafe");
    assert_run_works(SHORT "--codec ffv1 -o bad.mkv --resume");
    assert_same_bytes("want-ffv1.mkv", "bad.mkv");
    unlink("bad.mkv");
}

/* The user version is in the header's bytes 60 to 63, the application's number in 68 to 71. */
#define OTHER_VERSION(digits)                                                                                \
    "printf '" digits "' | dd of=bad.mkv.memsafe/journal.db bs=1 seek=60 conv=notrunc 2>/dev/null"

/* What cannot be read stays until the user says -y, and then the job begins anew. */
static void unreadable_jobs_are_replaced_when_asked(void **state) {
    (void)state;
    enter_with_a_saved_job();
    static const struct {
        const char *damage, *said;
    } kinds[] = {
        {OTHER_VERSION("\\0\\0\\0\\143"), "was made by a newer version of memsafe; -y begins anew"},
        {OTHER_VERSION("\\0\\0\\0\\0"), "was made by an older version of memsafe; -y begins anew"},
        {"printf 'no database, but longer than a header' > bad.mkv.memsafe/journal.db", "; -y begins anew"},
        {"rm bad.mkv.memsafe/segment-000000 && ln -s $PWD/precious bad.mkv.memsafe/segment-000000",
         "; -y begins anew"},
    };
    shell("cp in.wav precious && cp in.wav intact");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fresh_copy("saved", "bad.mkv.memsafe");
        shell("%s", kinds[i].damage);
        assert_run_fails(ms_status_exit_code(MS_DAMAGED), kinds[i].said,
                         SHORT "--codec ffv1 -o bad.mkv --resume");
        assert_true(test_exists("bad.mkv.memsafe/segment-000001"));
        assert_run_works(SHORT "--codec ffv1 -o bad.mkv --resume -y");
        assert_null(strstr(test_output, "were finished by an earlier run"));
        assert_same_bytes("want-ffv1.mkv", "bad.mkv");
        assert_same_bytes("intact", "precious");
        assert_false(test_exists("bad.mkv.memsafe"));
        unlink("bad.mkv");
    }
}

/* Somebody else's links in the folder, and the folder as one: refused by name, and what they lead to is as it
   was. */
static void links_in_a_job_folder_are_refused(void **state) {
    (void)state;
    enter_with_a_saved_job();
    static const char *const names[] = {"segment-000000",     "poses",          "journal.db",
                                        "journal.db-journal", "journal.db-wal", "journal.db-shm"};
    const int refused = ms_status_exit_code(MS_IO), damaged = ms_status_exit_code(MS_DAMAGED);
    shell("cp in.wav precious && cp in.wav intact");
    assert_run_works(SHORTEST "--codec ffv1 -o shortest.mkv");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int hard = 0; hard < 2; hard++) {
            fresh_copy("saved", "bad.mkv.memsafe");
            shell("ln -f%s $PWD/precious bad.mkv.memsafe/%s", hard ? "" : "s", names[i]);
            assert_run_fails(damaged, names[i], SHORT "--codec ffv1 -o bad.mkv --resume");
            if (!strstr(test_output, hard ? "hard links" : "symbolic link"))
                fail_msg("%s", test_output);
            assert_same_bytes("intact", "precious");
            assert_run_works(SHORTEST "--codec ffv1 -o bad.mkv --force");
            assert_same_bytes("intact", "precious");
            assert_same_bytes("shortest.mkv", "bad.mkv");
            unlink("bad.mkv");
        }
    }
    /* Names that the run is about to make, in a folder that holds nothing else. */
    shell("mkdir bad.mkv.memsafe && for n in segment-000000 segment-000001 poses joined.mkv faces-000000; do "
          "ln -s $PWD/precious bad.mkv.memsafe/$n; done");
    assert_run_works(SHORTEST "--codec ffv1 -o bad.mkv");
    assert_same_bytes("intact", "precious");
    assert_same_bytes("shortest.mkv", "bad.mkv");
    unlink("bad.mkv");
    shell("mkdir elsewhere && ln -s elsewhere bad.mkv.memsafe");
    assert_run_fails(refused, "bad.mkv.memsafe is in the way: it is a symbolic link",
                     SHORT "--codec ffv1 -o bad.mkv");
    assert_run_fails(refused, "bad.mkv.memsafe is in the way: it is a symbolic link",
                     SHORT "--codec ffv1 -o bad.mkv --resume --force");
    shell("rmdir elsewhere && rm bad.mkv.memsafe");
}

/* ---- trouble with files */

/* Larger than any segment, smaller than all of them together. */
static void a_full_disk_keeps_what_is_finished(void **state) {
    (void)state;
    enter_with_a_whole();
    char line[1024];
    struct stat whole;
    assert_int_equal(stat("want-ffv1.mkv", &whole), 0);
    snprintf(line, sizeof(line), "ulimit -f %lld; exec %s " SHORT "--codec ffv1 -o full.mkv >log 2>&1",
             (long long)whole.st_size / 2 / 512, MS_CLI_PATH);
    int status = system(line);
    assert_int_equal(WEXITSTATUS(status), ms_status_exit_code(MS_IO));
    assert_log_says("log", "cannot write full.mkv: File too large; 60 of 60 frames are kept");
    assert_false(test_exists("full.mkv"));
    assert_run_works(SHORT "--codec ffv1 -o full.mkv --resume");
    assert_same_bytes("want-ffv1.mkv", "full.mkv");
    /* And smaller than a segment: nothing is finished, nothing is left. */
    snprintf(line, sizeof(line), "ulimit -f 40; exec %s " SHORT "--codec ffv1 -o tiny.mkv >log 2>&1",
             MS_CLI_PATH);
    status = system(line);
    assert_int_equal(WEXITSTATUS(status), ms_status_exit_code(MS_IO));
    assert_false(test_exists("tiny.mkv.memsafe"));
}

static void a_removed_folder_is_an_error(void **state) {
    (void)state;
    enter_dir();
    assert_int_equal(mkdir("gone", 0777), 0);
    pid_t pid = start(SHORT "--codec ffv1 -o gone/out.mkv", "log");
    int status = 0;
    assert_true(await_file(pid, "gone/out.mkv.memsafe/segment-000001", &status));
    /* The run may make a file between looking and removing. */
    assert_int_equal(system("until rm -rf gone 2>/dev/null; do :; done"), 0);
    assert_int_equal(await_end(pid), ms_status_exit_code(MS_IO));
    assert_log_says("log", "gone/out.mkv.memsafe");
    assert_null(strstr(test_output, "--resume"));
}

static void an_input_that_is_cut_off_keeps_what_is_finished(void **state) {
    (void)state;
    enter_dir();
    static const char cut[] = ARGUMENTS "--segment 4 --video cut.avi --frames 40 --codec ffv1 -o cut.mkv ";
    assert_int_equal(system("cp -p in.avi cut.avi"), 0);
    pid_t pid = start(cut, "log");
    int status = 0;
    assert_true(await_file(pid, "cut.mkv.memsafe/segment-000001", &status));
    kill(pid, SIGSTOP);
    struct stat st;
    assert_int_equal(stat("cut.avi", &st), 0);
    assert_int_equal(truncate("cut.avi", st.st_size * 3 / 4), 0);
    kill(pid, SIGCONT);
    assert_int_equal(await_end(pid), ms_status_exit_code(MS_IO));
    assert_log_says("log", "cut.avi changed while it was read");
    assert_log_says("log", "frames are kept in cut.mkv.memsafe");
    assert_run_fails(ms_status_exit_code(MS_BAD_MEDIA), "cut.avi is cut off", "%s --resume", cut);
    assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT), "begun with another file as the video",
                     "%s --resume --allow-truncated", cut);
    assert_int_equal(system("cp -p in.avi cut.avi"), 0);
    assert_run_works("%s --resume", cut);
    assert_run_works(ARGUMENTS "--segment 4 --video in.avi --frames 40 --codec ffv1 -o uncut.mkv");
    assert_same_bytes("uncut.mkv", "cut.mkv");
}

/* With a pattern, only tests of such names. */
int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_runs_are_resumed_to_the_same_bytes),
        cmocka_unit_test(what_memory_held_before_does_not_matter),
#if MS_HAVE_ONNX
        cmocka_unit_test(runs_that_find_faces_are_resumed),
#endif
        cmocka_unit_test(interrupting_leaves_a_job_and_says_so),
        cmocka_unit_test(another_job_is_not_taken_over),
        cmocka_unit_test(a_folder_without_finished_segments_is_no_job),
        cmocka_unit_test(what_cannot_be_resumed_does_not_promise_it),
        cmocka_unit_test(a_finished_run_is_not_done_again),
        cmocka_unit_test(a_run_killed_while_it_cleans_up_is_finished),
        cmocka_unit_test(one_run_at_a_time_works_on_an_output),
        cmocka_unit_test(what_is_damaged_is_made_again),
        cmocka_unit_test(damaged_journals_are_refused),
        cmocka_unit_test(unreadable_jobs_are_replaced_when_asked),
        cmocka_unit_test(links_in_a_job_folder_are_refused),
        cmocka_unit_test(a_full_disk_keeps_what_is_finished),
        cmocka_unit_test(a_removed_folder_is_an_error),
        cmocka_unit_test(an_input_that_is_cut_off_keeps_what_is_finished),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
