/* What the command tells while it works: JSON lines for programs
   (docs/progress.md), a line on a terminal, words for people. */
#include "test.h"

#include <signal.h>
#include <time.h>

#include "support/run_inputs.h"
#include "support/terminal.h"
#include "text/json.h"

#define FRAMES 40

static char inputs[2048];

static int prepare(void **state) {
    (void)state;
    test_make_run_inputs(FRAMES, "160x144");
    snprintf(inputs, sizeof(inputs),
             "-i %s --track %s -a %s --model %s --frames %d --steps 2 --resolution 64 --codec ffv1 "
             "--audio-out none",
             test_file("in.mkv"), test_file("in.jsonl"), test_file("in.wav"), test_file("model"), FRAMES);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* ---- JSON ---- */

typedef struct heard {
    int start, plan, progress, warning, done, error;
    char last[16];
    double fraction; /* of the last that was known */
    char message[512], name[32];
    double code;
} heard;

static double number_of(const ms_json *line, const char *key, bool may_be_null) {
    const ms_json *value = ms_json_get(line, key);
    if (!value)
        fail_msg("no \"%s\"", key);
    if (value->type == MS_JSON_NULL && may_be_null)
        return -1;
    assert_int_equal(value->type, MS_JSON_NUMBER);
    return value->number;
}

static void hear_progress(heard *h, const ms_json *line) {
    double fraction = number_of(line, "fraction", true), parts = number_of(line, "parts", true);
    assert_true(number_of(line, "frames_done", false) >= 0);
    assert_true(number_of(line, "seconds", false) >= 0);
    assert_true(number_of(line, "eta_s", true) >= 0 || fraction < 0);
    assert_true(parts == -1 || (parts > 0 && number_of(line, "part", false) <= parts));
    assert_true(fraction < 0 || (fraction >= h->fraction && fraction <= 1));
    if (fraction >= 0)
        h->fraction = fraction;
    const char *stage = ms_json_get(line, "stage")->string;
    bool known = false;
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        known |= strcmp(stage, ms_stage_name((ms_stage)i)) == 0;
    assert_true(known);
}

/* Every line of test_output is an event; the last one, and no other, is done or error. */
static heard hear(void) {
    heard h = {.fraction = 0};
    for (char *at = test_output, *end; *at; at = end + 1) {
        ms_json_doc *doc = NULL;
        ms_error err;
        ms_error_clear(&err);
        end = strchr(at, '\n');
        assert_non_null(end);
        if (ms_json_parse(NULL, at, (size_t)(end - at), &doc, &err) != MS_OK)
            fail_msg("no JSON: %.*s", (int)(end - at), at);
        const ms_json *line = ms_json_root(doc);
        const char *event = ms_json_get(line, "event")->string;
        int *const counts[] = {&h.start, &h.plan, &h.progress, &h.warning, &h.done, &h.error};
        static const char *const names[] = {"start", "plan", "progress", "warning", "done", "error"};
        bool known = false;
        assert_int_equal(h.done + h.error, 0); /* nothing comes after the end */
        for (int i = 0; i < 6; i++) {
            if (strcmp(event, names[i]) == 0) {
                ++*counts[i];
                known = true;
            }
        }
        assert_true(known);
        if (strcmp(event, "progress") == 0)
            hear_progress(&h, line);
        if (strcmp(event, "warning") == 0) {
            const char *code = ms_json_get(line, "code")->string,
                       *text = ms_json_get(line, "message")->string;
            assert_true(code[0] && code[strspn(code, "abcdefghijklmnopqrstuvwxyz-")] == 0);
            assert_false(strncmp(text, "note: ", 6) == 0 || strncmp(text, "warning: ", 9) == 0);
        }
        if (strcmp(event, "error") == 0) {
            h.code = number_of(line, "code", false);
            snprintf(h.message, sizeof(h.message), "%s", ms_json_get(line, "message")->string);
            snprintf(h.name, sizeof(h.name), "%s", ms_json_get(line, "name")->string);
            assert_non_null(ms_json_get(line, "stage"));
            assert_non_null(ms_json_get(line, "frame"));
        }
        ms_json_doc_destroy(&doc);
    }
    assert_int_equal(h.start, 1);
    assert_int_equal(h.done + h.error, 1);
    return h;
}

static void a_run_is_told_in_events(void **state) {
    (void)state;
    assert_run_works("run %s -o %s --progress json", inputs, test_file("json.mkv"));
    heard h = hear();
    assert_int_equal(h.done, 1);
    assert_int_equal(h.plan, 1);
    assert_true(h.progress >= 2);
    assert_true(h.fraction == 1);
    assert_run_works("detect --demo -i %s -o %s --progress json", test_file("in.mkv"),
                     test_file("found.jsonl"));
    h = hear();
    assert_int_equal(h.done, 1);
}

/* Errors before there is anything to show, too. */
static void every_error_is_an_event(void **state) {
    (void)state;
    static const struct {
        const char *line, *name, *message;
        int code;
    } cases[] = {
        {"run --bogus --progress json", "INVALID_ARGUMENT", "--bogus", 2},
        {"run --progress=json --steps many", "INVALID_ARGUMENT", "--steps", 2},
        {"run --demo -progress json", "INVALID_ARGUMENT", "video", 2},
        {"nosuch --progress json", "INVALID_ARGUMENT", "nosuch", 2},
        {"run --demo -i nowhere.mp4 -a nowhere.wav -o nothing.mkv --progress json", "IO", "nowhere.mp4", 11},
        {"detect --demo -i nowhere.mp4 -o nothing.jsonl --progress json", "IO", "nowhere.mp4", 11},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_run_fails(cases[i].code, cases[i].message, "%s", cases[i].line);
        heard h = hear();
        assert_int_equal(h.error, 1);
        assert_string_equal(h.name, cases[i].name);
        assert_true(h.code == cases[i].code);
        assert_non_null(strstr(h.message, cases[i].message));
    }
    assert_run_fails(3, "needs at least", "run %s -o %s --budget 10M --progress json", inputs,
                     test_file("none.mkv"));
    assert_string_equal(hear().name, "BUDGET");
}

/* ---- for people ---- */

static void words_are_everyday_ones(void **state) {
    (void)state;
    static const char *const inside[] = {"rung", "tier", "budget", " MB", "latent"};
    assert_run_works("run %s -o %s", inputs, test_file("words.mkv"));
    assert_non_null(strstr(test_output, "40 frames of 160x144, 25 a second (1.6 s)"));
    assert_non_null(strstr(test_output, "this will take about "));
    assert_non_null(strstr(test_output, "MiB of memory"));
    assert_non_null(strstr(test_output, ", made in "));
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
        if (strstr(test_output, inside[i]))
            fail_msg("\"%s\" in: %s", inside[i], test_output);
    assert_run_works("run %s -o %s -y -v", inputs, test_file("words.mkv"));
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(test_output, inside[i]));
    assert_run_works("run %s -o %s -y -q", inputs, test_file("words.mkv"));
    assert_string_equal(test_output, "");
    assert_run_fails(11, "nowhere", "run --demo -i nowhere.mp4 -a nowhere.wav -o %s -q",
                     test_file("none.mkv"));
}

