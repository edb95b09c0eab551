#include "score/judge.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "faces/face_kit.h"
#include "faces/scene.h"
#include "models/model_files.h"
#include "score/correlation.h"
#include "score/envelope.h"
#include "score/flicker.h"
#include "score/likeness.h"

/* One of the videos, and its face in the current frame. */
typedef struct picture {
    const uint8_t *rgb; /* NULL = it has no such frame */
    bool has_points;
    float points[MS_LANDMARKS][2];
} picture;

struct ms_judge {
    ms_judge_params p;
    ms_face_kit faces;
    ms_scene scene;
    int face_from; /* whose frames faces are looked for in */
    ms_align_state smoothing;
    bool had_face;

    picture picture[MS_JUDGE_PICTURES];
    ms_region_map *map;
    uint8_t *regions;

    ms_envelope *envelope;
    ms_lag_correlation sync, sync_truth;
    ms_correlation mouth, mouth_input;
    ms_likeness *likeness;
    ms_likeness_sums against[MS_JUDGE_PICTURES][MS_REGION_COUNT];
    int64_t compared[MS_JUDGE_PICTURES];
    ms_flicker flicker;
    double identity_sum, outline_sum;
    int64_t identity_count, outline_count;
    int64_t frames, frames_with_face;
};

/* ---- its life ---- */

static ms_status open_faces(ms_judge *j, ms_error *err) {
    const ms_judge_params *p = &j->p;
    ms_model_names names = {.dir = p->model, .faces = p->faces};
    ms_model_files files;
    MS_TRY(ms_model_files_find(&names, MS_PART_FACES, &files, err));
    const ms_face_kit_params faces = {.mem = p->mem,
                                      .detector = files.detector,
                                      .landmarks = files.landmarks,
                                      .device = p->device,
                                      .threads = p->threads,
                                      .track = p->track,
                                      .face = -1,
                                      .max_gap = MS_TRACK_DEFAULT_MAX_GAP};
    MS_TRY(ms_face_kit_open(&faces, &j->faces, err));
    j->face_from = p->given[MS_JUDGE_INPUT]   ? MS_JUDGE_INPUT
                   : p->given[MS_JUDGE_TRUTH] ? MS_JUDGE_TRUTH
                                              : MS_JUDGE_VIDEO;
    return MS_OK;
}

static ms_status prepare(ms_judge *j, ms_error *err) {
    const ms_judge_params *p = &j->p;
    MS_TRY(ms_envelope_create(p->mem, p->fps, &j->envelope, err));
    MS_TRY(open_faces(j, err));
    MS_TRY(ms_region_map_create(p->mem, &j->map, err));
    MS_TRY(ms_likeness_create(p->mem, p->width, p->height, &j->likeness, err));
    MS_TRY(ms_flicker_init(p->mem, p->width, p->height, p->window, &j->flicker, err));
    size_t pixels = (size_t)p->width * (size_t)p->height;
    j->regions = ms_mem_alloc(p->mem, MS_LEDGER_FRAMES, pixels);
    return j->regions ? MS_OK : ms_fail_alloc(err, p->mem, pixels, "the map of a frame");
}

ms_status ms_judge_create(const ms_judge_params *params, ms_judge **ret_judge, ms_error *err) {
    ms_judge *j = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*j));
    if (!j)
        return ms_fail_alloc(err, params->mem, sizeof(*j), "judging");
    j->p = *params;
    ms_status status = prepare(j, err);
    if (status == MS_OK)
        *ret_judge = j;
    else
        ms_judge_destroy(&j);
    return status;
}

void ms_judge_destroy(ms_judge **judge) {
    if (!judge || !*judge)
        return;
    ms_judge *j = *judge;
    ms_envelope_destroy(&j->envelope);
    ms_face_kit_close(&j->faces);
    ms_region_map_destroy(&j->map);
    ms_likeness_destroy(&j->likeness);
    ms_flicker_release(&j->flicker);
    ms_mem_free(j->regions);
    ms_mem_free(j);
    *judge = NULL;
}

