#include "media/read/cfr.h"

#include <math.h>

#include <libavutil/common.h>
#include <libavutil/mathematics.h>

/* More repeats than this in one step are a broken timestamp (ffmpeg's dts_error_threshold, 30 hours x 30). */
#define MAX_REPEATS (3600ll * 30 * 30)

/* The timestamp in output frames, with up to 16 bits of fraction and pushed off exact halves, as
   adjust_frame_pts_to_encoder_tb() does. */
static double ticks_of(const ms_cfr_params *p, int64_t ts) {
    AVRational tb = av_inv_q(p->rate);
    int extra_bits = av_clip(29 - av_log2((unsigned)tb.den), 0, 16);
    tb.den <<= extra_bits;
    double t = (double)av_rescale_q(ts, p->time_base, tb);
    t /= 1 << extra_bits;
    return t + (t > 0 ? 1 : t < 0 ? -1 : 0) * 1.0 / (1 << 17);
}

static double duration_in_ticks(const ms_cfr_params *p, int64_t duration) {
    double tick = av_q2d(av_inv_q(p->rate)), d = 0;
    if (p->source_rate.num > 0 && p->source_rate.den > 0)
        d = 1 / (av_q2d(p->source_rate) * tick);
    d = d < 1 ? d : 1;
    long whole = lrintf((float)((double)duration * av_q2d(p->time_base) / tick));
    return whole > 0 ? (double)whole : d;
}

static void remember(ms_cfr *cfr, int64_t before) {
    cfr->previous[2] = cfr->previous[1];
    cfr->previous[1] = cfr->previous[0];
    cfr->previous[0] = before;
}

ms_cfr_step ms_cfr_push(ms_cfr *cfr, const ms_cfr_params *params, int64_t ts, int64_t duration,
                        bool have_previous) {
    double at = ticks_of(params, ts), length = duration_in_ticks(params, duration);
    double start =
        at - (double)cfr->next_tick; /* the frame's begin and end, seen from the next output frame */
    double end = start + length;
    int64_t count = 1, before = 0;
    if (start < 0 && end > 0) {
        at = (double)cfr->next_tick;
        length += start;
        start = 0;
    }
    if (params->single_stream && cfr->frames == 0 && start >= 0.5) {
        end = length;
        start = 0;
        cfr->next_tick = llrint(at);
    }
    if (end < -1.1) {
        count = 0;
    } else if (end > 1.1) {
        count = llrintf((float)end);
        if (start > 1.1)
            before = llrintf((float)(start - 0.6));
    }
    before = before < count ? before : count;
    remember(cfr, before);
    if (count > MAX_REPEATS)
        return (ms_cfr_step){0, 0};
    cfr->next_tick += count;
    cfr->frames += count;
    return have_previous ? (ms_cfr_step){before, count - before} : (ms_cfr_step){0, count};
}

int64_t ms_cfr_flush(ms_cfr *cfr) {
    int64_t a = cfr->previous[0], b = cfr->previous[1], c = cfr->previous[2];
    int64_t low = a < b ? a : b, high = a < b ? b : a;
    int64_t count = c < low ? low : c > high ? high : c;
    remember(cfr, count);
    cfr->next_tick += count;
    cfr->frames += count;
    return count;
}
