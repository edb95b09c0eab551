/* Frames that are written while others are still read: a run holds a few of them, however long the clip. */
#include "test.h"

#include <dirent.h>

#include "support/resume.h"
#include "text/json.h"

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
    /* Two equal runs differ by up to 2 MB, by how far apart the threads are; 210 pictures that are kept would
       be 14 MB, a byte for each of their pixels 5. */
    assert_true(many < few + 4e6);
}

/* With a pattern, only tests of such names. */
int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_frames_are_on_disk_before_the_last_is_read),
        cmocka_unit_test(the_peak_does_not_grow_with_the_length),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
