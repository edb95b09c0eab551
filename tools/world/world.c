#include "world/world.h"

#include <string.h>

#include "base/error.h"
#include "world/draw.h"

ms_status world_create(ms_mem *mem, uint64_t seed, int width, int height, world **ret_world, ms_error *err) {
    if (width < WORLD_MIN_PX || height < WORLD_MIN_PX || width > WORLD_MAX_PX || height > WORLD_MAX_PX)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a picture of %dx%d; each side must be %d to %d", width,
                       height, WORLD_MIN_PX, WORLD_MAX_PX);
    ms_status status;
    world *w = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, mem, sizeof(*w), "a world");
    w->mem = mem;
    w_person_init(&w->person, seed);
    MS_GOTO(w_canvas_init(&w->scene, mem, width, height, err));
    MS_GOTO(w_canvas_init(&w->canvas, mem, width, height, err));
    w_draw_scene(&w->scene, &w->person);
    *ret_world = w;
    return MS_OK;
fail:
    world_destroy(&w);
    return status;
}

void world_destroy(world **w) {
    if (!*w)
        return;
    w_canvas_free(&(*w)->scene);
    w_canvas_free(&(*w)->canvas);
    ms_mem_free(*w);
    *w = NULL;
}

/* Rounds to bytes with the camera's noise: triangular, a frame's pixels by their number. */
static void develop(const world *w, int64_t frame, uint8_t *rgb) {
    size_t pixels = (size_t)w->canvas.width * (size_t)w->canvas.height;
    float grain = w->person.grain * 255, r[4] = {0};
    for (size_t i = 0; i < pixels; i++) {
        if (i % 2 == 0)
            w_random4(w->person.seed, W_STREAM_GRAIN, (uint32_t)frame, (uint32_t)(i / 2), r);
        float noise = (i % 2 ? r[2] + r[3] : r[0] + r[1]) * grain - grain;
        const w_rgb *p = &w->canvas.pixels[i];
        rgb[3 * i] = (uint8_t)(w_clamp(p->r * 255 + noise, 0, 255) + 0.5f);
        rgb[3 * i + 1] = (uint8_t)(w_clamp(p->g * 255 + noise, 0, 255) + 0.5f);
        rgb[3 * i + 2] = (uint8_t)(w_clamp(p->b * 255 + noise, 0, 255) + 0.5f);
    }
}

void world_draw(world *w, const w_moment *moment, int64_t frame, uint8_t *rgb, w_face *ret_face) {
    w_canvas *c = &w->canvas;
    w_face face;
    w_face_pose(&face, &w->person, moment, c->width, c->height);
    memcpy(c->pixels, w->scene.pixels, (size_t)c->width * (size_t)c->height * sizeof(*c->pixels));
    w_draw_hair_behind(c, &face);
    w_draw_body(c, &face);
    w_draw_head(c, &face);
    w_draw_beard(c, &face);
    w_draw_mouth(c, &face);
    w_draw_nose(c, &face);
    w_draw_eyes(c, &face);
    w_draw_brows(c, &face);
    w_draw_hair(c, &face);
    w_draw_glasses(c, &face);
    develop(w, frame, rgb);
    if (ret_face)
        *ret_face = face;
}
