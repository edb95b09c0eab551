/* `memsafe doctor`: what this build can do, what is missing, and the command that mends it. */
#include <stdio.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/console.h"
#include "console/hints.h"
#include "files/new_file.h"
#include "memsafe/library.h"
#include "memsafe/probe.h"
#include "results/checks.h"
#include "results/model_check.h"
#include "serve.h"
#include "options/model_choice.h"
#include "text/size.h"

typedef struct doctor_state {
    const char *model, *device;
    int seeds;
    bool demo, quick, json;
} doctor_state;

static const struct {
    const char *name, *gives, *package;
    ms_feature feature;
} libraries[] = {
    {"FFmpeg's libraries", "video and audio files (run, detect, score)",
     "libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev", MS_FEATURE_FFMPEG},
    {"libyaml", "YAML configs (JSON ones work without)", "libyaml-dev", MS_FEATURE_YAML},
    {"protobuf-c", "ONNX face nets (without them a track file is needed)",
     "libprotobuf-c-dev protobuf-c-compiler", MS_FEATURE_ONNX},
    {"SQLite",
     "the journal of a run (--resume needs it) and the history (without it the speed is measured each time)",
     "libsqlite3-dev", MS_FEATURE_SQLITE},
    {"zstd", "a smaller latent cache (without it latents are kept as they are)", "libzstd-dev",
     MS_FEATURE_ZSTD},
};

static int check_libraries(void) {
    int missing = 0;
    cli_checks_group("Libraries");
    for (int i = 0; i < CLI_COUNT(libraries); i++) {
        bool have = ms_has_feature(libraries[i].feature);
        cli_checks_row(libraries[i].name, have ? "yes" : "left out", libraries[i].gives);
        if (!have) {
            char package[256];
            snprintf(package, sizeof(package), "apt-get install %s", libraries[i].package);
            cli_checks_mend(package, "; then build again");
            missing++;
        }
    }
    const char *lacks = serve_lacks();
    char text[256];
    snprintf(text, sizeof(text), "a page and an HTTP interface (serve)%s%s", lacks ? "; it needs " : "",
             lacks ? lacks : "");
    cli_checks_row("server", lacks ? "left out" : "yes", text);
    if (lacks) {
        cli_checks_mend("apt-get install libmicrohttpd-dev libseccomp-dev libcurl4-openssl-dev",
                        "; then build again");
        missing++;
    }
    return missing;
}

static void check_codecs(void) {
    static const struct {
        const char *name;
        ms_output_codec codec;
    } codecs[] = {{"h264", MS_OUTPUT_H264}, {"hevc", MS_OUTPUT_HEVC}, {"ffv1", MS_OUTPUT_FFV1}};
    if (!ms_has_feature(MS_FEATURE_FFMPEG))
        return;
    cli_checks_group("Encoders");
    for (int i = 0; i < CLI_COUNT(codecs); i++) {
        bool have = ms_probe_has_encoder(codecs[i].codec);
        cli_checks_row(codecs[i].name, have ? "yes" : "no", have ? "" : "not in this FFmpeg");
    }
}

static void take_finding(void *arg, const ms_finding *f) {
    char text[CLI_ERROR_BYTES];
    int *count = arg;
    *count += 1;
    cli_checks_finding(f->part, f->kind, f->error ? cli_error_text(f->error, text) : f->text);
}

static ms_status check_model(const char *dir, bool quick, bool json) {
    ms_model_check_params p = {.model = dir, .quick = quick};
    ms_error err;
    int found = 0;
    if (!json) {
        cli_print("Model %s\n", dir);
        return cli_model_check(&p);
    }
    p.tell = take_finding;
    p.arg = &found;
    ms_status status = ms_model_check(&p, &err);
    if (status != MS_OK && !found) /* it is no folder that could be looked into */
        cli_fail(&err);
    return status;
}

static bool is_random(const char *dir) {
    return ms_model_is_synthetic(&(ms_model_check_params){.model = dir});
}

