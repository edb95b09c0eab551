/* `memsafe doctor`: what this build can do, what is missing, and the command that mends it. */
#include <stdio.h>

#include "base/error.h"
#include "commands.h"
#include "console.h"
#include "device/plugin.h"
#include "files/new_file.h"
#include "memsafe/library.h"
#include "model_check.h"
#include "model_choice.h"
#include "system/host.h"
#include "text/size.h"

#if MS_HAVE_FFMPEG
#include "media/write/video_writer.h"
#endif

typedef struct doctor_state {
    const char *model;
    bool demo, quick;
} doctor_state;

static const struct {
    const char *name, *gives, *package;
    ms_feature feature;
} libraries[] = {
    {"FFmpeg's libraries", "video and audio files (run, detect, stage audio)",
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

/* text may be "". */
static void row(const char *name, const char *state, const char *text) {
    if (cli_is_narrow())
        cli_print("  %s: %s%s%s\n", name, state, text[0] ? ", " : "", text);
    else if (text[0])
        cli_print("  %-20s %-8s %s\n", name, state, text);
    else
        cli_print("  %-20s %s\n", name, state);
}

/* Of what the row above lacks. */
static void mend_by(const char *what, const char *after) {
    cli_print("%*smend: %s%s\n", cli_is_narrow() ? 4 : 23, "", what, after);
}

static int check_libraries(void) {
    int missing = 0;
    cli_print("Libraries\n");
    for (int i = 0; i < CLI_COUNT(libraries); i++) {
        bool have = ms_has_feature(libraries[i].feature);
        row(libraries[i].name, have ? "yes" : "left out", libraries[i].gives);
        if (!have) {
            char package[256];
            snprintf(package, sizeof(package), "apt-get install %s", libraries[i].package);
            mend_by(package, "; then build again");
            missing++;
        }
    }
    return missing;
}

static void check_codecs(void) {
#if MS_HAVE_FFMPEG
    static const ms_video_codec codecs[] = {MS_VIDEO_H264, MS_VIDEO_HEVC, MS_VIDEO_FFV1};
    cli_print("Encoders\n");
    for (int i = 0; i < CLI_COUNT(codecs); i++) {
        ms_video_writer_params params = MS_VIDEO_WRITER_DEFAULTS;
        params.width = params.height = 64;
        params.codec = codecs[i];
        params.force = true;
        bool have = ms_video_writer_check("doctor.mkv", &params, NULL) != MS_UNSUPPORTED;
        row(ms_video_codec_name(codecs[i]), have ? "yes" : "no", have ? "" : "not in this FFmpeg");
    }
#endif
}

static ms_status check_model(const char *dir, bool quick) {
    const ms_model_names names = {.dir = dir};
    cli_print("Model %s\n", dir);
    return cli_model_check(&names, quick);
}

static bool is_random(const char *dir) {
    const ms_model_names names = {.dir = dir};
    return cli_model_is_random(&names);
}

/* Which models there are; how many that may be real: random weights from before they had a mark look like any. */
static int list_models(void) {
    static cli_models found;
    char path[CLI_PATH_BYTES], text[CLI_PATH_BYTES + 64];
    cli_installed_models(CLI_NEEDS_ALL, &found);
    cli_print("Models\n");
    int real = found.count;
    for (int i = 0; i < found.count && i < CLI_MODELS_MAX; i++) {
        bool random = is_random(found.path[i]);
        snprintf(text, sizeof(text), "%s%s", found.path[i],
                 random ? " (models --synthesize: faces will be noise)"
                        : " (whose weights they are is not written in them)");
        row(random ? "random weights" : "model", "yes", text);
        real -= random;
    }
    if (real == 0) {
        cli_fetch_models(path, sizeof(path));
        row("official weights", "none", "for real faces (without them `run --demo` knows drawn ones)");
        mend_by(path, " 1.5");
    }
    static cli_model_choice choice;
    const char *demo = NULL;
    cli_choose_model(&demo, true, false, CLI_NEEDS_ALL, &choice, NULL);
    row("demo", demo ? "yes" : "none", demo ? demo : "for `run --demo`");
    return real;
}

static void tell_plugin(void *arg, const char *path, const char *problem) {
    (void)arg;
    row(ms_name_in(path), problem ? "no" : "yes", problem ? problem : path);
}

static int doctor_run(const void *state, char **arguments, int n_arguments) {
    const doctor_state *s = state;
    const char *dir = s->model;
    static cli_model_choice choice;
    ms_host host;
    ms_error err;
    ms_error_clear(&err);
    if (cli_name_model(&dir, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (s->demo && cli_choose_model(&dir, true, false, CLI_NEEDS_ALL, &choice, &err) != MS_OK)
        return cli_fail(&err);
    char free[MS_SIZE_TEXT_BYTES], cpu[256];
    ms_host_read(&host);
    int problems = check_libraries();
    check_codecs();
    snprintf(cpu, sizeof(cpu), "%s, %d CPUs, %s, %s free", host.cpu_name, host.cpus,
             ms_isa_name(ms_isa_detect()), ms_size_format(free, ms_host_free_bytes(&host)));
    cli_print("Device\n");
    row("cpu", "yes", cpu);
    ms_plugin_list(tell_plugin, NULL);
    int real = list_models();
    ms_status model = dir ? check_model(dir, s->quick) : MS_OK;
    if (problems == 0 && model == MS_OK && (real || (dir && !is_random(dir))))
        cli_print("Nothing is missing.\n");
    else if (problems == 0 && model == MS_OK)
        cli_print("Nothing is missing but the official weights.\n");
    if (model == MS_BAD_MODEL || model == MS_IO) {
        cli_fetch_models(choice.path, sizeof(choice.path));
        cli_print("%s lays out the official models, and says which files it wants.\n", choice.path);
    }
    return ms_status_exit_code(model);
}

static const cli_option doctor_options[] = {
    CLI_GROUP("Options"),
    {"model", "m", CLI_TEXT, offsetof(doctor_state, model), "DIR",
     "also check this model folder, as `memsafe models`; also without -m", 0, 0},
    CLI_DEMO_OPTION(doctor_state, demo),
    {"quick", 0, CLI_FLAG, offsetof(doctor_state, quick), NULL, "of the model: names and shapes only", 0, 0},
};

const cli_command cli_doctor_command = {
    .name = "doctor",
    .summary = "Say what this build can do, what is missing, and how to mend it",
    .examples = {{"memsafe doctor -m models/latentsync-1.5", "is everything there that a run needs?"}},
    .usage = "[[-m] MODEL | --demo] [--quick]",
    .max_arguments = 1,
    .options = doctor_options,
    .n_options = CLI_COUNT(doctor_options),
    .state_bytes = sizeof(doctor_state),
    .run = doctor_run,
};
