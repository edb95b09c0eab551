/* `memsafe batch`: many runs with one model; what fails is told, and the rest goes on. */
#include "test.h"

#include "support/run_inputs.h"
#include "support/terminal.h"

static int prepare(void **state) {
    (void)state;
    test_make_job_inputs(20, 24);
    assert_int_equal(chdir(test_dir()), 0);
    test_set_history("history.db");
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

#define ALL "-m model --steps 1 --resolution 64 --codec ffv1 "

static void write_file(const char *name, const char *text) {
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* Each is what its own run makes, in whatever company. */
static void jobs_are_what_their_runs_make(void **state) {
    (void)state;
    write_file(
        "jobs.jsonl",
        "\xef\xbb\xbf{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"a.mkv\", \"track\": "
        "\"in.jsonl\"}\n\n"
        "{\"video\": \"in.avi\", \"audio\": \"none.wav\", \"out\": \"b.mkv\", \"track\": \"in.jsonl\"}\n"
        "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"output\": \"c.mkv\", \"track\": \"in.jsonl\", "
        "\"steps\": 2, \"max_gap\": 3, \"deepcache\": false, \"guidance\": 1.25, \"seed\": 7}\n");
    assert_run_works("run -i in.avi -a in.wav --track in.jsonl " ALL "want-a.mkv");
    assert_run_works("run -i in.avi -a in.wav --track in.jsonl " ALL
                     "--steps 2 --max-gap 3 --guidance 1.25 --seed 7 want-c.mkv");
    assert_run_fails(11, "jobs.jsonl:3: b.mkv: cannot read none.wav",
                     "batch jobs.jsonl " ALL "--report reports");
    const char *before = strstr(test_output, "jobs.jsonl:3: b.mkv: cannot read none.wav: No such file or "
                                             "directory; it is looked for again when its turn comes\n");
    assert_non_null(before);
    assert_non_null(strstr(before, "[1/3] a.mkv\n"));
    assert_non_null(strstr(test_output, "[3/3] c.mkv\n"));
    assert_non_null(strstr(test_output, "2 made, 1 failed\n"));
    assert_non_null(strstr(test_output, "memsafe: 1 of 3 jobs failed\n"));
    shell("cmp a.mkv want-a.mkv && cmp c.mkv want-c.mkv && test ! -e b.mkv && ls reports | tr '\\n' ' ' > "
          "names");
    shell("test \"$(cat names)\" = 'a.json c.json '");
    assert_run_fails(11, "2 finished before, 1 failed", "batch jobs.jsonl " ALL "--resume");
    assert_run_fails(11, "jobs.jsonl:3: b.mkv: cannot read none.wav", "batch jobs.jsonl -q --resume " ALL);
    assert_run_fails(11, "\"name\": \"IO\", \"message\": \"1 of 3 jobs failed\"",
                     "batch jobs.jsonl --progress json --resume " ALL);
    shell("cp in.wav none.wav");
    assert_run_works("batch jobs.jsonl " ALL "--resume --progress json");
    assert_non_null(strstr(test_output, "{\"event\": \"done\", "));
    assert_non_null(
        strstr(test_output, "{\"event\": \"job\", \"job\": 2, \"jobs\": 3, \"output\": \"b.mkv\"}"));
    assert_non_null(strstr(test_output, "\"made\": 1, \"finished_before\": 2, \"failed\": 0, \"left\": 0"));
    shell("cmp b.mkv want-a.mkv");
    assert_run_fails(11, "a.mkv", "batch jobs.jsonl " ALL); /* what is there stays */
}

/* What stands in a terminal's line in the end; *at goes behind it. */
static void see_line(const char **at, char *seen, size_t bytes) {
    size_t column = 0, end = 0;
    for (; **at && **at != '\n'; ++*at) {
        if (**at == '\r')
            column = 0;
        else if (column < bytes - 1)
            seen[column++] = **at;
        end = column > end ? column : end;
    }
    *at += **at == '\n';
    while (end > 0 && seen[end - 1] == ' ')
        end--;
    seen[end] = 0;
}

/* A job's bar goes when the job does. */
static void lines_are_whole_on_a_terminal(void **state) {
    (void)state;
    static char text[1 << 16];
    char seen[200];
    int errors = 0, jobs = 0;
    write_file(
        "two.jsonl",
        "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"d.mkv\", \"track\": \"in.jsonl\"}\n"
        "{\"video\": \"in.avi\", \"audio\": \"gone.wav\", \"out\": \"e.mkv\", \"track\": \"in.jsonl\"}\n");
    test_on_terminal(100, "xterm", MS_CLI_PATH " batch two.jsonl " ALL "; test $? = 11", text, sizeof(text));
    assert_non_null(strstr(text, " %  "));
    for (const char *at = text; *at;) {
        see_line(&at, seen, sizeof(seen));
        assert_null(strchr(seen, '%'));
        errors += strncmp(seen, "memsafe: two.jsonl:2: e.mkv: ", 29) == 0;
        jobs += strcmp(seen, "[1/2] d.mkv") == 0 || strcmp(seen, "[2/2] e.mkv") == 0;
    }
    assert_int_equal(errors, 2);
    assert_int_equal(jobs, 2);
}

static void a_folder_is_a_list(void **state) {
    (void)state;
    shell("mkdir -p clips && cp in.avi clips/x.avi && cp in.avi clips/y.avi && cp in.wav clips/x.wav && "
          "cp in.wav clips/y.wav && touch clips/notes.txt");
    assert_run_fails(2, "of a folder the results need another: -o DIR", "batch clips " ALL);
    assert_run_fails(2, "-o clips/. is the folder of the clips",
                     "batch clips -o clips/. --track in.jsonl " ALL);
    assert_run_works("batch clips -o done --track in.jsonl " ALL);
    assert_non_null(strstr(test_output, "2 made\n"));
    shell("cmp done/x.mkv want-a.mkv && cmp done/y.mkv want-a.mkv");
    shell("rm clips/y.wav");
    assert_run_fails(2, "clips/y.avi has no speech", "batch clips -o done --track in.jsonl " ALL);
    assert_run_works("batch clips -o other -a in.wav --track in.jsonl --part 2/2 --format matroska " ALL);
    shell("test ! -e other/x.mkv && cmp other/y.mkv want-a.mkv");
}

static void wrong_lines_are_named_before_the_work(void **state) {
    (void)state;
    static const char good[] = "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"no.mkv\"}\n";
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"{\"video\": \"in.avi\"", "bad.jsonl:2: "},
        {"[1]", "bad.jsonl:2: a job is an object"},
        {"{\"video\": \"in.avi\"}", "bad.jsonl:2: the speech (-a FILE) is missing"},
        {"{\"video\": \"in.avi\", \"odd\": 1}", "bad.jsonl:2: there is no option \"odd\""},
        {"{\"video\": \"in.avi\", \"steps\": 0}", "bad.jsonl:2: --steps: 0 is not within"},
        {"{\"video\": \"in.avi\", \"steps\": [1]}", "bad.jsonl:2: \"steps\" must be a text, a number"},
        {"{\"video\": \"in.avi\", \"device\": \"cpu\"}", "bad.jsonl:2: \"device\" is for the whole batch"},
        {"{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"no.mkv\"}",
         "bad.jsonl:1 and bad.jsonl:2 have the same output no.mkv"},
        {"{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"./no.mkv\"}",
         "bad.jsonl:1 and bad.jsonl:2 have the same output ./no.mkv"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1000];
        snprintf(text, sizeof(text), "%s%s\n", good, cases[i].line);
        write_file("bad.jsonl", text);
        assert_run_fails(2, cases[i].said, "batch bad.jsonl " ALL);
        assert_false(test_exists("no.mkv"));
    }
    write_file("bad.jsonl", "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"x/no.mkv\"}\n"
                            "{\"video\": \"in.avi\", \"audio\": \"in.wav\", \"out\": \"y/no.mkv\"}\n");
    assert_run_fails(2, "bad.jsonl:1 and bad.jsonl:2 have the same report r/no.json",
                     "batch bad.jsonl --report r " ALL);
    write_file("empty.jsonl", "\n \n");
    assert_run_fails(2, "empty.jsonl has no jobs", "batch empty.jsonl " ALL);
    assert_run_fails(11, "cannot read none.jsonl", "batch none.jsonl " ALL);
    assert_run_fails(2, "--part: \"auto\" is not like 3/8", "batch jobs.jsonl --part auto " ALL);
    assert_run_fails(2, "the standard input: for 2 devices the list must be a file or a folder, no pipe",
                     "batch - --device cpu:2 " ALL);
    assert_run_fails(2, "batch-worker is started by a batch, not by hand", "batch-worker 1 cpu 0 0 1");
    assert_run_fails(2, "the videos are those of jobs.jsonl", "batch jobs.jsonl -i in.avi " ALL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_what_their_runs_make),
        cmocka_unit_test(lines_are_whole_on_a_terminal),
        cmocka_unit_test(a_folder_is_a_list),
        cmocka_unit_test(wrong_lines_are_named_before_the_work),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
