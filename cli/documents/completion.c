#include "documents/completion.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "commands/commands.h"

/* ---- what the tables say of a value ---- */

typedef enum value_kind {
    VALUE_NONE, /* the option takes none, or may stand without */
    VALUE_ANY,  /* a number, a name: nothing to offer */
    VALUE_WORDS,
    VALUE_FILE,
    VALUE_FOLDER,
} value_kind;

static value_kind kind_of(const cli_option *o) {
    if (o->type == CLI_FLAG || o->type == CLI_COUNT_OR_ALONE)
        return VALUE_NONE;
    if (o->type == CLI_CHOICE || strchr(o->argument, '|'))
        return VALUE_WORDS;
    if (o->type != CLI_TEXT && o->type != CLI_LIST)
        return VALUE_ANY;
    return strcmp(o->argument, "DIR") == 0                                        ? VALUE_FOLDER
           : strcmp(o->argument, "FILE") == 0 || strcmp(o->argument, "PATH") == 0 ? VALUE_FILE
                                                                                  : VALUE_ANY;
}

/* Of "auto|cpu|NAME[:N]" those that are meant as they stand: auto and cpu. */
static void print_words(const cli_option *o) {
    const char *between = "";
    for (const char *at = o->argument; *at;) {
        size_t length = strcspn(at, "|");
        if (!isupper((unsigned char)*at)) {
            printf("%s%.*s", between, (int)length, at);
            between = " ";
        }
        at += length + (at[length] == '|');
    }
}

/* Whether words of it that are no options are files: the usage names them so. */
static bool takes_files(const cli_command *c) {
    static const char *const files[] = {"FILE", "DIR", "OUT", "VIDEO"};
    for (size_t i = 0; c->max_arguments > 0 && i < sizeof(files) / sizeof(files[0]); i++)
        if (strstr(c->usage, files[i]))
            return true;
    return false;
}

/* Words of `help` are commands. */
static bool takes_commands(const cli_command *c) {
    return c == &cli_help_command;
}

static void print_names(void) {
    for (int i = 0; cli_commands[i]; i++)
        printf("%s%s", i ? " " : "", cli_commands[i]->name);
}

static void each_command(void (*print)(const cli_command *c)) {
    for (int i = 0; cli_commands[i]; i++)
        print(cli_commands[i]);
}

