/* `memsafe score`: how good a lip-synced video is, in numbers. */
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "console/budget_note.h"
#include "commands/commands.h"
#include "console/console.h"
#include "options/device_option.h"
#include "memsafe/score.h"
#include "options/model_choice.h"
#include "results/notes.h"
#include "console/signals.h"
#include "text/json.h"

typedef struct score_state {
    ms_score_params p;
    int frames;
    cli_console_options console;
    bool demo, json;
} score_state;

static void score_defaults(void *state) {
    ms_score_params_init(&((score_state *)state)->p);
}

static void show(void *arg, int64_t frames_done, int64_t frames_total) {
    (void)arg;
    cli_show_frames("score", frames_done, frames_total);
}

/* ---- as JSON: what is not known is null, and a PSNR of equal pictures too, with "identical" beside it */

static void member(ms_buf *b, const char *separator, const char *name, double value) {
    ms_buf_printf(b, "%s\"%s\":", separator, name);
    ms_buf_json_number(b, value);
}

static void likeness_json(ms_buf *b, const char *name, const ms_score_likeness *l) {
    ms_buf_printf(b, ",\"%s\":{\"frames\":%lld", name, (long long)l->frames);
    for (int r = 0; r <= MS_REGION_COUNT; r++) {
        bool all = r == MS_REGION_COUNT;
        double psnr = all ? l->psnr_outside_db : l->psnr_db[r];
        ms_buf_printf(b, ",\"%s\":{\"identical\":%s", all ? "outside" : ms_region_name((ms_region_kind)r),
                      isinf(psnr) ? "true" : "false");
        member(b, ",", "psnr_db", psnr);
        member(b, ",", "ssim", all ? l->ssim_outside : l->ssim[r]);
        ms_buf_printf(b, "}");
    }
    ms_buf_printf(b, "}");
}

static int print_json(const ms_score_report *r) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"frames\":%lld,\"frames_with_face\":%lld,\"frames_lost\":%lld", (long long)r->frames,
                  (long long)r->frames_with_face, (long long)r->frames_lost);
    member(&b, ",", "fps", r->fps);
    ms_buf_printf(&b, ",\"sync\":{\"enough_frames\":%s,\"offset_frames\":%d",
                  r->frames_with_face >= MS_SCORE_LEAST_FRAMES ? "true" : "false", r->sync_offset_frames);
    member(&b, ",", "confidence", r->sync_confidence);
    member(&b, ",", "correlation", r->sync_r);
    member(&b, ",", "correlation_unshifted", r->sync_r_unshifted);
    if (r->has_truth) {
        ms_buf_printf(&b, ",\"truth_offset_frames\":%d", r->sync_truth_offset_frames);
        member(&b, ",", "truth_confidence", r->sync_truth_confidence);
    }
    ms_buf_printf(&b, "},\"mouth\":{");
    member(&b, "", "correlation_truth", r->mouth_r);
    member(&b, ",", "rmse_truth_px", r->mouth_rmse_px);
    member(&b, ",", "correlation_input", r->mouth_input_r);
    ms_buf_printf(&b, "}");
    if (r->truth_is_video)
        likeness_json(&b, "truth", &r->truth);
    if (r->has_input)
        likeness_json(&b, "input", &r->input);
    ms_buf_printf(&b, ",\"identity\":{");
    member(&b, "", "drift", r->identity_drift);
    member(&b, ",", "outline_drift", r->outline_drift);
    ms_buf_printf(&b, "},\"flicker\":{");
    member(&b, "", "borders", r->flicker_borders);
    member(&b, ",", "elsewhere", r->flicker_elsewhere);
    member(&b, ",", "ratio", r->flicker_ratio);
    ms_buf_printf(&b, "}");
    member(&b, ",", "seconds", r->seconds);
    ms_buf_printf(&b, "}\n");
    ms_error err;
    ms_status status = b.failed ? ms_fail_alloc(&err, NULL, b.capacity, "the report") : MS_OK;
    if (status == MS_OK)
        fputs(b.data, stdout);
    ms_buf_free(&b);
    return status == MS_OK ? 0 : cli_fail(&err);
}

/* ---- as text */

static void print_likeness(const char *what, const ms_score_likeness *l) {
    cli_print("%s, %lld frames\n", what, (long long)l->frames);
    for (int r = 0; r <= MS_REGION_COUNT; r++) {
        bool all = r == MS_REGION_COUNT;
        cli_print("  %-10s PSNR %6.2f dB   SSIM %.4f\n", all ? "outside" : ms_region_name((ms_region_kind)r),
                  all ? l->psnr_outside_db : l->psnr_db[r], all ? l->ssim_outside : l->ssim[r]);
    }
}

