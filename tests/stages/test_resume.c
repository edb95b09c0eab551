/* Runs that end before their time: killed, cancelled, out of disk, with inputs that change. What was finished is kept, and
   the resumed file has the bytes of an uninterrupted run. And that frames stream: the first are on the disk before the last
   is read, and the peak does not grow with the length. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <time.h>

#include "job/journal.h"
#include "support/run_inputs.h"
#include "text/json.h"

#define FRAMES 40 /* of the clip; FFV1, some 50 KB each, so that a reader's buffers hold few */

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(FRAMES, 280);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* Everything but the output, in test_dir(). */
#define ARGUMENTS "run --audio in.wav --model model --steps 1 --resolution 64 --segment 10 --track in.jsonl "
#define SHORT ARGUMENTS "--video in.avi --frames 60 "

static void enter_dir(void) {
    assert_int_equal(chdir(test_dir()), 0);
}

static void assert_same_bytes(const char *a, const char *b) {
    char line[1200];
    snprintf(line, sizeof(line), "cmp %s %s", a, b);
    assert_int_equal(system(line), 0);
}

/* The command in the background. */
static pid_t start(const char *arguments, const char *log) {
    char line[2048], *words[64];
    int n = 0;
    snprintf(line, sizeof(line), "memsafe %s", arguments);
    for (char *w = strtok(line, " "); w && n < 63; w = strtok(NULL, " "))
        words[n++] = w;
    words[n] = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(fd, 1);
        dup2(fd, 2);
        execv(MS_CLI_PATH, words);
        _exit(99);
    }
    return pid;
}

static void sleep_ms(int ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* Until a file is there; false: the process ended before. */
static bool await_file(pid_t pid, const char *path, int *ret_status) {
    while (!test_exists(path)) {
        if (waitpid(pid, ret_status, WNOHANG) == pid)
            return test_exists(path);
        sleep_ms(2);
    }
    return true;
}

/* The same until it has so many bytes, which it must come to. */
static void await_size(pid_t pid, const char *path, long long bytes) {
    struct stat st = {0};
    int status = 0;
    while (stat(path, &st) != 0 || st.st_size < bytes) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            fail_msg("it ended before %s had %lld bytes", path, bytes);
        sleep_ms(2);
    }
}

static int await_end(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void read_log(const char *path) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(test_output, 1, sizeof(test_output) - 1, f);
    test_output[n] = 0;
    fclose(f);
}

static void assert_log_says(const char *path, const char *text) {
    read_log(path);
    if (!strstr(test_output, text))
        fail_msg("wanted \"%s\" in: %s", text, test_output);
}

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
        static const int after[] = {1, 4, 5};
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

/* x264's AVX-512 code steered by memory that nobody had written. glibc fills new memory with a byte that is asked for;
   elsewhere, as under a sanitizer, this shows nothing. */
