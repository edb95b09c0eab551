/* Lips, teeth, tongue and the dark between. */
#include "world/draw.h"

static void fill_between(w_canvas *c, const w_vec *outer, const w_vec *inner, int n_outer, int n_inner,
                         const w_ink *ink) {
    w_path path = {0};
    w_path_curve(&path, outer, n_outer, false);
    w_path back = {0};
    w_path_curve(&back, inner, n_inner, false);
    for (int i = back.count - 1; i >= 0; i--)
        w_path_add(&path, back.at[i]);
    w_fill(c, &path, ink);
}

static void draw_teeth(w_canvas *c, const w_face *f, float y, float tall, float half, int count, bool upper) {
    w_dice d = {f->person->seed, W_STREAM_PERSON, 4, 0};
    w_rgb ivory = {0.93f, 0.90f, 0.84f};
    float step = 2 * half / (float)count;
    for (int i = 0; i < count; i++) {
        float x0 = -half + step * (float)i, mid = x0 + step * 0.5f,
              bend = 0.10f * (mid / half) * (mid / half) * half;
        float t = tall * (1 - 0.25f * fabsf(mid / half)) * w_roll(&d, 0.96f, 1.04f), edge = upper ? t : -t;
        const w_vec corner[4] = {w_face_at(f, x0 + 0.004f, y - bend, 0),
                                 w_face_at(f, x0 + step - 0.004f, y - bend, 0),
                                 w_face_at(f, x0 + step * 0.93f, y - bend + edge, 0),
                                 w_face_at(f, x0 + step * 0.07f, y - bend + edge, 0)};
        w_path tooth = {.count = 4, .at = {corner[0], corner[1], corner[2], corner[3]}};
        float dim = (upper ? 1.0f : 0.8f) * (1 - 0.35f * fabsf(mid / half));
        w_ink ink = w_plain(w_tint(ivory, dim, dim * 0.98f, dim * 0.96f), 1);
        w_fill(c, &tooth, &ink);
    }
}

static void draw_inside(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    const w_mouth *m = &f->now.mouth;
    float u = f->unit, open = m->open * (1 - m->press), gap = 0.40f * open, y = p->mouth_row;
    w_path inside = {0};
    w_path_curve(&inside, f->lip_inner, W_LIP_INNER, true);
    w_ink dark = w_plain((w_rgb){0.17f, 0.05f, 0.05f}, 1);
    w_fill(c, &inside, &dark);
    w_clip_to(c, &inside);
    float tongue = y + gap * (0.72f - 0.60f * m->tongue) + 0.06f;
    w_rgb flesh = {0.70f, 0.33f, 0.33f};
    w_glow(c, w_face_at(f, 0, tongue + 0.06f, 0), w_face_across(f, p->mouth_width * 0.75f),
           w_face_down(f, 0.19f), flesh, 0.95f);
    draw_teeth(c, f, y + 0.90f * gap, 0.06f, p->mouth_width * 0.62f, 8, false);
    draw_teeth(c, f, y - 0.25f * gap - 0.035f, 0.115f, p->mouth_width * 0.80f, 8, true);
    /* The upper lip's shadow and the corners, which light does not reach. */
    w_path lip = {0};
    w_path_stroke(&lip, f->lip_inner, 5, 0.05f * u, 0.07f * u, 0.05f * u);
    w_ink shadow = w_soft((w_rgb){0.14f, 0.04f, 0.04f}, 0.6f, 0.04f * u);
    w_fill(c, &lip, &shadow);
    for (int i = 0; i < 5; i += 4)
        w_glow(c, f->lip_inner[i], w_face_across(f, 0.16f), w_face_down(f, 0.2f),
               (w_rgb){0.12f, 0.04f, 0.04f}, 0.9f);
    w_clip_off(c);
}

static void draw_lips(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    const w_vec *o = f->lip_outer, *n = f->lip_inner;
    float u = f->unit, lit = p->light > 0 ? 1.0f : -1.0f;
    w_rgb upper = w_tint(p->lip, 0.86f, 0.80f, 0.80f), rim = w_mix_rgb(p->lip, p->skin, 0.45f);
    w_ink up = w_gradient(rim, o[3], upper, n[2]), low = w_gradient(p->lip, n[6], rim, o[9]);
    const w_vec upper_inner[7] = {o[0], n[0], n[1], n[2], n[3], n[4], o[6]};
    const w_vec lower_outer[7] = {o[6], o[7], o[8], o[9], o[10], o[11], o[0]};
    const w_vec lower_inner[7] = {o[6], n[4], n[5], n[6], n[7], n[0], o[0]};
    up.blur = low.blur = 0.008f * u;
    fill_between(c, o, upper_inner, 7, 7, &up);
    fill_between(c, lower_outer, lower_inner, 7, 7, &low);
    w_vec full = w_mix_v(n[6], o[9], 0.42f);
    w_rgb wet = w_mix_rgb(p->lip, (w_rgb){1, 0.93f, 0.9f}, 0.55f);
    w_glow(c, w_add(full, w_face_across(f, lit * 0.06f)), w_face_across(f, 0.15f),
           w_face_down(f, p->lips * 0.5f), wet, 0.6f);
    w_glow(c, w_add(o[3], w_face_down(f, -0.02f)), w_face_across(f, 0.16f), w_face_down(f, 0.035f), p->shine,
           0.5f);
    /* Where the lips meet: a dark line, fading into the open mouth. */
    w_path meet = {0}, lower = {0};
    w_path_stroke(&meet, upper_inner, 7, 0.02f * u, 0.022f * u, 0.02f * u);
    w_ink line = w_soft((w_rgb){0.26f, 0.08f, 0.08f}, 0.75f, 0.010f * u);
    w_fill(c, &meet, &line);
    const w_vec under[3] = {w_add(o[10], w_face_down(f, 0.03f)), w_add(o[9], w_face_down(f, 0.045f)),
                            w_add(o[8], w_face_down(f, 0.03f))};
    w_path_stroke(&lower, under, 3, 0, 0.05f * u, 0);
    w_ink below = w_soft(p->shade, 0.6f, 0.04f * u);
    w_fill(c, &lower, &below);
}

void w_draw_mouth(w_canvas *c, const w_face *f) {
    draw_inside(c, f);
    draw_lips(c, f);
}