/* What 95 % of drawn clips of 3 s stay below with another's speech, unshifted
   (docs/score.md). Chance correlates less in longer clips, by the root of their
   length. Best shifts are found by chance too often to build a sentence on. */
#define CHANCE 0.38
#define CHANCE_FRAMES 75.0

/* A run leaves what is around the face as it was, but for the codec. */
#define LEAST_AROUND_DB 30

static const char *verdict(const ms_score_report *r) {
    double longer = sqrt(CHANCE_FRAMES / (double)(r->frames_with_face > 0 ? r->frames_with_face : 1));
    return r->sync_r_unshifted > CHANCE * longer ? "the mouth follows this speech"
                                                 : "unshifted no more alike than by chance";
}

/* Short clips have no border, and where nothing moves there is no ratio. */
static void print_flicker(const ms_score_report *r) {
    if (!isfinite(r->flicker_elsewhere)) {
        cli_print("Flicker        not known: there are no two frames to compare\n");
        return;
    }
    if (!isfinite(r->flicker_borders)) {
        cli_print("Flicker        %.3f levels; the clip is too short for a window border\n",
                  r->flicker_elsewhere);
        return;
    }
    cli_print("Flicker        %.3f levels at window borders, %.3f elsewhere", r->flicker_borders,
              r->flicker_elsewhere);
    if (isfinite(r->flicker_ratio))
        cli_print(", ratio %.3f", r->flicker_ratio);
    cli_print("\n");
}

static void print_sync(const ms_score_report *r) {
    if (r->frames_with_face < MS_SCORE_LEAST_FRAMES) {
        cli_print(
            "Lip sync       not to be judged: %lld frame%s with a face %s too few; it takes %d, better %d\n",
            (long long)r->frames_with_face, r->frames_with_face == 1 ? "" : "s",
            r->frames_with_face == 1 ? "is" : "are", MS_SCORE_LEAST_FRAMES, (int)CHANCE_FRAMES);
        return;
    }
    if (isfinite(r->sync_r_unshifted)) {
        cli_print(
            "Lip sync       %+d frames (mouth after sound), confidence %.3f, correlation %.3f; unshifted "
            "%.3f\n",
            r->sync_offset_frames, r->sync_confidence, r->sync_r, r->sync_r_unshifted);
        cli_print("               %s\n", verdict(r));
    } else {
        cli_print("Lip sync       not to be judged: the speech is silent, or the mouth does not move\n");
    }
    if (r->has_truth)
        cli_print("  the truth's  %+d frames, confidence %.3f\n", r->sync_truth_offset_frames,
                  r->sync_truth_confidence);
}

static void print_text(const ms_score_report *r) {
    cli_print("Frames         %lld, %lld of them with a face, %g a second\n", (long long)r->frames,
              (long long)r->frames_with_face, r->fps);
    if (r->frames_lost)
        cli_print(
            "               the video is damaged: %lld of its frames could not be decoded or are not there\n",
            (long long)r->frames_lost);
    print_sync(r);
    if (r->has_truth)
        cli_print("Mouth, truth   correlation %.4f, error %.2f px\n", r->mouth_r, r->mouth_rmse_px);
    if (r->has_input)
        cli_print("Mouth, input   correlation %.4f\n", r->mouth_input_r);
    if (r->truth_is_video)
        print_likeness("Against truth", &r->truth);
    if (r->has_input)
        print_likeness("Against input", &r->input);
    if (r->has_input && r->input.psnr_db[MS_REGION_AROUND] < LEAST_AROUND_DB)
        cli_print("               around the face the two do not show the same: where the run was made with "
                  "-ss,\n               the same -ss belongs here\n");
    if (isfinite(r->identity_drift))
        cli_print("Identity       eyes, brows and nose %.2f %% of the face's width off\n",
                  100 * r->identity_drift);
    if (isfinite(r->outline_drift))
        cli_print("Outline        %.2f %% of the face's width off the truth's\n", 100 * r->outline_drift);
    print_flicker(r);
}

/* -i is what it is for a run: the video that was given. A lone name is the run's output, as there. */
static ms_status name_video(score_state *s, char **arguments, int n_arguments, ms_error *err) {
    if (n_arguments)
        s->p.video = arguments[0];
    if (!s->p.video && s->p.input)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "the video to judge (its name alone) is missing: -i %s is the one that the run was given; see "
            "`memsafe help score`",
            s->p.input);
    if (!s->p.video)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "the video to judge (its name alone) is missing; see `memsafe help score`");
    return MS_OK;
}

