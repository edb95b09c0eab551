/* The tables of options: what --help says is true, and letters mean the same everywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "commands/commands.h"
#include "options/habits.h"
#include "options/nearest.h"
#include "options/run_options.h"
#include "test.h"
#include "options/time_value.h"
#include "console/wrap.h"

typedef void (*visit)(const cli_command *c, void *arg);

static void each(const cli_command *const *commands, visit f, void *arg) {
    for (; *commands; commands++)
        f(*commands, arg);
}

/* ---- one letter, one name ---- */

typedef struct letters {
    const cli_option *option[512];
    int count;
} letters;

/* What a word names over all commands, which a user learns once. */
static void check_words(const cli_command *c, void *arg) {
    static const struct {
        const char *name, *argument;
    } words[] = {
        {"model", "DIR"},        {"budget", "SIZE"}, {"device-memory", "SIZE"},
        {"host-budget", "SIZE"}, {"video", "FILE"},  {"audio", "FILE"},
        {"track", "FILE"},       {"faces", "DIR"},   {"shape", "latentsync-1.5|latentsync-1.6|tiny"}};
    (void)arg;
    for (int i = 0; i < c->n_options; i++)
        for (int k = 0; c->options[i].name && k < CLI_COUNT(words); k++)
            if (strcmp(c->options[i].name, words[k].name) == 0 &&
                strcmp(c->options[i].argument, words[k].argument) != 0)
                fail_msg("%s: --%s %s, elsewhere %s", c->name, words[k].name, c->options[i].argument,
                         words[k].argument);
    if (cli_find_option(c, "memory", 6) || cli_find_option(c, "input", 5))
        fail_msg("%s: --memory is --budget elsewhere, --input is --video", c->name);
}

static void test_a_word_means_one_thing_over_all_commands(void **state) {
    (void)state;
    each(cli_commands, check_words, NULL);
}

static void compare_letters(const cli_command *c, void *arg) {
    letters *seen = arg;
    for (int i = 0; i < c->n_options; i++) {
        const cli_option *o = &c->options[i];
        if (!o->name)
            continue;
        assert_true(!o->letter || (strcmp(o->letter, "h") != 0 && strcmp(o->letter, "V") != 0));
        for (int k = 0; k < seen->count; k++) {
            const cli_option *other = seen->option[k];
            bool names = strcmp(o->name, other->name) == 0;
            bool equal = o->letter && other->letter && strcmp(o->letter, other->letter) == 0;
            if (names != equal && (o->letter || other->letter) && (names || equal))
                fail_msg("%s: --%s has -%s, elsewhere --%s has -%s", c->name, o->name,
                         o->letter ? o->letter : "(none)", other->name,
                         other->letter ? other->letter : "(none)");
            if (names && (o->type == CLI_FLAG) != (other->type == CLI_FLAG))
                fail_msg("%s: --%s takes a value in one command and none in another", c->name, o->name);
        }
        assert_true(seen->count < (int)CLI_COUNT(seen->option));
        seen->option[seen->count++] = o;
    }
}

static void test_a_letter_means_one_thing_over_all_commands(void **state) {
    (void)state;
    letters seen = {.count = 0};
    each(cli_commands, compare_letters, &seen);
    assert_true(seen.count > 100);
}

/* ---- --help ---- */

/* "  memsafe run ... \\" and what follows is one line, as a shell reads it. False where the help lacks it. */
static bool has_example(const char *help, const char *line) {
    const char *at = strstr(help, "Examples:");
    for (; at && *at; at++) {
        const char *a = at, *b = line;
        while (*b && *a) {
            if (a[0] == '\\' && a[1] == '\n')
                a += 2 + strspn(a + 2, " ");
            else if (*a++ != *b++)
                break;
        }
        if (!*b)
            return true;
    }
    return false;
}

