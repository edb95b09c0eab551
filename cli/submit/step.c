#include "submit/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "console/console.h"
#include "console/shell_word.h"

#define BIT(step) (1u << (step))
#define NONE 0u
#define ALL (~0u)

const char *cli_step_name(cli_step step) {
    static const char *const names[CLI_STEP_COUNT] = {"split", "parts", "join", "batch"};
    return names[step];
}

void cli_step_job_name(cli_step step, char ret_text[CLI_STEP_JOB_BYTES]) {
    snprintf(ret_text, CLI_STEP_JOB_BYTES, "memsafe-%s", cli_step_name(step));
}

/* Of the options of a run, those that are not for all steps. */
static unsigned steps_of(const char *option) {
    static const struct {
        const char *name;
        unsigned steps;
    } some[] = {{"report", BIT(CLI_STEP_JOIN) | BIT(CLI_STEP_BATCH)},
                {"force", BIT(CLI_STEP_SPLIT) | BIT(CLI_STEP_JOIN) | BIT(CLI_STEP_BATCH)},
                {"resume", BIT(CLI_STEP_SPLIT) | BIT(CLI_STEP_BATCH)},
                {"progress", NONE},
                {"quiet", NONE},
                {"verbose", NONE}};
    for (int i = 0; i < CLI_COUNT(some); i++)
        if (strcmp(some[i].name, option) == 0)
            return some[i].steps;
    return ALL;
}

static bool is_own(const cli_command *c, const cli_option *o) {
    return o >= c->options && o < c->options + c->n_options;
}

/* The words that were typed, with whose they are. */
typedef struct typed {
    char *const *word;
    int count;
    const cli_option **owner; /* [count] */
} typed;

/* Parsing moves words about, and fills a state: both are thrown away. */
static ms_status find_owners(const cli_command *c, typed *t, ms_error *err) {
    int n_arguments = 0;
    t->word = cli_typed_words(&t->count);
    char **copy = calloc((size_t)t->count + 1, sizeof(char *));
    void *state = calloc(1, c->state_bytes);
    t->owner = calloc((size_t)t->count + 1, sizeof(*t->owner));
    ms_status status = MS_OK;
    if (copy && state && t->owner) {
        for (int i = 0; i < t->count; i++)
            copy[i] = t->word[i];
        status = cli_parse_owned(c, t->count, copy, state, t->owner, &n_arguments, err);
    } else {
        status = ms_fail(err, MS_HOST_MEMORY, "out of memory for the steps");
    }
    free(copy);
    free(state);
    return status;
}

static void put_typed(ms_buf *b, const cli_command *c, cli_step step, const typed *t) {
    bool scheduler = true; /* its name is the first word that is no option */
    for (int i = 0; i < t->count; i++) {
        const cli_option *o = t->owner[i];
        if (o && (is_own(c, o) || !(steps_of(o->name) & BIT(step))))
            continue;
        if (!o && scheduler && strcmp(t->word[i], "--") != 0) {
            scheduler = false;
            continue;
        }
        ms_buf_append(b, " ", 1);
        cli_put_shell_word(b, t->word[i]);
    }
}

/* A step that Slurm begins again goes on with what is there. A batch does so the first time too, unless its
   outputs are to be replaced: it has no other way to pass over what an earlier one finished. */
static const char *resumes(cli_step step, const cli_submit_asked *asked) {
    static const char again[] = " ${SLURM_RESTART_COUNT:+--resume}";
    if (step == CLI_STEP_BATCH)
        return asked->run.p.force ? again : " --resume";
    return step == CLI_STEP_SPLIT ? again : "";
}

/* What is put before the typed words, so that these count where both say something. */
static void put_own(ms_buf *b, cli_step step, const cli_submit_asked *asked, int tasks) {
    static const char *const commands[CLI_STEP_COUNT] = {"split", "run --part auto", "join", "batch"};
    ms_buf_printf(b, " %s --progress json%s", commands[step], resumes(step, asked));
    if (asked->cpus) /* not every Slurm binds a task to what it was given */
        ms_buf_printf(b, " --threads %d", asked->cpus);
    if (step == CLI_STEP_BATCH)
        ms_buf_printf(b, " --part \"$SLURM_ARRAY_TASK_ID/%d\"", tasks);
}

ms_status cli_step_script(cli_step step, const cli_command *c, const cli_submit_asked *asked,
                          const cli_step_place *place, ms_buf *b, ms_error *err) {
    typed t = {.count = 0};
    ms_status status = find_owners(c, &t, err);
    if (status == MS_OK) {
        ms_buf_printf(b, "#!/bin/sh\ncd -- ");
        cli_put_shell_word(b, place->folder);
        /* In the shell's place, so that Slurm's signals reach it. */
        ms_buf_printf(b, " || exit %d\nexec ", ms_status_exit_code(MS_IO));
        cli_put_shell_word(b, place->program);
        put_own(b, step, asked, place->tasks);
        put_typed(b, c, step, &t);
        ms_buf_printf(b, "\n");
        if (b->failed)
            status = ms_fail(err, MS_HOST_MEMORY, "out of memory for the steps");
    }
    free(t.owner);
    return status;
}
