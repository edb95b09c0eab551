/* `memsafe doctor`: what this build can do, what is missing, and the command that mends it. */
#include <stdio.h>

#include "base/size.h"
#include "commands.h"
#include "device/device.h"
#include "memory/host.h"
#include "model_check.h"

#if MS_HAVE_FFMPEG
#include "media/video_writer.h"
#endif

typedef struct doctor_state {
    const char *model;
    bool quick;
} doctor_state;

static const struct {
    const char *name, *gives, *package;
    int have;
} libraries[] = {
    {"FFmpeg's libraries", "video and audio files (run, detect, stage audio)",
     "libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev", MS_HAVE_FFMPEG},
    {"libyaml", "YAML configs (JSON ones work without)", "libyaml-dev", MS_HAVE_YAML},
    {"protobuf-c", "ONNX face nets (without them a track file is needed)",
     "libprotobuf-c-dev protobuf-c-compiler", MS_HAVE_ONNX},
    {"SQLite",
     "the journal of a run (--resume needs it) and the history (without it the speed is measured each time)",
     "libsqlite3-dev", MS_HAVE_SQLITE},
    {"zstd", "a smaller latent cache (without it latents are kept as they are)", "libzstd-dev", MS_HAVE_ZSTD},
};

static int check_libraries(void) {
    int missing = 0;
    printf("Libraries\n");
    for (int i = 0; i < CLI_COUNT(libraries); i++) {
        printf("  %-20s %-8s %s\n", libraries[i].name, libraries[i].have ? "yes" : "left out",
               libraries[i].gives);
        if (!libraries[i].have) {
            printf("  %-20s mend: apt-get install %s; then build again\n", "", libraries[i].package);
            missing++;
        }
    }
    return missing;
}

static void check_codecs(void) {
#if MS_HAVE_FFMPEG
    static const ms_video_codec codecs[] = {MS_VIDEO_H264, MS_VIDEO_HEVC, MS_VIDEO_FFV1};
    printf("Encoders\n");
    for (int i = 0; i < CLI_COUNT(codecs); i++) {
        ms_video_writer_params params = MS_VIDEO_WRITER_DEFAULTS;
        params.width = params.height = 64;
        params.codec = codecs[i];
        params.force = true;
        bool have = ms_video_writer_check("doctor.mkv", &params, NULL) != MS_UNSUPPORTED;
        printf("  %-20s %s\n", ms_video_codec_name(codecs[i]), have ? "yes" : "not in this FFmpeg");
    }
#endif
}

static ms_status check_model(const doctor_state *s) {
    const ms_model_names names = {.dir = s->model};
    printf("Model %s\n", s->model);
    return cli_model_check(&names, s->quick);
}

static int doctor_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const doctor_state *s = state;
    ms_host host;
    char free[MS_SIZE_TEXT_BYTES];
    ms_host_read(&host);
    int problems = check_libraries();
    check_codecs();
    printf("Device\n  cpu                  yes      %s, %d CPUs, %s, %s free\n", host.cpu_name, host.cpus,
           ms_isa_name(ms_isa_detect()), ms_size_format(free, ms_host_free_bytes(&host)));
    ms_status model = s->model ? check_model(s) : MS_OK;
    if (problems == 0 && model == MS_OK)
        printf("Nothing is missing.\n");
    if (model == MS_BAD_MODEL || model == MS_IO)
        printf("scripts/fetch-models lays out the official models, and says which files it wants.\n");
    return ms_status_exit_code(model);
}

static const cli_option doctor_options[] = {
    CLI_GROUP("Options"),
    {"model", "m", CLI_TEXT, offsetof(doctor_state, model), "DIR",
     "also check this model folder, as `memsafe models`", 0, 0},
    {"quick", 0, CLI_FLAG, offsetof(doctor_state, quick), NULL, "of the model: names and shapes only", 0, 0},
};

const cli_command cli_doctor_command = {
    .name = "doctor",
    .summary = "Say what this build can do, what is missing, and how to mend it",
    .examples = {{"memsafe doctor -m models/latentsync-1.5", "is everything there that a run needs?"}},
    .usage = "[-m MODEL [--quick]]",
    .options = doctor_options,
    .n_options = CLI_COUNT(doctor_options),
    .state_bytes = sizeof(doctor_state),
    .run = doctor_run,
};
