/* Which model a command works with: the one that is named, the demo model when it
   is asked for, else the one that is installed. */
#ifndef MS_CLI_MODEL_CHOICE_H
#define MS_CLI_MODEL_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/models.h"

#define CLI_PATH_BYTES 4096
#define CLI_MODELS_MAX 8 /* that are listed */

/* For tables of options: a bool. */
#define CLI_DEMO_OPTION(type, field)                                                                         \
    {                                                                                                        \
        "demo", 0, CLI_FLAG, offsetof(type, field), NULL,                                                    \
            "the small model that comes with memsafe; it knows drawn faces only", 0, 0                       \
    }

/* What a command needs of a folder for it to count. */
typedef enum cli_model_need {
    CLI_NEEDS_ALL,   /* a run: the UNet's config and weights, which scripts/fetch-models downloads last */
    CLI_NEEDS_FACES, /* the face nets alone */
} cli_model_need;

typedef struct cli_models {
    int count; /* all that there are; at most CLI_MODELS_MAX of them are in path */
    char path[CLI_MODELS_MAX][CLI_PATH_BYTES];
} cli_models;

/*
 * The installed models, each once: $MEMSAFE_MODEL alone when it is set, else the folders in
 * ./models, in the user's data folder ($XDG_DATA_HOME/memsafe/models, or
 * ~/.local/share/memsafe/models), and beside the program (its prefix's share/memsafe/models,
 * or models/ of the source tree that a build folder lies in). The demo model is none of them.
 */
void cli_installed_models(cli_model_need need, cli_models *ret_models);

typedef struct cli_model_choice {
    char path[CLI_PATH_BYTES];
    const char *code;                /* of the note, for programs */
    char note[CLI_PATH_BYTES + 256]; /* what to tell the user of the choice; "" = nothing */
    bool asked;                      /* it is what was asked for: told to programs, and with -v */
} cli_model_choice;

/* *model becomes a path in `choice` unless it is set, or `named` says that all parts were named.
   MS_INVALID_ARGUMENT when there is nothing to choose, or too much: the message says what can be done. */
ms_status cli_choose_model(const char **model, bool demo, bool named, cli_model_need need,
                           cli_model_choice *choice, ms_error *err);

/* The folder may be named without -m, by a command that has no other lone name:
   model becomes it. MS_INVALID_ARGUMENT when both are there. */
ms_status cli_name_model(const char **model, char **arguments, int n_arguments, ms_error *err);

/* A published model's name in place of a folder's, by habit: an error that says
   --shape. For commands that have it. */
ms_status cli_no_shape(const char *model, ms_error *err);

/* MS_INVALID_ARGUMENT: a file that is to be written, `what`, is one of the model's,
   by whatever path or link. */
ms_status cli_spare_model(const ms_model_check_params *model, const char *path, const char *what,
                          ms_error *err);

/* Tells the note. */
void cli_say_choice(const cli_model_choice *choice);

/* MS_NO_FACE with the demo model: adds what it knows. */
void cli_explain_no_face(const cli_model_choice *choice, ms_error *err);

/* How the script that downloads the official weights is called from here. */
void cli_fetch_models(char *ret, size_t bytes);

#endif
