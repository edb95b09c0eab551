#include "options/run_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "commands/commands.h"
#include "options/device_option.h"
#include "options/fps.h"
#include "options/history_file.h"
#include "options/model_choice.h"

#define P(field) offsetof(cli_run_state, p.field)

static const cli_option run_options[] = {
    CLI_GROUP("Most used"),
    {"video", "i", CLI_LIST, offsetof(cli_run_state, inputs), "FILE",
     "talking-head video, or pictures (frame_%04d.png); a second -i is the speech", 0, 0},
    {"audio", "a", CLI_TEXT, P(audio), "FILE", "speech: any file with sound", 0, 0},
    {"out", "o", CLI_TEXT, P(output), "FILE",
     "video to write, also without -o; the extension names the container", 0, 0},
    {"model", "m", CLI_TEXT, P(model), "DIR",
     "model folder like the official checkpoints/ (default: the one that is installed)", 0, 0},
    CLI_DEMO_OPTION(cli_run_state, demo),
    {"force", "y", CLI_FLAG, P(force), NULL,
     "replace an existing output and report, and an unfinished run's folder; without it, or with -n, they "
     "stay",
     0, 0},
    {"start", "ss", CLI_TIME, P(start_us), "TIME",
     "redraw from this time of the video on: seconds or [HH:]MM:SS[.m]; the speech begins there", 0, 0},
    {"duration", "t", CLI_TIME, P(duration_us), "TIME",
     "redraw so long at most (default: as long as speech and video go)", 1, 0},
    {"to", 0, CLI_TIME, offsetof(cli_run_state, to_us), "TIME",
     "redraw up to this time of the video, in place of --duration", 1, 0},
    {"rest", 0, CLI_CHOICE, offsetof(cli_run_state, rest), "cut|keep",
     "the video outside of that: not in the output, or unchanged and with its own sound (docs/ranges.md)", 0,
     0},
    {"preview", 0, CLI_COUNT_OR_ALONE, offsetof(cli_run_state, preview), "FRAMES",
     "only the first window with a face, or so many frames, beside the video's: into OUT.preview.mp4; "
     "says how long the whole would take",
     1, MS_RUN_MAX_PREVIEW_FRAMES},
    {"budget", "b", CLI_BYTES, P(budget_bytes), "SIZE",
     "memory that the process may come to hold, like 2G (default: what is free less a margin)", 0, 0},
    {"resume", 0, CLI_FLAG, P(resume), NULL,
     "go on with a run that was interrupted; the file comes out as from one run.\nNothing to do when it is "
     "finished (docs/streaming.md)",
     0, 0},
    {"report", 0, CLI_TEXT, offsetof(cli_run_state, report), "FILE",
     "write what was chosen and why, memory over time and where the time went: a page for .html, else JSON",
     0, 0},
    CLI_GROUP("What is redrawn, and how"),
    {"face", 0, CLI_INT, P(face), "N", "follow the N-th face to appear, from 0 (default: the largest)", 0,
     1000},
    {"track", 0, CLI_TEXT, P(track), "FILE", "read faces from JSON lines (memsafe detect writes them)", 0, 0},
    {"max-gap", 0, CLI_INT, P(max_gap), "N", "frames without a face that are bridged (default 12)", 0, 1000},
    {"steps", 0, CLI_INT, P(steps), "N", "denoising steps (default 20)", 1, 999},
    {"guidance", 0, CLI_NUMBER, P(guidance), "X", "guidance scale (default 1.5); 1 and less run one branch",
     0, 100},
    {"seed", 0, CLI_U64, P(seed), "N", "64-bit seed (default 1247)", 0, 0},
    {"deepcache", 0, CLI_FLAG, P(deepcache), NULL,
     "whole UNet on every third step only: about twice as fast, a little softer", 0, 0},
    {"resolution", 0, CLI_INT, offsetof(cli_run_state, resolution), "PX",
     "side of the face (default: the model's)", 64, 2048},
    {"paste", 0, CLI_CHOICE, offsetof(cli_run_state, paste), "face|mouth",
     "what goes back into the frame: the whole face, as the official pipeline does, or the\nredrawn lower "
     "half "
     "alone: all other pixels stay as they were",
     0, 0},
    CLI_GROUP("Video and sound"),
    {"fps", "r", CLI_TEXT, offsetof(cli_run_state, fps), "RATE",
     "frames a second: a number, 30000/1001, or source (default 25); pictures have this rate", 0, 0},
    {"audio-start", 0, CLI_TIME, P(audio_start_us), "TIME",
     "begin the speech file there and not at its beginning", 0, 0},
    {"loop", 0, CLI_CHOICE, offsetof(cli_run_state, loop), "pingpong|repeat|hold|none",
     "what to show when the audio is longer than the video", 0, 0},
    {"frames", 0, CLI_INT, offsetof(cli_run_state, frames), "N", "stop after so many output frames; 0 = all",
     0, 2147483647},
    {"codec", "c", CLI_CHOICE, offsetof(cli_run_state, codec), "h264|hevc|ffv1",
     "ffv1 is lossless: the exact RGB frames", 0, 0},
    {"crf", 0, CLI_INT, P(crf), "N", "quality of h264 and hevc, 0 to 51, smaller is better (default 18)", 0,
     51},
    {"tonemap", 0, CLI_FLAG, P(tonemap), NULL,
     "HDR video (PQ, HLG) becomes an ordinary picture; without it, hevc keeps HDR and the\nother codecs "
     "refuse it",
     0, 0},
    {"format", 0, CLI_CHOICE, offsetof(cli_run_state, format), "auto|mp4|mov|matroska|avi",
     "what the output's extension must say (-f); an error before the work where it says another", 0, 0},
    {"pixel-format", 0, CLI_TEXT, P(pixel_format), "NAME",
     "what the output must be stored as, like yuv420p (-pix_fmt); an error before the work where it would be "
     "another",
     0, 0},
    {"sound-codec", 0, CLI_TEXT, P(sound_codec), "NAME",
     "what the output's sound must be in, like aac (-c:a); an error before the work where it would be "
     "another",
     0, 0},
    {"audio-out", 0, CLI_CHOICE, offsetof(cli_run_state, audio_out), "original|speech|none",
     "sound of the output: the given track, or the 16 kHz mono that the model heard", 0, 0},
    {"no-metadata", 0, CLI_FLAG, P(no_metadata), NULL,
     "no comment with version, model and options in the output, and neither title nor chapters of the video",
     0, 0},
    {"allow-truncated", 0, CLI_FLAG, P(allow_truncated), NULL,
     "take a video or audio file that is cut off as far as it goes", 0, 0},
    {"segment", 0, CLI_INT, offsetof(cli_run_state, segment), "N",
     "output frames that are encoded together (default 64)", 1, 100000},
    {"part", 0, CLI_TEXT, offsetof(cli_run_state, part), "I/N|auto",
     "of a job that was split (memsafe split) make only the I-th of N parts, or what nobody else is making",
     0, 0},
    CLI_GROUP("Memory and speed"),
    {"device", 0, CLI_TEXT, P(device), "auto|NAME[:N][,...]",
     "where the networks run; NAME: cpu, or a back end, which may be a plug-in; N: which of its devices, of "
     "cpu how many workers; with several, each makes segments (docs/scale.md)",
     0, 0},
    {"threads", 0, CLI_INT, P(threads), "N",
     "threads; 0 = all; at most 4 for each CPU, 16 always. The result does not depend on it", 0, 0},
    {"host-budget", 0, CLI_BYTES, P(host_budget_bytes), "SIZE",
     "memory of the host, where the device has its own (--device); on the CPU it bounds the same memory as "
     "--budget",
     0, 0},
    {"allow-downscale", 0, CLI_FLAG, P(allow_downscale), NULL,
     "when nothing fits, redraw the face at the largest lower resolution\nthat does (a multiple of 64, 128 "
     "at "
     "least) and say so",
     0, 0},
    {"precision", 0, CLI_CHOICE, offsetof(cli_run_state, precision), "auto|fp32|fp16|bf16",
     "storage of the weights; auto follows the machine's tier", 0, 0},
    CLI_PROFILE_OPTIONS(cli_run_state, profile),
    {"force-rung", 0, CLI_CHOICE, offsetof(cli_run_state, rung),
     "auto|full|batch|serial|slices|tiles|stream-part|stream-all|single-frame",
     "how far to cut the work up (see docs/memory.md); the result does not depend on it", 0, 0},
    {"pressure-trace", 0, CLI_TEXT, P(pressure_trace), "FILE",
     "scripted memory pressure in place of the system's (docs/pressure.md)", 0, 0},
    {"latent-cache", 0, CLI_CHOICE, offsetof(cli_run_state, latents), "exact|off|lossy",
     "keep what the encoder made of a face for when it comes again (docs/latent_cache.md)", 0, 0},
    {"latent-cache-dir", 0, CLI_TEXT, P(latent_cache_dir), "DIR",
     "keep it in a folder, for later runs over the same video", 0, 0},
    {"latent-cache-size", 0, CLI_BYTES, P(latent_cache_bytes), "SIZE",
     "most that the folder may hold, like 500M (default 2G)", 0, 0},
    {"latent-rank", 0, CLI_INT, P(latent_rank), "PERCENT",
     "rank of the SVD that predicts latents; 100 = no SVD (default: the tier's)", 1, 100},
    CLI_GROUP("Parts of the model"),
    {"config", 0, CLI_TEXT, P(config), "FILE", "UNet config in place of the folder's unet.yaml", 0, 0},
    {"unet", 0, CLI_TEXT, P(unet), "FILE", "UNet checkpoint in place of the folder's", 0, 0},
    {"vae", 0, CLI_TEXT, P(vae), "PATH", "VAE folder or weights file in place of the folder's", 0, 0},
    {"whisper", 0, CLI_TEXT, P(whisper), "FILE", "Whisper checkpoint in place of the folder's", 0, 0},
    {"faces", 0, CLI_TEXT, P(faces), "DIR", "folder of the face nets in place of the folder's", 0, 0},
    CLI_GROUP("What is shown"),
    CLI_CONSOLE_OPTIONS(cli_run_state, console, "say nothing but errors"),
};

