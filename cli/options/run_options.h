/* The options of `memsafe run`: their table, and how they become the library's parameters. */
#ifndef CLI_RUN_OPTIONS_H
#define CLI_RUN_OPTIONS_H

#include "console/console.h"
#include "memsafe/run.h"
#include "options/options.h"
#include "options/profile_options.h"

/* What the table fills; it borrows from the command line. */
typedef struct cli_run_state {
    ms_run_params p;
    cli_list inputs; /* the video, then perhaps the speech */
    const char *fps, *report;
    const char *part; /* "3/8", "auto"; NULL = the whole */
    bool is_worker;   /* started by another run */
    bool is_recalled; /* from the words that split the job */
    int precision, loop, rest, codec, audio_out, rung, latents, paste, format;
    int frames, resolution, segment;
    bool demo, replace_report;
    int preview;
    int64_t to_us; /* 0 = not said */
    char preview_output[4096];
    cli_profile_options profile;
    cli_console_options console;
} cli_run_state;

/* The commands themselves (cmd_run.c). */
int cli_run(const void *state, char **arguments, int n_arguments);
int cli_split(const void *state, char **arguments, int n_arguments);
int cli_join(const void *state, char **arguments, int n_arguments);
int cli_batch_run(const void *state, char **arguments, int n_arguments); /* cmd_batch.c */

/* Fills s->p from what the table could not write there itself; arguments: the words that are no options. */
ms_status cli_run_options_apply(cli_run_state *s, char **arguments, int n_arguments, ms_error *err);

/* Whether video, speech and output are named: asked before a model is looked for. */
ms_status cli_run_options_named(const cli_run_state *s, ms_error *err);

/* Whether video and speech are there: where no model is found, a file that is not there is missed first. */
ms_status cli_run_options_inputs(const cli_run_state *s, ms_error *err);

#endif
