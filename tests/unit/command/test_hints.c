/* What the library hints at: the command has words with options for each of it, the library has none. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/hints.h"
#include "test.h"

/* Whether any command has it: "--name" or "-y". */
static bool is_option(const cli_command *const *commands, const char *word, size_t length) {
    for (; *commands; commands++) {
        const char *name = word + (word[1] == '-' ? 2 : 1);
        size_t n = length - (size_t)(name - word);
        if (word[1] == '-' ? cli_find_option(*commands, name, n) != NULL
                           : cli_find_letter(*commands, name, n) != NULL)
            return true;
    }
    return false;
}

/* How many options the text names; fails where a command has none of the name. */
static int count_options(const char *text) {
    int count = 0;
    for (const char *c = text; (c = strchr(c, '-')) != NULL; c++) {
        if (c > text && c[-1] != ' ' && c[-1] != '(')
            continue;
        size_t length = strspn(c, "-abcdefghijklmnopqrstuvwxyz");
        if (!is_option(cli_commands, c, length))
            fail_msg("no command has the option %.*s of \"%s\"", (int)length, c, text);
        count++;
        c += length - 1;
    }
    return count;
}

static void the_command_has_options_for_every_hint(void **state) {
    (void)state;
    for (int h = MS_HINT_NONE + 1; h < MS_HINT_COUNT; h++) {
        const char *words = cli_hint_words((ms_hint)h), *code = ms_hint_code((ms_hint)h);
        if (!words || count_options(words) == 0)
            fail_msg("the command has no option for the hint %s", code);
    }
    assert_string_equal(cli_hint_words(MS_HINT_NONE), "");
}

static void the_library_has_a_code_and_no_options(void **state) {
    (void)state;
    assert_true(MS_HINT_COUNT <= 64); /* bits of ms_error.hints */
    for (int h = MS_HINT_NONE + 1; h < MS_HINT_COUNT; h++) {
        const char *code = ms_hint_code((ms_hint)h), *text = ms_hint_text((ms_hint)h);
        assert_true(code[0] && strspn(code, "abcdefghijklmnopqrstuvwxyz_") == strlen(code));
        assert_true(text[0] && !strchr(text, '-'));
        for (int other = h + 1; other < MS_HINT_COUNT; other++)
            assert_string_not_equal(code, ms_hint_code((ms_hint)other));
    }
    assert_string_equal(ms_hint_code(MS_HINT_NONE), "");
    assert_string_equal(ms_hint_text(MS_HINT_COUNT), "");
}

static void an_error_keeps_its_hints_on_the_way_up(void **state) {
    (void)state;
    char text[CLI_ERROR_BYTES];
    ms_error err;
    assert_int_equal(ms_fail_hint(&err, MS_BAD_MEDIA, MS_HINT_ALLOW_TRUNCATED, "is cut off at %d s", 3),
                     MS_BAD_MEDIA);
    ms_fail_prefix(&err, MS_BAD_MEDIA, "in.mp4");
    ms_error_add(&err, "; 20 frames are kept");
    ms_error_hint(&err, MS_HINT_RESUME);
    assert_string_equal(err.message, "in.mp4: is cut off at 3 s; 20 frames are kept");
    assert_string_equal(cli_error_text(&err, text),
                        "in.mp4: is cut off at 3 s; 20 frames are kept; --allow-truncated takes what is "
                        "there; --resume goes on from there");
    ms_fail(&err, MS_IO, "another");
    assert_true(err.hints == 0);
    assert_string_equal(cli_error_text(&err, text), "another");
    ms_error_hint(&err, MS_HINT_NONE);
    assert_true(err.hints == 0);
    ms_error_clear(&err);
    err.code = MS_IO;
    assert_string_equal(cli_error_text(&err, text), ms_status_text(MS_IO));
    assert_int_equal(ms_fail_hint(NULL, MS_IO, MS_HINT_REPLACE, "nobody listens"), MS_IO);
    ms_error_hint(NULL, MS_HINT_REPLACE);
}

/* The longest message keeps its words: the reader of an error is to know what to do. */
static void words_fit_behind_the_longest_message(void **state) {
    (void)state;
    char text[CLI_ERROR_BYTES];
    ms_error err;
    ms_error_clear(&err);
    memset(err.message, 'x', sizeof(err.message) - 1);
    ms_error_hint(&err, MS_HINT_ALLOW_TRUNCATED);
    ms_error_hint(&err, MS_HINT_RESUME);
    ms_error_hint(&err, MS_HINT_DEVICE_BYTES);
    assert_non_null(strstr(cli_error_text(&err, text), "x; --allow-truncated"));
    assert_non_null(strstr(text, "what is not here needs"));
}

static void a_note_says_what_decides_it(void **state) {
    (void)state;
    char text[CLI_NOTE_BYTES];
    ms_run_note n = {.code = "loop", .text = "the video stands still", .hint = MS_HINT_LOOP};
    assert_string_equal(cli_note_text(&n, text), "the video stands still (--loop says how)");
    n.hint = MS_HINT_NONE;
    assert_string_equal(cli_note_text(&n, text), "the video stands still");
    memset(n.text, 'x', sizeof(n.text) - 1);
    for (int h = MS_HINT_NONE + 1; h < MS_HINT_COUNT; h++) {
        n.hint = (ms_hint)h;
        assert_true(strlen(cli_note_text(&n, text)) + 1 < CLI_NOTE_BYTES);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_has_options_for_every_hint),
        cmocka_unit_test(the_library_has_a_code_and_no_options),
        cmocka_unit_test(an_error_keeps_its_hints_on_the_way_up),
        cmocka_unit_test(words_fit_behind_the_longest_message),
        cmocka_unit_test(a_note_says_what_decides_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
