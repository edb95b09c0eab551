/* What the commands write, and what they must never write over: their inputs, devices, pipes, other people's
   files. And what becomes of a command when nobody reads it or the disk is full. */
#include "test.h"

#include <fcntl.h>

#include "memsafe/detect.h"
#include "support/run_inputs.h"

#define FRAMES 4
#define NETS MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"

/* test_file() forgets its names after some. */
#define NAME(variable, name)                                                                                 \
    char variable[512];                                                                                      \
    snprintf(variable, sizeof(variable), "%s", test_file(name))

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Contents, to see that they stay. */
static uint64_t hash_of(const char *path) {
    uint64_t h = 1469598103934665603u;
    int c;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((c = fgetc(f)) != EOF)
        h = (h ^ (uint64_t)c) * 1099511628211u;
    fclose(f);
    return h;
}

static const char *run_line(void) {
    static char line[2048];
    snprintf(line, sizeof(line),
             "run --video %s --audio %s --track %s --model %s --frames %d --steps 1 --resolution 64",
             test_file("in.mkv"), test_file("in.wav"), test_file("in.jsonl"), test_file("model"), FRAMES);
    return line;
}

static void inputs_are_never_replaced(void **state) {
    (void)state;
    NAME(video, "in.mkv");
    NAME(hard, "hard.mkv");
    NAME(soft, "soft.mkv");
    NAME(config, "model/unet.yaml");
    NAME(detector, "det_10g.onnx");
    const char *nets = MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l";
    char net[1024];
    uint64_t before = hash_of(video), before_config = hash_of(config);
    assert_int_equal(link(video, hard), 0);
    assert_int_equal(symlink(video, soft), 0);
    const char *const names[] = {video, hard, soft};
    for (int i = 0; i < 3; i++) {
        assert_run_fails(2, names[i], "detect --video %s --faces %s --frames 2 --force -o %s", video, nets,
                         names[i]);
        assert_run_fails(2, names[i], "%s -o %s --force", run_line(), names[i]);
        assert_run_fails(2, names[i], "%s -o %s --force --report %s", run_line(), test_file("o.mkv"),
                         names[i]);
    }
    /* The model is read too. */
    snprintf(net, sizeof(net), "cp %s/*.onnx %s", nets, test_dir());
    assert_int_equal(system(net), 0);
    uint64_t before_net = hash_of(detector);
    assert_run_fails(2, detector, "detect --video %s --faces %s --frames 2 --force -o %s", video, test_dir(),
                     detector);
    assert_run_fails(2, config, "%s -o %s --force --report %s", run_line(), test_file("o.mkv"), config);
    assert_run_fails(2, config, "plan --model %s --size 320x240 --force --svg %s", test_file("model"),
                     config);
    assert_int_equal(hash_of(video), before);
    assert_int_equal(hash_of(config), before_config);
    assert_int_equal(hash_of(detector), before_net);
}

/* A file, and what is typed for a run, or comes before it, so that the run reads or keeps it. */
typedef struct kept_file {
    char path[512], before[700], option[700];
    uint64_t hash;
} kept_file;

static void keep(kept_file *k, const char *name, const char *text, const char *before, const char *option) {
    snprintf(k->path, sizeof(k->path), "%s", test_file(name));
    snprintf(k->before, sizeof(k->before), before, k->path);
    snprintf(k->option, sizeof(k->option), option, k->path);
    if (text)
        write_text(k->path, text);
    k->hash = hash_of(k->path);
}

