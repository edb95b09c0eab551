/* Hair: a mass behind the head, a cap over the skull, and strands along it. */
#include "world/draw.h"

#define ARC 13

/* How far a style stands off the skull, and how low it hangs at the sides (half face widths). */
typedef struct style {
    float off, side; /* at the top; y of the lower ends beside the face */
    float line;      /* hairline over the eyes, as a part of the forehead */
    float behind;    /* y down to which hair falls behind, 0 = none */
} style;

static style style_of(const w_person *p) {
    static const style styles[W_HAIR_STYLES] = {
        [W_HAIR_CROP] = {0.16f, -0.12f, 0.60f, 0},   [W_HAIR_PARTED] = {0.24f, -0.02f, 0.58f, 0},
        [W_HAIR_BOB] = {0.20f, 1.15f, 0.52f, 1.35f}, [W_HAIR_LONG] = {0.19f, 1.9f, 0.56f, 2.9f},
        [W_HAIR_TIED] = {0.12f, 0.10f, 0.62f, 0},    [W_HAIR_CURLY] = {0.36f, 0.25f, 0.58f, 0.7f},
        [W_HAIR_SHAVED] = {0.03f, -0.15f, 0.66f, 0}};
    style s = styles[p->hair_style];
    s.off *= p->hair_volume;
    return s;
}

/* From the left ear over the top to the right one; angle in turns. */
static w_vec skull_at(const w_face *f, float t, float off, float lift) {
    float angle = 0.5f + 0.5f * t, c = w_cos_turns(angle), s = w_sin_turns(angle);
    float x = c * (f->person->cheek * 0.99f + off * 0.75f),
          y = -0.12f + s * (f->person->forehead - 0.14f + off);
    return w_face_at(f, x, y, lift);
}

static void fill_hair(w_canvas *c, const w_face *f, const w_path *path, float shade, float blur) {
    const w_person *p = f->person;
    w_rgb top = w_mix_rgb(p->hair, (w_rgb){1, 0.94f, 0.86f}, 0.10f * shade);
    w_ink ink = w_gradient(w_tint(top, shade, shade, shade), w_face_at(f, p->light * 0.6f, -1.5f, 0),
                           w_tint(p->hair, 0.55f * shade, 0.55f * shade, 0.58f * shade),
                           w_face_at(f, -p->light * 0.7f, 0.9f, 0));
    ink.blur = blur;
    w_fill(c, path, &ink);
}

static void strand(w_canvas *c, const w_face *f, w_vec a, w_vec b, w_vec d, uint32_t number, float width) {
    float r[4];
    w_random4(f->person->seed, W_STREAM_STRANDS, 2, number, r);
    w_vec shift = w_scale(w_v(r[0] - 0.5f, r[1] - 0.5f), 0.05f * f->unit);
    const w_vec line[3] = {w_add(a, shift), w_add(b, shift), w_add(d, shift)};
    w_path path = {0};
    w_path_stroke(&path, line, 3, 0.2f * width * f->unit, width * f->unit * (0.6f + 0.8f * r[3]), 0);
    w_rgb hair = f->person->hair;
    w_rgb colour =
        r[2] < 0.5f ? w_tint(hair, 0.55f, 0.53f, 0.53f) : w_mix_rgb(hair, (w_rgb){1, 0.88f, 0.70f}, 0.30f);
    w_ink ink = w_plain(colour, 0.18f + 0.3f * r[3]);
    w_fill(c, &path, &ink);
}

/* The hairline at t from the left temple (0) to the right one (1). */
static w_vec hairline_at(const w_face *f, const style *s, float t) {
    const w_person *p = f->person;
    float x = (2 * t - 1) * 0.90f, line = -p->forehead * s->line, up = 1 - x * x / 0.81f;
    float y = w_mix(-0.34f, line, up > 0 ? sqrtf(sqrtf(up)) : 0);
    if (p->hair_style == W_HAIR_PARTED || p->hair_style == W_HAIR_BOB || p->hair_style == W_HAIR_LONG) {
        float d = (x - p->part) / 0.5f; /* lifts off at the part and sweeps over the forehead */
        y -= 0.14f / (1 + d * d * 4);
        y += (x - p->part) * (p->part > 0 ? -0.07f : 0.07f) * up;
    }
    return w_face_at(f, x, y, 0.05f);
}

/* ---- behind the head */