static void run_defaults(void *state) {
    ms_run_params_init(&((cli_run_state *)state)->p);
}

/* The files, as they may be named: -i VIDEO -a SPEECH -o OUT, or -i VIDEO -i SPEECH OUT. */
static ms_status name_files(cli_run_state *s, char **arguments, int n_arguments, ms_error *err) {
    const cli_list *in = &s->inputs;
    if (in->count > 2)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "-i %s: the first -i is the video, the second the speech, "
                       "and there is no third",
                       in->items[2]);
    if (in->count == 2 && s->p.audio)
        return ms_fail(err, MS_INVALID_ARGUMENT, "two files are the speech: -i %s and -a %s", in->items[1],
                       s->p.audio);
    if (n_arguments && s->p.output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "two files are the output: -o %s and %s", s->p.output,
                       arguments[0]);
    s->p.video = in->count ? in->items[0] : NULL;
    if (in->count == 2)
        s->p.audio = in->items[1];
    if (n_arguments)
        s->p.output = arguments[0];
    return MS_OK;
}

/* Who makes a part shares it with whoever makes the same. */
static ms_status apply_part(cli_run_state *s, ms_error *err) {
    char end;
    if (!s->part)
        return MS_OK;
    s->p.work = MS_RUN_WORK_PART;
    s->p.share = true;
    if (strcmp(s->part, "auto") == 0)
        return MS_OK;
    if (sscanf(s->part, "%d/%d%c", &s->p.part, &s->p.parts, &end) == 2 && s->part[0] >= '0' &&
        s->part[0] <= '9')
        return MS_OK;
    return ms_fail(err, MS_INVALID_ARGUMENT, "--part: \"%s\" is neither auto nor like 3/8", s->part);
}

