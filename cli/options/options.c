#include "options/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "options/habits.h"
#include "options/nearest.h"
#include "text/size.h"
#include "options/time_value.h"

const cli_option *cli_option_at(const cli_command *c, int index) {
    if (index < c->n_options)
        return &c->options[index];
    return c->also ? cli_option_at(c->also, index - c->n_options) : NULL;
}

const cli_option *cli_find_option(const cli_command *c, const char *name, size_t length) {
    const cli_option *o;
    for (int i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->name && strlen(o->name) == length && strncmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

const cli_option *cli_find_letter(const cli_command *c, const char *letter, size_t length) {
    const cli_option *o;
    for (int i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->letter && strlen(o->letter) == length && strncmp(o->letter, letter, length) == 0)
            return o;
    return NULL;
}

/* Index of value among "a|b|c", -1 when it is none of them. */
static int choice_index(const char *choices, const char *value) {
    size_t n = strlen(value);
    int index = 0;
    for (const char *at = choices; *at; index++) {
        size_t length = strcspn(at, "|");
        if (length == n && strncmp(at, value, n) == 0)
            return index;
        at += length + (at[length] == '|');
    }
    return -1;
}

static ms_status bad_value(const cli_option *o, const char *value, const char *want, ms_error *err) {
    return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: \"%s\" is not %s", o->name, value, want);
}

static ms_status parse_number(const cli_option *o, const char *value, double *ret_number, ms_error *err) {
    char *end;
    errno = 0;
    double x = strtod(value, &end);
    if (end == value || *end || errno || !isfinite(x))
        return bad_value(o, value, "a number", err);
    const bool whole = o->type == CLI_INT || o->type == CLI_COUNT_OR_ALONE;
    if (whole && x != floor(x))
        return bad_value(o, value, "a whole number", err);
    /* The bounds are as people write them: no power of ten among nine digits. */
    if ((o->min != 0 || o->max != 0) && (x < o->min || x > o->max))
        return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: %s is not within %.10g to %.10g", o->name, value,
                       o->min, o->max);
    if (whole &&
        fabs(x) > INT_MAX) /* whoever takes it knows the bounds, and says them of what an int holds */
        return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: %s is out of all bounds", o->name, value);
    *ret_number = x;
    return MS_OK;
}

static ms_status parse_u64(const cli_option *o, const char *value, uint64_t *ret_value, ms_error *err) {
    char *end;
    errno = 0;
    /* a 0 in front makes no octal number */
    bool hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
    unsigned long long x = strtoull(value, &end, hex ? 16 : 10);
    if (!isdigit((unsigned char)value[0]) || *end || errno)
        return bad_value(o, value, "a whole number from 0 to 2^64 - 1", err);
    *ret_value = x;
    return MS_OK;
}

static ms_status parse_bytes(const cli_option *o, const char *value, uint64_t *ret_bytes, ms_error *err) {
    if (!ms_size_parse(value, ret_bytes))
        return bad_value(o, value, MS_SIZE_EXAMPLES, err);
    if (*ret_bytes == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "--%s: %s is no memory at all; without the option the default holds", o->name, value);
    return MS_OK;
}

static ms_status append(const cli_option *o, const char *value, cli_list *list, ms_error *err) {
    if (list->count == CLI_LIST_MAX)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: more than %d of them", o->name, CLI_LIST_MAX);
    list->items[list->count++] = value;
    return MS_OK;
}

static void set_flag(const cli_command *c, const char *name, bool value, void *state) {
    const cli_option *o = cli_find_option(c, name, strlen(name));
    if (o && o->type == CLI_FLAG)
        *(bool *)((char *)state + o->offset) = value;
}

/* -q and -v: the last one counts. */
static void set_level(const cli_command *c, int level, void *state) {
    set_flag(c, "quiet", level < 0, state);
    set_flag(c, "verbose", level > 0, state);
}