static void the_report_says_what_it_was_made_with(void **state) {
    (void)state;
    static char text[32768];
    ms_json_doc *doc = NULL;
    ms_error err;
    assert_run_works("run %s -o %s --report %s", inputs, test_file("report.mkv"), test_file("report.json"));
    FILE *f = fopen(test_file("report.json"), "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    assert_ms_ok(ms_json_parse(NULL, text, n, &doc, &err), &err);
    const ms_json *root = ms_json_root(doc), *model = ms_json_get(root, "model"),
                  *files = ms_json_get(model, "files"), *options = ms_json_get(root, "options");
    assert_non_null(ms_json_get(root, "memsafe")->string);
    assert_string_equal(ms_json_get(model, "dir")->string, test_file("model"));
    assert_string_equal(ms_json_get(ms_json_at(files, 0), "part")->string, "UNet");
    assert_non_null(strstr(ms_json_get(ms_json_at(files, 0), "identity")->string, " bytes"));
    assert_true(ms_json_get(options, "steps")->number == 2);
    assert_string_equal(ms_json_get(options, "loop")->string, "pingpong");
    assert_string_equal(ms_json_get(ms_json_get(root, "codecs"), "video")->string, "ffv1");
    static const char *const all[] = {"seed",
                                      "steps",
                                      "guidance",
                                      "deepcache",
                                      "resolution",
                                      "paste",
                                      "precision",
                                      "loop",
                                      "fps",
                                      "frames",
                                      "face",
                                      "max_gap",
                                      "allow_truncated",
                                      "metadata",
                                      "tonemap",
                                      "segment",
                                      "resume",
                                      "threads",
                                      "budget_bytes",
                                      "host_budget_bytes",
                                      "force_rung",
                                      "allow_downscale",
                                      "latent_cache",
                                      "latent_rank",
                                      "latent_cache_bytes",
                                      "device",
                                      "latent_cache_dir",
                                      "pressure_trace",
                                      "track",
                                      "profile",
                                      "profile_file",
                                      "set"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (!ms_json_get(options, all[i]))
            fail_msg("the report's options lack \"%s\"", all[i]);
    static const char *const range[] = {"start_s", "duration_s", "rest", "audio_start_s"};
    for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++)
        assert_non_null(ms_json_get(ms_json_get(root, "range"), range[i]));
    ms_json_doc_destroy(&doc);
}

/* ---- Ctrl-C ---- */

/* "" where there is no file yet. */
static void read_text(const char *path, char *text, size_t bytes) {
    FILE *f = fopen(path, "r");
    text[f ? fread(text, 1, bytes - 1, f) : 0] = 0;
    if (f)
        fclose(f);
}

static void ctrl_c_tells_what_is_kept(void **state) {
    (void)state;
    char line[4096], log[512], output[512], third[600];
    snprintf(log, sizeof(log), "%s", test_file("interrupted.log"));
    snprintf(output, sizeof(output), "%s", test_file("it is here.mkv"));
    snprintf(third, sizeof(third), "%s.memsafe/segment-000002", output);
    snprintf(line, sizeof(line), "exec %s run %s --segment 8 --steps 30 -o '%s' >%s 2>&1", MS_CLI_PATH,
             inputs, output, log);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    while (!test_exists(third)) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            fail_msg("it ended before it was interrupted: %d", status);
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    kill(pid, SIGINT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 10);
    static char text[16384];
    read_text(log, text, sizeof(text));
    /* What is kept is said once, and how to go on once. */
    snprintf(line, sizeof(line), " frames are kept in %s.memsafe\n  to go on: ", output);
    const char *kept = strstr(text, line);
    if (!kept || strstr(text, "\n  kept: ") || strstr(text, "goes on from there") ||
        strstr(kept + strlen(line), "kept"))
        fail_msg("%s", text);
    /* The command that it names goes on. */
    char *go_on = strstr(text, "\n  to go on: ");
    assert_non_null(go_on);
    go_on += strlen("\n  to go on: ");
    *strchr(go_on, '\n') = 0;
    assert_int_equal(system(go_on), 0);
    assert_true(test_exists(output));
}

/* Before a window is whole there is nothing to keep, and who stopped it is told. */
static void ctrl_c_at_the_beginning_keeps_nothing(void **state) {
    (void)state;
    char line[4096], log[512];
    snprintf(log, sizeof(log), "%s", test_file("early.log"));
    snprintf(line, sizeof(line), "exec %s run %s --steps 999 -o %s >%s 2>&1", MS_CLI_PATH, inputs,
             test_file("early.mkv"), log);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    static char text[16384];
    int status = 0;
    for (bool begun = false; !begun; begun = strstr(text, "will have") != NULL) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            fail_msg("it ended before it was interrupted: %d", status);
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        read_text(log, text, sizeof(text));
    }
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 10);
    read_text(log, text, sizeof(text));
    if (!strstr(text, "\nmemsafe: cancelled ") || !strstr(text, "\n  nothing was kept\n"))
        fail_msg("%s", text);
}

