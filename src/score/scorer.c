/* Frames that are pushed are judged: ms_score() of a program that has them. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/sized.h"
#include "faces/detect.h"
#include "planner/own_budget.h"
#include "planner/params_check.h"
#include "score/judge.h"

struct ms_scorer {
    ms_scorer_params p;
    ms_own_budget budget;
    ms_judge *judge;
    int64_t heard; /* samples of the speech */
    bool ended[MS_JUDGE_PICTURES];
    bool has_truth;
    double began;
};

static const ms_scorer_params defaults = {.window = 16, .fps_num = 25, .fps_den = 1};

void ms_scorer_params_init_sized(ms_scorer_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

static ms_status check(const ms_scorer_params *p, ms_error *err) {
    if (!p->model && !p->faces)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the model (or the folder of face nets) is missing");
    MS_TRY(ms_check_window(p->window, err));
    if (p->fps_num == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "fps must be named: frames that are pushed have none");
    MS_TRY(ms_check_rate(p->fps_num, p->fps_den, err));
    if (p->first_frame < 0 || p->first_frame > MS_RUN_MAX_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "first_frame must be 0 to %lld, not %lld",
                       (long long)MS_RUN_MAX_FRAMES, (long long)p->first_frame);
    MS_TRY(ms_check_size(p->width, p->height, err));
    if (!p->speech || p->speech_samples < 1)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the speech is missing: %lld samples at %p",
                       (long long)p->speech_samples, (const void *)p->speech);
    return MS_OK;
}

static ms_status read_speech(void *arg, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    ms_scorer *s = arg;
    const int64_t left = s->p.speech_samples - s->heard, count = left < max ? left : max;
    (void)err;
    if (count > 0)
        memcpy(dst, s->p.speech + s->heard, (size_t)count * sizeof(*dst));
    s->heard += count;
    *ret_count = count;
    return MS_OK;
}

static ms_status open(ms_scorer *s, ms_error *err) {
    const ms_scorer_params *p = &s->p;
    ms_letterbox fit;
    MS_TRY(ms_letterbox_fit(p->width, p->height, MS_DETECT_SIDE, &fit, err));
    MS_TRY(ms_own_budget_open(p->budget_bytes, &s->budget, err));
    const ms_judge_params judge = {
        .mem = s->budget.mem,
        .model = p->model,
        .faces = p->faces,
        .device = p->device,
        .track = p->track,
        .threads = p->threads,
        .width = p->width,
        .height = p->height,
        .fps = (double)p->fps_num / p->fps_den,
        .window = p->window,
        .first = p->first_frame,
        .given = {[MS_JUDGE_VIDEO] = true, [MS_JUDGE_INPUT] = p->input, [MS_JUDGE_TRUTH] = p->truth},
        .read_speech = read_speech,
        .arg = s};
    return ms_judge_create(&judge, &s->judge, err);
}

ms_status ms_scorer_create_sized(const ms_scorer_params *params, size_t params_bytes, ms_scorer **ret_scorer,
                                 ms_error *err) {
    ms_scorer_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_scorer, err);
    MS_TRY(check(&p, err));
    ms_scorer *s = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s)
        return ms_fail_alloc(err, NULL, sizeof(*s), "judging");
    s->p = p;
    s->began = ms_now_s();
    ms_status status = open(s, err);
    if (status == MS_OK)
        *ret_scorer = s;
    else
        ms_scorer_destroy(&s);
    return status;
}

void ms_scorer_destroy(ms_scorer **scorer) {
    if (!scorer || !*scorer)
        return;
    ms_scorer *s = *scorer;
    ms_judge_destroy(&s->judge);
    ms_own_budget_close(&s->budget);
    ms_mem_free(s);
    *scorer = NULL;
}

ms_status ms_scorer_push_sized(ms_scorer *s, const ms_score_frame *frame, size_t frame_bytes, ms_error *err) {
    ms_score_frame f = {0};
    ms_error_clear(err);
    MS_READ_SIZED(&f, frame, frame_bytes, err);
    MS_NEED(s, err);
    MS_NEED(f.video, err);
    if ((f.input && !s->p.input) || (f.truth && !s->p.truth))
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame of the %s, which was not announced",
                       f.input && !s->p.input ? "input" : "truth");
    const uint8_t *rgb[MS_JUDGE_PICTURES] = {
        [MS_JUDGE_VIDEO] = f.video, [MS_JUDGE_INPUT] = f.input, [MS_JUDGE_TRUTH] = f.truth};
    for (int i = 0; i < MS_JUDGE_PICTURES; i++) {
        if (s->ended[i])
            rgb[i] = NULL;
        s->ended[i] = !rgb[i];
    }
    s->has_truth = s->has_truth || f.has_opening;
    return ms_judge_frame(s->judge, rgb, f.has_opening ? f.truth_opening : (double)NAN, err);
}

ms_status ms_scorer_get_report_sized(const ms_scorer *s, ms_score_report *ret_report, size_t report_bytes,
                                     ms_error *err) {
    ms_error_clear(err);
    MS_CHECK_SIZED(ret_report, report_bytes, err);
    MS_NEED(s, err);
    MS_NEED(ret_report, err);
    if (ms_judge_frames_with_face(s->judge) == 0)
        return ms_fail(err, MS_NO_FACE, "no usable face in %lld frames",
                       (long long)ms_judge_frames(s->judge));
    ms_score_report report = ms_judge_report(s->judge);
    report.has_truth = s->p.truth || s->has_truth;
    report.seconds = ms_now_s() - s->began;
    ms_sized_fill(ret_report, report_bytes, &report, sizeof(report));
    return MS_OK;
}
