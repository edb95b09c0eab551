/* Eyes, brows and glasses. */
#include "world/draw.h"

static void draw_ball(w_canvas *c, const w_face *f, int e, const w_path *opening) {
    const w_person *p = f->person;
    const w_vec *k = f->eye[e];
    float r = 0.118f, u = f->unit;
    w_vec at = f->iris[e], across = w_face_across(f, r), down = w_face_down(f, r);
    w_ink white = w_gradient((w_rgb){0.80f, 0.77f, 0.76f}, k[2], (w_rgb){0.94f, 0.93f, 0.92f}, k[6]);
    w_fill(c, opening, &white);
    w_clip_to(c, opening);
    for (int i = 0; i < 5; i += 4)
        w_glow(c, k[i], w_face_across(f, 0.13f), w_face_down(f, 0.13f), w_mix_rgb(p->blush, p->shade, 0.4f),
               0.6f);
    w_path ring = {0}, iris = {0}, pupil = {0}, spark = {0};
    w_path_ellipse(&ring, at, across, down);
    w_ink edge = w_soft(w_tint(p->iris, 0.35f, 0.35f, 0.38f), 1, 0.008f * u);
    w_fill(c, &ring, &edge);
    w_path_ellipse(&iris, at, w_scale(across, 0.88f), w_scale(down, 0.88f));
    w_ink colour = w_gradient(w_tint(p->iris, 0.6f, 0.6f, 0.6f), w_sub(at, down),
                              w_mix_rgb(p->iris, (w_rgb){1, 0.95f, 0.85f}, 0.28f), w_add(at, down));
    colour.blur = 0.008f * u;
    w_fill(c, &iris, &colour);
    w_path_ellipse(&pupil, at, w_scale(across, 0.42f), w_scale(down, 0.42f));
    w_ink black = w_soft((w_rgb){0.04f, 0.03f, 0.03f}, 1, 0.006f * u);
    w_fill(c, &pupil, &black);
    /* The upper lid's shadow, then what the eye mirrors. */
    w_path lid = {0};
    w_path_stroke(&lid, k, 5, 0.05f * u, 0.09f * u, 0.05f * u);
    w_ink shadow = w_soft((w_rgb){0.12f, 0.08f, 0.08f}, 0.55f, 0.03f * u);
    w_fill(c, &lid, &shadow);
    float lit = p->light > 0 ? 1.0f : -1.0f;
    w_path_ellipse(&spark, w_add(at, w_add(w_scale(across, 0.34f * lit), w_scale(down, -0.36f))),
                   w_scale(across, 0.20f), w_scale(down, 0.20f));
    w_ink bright = w_plain((w_rgb){1, 1, 1}, 0.92f);
    w_fill(c, &spark, &bright);
    w_clip_off(c);
}

static void draw_lids(w_canvas *c, const w_face *f, int e) {
    const w_person *p = f->person;
    const w_vec *k = f->eye[e];
    float u = f->unit, outer = e ? 1.0f : -1.0f;
    w_rgb dark = w_mix_rgb((w_rgb){0.10f, 0.06f, 0.05f}, p->shade, 0.35f * (1 - p->lash));
    w_path lash = {0}, crease = {0}, under = {0};
    float thick = (0.022f + 0.02f * p->lash) * u;
    w_path_stroke(&lash, k, 5, e ? 0.4f * thick : thick * 0.8f, thick, e ? thick * 0.8f : 0.4f * thick);
    w_ink line = w_soft(dark, 0.95f, 0.007f * u);
    w_fill(c, &lash, &line);
    if (p->lash > 0.5f) { /* a flick beyond the outer corner */
        w_vec corner = k[e ? 4 : 0];
        const w_vec flick[3] = {
            k[e ? 3 : 1], corner,
            w_add(corner, w_add(w_face_across(f, outer * 0.05f), w_face_down(f, -0.03f)))};
        w_path tip = {0};
        w_path_stroke(&tip, flick, 3, 0.02f * u, 0.022f * u, 0);
        w_fill(c, &tip, &line);
    }
    w_vec fold[5];
    float rise = -0.062f - 0.05f * f->now.blink;
    for (int i = 0; i < 5; i++)
        fold[i] = w_add(k[i], w_face_down(f, i % 4 ? rise * (1 - 0.6f * f->now.blink) : rise * 0.45f));
    w_path_stroke(&crease, fold, 5, 0.006f * u, 0.026f * u, 0.006f * u);
    w_ink faint = w_soft(w_tint(p->shade, 0.8f, 0.75f, 0.75f), 0.75f, 0.014f * u);
    w_fill(c, &crease, &faint);
    const w_vec lower[5] = {k[4], k[5], k[6], k[7], k[0]};
    w_path_stroke(&under, lower, 5, 0.004f * u, 0.016f * u, 0.004f * u);
    w_ink soft = w_soft(w_mix_rgb(dark, p->shade, 0.5f), 0.6f, 0.01f * u);
    w_fill(c, &under, &soft);
}

void w_draw_eyes(w_canvas *c, const w_face *f) {
    for (int e = 0; e < 2; e++) {
        w_path opening = {0};
        w_path_curve(&opening, f->eye[e], W_EYE_POINTS, true);
        if (f->now.blink < 0.95f)
            draw_ball(c, f, e, &opening);
        draw_lids(c, f, e);
    }
}