static void look_at_help_in(const cli_command *c, int columns) {
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length), *real = stdout;
    assert_non_null(memory);
    stdout = memory;
    cli_print_help(c, columns);
    stdout = real;
    assert_int_equal(fclose(memory), 0);
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n"), words = strspn(line, " ");
        /* stay whole */
        bool one_word = strcspn(line + words, " ") >= n - words || line[words] == '-' || line == text;
        if ((n > (size_t)columns && !(columns < 80 && one_word)) || (n > 0 && line[n - 1] == ' '))
            fail_msg("%s --help: %zu columns of %d, or a space at the end: \"%.*s\"", c->name, n, columns,
                     (int)n, line);
        line += n + (line[n] == '\n');
    }
    for (int i = 0; i < c->n_options; i++) {
        char spelled[64];
        assert_non_null(c->options[i].help);
        if (!c->options[i].name)
            continue;
        snprintf(spelled, sizeof(spelled), " --%s", c->options[i].name);
        if (!strstr(text, spelled))
            fail_msg("%s --help says nothing of%s", c->name, spelled);
    }
    for (int i = 0; i < CLI_MAX_EXAMPLES && c->examples[i].line; i++)
        if (!has_example(text, c->examples[i].line))
            fail_msg("%s --help in %d columns has no example \"%s\":\n%s", c->name, columns,
                     c->examples[i].line, text);
    free(text);
    if (c->n_options && c->options[0].name)
        fail_msg("%s: --%s has no group", c->name, c->options[0].name);
}

static void look_at_help(const cli_command *c, void *arg) {
    (void)arg;
    static const int widths[] = {CLI_HELP_LEAST_COLUMNS, 80, CLI_HELP_MOST_COLUMNS};
    for (int i = 0; i < CLI_COUNT(widths); i++)
        look_at_help_in(c, widths[i]);
}

static void test_help_is_grouped_and_as_wide_as_the_terminal(void **state) {
    (void)state;
    each(cli_commands, look_at_help, NULL);
    setenv("COLUMNS", "20", 1);
    if (!isatty(STDOUT_FILENO))
        assert_int_equal(cli_help_columns(), CLI_HELP_LEAST_COLUMNS);
    setenv("COLUMNS", "300", 1);
    if (!isatty(STDOUT_FILENO))
        assert_int_equal(cli_help_columns(), CLI_HELP_MOST_COLUMNS);
    unsetenv("COLUMNS");
    if (!isatty(STDOUT_FILENO))
        assert_int_equal(cli_help_columns(), 80);
}

/* The example's words through the command's own parser. */
static void parse_example(const cli_command *top, const char *line) {
    char text[512], *argv[64], *save = NULL;
    int argc = 0, words = 0;
    ms_error err;
    ms_error_clear(&err);
    assert_true(strlen(line) < sizeof(text));
    strcpy(text, line);
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    assert_string_equal(argv[0], "memsafe");
    assert_string_equal(argv[1], top->name);
    const cli_command *c = top;
    void *filled = calloc(1, c->state_bytes + 1);
    assert_non_null(filled);
    if (c->defaults)
        c->defaults(filled);
    if (cli_parse(c, argc - 2, argv + 2, filled, &words, &err) != MS_OK)
        fail_msg("\"%s\": %s", line, err.message);
    if (c == &cli_run_command && cli_run_options_apply(filled, argv + 2, words, &err) != MS_OK)
        fail_msg("\"%s\": %s", line, err.message);
    free(filled);
}

static void test_every_command_has_examples_that_parse(void **state) {
    (void)state;
    for (int i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        if (!c->examples[0].line)
            fail_msg("%s has no example", c->name);
        for (int k = 0; k < CLI_MAX_EXAMPLES && c->examples[k].line; k++) {
            assert_non_null(c->examples[k].text);
            parse_example(c, c->examples[k].line);
        }
    }
}

/* ---- as FFmpeg's users type ---- */

typedef struct parsed {
    cli_run_state s;
    ms_error err;
} parsed;

#define PARSE(p, ...) parse(p, (char *[]){__VA_ARGS__, NULL})

static ms_status parse(parsed *p, char **argv) {
    int argc = 0, words = 0;
    memset(p, 0, sizeof(*p));
    ms_error_clear(&p->err);
    while (argv[argc])
        argc++;
    cli_run_command.defaults(&p->s);
    MS_TRY(cli_parse(&cli_run_command, argc, argv, &p->s, &words, &p->err));
    return cli_run_options_apply(&p->s, argv, words, &p->err);
}