/* ---- a frame ---- */

static ms_image_view view_of(const ms_judge *j, const picture *pic) {
    return (ms_image_view){pic->rgb, j->p.width, j->p.height, 3, (size_t)j->p.width * 3};
}

/* The face of the frame and its points in every video. When the video that faces come from has ended, they
   are looked for in the one that is judged. */
static ms_status find_face(ms_judge *j, ms_face_record *ret_face, bool *ret_cut, ms_error *err) {
    const picture *from = &j->picture[j->picture[j->face_from].rgb ? j->face_from : MS_JUDGE_VIDEO];
    ms_image_view view = view_of(j, from);
    ms_face_source source = ms_face_finder_source(j->faces.finder);
    *ret_cut = ms_scene_advance(&j->scene, &view);
    MS_TRY(source.find(source.arg, &view, j->p.first + j->frames, *ret_cut, ret_face, err));
    for (int i = 0; i < MS_JUDGE_PICTURES && ret_face->present; i++) {
        picture *pic = &j->picture[i];
        ms_image_view frame = view_of(j, pic);
        if (pic->rgb)
            MS_TRY(ms_face_nets_points(j->faces.nets, &frame, ret_face->box, pic->points, &pic->has_points,
                                       err));
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

/* The speech's envelope at this frame; zeros follow its end. */
static ms_status envelope_at(ms_judge *j, double *ret_value, ms_error *err) {
    float hop[MS_ENVELOPE_HOP];
    while (!ms_envelope_next(j->envelope, ret_value)) {
        int64_t got = 0;
        MS_TRY(j->p.read_speech(j->p.arg, hop, MS_ENVELOPE_HOP, &got, err));
        memset(hop + got, 0, (size_t)(MS_ENVELOPE_HOP - got) * sizeof(float));
        ms_envelope_push(j->envelope, hop);
    }
    return MS_OK;
}

static ms_status add_mouth(ms_judge *j, double truth, ms_error *err) {
    double opening = opening_of(&j->picture[MS_JUDGE_VIDEO]), sound = 0;
    if (isnan(truth))
        truth = opening_of(&j->picture[MS_JUDGE_TRUTH]);
    MS_TRY(envelope_at(j, &sound, err));
    ms_lag_correlation_add(&j->sync, opening, sound);
    ms_lag_correlation_add(&j->sync_truth, truth, sound);
    ms_correlation_add(&j->mouth, opening, truth);
    ms_correlation_add(&j->mouth_input, opening, opening_of(&j->picture[MS_JUDGE_INPUT]));
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
static void add_identity(ms_judge *j) {
    const picture *video = &j->picture[MS_JUDGE_VIDEO], *truth = &j->picture[MS_JUDGE_TRUTH];
    const picture *other = j->picture[MS_JUDGE_INPUT].has_points ? &j->picture[MS_JUDGE_INPUT] : truth;
    if (other->has_points) {
        add_drift((19 * drift(video, other, 33, 52) + 34 * drift(video, other, 72, 106)) / 53,
                  &j->identity_sum, &j->identity_count);
    }
    if (truth->has_points)
        add_drift(drift(video, truth, 0, 33), &j->outline_sum, &j->outline_count);
}

static void add_pictures(ms_judge *j, bool begins) {
    const picture *video = &j->picture[MS_JUDGE_VIDEO], *truth = &j->picture[MS_JUDGE_TRUTH];
    for (int i = MS_JUDGE_VIDEO + 1; i < MS_JUDGE_PICTURES; i++) {
        if (!j->picture[i].rgb)
            continue;
        ms_likeness_add(j->likeness, video->rgb, j->picture[i].rgb, j->regions, j->against[i]);
        j->compared[i]++;
    }
    /* A truth that has ended takes flicker with it: the two measures are not to be mixed. */
    const bool given = j->p.given[MS_JUDGE_TRUTH];
    if (!given || truth->rgb)
        ms_flicker_add(&j->flicker, video->rgb, given ? truth->rgb : NULL, j->regions, j->frames, begins);
}

/* The regions of the frame; without a face there are none. */
static bool place_regions(ms_judge *j, const ms_face_record *face, bool begins) {
    float points[3][2], affine[2][3];
    if (!face->present)
        return false;
    if (begins)
        j->smoothing = (ms_align_state){0};
    ms_align_points(face->landmarks, points);
    if (ms_align_affine(ms_region_map_geometry(j->map), (const float(*)[2])points, &j->smoothing, affine,
                        NULL) != MS_OK)
        return false;
    ms_region_map_draw(j->map, (const float(*)[3])affine, j->p.width, j->p.height, j->regions);
    return true;
}

static ms_status judge(ms_judge *j, double truth_opening, ms_error *err) {
    ms_face_record face = {0};
    bool cut = false;
    MS_TRY(find_face(j, &face, &cut, err));
    MS_TRY(add_mouth(j, truth_opening, err));
    bool begins = cut || face.begins || !j->had_face;
    j->had_face = place_regions(j, &face, begins);
    if (!j->had_face)
        return MS_OK;
    j->frames_with_face++;
    add_identity(j);
    add_pictures(j, begins);
    return MS_OK;
}

ms_status ms_judge_frame(ms_judge *j, const uint8_t *const rgb[MS_JUDGE_PICTURES], double truth_opening,
                         ms_error *err) {
    for (int i = 0; i < MS_JUDGE_PICTURES; i++)
        j->picture[i] = (picture){.rgb = rgb[i]};
    ms_status status = judge(j, truth_opening, err);
    if (status != MS_OK)
        ms_error_where(err, "score", j->frames);
    else
        j->frames++;
    return status;
}

/* ---- the report ---- */

int64_t ms_judge_frames(const ms_judge *j) {
    return j->frames;
}

int64_t ms_judge_frames_with_face(const ms_judge *j) {
    return j->frames_with_face;
}

static ms_score_likeness likeness_of(const ms_judge *j, int which) {
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

ms_score_report ms_judge_report(const ms_judge *j) {
    /* A second of overlap at the least, or half of a shorter clip. */
    int64_t second = (int64_t)ceil(j->p.fps), half = j->frames / 2, least = second < half ? second : half;
    ms_lag_peak peak = ms_lag_correlation_peak(&j->sync, least);
    ms_lag_peak truth = ms_lag_correlation_peak(&j->sync_truth, least);
    double borders = ms_flicker_mean(&j->flicker, true), elsewhere = ms_flicker_mean(&j->flicker, false);
    return (ms_score_report){
        .frames = j->frames,
        .frames_with_face = j->frames_with_face,
        .fps = j->p.fps,
        .truth_is_video = j->p.given[MS_JUDGE_TRUTH],
        .has_input = j->p.given[MS_JUDGE_INPUT],
        .sync_offset_frames = peak.lag,
        .sync_r = peak.r,
        .sync_confidence = peak.confidence,
        .sync_r_unshifted = ms_correlation_r(&j->sync.at[MS_LAG_MAX]),
        .sync_truth_offset_frames = truth.lag,
        .sync_truth_confidence = truth.confidence,
        .mouth_r = ms_correlation_r(&j->mouth),
        .mouth_rmse_px = ms_correlation_rmse(&j->mouth),
        .mouth_input_r = ms_correlation_r(&j->mouth_input),
        .truth = likeness_of(j, MS_JUDGE_TRUTH),
        .input = likeness_of(j, MS_JUDGE_INPUT),
        .identity_drift = j->identity_count ? j->identity_sum / (double)j->identity_count : NAN,
        .outline_drift = j->outline_count ? j->outline_sum / (double)j->outline_count : NAN,
        .flicker_borders = borders,
        .flicker_elsewhere = elsewhere,
        .flicker_ratio = elsewhere > 0 ? borders / elsewhere : NAN,
    };
}
