/* A job in parts: split, its segments in any order and by several processes, joined to the bytes of one
   run. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "support/media/segment.h"
#include "support/run_inputs.h"

#define FRAMES 40 /* of the clip; the speech asks for more, so that it is gone through more than once */
#define SPEECH_FRAMES 52
#define SEGMENT 9 /* windows have 16 frames: most segments begin within one */
#define NETS MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"

static ms_error err;
static ms_run_report report;

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(FRAMES, SPEECH_FRAMES);
    assert_int_equal(chdir(test_dir()), 0);
    /* Without a face in the middle, and one that jumps: windows of odd lengths. */
    assert_int_equal(system("awk 'NR < 13 || NR > 15' in.jsonl > gap.jsonl"), 0);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static ms_run_params job(const char *output) {
    ms_run_params p = test_job_params("in.avi", output, SEGMENT);
    p.track = "gap.jsonl";
    p.max_gap = 1;
    p.history = "history.db"; /* so that the machine is measured once */
    p.resume = false;
    return p;
}

static void run(ms_run_params p, ms_run_work work) {
    p.work = work;
    assert_ms_ok(ms_run(&p, &report, &err), &err);
}

static void make(ms_run_params p, const int64_t *segments, int64_t count) {
    p.segments = segments;
    p.n_segments = count;
    run(p, MS_RUN_WORK_PART);
}

static void assert_refused(ms_run_params p, ms_run_work work, ms_status status, const char *said) {
    p.work = work;
    ms_status got = ms_run(&p, &report, &err);
    if (got != status || !strstr(err.message, said))
        fail_msg("wanted %s \"%s\", got %s: %s", ms_status_name(status), said, ms_status_name(got),
                 err.message);
}

static void assert_joined(ms_run_params p, const char *want) {
    run(p, MS_RUN_WORK_JOIN);
    shell("cmp %s %s", want, p.output);
    char folder[100];
    snprintf(folder, sizeof(folder), "%s.memsafe", p.output);
    assert_false(test_exists(folder));
    unlink(p.output);
}

static int64_t split(ms_run_params p) {
    run(p, MS_RUN_WORK_SPLIT);
    assert_true(report.segments > 3);
    assert_int_equal(report.segments_finished, 0);
    assert_false(test_exists(p.output));
    return report.segments;
}

/* Each by a call of its own, then all of them by one, last first. */
static void segments_in_reverse_order_join_to_the_same_file(void **state) {
    (void)state;
    run(job("want.mkv"), MS_RUN_WORK_ALL);
    const ms_run_report whole = report;
    int64_t n = split(job("parts.mkv"));
    assert_int_equal(whole.segments, n);
    assert_int_equal(whole.windows, report.windows);
    assert_int_equal(whole.frames, report.frames);
    assert_int_equal(whole.frames_without_face, report.frames_without_face);
    assert_true(report.frames_without_face > 0);
    int64_t list[64];
    for (int64_t i = 0; i < n; i++) {
        list[i] = n - 1 - i;
        make(job("parts.mkv"), &list[i], 1);
        assert_int_equal(report.segments_finished, i + 1);
        assert_int_equal(report.segments, n);
    }
    assert_joined(job("parts.mkv"), "want.mkv");
    assert_int_equal(report.windows, whole.windows);
    assert_int_equal(report.frames, whole.frames);

    split(job("parts.mkv"));
    ms_run_params serial = job("parts.mkv");
    serial.rung = MS_RUNG_SERIAL; /* budgets, threads and rungs may be others */
    serial.threads = 1;
    make(serial, list, n);
    assert_joined(job("parts.mkv"), "want.mkv");
}

static pid_t make_in_child(ms_run_params p, const int64_t *segments, int64_t count) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        p.work = MS_RUN_WORK_PART;
        p.segments = segments;
        p.n_segments = count;
        ms_status status = ms_run(&p, NULL, &err);
        if (status != MS_OK)
            fprintf(stderr, "%s\n", err.message);
        _exit(status == MS_OK ? 0 : 1);
    }
    return pid;
}