static void what_memory_held_before_does_not_matter(void **state) {
    (void)state;
    enter_dir();
    for (int i = 0; i < 3; i++) {
        char names[3][64];
        static const char *const bytes[] = {"1", "85", "170"};
        for (int k = 0; k < 3; k++) {
            snprintf(names[k], sizeof(names[k]), "%s-%s.%s", bytes[k], codecs[i].codec, codecs[i].container);
            setenv("MALLOC_PERTURB_", bytes[k], 1);
            assert_run_works(SHORT "--codec %s -o %s", codecs[i].codec, names[k]);
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

static void interrupting_leaves_a_job_and_says_so(void **state) {
    (void)state;
    enter_dir();
    interrupt("int.mkv", SIGINT);
    assert_log_says("log", "cancelled after");
    assert_log_says("log", "of 60 frames are kept in int.mkv.memsafe\n  to go on: ");
    assert_false(test_exists("int.mkv"));
    assert_run_works(SHORT "--codec ffv1 -o int.mkv --resume");
    assert_same_bytes("want-ffv1.mkv", "int.mkv");
}

static void another_job_is_not_taken_over(void **state) {
    (void)state;
    enter_dir();
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
    enter_dir();
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
        /* Equal parameters do not make it the same job: what a cache held, or how much memory there was, decides, too. */
        assert_true(getxattr("fleeting.mkv", "user.memsafe.job", NULL, 0) < 0);
        assert_run_fails(ms_status_exit_code(MS_INVALID_ARGUMENT), "cannot be resumed", "%s --resume",
                         arguments);
        unlink("fleeting.mkv");
    }
}

/* A script may repeat its command. */
static void a_finished_run_is_not_done_again(void **state) {
    (void)state;
    enter_dir();
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

static void shell(const char *line) {
    if (system(line) != 0)
        fail_msg("failed: %s", line);
}

/* The output has its name, and the kill comes while the folder is removed: some of it is gone, or all but the folder. */
static void a_run_killed_while_it_cleans_up_is_finished(void **state) {
    (void)state;
    enter_dir();
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
    assert_ms_ok(ms_journal_set_joined(journal, (uint64_t)before.st_dev, (uint64_t)before.st_ino, &err),
                 &err);
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

static void fresh_copy(const char *of, const char *name) {
    char line[256];
    snprintf(line, sizeof(line), "rm -rf %s && cp -r %s %s", name, of, name);
    shell(line);
}

/* A segment that is not what was written, or is gone, is made again with what comes after it, and so are those whose faces'
   positions are lost. */
static void what_is_damaged_is_made_again(void **state) {
    (void)state;
    enter_dir();
    static const struct {
        const char *damage, *said;
    } kinds[] = {
        {"printf x >> bad.mkv.memsafe/segment-000000",
         "segment-000000 is damaged: made again from frame 0 on"},
        {"printf '\\377' | dd of=bad.mkv.memsafe/segment-000001 bs=1 seek=3000 conv=notrunc 2>/dev/null",
         "segment-000001 is damaged: made again from frame 10 on"},
        {"rm bad.mkv.memsafe/segment-000001", "segment-000001 is missing: made again from frame 10 on"},
        {"truncate -s 4000 bad.mkv.memsafe/segment-000001", "segment-000001 is damaged: made again"},
        {"printf '\\377' | dd of=bad.mkv.memsafe/poses bs=1 seek=40 conv=notrunc 2>/dev/null",
         "positions (poses) are damaged: made again from frame 10 on"},
        {"truncate -s 300 bad.mkv.memsafe/poses", "positions (poses) are damaged: made again from frame "},
        {"rm bad.mkv.memsafe/poses", "positions (poses) are damaged: made again from frame 10 on"},
    };
    interrupt("bad.mkv", SIGKILL);
    fresh_copy("bad.mkv.memsafe", "saved");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fresh_copy("saved", "bad.mkv.memsafe");
        shell(kinds[i].damage);
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
    enter_dir();
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
    enter_dir();
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
        shell(kinds[i].damage);
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

/* Somebody else's links in the folder, and the folder as one: refused by name, and what they lead to is as it was. */
static void links_in_a_job_folder_are_refused(void **state) {
    (void)state;
    enter_dir();
    static const char *const names[] = {"segment-000000",     "poses",          "journal.db",
                                        "journal.db-journal", "journal.db-wal", "journal.db-shm"};
    const int refused = ms_status_exit_code(MS_IO), damaged = ms_status_exit_code(MS_DAMAGED);
    shell("cp in.wav precious && cp in.wav intact");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int hard = 0; hard < 2; hard++) {
            char line[256];
            fresh_copy("saved", "bad.mkv.memsafe");
            snprintf(line, sizeof(line), "ln -f%s $PWD/precious bad.mkv.memsafe/%s", hard ? "" : "s",
                     names[i]);
            shell(line);
            assert_run_fails(damaged, names[i], SHORT "--codec ffv1 -o bad.mkv --resume");
            if (!strstr(test_output, hard ? "hard links" : "symbolic link"))
                fail_msg("%s", test_output);
            assert_same_bytes("intact", "precious");
            assert_run_works(SHORT "--codec ffv1 -o bad.mkv --force");
            assert_same_bytes("intact", "precious");
            assert_same_bytes("want-ffv1.mkv", "bad.mkv");
            unlink("bad.mkv");
        }
    }
    /* Names that the run is about to make, in a folder that holds nothing else. */
    shell("mkdir bad.mkv.memsafe && for n in segment-000000 segment-000001 poses joined.mkv faces-000000; do "
          "ln -s $PWD/precious bad.mkv.memsafe/$n; done");
    assert_run_works(SHORT "--codec ffv1 -o bad.mkv");
    assert_same_bytes("intact", "precious");
    assert_same_bytes("want-ffv1.mkv", "bad.mkv");
    unlink("bad.mkv");
    shell("mkdir elsewhere && ln -s elsewhere bad.mkv.memsafe");
    assert_run_fails(refused, "bad.mkv.memsafe is in the way: it is a symbolic link",
                     SHORT "--codec ffv1 -o bad.mkv");
    assert_run_fails(refused, "bad.mkv.memsafe is in the way: it is a symbolic link",
                     SHORT "--codec ffv1 -o bad.mkv --resume --force");
    shell("rmdir elsewhere && rm bad.mkv.memsafe");
}

/* ---- windows of a segment that is not full yet */

#define WINDOW 16

static int *begun; /* windows, of the child's */
static int kill_at;

/* Dies while the kill_at-th window is in work. */
static void die_in_a_window(void *arg, const ms_run_progress *p) {
    static bool before;
    (void)arg;
    bool now = strcmp(p->stage, "denoise") == 0;
    *begun += now && !before;
    before = now;
    if (now && *begun == kill_at)
        kill(getpid(), SIGKILL);
}

static ms_run_params window_params(const char *output, int64_t segment) {
    ms_run_params p = test_job_params("in.avi", output, segment);
    p.resolution = 64;
    p.frames = 60;
    return p;
}

/* Returns how many windows the run had finished when it died in the number-th that it computed. */
static int run_and_die(const ms_run_params *params, int number) {
    begun = mmap(NULL, sizeof(*begun), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(begun != MAP_FAILED);
    *begun = 0;
    kill_at = number;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ms_run_params p = *params;
        p.progress = die_in_a_window;
        _exit(ms_run(&p, NULL, NULL) == MS_OK ? 0 : 1);
    }
    assert_int_equal(await_end(pid), -SIGKILL);
    int finished = *begun - 1;
    munmap(begun, sizeof(*begun));
    return finished;
}

/* Whatever the segment, and whenever it is killed: what is computed again is the window that was in work. */
static void a_kill_costs_one_window(void **state) {
    (void)state;
    enter_dir();
    static const int64_t segments[] = {1000, 40, 10};
    enum { TOTAL = (60 + WINDOW - 1) / WINDOW };
    static ms_run_report report;
    ms_error err;
    for (int i = 0; i < 3; i++) {
        ms_run_params p = window_params("whole.mkv", segments[i]);
        p.force = true;
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.windows_computed, TOTAL);
        assert_int_equal(report.windows_kept, 0);
        p = window_params("pieces.mkv", segments[i]);
        for (int at = 1; at <= TOTAL; at++) {
            assert_int_equal(run_and_die(&p, at), at - 1);
            assert_ms_ok(ms_run(&p, &report, &err), &err);
            assert_int_equal(report.windows, TOTAL);
            assert_int_equal(report.windows_computed, TOTAL - (at - 1));
            assert_same_bytes("whole.mkv", "pieces.mkv");
            assert_false(test_exists("pieces.mkv.memsafe"));
            unlink("pieces.mkv");
        }
        /* Each run comes one window further. */
        for (int k = 0; k < TOTAL - 1; k++)
            assert_int_equal(run_and_die(&p, 2), 1);
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.windows_computed, 1);
        assert_same_bytes("whole.mkv", "pieces.mkv");
        unlink("pieces.mkv");
    }
}

static bool at_once(void *arg) {
    (void)arg;
    return true;
}

/* A resumed run that ends before its first window, by Ctrl-C or a budget that was mistyped, loses nothing. */
static void an_early_end_keeps_windows(void **state) {
    (void)state;
    enter_dir();
    ms_run_params p = window_params("brief.mkv", 1000);
    ms_error err;
    static ms_run_report report;
    assert_int_equal(run_and_die(&p, 3), 2);
    p.cancelled = at_once;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_true(test_exists("brief.mkv.memsafe/faces-000000"));
    p.cancelled = NULL;
    p.budget_bytes = (size_t)60 << 20;
    assert_int_equal(ms_run(&p, &report, &err), MS_BUDGET);
    assert_non_null(strstr(err.message, "frames are kept in brief.mkv.memsafe"));
    assert_true(report.frames_resumable >= 2 * WINDOW);
    assert_int_equal(report.frames_dropped, 0);
    assert_true(test_exists("brief.mkv.memsafe/faces-000000"));
    p.budget_bytes = 0;
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_int_equal(report.windows_kept, 2);
    assert_same_bytes("whole.mkv", "brief.mkv");
    unlink("brief.mkv");
}

/* Cancelled as soon as the plan is there: `found` is what it said. */
static ms_run_report found;
static bool planned;

static void keep_plan(void *arg, const ms_run_report *r) {
    (void)arg;
    found = *r;
    planned = true;
}

static bool once_planned(void *arg) {
    (void)arg;
    return planned;
}

/* A resumed run says what it found, its estimate is of the rest, and one that ends at once names no less than was kept. */
static void a_resumed_run_says_what_it_found(void **state) {
    (void)state;
    enter_dir();
    static ms_run_report report;
    ms_error err;
    ms_run_params p = window_params("ledger.mkv", 1000);
    p.history = "speed.db"; /* the machine is measured once, for both predictions */
    p.planned = keep_plan;
    p.cancelled = once_planned;
    planned = false;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_int_equal(found.faces_resumed, 0);
    double whole_s = found.planned_left_s;
    p.planned = NULL;
    p.cancelled = NULL;
    assert_int_equal(run_and_die(&p, 4), 3);
    p.planned = keep_plan;
    p.cancelled = once_planned;
    planned = false;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_int_equal(found.frames_resumed, 0);
    assert_int_equal(found.faces_resumed, 3 * WINDOW);
    assert_int_equal(report.frames_resumable, 3 * WINDOW);
    /* One of them is not as it was written: it is not counted, by whatever its head says. */
    shell("cp ledger.mkv.memsafe/faces-000000 intact.faces");
    shell(
        "printf '\\252' | dd of=ledger.mkv.memsafe/faces-000000 bs=1 seek=1000001 conv=notrunc 2>/dev/null");
    planned = false;
    assert_int_equal(ms_run(&p, &report, &err), MS_CANCELLED);
    assert_int_equal(found.faces_resumed, 3 * WINDOW - 1);
    shell("cp intact.faces ledger.mkv.memsafe/faces-000000");
    print_message("    %.3f s predicted for all of it, %.3f s for the rest\n", whole_s, found.planned_left_s);
    assert_true(found.planned_left_s > 0 && found.planned_left_s < 0.8 * whole_s);
    assert_run_works("run --audio in.wav --model model --steps 1 --resolution 64 --track in.jsonl "
                     "--video in.avi --frames 60 --codec ffv1 --segment 1000 -o ledger.mkv --resume");
    assert_non_null(strstr(test_output,
                           "kept from an earlier run: 48 of 60 frames (0 finished, 48 redrawn and "
                           "to be encoded); 12 are left\n  the rest will take about "));
    assert_non_null(strstr(test_output, "3 windows of up to 16 frames had been redrawn by an earlier run"));
    assert_same_bytes("whole.mkv", "ledger.mkv");
    unlink("ledger.mkv");
}

/* Finished windows are work like finished segments: they are not thrown away unasked, and an interruption tells of them. */
static void finished_windows_are_a_job(void **state) {
    (void)state;
    enter_dir();
    ms_run_params p = window_params("early.mkv", 1000);
    ms_error err;
    static ms_run_report report;
    assert_int_equal(run_and_die(&p, 3), 2);
    shell("test $(du -k early.mkv.memsafe/faces-000000 | cut -f1) -gt 1000 && cp -r early.mkv.memsafe early");
    p.resume = false;
    assert_int_equal(ms_run(&p, NULL, &err), MS_IO);
    assert_non_null(strstr(err.message, "an unfinished job is there"));
    assert_true(err.hints == (MS_HINT_BIT(MS_HINT_RESUME) | MS_HINT_BIT(MS_HINT_BEGIN_ANEW)));
    /* A changed byte costs its window. */
    shell("printf '\\377\\376' | dd of=early.mkv.memsafe/faces-000000 bs=1 seek=900000 conv=notrunc "
          "2>/dev/null");
    p.resume = true;
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_int_equal(report.windows_computed, 3);
    assert_int_equal(report.windows_kept, 1);
    assert_same_bytes("whole.mkv", "early.mkv");
    unlink("early.mkv");
    /* Links and pipes in its place are not read and not written. */
    shell("cp in.wav intact; cp in.wav precious");
    for (int kind = 0; kind < 2; kind++) {
        shell("cp -r early early.mkv.memsafe && rm early.mkv.memsafe/faces-000000");
        shell(kind ? "mkfifo early.mkv.memsafe/faces-000000"
                   : "ln -s $PWD/precious early.mkv.memsafe/faces-000000");
        assert_ms_ok(ms_run(&p, &report, &err), &err);
        assert_int_equal(report.windows_computed, 4);
        assert_same_bytes("whole.mkv", "early.mkv");
        assert_same_bytes("intact", "precious");
        unlink("early.mkv");
    }
    /* With steps enough for the interruption to come before the last window is done. */
    pid_t pid =
        start("run --audio in.wav --model model --steps 60 --resolution 64 --track in.jsonl --video in.avi "
              "--frames 60 --codec ffv1 -o early.mkv",
              "log");
    await_size(pid, "early.mkv.memsafe/faces-000000", WINDOW * 3 * 64 * 64 * (long long)sizeof(float));
    kill(pid, SIGINT);
    assert_int_equal(await_end(pid), ms_status_exit_code(MS_CANCELLED));
    read_log("log");
    if (!strstr(test_output, "16 of 60 frames are kept") &&
        !strstr(test_output, "32 of 60 frames are kept") && !strstr(test_output, "48 of 60 frames are kept"))
        fail_msg("nothing is said of what is kept: %s", test_output);
    shell("rm -rf early early.mkv early.mkv.memsafe");
}

/* The output comes first: what has no room is not kept, and that is said. */
static void a_full_disk_keeps_no_windows(void **state) {
    (void)state;
    enter_dir();
    assert_run_works(SHORT "--codec h264 -o room.mp4");
    assert_null(strstr(test_output, "are not kept"));
    char line[512];
    snprintf(line, sizeof(line), "ulimit -f 600; exec %s " SHORT "--codec h264 -o noroom.mp4 >log 2>&1",
             MS_CLI_PATH);
    assert_int_equal(system(line), 0);
    assert_log_says("log", "finished windows are not kept (File too large): a kill costs up to 10 frames");
    assert_same_bytes("room.mp4", "noroom.mp4");
    assert_false(test_exists("noroom.mp4.memsafe"));
}

/* ---- trouble with files */

/* Larger than any segment, smaller than all of them together. */
static void a_full_disk_keeps_what_is_finished(void **state) {
    (void)state;
    enter_dir();
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
    assert_int_equal(system("rm -rf gone"), 0);
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

/* ---- streaming */

/* How far a process has read a file, -1 = it has it not open. */
static long long read_position(pid_t pid, const char *name) {
    char folder[64], path[400], target[512];
    snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    long long position = -1;
    for (struct dirent *e; (e = readdir(dir));) {
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = 0;
        if (!strstr(target, name))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, e->d_name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "pos: %lld", &position), 1);
        fclose(f);
    }
    closedir(dir);
    return position;
}