static ms_status store(const cli_option *o, const char *value, void *state, ms_error *err) {
    void *field = (char *)state + o->offset;
    double number = 0;
    switch (o->type) {
    case CLI_FLAG:
        *(bool *)field = true;
        return MS_OK;
    case CLI_TEXT:
        *(const char **)field = value;
        return MS_OK;
    case CLI_INT:
        MS_TRY(parse_number(o, value, &number, err));
        *(int *)field = (int)number;
        return MS_OK;
    case CLI_NUMBER:
        MS_TRY(parse_number(o, value, &number, err));
        *(double *)field = number;
        return MS_OK;
    case CLI_U64:
        return parse_u64(o, value, field, err);
    case CLI_BYTES:
        return parse_bytes(o, value, field, err);
    case CLI_TIME:
        if (!cli_parse_time(value, field))
            return bad_value(o, value, CLI_TIME_EXAMPLES, err);
        if (*(int64_t *)field < (int64_t)o->min)
            return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: %s is no length of time", o->name, value);
        return MS_OK;
    case CLI_COUNT_OR_ALONE:
        if (value)
            MS_TRY(parse_number(o, value, &number, err));
        *(int *)field = value ? (int)number : -1;
        return MS_OK;
    case CLI_LIST:
        return append(o, value, field, err);
    case CLI_CHOICE: {
        int index = choice_index(o->argument, value);
        if (index < 0)
            return ms_fail(err, MS_INVALID_ARGUMENT, "--%s: \"%s\" is none of %s", o->name, value,
                           o->argument);
        *(int *)field = index;
        return MS_OK;
    }
    }
    return MS_INTERNAL;
}

/* The option that a word names, and where in the word its value begins (NULL: it has none).
   After one dash come letters, or a whole name as FFmpeg's users type it ("-crf 18"). */
static const cli_option *find_option(const cli_command *c, const char *word, const char **ret_value) {
    bool two = word[1] == '-';
    const char *name = word + (two ? 2 : 1);
    size_t length = strcspn(name, "=");
    const cli_option *o = two ? NULL : cli_find_letter(c, name, length);
    if (!o)
        o = cli_find_option(c, name, length);
    *ret_value = name[length] == '=' ? name + length + 1 : NULL;
    if (o || two || cli_is_habit(name, length))
        return o;
    o = cli_find_letter(c, name, 1);
    /* A value behind its letter is a number, a path or a time: "-copyts" is no -c. */
    if (o && (o->type == CLI_FLAG || !strpbrk(name + 1, "0123456789./")))
        return NULL;
    *ret_value = name + 1;
    return o;
}

const char *cli_before(const cli_command *c) {
    return strncmp(c->name, "memsafe-", 8) == 0 ? "" : "memsafe ";
}

const char *cli_help_words(const cli_command *c, char ret_words[CLI_HELP_WORDS_BYTES]) {
    bool program = !cli_before(c)[0];
    snprintf(ret_words, CLI_HELP_WORDS_BYTES, program ? "%s%s --help" : "%shelp %s", cli_before(c), c->name);
    return ret_words;
}

static ms_status unknown_option(const cli_command *c, const char *word, ms_error *err) {
    const cli_option *near = cli_nearest_option(c, word);
    char help[CLI_HELP_WORDS_BYTES];
    cli_help_words(c, help);
    if (!near)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s has no option %s; see `%s`", c->name, word, help);
    return ms_fail(err, MS_INVALID_ARGUMENT, "%s has no option %s; did you mean %s%s%s--%s? See `%s`",
                   c->name, word, near->letter ? "-" : "", near->letter ? near->letter : "",
                   near->letter ? " or " : "", near->name, help);
}

static bool is_count(const char *word) {
    return word && word[0] && word[strspn(word, "0123456789")] == 0;
}