/* Balls of hair from t to t; over: from the hairline up, otherwise along the skull's rim. */
static void draw_curls(w_canvas *c, const w_face *f, float from, float to, int count, uint32_t row,
                       const style *s, bool over) {
    const w_person *p = f->person;
    for (int i = 0; i < count; i++) {
        float r[4];
        w_random4(p->seed, W_STREAM_STRANDS, row, (uint32_t)i, r);
        float t = w_mix(from, to, ((float)i + r[0]) / (float)count), size = 0.13f + 0.07f * r[1];
        w_vec at = skull_at(f, t, s->off * (over ? 0.7f : 0.15f + 0.85f * r[2]), -0.1f);
        if (over)
            at = w_mix_v(hairline_at(f, s, t), at, 0.12f + 0.88f * r[2]);
        w_path ball = {0}, arc = {0};
        w_path_ellipse(&ball, at, w_v(size * f->unit, 0), w_v(0, size * f->unit));
        w_rgb lit = w_mix_rgb(p->hair, (w_rgb){1, 0.9f, 0.78f}, 0.16f),
              dark = w_tint(p->hair, 0.55f, 0.53f, 0.53f);
        w_ink ink = w_gradient(lit, w_add(at, w_v(0.1f * f->unit * p->light, -size * f->unit)), dark,
                               w_add(at, w_v(0, size * f->unit)));
        w_fill(c, &ball, &ink);
        float turn = r[3], k = size * 0.6f * f->unit;
        const w_vec curl[3] = {w_add(at, w_v(k * w_cos_turns(turn), k * w_sin_turns(turn))),
                               w_add(at, w_v(k * w_cos_turns(turn + 0.2f), k * w_sin_turns(turn + 0.2f))),
                               w_add(at, w_v(k * w_cos_turns(turn + 0.4f), k * w_sin_turns(turn + 0.4f)))};
        w_path_stroke(&arc, curl, 3, 0, 0.03f * f->unit, 0);
        w_ink shine = w_plain(w_mix_rgb(p->hair, (w_rgb){1, 0.9f, 0.78f}, 0.30f), 0.5f);
        w_fill(c, &arc, &shine);
    }
}

void w_draw_hair_behind(w_canvas *c, const w_face *f) {
    style s = style_of(f->person);
    float u = f->unit;
    if (f->person->hair_style == W_HAIR_TIED) {
        w_path knot = {0};
        w_path_ellipse(&knot, w_face_at(f, 0.1f, -1.45f, -0.6f), w_face_across(f, 0.40f),
                       w_face_down(f, 0.34f));
        fill_hair(c, f, &knot, 0.9f, 0.01f * u);
    }
    if (f->person->hair_style == W_HAIR_CURLY) {
        draw_curls(c, f, -0.10f, 1.10f, 90, 3, &s, false);
        return;
    }
    if (s.behind <= 0)
        return;
    w_vec points[ARC + 6];
    int n = 0;
    for (int i = 0; i < ARC; i++)
        points[n++] = skull_at(f, (float)i / (ARC - 1), s.off, -0.3f);
    const w_vec low[6] = {{1.18f, 0.6f},      {1.22f, s.behind * 0.8f},  {0.95f, s.behind},
                          {-0.95f, s.behind}, {-1.22f, s.behind * 0.8f}, {-1.18f, 0.6f}};
    for (int i = 0; i < 6; i++)
        points[n++] = w_face_at(f, low[i].x * w_mix(1, f->person->hair_volume, 0.5f), low[i].y, -0.3f);
    w_path mass = {0};
    w_path_curve(&mass, points, n, true);
    fill_hair(c, f, &mass, 0.72f, 0.012f * u);
    w_clip_to(c, &mass);
    for (uint32_t i = 0; i < 70; i++) {
        float x = -1.2f + 2.4f * (float)i / 69;
        strand(c, f, w_face_at(f, x * 0.9f, 0, -0.3f), w_face_at(f, x * 1.02f, s.behind * 0.5f, -0.3f),
               w_face_at(f, x * 0.85f, s.behind, -0.3f), 200 + i, 0.035f);
    }
    w_clip_off(c);
}

/* ---- over the head */

static void cap_path(const w_face *f, const style *s, w_path *ret_path) {
    w_vec points[2 * ARC + 4];
    int n = 0;
    float low = s->side < 0.12f ? s->side : 0.12f;
    points[n++] = w_face_at(f, -0.99f, low + 0.12f, 0);
    for (int i = 0; i < ARC; i++)
        points[n++] = skull_at(f, (float)i / (ARC - 1), s->off, 0);
    points[n++] = w_face_at(f, 0.99f, low + 0.12f, 0);
    points[n++] = w_face_at(f, 0.90f, low + 0.10f, 0);
    for (int i = ARC - 1; i >= 0; i--)
        points[n++] = hairline_at(f, s, (float)i / (ARC - 1));
    points[n++] = w_face_at(f, -0.90f, low + 0.10f, 0);
    ret_path->count = 0;
    w_path_curve(ret_path, points, n, true);
}

