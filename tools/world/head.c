/* Ears, skin and its light and shade, nose, beard. */
#include "world/draw.h"

void w_head_path(const w_face *f, w_path *ret_path) {
    const w_person *p = f->person;
    w_vec points[W_CONTOUR_POINTS + 9];
    int n = 0;
    for (int i = 0; i < W_CONTOUR_POINTS; i++)
        points[n++] = f->contour[i];
    const w_vec top[9] = {{0.985f, -0.3f},  {0.93f, -0.62f},  {0.78f, -0.96f},  {0.46f, -1.24f}, {0, -1},
                          {-0.46f, -1.24f}, {-0.78f, -0.96f}, {-0.93f, -0.62f}, {-0.985f, -0.3f}};
    for (int i = 0; i < 9; i++)
        points[n++] = w_face_at(f, top[i].x * p->cheek, i == 4 ? -p->forehead : top[i].y, -0.1f);
    ret_path->count = 0;
    w_path_curve(ret_path, points, n, true);
}

static void draw_ear(w_canvas *c, const w_face *f, float side) {
    const w_person *p = f->person;
    const w_vec rim[] = {{0.93f, -0.16f}, {1.04f, -0.24f}, {1.14f, -0.16f}, {1.16f, 0.04f},
                         {1.10f, 0.28f},  {1.03f, 0.46f},  {0.95f, 0.48f},  {0.90f, 0.2f}};
    const w_vec fold[] = {{1.01f, -0.13f}, {1.09f, -0.12f}, {1.10f, 0.05f}, {1.03f, 0.26f}};
    w_vec at[8], in[4];
    for (int i = 0; i < 8; i++)
        at[i] = w_face_at(f, side * rim[i].x * p->cheek, rim[i].y, -0.35f);
    for (int i = 0; i < 4; i++)
        in[i] = w_face_at(f, side * fold[i].x * p->cheek, fold[i].y, -0.33f);
    w_path ear = {0}, line = {0};
    w_path_curve(&ear, at, 8, true);
    float away = side * p->light < 0 ? 0.55f : 0.2f;
    w_ink skin = w_gradient(w_mix_rgb(p->skin, p->blush, 0.25f), at[1],
                            w_mix_rgb(p->skin, p->shade, away + 0.2f), at[6]);
    w_fill(c, &ear, &skin);
    w_path_stroke(&line, in, 4, 0.02f * f->unit, 0.07f * f->unit, 0.03f * f->unit);
    w_ink dark = w_soft(p->shade, 0.75f, 0.03f * f->unit);
    w_fill(c, &line, &dark);
}

static void glow_at(w_canvas *c, const w_face *f, float x, float y, float rx, float ry, w_rgb colour,
                    float alpha) {
    w_glow(c, w_face_jaw_at(f, x, y, 0), w_face_across(f, rx), w_face_down(f, ry), colour, alpha);
}

/* Big soft forms: the side away from the light, the sockets, cheeks, temples, the hollow over the chin. */
static void shade_face(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    float lit = p->light > 0 ? 1.0f : -1.0f, strong = 0.35f + 0.35f * fabsf(p->light);
    glow_at(c, f, -lit * 1.15f, 0.35f, 0.95f, 2.0f, p->shade, 0.95f * strong);
    glow_at(c, f, lit * 1.2f, 0.5f, 0.5f, 1.6f, p->shade, 0.35f);
    glow_at(c, f, 0, p->chin + 0.12f, 1.1f, 0.38f, p->shade, 0.6f);
    glow_at(c, f, lit * 0.18f, -0.72f, 0.75f, 0.5f, p->shine, 0.5f);
    for (int s = -1; s <= 1; s += 2) {
        float side = (float)s, bright = side == lit ? 1 : 0.4f;
        glow_at(c, f, side * p->eye_gap, -0.06f, 0.36f, 0.24f, p->shade, 0.42f);
        glow_at(c, f, side * 0.17f, -0.05f, 0.15f, 0.24f, p->shade, 0.35f);
        glow_at(c, f, side * 0.56f, 0.5f, 0.36f, 0.30f, p->blush, 0.32f);
        glow_at(c, f, side * 0.50f, 0.30f, 0.34f, 0.20f, p->shine, 0.42f * bright);
        glow_at(c, f, side * 0.70f, 0.92f, 0.30f, 0.42f, p->shade, 0.28f);
    }
    glow_at(c, f, 0, p->mouth_row + 0.235f, 0.26f, 0.10f, p->shade, 0.42f);
    glow_at(c, f, lit * 0.03f, p->chin - 0.17f, 0.22f, 0.16f, p->shine, 0.35f);
}

