/* `memsafe models`: what is in a model folder and what is wrong with it; it makes folders with random weights
   too. */
#include <stdio.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/console.h"
#include "results/model_check.h"
#include "options/model_choice.h"

typedef struct models_state {
    ms_model_check_params p;
    ms_model_synthesize_params make;
    int precision; /* index of fp16|fp32|bf16 */
    bool demo;
} models_state;

static void models_defaults(void *state) {
    models_state *s = state;
    ms_model_check_params_init(&s->p);
    ms_model_synthesize_params_init(&s->make);
}

static int synthesize(const models_state *s) {
    static const ms_precision precisions[] = {MS_PRECISION_FP16, MS_PRECISION_FP32, MS_PRECISION_BF16};
    ms_model_synthesize_params p = s->make;
    ms_error err;
    ms_error_clear(&err);
    p.precision = precisions[s->precision];
    if (!p.folder)
        ms_fail(&err, MS_INVALID_ARGUMENT, "--synthesize needs -o DIR");
    else
        ms_model_synthesize(&p, &err);
    if (err.code != MS_OK)
        return cli_fail(&err);
    cli_print("%s: random weights written; the face nets see one face at the same place of every picture\n",
              p.folder);
    return 0;
}

static int models_run(const void *state, char **arguments, int n_arguments) {
    models_state s = *(const models_state *)state;
    static cli_model_choice choice;
    ms_error err;
    ms_error_clear(&err);
    if (s.make.shape)
        return synthesize(&s);
    if (cli_name_model(&s.p.model, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_choose_model(&s.p.model, s.demo, s.p.unet, CLI_NEEDS_ALL, &choice, &err) != MS_OK)
        return cli_fail(&err);
    cli_say_choice(&choice);
    return ms_status_exit_code(cli_model_check(&s.p));
}

#define P(field) offsetof(models_state, p.field)

static const cli_option models_options[] = {
    CLI_GROUP("Options"),
    {"model", "m", CLI_TEXT, P(model), "DIR", "model folder, also without -m", 0, 0},
    CLI_DEMO_OPTION(models_state, demo),
    {"config", 0, CLI_TEXT, P(config), "FILE", "UNet config in place of the folder's", 0, 0},
    {"unet", 0, CLI_TEXT, P(unet), "FILE", "UNet checkpoint in place of the folder's", 0, 0},
    {"vae", 0, CLI_TEXT, P(vae), "PATH", "VAE folder or weights file", 0, 0},
    {"whisper", 0, CLI_TEXT, P(whisper), "FILE", "Whisper checkpoint", 0, 0},
    {"faces", 0, CLI_TEXT, P(faces), "DIR", "folder of the face nets", 0, 0},
    {"quick", 0, CLI_FLAG, P(quick), NULL, "names and shapes only, values are not read", 0, 0},
    {"synthesize", 0, CLI_TEXT, offsetof(models_state, make.shape), "latentsync-1.5|latentsync-1.6|tiny",
     "write a folder of that shape with random weights to -o", 0, 0},
    {"out", "o", CLI_TEXT, offsetof(models_state, make.folder), "DIR",
     "folder to make; it may be there, but no model's file in it is replaced", 0, 0},
    {"dtype", 0, CLI_CHOICE, offsetof(models_state, precision), "fp16|fp32|bf16",
     "type of the random weights (default fp16)", 0, 0},
    {"seed", 0, CLI_U64, offsetof(models_state, make.seed), "N", "seed of the random weights (default 1247)",
     0, 0},
};

const cli_command cli_models_command = {
    .name = "models",
    .summary = "Inspect and verify a model folder, or make one with random weights",
    .examples = {{"memsafe models models/latentsync-1.5", "check every tensor of a model folder"},
                 {"memsafe models --synthesize tiny -o /tmp/tiny",
                  "a small model with random weights, for tests"}},
    .usage = "[[-m] DIR | --demo] | --synthesize NAME -o DIR [--dtype TYPE]",
    .text = "Prints each part's file, format, size and precision, and checks every tensor's name, shape and "
            "values against\n"
            "the config, and the checksums that torch files hold; a run checks the former only. The exit "
            "code is that of the first thing that is wrong.",
    .options = models_options,
    .n_options = CLI_COUNT(models_options),
    .max_arguments = 1,
    .state_bytes = sizeof(models_state),
    .defaults = models_defaults,
    .run = models_run,
};
