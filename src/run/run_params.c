/* ms_run()'s parameters: defaults and checks. */
#include <string.h>

#include "base/sized.h"
#include "memsafe_have.h"
#include "planner/params_check.h"
#include "run/run_files.h"
#include "run/run_internal.h"

static const ms_run_params defaults = {.face = -1,
                                       .max_gap = 12,
                                       .seed = 1247,
                                       .steps = 20,
                                       .guidance = 1.5,
                                       .profile = {.environment = true},
                                       .fps_num = 25,
                                       .fps_den = 1,
                                       .crf = 18};

void ms_run_params_init_sized(ms_run_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

_Static_assert(MS_STAGE_COUNT <= MS_STAGE_ROOM, "stages have outgrown the public structs");

const char *ms_stage_name(ms_stage stage) {
    static const char *const names[MS_STAGE_COUNT] = {
        [MS_STAGE_LOAD] = "load",     [MS_STAGE_AUDIO] = "audio",     [MS_STAGE_FACES] = "faces",
        [MS_STAGE_ENCODE] = "encode", [MS_STAGE_DENOISE] = "denoise", [MS_STAGE_DECODE] = "decode",
        [MS_STAGE_WRITE] = "write"};
    return stage >= 0 && stage < MS_STAGE_COUNT ? names[stage] : "?";
}

const char *ms_paste_name(ms_paste paste) {
    static const char *const names[MS_PASTE_COUNT] = {[MS_PASTE_FACE] = "face", [MS_PASTE_MOUTH] = "mouth"};
    return paste >= 0 && paste < MS_PASTE_COUNT ? names[paste] : "?";
}

const char *ms_stage_text(ms_stage stage) {
    static const char *const texts[MS_STAGE_COUNT] = {
        [MS_STAGE_LOAD] = "reading model",  [MS_STAGE_AUDIO] = "listening",
        [MS_STAGE_FACES] = "finding faces", [MS_STAGE_ENCODE] = "encoding",
        [MS_STAGE_DENOISE] = "denoising",   [MS_STAGE_DECODE] = "decoding",
        [MS_STAGE_WRITE] = "writing"};
    return stage >= 0 && stage < MS_STAGE_COUNT ? texts[stage] : "?";
}

static ms_status check_choices(const ms_run_params *p, ms_error *err) {
    MS_TRY(ms_check_choice("precision", (int)p->precision, MS_PRECISION_CHOICES, err));
    MS_TRY(ms_check_choice("paste", (int)p->paste, MS_PASTE_COUNT, err));
    MS_TRY(ms_check_choice("rung", (int)p->rung, MS_RUNG_COUNT, err));
    MS_TRY(ms_check_choice("latent cache", (int)p->latent_cache, MS_LATENT_CACHE_CHOICES, err));
    MS_TRY(ms_check_choice("loop mode", (int)p->loop, MS_LOOP_MODE_CHOICES, err));
    MS_TRY(ms_check_choice("codec", (int)p->codec, MS_OUTPUT_CODEC_CHOICES, err));
    MS_TRY(ms_check_choice("rest", (int)p->rest, 2, err));
    MS_TRY(ms_check_choice("work", (int)p->work, MS_RUN_WORK_JOIN + 1, err));
    return ms_check_choice("audio output", (int)p->audio_output, MS_AUDIO_OUTPUT_CHOICES, err);
}

static ms_status check_time(const char *name, int64_t us, ms_error *err) {
    if (us >= 0 && us <= MS_RUN_MAX_TIME_US)
        return MS_OK;
    return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be 0 to %lld microseconds, not %lld", name,
                   (long long)MS_RUN_MAX_TIME_US, (long long)us);
}

static ms_status check_range(const ms_run_params *p, ms_error *err) {
    MS_TRY(check_time("start", p->start_us, err));
    MS_TRY(check_time("duration", p->duration_us, err));
    MS_TRY(check_time("audio-start", p->audio_start_us, err));
    if (p->preview_frames < MS_RUN_PREVIEW_WINDOW || p->preview_frames > MS_RUN_MAX_PREVIEW_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a preview must have 1 to %d frames, not %lld",
                       MS_RUN_MAX_PREVIEW_FRAMES, (long long)p->preview_frames);
    if (p->preview_frames && p->resume)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a preview cannot be resumed: it is made at once");
    if (p->preview_frames && !p->output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a preview needs an output");
    if (p->rest == MS_REST_KEEP && (p->loop == MS_LOOP_MODE_REPEAT || p->loop == MS_LOOP_MODE_HOLD))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "a video whose rest is kept is as long as it is: there is nothing to loop");
    return MS_OK;
}

/* Which segments a part makes: those that are named, those of its number, those that nobody else makes. */
static ms_status check_part(const ms_run_params *p, ms_error *err) {
    bool numbered = p->part != 0 || p->parts != 0;
    if ((numbered || p->share) && p->work != MS_RUN_WORK_PART)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the job is not made in parts, and has no part %d of %d",
                       p->part, p->parts);
    if (numbered && (p->parts < 1 || p->parts > MS_RUN_MAX_PARTS || p->part < 1 || p->part > p->parts))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "part %d of %d is none: there are 1 to %d parts, counted from 1", p->part, p->parts,
                       MS_RUN_MAX_PARTS);
    if (p->segments && (numbered || p->share))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "a part that is named by its segments has no number, and does not share them");
    return MS_OK;
}