static ms_status needs_value(const char *word, const char *argument, ms_error *err) {
    return ms_fail(err, MS_INVALID_ARGUMENT, "%.*s needs a value (%s)", (int)strcspn(word, "="), word,
                   argument);
}

static ms_status take_word(const cli_habit *h, const cli_option *o, const char *theirs, void *state,
                           ms_error *err) {
    const char *ours = cli_habit_word(h, theirs);
    if (!ours[0]) /* it is so anyway */
        return MS_OK;
    if (h->says && o->type == CLI_CHOICE && choice_index(o->argument, ours) < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "-%s %s: %s", h->theirs, theirs, cli_habit_says(h, theirs));
    return store(o, ours, state, err);
}

#define LEVELS "quiet, error, warning, info or verbose"

/* What FFmpeg calls it. */
static ms_status parse_habit(const cli_command *c, const cli_habit *h, int argc, char **argv, int *index,
                             void *state, ms_error *err) {
    const cli_option *o = cli_find_option(c, h->ours, strlen(h->ours));
    const char *word = argv[*index], *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
    bool next = !value && *index + 1 < argc;
    int level = 1;
    switch (h->kind) {
    case CLI_HABIT_ERROR:
        if (next)
            value = argv[*index + 1];
        return ms_fail(err, MS_INVALID_ARGUMENT, "-%s: %s", h->theirs, cli_habit_says(h, value));
    case CLI_HABIT_GIVES:
    case CLI_HABIT_ANYWAY:
    case CLI_HABIT_CLEAR:
        if (value)
            return ms_fail(err, MS_INVALID_ARGUMENT, "-%s takes no value", h->theirs);
        if (h->kind == CLI_HABIT_GIVES)
            return store(o, h->words[0], state, err);
        if (h->kind == CLI_HABIT_CLEAR)
            set_flag(c, h->ours, false, state);
        return MS_OK;
    case CLI_HABIT_LEVEL:
        if (next && cli_habit_level(argv[*index + 1], &level))
            ++*index;
        else if (value || strcmp(h->theirs, o->letter) != 0) {
            if (!value && next)
                value = argv[*index + 1];
            if (!value)
                return needs_value(word, LEVELS, err);
            if (!cli_habit_level(value, &level))
                return ms_fail(err, MS_INVALID_ARGUMENT, "-%s: \"%s\" is no level (%s)", h->theirs, value,
                               LEVELS);
        }
        set_level(c, level, state);
        return MS_OK;
    case CLI_HABIT_SAME:
        if (next)
            value = argv[++*index];
        return value ? take_word(h, o, value, state, err) : needs_value(word, o->argument, err);
    }
    return MS_INTERNAL;
}

/* One argument that begins with a dash; *index moves on when the value is the next word. */
static ms_status parse_option(const cli_command *c, int argc, char **argv, int *index, void *state,
                              const cli_option **ret_option, ms_error *err) {
    const char *word = argv[*index], *value = NULL;
    const cli_habit *habit = cli_find_habit(c, word + 1, strcspn(word + 1, "="));
    if (habit) {
        *ret_option = cli_find_option(c, habit->ours, strlen(habit->ours));
        return parse_habit(c, habit, argc, argv, index, state, err);
    }
    const cli_option *o = find_option(c, word, &value);
    *ret_option = o;
    if (!o)
        return unknown_option(c, word, err);
    if (o->type == CLI_FLAG) {
        if (value)
            return ms_fail(err, MS_INVALID_ARGUMENT, "--%s takes no value", o->name);
        if (strcmp(o->name, "quiet") == 0 || strcmp(o->name, "verbose") == 0) {
            set_level(c, o->name[0] == 'q' ? -1 : 1, state);
            return MS_OK;
        }
    } else if (!value && o->type == CLI_COUNT_OR_ALONE) {
        if (*index + 1 < argc && is_count(argv[*index + 1]))
            value = argv[++*index];
    } else if (!value) {
        if (*index + 1 >= argc)
            return ms_fail(err, MS_INVALID_ARGUMENT, "--%s needs a value (%s)", o->name, o->argument);
        value = argv[++*index];
    }
    return store(o, value, state, err);
}

