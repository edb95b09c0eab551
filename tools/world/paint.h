/*
 * A small painter: closed paths filled with exact area coverage, strokes that taper, soft-edged shapes and
 * glows, all through one optional clip. Colours are gamma-coded floats; what is outside the canvas costs
 * nothing.
 */
#ifndef WORLD_PAINT_H
#define WORLD_PAINT_H

#include <stdbool.h>

#include "base/mem.h"
#include "world/wmath.h"

#define W_PATH_POINTS 1024

typedef struct w_path {
    int count; /* points beyond W_PATH_POINTS are left out */
    w_vec at[W_PATH_POINTS];
} w_path;

typedef struct w_box {
    int x0, y0, x1, y1; /* half open */
} w_box;

typedef struct w_canvas {
    int width, height;
    w_rgb *pixels;       /* [height][width] */
    float *cover, *clip; /* [height][width + 2] */
    float *line;         /* a row or column on its way through a blur */
    bool clipped;
    w_box clip_box;
} w_canvas;

ms_status w_canvas_init(w_canvas *canvas, ms_mem *mem, int width, int height, ms_error *err);
void w_canvas_free(w_canvas *canvas);

/* ---- paths */

static inline void w_path_add(w_path *path, w_vec at) {
    if (path->count < W_PATH_POINTS)
        path->at[path->count++] = at;
}

/* A smooth curve (Catmull-Rom) through points; closed joins the last to the first. An open curve is appended
   to what the path holds. */
void w_path_curve(w_path *path, const w_vec *points, int count, bool closed);

/* The ellipse with these half axes. */
void w_path_ellipse(w_path *path, w_vec centre, w_vec axis_a, w_vec axis_b);

/* The outline of a line through points, its width going from width_a over width_mid to width_b. */
void w_path_stroke(w_path *path, const w_vec *points, int count, float width_a, float width_mid,
                   float width_b);

/* ---- painting */

typedef struct w_ink {
    w_rgb from, to; /* a linear gradient between two places; plain when they are the same place */
    w_vec from_at, to_at;
    float alpha;
    float blur; /* pixels over which the edge is softened */
} w_ink;

static inline w_ink w_plain(w_rgb colour, float alpha) {
    return (w_ink){.from = colour, .to = colour, .alpha = alpha};
}

static inline w_ink w_soft(w_rgb colour, float alpha, float blur) {
    return (w_ink){.from = colour, .to = colour, .alpha = alpha, .blur = blur};
}

static inline w_ink w_gradient(w_rgb from, w_vec from_at, w_rgb to, w_vec to_at) {
    return (w_ink){.from = from, .to = to, .from_at = from_at, .to_at = to_at, .alpha = 1};
}

void w_fill(w_canvas *canvas, const w_path *path, const w_ink *ink);

/* A spot that fades towards the ellipse with these half axes. */
void w_glow(w_canvas *canvas, w_vec centre, w_vec axis_a, w_vec axis_b, w_rgb colour, float alpha);

/* What is painted from now on stays inside the path, until w_clip_off(). */
void w_clip_to(w_canvas *canvas, const w_path *path);
void w_clip_off(w_canvas *canvas);

#endif