static int score_run(const void *state, char **arguments, int n_arguments) {
    score_state s = *(const score_state *)state;
    cli_model_choice model;
    ms_score_report report;
    ms_error err;
    ms_error_clear(&err);
    cli_console_begin(&s.console);
    if (name_video(&s, arguments, n_arguments, &err) != MS_OK)
        return cli_fail(&err);
    if (cli_choose_model(&s.p.model, s.demo, s.p.faces, CLI_NEEDS_FACES, &model, &err) != MS_OK)
        return cli_fail(&err);
    cli_say_choice(&model);
    cli_note_budget("budget", s.p.budget_bytes);
    const char *const videos[] = {s.p.video, s.p.truth, s.p.input};
    for (int i = 0; i < CLI_COUNT(videos); i++)
        cli_note_gap(videos[i]);
    s.p.frames = s.frames;
    s.p.progress = show;
    s.p.cancelled = cli_interrupted;
    cli_catch_signals();
    ms_status status = ms_score(&s.p, &report, &err);
    cli_progress_over();
    if (status != MS_OK) {
        cli_explain_no_face(&model, &err);
        return cli_fail(&err);
    }
    if (s.json)
        return print_json(&report);
    print_text(&report);
    return 0;
}

#define P(field) offsetof(score_state, p.field)

static const cli_option score_options[] = {
    CLI_GROUP("Options"),
    {"video", "i", CLI_TEXT, P(input), "FILE",
     "video that the run was given: says what it changed, and how much", 0, 0},
    {"start", "ss", CLI_TIME, P(start_us), "TIME",
     "where in that video (and in --track) the run began: the run's -ss", 0, 0},
    {"audio", "a", CLI_TEXT, P(audio), "FILE", "speech that it should say (default: the video's own sound)",
     0, 0},
    {"truth", 0, CLI_TEXT, P(truth), "FILE",
     "what it should look like: a video, or a track with \"mouth_opening\" (tools/draw_clip writes one)", 0,
     0},
    {"track", 0, CLI_TEXT, P(track), "FILE",
     "faces (default: detected in the input, else the truth's video, else the video)", 0, 0},
    {"model", "m", CLI_TEXT, P(model), "DIR",
     "model folder; its face nets are used (default: the one that is installed)", 0, 0},
    CLI_DEMO_OPTION(score_state, demo),
    {"faces", 0, CLI_TEXT, P(faces), "DIR", "folder of det_10g.onnx and 2d106det.onnx", 0, 0},
    {"window", 0, CLI_INT, P(window), "N", "frames of the run's windows, for flicker (default 16)", 2, 1000},
    {"frames", 0, CLI_INT, offsetof(score_state, frames), "N", "judge so many frames; 0 = all", 0,
     2147483647},
    CLI_DEVICE_OPTION(score_state, p.device),
    {"threads", 0, CLI_INT, P(threads), "N", "threads; 0 = all", 0, 0},
    {"budget", "b", CLI_BYTES, P(budget_bytes), "SIZE",
     "memory that the process may come to hold, as for `memsafe run`", 0, 0},
    CLI_CONSOLE_OPTIONS(score_state, console, "say nothing but the result and errors"),
    {"json", "j", CLI_FLAG, offsetof(score_state, json), NULL, "print one JSON object", 0, 0},
};

const cli_command cli_score_command = {
    .name = "score",
    .summary = "Judge a lip-synced video: sync, mouth, pictures, identity, flicker",
    .examples = {{"memsafe score out.mp4 -i talking.mp4 -a speech.wav",
                  "how well does out.mp4 follow the speech?"}},
    .usage = "OUT [-i VIDEO] [-a SPEECH] [-m MODEL | --faces DIR | --demo] [--truth FILE]",
    .text = "Lip sync is the correlation of the mouth's opening, by the landmark net, with the amplitude of "
            "the speech\n"
            "from 320 to 3000 Hz, at shifts of -15 to 15 frames: the best shift is the offset, its "
            "correlation less\n"
            "the median of all shifts' the confidence. No SyncNet is involved. PSNR (RGB) and SSIM (luma, "
            "Gaussian\n"
            "window of 11 x 11) are taken in the region that a run redraws, in the rest of the aligned face, "
            "and\n"
            "around it. At best correlations and SSIM are 1 (the mouth's against the input: 0), drifts 0, "
            "flicker's ratio "
            "1.\n"
            "docs/score.md defines every number and says what to expect.",
    .options = score_options,
    .n_options = CLI_COUNT(score_options),
    .max_arguments = 1,
    .state_bytes = sizeof(score_state),
    .defaults = score_defaults,
    .run = score_run,
};