/* As report and as output, by its own name and by links. */
static void is_never_replaced(const kept_file *k) {
    char link_name[600];
    assert_program_fails(k->before, 2, k->path, "%s -o %s -y %s --report %s", run_line(), test_file("o.mkv"),
                         k->option, k->path);
    for (int hard = 0; hard < 2; hard++) {
        snprintf(link_name, sizeof(link_name), "%s/link.mkv", test_dir());
        assert_int_equal(hard ? link(k->path, link_name) : symlink(k->path, link_name), 0);
        assert_program_fails(k->before, 2, link_name, "%s -o %s -y %s", run_line(), link_name, k->option);
        assert_program_fails(k->before, 2, link_name, "%s -o %s -y %s --report %s", run_line(),
                             test_file("o.mkv"), k->option, link_name);
        assert_int_equal(unlink(link_name), 0);
    }
    assert_true(hash_of(k->path) == k->hash);
}

/* The profile, the pressure's trace, the history, latents. */
static void what_a_run_keeps_is_never_replaced(void **state) {
    (void)state;
    static const char plain[] = MS_CLI_PATH, with_history[] = "MEMSAFE_HISTORY=%s " MS_CLI_PATH;
    kept_file k[4];
    char program[700];
    snprintf(program, sizeof(program), with_history, test_file("h.db"));
    assert_program_works(program, "%s -o %s", run_line(), test_file("o.mkv"));
    assert_int_equal(mkdir(test_file("lc"), 0777), 0);
    keep(&k[0], "prof.yaml", "profile: compact\n", plain, "--profile-file %s");
    keep(&k[1], "trace.jsonl", "{\"at\":0,\"level\":\"none\"}\n", plain, "--pressure-trace %s");
    keep(&k[2], "h.db", NULL, with_history, "");
    keep(&k[3], "lc/0123456789abcdef-0123456789abcdef.latents", "kept", plain,
         "--latent-cache-dir $(dirname %s)");
    for (int i = 0; i < 4; i++)
        is_never_replaced(&k[i]);
    static const char *const drawings[] = {"--svg", "--html"};
    for (int i = 0; i < 2; i++)
        for (int of = 0; of < 3; of += 2)
            assert_program_fails(k[of].before, 2, k[of].path, "plan --shape tiny -y %s %s %s", k[of].option,
                                 drawings[i], k[of].path);
    assert_program_fails(k[2].before, 2, k[2].path, "detect -i %s --faces " NETS " -y -o %s",
                         test_file("in.mkv"), k[2].path);
    for (int i = 0; i < 4; i++)
        assert_true(hash_of(k[i].path) == k[i].hash);
}

/* Where the profile is when nobody names one, be it there or not. */
static void the_default_profile_is_never_replaced(void **state) {
    (void)state;
    NAME(profile, "memsafe.yaml");
    char program[700];
    snprintf(program, sizeof(program), "cd %s && " MS_CLI_PATH, test_dir());
    for (int there = 0; there < 2; there++) {
        assert_program_fails(program, 2, "is the profile", "%s -o o.mkv -y --report ./memsafe.yaml",
                             run_line());
        assert_program_fails(program, 2, "is the profile", "plan --shape tiny -y --svg memsafe.yaml");
        assert_program_fails(program, 2, "is the profile",
                             "detect -i in.mkv --faces " NETS " -y -o memsafe.yaml");
        assert_int_equal(test_exists(profile), there);
        write_text(profile, "profile: compact\n");
    }
    assert_int_equal(unlink(profile), 0);
}

static void two_outputs_are_two_files(void **state) {
    (void)state;
    assert_run_fails(2, "name the same file", "plan --shape tiny -y --svg %s/./p --html %s/p", test_dir(),
                     test_dir());
    assert_run_fails(2, "are the same file", "%s -o %s -y --report %s/./o.mkv", run_line(),
                     test_file("o.mkv"), test_dir());
}