/* Chooses nothing: the extension does, and the library knows which of them it writes. */
static ms_status check_format(const cli_run_state *s, ms_error *err) {
    static const struct {
        const char *name, *extension, *also;
    } formats[] = {{"auto", "", ""},
                   {"mp4", "mp4", "m4v"},
                   {"mov", "mov", "mov"},
                   {"matroska", "mkv", "mkv"},
                   {"avi", "avi", "avi"}};
    const char *slash = s->p.output ? strrchr(s->p.output, '/') : NULL,
               *dot = s->p.output ? strrchr(slash ? slash : s->p.output, '.') : NULL;
    if (s->format == 0 || !s->p.output ||
        (dot && (strcasecmp(dot + 1, formats[s->format].extension) == 0 ||
                 strcasecmp(dot + 1, formats[s->format].also) == 0)))
        return MS_OK;
    return ms_fail(err, MS_UNSUPPORTED,
                   "the output's extension names the format, and %s is not named as %s: .%s is", s->p.output,
                   formats[s->format].name, formats[s->format].extension);
}

/* out.mp4 -> out.preview.mp4: the output itself is not touched. */
static ms_status name_preview(cli_run_state *s, ms_error *err) {
    if (!s->preview || !s->p.output)
        return MS_OK;
    const char *slash = strrchr(s->p.output, '/'), *dot = strrchr(s->p.output, '.');
    size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - s->p.output) : strlen(s->p.output);
    int n = snprintf(s->preview_output, sizeof(s->preview_output), "%.*s.preview%s", (int)stem, s->p.output,
                     s->p.output + stem);
    if (n < 0 || (size_t)n >= sizeof(s->preview_output))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the output's name is too long");
    s->p.output = s->preview_output;
    return MS_OK;
}

