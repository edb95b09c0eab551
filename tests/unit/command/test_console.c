/* What the console says of progress where stderr is no terminal, and doctor of a device. */
#include "test.h"

#include <unistd.h>

#include "console/console.h"
#include "results/checks.h"

/* Progress of a run of an hour, told each second, with these options and stderr in
   a file: what came there. */
static void hear(cli_progress_mode mode, bool quiet, char *text, size_t bytes) {
    const cli_console_options options = {.progress = (int)mode, .quiet = quiet};
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    cli_console_begin(&options);
    for (int s = 0; s <= 3600; s++) {
        const ms_run_progress p = {.stage = "denoise",
                                   .frames_done = s / 16,
                                   .frames_total = 225,
                                   .part = s % 20,
                                   .parts = 20,
                                   .seconds = s,
                                   .fraction = s / 3600.0,
                                   .eta_s = 3600 - s};
        cli_show_progress(NULL, &p);
    }
    fflush(stderr);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(file);
    text[fread(text, 1, bytes - 1, file)] = 0;
    fclose(file);
}

static void a_long_run_says_how_far_it_is(void **state) {
    (void)state;
    char text[8192];
    hear(CLI_PROGRESS_NONE, false, text, sizeof(text));
    assert_string_equal(text, "");
    hear(CLI_PROGRESS_AUTO, true, text, sizeof(text));
    assert_string_equal(text, "");
    hear(CLI_PROGRESS_AUTO, false, text, sizeof(text));
    const char *line = text;
    int lines = 0;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
        char percent[24];
        snprintf(percent, sizeof(percent), " %d0 %%  ", ++lines);
        if (!strstr(line, percent) || end - line >= 80)
            fail_msg("line %d: %.100s", lines, line);
    }
    assert_int_equal(lines, 10);
    assert_null(strchr(text, '\r'));
    assert_non_null(strstr(text, "50 %  30 min left  denoising, step 0 of 20  112 of 225 frames\n"));
}

static void a_trial_says_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        double error;
        uint64_t predicted;
        const char *text;
    } trials[] = {{0.25, 0, "float16: off by 0.25, 0.125 are allowed"},
                  {NAN, 7, "float16: off by nan, 0.125 are allowed"},
                  {0.125, 7, "float16: its bits are not the predicted ones"},
                  {0.125, 0, "float16: two ways of one call give different bits"}};
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        char text[CLI_TRIAL_TEXT_BYTES];
        const ms_probe_trial trial = {"linear", "float16", trials[i].error, 0.125, 5, trials[i].predicted,
                                      false};
        assert_string_equal(cli_trial_text(&trial, text), trials[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_long_run_says_how_far_it_is),
                                       cmocka_unit_test(a_trial_says_what_is_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
