#include "memsafe/score.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sized.h"
#include "memsafe_have.h"
#include "memsafe/run.h"
#include "planner/params_check.h"

static const ms_score_params defaults = {.window = 16};

void ms_score_params_init_sized(ms_score_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

const char *ms_region_name(ms_region_kind region) {
    static const char *const names[] = {
#define X(name, text) text,
        MS_REGION_MAP(X)
#undef X
    };
    return (unsigned)region < MS_REGION_COUNT ? names[region] : "?";
}

#if MS_HAVE_FFMPEG

#include <math.h>
#include <stdio.h>

#include "faces/track_file.h"
#include "files/regular_file.h"
#include "frames/clip.h"
#include "media/read/audio_reader.h"
#include "media/read/video_reader.h"
#include "planner/own_budget.h"
#include "score/judge.h"

#define US_PER_S 1e6

typedef struct job {
    const ms_score_params *p;
    ms_own_budget budget;
    ms_mem *mem; /* the budget's */
    ms_judge *judge;

    ms_video_reader *reader[MS_JUDGE_PICTURES]; /* NULL = not given */
    uint8_t *rgb[MS_JUDGE_PICTURES];
    bool ended[MS_JUDGE_PICTURES];
    ms_track_reader *track; /* the truth, when it is a track */
    ms_face_record truth;   /* its next line */
    bool have_truth;
    int width, height;
    double fps;
    ms_audio_reader *audio;
} job;

/* ---- inputs ---- */

static ms_status open_picture(job *j, int which, const char *path, ms_rational fps, ms_error *err) {
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    params.fps = fps;
    params.room = ms_own_budget_room(&j->budget);
    MS_TRY(ms_video_reader_open(j->mem, path, &params, &j->reader[which], err));
    const ms_video_info *info = ms_video_reader_info(j->reader[which]);
    MS_TRY(ms_clip_check_size(info, path, err));
    if (which == MS_JUDGE_VIDEO) {
        j->width = info->width;
        j->height = info->height;
    } else if (info->width != j->width || info->height != j->height) {
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s is %dx%d, %s %dx%d: they cannot be compared", path,
                       info->width, info->height, j->p->video, j->width, j->height);
    }
    size_t bytes = (size_t)j->width * (size_t)j->height * 3;
    j->rgb[which] = ms_mem_alloc(j->mem, MS_LEDGER_FRAMES, bytes);
    return j->rgb[which] ? MS_OK : ms_fail_alloc(err, j->mem, bytes, "a frame");
}

/* A track's lines are JSON objects; no video begins with a brace. */
static ms_status is_track(const char *path, bool *ret_track, ms_error *err) {
    FILE *file = NULL;
    MS_TRY(ms_regular_fopen(path, &file, err));
    *ret_track = fgetc(file) == '{';
    fclose(file);
    return MS_OK;
}

static ms_status next_truth(job *j, ms_error *err) {
    return ms_track_reader_next(j->track, &j->truth, &j->have_truth, err);
}

static ms_status open_truth(job *j, ms_rational fps, ms_error *err) {
    bool track = false;
    MS_TRY(is_track(j->p->truth, &track, err));
    if (!track)
        return open_picture(j, MS_JUDGE_TRUTH, j->p->truth, fps, err);
    MS_TRY(ms_track_reader_open(j->mem, j->p->truth, &j->track, err));
    MS_TRY(next_truth(j, err));
    if (j->have_truth && !j->truth.has_mouth_opening)
        return ms_fail(err, MS_BAD_MEDIA, "%s: has no \"mouth_opening\", so it is no truth", j->p->truth);
    return MS_OK;
}

static ms_status open_speech(job *j, ms_error *err) {
    ms_audio_reader_params params = MS_AUDIO_READER_DEFAULTS;
    params.room = ms_own_budget_room(&j->budget);
    const char *path = j->p->audio ? j->p->audio : j->p->video;
    ms_error problem;
    ms_error_clear(&problem);
    ms_status status = ms_audio_reader_open(j->mem, path, &params, &j->audio, &problem);
    if (status != MS_OK && err)
        *err = problem;
    if (status != MS_OK && !j->p->audio)
        ms_error_hint(err, MS_HINT_SPEECH);
    return status;
}