/* Which models there are; how many that may be real: random weights from before they had a mark look like
   any. */
static int list_models(void) {
    static cli_models found;
    char path[CLI_PATH_BYTES], text[CLI_PATH_BYTES + 64];
    cli_installed_models(CLI_NEEDS_ALL, &found);
    cli_checks_group("Models");
    int real = found.count;
    for (int i = 0; i < found.count && i < CLI_MODELS_MAX; i++) {
        bool random = is_random(found.path[i]);
        snprintf(text, sizeof(text), "%s%s", found.path[i],
                 random ? " (models --synthesize: faces will be noise)"
                        : " (whose weights they are is not written in them)");
        cli_checks_row(random ? "random weights" : "model", "yes", text);
        real -= random;
    }
    if (real == 0) {
        cli_fetch_models(path, sizeof(path));
        cli_checks_row("official weights", "none",
                       "for real faces (without them `run --demo` knows drawn ones)");
        snprintf(text, sizeof(text), "%s 1.5", path);
        cli_checks_mend(text, "");
    }
    static cli_model_choice choice;
    const char *demo = NULL;
    cli_choose_model(&demo, true, false, CLI_NEEDS_ALL, &choice, NULL);
    cli_checks_row("demo", demo ? "yes" : "none", demo ? demo : "for `run --demo`");
    return real;
}

static void tell_plugin(void *arg, const char *path, const char *problem) {
    int *found = arg;
    cli_checks_row(ms_name_in(path), problem ? "no" : "yes", problem ? problem : path);
    *found += 1;
}

static void list_plugins(void) {
    char folder[CLI_PATH_BYTES], text[CLI_PATH_BYTES + 32];
    int found = 0;
    ms_plugin_list(tell_plugin, &found);
    for (int i = 0; found == 0 && ms_plugin_folder(i, folder, sizeof(folder)); i++) {
        snprintf(text, sizeof(text), "no memsafe-NAME.so in %s", folder);
        if (i)
            cli_checks_nor(folder);
        else
            cli_checks_row("plug-ins", "none", text);
    }
}

static void list_devices(void) {
    char free[MS_SIZE_TEXT_BYTES], cpu[256];
    const char *best = "";
    ms_probe *probe = NULL;
    ms_probe_host host;
    ms_probe_create(NULL, &probe, NULL);
    ms_probe_get_host(probe, &host);
    for (int i = 0; ms_probe_instruction_set(i); i++)
        best = ms_probe_instruction_set(i);
    snprintf(cpu, sizeof(cpu), "%s, %d CPUs, %s, %s free", host.cpu_name, host.cpus, best,
             ms_size_format(free, host.free_bytes));
    ms_probe_destroy(&probe);
    cli_checks_group("Device");
    cli_checks_row("cpu", "yes", cpu);
    list_plugins();
}

typedef struct trials {
    int all, wrong, predicted, as_predicted;
} trials;

static void tell_trial(void *arg, const ms_probe_trial *t) {
    trials *sum = arg;
    char name[64], text[CLI_TRIAL_TEXT_BYTES];
    sum->all++;
    sum->predicted += t->predicted != 0;
    sum->as_predicted += t->predicted != 0 && t->predicted == t->hash;
    if (t->agrees)
        return;
    sum->wrong++;
    snprintf(name, sizeof(name), "%s", t->family);
    cli_checks_row(name, "wrong", cli_trial_text(t, text));
}

