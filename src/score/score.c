#include "memsafe/score.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sized.h"
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

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "faces/face_source.h"
#include "faces/scene.h"
#include "faces/track_file.h"
#include "frames/clip.h"
#include "media/read/audio_reader.h"
#include "media/read/video_reader.h"
#include "models/model_files.h"
#include "planner/own_budget.h"
#include "score/correlation.h"
#include "score/envelope.h"
#include "score/flicker.h"
#include "score/likeness.h"

enum { VIDEO, INPUT, TRUTH, PICTURES };

#define US_PER_S 1e6

/* One of the videos that are read side by side, and its face in the current frame. */
typedef struct picture {
    ms_video_reader *reader; /* NULL = not given */
    uint8_t *rgb;
    bool got, has_points;
    float points[MS_LANDMARKS][2];
} picture;

typedef struct job {
    const ms_score_params *p;
    ms_own_budget budget;
    ms_mem *mem; /* the budget's */
    ms_compute compute;
    ms_face_nets *nets;
    ms_face_finder *finder;
    ms_scene scene;
    int face_from; /* whose frames faces are looked for in */
    ms_align_state smoothing;
    bool had_face;

    picture picture[PICTURES];
    ms_track_reader *track; /* the truth, when it is a track */
    ms_face_record truth;   /* its next line */
    bool have_truth;
    int width, height;
    ms_region_map *map;
    uint8_t *regions;

    ms_audio_reader *audio;
    ms_envelope *envelope;
    ms_lag_correlation sync, sync_truth;
    ms_correlation mouth, mouth_input;
    ms_likeness *likeness;
    ms_likeness_sums against[PICTURES][MS_REGION_COUNT];
    int64_t compared[PICTURES];
    ms_flicker flicker;
    double identity_sum, outline_sum;
    int64_t identity_count, outline_count;
    int64_t frames, frames_with_face;
    int64_t first; /* frame of the input that the video begins with */
    double fps;
} job;

/* ---- inputs ---- */

static ms_status open_picture(job *j, int which, const char *path, ms_rational fps, ms_error *err) {
    picture *pic = &j->picture[which];
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    params.fps = fps;
    params.room = ms_own_budget_room(&j->budget);
    MS_TRY(ms_video_reader_open(j->mem, path, &params, &pic->reader, err));
    const ms_video_info *info = ms_video_reader_info(pic->reader);
    MS_TRY(ms_clip_check_size(info, path, err));
    if (which == VIDEO) {
        j->width = info->width;
        j->height = info->height;
    } else if (info->width != j->width || info->height != j->height) {
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s is %dx%d, %s %dx%d: they cannot be compared", path,
                       info->width, info->height, j->p->video, j->width, j->height);
    }
    size_t bytes = (size_t)j->width * (size_t)j->height * 3;
    pic->rgb = ms_mem_alloc(j->mem, MS_LEDGER_FRAMES, bytes);
    return pic->rgb ? MS_OK : ms_fail_alloc(err, j->mem, bytes, "a frame");
}

/* A track's lines are JSON objects; no video begins with a brace. */
static ms_status is_track(const char *path, bool *ret_track, ms_error *err) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return ms_fail(err, MS_IO, "%s: cannot be opened: %s", path, strerror(errno));
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
        return open_picture(j, TRUTH, j->p->truth, fps, err);
    MS_TRY(ms_track_reader_open(j->mem, j->p->truth, &j->track, err));
    MS_TRY(next_truth(j, err));
    if (j->have_truth && !j->truth.has_mouth_opening)
        return ms_fail(err, MS_BAD_MEDIA, "%s: has no \"mouth_opening\", so it is no truth", j->p->truth);
    return MS_OK;
}