static ms_status check_work(const ms_run_params *p, ms_error *err) {
    static const char *const names[] = {
        [MS_RUN_WORK_SPLIT] = "split", [MS_RUN_WORK_PART] = "made in parts", [MS_RUN_WORK_JOIN] = "joined"};
    if (p->n_segments < 0 || (p->n_segments > 0 && !p->segments))
        return ms_fail(err, MS_INVALID_ARGUMENT, "%lld segments are none", (long long)p->n_segments);
    if (p->segments && p->work != MS_RUN_WORK_PART)
        return ms_fail(err, MS_INVALID_ARGUMENT, "segments are named for a part alone");
    MS_TRY(check_part(p, err));
    if (p->work == MS_RUN_WORK_ALL)
        return MS_OK;
    const char *why = !p->output                                 ? "without an output there is no job"
                      : p->frame_sink                            ? "a sink gets frames in order"
                      : p->preview_frames                        ? "it is a preview"
                      : p->allow_downscale                       ? "its resolution follows the memory"
                      : p->latent_cache == MS_LATENT_CACHE_LOSSY ? "its latent cache is lossy"
                                                                 : NULL;
    if (why)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the job cannot be %s: %s", names[p->work], why);
    return MS_OK;
}

/* What the model has decided is not decided again. */
static ms_status check_loaded(const ms_run_params *p, ms_error *err) {
    const struct {
        const char *name;
        bool set;
    } fields[] = {{"model", p->model},
                  {"config", p->config},
                  {"unet", p->unet},
                  {"vae", p->vae},
                  {"whisper", p->whisper},
                  {"faces", p->faces},
                  {"device", p->device},
                  {"threads", p->threads},
                  {"precision", p->precision != MS_PRECISION_AUTO},
                  {"profile.tier", p->profile.tier},
                  {"profile.file", p->profile.file},
                  {"profile.settings", p->profile.n_settings},
                  {"budget_bytes", p->budget_bytes},
                  {"host_budget_bytes", p->host_budget_bytes}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].set)
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s was decided when the model was opened",
                           fields[i].name);
    return MS_OK;
}

static ms_status check(const ms_run_params *p, ms_error *err) {
    bool output = p->output || p->frame_sink;
    if (!p->video || !p->audio || !output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s is missing",
                       !p->video   ? "video"
                       : !p->audio ? "speech (audio)"
                                   : "output");
    if (p->loaded)
        MS_TRY(check_loaded(p, err));
    else if (!p->model && !(p->config && p->unet && p->vae && p->whisper && (p->faces || p->track)))
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_MODEL, "no model was named");
    MS_TRY(ms_run_spare(p, p->output, "output", err)); /* force replaces one of before alone */
    MS_TRY(ms_check_denoising(p->steps, p->guidance, err));
    MS_TRY(ms_check_max_gap(p->max_gap, err));
    MS_TRY(ms_check_face(p->face, err));
    MS_TRY(ms_check_rate(p->fps_num, p->fps_den, err));
    MS_TRY(ms_check_frames(p->frames, err));
    MS_TRY(ms_check_resolution(p->resolution, err));
    MS_TRY(check_choices(p, err));
    MS_TRY(check_range(p, err));
    MS_TRY(check_work(p, err));
    if (p->crf < 0 || p->crf > 51)
        return ms_fail(err, MS_INVALID_ARGUMENT, "crf must be 0 to 51, not %d", p->crf);
    if (p->segment_frames < 0 || p->segment_frames > 100000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a segment must have 1 to 100000 frames, not %lld",
                       (long long)p->segment_frames);
    if (p->sink_frames < 0 || p->sink_frames > MS_RUN_MAX_SINK_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a sink that keeps %d frames; at most %d are allowed",
                       p->sink_frames, MS_RUN_MAX_SINK_FRAMES);
    if (p->resume && !p->output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "without an output there is nothing to go on with (resume)");
    if (p->resume && p->latent_cache == MS_LATENT_CACHE_LOSSY)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "a run with a lossy latent cache cannot be resumed: its frames depend on what the cache held");
    if (p->latent_rank < 0 || p->latent_rank > 100)
        return ms_fail(err, MS_INVALID_ARGUMENT, "latent-rank must be 1 to 100 per cent, not %d",
                       p->latent_rank);
    if (p->allow_downscale && p->resume)
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_RESOLUTION,
                            "a job whose resolution follows the memory cannot be resumed");
    return MS_OK;
}

ms_status ms_run_sized(const ms_run_params *params, size_t params_bytes, ms_run_report *ret_report,
                       size_t report_bytes, ms_error *err) {
    ms_run_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_CHECK_SIZED(ret_report, report_bytes, err);
    MS_TRY(check(&p, err));
#if MS_HAVE_FFMPEG
    return ms_run_media(&p, ret_report, report_bytes, err);
#else
    return ms_fail(err, MS_UNSUPPORTED,
                   "this build cannot read video: it was made without FFmpeg's libraries");
#endif
}