/* At length what is done in short when a device is first used. */
static ms_status try_device(const char *device, int seeds, ms_error *err) {
    const ms_probe_params params = {.device = device, .must_compute = true};
    ms_probe *probe = NULL;
    ms_probe_device found;
    trials sum = {0};
    MS_TRY(ms_probe_create(&params, &probe, err));
    ms_probe_get_device(probe, &found);
    char title[200];
    snprintf(title, sizeof(title), "Test of %s", found.description);
    cli_checks_group(title);
    ms_status status = ms_probe_self_test(probe, seeds, tell_trial, &sum, err);
    char text[160];
    snprintf(text, sizeof(text), "%d results agree with the processor's, %d do not", sum.all - sum.wrong,
             sum.wrong);
    cli_checks_row("kernels", sum.wrong || status != MS_OK ? "no" : "yes", text);
    snprintf(text, sizeof(text), "%d of %d predicted results have the predicted bits", sum.as_predicted,
             sum.predicted);
    if (sum.predicted)
        cli_checks_row("bits", sum.as_predicted == sum.predicted ? "yes" : "no", text);
    ms_probe_destroy(&probe);
    return status;
}

static void doctor_defaults(void *state) {
    doctor_state *s = state;
    s->seeds = 8;
}

static int doctor_run(const void *state, char **arguments, int n_arguments) {
    const doctor_state *s = state;
    const char *dir = s->model;
    static cli_model_choice choice;
    ms_error err;
    ms_error_clear(&err);
    if (cli_name_model(&dir, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (s->demo && cli_choose_model(&dir, true, false, CLI_NEEDS_ALL, &choice, &err) != MS_OK)
        return cli_fail(&err);
    cli_checks_begin(s->json);
    const bool whole = check_libraries() == 0;
    check_codecs();
    list_devices();
    ms_status tried = s->device ? try_device(s->device, s->seeds, &err) : MS_OK;
    if (tried != MS_OK && s->json) /* people are told last */
        cli_checks_row(s->device, "no", err.message);
    const bool real = list_models() > 0 || (dir && !is_random(dir));
    ms_status model = dir ? check_model(dir, s->quick, s->json) : MS_OK;
    const bool fine = whole && model == MS_OK && tried == MS_OK;
    if (fine)
        cli_checks_say(real ? "Nothing is missing." : "Nothing is missing but the official weights.");
    if (model == MS_BAD_MODEL || model == MS_IO) {
        char text[CLI_PATH_BYTES + 80];
        cli_fetch_models(choice.path, sizeof(choice.path));
        snprintf(text, sizeof(text), "%s lays out the official models, and says which files it wants.",
                 choice.path);
        cli_checks_say(text);
    }
    cli_checks_end(dir, fine);
    return tried == MS_OK ? ms_status_exit_code(model) : cli_fail(&err);
}

static const cli_option doctor_options[] = {
    CLI_GROUP("Options"),
    {"model", "m", CLI_TEXT, offsetof(doctor_state, model), "DIR",
     "also check this model folder, as `memsafe models`; also without -m", 0, 0},
    CLI_DEMO_OPTION(doctor_state, demo),
    {"device", 0, CLI_TEXT, offsetof(doctor_state, device), "auto|cpu|NAME[:N]",
     "try every kind of kernel of this device against the processor's results", 0, 0},
    {"seeds", 0, CLI_INT, offsetof(doctor_state, seeds), "N", "try each kind with so many inputs (default 8)",
     1, 1000},
    {"quick", 0, CLI_FLAG, offsetof(doctor_state, quick), NULL, "of the model: names and shapes only", 0, 0},
    {"json", "j", CLI_FLAG, offsetof(doctor_state, json), NULL, "one JSON object", 0, 0},
};

const cli_command cli_doctor_command = {
    .name = "doctor",
    .summary = "Say what this build can do, what is missing, and how to mend it",
    .examples = {{"memsafe doctor -m models/latentsync-1.5", "is everything there that a run needs?"},
                 {"memsafe doctor --device cuda", "does this card compute as it should?"}},
    .usage = "[[-m] MODEL | --demo] [--quick] [--device NAME [--seeds N]] [--json]",
    .max_arguments = 1,
    .options = doctor_options,
    .n_options = CLI_COUNT(doctor_options),
    .state_bytes = sizeof(doctor_state),
    .defaults = doctor_defaults,
    .run = doctor_run,
};