static ms_status read_speech(void *arg, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    const job *j = arg;
    return ms_audio_reader_read(j->audio, dst, max, ret_count, err);
}

static ms_status prepare(job *j, ms_error *err) {
    const ms_score_params *p = j->p;
    MS_TRY(open_picture(j, MS_JUDGE_VIDEO, p->video, (ms_rational){0, 1}, err));
    ms_rational fps = ms_video_reader_info(j->reader[MS_JUDGE_VIDEO])->fps;
    if (p->input)
        MS_TRY(open_picture(j, MS_JUDGE_INPUT, p->input, fps, err));
    if (p->truth)
        MS_TRY(open_truth(j, fps, err));
    MS_TRY(open_speech(j, err));
    j->fps = (double)fps.num / fps.den;
    ms_judge_params judge = {.mem = j->mem,
                             .model = p->model,
                             .faces = p->faces,
                             .device = p->device,
                             .track = p->track,
                             .threads = p->threads,
                             .width = j->width,
                             .height = j->height,
                             .fps = j->fps,
                             .first = llrint((double)p->start_us / US_PER_S * j->fps),
                             .window = p->window,
                             .read_speech = read_speech,
                             .arg = j};
    for (int i = 0; i < MS_JUDGE_PICTURES; i++)
        judge.given[i] = j->reader[i] != NULL;
    return ms_judge_create(&judge, &j->judge, err);
}

static ms_status check_cancelled(const job *j, int64_t frames, ms_error *err) {
    if (j->p->cancelled && j->p->cancelled(j->p->arg))
        return ms_fail(err, MS_CANCELLED, "cancelled after %lld frames", (long long)frames);
    return MS_OK;
}

/* What the run left out of its input, which has the video's frame rate here. */
static ms_status skip_input(job *j, ms_error *err) {
    const int64_t first = llrint((double)j->p->start_us / US_PER_S * j->fps);
    ms_video_reader *input = j->reader[MS_JUDGE_INPUT];
    for (int64_t i = 0; input && i < first; i++) {
        bool got = false;
        MS_TRY(check_cancelled(j, 0, err));
        MS_TRY(ms_video_reader_read(input, j->rgb[MS_JUDGE_INPUT], 0, &got, err));
        if (!got)
            return ms_fail(err, MS_INVALID_ARGUMENT,
                           "%s ends after %.3f s, before the run began (start: %.3f s)", j->p->input,
                           (double)i / j->fps, (double)j->p->start_us / US_PER_S);
    }
    return MS_OK;
}

/* ---- frames ---- */

/* Other videos may end earlier; from then on they are not compared. */
static ms_status read_pictures(job *j, const uint8_t *ret_rgb[MS_JUDGE_PICTURES], ms_error *err) {
    for (int i = 0; i < MS_JUDGE_PICTURES; i++) {
        bool got = false;
        if (j->reader[i] && !j->ended[i])
            MS_TRY(ms_video_reader_read(j->reader[i], j->rgb[i], 0, &got, err));
        j->ended[i] = !got;
        ret_rgb[i] = got ? j->rgb[i] : NULL;
    }
    return MS_OK;
}

/* Of the track's line for a frame; NAN without one. */
static ms_status truth_opening(job *j, int64_t frame, double *ret_opening, ms_error *err) {
    *ret_opening = NAN;
    while (j->track && j->have_truth && j->truth.frame < frame)
        MS_TRY(next_truth(j, err));
    if (j->have_truth && j->truth.frame == frame && j->truth.has_mouth_opening)
        *ret_opening = (double)j->truth.mouth_opening;
    return MS_OK;
}