/* From the nose's wings past the mouth's corners; deeper with age and when the mouth is wide. */
static void draw_lines(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    float deep = 0.10f + 0.4f * p->age + 0.15f * w_clamp(f->now.mouth.wide, 0, 1);
    for (int s = -1; s <= 1; s += 2) {
        float side = (float)s, w = p->nose_width;
        const w_vec smile[3] = {w_face_at(f, side * (w + 0.05f), p->nose_length - 0.05f, 0),
                                w_face_at(f, side * (w + 0.20f), p->nose_length + 0.14f, 0),
                                w_face_jaw_at(f, side * (p->mouth_width + 0.13f), p->mouth_row - 0.03f, 0)};
        const w_vec bag[3] = {w_face_at(f, side * (p->eye_gap - 0.2f), 0.13f, 0),
                              w_face_at(f, side * p->eye_gap, 0.20f, 0),
                              w_face_at(f, side * (p->eye_gap + 0.2f), 0.13f, 0)};
        w_path line = {0}, under = {0};
        w_path_stroke(&line, smile, 3, 0.03f * f->unit, 0.045f * f->unit, 0);
        w_ink ink = w_soft(p->shade, deep, 0.03f * f->unit);
        w_fill(c, &line, &ink);
        w_path_stroke(&under, bag, 3, 0, 0.03f * f->unit, 0);
        w_ink faint = w_soft(p->shade, 0.25f + 0.3f * p->age, 0.03f * f->unit);
        w_fill(c, &under, &faint);
    }
    for (int i = 0; i < 2 && p->age > 0.35f; i++) {
        float y = -0.66f - 0.16f * (float)i;
        const w_vec brow[3] = {w_face_at(f, -0.42f, y, 0), w_face_at(f, 0, y - 0.03f, 0),
                               w_face_at(f, 0.42f, y, 0)};
        w_path line = {0};
        w_path_stroke(&line, brow, 3, 0, 0.025f * f->unit, 0);
        w_ink ink = w_soft(p->shade, 0.5f * p->age, 0.02f * f->unit);
        w_fill(c, &line, &ink);
    }
}

void w_draw_head(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    w_path head = {0}, rim = {0};
    draw_ear(c, f, -1);
    draw_ear(c, f, 1);
    w_head_path(f, &head);
    w_ink skin = w_gradient(w_mix_rgb(p->skin, p->shine, 0.25f), w_face_at(f, p->light * 0.6f, -1, 0),
                            w_mix_rgb(p->skin, p->shade, 0.22f), w_face_at(f, -p->light * 0.6f, 1.6f, 0));
    w_fill(c, &head, &skin);
    w_clip_to(c, &head);
    w_vec edge[W_CONTOUR_POINTS];
    for (int i = 0; i < W_CONTOUR_POINTS; i++)
        edge[i] = f->contour[i];
    w_path_stroke(&rim, edge, W_CONTOUR_POINTS, 0.12f * f->unit, 0.16f * f->unit, 0.12f * f->unit);
    w_ink round = w_soft(p->shade, 0.55f, 0.16f * f->unit);
    w_fill(c, &rim, &round);
    shade_face(c, f);
    draw_lines(c, f);
    w_clip_off(c);
}