/* Locks that hang before the ears. */
static void draw_side(w_canvas *c, const w_face *f, const style *s, float side) {
    float u = f->unit, wide = f->person->hair_volume, end = s->side, out = 1.02f + 0.12f * wide;
    const w_vec shape[] = {
        {0.80f, -0.75f},      {out, -0.45f},        {out + 0.14f, 0.3f}, {out + 0.12f, end * 0.75f},
        {0.94f, end + 0.02f}, {0.84f, end * 0.92f}, {0.90f, 0.55f},      {0.885f, 0.1f},
        {0.84f, -0.35f}};
    w_vec points[9];
    for (int i = 0; i < 9; i++)
        points[i] = w_face_at(f, side * shape[i].x, shape[i].y, i < 5 ? -0.15f : 0.04f);
    w_path lock = {0}, shadow = {0};
    w_path_curve(&lock, points, 9, true);
    for (int i = 0; i < lock.count; i++)
        w_path_add(&shadow, w_add(lock.at[i], w_v(-side * 0.05f * u, 0.03f * u)));
    w_ink dark = w_soft(w_tint(f->person->shade, 0.7f, 0.65f, 0.65f), 0.5f, 0.05f * u);
    w_path head = {0};
    w_head_path(f, &head);
    w_clip_to(c, &head);
    w_fill(c, &shadow, &dark);
    w_clip_off(c);
    fill_hair(c, f, &lock, 1.0f, 0.01f * u);
    w_clip_to(c, &lock);
    for (uint32_t i = 0; i < 34; i++) {
        float t = (float)i / 33;
        strand(c, f, w_mix_v(points[8], points[0], t), w_mix_v(points[6], points[2], t),
               w_mix_v(points[5], points[3], t), (side < 0 ? 300u : 340u) + i, 0.032f);
    }
    w_clip_off(c);
}

/* From the part (or the crown) to the cap's edges. */
static void draw_strands(w_canvas *c, const w_face *f, const style *s) {
    const w_person *p = f->person;
    bool parted = p->hair_style != W_HAIR_CROP && p->hair_style != W_HAIR_TIED;
    float width = p->hair_style == W_HAIR_CROP ? 0.024f : 0.036f;
    for (uint32_t i = 0; i < 150; i++) {
        float t = ((float)i + 0.5f) / 150, from = parted ? 0.5f + 0.5f * p->part : t;
        w_vec edge = hairline_at(f, s, t), back = skull_at(f, t, s->off, 0);
        w_vec root = parted ? w_mix_v(hairline_at(f, s, from), skull_at(f, from, s->off, 0),
                                      w_random(p->seed, W_STREAM_STRANDS, 4, i))
                            : back;
        if (p->hair_style == W_HAIR_TIED) { /* pulled back to the knot */
            w_vec knot = w_face_at(f, 0.1f, -1.4f, -0.2f);
            strand(c, f, edge, w_mix_v(w_mix_v(edge, back, 0.6f), knot, 0.25f), knot, i, width);
        } else {
            float r = w_random(p->seed, W_STREAM_STRANDS, 5, i);
            w_vec end = parted ? w_mix_v(edge, skull_at(f, t, s->off * 0.4f, 0), r * 0.9f)
                               : w_mix_v(edge, back, r * 0.55f);
            w_vec start = parted ? root : w_mix_v(end, back, 0.45f);
            w_vec lift = w_scale(w_v(0, -0.12f * f->unit), parted ? 1.0f : 0);
            strand(c, f, start, w_add(w_mix_v(start, end, 0.5f), lift), end, i, width);
        }
    }
}

void w_draw_hair(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    style s = style_of(p);
    float u = f->unit;
    w_path cap = {0}, head = {0}, shadow = {0};
    cap_path(f, &s, &cap);
    w_head_path(f, &head);
    w_clip_to(c, &head); /* what the hair keeps from the forehead */
    for (int i = 0; i < cap.count; i++)
        w_path_add(&shadow, w_add(cap.at[i], w_face_down(f, 0.05f)));
    w_ink dark = w_soft(w_tint(p->shade, 0.75f, 0.7f, 0.7f), 0.55f, 0.06f * u);
    w_fill(c, &shadow, &dark);
    w_clip_off(c);
    if (p->hair_style == W_HAIR_SHAVED) {
        w_ink stubble = w_soft(w_mix_rgb(p->hair, p->shade, 0.35f), 0.72f, 0.035f * u);
        w_fill(c, &cap, &stubble);
        return;
    }
    fill_hair(c, f, &cap, 1, 0.014f * u);
    if (p->hair_style == W_HAIR_CURLY) {
        draw_curls(c, f, 0.03f, 0.97f, 110, 6, &s, true);
    } else {
        w_clip_to(c, &cap);
        draw_strands(c, f, &s);
        w_rgb gloss = w_mix_rgb(p->hair, (w_rgb){1, 0.92f, 0.80f}, 0.5f);
        w_glow(c, skull_at(f, 0.5f + 0.18f * p->light, s.off * 0.2f, 0), w_face_across(f, 0.6f),
               w_face_down(f, 0.17f), gloss, 0.4f);
        w_clip_off(c);
    }
    if (s.side > 0.5f) {
        draw_side(c, f, &s, -1);
        draw_side(c, f, &s, 1);
    }
}