static void test_files_as_ffmpegs_users_name_them(void **state) {
    (void)state;
    parsed p;
    assert_int_equal(PARSE(&p, "-i", "clip.mp4", "-i", "speech.wav", "-y", "out.mp4"), MS_OK);
    assert_string_equal(p.s.p.video, "clip.mp4");
    assert_string_equal(p.s.p.audio, "speech.wav");
    assert_string_equal(p.s.p.output, "out.mp4");
    assert_true(p.s.p.force);
    assert_int_equal(PARSE(&p, "--video", "clip.mp4", "--audio=speech.wav", "-o", "out.mp4"), MS_OK);
    assert_string_equal(p.s.p.video, "clip.mp4");
    assert_string_equal(p.s.p.audio, "speech.wav");
    assert_string_equal(p.s.p.output, "out.mp4");
    assert_int_equal(PARSE(&p, "-crf", "23", "-threads", "2", "-r", "30", "-c", "hevc", "out.mp4"), MS_OK);
    assert_int_equal(p.s.p.crf, 23);
    assert_int_equal(p.s.p.threads, 2);
    assert_int_equal(p.s.p.fps_num, 30 * p.s.p.fps_den);
    assert_int_equal(p.s.p.codec, MS_OUTPUT_HEVC);
    assert_int_equal(PARSE(&p, "-b2G", "out.mp4"), MS_OK);
    assert_int_equal(p.s.p.budget_bytes, (uint64_t)2 << 30);

    assert_int_equal(PARSE(&p, "-ss", "1:00.5", "-t", "2", "out.mp4"), MS_OK);
    assert_int_equal(p.s.p.start_us, 60500000);
    assert_int_equal(p.s.p.duration_us, 2000000);
    assert_int_equal(PARSE(&p, "-ss", "0", "-t", "0"), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(p.err.message, "--duration: 0 is no length of time"));
    assert_int_equal(PARSE(&p, "--preview", "out.mp4"), MS_OK);
    assert_string_equal(p.s.p.output, "out.preview.mp4");
    assert_int_equal(p.s.p.preview_frames, MS_RUN_PREVIEW_WINDOW);
    assert_int_equal(PARSE(&p, "--preview", "40", "a.b/out"), MS_OK);
    assert_string_equal(p.s.p.output, "a.b/out.preview");
    assert_int_equal(p.s.p.preview_frames, 40);
    assert_int_equal(PARSE(&p, "-i", "a", "-i", "b", "-i", "c"), MS_INVALID_ARGUMENT);
    assert_int_equal(PARSE(&p, "-i", "a", "-i", "b", "-a", "c"), MS_INVALID_ARGUMENT);
    assert_int_equal(PARSE(&p, "-o", "a", "b"), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(p.err.message, "-o a and b"));
    assert_int_equal(PARSE(&p, "a", "b"), MS_INVALID_ARGUMENT);
    assert_int_equal(PARSE(&p, "--frames", "-1"), MS_INVALID_ARGUMENT);
    assert_string_equal(p.err.message, "--frames: -1 is not within 0 to 2147483647");
    assert_int_equal(PARSE(&p, "--frames", "9223372036854775807"), MS_INVALID_ARGUMENT);
    assert_string_equal(p.err.message, "--frames: 9223372036854775807 is not within 0 to 2147483647");
    assert_int_equal(PARSE(&p, "--frames", "2.5"), MS_INVALID_ARGUMENT);
    assert_string_equal(p.err.message, "--frames: \"2.5\" is not a whole number");
    /* Whoever makes the threads says how many there may be. */
    assert_int_equal(PARSE(&p, "--threads", "-1", "out.mp4"), MS_OK);
    assert_int_equal(p.s.p.threads, -1);
    assert_int_equal(PARSE(&p, "--threads", "9223372036854775807"), MS_INVALID_ARGUMENT);
    assert_string_equal(p.err.message, "--threads: 9223372036854775807 is out of all bounds");
}