void w_draw_nose(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    float u = f->unit, lit = p->light > 0 ? 1.0f : -1.0f, w = p->nose_width, l = p->nose_length;
    const w_vec *dark_side = lit > 0 ? f->nose_left : f->nose_right;
    w_path side = {0};
    const w_vec flank[6] = {dark_side[0], dark_side[1], dark_side[2],
                            dark_side[3], f->bridge[3], f->bridge[1]};
    w_path_curve(&side, flank, 6, true);
    w_ink shadow = w_soft(p->shade, 0.42f, 0.07f * u);
    w_fill(c, &side, &shadow);
    w_glow(c, w_mix_v(f->bridge[1], f->bridge[2], 0.5f), w_face_across(f, 0.09f), w_face_down(f, 0.36f),
           p->shine, 0.55f);
    w_glow(c, w_add(f->bridge[3], w_face_across(f, lit * 0.03f)), w_face_across(f, 0.12f),
           w_face_down(f, 0.10f), p->shine, 0.8f);
    w_glow(c, f->nose_base, w_face_across(f, w * 1.3f), w_face_down(f, 0.11f), p->shade, 0.65f);
    w_glow(c, w_face_at(f, 0, l + 0.15f, 0.05f), w_face_across(f, 0.06f), w_face_down(f, 0.12f), p->shade,
           0.4f);
    for (int s = -1; s <= 1; s += 2) {
        const w_vec *n = s < 0 ? f->nose_left : f->nose_right;
        w_path wing = {0}, hole = {0};
        const w_vec curve[3] = {w_mix_v(n[1], n[2], 0.55f), n[2], n[3]};
        w_path_stroke(&wing, curve, 3, 0, 0.035f * u, 0.03f * u);
        w_ink line = w_soft(w_tint(p->shade, 0.85f, 0.8f, 0.8f), 0.65f, 0.02f * u);
        w_fill(c, &wing, &line);
        w_path_ellipse(&hole, w_add(w_mix_v(n[3], n[4], 0.5f), w_face_down(f, -0.012f)),
                       w_face_across(f, 0.055f),
                       w_add(w_face_down(f, 0.024f), w_face_across(f, (float)s * -0.015f)));
        w_ink black = w_soft(w_tint(p->shade, 0.38f, 0.3f, 0.3f), 0.85f, 0.012f * u);
        w_fill(c, &hole, &black);
    }
}

void w_draw_beard(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    if (p->beard == W_BEARD_NONE)
        return;
    float u = f->unit, strength = p->beard == W_BEARD_STUBBLE ? 0.30f
                                  : p->beard == W_BEARD_FULL  ? 0.88f
                                                              : 0.0f;
    w_path head = {0}, cheeks = {0}, lip = {0};
    w_head_path(f, &head);
    w_clip_to(c, &head);
    w_vec area[W_CONTOUR_POINTS + 7];
    int n = 0;
    for (int i = 5; i < W_CONTOUR_POINTS - 5; i++)
        area[n++] = w_add(f->contour[i], w_v(0, 0.04f * u));
    const w_vec upper[7] = {{0.82f, 0.62f},  {0.66f, 0.86f},  {0.44f, 0.84f}, {0, 0.80f},
                            {-0.44f, 0.84f}, {-0.66f, 0.86f}, {-0.82f, 0.62f}};
    for (int i = 0; i < 7; i++)
        area[n++] = w_face_at(f, upper[i].x, upper[i].y + (p->nose_length - 0.64f), 0);
    w_path_curve(&cheeks, area, n, true);
    w_ink ink = w_soft(w_mix_rgb(p->brow, p->shade, 0.25f), strength, 0.07f * u);
    if (strength > 0)
        w_fill(c, &cheeks, &ink);
    float y = p->mouth_row - p->lips * 1.5f;
    const w_vec moustache[5] = {w_face_jaw_at(f, -p->mouth_width * 1.12f, p->mouth_row + 0.05f, 0.03f),
                                w_face_at(f, -0.2f, y, 0.05f), w_face_at(f, 0, y - 0.03f, 0.06f),
                                w_face_at(f, 0.2f, y, 0.05f),
                                w_face_jaw_at(f, p->mouth_width * 1.12f, p->mouth_row + 0.05f, 0.03f)};
    w_path_stroke(&lip, moustache, 5, 0.04f * u, 0.17f * u, 0.04f * u);
    w_ink over = w_soft(p->brow, p->beard == W_BEARD_STUBBLE ? 0.28f : 0.85f, 0.03f * u);
    w_fill(c, &lip, &over);
    w_clip_off(c);
}