ms_status cli_parse_owned(const cli_command *c, int argc, char **argv, void *state,
                          const cli_option **ret_owners, int *ret_arguments, ms_error *err) {
    int kept = 0;
    bool only_words = false;
    MS_TRY(cli_habit_places(argc, argv, err));
    for (int i = 0; ret_owners && i < argc; i++)
        ret_owners[i] = NULL;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (only_words || word[0] != '-' || word[1] == 0) {
            argv[kept++] = argv[i];
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "-h") == 0) {
            cli_print_help(c, cli_help_columns());
            return MS_CANCELLED;
        } else {
            const cli_option *owner = NULL;
            const int first = i;
            MS_TRY(parse_option(c, argc, argv, &i, state, &owner, err));
            for (int k = first; ret_owners && k <= i; k++)
                ret_owners[k] = owner;
        }
    }
    if (kept < c->min_arguments || kept > c->max_arguments) {
        if (kept > c->max_arguments)
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s: what is \"%s\"? usage: %s%s %s", c->name,
                           argv[c->max_arguments], cli_before(c), c->name, c->usage);
        return ms_fail(err, MS_INVALID_ARGUMENT, "usage: %s%s %s", cli_before(c), c->name, c->usage);
    }
    *ret_arguments = kept;
    return MS_OK;
}

ms_status cli_parse(const cli_command *c, int argc, char **argv, void *state, int *ret_arguments,
                    ms_error *err) {
    return cli_parse_owned(c, argc, argv, state, NULL, ret_arguments, err);
}

static int run_command(const cli_command *c, int argc, char **argv) {
    ms_error err;
    ms_error_clear(&err);
    void *state = calloc(1, c->state_bytes ? c->state_bytes : 1);
    if (!state)
        return ms_status_exit_code(MS_HOST_MEMORY);
    if (c->defaults)
        c->defaults(state);
    int n_arguments = 0, code;
    ms_status status = cli_parse(c, argc, argv, state, &n_arguments, &err);
    if (status == MS_CANCELLED)
        code = 0;
    else if (status != MS_OK)
        code = cli_fail(&err);
    else
        code = c->run(state, argv, n_arguments);
    free(state);
    return code;
}

static int dispatch(const cli_command *const *commands, const cli_command *parent, int argc, char **argv) {
    const cli_command *const *all = commands;
    for (; *commands; commands++) {
        const cli_command *c = *commands;
        if (strcmp(cli_last_word(c->name), argv[0]) != 0)
            continue;
        if (!c->children)
            return run_command(c, argc - 1, argv + 1);
        if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
            cli_print_help(c, cli_help_columns());
            return argc < 2 ? ms_status_exit_code(MS_INVALID_ARGUMENT) : 0;
        }
        return dispatch(c->children, c, argc - 1, argv + 1);
    }
    const char *near = cli_nearest_command(all, argv[0]);
    char help[CLI_HELP_WORDS_BYTES] = "memsafe help";
    if (parent)
        cli_help_words(parent, help);
    ms_error err;
    ms_error_clear(&err);
    if (argv[0][0] == '-')
        ms_fail(&err, MS_INVALID_ARGUMENT, "%s: a command comes first, as in `%s%s %s ...`; `%s` lists them",
                argv[0], cli_before(all[0]), all[0]->name, argv[0], help);
    else
        ms_fail(&err, MS_INVALID_ARGUMENT, "there is no command \"%s\"; %s%s%s`%s` lists them", argv[0],
                near ? "did you mean " : "", near ? near : "", near ? "? " : "", help);
    return cli_fail(&err);
}

int cli_dispatch(const cli_command *const *commands, int argc, char **argv) {
    return dispatch(commands, NULL, argc, argv);
}