static ms_status open_faces(job *j, ms_error *err) {
    const ms_score_params *p = j->p;
    ms_model_names names = {.dir = p->model, .faces = p->faces};
    ms_model_files files;
    const ms_compute_params dev = {.device = p->device,
                                   .mem = j->mem,
                                   .threads = p->threads,
                                   .isa_limit = MS_ISA_COUNT - 1,
                                   .must_compute = true};
    MS_TRY(ms_model_files_find(&names, MS_PART_FACES, &files, err));
    MS_TRY(ms_compute_open(&dev, &j->compute, err));
    MS_TRY(ms_face_nets_open(&j->compute, files.detector, files.landmarks, &j->nets, err));
    MS_TRY(ms_face_nets_make_arena(j->nets, err));
    const ms_face_finder_params finder = {
        .mem = j->mem, .track = p->track, .nets = j->nets, .face = -1, .max_gap = MS_TRACK_DEFAULT_MAX_GAP};
    MS_TRY(ms_face_finder_create(&finder, &j->finder, err));
    j->face_from = j->picture[INPUT].reader ? INPUT : j->picture[TRUTH].reader ? TRUTH : VIDEO;
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

static ms_status prepare(job *j, ms_error *err) {
    const ms_score_params *p = j->p;
    MS_TRY(open_picture(j, VIDEO, p->video, (ms_rational){0, 1}, err));
    ms_rational fps = ms_video_reader_info(j->picture[VIDEO].reader)->fps;
    j->fps = (double)fps.num / fps.den;
    if (p->input)
        MS_TRY(open_picture(j, INPUT, p->input, fps, err));
    if (p->truth)
        MS_TRY(open_truth(j, fps, err));
    MS_TRY(open_speech(j, err));
    MS_TRY(ms_envelope_create(j->mem, j->fps, &j->envelope, err));
    MS_TRY(open_faces(j, err));
    MS_TRY(ms_region_map_create(j->mem, &j->map, err));
    MS_TRY(ms_likeness_create(j->mem, j->width, j->height, &j->likeness, err));
    MS_TRY(ms_flicker_init(j->mem, j->width, j->height, p->window, &j->flicker, err));
    size_t pixels = (size_t)j->width * (size_t)j->height;
    j->regions = ms_mem_alloc(j->mem, MS_LEDGER_FRAMES, pixels);
    return j->regions ? MS_OK : ms_fail_alloc(err, j->mem, pixels, "the map of a frame");
}

static ms_status check_cancelled(const job *j, ms_error *err) {
    if (j->p->cancelled && j->p->cancelled(j->p->arg))
        return ms_fail(err, MS_CANCELLED, "cancelled after %lld frames", (long long)j->frames);
    return MS_OK;
}

/* What the run left out of its input, which has the video's frame rate here. */
static ms_status skip_input(job *j, ms_error *err) {
    picture *pic = &j->picture[INPUT];
    j->first = (int64_t)llrint((double)j->p->start_us / US_PER_S * j->fps);
    for (int64_t i = 0; pic->reader && i < j->first; i++) {
        MS_TRY(check_cancelled(j, err));
        MS_TRY(ms_video_reader_read(pic->reader, pic->rgb, 0, &pic->got, err));
        if (!pic->got)
            return ms_fail(err, MS_INVALID_ARGUMENT,
                           "%s ends after %.3f s, before the run began (start: %.3f s)", j->p->input,
                           (double)i / j->fps, (double)j->p->start_us / US_PER_S);
    }
    return MS_OK;
}

/* ---- a frame ---- */

/* Other videos may end earlier; from then on they are not compared. */
static ms_status read_pictures(job *j, ms_error *err) {
    for (int i = 0; i < PICTURES; i++) {
        picture *pic = &j->picture[i];
        pic->has_points = false;
        if (pic->reader && (pic->got || j->frames == 0))
            MS_TRY(ms_video_reader_read(pic->reader, pic->rgb, 0, &pic->got, err));
    }
    return MS_OK;
}

static ms_image_view view_of(const job *j, const picture *pic) {
    return (ms_image_view){pic->rgb, j->width, j->height, 3, (size_t)j->width * 3};
}

/* The face of the frame and its points in every video. When the video that faces come from has ended, they
   are looked for in the one that is judged. */
static ms_status find_face(job *j, ms_face_record *ret_face, bool *ret_cut, ms_error *err) {
    const picture *from = &j->picture[j->picture[j->face_from].got ? j->face_from : VIDEO];
    ms_image_view view = view_of(j, from);
    ms_face_source source = ms_face_finder_source(j->finder);
    *ret_cut = ms_scene_advance(&j->scene, &view);
    MS_TRY(source.find(source.arg, &view, j->first + j->frames, *ret_cut, ret_face, err));
    for (int i = 0; i < PICTURES && ret_face->present; i++) {
        picture *pic = &j->picture[i];
        ms_image_view frame = view_of(j, pic);
        if (pic->got)
            MS_TRY(ms_face_nets_points(j->nets, &frame, ret_face->box, pic->points, &pic->has_points, err));
    }
    return MS_OK;
}

static double distance(const float a[2], const float b[2]) {
    return hypot((double)a[0] - (double)b[0], (double)a[1] - (double)b[1]);
}

/* Between the lips' inner edges in the middle, in pixels. */
static double opening_of(const picture *pic) {
    return pic->has_points ? distance(pic->points[62], pic->points[60]) : NAN;
}

static ms_status truth_opening(job *j, double *ret_opening, ms_error *err) {
    *ret_opening = opening_of(&j->picture[TRUTH]);
    while (j->track && j->have_truth && j->truth.frame < j->frames)
        MS_TRY(next_truth(j, err));
    if (j->have_truth && j->truth.frame == j->frames && j->truth.has_mouth_opening)
        *ret_opening = (double)j->truth.mouth_opening;
    return MS_OK;
}

/* The speech's envelope at this frame; zeros follow its end. */
static ms_status envelope_at(job *j, double *ret_value, ms_error *err) {
    float hop[MS_ENVELOPE_HOP];
    while (!ms_envelope_next(j->envelope, ret_value)) {
        int64_t got = 0;
        MS_TRY(ms_audio_reader_read(j->audio, hop, MS_ENVELOPE_HOP, &got, err));
        memset(hop + got, 0, (size_t)(MS_ENVELOPE_HOP - got) * sizeof(float));
        ms_envelope_push(j->envelope, hop);
    }
    return MS_OK;
}

static ms_status add_mouth(job *j, ms_error *err) {
    double opening = opening_of(&j->picture[VIDEO]), sound = 0, truth = NAN;
    MS_TRY(envelope_at(j, &sound, err));
    MS_TRY(truth_opening(j, &truth, err));
    ms_lag_correlation_add(&j->sync, opening, sound);
    ms_lag_correlation_add(&j->sync_truth, truth, sound);
    ms_correlation_add(&j->mouth, opening, truth);
    ms_correlation_add(&j->mouth_input, opening, opening_of(&j->picture[INPUT]));
    return MS_OK;
}

/* Mean distance of points first ... end-1 as a part of the face's width. */
static double drift(const picture *a, const picture *b, int first, int end) {
    float left = INFINITY, right = -INFINITY;
    double sum = 0;
    for (int i = 0; i <= 32; i++) {
        left = fminf(left, b->points[i][0]);
        right = fmaxf(right, b->points[i][0]);
    }
    for (int i = first; i < end; i++)
        sum += distance(a->points[i], b->points[i]);
    return right > left ? sum / (end - first) / (double)(right - left) : NAN;
}

static void add_drift(double value, double *sum, int64_t *count) {
    if (isfinite(value)) {
        *sum += value;
        ++*count;
    }
}

/* In the order of the 106 points, 0-32 are the outline, 33-51 the left eye and brow, 52-71 the lips, 72-86
   the nose, 87-105 the right eye and brow. */
static void add_identity(job *j) {
    const picture *video = &j->picture[VIDEO], *truth = &j->picture[TRUTH];
    const picture *other = j->picture[INPUT].has_points ? &j->picture[INPUT] : truth;
    if (other->has_points) {
        add_drift((19 * drift(video, other, 33, 52) + 34 * drift(video, other, 72, 106)) / 53,
                  &j->identity_sum, &j->identity_count);
    }
    if (truth->has_points)
        add_drift(drift(video, truth, 0, 33), &j->outline_sum, &j->outline_count);
}

static void add_pictures(job *j, bool begins) {
    const picture *video = &j->picture[VIDEO], *truth = &j->picture[TRUTH];
    for (int i = VIDEO + 1; i < PICTURES; i++) {
        if (!j->picture[i].got)
            continue;
        ms_likeness_add(j->likeness, video->rgb, j->picture[i].rgb, j->regions, j->against[i]);
        j->compared[i]++;
    }
    /* A truth that has ended takes flicker with it: the two measures are not to be mixed. */
    if (!truth->reader || truth->got)
        ms_flicker_add(&j->flicker, video->rgb, truth->reader ? truth->rgb : NULL, j->regions, j->frames,
                       begins);
}

/* The regions of the frame; without a face there are none. */
static bool place_regions(job *j, const ms_face_record *face, bool begins) {
    float points[3][2], affine[2][3];
    if (!face->present)
        return false;
    if (begins)
        j->smoothing = (ms_align_state){0};
    ms_align_points(face->landmarks, points);
    if (ms_align_affine(ms_region_map_geometry(j->map), (const float(*)[2])points, &j->smoothing, affine,
                        NULL) != MS_OK)
        return false;
    ms_region_map_draw(j->map, (const float(*)[3])affine, j->width, j->height, j->regions);
    return true;
}

static ms_status judge_frame(job *j, ms_error *err) {
    ms_face_record face = {0};
    bool cut = false;
    MS_TRY(find_face(j, &face, &cut, err));
    MS_TRY(add_mouth(j, err));
    bool begins = cut || face.begins || !j->had_face;
    j->had_face = place_regions(j, &face, begins);
    if (!j->had_face)
        return MS_OK;
    j->frames_with_face++;
    add_identity(j);
    add_pictures(j, begins);
    return MS_OK;
}

static ms_status judge(job *j, ms_error *err) {
    const ms_score_params *p = j->p;
    for (; p->frames == 0 || j->frames < p->frames; j->frames++) {
        MS_TRY(check_cancelled(j, err));
        MS_TRY(read_pictures(j, err));
        if (!j->picture[VIDEO].got)
            return MS_OK;
        ms_status status = judge_frame(j, err);
        if (status != MS_OK) {
            ms_error_where(err, "score", j->frames);
            return status;
        }
        if (p->progress)
            p->progress(p->arg, j->frames + 1, ms_video_reader_info(j->picture[VIDEO].reader)->frames);
    }
    return MS_OK;
}

/* ---- the report ---- */

static ms_score_likeness likeness_of(const job *j, int which) {
    ms_score_likeness l = {.frames = j->compared[which]};
    ms_likeness_sums outside = {0};
    for (int r = 0; r < MS_REGION_COUNT; r++) {
        const ms_likeness_sums *s = &j->against[which][r];
        l.psnr_db[r] = ms_likeness_psnr(s);
        l.ssim[r] = ms_likeness_ssim(s);
        if (r == MS_REGION_MOUTH)
            continue;
        outside.pixels += s->pixels;
        outside.squares += s->squares;
        outside.windows += s->windows;
        outside.ssim += s->ssim;
    }
    l.psnr_outside_db = ms_likeness_psnr(&outside);
    l.ssim_outside = ms_likeness_ssim(&outside);
    return l;
}

static ms_score_report report_of(const job *j) {
    ms_video_damage_report damage;
    ms_video_reader_damage(j->picture[VIDEO].reader, &damage);
    /* A second of overlap at the least, or half of a shorter clip. */
    int64_t second = (int64_t)ceil(j->fps), half = j->frames / 2, least = second < half ? second : half;
    ms_lag_peak peak = ms_lag_correlation_peak(&j->sync, least);
    ms_lag_peak truth = ms_lag_correlation_peak(&j->sync_truth, least);
    double borders = ms_flicker_mean(&j->flicker, true), elsewhere = ms_flicker_mean(&j->flicker, false);
    return (ms_score_report){
        .frames = j->frames,
        .frames_with_face = j->frames_with_face,
        .frames_lost = damage.frames_lost,
        .fps = j->fps,
        .has_truth = j->p->truth != NULL,
        .truth_is_video = j->picture[TRUTH].reader != NULL,
        .has_input = j->p->input != NULL,
        .sync_offset_frames = peak.lag,
        .sync_r = peak.r,
        .sync_confidence = peak.confidence,
        .sync_r_unshifted = ms_correlation_r(&j->sync.at[MS_LAG_MAX]),
        .sync_truth_offset_frames = truth.lag,
        .sync_truth_confidence = truth.confidence,
        .mouth_r = ms_correlation_r(&j->mouth),
        .mouth_rmse_px = ms_correlation_rmse(&j->mouth),
        .mouth_input_r = ms_correlation_r(&j->mouth_input),
        .truth = likeness_of(j, TRUTH),
        .input = likeness_of(j, INPUT),
        .identity_drift = j->identity_count ? j->identity_sum / (double)j->identity_count : NAN,
        .outline_drift = j->outline_count ? j->outline_sum / (double)j->outline_count : NAN,
        .flicker_borders = borders,
        .flicker_elsewhere = elsewhere,
        .flicker_ratio = elsewhere > 0 ? borders / elsewhere : NAN,
    };
}

static ms_status run(job *j, ms_error *err) {
    MS_TRY(ms_own_budget_open(j->p->budget_bytes, &j->budget, err));
    j->mem = j->budget.mem;
    MS_TRY(prepare(j, err));
    MS_TRY(skip_input(j, err));
    MS_TRY(judge(j, err));
    if (j->frames_with_face == 0)
        return ms_fail(err, MS_NO_FACE, "%s: no usable face in %lld frames", j->p->video,
                       (long long)j->frames);
    return MS_OK;
}

static void release(job *j) {
    for (int i = 0; i < PICTURES; i++) {
        ms_video_reader_close(&j->picture[i].reader);
        ms_mem_free(j->picture[i].rgb);
    }
    if (j->track)
        ms_track_reader_close(&j->track);
    if (j->audio)
        ms_audio_reader_close(&j->audio);
    ms_envelope_destroy(&j->envelope);
    ms_face_finder_destroy(&j->finder);
    ms_face_nets_close(&j->nets);
    ms_region_map_destroy(&j->map);
    ms_likeness_destroy(&j->likeness);
    ms_flicker_release(&j->flicker);
    ms_mem_free(j->regions);
    ms_compute_close(&j->compute);
    ms_own_budget_close(&j->budget);
}

static ms_status score(const ms_score_params *p, ms_score_report *ret_report, ms_error *err) {
    double began = ms_now_s();
    job j = {.p = p};
    ms_status status = run(&j, err);
    if (status == MS_OK) {
        *ret_report = report_of(&j);
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
    if (p->window < 2 || p->window > 1000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "window must be 2 to 1000, not %d", p->window);
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