/* -to as FFmpeg has it for an input: a time of the file. */
static ms_status apply_to(cli_run_state *s, ms_error *err) {
    if (s->to_us == 0)
        return MS_OK;
    if (s->p.duration_us)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--to and --duration both say where it ends: name one");
    if (s->to_us <= s->p.start_us)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--to %g s is not after --start %g s",
                       (double)s->to_us / 1e6, (double)s->p.start_us / 1e6);
    s->p.duration_us = s->to_us - s->p.start_us;
    return MS_OK;
}

ms_status cli_run_options_apply(cli_run_state *s, char **arguments, int n_arguments, ms_error *err) {
    static const ms_precision precisions[] = {MS_PRECISION_AUTO, MS_PRECISION_FP32, MS_PRECISION_FP16,
                                              MS_PRECISION_BF16};
    MS_TRY(name_files(s, arguments, n_arguments, err));
    MS_TRY(check_format(s, err));
    MS_TRY(name_preview(s, err));
    MS_TRY(apply_to(s, err));
    MS_TRY(apply_part(s, err));
    s->p.preview_frames = s->preview < 0 ? MS_RUN_PREVIEW_WINDOW : s->preview;
    s->p.precision = precisions[s->precision];
    s->p.loop = (ms_loop_mode)s->loop;
    s->p.rest = (ms_rest)s->rest;
    s->p.codec = (ms_output_codec)s->codec;
    s->p.audio_output = (ms_audio_output)s->audio_out;
    s->p.frames = s->frames;
    s->p.segment_frames = s->segment;
    s->p.rung = (ms_rung)s->rung;
    s->p.paste = (ms_paste)s->paste;
    s->p.latent_cache = (ms_latent_cache_mode)s->latents;
    s->p.resolution = s->resolution;
    s->p.history = cli_history_file();
    s->p.profile = cli_profile_source(&s->profile);
    return s->fps ? cli_parse_fps(s->fps, &s->p.fps_num, &s->p.fps_den, err) : MS_OK;
}

/* What is no plain name (a pipe, a sequence, a URL) is for who opens it to judge. */
static ms_status look_for(const char *path, ms_error *err) {
    if (strpbrk(path, "%:*?") || strcmp(path, "-") == 0 || access(path, F_OK) == 0)
        return MS_OK;
    return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
}

ms_status cli_run_options_named(const cli_run_state *s, ms_error *err) {
    const ms_run_params *p = &s->p;
    if (!p->video && p->output && access(p->output, F_OK) == 0) /* a lone name is the output's */
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "the video (-i FILE) is missing: %s is taken for the output; see `memsafe help run`",
                       p->output);
    if (!p->video || !p->audio || !p->output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s is missing; see `memsafe help run`",
                       !p->video   ? "video (-i FILE)"
                       : !p->audio ? "speech (-a FILE)"
                                   : "output (its name at the end, or -o FILE)");
    return MS_OK;
}

ms_status cli_run_options_inputs(const cli_run_state *s, ms_error *err) {
    MS_TRY(look_for(s->p.video, err));
    return look_for(s->p.audio, err);
}

