/* Neck, shoulders and clothes: they follow the head a little and do not turn with it. */
#include "world/draw.h"

static w_vec body_at(const w_face *f, float x, float y) {
    return w_v(f->rest.x + f->unit * (x + f->now.x * 0.35f), f->rest.y + f->unit * (y + f->now.y * 0.25f));
}

static void draw_neck(w_canvas *c, const w_face *f, float wide) {
    const w_person *p = f->person;
    float lit = p->light > 0 ? 1.0f : -1.0f;
    const w_vec points[] = {body_at(f, -wide, 0.9f),          body_at(f, -wide * 0.98f, 1.6f),
                            body_at(f, -wide * 1.25f, 2.05f), body_at(f, -1.3f, 2.45f),
                            body_at(f, 1.3f, 2.45f),          body_at(f, wide * 1.25f, 2.05f),
                            body_at(f, wide * 0.98f, 1.6f),   body_at(f, wide, 0.9f)};
    w_path neck = {0};
    w_path_curve(&neck, points, 8, true);
    w_ink skin = w_gradient(w_mix_rgb(p->skin, p->shade, 0.15f), body_at(f, lit * wide, 1.6f),
                            w_mix_rgb(p->skin, p->shade, 0.75f), body_at(f, -lit * wide, 1.7f));
    w_fill(c, &neck, &skin);
    w_clip_to(c, &neck);
    /* What the jaw keeps from the light, and the throat. */
    w_path shadow = {0};
    for (int i = 4; i < W_CONTOUR_POINTS - 4; i++)
        w_path_add(&shadow, w_add(f->contour[i], w_v(-lit * 0.05f * f->unit, 0.17f * f->unit)));
    w_ink dark = w_soft(w_tint(p->shade, 0.72f, 0.66f, 0.66f), 0.8f, 0.10f * f->unit);
    w_fill(c, &shadow, &dark);
    w_glow(c, body_at(f, 0, 1.98f), w_v(f->unit * 0.3f, 0), w_v(0, f->unit * 0.35f), p->shine, 0.15f);
    for (int s = -1; s <= 1; s += 2) {
        const w_vec cord[3] = {body_at(f, (float)s * wide * 0.8f, 1.5f),
                               body_at(f, (float)s * wide * 0.55f, 1.85f),
                               body_at(f, (float)s * 0.12f, 2.25f)};
        w_path line = {0};
        w_path_stroke(&line, cord, 3, 0, 0.08f * f->unit, 0.03f * f->unit);
        w_ink ink = w_soft(p->shade, 0.4f, 0.05f * f->unit);
        w_fill(c, &line, &ink);
    }
    w_clip_off(c);
}

static void draw_folds(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    w_dice d = {p->seed, W_STREAM_PERSON, 3, 0};
    for (int i = 0; i < 6; i++) {
        float side = i & 1 ? 1.0f : -1.0f, x = side * w_roll(&d, 0.6f, 1.8f), y = w_roll(&d, 2.5f, 3.0f);
        float lean = w_roll(&d, 0, 0.2f), end = w_roll(&d, 0.1f, 0.5f);
        const w_vec line[3] = {body_at(f, x, y), body_at(f, x - side * lean, y + 0.35f),
                               body_at(f, x - side * end, y + 0.8f)};
        w_path fold = {0};
        w_path_stroke(&fold, line, 3, 0, 0.14f * f->unit, 0);
        w_ink ink = w_soft(w_tint(p->cloth, 0.6f, 0.6f, 0.62f), 0.3f, 0.12f * f->unit);
        w_fill(c, &fold, &ink);
    }
}

static void draw_collar(w_canvas *c, const w_face *f, float wide, float dip) {
    const w_person *p = f->person;
    const w_vec edge[] = {body_at(f, -wide * 1.22f, 1.86f), body_at(f, -wide * 0.85f, 1.86f + 0.6f * dip),
                          body_at(f, 0, 1.90f + dip), body_at(f, wide * 0.85f, 1.86f + 0.6f * dip),
                          body_at(f, wide * 1.22f, 1.86f)};
    w_path band = {0}, shadow = {0};
    w_path_stroke(&shadow, edge, 5, 0.05f * f->unit, 0.10f * f->unit, 0.05f * f->unit);
    w_ink dark = w_soft(w_tint(p->shade, 0.6f, 0.55f, 0.55f), 0.55f, 0.05f * f->unit);
    w_fill(c, &shadow, &dark);
    w_path_stroke(&band, edge, 5, 0.09f * f->unit, 0.09f * f->unit, 0.09f * f->unit);
    w_ink ink = w_plain(w_tint(p->cloth, 0.82f, 0.82f, 0.84f), 1);
    w_fill(c, &band, &ink);
    if (p->collar != 2)
        return;
    for (int s = -1; s <= 1; s += 2) { /* the two wings of a shirt */
        float side = (float)s;
        w_path wing = {.count = 4,
                       .at = {body_at(f, side * wide * 1.2f, 1.78f), body_at(f, side * 0.04f, 1.93f + dip),
                              body_at(f, side * 0.36f, 2.28f + dip), body_at(f, side * wide * 1.5f, 2.02f)}};
        w_ink cloth = w_gradient(w_mix_rgb(p->cloth, (w_rgb){1, 1, 1}, 0.18f), wing.at[0],
                                 w_tint(p->cloth, 0.85f, 0.85f, 0.87f), wing.at[2]);
        w_ink under = w_soft(w_tint(p->cloth, 0.4f, 0.4f, 0.42f), 0.5f, 0.05f * f->unit);
        w_fill(c, &wing, &under);
        w_fill(c, &wing, &cloth);
    }
}

void w_draw_body(w_canvas *c, const w_face *f) {
    const w_person *p = f->person;
    float wide = p->jaw * 0.74f, dip = p->collar == 1 ? 0.42f : 0.22f, lit = p->light > 0 ? 1.0f : -1.0f;
    draw_neck(c, f, wide);
    const w_vec points[] = {body_at(f, -wide * 1.2f, 1.87f),
                            body_at(f, -1.35f, 2.12f),
                            body_at(f, -2.05f, 2.45f),
                            body_at(f, -2.45f, 3.2f),
                            body_at(f, -2.5f, 5.5f),
                            body_at(f, 2.5f, 5.5f),
                            body_at(f, 2.45f, 3.2f),
                            body_at(f, 2.05f, 2.45f),
                            body_at(f, 1.35f, 2.12f),
                            body_at(f, wide * 1.2f, 1.87f),
                            body_at(f, wide * 0.8f, 1.88f + 0.6f * dip),
                            body_at(f, 0, 1.92f + dip),
                            body_at(f, -wide * 0.8f, 1.88f + 0.6f * dip)};
    w_path cloth = {0};
    w_path_curve(&cloth, points, 13, true);
    w_ink ink = w_gradient(w_mix_rgb(p->cloth, (w_rgb){1, 1, 1}, 0.12f), body_at(f, lit * 1.6f, 2),
                           w_tint(p->cloth, 0.6f, 0.6f, 0.64f), body_at(f, -lit * 1.8f, 3.6f));
    w_fill(c, &cloth, &ink);
    w_clip_to(c, &cloth);
    draw_folds(c, f);
    w_clip_off(c);
    draw_collar(c, f, wide, dip);
}