static void test_what_somebody_may_have_meant(void **state) {
    (void)state;
    static const struct {
        const char *typed, *meant;
    } cases[] = {{"--guidence", "guidance"}, {"--vidoe", "video"}, {"--deep", "deepcache"}, {"--end", "to"},
                 {"--budgt=2G", "budget"},   {"--stpes", "steps"}};
    parsed p;
    for (size_t i = 0; i < CLI_COUNT(cases); i++) {
        const cli_option *o = cli_nearest_option(&cli_run_command, cases[i].typed);
        if (!o || strcmp(o->name, cases[i].meant) != 0)
            fail_msg("%s: %s, not %s", cases[i].typed, o ? o->name : "nothing", cases[i].meant);
    }
    assert_null(cli_nearest_option(&cli_run_command, "--wibble"));
    assert_int_equal(PARSE(&p, "--guidence", "2"), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(p.err.message, "did you mean --guidance?"));
    assert_string_equal(cli_nearest_command(cli_commands, "detcet"), "detect");
    assert_null(cli_nearest_command(cli_commands, "frobnicate"));
}

static void test_habits_of_ffmpegs_users(void **state) {
    (void)state;
    parsed p;
    assert_int_equal(PARSE(&p, "-c:v", "libx265", "-an", "-crf", "20", "-y", "-n", "out.mp4"), MS_OK);
    assert_int_equal(p.s.p.codec, MS_OUTPUT_HEVC);
    assert_int_equal(p.s.p.audio_output, MS_AUDIO_OUTPUT_NONE);
    assert_int_equal(p.s.p.crf, 20);
    assert_false(p.s.p.force);
    assert_string_equal(p.s.p.output, "out.mp4");
    assert_int_equal(PARSE(&p, "-n", "-vcodec=h264", "-c:a", "copy", "-frames:v", "7", "out.mp4", "-y"),
                     MS_OK);
    assert_int_equal(p.s.p.codec, MS_OUTPUT_H264);
    assert_int_equal(p.s.p.audio_output, MS_AUDIO_OUTPUT_ORIGINAL);
    assert_int_equal(p.s.p.frames, 7);
    assert_true(p.s.p.force);
    assert_null(p.s.p.sound_codec); /* copy: it is so anyway */
    assert_int_equal(PARSE(&p, "-pix_fmt", "yuv420p", "-c:a", "aac", "out.mp4"), MS_OK);
    assert_string_equal(p.s.p.pixel_format, "yuv420p");
    assert_string_equal(p.s.p.sound_codec, "aac");
    assert_int_equal(PARSE(&p, "-hide_banner", "-nostdin", "-f", "mp4", "a.mkv/out.MP4"), MS_OK);
    assert_false(p.s.console.quiet);
    assert_int_equal(PARSE(&p, "-f", "matroska", "out.mkv"), MS_OK);
    assert_int_equal(PARSE(&p, "-f", "mp4", "out.m4v"), MS_OK);
    assert_int_equal(PARSE(&p, "-f", "mp4", "--preview", "out.mp4"), MS_OK);
    assert_int_equal(PARSE(&p, "-f", "mp4", "out.mkv"), MS_UNSUPPORTED);
    assert_non_null(strstr(p.err.message, "out.mkv is not named as mp4: .mp4 is"));
    assert_int_equal(PARSE(&p, "-f", "mp4", "a.mp4/out"), MS_UNSUPPORTED);
    assert_int_equal(PARSE(&p, "-acodec", "libfdk_aac", "out.mp4"), MS_OK);
    assert_string_equal(p.s.p.sound_codec, "aac");
    assert_int_equal(PARSE(&p, "-framerate", "24", "out.mp4"), MS_OK);
    assert_int_equal(p.s.p.fps_num, 24 * p.s.p.fps_den);
    assert_non_null(
        strstr(cli_find_option(&cli_run_command, "force", 5)->help, "without it, or with -n, they stay"));
    assert_int_equal(PARSE(&p, "-ss", "2", "-to", "3.5", "out.mp4"), MS_OK);
    assert_int_equal(p.s.p.start_us, 2000000);
    assert_int_equal(p.s.p.duration_us, 1500000);

    static const struct {
        const char *word, *level;
        bool quiet, verbose;
    } levels[] = {{"-v", "error", true, false},    {"-loglevel", "quiet", true, false},
                  {"-v", "warning", false, false}, {"-loglevel", "40", false, true},
                  {"-v", "-q", true, false},       {"-q", "-v", false, true},
                  {"-v", "-y", false, true}};
    for (size_t i = 0; i < CLI_COUNT(levels); i++) {
        char *argv[] = {(char *)levels[i].word, (char *)levels[i].level, "out.mp4", NULL};
        assert_int_equal(parse(&p, argv), MS_OK);
        assert_string_equal(p.s.p.output, "out.mp4");
        if (p.s.console.quiet != levels[i].quiet || p.s.console.verbose != levels[i].verbose)
            fail_msg("%s %s: quiet %d, verbose %d", levels[i].word, levels[i].level, p.s.console.quiet,
                     p.s.console.verbose);
    }

    static const struct {
        char *word, *value;
        const char *says;
    } errors[] = {{"-b:v", "5M", "-b:v: memsafe encodes by quality, --crf N"},
                  {"-g", "250", "-g: memsafe puts key frames itself"},
                  {"-f", "webm", "-f webm: the output's extension names the format"},
                  {"-hide_banner=1", NULL, "-hide_banner takes no value"},
                  {"-c:v", "copy", "-c:v copy: the frames are redrawn"},
                  {"-c", "mpeg4", "-c mpeg4: memsafe writes h264, hevc and ffv1"},
                  {"-c:v", "vp9", "-c:v vp9: memsafe writes h264, hevc and ffv1"},
                  {"-f", "null", "-f null: a run without an output is not made: --preview"},
                  {"-level", "4.1", "-level: the encoder's settings are not to be chosen"},
                  {"-vsync", "0", "-vsync: the output has one rate throughout: --fps"},
                  {"-fps_mode", "cfr", "-fps_mode: the output has one rate throughout: --fps"},
                  {"-framerate", "fast", "\"fast\""},
                  {"-hwaccel", "cuda", "-hwaccel: videos are decoded on the CPU"},
                  {"-strict", "-2", "-strict: it is not needed"},
                  {"-lavfi", "null", "-lavfi: there are no filters in memsafe"},
                  {"-filter_complex", "null", "-filter_complex: there are no filters in memsafe"},
                  {"-fs", "1M", "-fs: a file's size is not to be limited"},
                  {"-dn", NULL, "-dn: data tracks are never in the output"},
                  {"-vol", "200", "-vol: the sound's channels and volume stay"},
                  {"-metadata", "title=x", "-metadata: the video's titles are kept"},
                  {"-acodec", NULL, "-acodec needs a value"},
                  {"-loglevel", "loud", "-loglevel: \"loud\" is no level (quiet, error,"},
                  {"-to", "0", "--to: 0 is no length of time"},
                  {"-an=1", NULL, "-an takes no value"}};
    assert_non_null(cli_find_habit(&cli_plan_command, "i", 1));
    assert_non_null(cli_find_habit(&cli_plan_command, "-backend", 8)); /* with two dashes */
    assert_null(cli_find_habit(&cli_plan_command, "backend", 7));
    assert_null(cli_find_habit(&cli_history_command, "-backend", 8));
    int words = 0;
    void *scored = calloc(1, cli_score_command.state_bytes);
    assert_non_null(scored);
    ms_error_clear(&p.err);
    assert_int_equal(cli_parse(&cli_score_command, 1, (char *[]){"-an", NULL}, scored, &words, &p.err),
                     MS_INVALID_ARGUMENT);
    assert_non_null(strstr(p.err.message, "score has no option -an"));
    free(scored);
    for (size_t i = 0; i < CLI_COUNT(errors); i++) {
        char *argv[] = {errors[i].word, errors[i].value, NULL};
        if (parse(&p, argv) != MS_INVALID_ARGUMENT || !strstr(p.err.message, errors[i].says))
            fail_msg("%s: \"%s\", not \"%s\"", errors[i].word, p.err.message, errors[i].says);
    }
    assert_int_equal(PARSE(&p, "-ss", "3", "-to", "2"), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(p.err.message, "--to 2 s is not after --start 3 s"));
    assert_int_equal(PARSE(&p, "-t", "3", "-to", "2"), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(p.err.message, "--to and --duration both"));
}