static ms_status judge_frame(job *j, int64_t frame, bool *ret_more, ms_error *err) {
    const uint8_t *rgb[MS_JUDGE_PICTURES];
    double opening;
    MS_TRY(read_pictures(j, rgb, err));
    *ret_more = rgb[MS_JUDGE_VIDEO] != NULL;
    if (!*ret_more)
        return MS_OK;
    ms_status status = truth_opening(j, frame, &opening, err);
    if (status != MS_OK) {
        ms_error_where(err, "score", frame);
        return status;
    }
    return ms_judge_frame(j->judge, rgb, opening, err);
}

static ms_status judge(job *j, ms_error *err) {
    const ms_score_params *p = j->p;
    bool more = true;
    for (int64_t frame = 0; p->frames == 0 || frame < p->frames; frame++) {
        MS_TRY(check_cancelled(j, frame, err));
        MS_TRY(judge_frame(j, frame, &more, err));
        if (!more)
            return MS_OK;
        if (p->progress)
            p->progress(p->arg, frame + 1, ms_video_reader_info(j->reader[MS_JUDGE_VIDEO])->frames);
    }
    return MS_OK;
}

static ms_status run(job *j, ms_error *err) {
    MS_TRY(ms_own_budget_open(j->p->budget_bytes, &j->budget, err));
    j->mem = j->budget.mem;
    MS_TRY(prepare(j, err));
    MS_TRY(skip_input(j, err));
    MS_TRY(judge(j, err));
    if (ms_judge_frames_with_face(j->judge) == 0)
        return ms_fail(err, MS_NO_FACE, "%s: no usable face in %lld frames", j->p->video,
                       (long long)ms_judge_frames(j->judge));
    return MS_OK;
}

static void release(job *j) {
    ms_judge_destroy(&j->judge);
    for (int i = 0; i < MS_JUDGE_PICTURES; i++) {
        ms_video_reader_close(&j->reader[i]);
        ms_mem_free(j->rgb[i]);
    }
    if (j->track)
        ms_track_reader_close(&j->track);
    if (j->audio)
        ms_audio_reader_close(&j->audio);
    ms_own_budget_close(&j->budget);
}

static ms_status score(const ms_score_params *p, ms_score_report *ret_report, ms_error *err) {
    double began = ms_now_s();
    job j = {.p = p};
    ms_status status = run(&j, err);
    if (status == MS_OK) {
        ms_video_damage_report damage;
        ms_video_reader_damage(j.reader[MS_JUDGE_VIDEO], &damage);
        *ret_report = ms_judge_report(j.judge);
        ret_report->has_truth = p->truth != NULL;
        ret_report->frames_lost = damage.frames_lost;
        ret_report->seconds = ms_now_s() - began;
    }
    release(&j);
    return status;
}

#else

static ms_status score(const ms_score_params *p, ms_score_report *ret_report, ms_error *err) {
    (void)p;
    (void)ret_report;
    return ms_fail(err, MS_UNSUPPORTED,
                   "this build cannot read video: it was made without FFmpeg's libraries");
}

#endif

static ms_status check(const ms_score_params *p, ms_error *err) {
    if (!p->video || (!p->model && !p->faces))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s is missing",
                       !p->video ? "video" : "model (or the folder of face nets)");
    MS_TRY(ms_check_window(p->window, err));
    if (p->start_us < 0 || p->start_us > MS_RUN_MAX_TIME_US)
        return ms_fail(err, MS_INVALID_ARGUMENT, "start must be 0 to %lld microseconds, not %lld",
                       (long long)MS_RUN_MAX_TIME_US, (long long)p->start_us);
    return ms_check_frames(p->frames, err);
}

ms_status ms_score_sized(const ms_score_params *params, size_t params_bytes, ms_score_report *ret_report,
                         size_t report_bytes, ms_error *err) {
    ms_score_params p = defaults;
    ms_score_report report;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_CHECK_SIZED(ret_report, report_bytes, err);
    MS_TRY(check(&p, err));
    MS_TRY(score(&p, &report, err));
    ms_sized_fill(ret_report, report_bytes, &report, sizeof(report));
    return MS_OK;
}