static void first_frames_are_on_disk_before_the_last_is_read(void **state) {
    (void)state;
    enter_dir();
    struct stat st;
    assert_int_equal(stat("in.avi", &st), 0);
    pid_t pid = start(ARGUMENTS "--segment 4 --video in.avi --frames 40 --codec ffv1 -o early.mkv", "log");
    int status = 0;
    /* The second segment begins when the first is on the disk and in the journal. */
    assert_true(await_file(pid, "early.mkv.memsafe/segment-000001", &status));
    kill(pid, SIGSTOP);
    long long position = read_position(pid, "/in.avi");
    kill(pid, SIGCONT);
    assert_int_equal(await_end(pid), 0);
    print_message("    %lld of %lld bytes of the input were read\n", position, (long long)st.st_size);
    assert_true(position > 0 && position < st.st_size);
}

/* Peak resident set, from the run's report. */
static double peak_of(int frames, const char *input) {
    static char text[32768];
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_run_works(
        "run --audio in.wav --model model --steps 1 --resolution 64 --threads 2 --track %s.jsonl "
        "--video %s.avi --frames %d -o flat.mp4 -y --report flat.json",
        input, input, frames);
    FILE *f = fopen("flat.json", "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    assert_ms_ok(ms_json_parse(NULL, text, n, &doc, &err), &err);
    double peak = ms_json_get(ms_json_root(doc), "peak_resident_bytes")->number;
    assert_int_equal(ms_json_get(ms_json_root(doc), "frames")->integer, frames);
    ms_json_doc_destroy(&doc);
    return peak;
}

/* A shorter form of the table in docs/streaming.md. The clip of 40 frames is shown back and forth. */
static void the_peak_does_not_grow_with_the_length(void **state) {
    (void)state;
#ifdef SANITIZED
    skip(); /* the sanitizers' own memory grows */
#endif
    enter_dir();
    double few = peak_of(70, "in"), many = peak_of(280, "in");
    print_message("    %.1f MB for 70 frames, %.1f MB for 280\n", few / 1e6, many / 1e6);
    /* Two equal runs differ by up to 2 MB, by how far apart the threads are; 210 pictures that are kept would be 14 MB, a byte
       for each of their pixels 5. */
    assert_true(many < few + 4e6);
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
        cmocka_unit_test(a_kill_costs_one_window),
        cmocka_unit_test(an_early_end_keeps_windows),
        cmocka_unit_test(a_resumed_run_says_what_it_found),
        cmocka_unit_test(finished_windows_are_a_job),
        cmocka_unit_test(a_full_disk_keeps_no_windows),
        cmocka_unit_test(a_full_disk_keeps_what_is_finished),
        cmocka_unit_test(a_removed_folder_is_an_error),
        cmocka_unit_test(an_input_that_is_cut_off_keeps_what_is_finished),
        cmocka_unit_test(first_frames_are_on_disk_before_the_last_is_read),
        cmocka_unit_test(the_peak_does_not_grow_with_the_length),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
