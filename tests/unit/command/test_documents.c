/* Manual pages and completion: every option of every command stands in them, and bash completes it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "documents/completion.h"
#include "documents/manual.h"
#include "options/nearest.h"
#include "support/cli.h"
#include "test.h"

static const cli_command *page_of; /* of print_page() */
static cli_shell shell_of;         /* of print_shell() */

static void print_page(void) {
    cli_print_manual(page_of);
}

static void print_shell(void) {
    cli_print_completion(shell_of);
}

/* What it prints. To be freed. */
static char *printed(void (*print)(void)) {
    static char *text; /* static: gcc takes it for dangling, for the stream has its address */
    static size_t length;
    FILE *memory = open_memstream(&text, &length), *real = stdout;
    assert_non_null(memory);
    stdout = memory;
    print();
    stdout = real;
    assert_int_equal(fclose(memory), 0);
    return text;
}

static char *page(const cli_command *c) {
    page_of = c;
    return printed(print_page);
}

static char *script(cli_shell shell) {
    shell_of = shell;
    return printed(print_shell);
}

/* "latent-cache" as a page spells it: "latent\-cache". */
static const char *roff(const char *name) {
    static char spelled[128];
    size_t n = 0;
    for (; *name && n + 3 < sizeof(spelled); name++) {
        if (*name == '-')
            spelled[n++] = '\\';
        spelled[n++] = *name;
    }
    spelled[n] = 0;
    return spelled;
}

/* ---- manual pages ---- */

static void look_at_options(const cli_command *c, const char *text) {
    for (int i = 0; i < c->n_options; i++) {
        const cli_option *o = &c->options[i];
        char want[256];
        if (!o->name)
            continue;
        int n = o->letter ? snprintf(want, sizeof(want), "\\fB\\-%s\\fR, ", o->letter)
                          : snprintf(want, sizeof(want), "%s", "");
        n += snprintf(want + n, sizeof(want) - (size_t)n, "\\fB\\-\\-%s\\fR", roff(o->name));
        if (o->type != CLI_FLAG && o->type != CLI_COUNT_OR_ALONE)
            snprintf(want + n, sizeof(want) - (size_t)n, " \\fI%s\\fR\n", roff(o->argument));
        if (!strstr(text, want))
            fail_msg("%s: no \"%s\" in its page", c->name, want);
    }
}