/* ---- a terminal ---- */

/* Lines that were broken for the terminal become one again. */
static void unfold(char *text) {
    char *to = text;
    for (char *at = text; *at;) {
        if (strncmp(at, "\r\n  ", 4) == 0) {
            at += 2 + strspn(at + 2, " ");
            *to++ = ' ';
        } else {
            *to++ = *at++;
        }
    }
    *to = 0;
}

static void the_line_fits_a_terminal(void **state) {
    (void)state;
    static char text[1 << 18];
    static const int widths[] = {20, 40, 80, 200};
    char line[4096];
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        snprintf(line, sizeof(line), "exec %s run %s --steps 6 -o %s -y", MS_CLI_PATH, inputs,
                 test_file("bar.mkv"));
        test_on_terminal(widths[i], "xterm", line, text, sizeof(text));
        int lines = 0;
        assert_null(strchr(text, '\033'));
        for (char *at = text; (at = strchr(at, '\r')); at++) {
            size_t n = strcspn(at + 1, "\r\n");
            if (strncmp(at + 1, "  this", 6) == 0 || strstr(at, "bar.mkv") == at + 1)
                continue;
            if (memchr(at + 1, '%', n) && (int)n > widths[i] - 1)
                fail_msg("%d columns: %.*s", widths[i], (int)n, at + 1);
            lines += memchr(at + 1, '%', n) != NULL;
        }
        assert_true(lines > 1);
        assert_null(strstr(text, "/0"));
        /* Messages have their lines to themselves. */
        for (char *at = text; *at; at += strcspn(at, "\r\n"), at += strspn(at, "\r\n")) {
            size_t n = strcspn(at, "\r\n");
            if ((int)n > widths[i] && !memchr(at, '/', n)) /* but for a path, which is one word */
                fail_msg("%d columns: %.*s", widths[i], (int)n, at);
        }
        unfold(text);
        char *made = strstr(text, ", made in ");
        assert_non_null(made);
        assert_null(strchr(made, '%')); /* the line is gone, and does not cut into what comes after it */
        while (made > text && made[-1] != '\n' && made[-1] != '\r')
            made--;
        assert_true(strncmp(made, test_file("bar.mkv"), strlen(test_file("bar.mkv"))) == 0);
    }
    test_on_terminal(40, "dumb", line, text, sizeof(text));
    for (char *at = text; (at = strchr(at, '\r')); at++)
        assert_true(at[1] == '\n'); /* the terminal's own */
    for (char *at = text; *at; at += strspn(at, "\r\n")) {
        const size_t n = strcspn(at, "\r\n");
        if (memchr(at, '%', n))
            assert_in_range(n, 1, 39);
        at += n;
    }
    assert_non_null(strchr(text, '%'));
}