/* Where a habit is a letter or a name of ours too, it is of the same option. */
static void compare_habits(const cli_command *c, void *arg) {
    for (int i = 0; cli_habit_at(i); i++) {
        const cli_habit *h = cli_habit_at(i);
        if (!cli_find_habit(c, h->theirs, strlen(h->theirs)))
            continue;
        const cli_option *letter = cli_find_letter(c, h->theirs, strlen(h->theirs)),
                         *name = cli_find_option(c, h->theirs, strlen(h->theirs));
        if ((letter && strcmp(letter->name, h->ours) != 0) || (name && strcmp(name->name, h->ours) != 0) ||
            ((letter || name) && h->kind == CLI_HABIT_ERROR))
            fail_msg("%s: -%s is --%s, and FFmpeg's for --%s", c->name, h->theirs,
                     letter ? letter->name : h->theirs, h->ours);
        ++*(int *)arg;
        for (int k = 0; k < i; k++)
            assert_string_not_equal(h->theirs, cli_habit_at(k)->theirs);
    }
}

static void test_habits_have_one_meaning(void **state) {
    (void)state;
    int used = 0;
    each(cli_commands, compare_habits, &used);
    assert_true(used > 50);
}

static void test_long_lines_are_broken_between_words(void **state) {
    (void)state;
    static const struct {
        const char *text, *wrapped;
    } cases[] = {{"short\n", "short\n"},
                 {"memsafe: one two three four five\n", "memsafe: one two\n  three four five\n"},
                 {"  kept: the first 16 frames\nmore\n", "  kept: the first 16\n    frames\nmore\n"},
                 {"a_word_that_is_longer_than_the_line b\n", "a_word_that_is_longer_than_the_line\n  b\n"},
                 {"a budget of some 19.4 GiB, and\n", "a budget of some\n  19.4 GiB, and\n"},
                 {"the margin is the 15 %)\n", "the margin is the\n  15 %)\n"},
                 {"there are just 1234 items\n", "there are just 1234\n  items\n"},
                 {"", ""}};
    for (size_t i = 0; i < CLI_COUNT(cases); i++) {
        int at = 0;
        char *wrapped = cli_wrap(cases[i].text, 20, &at);
        assert_non_null(wrapped);
        assert_string_equal(wrapped, cases[i].wrapped);
        assert_int_equal(at, 0);
        free(wrapped);
    }
    /* A line that comes in pieces. */
    int at = 0;
    char *a = cli_wrap("made in 3 seconds", 20, &at), *b = cli_wrap(", 2 a frame\n", 20, &at);
    assert_string_equal(a, "made in 3 seconds");
    assert_string_equal(b, ", 2\n  a frame\n");
    free(a);
    free(b);
}