/* Within single quotes of a shell. special: characters that get a backslash there. */
static void print_quoted(const char *text, const char *quote, const char *special) {
    for (; *text; text++) {
        if (*text == '\'')
            printf("%s", quote);
        else
            printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

/* ---- bash ---- */

static void bash_option(const cli_option *o) {
    value_kind kind = kind_of(o);
    if (kind == VALUE_NONE)
        return;
    printf("        %s%s%s--%s) ", o->letter ? "-" : "", o->letter ? o->letter : "", o->letter ? " | " : "",
           o->name);
    if (kind == VALUE_WORDS) {
        printf("kind=words words='");
        print_words(o);
        printf("' ;;\n");
    } else {
        printf("kind=%s ;;\n", kind == VALUE_FILE ? "file" : kind == VALUE_FOLDER ? "folder" : "any");
    }
}

static void bash_command(const cli_command *c) {
    printf("    \"%s\")\n        options='--help", c->name);
    const cli_option *o;
    for (int i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->name)
            printf(" --%s%s%s", o->name, o->letter ? " -" : "", o->letter ? o->letter : "");
    printf("'\n");
    if (takes_files(c))
        printf("        kind=file\n");
    if (takes_commands(c)) {
        printf("        kind=words words='");
        print_names();
        printf("'\n");
    }
    printf("        case $before in\n");
    for (int i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->name)
            bash_option(o);
    printf("        esac\n        ;;\n");
}

static void print_bash(void) {
    printf("# Completion of memsafe for bash; made by `memsafe help --completion bash`.\n"
           "_memsafe() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} at=$COMP_CWORD\n"
           "    local command=${COMP_WORDS[1]} options='' kind=any words=''\n"
           "    COMPREPLY=()\n"
           "    # The = of --option=value is a word of its own here.\n"
           "    if [[ $word == '=' ]]; then\n"
           "        word=''\n"
           "    elif [[ $before == '=' ]]; then\n"
           "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    [[ $at -eq 1 ]] && command='' kind=words words='");
    print_names();
    printf(" --help --version'\n    case $command in\n");
    each_command(bash_command);
    printf("    esac\n"
           "    if [[ $word == -* && -n $options ]]; then\n"
           "        kind=words words=$options\n"
           "    fi\n"
           "    case $kind in\n"
           "    words) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\") ;;\n"
           "    folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\") ;;\n"
           "    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n"
           "    esac\n"
           "}\n"
           "complete -F _memsafe memsafe\n");
}

/* ---- zsh ---- */

static void zsh_quoted(const char *text) {
    print_quoted(text, "'\\''", "[]:\\");
}

static void zsh_option(const cli_option *o) {
    value_kind kind = kind_of(o);
    printf(" \\\n            ");
    const char *repeats = o->type == CLI_LIST || (o->letter && strcmp(o->letter, "i") == 0) ? "*" : "";
    if (!o->letter)
        printf("'%s--%s%s[", repeats, o->name, kind == VALUE_NONE ? "" : "=");
    else if (*repeats)
        printf("'*'{-%s,--%s%s}'[", o->letter, o->name, kind == VALUE_NONE ? "" : "=");
    else
        printf("'(-%s --%s)'{-%s,--%s%s}'[", o->letter, o->name, o->letter, o->name,
               kind == VALUE_NONE ? "" : "=");
    zsh_quoted(o->help);
    printf("]");
    if (kind != VALUE_NONE) {
        printf(":");
        zsh_quoted(kind == VALUE_WORDS ? o->name : o->argument);
        printf(":%s", kind == VALUE_FILE     ? "_files"
                      : kind == VALUE_FOLDER ? "_files -/"
                      : kind == VALUE_WORDS  ? "("
                                             : " ");
        if (kind == VALUE_WORDS) {
            print_words(o);
            printf(")");
        }
    } else if (o->type == CLI_COUNT_OR_ALONE) {
        printf("::%s: ", o->argument);
    }
    printf("'");
}

static void zsh_command(const cli_command *c) {
    printf("    '%s')\n        _arguments '--help[say what the command does]'", c->name);
    const cli_option *o;
    for (int i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->name)
            zsh_option(o);
    if (takes_files(c))
        printf(" \\\n            '*:file:_files'");
    if (takes_commands(c)) {
        printf(" \\\n            '*:command:(");
        print_names();
        printf(")'");
    }
    printf("\n        ;;\n");
}

static void zsh_names(void) {
    for (int i = 0; cli_commands[i]; i++) {
        printf(" \\\n            '%s:", cli_commands[i]->name);
        zsh_quoted(cli_commands[i]->summary);
        printf("'");
    }
    printf(")\n");
}

static void print_zsh(void) {
    printf("#compdef memsafe\n"
           "# Completion of memsafe for zsh; made by `memsafe help --completion zsh`.\n"
           "_memsafe() {\n"
           "    local command=$words[2]\n"
           "    local -a names\n"
           "    if (( CURRENT == 2 )); then\n"
           "        names=(");
    zsh_names();
    printf("        _describe command names\n"
           "        return\n"
           "    fi\n"
           "    shift words\n"
           "    (( CURRENT-- ))\n"
           "    case $command in\n");
    each_command(zsh_command);
    printf("    esac\n"
           "}\n"
           "if [[ $funcstack[1] == _memsafe ]]; then\n"
           "    _memsafe \"$@\"\n"
           "else\n"
           "    compdef _memsafe memsafe\n"
           "fi\n");
}

/* ---- fish ---- */

static void fish_quoted(const char *text) {
    print_quoted(text, "\\'", "\\");
}

static void fish_command(const cli_command *c) {
    const cli_option *o;
    for (int i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        if (!o->name)
            continue;
        value_kind kind = kind_of(o);
        printf("complete -c memsafe -n '__memsafe_in %s' -l %s", c->name, o->name);
        if (o->letter)
            printf(" -%s %s", o->letter[1] ? "o" : "s", o->letter);
        if (kind == VALUE_WORDS) {
            printf(" -x -a '");
            print_words(o);
            printf("'");
        }
        printf("%s -d '", kind == VALUE_FILE     ? " -r -F"
                          : kind == VALUE_FOLDER ? " -x -a '(__fish_complete_directories)'"
                          : kind == VALUE_ANY    ? " -x"
                                                 : "");
        fish_quoted(o->help);
        printf("'\n");
    }
    printf("complete -c memsafe -n '__memsafe_in %s' -l help -d 'say what the command does'\n", c->name);
    if (takes_files(c))
        printf("complete -c memsafe -n '__memsafe_in %s' -F\n", c->name);
    if (takes_commands(c)) {
        printf("complete -c memsafe -n '__memsafe_in %s' -a '", c->name);
        print_names();
        printf("'\n");
    }
}

static void fish_names(void) {
    for (int i = 0; cli_commands[i]; i++) {
        printf("complete -c memsafe -n '__memsafe_alone' -a %s -d '", cli_commands[i]->name);
        fish_quoted(cli_commands[i]->summary);
        printf("'\n");
    }
}

static void print_fish(void) {
    printf("# Completion of memsafe for fish; made by `memsafe help --completion fish`.\n"
           "# The word so far is this and there may be more; there is none.\n"
           "function __memsafe_in\n"
           "    set -l so_far (commandline -opc)\n"
           "    test (count $so_far) -ge 2; and test $so_far[2] = $argv[1]\n"
           "end\n"
           "function __memsafe_alone\n"
           "    set -l so_far (commandline -opc)\n"
           "    test (count $so_far) -eq 1\n"
           "end\n"
           "complete -c memsafe -f\n");
    fish_names();
    each_command(fish_command);
}

void cli_print_completion(cli_shell shell) {
    static void (*const print[])(void) = {print_bash, print_zsh, print_fish};
    print[shell]();
}