/* A report may lie in the cache's folder, but not in an unfinished job's. */
static void a_report_is_no_part_of_the_job(void **state) {
    (void)state;
    NAME(out, "parts.mkv");
    NAME(journal, "parts.mkv.memsafe/journal.db");
    NAME(poses, "parts.mkv.memsafe/poses");
    NAME(latents, "lc2");
    NAME(report, "lc2/r.json");
    char split[2100];
    snprintf(split, sizeof(split), "split%s", run_line() + strlen("run"));
    assert_run_works("%s -o %s", split, out);
    uint64_t before = hash_of(journal), before_poses = hash_of(poses);
    assert_run_fails(2, "is of the job's folder", "run --part auto %s -y --report %s", out, journal);
    assert_run_fails(2, "is of the job's folder", "join %s -y --report %s", out, poses);
    assert_true(hash_of(journal) == before && hash_of(poses) == before_poses);
    assert_run_works("run --part auto %s", out);
    assert_run_works("join %s", out);
    assert_int_equal(mkdir(latents, 0777), 0);
    assert_run_works("%s -o %s -y --latent-cache-dir %s --report %s", run_line(), out, latents, report);
    assert_true(test_exists(report));
}

static void only_regular_files_are_written(void **state) {
    (void)state;
    NAME(pipe, "pipe.mkv");
    const char *nets = MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l";
    struct stat st;
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_run_fails(11, "a pipe", "detect --video %s --faces %s --frames 2 --force -o %s",
                     test_file("in.mkv"), nets, pipe);
    assert_run_fails(11, "a pipe", "%s -o %s --force", run_line(), pipe);
    assert_run_fails(11, "a pipe", "%s -o %s --force --report %s", run_line(), test_file("o.mkv"), pipe);
    assert_run_fails(11, "a pipe", "plan --model %s --size 320x240 --force --svg %s", test_file("model"),
                     pipe);
    assert_run_fails(11, "a pipe", "plan --model %s --size 320x240 --force --html %s", test_file("model"),
                     pipe);
    assert_run_fails(11, "a device", "%s -o %s --force --report /dev/null", run_line(), test_file("o.mkv"));
    assert_run_fails(11, "/dev/null: it is a device", "%s -o /dev/null -y", run_line());
    assert_run_fails(2, "the standard output is not written to", "%s -o -", run_line());
    assert_run_fails(2, "the standard output is not written to",
                     "detect --video %s --faces %s --frames 2 -o -", test_file("in.mkv"), nets);
    assert_run_fails(2, "the standard output is not written to", "plan --shape tiny --svg -");
    assert_false(test_exists("-"));
    assert_int_equal(stat(pipe, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

static void other_peoples_files_stay(void **state) {
    (void)state;
    const char *nets = MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l",
               *out = test_file("faces.jsonl"), *part = test_file("faces.jsonl.part");
    write_text(part, "mine");
    uint64_t before = hash_of(part);
    assert_run_works("detect --video %s --faces %s --frames 2 -o %s", test_file("in.mkv"), nets, out);
    assert_int_equal(hash_of(part), before);
    assert_true(test_exists(out));
}

/* Both streams go into the pipe. */
static int run_into(const char *command, const char *reader) {
    char line[4096];
    snprintf(line, sizeof(line), "bash -c 'set -o pipefail; MEMSAFE_HISTORY=off %s %s %s'", MS_CLI_PATH,
             command, reader);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void nobody_reads(void **state) {
    (void)state;
    char line[3000];
    const char *out = test_file("piped.mkv");
    snprintf(line, sizeof(line), "%s --progress json -o %s", run_line(), out);
    assert_int_equal(run_into(line, "2>&1 | head -n 1 >/dev/null"), 0);
    assert_true(test_exists(out));
    assert_int_equal(run_into("--help", "| head -n 1 >/dev/null"), 0);
    snprintf(line, sizeof(line), "%s -y -o %s", run_line(), out); /* its words go to a reader that is gone */
    assert_int_equal(run_into(line, "2>/dev/null | true"), 0);
    assert_int_equal(run_into(line, "-v 2>/dev/null | head -n 1 >/dev/null"), 0);
}

static void a_full_disk_is_no_success(void **state) {
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(run_into("--help", ">/dev/full 2>/dev/null"), 11);
    assert_int_equal(run_into("probe --json", ">/dev/full 2>/dev/null"), 11);
    static const char *const printers[] = {"--help", "help run", "probe --json", "plan --shape tiny"};
    for (int i = 0; i < 4; i++) {
        char line[512];
        snprintf(line, sizeof(line), "MEMSAFE_HISTORY=off %s %s 2>&1 >/dev/full", MS_CLI_PATH, printers[i]);
        assert_int_equal(test_shell(line), 11);
        assert_string_equal(test_output,
                            "memsafe: cannot write to the standard output: No space left on device\n");
    }
}

/* What cannot be made is named as it was asked for, and what is there already is refused before anything else
   is looked at. */
static void refusals_name_the_output_first(void **state) {
    (void)state;
    NAME(taken, "taken.jsonl");
    NAME(video, "taken.mkv");
    write_text(taken, "kept");
    write_text(video, "kept");
    assert_run_fails(11, "memsafe: cannot write /proc/out.mkv: ", "%s -o /proc/out.mkv", run_line());
    assert_run_fails(11, "memsafe: cannot write /proc/out.jsonl: ",
                     "detect --video %s --faces " NETS " /proc/out.jsonl", test_file("in.mkv"));
    assert_run_fails(11, "exists already", "detect --video %s --faces " NETS " -b 1M %s", test_file("in.mkv"),
                     taken);
    assert_run_fails(3, "is too small", "detect --video %s --faces " NETS " -b 1M -y %s", test_file("in.mkv"),
                     taken);
    assert_run_fails(11, "exists already", "%s -b 1M -o %s", run_line(), video);
}

static bool after_two(void *arg) {
    return *(int64_t *)arg >= 2;
}

static void count(void *arg, int64_t done, int64_t total) {
    (void)total;
    *(int64_t *)arg = done;
}

static void a_cancelled_detection_says_what_is_there(void **state) {
    (void)state;
    NAME(video, "in.mkv");
    NAME(track, "cancelled.jsonl");
    NAME(other, "other.jsonl");
    int64_t done = 0;
    ms_error err;
    ms_detect_params p;
    ms_detect_params_init(&p);
    p.video = video;
    p.faces = NETS;
    p.output = track;
    p.progress = count;
    p.cancelled = after_two;
    p.arg = &done;
    char want[1024];
    assert_int_equal(ms_detect(&p, NULL, &err), MS_CANCELLED);
    snprintf(want, sizeof(want), "cancelled after 2 frames; %s is not written", track);
    assert_string_equal(err.message, want);
    assert_false(test_exists(track));

    write_text(other, "kept");
    uint64_t before = hash_of(other);
    p.output = other;
    p.force = true;
    done = 0;
    assert_int_equal(ms_detect(&p, NULL, &err), MS_CANCELLED);
    snprintf(want, sizeof(want), "cancelled after 2 frames; %s stays as it was", other);
    assert_string_equal(err.message, want);
    assert_true(hash_of(other) == before);
}

static int make_inputs(void **state) {
    (void)state;
    test_make_run_inputs(FRAMES, "320x240");
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_are_never_replaced),
        cmocka_unit_test(what_a_run_keeps_is_never_replaced),
        cmocka_unit_test(the_default_profile_is_never_replaced),
        cmocka_unit_test(two_outputs_are_two_files),
        cmocka_unit_test(a_report_is_no_part_of_the_job),
        cmocka_unit_test(only_regular_files_are_written),
        cmocka_unit_test(other_peoples_files_stay),
        cmocka_unit_test(nobody_reads),
        cmocka_unit_test(a_full_disk_is_no_success),
        cmocka_unit_test(refusals_name_the_output_first),
        cmocka_unit_test(a_cancelled_detection_says_what_is_there),
    };
    return cmocka_run_group_tests(tests, make_inputs, clean_up);
}