/* What stands on a terminal's lines in the end; none of them is as long as the terminal is wide. */
static void screen(const char *text, char lines[64][1024]) {
    int row = 0;
    size_t column = 0;
    memset(lines, 0, 64 * sizeof(lines[0]));
    for (; *text && row < 64; text++) {
        if (*text == '\r') {
            column = 0;
        } else if (*text == '\n') {
            row++;
        } else if (column < sizeof(lines[0]) - 1) {
            for (size_t i = strlen(lines[row]); i < column; i++)
                lines[row][i] = ' ';
            lines[row][column++] = *text;
        }
    }
}

/* The bar does not go over a line that is said in pieces. */
static void no_line_is_cut_into(void **state) {
    (void)state;
    static char text[1 << 18], lines[64][1024];
    char line[4096], wanted[600];
    bool found = false;
    snprintf(line, sizeof(line), "exec %s run %s -o %s -y", MS_CLI_PATH, inputs, test_file("whole.mkv"));
    snprintf(wanted, sizeof(wanted), "%s will have 40 frames of 160x144", test_file("whole.mkv"));
    test_on_terminal(400, "xterm", line, text, sizeof(text));
    screen(text, lines);
    for (int i = 0; i < 64; i++)
        found |= strncmp(lines[i], wanted, strlen(wanted)) == 0;
    if (!found)
        fail_msg("no line begins with \"%s\": \"%s\", \"%s\"", wanted, lines[0], lines[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_told_in_events),   cmocka_unit_test(every_error_is_an_event),
        cmocka_unit_test(words_are_everyday_ones),   cmocka_unit_test(the_report_says_what_it_was_made_with),
        cmocka_unit_test(ctrl_c_tells_what_is_kept), cmocka_unit_test(ctrl_c_at_the_beginning_keeps_nothing),
        cmocka_unit_test(the_line_fits_a_terminal),  cmocka_unit_test(no_line_is_cut_into),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