const cli_command cli_run_command = {
    .name = "run",
    .summary = "Lip-sync a video to speech",
    .usage = "-i VIDEO -a SPEECH OUT [-m MODEL] [OPTIONS]",
    .text = "Frames without a usable face pass through unchanged. The output appears under its name only "
            "when it is whole.",
    .examples = {{"memsafe run -i talking.mp4 -a speech.wav out.mp4",
                  "the mouth in talking.mp4 follows speech.wav"},
                 {"memsafe run -i talking.mp4 -i speech.wav -b 2G -m models/latentsync-1.5 out.mp4 -y",
                  "a real model, at most 2 GiB of memory; out.mp4 may be there already"},
                 {"memsafe run -i talking.mp4 -a speech.wav -m models/latentsync-1.5 out.mp4 --preview",
                  "first see 16 frames of it side by side, and how long the whole would take"},
                 {"memsafe run -i film.mp4 -a line.wav -ss 1:02.5 --rest keep out.mp4",
                  "only the line at 1:02.5 is said anew, the rest of the film stays as it is"},
                 {"memsafe run -i talking.mp4 -a speech.wav out.mp4 --resume",
                  "go on with it after Ctrl-C or a crash"},
                 {"memsafe run -i talking.mp4 -a speech.wav out.mp4 --device cpu:2",
                  "two workers, each with half of the processor; cuda:0,cuda:1 are two cards"},
                 {"memsafe run --part auto out.mp4",
                  "of a job that was split make what nobody else is making"}},
    .max_arguments = 1,
    .options = run_options,
    .n_options = CLI_COUNT(run_options),
    .state_bytes = sizeof(cli_run_state),
    .defaults = run_defaults,
    .run = cli_run,
};

/* The same options: what decides the bits must be the same in all steps. */
const cli_command cli_split_command = {
    .name = "split",
    .summary = "Begin a run that several processes or machines share: find its faces",
    .usage = "-i VIDEO -a SPEECH OUT [-m MODEL] [OPTIONS]",
    .text =
        "Goes through the video once and leaves OUT.memsafe, a folder in which any number of `memsafe run "
        "--part` make segments at the same time, on any machine that sees it. `memsafe join OUT` ends it. "
        "The file is the one that a single run makes, to the last byte.",
    .examples = {{"memsafe split -i talking.mp4 -a speech.wav out.mp4",
                  "find the faces; then `memsafe run --part auto out.mp4` on each machine, and `memsafe join "
                  "out.mp4` when all are done"}},
    .max_arguments = 1,
    .options = run_options,
    .n_options = CLI_COUNT(run_options),
    .state_bytes = sizeof(cli_run_state),
    .defaults = run_defaults,
    .run = cli_split,
};

const cli_command cli_join_command = {
    .name = "join",
    .summary = "End a run that was shared: its segments become the output",
    .usage = "OUT [OPTIONS]",
    .text =
        "All segments must be there, whole and of one job; one that is not is named. Options that decide the "
        "result are those of `memsafe split`, and need not be typed again.",
    .examples = {{"memsafe join out.mp4", "out.mp4.memsafe becomes out.mp4"}},
    .max_arguments = 1,
    .options = run_options,
    .n_options = CLI_COUNT(run_options),
    .state_bytes = sizeof(cli_run_state),
    .defaults = run_defaults,
    .run = cli_join,
};

const cli_command cli_batch_command = {
    .name = "batch",
    .summary = "Make many runs with one model that is loaded once",
    .usage = "FILE.jsonl|FOLDER [-m MODEL] [-o DIR] [OPTIONS]",
    .text =
        "A line of the file is a job: {\"video\": \"a.mp4\", \"audio\": \"a.wav\", \"out\": \"a.out.mp4\"}, "
        "with "
        "any option of `memsafe run` by its name. Options that are typed hold for all jobs. Of a folder each "
        "video is one, with the sound file of the same name. -o names the folder for results, --report the "
        "one for reports. A job that fails is told, and the rest goes on; --resume goes on with what is not "
        "finished, --part 3/8 takes every eighth job. Several devices share the jobs.",
    .examples = {{"memsafe batch jobs.jsonl -m models/latentsync-1.5 -b 8G", "each line a job"},
                 {"memsafe batch clips -o done --resume", "each video of a folder; may be repeated"},
                 {"memsafe batch clips -o done --device cuda:0,cuda:1", "each card takes the next clip"}},
    .min_arguments = 1,
    .max_arguments = 1,
    .options = run_options,
    .n_options = CLI_COUNT(run_options),
    .state_bytes = sizeof(cli_run_state),
    .defaults = run_defaults,
    .run = cli_batch_run,
};