static void test_times(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {{"90", 90000000},   {"0", 0},         {"1:30", 90000000},     {"01:02:03.25", 3723250000},
                {"12.5", 12500000}, {".5", 500000},   {"500ms", 500000},      {"2s", 2000000},
                {"7us", 7},         {"0.0000019", 1}, {"100:00", 6000000000}, {"1.5ms", 1500}};
    static const char *const bad[] = {"",    "x",   "-1",     "1:60", "1:2:3:4",
                                      "1:",  ":30", "1:30ms", "1,5",  "1e3",
                                      "inf", " 1",  "1 ",     "1:-3", "99999999999999999999"};
    int64_t us = 0;
    for (size_t i = 0; i < CLI_COUNT(good); i++) {
        if (!cli_parse_time(good[i].text, &us) || us != good[i].us)
            fail_msg("%s: %lld us", good[i].text, (long long)us);
    }
    for (size_t i = 0; i < CLI_COUNT(bad); i++)
        if (cli_parse_time(bad[i], &us))
            fail_msg("\"%s\" is taken for a time: %lld us", bad[i], (long long)us);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_word_means_one_thing_over_all_commands),
        cmocka_unit_test(test_a_letter_means_one_thing_over_all_commands),
        cmocka_unit_test(test_help_is_grouped_and_as_wide_as_the_terminal),
        cmocka_unit_test(test_every_command_has_examples_that_parse),
        cmocka_unit_test(test_files_as_ffmpegs_users_name_them),
        cmocka_unit_test(test_what_somebody_may_have_meant),
        cmocka_unit_test(test_habits_of_ffmpegs_users),
        cmocka_unit_test(test_habits_have_one_meaning),
        cmocka_unit_test(test_long_lines_are_broken_between_words),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
