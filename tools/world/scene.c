/* What is behind the person. */
#include "world/draw.h"

static void fill_box(w_canvas *c, float x0, float y0, float x1, float y1, const w_ink *ink) {
    w_path path = {.count = 4, .at = {{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}};
    w_fill(c, &path, ink);
}

static void draw_lights(w_canvas *c, const w_person *p, float w, float h) {
    w_dice d = {p->seed, W_STREAM_PERSON, 1, 0};
    for (int i = 0; i < 16; i++) {
        w_path disc = {0};
        float x = w_roll(&d, 0, w), y = w_roll(&d, 0, h * 0.8f), r = w_roll(&d, 0.03f, 0.08f) * w;
        float green = w_roll(&d, 0.7f, 0.95f), blue = w_roll(&d, 0.4f, 0.9f);
        w_rgb warm = {1, green, blue};
        w_ink ink = w_soft(w_mix_rgb(p->wall, warm, 0.7f), w_roll(&d, 0.10f, 0.38f), r * 0.12f);
        w_path_ellipse(&disc, w_v(x, y), w_v(r, 0), w_v(0, r));
        w_fill(c, &disc, &ink);
    }
}

static void draw_room(w_canvas *c, const w_person *p, float w, float h) {
    w_dice d = {p->seed, W_STREAM_PERSON, 2, 0};
    float blur = 0.012f * w, left = w_chance(&d, 0.5f) ? 0.03f : 0.68f, top = w_roll(&d, 0.08f, 0.16f);
    w_ink frame = w_soft(w_tint(p->wall, 0.45f, 0.42f, 0.4f), 0.9f, blur);
    w_ink inside = w_soft(w_mix_rgb(p->accent, p->wall, 0.55f), 0.95f, blur);
    fill_box(c, left * w, top * h, (left + 0.27f) * w, (top + 0.30f) * h, &frame);
    fill_box(c, (left + 0.02f) * w, (top + 0.02f) * h, (left + 0.25f) * w, (top + 0.28f) * h, &inside);
    float shelf = left < 0.5f ? 0.66f : 0.02f, row = w_roll(&d, 0.40f, 0.5f);
    float x = shelf + 0.015f;
    while (x < shelf + 0.29f) {
        float thick = w_roll(&d, 0.018f, 0.04f), tall = w_roll(&d, 0.12f, 0.19f);
        float red = w_roll(&d, 0.2f, 0.8f), green = w_roll(&d, 0.2f, 0.65f), blue = w_roll(&d, 0.2f, 0.6f);
        w_rgb back = {red, green, blue};
        w_ink book = w_soft(w_mix_rgb(back, p->wall, 0.35f), 0.9f, blur * 0.7f);
        fill_box(c, x * w, (row - tall) * h, (x + thick) * w, row * h, &book);
        x += thick + 0.004f;
    }
    w_ink board = w_soft(w_tint(p->wall, 0.55f, 0.48f, 0.42f), 0.95f, blur * 0.7f);
    fill_box(c, shelf * w, row * h, (shelf + 0.32f) * w, (row + 0.022f) * h, &board);
}

void w_draw_scene(w_canvas *c, const w_person *p) {
    float w = (float)c->width, h = (float)c->height;
    w_rgb light = w_mix_rgb(p->wall, (w_rgb){1, 0.98f, 0.94f}, 0.25f);
    w_rgb dark = w_tint(p->wall, 0.52f, 0.52f, 0.56f);
    w_vec lit = {w * (0.5f + 0.5f * p->light), 0}, far_corner = {w * (0.5f - 0.5f * p->light), h};
    w_ink wall = p->scene == W_SCENE_LIGHTS ? w_gradient(w_tint(dark, 1.1f, 1.1f, 1.15f), lit,
                                                         w_tint(dark, 0.5f, 0.5f, 0.57f), far_corner)
                                            : w_gradient(light, lit, dark, far_corner);
    c->clipped = false;
    fill_box(c, -1, -1, w + 1, h + 1, &wall);
    if (p->scene == W_SCENE_LIGHTS)
        draw_lights(c, p, w, h);
    else if (p->scene == W_SCENE_ROOM)
        draw_room(c, p, w, h);
    else
        w_glow(c, w_v(w * 0.5f, h * 0.42f), w_v(w * 0.6f, 0), w_v(0, h * 0.6f), light, 0.55f);
}