static void await(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void two_processes_share_a_folder(void **state) {
    (void)state;
    int64_t list[2][64], count[2] = {0, 0}, n = split(job("two.mkv"));
    for (int64_t i = 0; i < n; i++)
        list[i % 2][count[i % 2]++] = i;
    ms_run_params other = job("two.mkv");
    other.threads = 1;
    other.rung = MS_RUNG_BATCH;
    pid_t a = make_in_child(job("two.mkv"), list[0], count[0]), b = make_in_child(other, list[1], count[1]);
    await(a);
    await(b);
    assert_joined(job("two.mkv"), "want.mkv");

    /* Both make all of them: whoever comes second to one leaves it, or makes the same again. */
    split(job("two.mkv"));
    a = make_in_child(job("two.mkv"), NULL, 0);
    b = make_in_child(other, NULL, 0);
    await(a);
    await(b);
    assert_joined(job("two.mkv"), "want.mkv");
}

/* Killed at any moment, a part leaves whole segments and nothing that is taken for one. */
static void a_killed_part_is_made_by_another(void **state) {
    (void)state;
    for (int k = 1; k < 4; k++) {
        split(job("killed.mkv"));
        pid_t pid = make_in_child(job("killed.mkv"), NULL, 0);
        nanosleep(&(struct timespec){.tv_nsec = 60000000L * k}, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (k % 2)
            make(job("killed.mkv"), NULL, 0);
        else { /* or by a run that does the rest of all of it */
            ms_run_params p = job("killed.mkv");
            p.resume = true;
            run(p, MS_RUN_WORK_ALL);
            shell("cmp want.mkv killed.mkv && rm killed.mkv");
            continue;
        }
        assert_joined(job("killed.mkv"), "want.mkv");
    }
}

#if MS_HAVE_ONNX
/* Faces that are found: only splitting needs the networks. And a range of a video whose rest is kept, without
   a loop. */
static void found_faces_and_ranges_are_made_in_parts(void **state) {
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        ms_run_params p = job("found.mkv");
        p.track = NULL;
        p.faces = NETS;
        if (kept) {
            p.start_us = 300000;
            p.duration_us = 800000;
            p.rest = MS_REST_KEEP;
        }
        ms_run_params want = p;
        want.output = "want-found.mkv";
        want.force = true;
        run(want, MS_RUN_WORK_ALL);
        const ms_run_report whole = report;
        int64_t n = split(p);
        assert_int_equal(n, whole.segments);
        for (int64_t i = n - 1; i >= 0; i--)
            make(p, &i, 1);
        run(p, MS_RUN_WORK_JOIN);
        assert_int_equal(report.frames_kept, whole.frames_kept);
        assert_int_equal(report.frames_without_face, whole.frames_without_face);
        assert_int_equal(report.windows, whole.windows);
        shell("cmp want-found.mkv found.mkv && rm found.mkv");
    }
}
#endif

static void what_does_not_belong_together_is_not_joined(void **state) {
    (void)state;
    ms_run_params p = job("odd.mkv"), other = job("other.mkv");
    assert_refused(p, MS_RUN_WORK_PART, MS_IO, "it must be split first");
    assert_refused(p, MS_RUN_WORK_JOIN, MS_IO, "it must be split first");
    split(p);
    assert_refused(p, MS_RUN_WORK_SPLIT, MS_IO, "an unfinished job is there");
    assert_refused(p, MS_RUN_WORK_JOIN, MS_IO, "segment-000000 is missing: 0 of");
    ms_run_params seed = p;
    seed.seed = 5;
    assert_refused(seed, MS_RUN_WORK_PART, MS_INVALID_ARGUMENT, "the unfinished job has seed");
    assert_refused(seed, MS_RUN_WORK_JOIN, MS_INVALID_ARGUMENT, "the unfinished job has seed");
    const int64_t behind = 99;
    seed = p;
    seed.segments = &behind;
    seed.n_segments = 1;
    assert_refused(seed, MS_RUN_WORK_PART, MS_INVALID_ARGUMENT, "there is no segment 99: the job has ");
    assert_refused(seed, MS_RUN_WORK_ALL, MS_INVALID_ARGUMENT, "segments are named for a part alone");
    seed.segments = (const int64_t[]){2, 1, 0, 2, 1};
    seed.n_segments = 5;
    assert_refused(seed, MS_RUN_WORK_PART, MS_INVALID_ARGUMENT,
                   "segment 1 is named twice: segments[1] and segments[4]");
    make(p, NULL, 0);
    other.seed = 5;
    run(other, MS_RUN_WORK_SPLIT);
    make(other, &(int64_t){2}, 1);
    shell("cp -r odd.mkv.memsafe good && ln good/journal.db link");
    shell("rm -rf odd.mkv.memsafe && mv good odd.mkv.memsafe"); /* whose journal has two names now */
    ms_run_params forced = p;
    forced.force = true;
    assert_refused(forced, MS_RUN_WORK_JOIN, MS_DAMAGED, "journal.db");
    assert_true(test_exists("odd.mkv.memsafe/segment-000001"));
    shell("rm link && cp -r odd.mkv.memsafe good");
    static const struct {
        const char *damage, *said;
    } kinds[] = {
        {"cp other.mkv.memsafe/segment-000002 odd.mkv.memsafe/", "odd.mkv.memsafe/segment-000002"},
        {"cp odd.mkv.memsafe/segment-000001 odd.mkv.memsafe/segment-000002",
         "odd.mkv.memsafe/segment-000002"},
        {"truncate -s 2000 odd.mkv.memsafe/segment-000003", "segment-000003"},
        {"printf x | dd of=odd.mkv.memsafe/segment-000000 bs=1 seek=900 conv=notrunc 2>/dev/null",
         "segment-000000"},
        {"printf x | dd of=odd.mkv.memsafe/segment-000000 bs=1 seek=41 conv=notrunc 2>/dev/null",
         "segment-000000"},
        {"rm odd.mkv.memsafe/segment-000004", "segment-000004 is missing"},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        shell("rm -rf odd.mkv.memsafe && cp -r good odd.mkv.memsafe && %s", kinds[i].damage);
        p.work = MS_RUN_WORK_JOIN;
        ms_status status = ms_run(&p, &report, &err);
        if ((status != MS_DAMAGED && status != MS_IO) || !strstr(err.message, kinds[i].said))
            fail_msg("%s: wanted \"%s\", got %s: %s", kinds[i].damage, kinds[i].said, ms_status_name(status),
                     err.message);
        assert_false(test_exists("odd.mkv"));
        assert_true(test_exists("odd.mkv.memsafe/segment-000001")); /* what is good stays */
        make(p, NULL, 0);                                           /* and what is not is made again */
        assert_joined(p, "want.mkv");
    }
}

static void another_version(segment_head *head) {
    head->job[0] ^= 1; /* the version is part of the job's key, whose hash this is */
}

static void another_format(segment_head *head) {
    memcpy(head->magic, "MSPACK1", sizeof(head->magic));
}

static void edit_head(const char *path, void (*edit)(segment_head *)) {
    static uint8_t data[1 << 20];
    segment_head head;
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    const size_t n = fread(data, 1, sizeof(data), f);
    assert_true(n > sizeof(head) && n < sizeof(data));
    memcpy(&head, data, sizeof(head));
    edit(&head);
    memcpy(data, &head, sizeof(head));
    segment_repair(data, n);
    rewind(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void nothing(segment_head *head) {
    (void)head;
}

/* Whole, with all checksums right, but of another version of this program or of the format. */
static void a_segment_of_another_version_is_not_joined(void **state) {
    (void)state;
    static const struct {
        void (*edit)(segment_head *);
        const char *said;
    } kinds[] = {{another_version, "version.mkv.memsafe/segment-000001 is of another job"},
                 {another_format, "version.mkv.memsafe/segment-000001 is damaged"}};
    ms_run_params p = job("version.mkv");
    split(p);
    make(p, NULL, 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        edit_head("version.mkv.memsafe/segment-000001", kinds[i].edit);
        assert_refused(p, MS_RUN_WORK_JOIN, MS_DAMAGED, kinds[i].said);
        assert_false(test_exists("version.mkv"));
        make(p, NULL, 0);
    }
    edit_head("version.mkv.memsafe/segment-000001", nothing); /* which is good */
    assert_joined(p, "want.mkv");
}

/* A part looks at the segments that it is to make; what others left it counts by their names, and leaves. */
static void a_part_looks_at_its_own_segments(void **state) {
    (void)state;
    ms_run_params p = job("own.mkv");
    int64_t n = split(p);
    make(p, NULL, 0);
    shell("truncate -s 2000 own.mkv.memsafe/segment-000001");
    shell("printf '\\377' | dd of=own.mkv.memsafe/segment-000002 bs=1 seek=3000 conv=notrunc 2>/dev/null");
    make(p, &(int64_t){2}, 1);
    assert_string_equal(report.job_note, "segment-000002 is damaged: made again");
    assert_int_equal(report.segments_finished, n);
    assert_refused(p, MS_RUN_WORK_JOIN, MS_DAMAGED, "own.mkv.memsafe/segment-000001");
    make(p, NULL, 0);
    assert_string_equal(report.job_note, "segment-000001 is damaged: made again");
    assert_joined(p, "want.mkv");
}

/* A machine of another tier would choose another one. */
static void parts_have_the_precision_of_the_split(void **state) {
    (void)state;
    ms_run_params begun = job("want-bf16.mkv"), part = job("bf16.mkv");
    begun.precision = MS_PRECISION_BF16;
    run(begun, MS_RUN_WORK_ALL);
    begun.output = part.output;
    split(begun);
    begun.precision = MS_PRECISION_FP16;
    assert_refused(begun, MS_RUN_WORK_PART, MS_INVALID_ARGUMENT, "has precision bfloat16, not float16");
    part.precision = MS_PRECISION_AUTO;
    run(part, MS_RUN_WORK_PART);
    assert_string_equal(report.precision, "bfloat16");
    assert_joined(part, "want-bf16.mkv");
}

/* Each machine may have a copy of its own, whatever time that has. */
static void a_copy_of_the_model_is_the_same(void **state) {
    (void)state;
    ms_run_params p = job("copied.mkv");
    shell("cp -r model copy && touch -d 2001-02-03 copy/*");
    split(p);
    p.model = "copy";
    make(p, &(int64_t){0}, 1);
    shell("touch copy/*");
    make(p, NULL, 0);
    p.model = "model";
    assert_joined(p, "want.mkv");
    shell("rm -r copy");
}

/* What parts have not made yet was not lost. */
static void what_was_never_made_is_not_missed(void **state) {
    (void)state;
    ms_run_params p = job("rest.mkv");
    split(p);
    make(p, (const int64_t[]){3, 1}, 2);
    p.resume = true;
    run(p, MS_RUN_WORK_ALL);
    assert_string_equal(report.job_note, "");
    shell("cmp want.mkv rest.mkv && rm rest.mkv");
}

/* A split that is interrupted keeps its faces. */
static int frames_looked_at;

static void count_frames(void *arg, const ms_run_progress *progress) {
    (void)arg;
    frames_looked_at = (int)progress->frames_done;
}

static int asked;

static bool stop_soon(void *arg) {
    (void)arg;
    return ++asked > 60;
}

static void an_interrupted_split_goes_on(void **state) {
    (void)state;
    ms_run_params p = job("again.mkv");
    p.cancelled = stop_soon;
    p.progress = count_frames;
    asked = 30;
    assert_refused(p, MS_RUN_WORK_SPLIT, MS_CANCELLED,
                   "the faces that were found are kept in again.mkv.memsafe");
    p.cancelled = NULL;
    assert_refused(p, MS_RUN_WORK_PART, MS_IO, "the job's faces are not all found");
    assert_refused(p, MS_RUN_WORK_JOIN, MS_IO, "the job's faces are not all found");
    /* A run that goes on from it makes the same windows. */
    shell("cp -r again.mkv.memsafe kept");
    p.resume = true;
    run(p, MS_RUN_WORK_ALL);
    assert_string_equal(report.job_note, "");
    shell("cmp want.mkv again.mkv && rm again.mkv && mv kept again.mkv.memsafe");
    p.resume = true;
    split(p);
    run(p, MS_RUN_WORK_SPLIT); /* it is split already */
    make(p, NULL, 0);
    assert_joined(p, "want.mkv");
}

/* Somebody begins the job of a finished output anew, and has no journal yet: a join or a part that comes late
   has nothing to do, and removes nothing. Once nobody is there it tidies up. */
static void a_folder_that_another_has_locked_stays(void **state) {
    (void)state;
    static const ms_run_work kinds[] = {MS_RUN_WORK_JOIN, MS_RUN_WORK_PART};
    ms_run_params p = job("held.mkv");
    split(p);
    make(p, NULL, 0);
    run(p, MS_RUN_WORK_JOIN);
    if (getxattr("held.mkv", "user.memsafe.job", NULL, 0) <= 0) /* nobody knows whose the output is */
        skip();
    shell("cp held.mkv want-held.mkv");
    for (int i = 0; i < 2; i++) {
        shell("mkdir held.mkv.memsafe && touch held.mkv.memsafe/poses held.mkv.memsafe/segment-000001");
        int fd = open("held.mkv.memsafe", O_RDONLY | O_DIRECTORY);
        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        run(p, kinds[i]);
        assert_true(report.already_finished);
        assert_true(test_exists("held.mkv.memsafe/segment-000001"));
        close(fd);
        run(p, kinds[i]);
        assert_true(report.already_finished);
        assert_false(test_exists("held.mkv.memsafe"));
    }
    shell("cmp want-held.mkv held.mkv && rm held.mkv");
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_in_reverse_order_join_to_the_same_file),
        cmocka_unit_test(two_processes_share_a_folder),
        cmocka_unit_test(a_killed_part_is_made_by_another),
#if MS_HAVE_ONNX
        cmocka_unit_test(found_faces_and_ranges_are_made_in_parts),
#endif
        cmocka_unit_test(what_does_not_belong_together_is_not_joined),
        cmocka_unit_test(a_segment_of_another_version_is_not_joined),
        cmocka_unit_test(a_part_looks_at_its_own_segments),
        cmocka_unit_test(parts_have_the_precision_of_the_split),
        cmocka_unit_test(a_copy_of_the_model_is_the_same),
        cmocka_unit_test(what_was_never_made_is_not_missed),
        cmocka_unit_test(an_interrupted_split_goes_on),
        cmocka_unit_test(a_folder_that_another_has_locked_stays),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