static void test_every_option_is_in_the_manual(void **state) {
    (void)state;
    char *overview = page(NULL);
    for (int i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        char want[192];
        snprintf(want, sizeof(want), "memsafe\\-%s\\fR(1)", roff(c->name));
        if (!strstr(overview, want))
            fail_msg("%s is not in memsafe.1", c->name);
        char *text = page(c);
        assert_non_null(strstr(text, ".SH NAME\nmemsafe\\-"));
        assert_non_null(strstr(text, "\n.SH EXAMPLES\n"));
        look_at_options(c, text);
        free(text);
    }
#define X(name, value, exit_code, text)                                                                      \
    if (!strstr(overview, "\n" #exit_code "\n" text "\n"))                                                   \
        fail_msg("exit code %d is not in memsafe.1", exit_code);
    MS_STATUS_MAP(X)
#undef X
    free(overview);
}

static char *contents(const char *path) {
    char *text = calloc(1, 65536);
    FILE *f = fopen(path, "r");
    assert_true(text && f);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

/* The page of the script is written by hand: options and exit codes that its usage has. */
static void test_the_scripts_page_has_its_options(void **state) {
    (void)state;
    int options = 0;
    char *text = contents(MS_SOURCE_DIR "/scripts/memsafe-fetch-models.1.in");
    assert_int_equal(test_shell("sh " MS_SOURCE_DIR "/scripts/fetch-models --help"), 0);
    for (char *line = strtok(test_output, "\n"); line; line = strtok(NULL, "\n")) {
        char name[64], want[192];
        if (strncmp(line, "  -", 3) == 0) {
            assert_int_equal(sscanf(line, " %63s", name), 1);
            snprintf(want, sizeof(want), ".TP\n\\fB%s\\fR", roff(name));
            options++;
            if (!strstr(text, want))
                fail_msg("%s is not in the page of fetch-models", name);
        }
        for (char *code = strncmp(line, "Exit codes: ", 12) == 0 ? line + 10 : NULL; code;
             code = strchr(code + 1, ',')) {
            snprintf(want, sizeof(want), ".TP 5\n%c\n", code[2]);
            if (!strstr(text, want))
                fail_msg("exit code %c is not in the page of fetch-models", code[2]);
        }
    }
    assert_int_equal(options, 4);
    free(text);
    text = page(NULL);
    assert_non_null(strstr(text, "memsafe\\-fetch\\-models\\fR(1)\n"));
    free(text);
}

/* ---- completion ---- */

static void for_each_command(void (*f)(const cli_command *c, void *arg), void *arg) {
    for (int i = 0; cli_commands[i]; i++)
        f(cli_commands[i], arg);
}

/* offers WANTED WORD ...: the last word is completed. nothing WORD ...: there is nothing to offer. */
static const char driver[] =
    "compopt() { :; }\n"
    "n=0\n"
    "complete_it() { COMP_WORDS=(memsafe \"$@\") COMP_CWORD=$#; _memsafe; n=$((n + 1)); }\n"
    "offers() { local want=$1; shift; complete_it \"$@\"\n"
    "    [[ \" ${COMPREPLY[*]} \" == *\" $want \"* ]] || echo \"memsafe $*: $want is not among: "
    "${COMPREPLY[*]}\"; }\n"
    "lacks() { local want=$1; shift; complete_it \"$@\"\n"
    "    [[ \" ${COMPREPLY[*]} \" != *\" $want \"* ]] || echo \"memsafe $*: $want is among: "
    "${COMPREPLY[*]}\"; }\n"
    "nothing() { complete_it \"$@\"; [[ ${#COMPREPLY[@]} = 0 ]] || echo \"memsafe $*: ${COMPREPLY[*]}\"; }\n";

static void ask_values(const cli_command *c, const cli_option *o, FILE *f) {
    if (o->type == CLI_FLAG || o->type == CLI_COUNT_OR_ALONE)
        return;
    bool words = false;
    for (const char *at = o->argument; strchr(o->argument, '|') && *at;) {
        size_t length = strcspn(at, "|");
        if (!isupper((unsigned char)*at)) {
            fprintf(f, "offers %.*s %s --%s ''\n", (int)length, at, c->name, o->name);
            fprintf(f, "offers %.*s %s --%s = %.1s\n", (int)length, at, c->name, o->name, at);
            words = true;
        }
        at += length + (at[length] == '|');
    }
    assert_true(words == (strchr(o->argument, '|') != NULL));
    bool file = strcmp(o->argument, "FILE") == 0 || strcmp(o->argument, "PATH") == 0,
         folder = strcmp(o->argument, "DIR") == 0;
    for (int how = 0; how < (o->letter ? 2 : 1); how++) {
        const char *dashes = how ? "-" : "--", *name = how ? o->letter : o->name;
        if (file)
            fprintf(f, "offers clip.mp4 %s %s%s cl\n", c->name, dashes, name);
        if (folder) {
            fprintf(f, "offers clips %s %s%s cl\n", c->name, dashes, name);
            fprintf(f, "lacks clip.mp4 %s %s%s cl\n", c->name, dashes, name);
        }
        if (!file && !folder && !words)
            fprintf(f, "nothing %s %s%s ''\n", c->name, dashes, name);
    }
}

static void ask_bash(const cli_command *c, void *arg) {
    FILE *f = arg;
    for (int i = 0; i < c->n_options; i++) {
        const cli_option *o = &c->options[i];
        if (!o->name)
            continue;
        fprintf(f, "offers --%s %s --%.2s\n", o->name, c->name, o->name);
        if (o->letter)
            fprintf(f, "offers -%s %s -\n", o->letter, c->name);
        ask_values(c, o, f);
    }
    fprintf(f, "lacks --no-such-option %s -\n", c->name);
}

static void test_bash_completes_every_option(void **state) {
    (void)state;
    FILE *f = fopen(test_file("ask.bash"), "w");
    assert_non_null(f);
    char *text = script(CLI_BASH);
    fputs(text, f);
    free(text);
    fputs(driver, f);
    for (int i = 0; cli_commands[i]; i++)
        fprintf(f, "offers %s ''\noffers %s %.2s\noffers %s help ''\n", cli_commands[i]->name,
                cli_commands[i]->name, cli_commands[i]->name, cli_commands[i]->name);
    for_each_command(ask_bash, f);
    fputs("offers clip.mp4 run ''\noffers clip.mp4 run -i clip.mp4 -a cl\noffers clip.mp4 score ''\nnothing "
          "doctor ''\n"
          "echo \"asked $n\"\n",
          f);
    assert_int_equal(fclose(f), 0);
    char line[2048];
    snprintf(line, sizeof(line), "cd %s && mkdir clips && touch clip.mp4 && bash -u ask.bash 2>&1",
             test_dir());
    assert_int_equal(test_shell(line), 0);
    int asked = 0;
    if (sscanf(test_output, "asked %d", &asked) != 1 || asked < 550)
        fail_msg("%s", test_output);
}

typedef struct script_text {
    const char *text, *begins, *option;
} script_text;

/* In the part of the script that is the command's. */
static void look_in_script(const cli_command *c, void *arg) {
    const script_text *s = arg;
    char begins[128], want[128];
    snprintf(begins, sizeof(begins), s->begins, c->name);
    const char *own = strstr(s->text, begins);
    if (!own && c->n_options > 0)
        fail_msg("%s is not in the script", c->name);
    for (int i = 0; i < c->n_options; i++) {
        if (!c->options[i].name)
            continue;
        snprintf(want, sizeof(want), s->option, c->name, c->options[i].name);
        const char *at = strstr(own, want), *end = strstr(own, "\n        ;;\n");
        if (!at || (strchr(s->begins, ')') && at > end))
            fail_msg("%s: --%s is not in the script", c->name, c->options[i].name);
    }
}

static void test_every_option_is_in_the_other_scripts(void **state) {
    (void)state;
    char *zsh = script(CLI_ZSH), *fish = script(CLI_FISH);
    for_each_command(look_in_script, &(script_text){zsh, "\n    '%s')\n", "%.0s--%s"});
    for_each_command(look_in_script,
                     &(script_text){fish, "'__memsafe_in %s' -l ", "'__memsafe_in %s' -l %s "});
    free(zsh);
    free(fish);
}

static void test_help_says_what_is_wrong(void **state) {
    (void)state;
    assert_run_works("help --man batch-size");
    assert_non_null(strstr(test_output, ".TH MEMSAFE\\-BATCH\\-SIZE 1"));
    assert_run_works("help batch-size");
    assert_non_null(strstr(test_output, "usage: memsafe batch-size"));
    assert_run_works("--help run");
    assert_non_null(strstr(test_output, "usage: memsafe run"));
    assert_run_fails(2, "there is no command \"plam\"; did you mean plan", "help --man plam");
    assert_run_fails(2, "there is no command \"plam\"", "help plam");
    assert_run_fails(2, "--completion is of all commands", "help --completion zsh run");
    assert_run_fails(2, "none of bash|zsh|fish", "help --completion tcsh");
    assert_run_fails(2, "there is no command \"stage\"", "stage unet");
    assert_run_fails(2, "usage: memsafe COMMAND", " ");
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_is_in_the_manual),
        cmocka_unit_test(test_the_scripts_page_has_its_options),
        cmocka_unit_test(test_bash_completes_every_option),
        cmocka_unit_test(test_every_option_is_in_the_other_scripts),
        cmocka_unit_test(test_help_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
