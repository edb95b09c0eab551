/* `memsafe detect`: faces of a video as JSON lines. */
#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "console/budget_note.h"
#include "commands/commands.h"
#include "console/console.h"
#include "files/in_use.h"
#include "options/device_option.h"
#include "options/fps.h"
#include "options/history_file.h"
#include "memsafe/detect.h"
#include "options/model_choice.h"
#include "options/profile_options.h"
#include "results/notes.h"
#include "console/signals.h"
#include "text/duration.h"

typedef struct detect_state {
    ms_detect_params p;
    const char *fps;
    int frames;
    bool demo;
    cli_console_options console;
} detect_state;

static void detect_defaults(void *state) {
    ms_detect_params_init(&((detect_state *)state)->p);
}

static void show(void *arg, int64_t frames_done, int64_t frames_total) {
    (void)arg;
    cli_show_frames("faces", frames_done, frames_total);
}

/* As run names them: -i VIDEO, and the output at the end or behind -o. */
static ms_status name_files(detect_state *s, char **arguments, int n_arguments, ms_error *err) {
    if (n_arguments && s->p.output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "two files are the output: -o %s and %s", s->p.output,
                       arguments[0]);
    if (n_arguments)
        s->p.output = arguments[0];
    if (!s->p.video && n_arguments)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "the video (-i FILE) is missing: %s is taken for the output; see `memsafe help detect`",
            arguments[0]);
    if (!s->p.video || !s->p.output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s is missing; see `memsafe help detect`",
                       s->p.video ? "output (its name at the end, or -o FILE)" : "video (-i FILE)");
    /* Of other commands, and no less the user's. */
    const ms_in_use use = {.profile = CLI_PROFILE_FILE, .history = cli_history_file()};
    return ms_in_use_spare(&use, s->p.output, "output", err);
}

static int detect_run(const void *state, char **arguments, int n_arguments) {
    detect_state s = *(const detect_state *)state;
    cli_model_choice model;
    ms_detect_report report;
    char took[MS_DURATION_TEXT_BYTES];
    ms_error err;
    ms_error_clear(&err);
    cli_console_begin(&s.console);
    if (name_files(&s, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_choose_model(&s.p.model, s.demo, s.p.faces, CLI_NEEDS_FACES, &model, &err) != MS_OK)
        return cli_fail(&err);
    cli_say_choice(&model);
    cli_note_budget("budget", s.p.budget_bytes);
    if (s.fps && cli_parse_fps(s.fps, &s.p.fps_num, &s.p.fps_den, &err) != MS_OK)
        return cli_fail(&err);
    cli_note_gap(s.p.video);
    s.p.frames = s.frames;
    s.p.progress = show;
    s.p.cancelled = cli_interrupted;
    cli_catch_signals();
    ms_status status = ms_detect(&s.p, &report, &err);
    cli_progress_over();
    if (status != MS_OK) {
        cli_explain_no_face(&model, &err);
        return cli_fail(&err);
    }
    cli_say("%s: a face in %" PRId64 " of %" PRId64 " frames, %" PRId64 " of them bridged, in %s\n",
            s.p.output, report.frames_with_face, report.frames, report.frames_interpolated,
            ms_duration_format(took, report.seconds));
    if (report.frames_lost)
        cli_say("  the input is damaged: %" PRId64 " of its frames could not be decoded or are not there\n",
                report.frames_lost);
    return 0;
}

#define P(field) offsetof(detect_state, p.field)

static const cli_option detect_options[] = {
    CLI_GROUP("Most used"),
    {"video", "i", CLI_TEXT, P(video), "FILE", "video, or pictures (frame_%04d.png), to look through", 0, 0},
    {"out", "o", CLI_TEXT, P(output), "FILE", "JSON lines to write, also without -o", 0, 0},
    {"model", "m", CLI_TEXT, P(model), "DIR", "model folder (default: the one that is installed)", 0, 0},
    CLI_DEMO_OPTION(detect_state, demo),
    {"force", "y", CLI_FLAG, P(force), NULL, "replace an existing output", 0, 0},
    CLI_GROUP("Faces"),
    {"face", 0, CLI_INT, P(face), "N", "follow the N-th face to appear, from 0 (default: the largest)", 0,
     1000},
    {"max-gap", 0, CLI_INT, P(max_gap), "N", "frames without a face that are bridged (default 12)", 0, 1000},
    {"faces", 0, CLI_TEXT, P(faces), "DIR", "folder of det_10g.onnx and 2d106det.onnx", 0, 0},
    CLI_GROUP("Video and speed"),
    {"fps", "r", CLI_TEXT, offsetof(detect_state, fps), "RATE", "as for `memsafe run` (default 25)", 0, 0},
    {"frames", 0, CLI_INT, offsetof(detect_state, frames), "N", "look at so many frames; 0 = all", 0,
     2147483647},
    {"allow-truncated", 0, CLI_FLAG, P(allow_truncated), NULL,
     "take a video that is cut off as far as it goes", 0, 0},
    CLI_DEVICE_OPTION(detect_state, p.device),
    {"threads", 0, CLI_INT, P(threads), "N", "threads; 0 = all", 0, 0},
    {"budget", "b", CLI_BYTES, P(budget_bytes), "SIZE",
     "memory that the process may come to hold, as for `memsafe run`", 0, 0},
    CLI_CONSOLE_OPTIONS(detect_state, console, "say nothing but errors"),
};

const cli_command cli_detect_command = {
    .name = "detect",
    .summary = "Find the faces of a video and write them as a track file",
    .examples = {{"memsafe detect -i talking.mp4 faces.jsonl", "the largest face of each frame"}},
    .usage = "-i VIDEO FILE [-m MODEL | --demo] [OPTIONS]",
    .text = "A line for each frame with a face: "
            "{\"frame\":0,\"bbox\":[x1,y1,x2,y2],\"landmarks106\":[[x,y],...]}.\n"
            "`memsafe run --track` reads it in place of detecting.",
    .options = detect_options,
    .n_options = CLI_COUNT(detect_options),
    .max_arguments = 1,
    .state_bytes = sizeof(detect_state),
    .defaults = detect_defaults,
    .run = detect_run,
};
