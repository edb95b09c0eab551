/* `memsafe doctor`: what this build can do, what is missing, and the command that mends it. */
#include <stdio.h>

#include "commands.h"
#include "device/device.h"
#include "memory/host.h"
#include "models/model_files.h"

#if MS_HAVE_FFMPEG
#include "media/video_writer.h"
#endif

typedef struct doctor_state {
    const char *model;
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

static int check_model(const char *dir) {
    static const struct {
        const char *title;
        unsigned part;
    } parts[] = {{"UNet", MS_PART_UNET},
                 {"VAE", MS_PART_VAE},
                 {"Whisper", MS_PART_WHISPER},
                 {"face nets", MS_PART_FACES}};
    static ms_model_files files;
    ms_model_names names = {.dir = dir};
    int missing = 0;
    printf("Model %s\n", dir);
    for (int i = 0; i < CLI_COUNT(parts); i++) {
        ms_error err = {0};
        bool found = ms_model_files_find(&names, parts[i].part, &files, &err) == MS_OK;
        printf("  %-20s %s\n", parts[i].title, found ? "yes" : err.message);
        missing += !found;
    }
    if (missing)
        printf("  `memsafe models %s` says more about the files\n", dir);
    return missing;
}

static int doctor_run(const void *state, char **arguments, int n_arguments) {
    (void)arguments;
    (void)n_arguments;
    const doctor_state *s = state;
    ms_host host;
    ms_host_read(&host);
    int problems = check_libraries();
    check_codecs();
    printf("Device\n  cpu                  yes      %s, %d CPUs, %s, %.1f GiB free\n", host.cpu_name,
           host.cpus, ms_isa_name(ms_isa_detect()), (double)ms_host_free_bytes(&host) / 0x1p30);
    int missing = s->model ? check_model(s->model) : 0;
    if (problems == 0 && missing == 0)
        printf("Nothing is missing.\n");
    return missing ? ms_status_exit_code(MS_BAD_MODEL) : 0;
}

static const cli_option doctor_options[] = {
    {"model", 'm', CLI_TEXT, offsetof(doctor_state, model), "DIR", "also look into this model folder", 0, 0},
};

const cli_command cli_doctor_command = {
    .name = "doctor",
    .summary = "Say what this build can do, what is missing, and how to mend it",
    .usage = "[--model DIR]",
    .options = doctor_options,
    .n_options = CLI_COUNT(doctor_options),
    .state_bytes = sizeof(doctor_state),
    .run = doctor_run,
};