void w_draw_brows(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    float u = f->unit;
    for (int e = 0; e < 2; e++) {
        const w_vec *k = f->brow[e];
        w_path shape = {0};
        w_path_curve(&shape, k, W_BROW_POINTS, true);
        w_ink under = w_soft(p->brow, 0.55f, 0.03f * u);
        w_fill(c, &shape, &under);
        w_ink over = w_soft(p->brow, 0.55f, 0.012f * u);
        w_fill(c, &shape, &over);
        for (int i = 0; i < 26; i++) { /* hairs, from the lower edge up and outwards */
            float t = (float)i / 26 * 3.9f,
                  r = w_random(p->seed, W_STREAM_STRANDS, 1, (uint32_t)(e * 32 + i));
            int s = (int)t;
            w_vec top = w_mix_v(k[s], k[s + 1], t - (float)s);
            w_vec low = w_mix_v(k[s ? W_BROW_POINTS - s : 0], k[W_BROW_POINTS - 1 - s], t - (float)s);
            w_vec lean = w_face_across(f, (e ? 0.05f : -0.05f));
            const w_vec hair[2] = {w_mix_v(low, top, 0.1f + 0.4f * r),
                                   w_add(w_mix_v(low, top, 0.8f + 0.35f * r), lean)};
            w_path strand = {0};
            w_path_stroke(&strand, hair, 2, 0.016f * u, 0.014f * u, 0);
            w_ink ink = w_plain(w_tint(p->brow, 0.75f + 0.4f * r, 0.75f + 0.4f * r, 0.75f + 0.4f * r), 0.5f);
            w_fill(c, &strand, &ink);
        }
    }
}

static void lens_points(const w_face *f, int e, w_vec ret_points[8]) {
    static const w_vec round[8] = {{1, 0},  {0.71f, 0.71f},   {0, 1},  {-0.71f, 0.71f},
                                   {-1, 0}, {-0.71f, -0.71f}, {0, -1}, {0.71f, -0.71f}};
    static const w_vec square[8] = {{1, -0.1f},      {0.86f, 0.7f},   {0, 0.86f},  {-0.8f, 0.72f},
                                    {-0.98f, -0.1f}, {-0.9f, -0.74f}, {0, -0.84f}, {0.95f, -0.76f}};
    const w_person *p = f->person;
    float side = e ? 1.0f : -1.0f, w = p->glasses == W_GLASSES_ROUND ? 0.31f : 0.345f,
          h = p->glasses == W_GLASSES_ROUND ? 0.30f : 0.265f;
    const w_vec *shape = p->glasses == W_GLASSES_ROUND ? round : square;
    for (int i = 0; i < 8; i++)
        ret_points[i] =
            w_face_at(f, side * (p->eye_gap + 0.015f + shape[i].x * w), 0.04f + shape[i].y * h, 0.16f);
}

void w_draw_glasses(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    if (p->glasses == W_GLASSES_NONE)
        return;
    float u = f->unit;
    w_ink rim = w_plain(p->frame, 1), shadow = w_soft(p->shade, 0.45f, 0.03f * u);
    for (int e = 0; e < 2; e++) {
        float side = e ? 1.0f : -1.0f;
        w_vec k[8], loop[10];
        lens_points(f, e, k);
        w_path glass = {0}, edge = {0}, cast = {0}, arm = {0}, glint = {0};
        for (int i = 0; i < 10; i++)
            loop[i] = k[i % 8];
        w_path_curve(&glass, k, 8, true);
        w_path_stroke(&edge, loop, 10, 0.036f * u, 0.036f * u, 0.036f * u);
        for (int i = 0; i < edge.count; i++)
            w_path_add(&cast, w_add(edge.at[i], w_face_down(f, 0.045f)));
        w_fill(c, &cast, &shadow);
        w_ink tint = w_plain((w_rgb){0.85f, 0.92f, 0.98f}, 0.07f);
        w_fill(c, &glass, &tint);
        w_clip_to(c, &glass);
        const w_vec beam[2] = {w_add(k[6], w_face_across(f, 0.16f)), w_add(k[3], w_face_across(f, 0.02f))};
        w_path_stroke(&glint, beam, 2, 0.09f * u, 0.09f * u, 0.09f * u);
        w_ink shine = w_soft((w_rgb){1, 1, 1}, 0.16f, 0.015f * u);
        w_fill(c, &glint, &shine);
        w_clip_off(c);
        w_fill(c, &edge, &rim);
        const w_vec side_arm[2] = {k[0], w_face_at(f, side * 1.02f * p->cheek, -0.05f, -0.25f)};
        w_path_stroke(&arm, side_arm, 2, 0.035f * u, 0.04f * u, 0.045f * u);
        w_fill(c, &arm, &rim);
    }
    w_vec left[8], right[8];
    lens_points(f, 0, left);
    lens_points(f, 1, right);
    const w_vec bridge[3] = {left[4], w_face_at(f, 0, -0.03f, 0.24f), right[4]};
    w_path nose = {0};
    w_path_stroke(&nose, bridge, 3, 0.04f * u, 0.03f * u, 0.04f * u);
    w_fill(c, &nose, &rim);
}
