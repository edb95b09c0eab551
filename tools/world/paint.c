#include "world/paint.h"

#include <string.h>

#include "base/error.h"

#define CURVE_STEPS 8

ms_status w_canvas_init(w_canvas *c, ms_mem *mem, int width, int height, ms_error *err) {
    size_t pixels = (size_t)width * (size_t)height, cells = (size_t)(width + 2) * (size_t)height;
    size_t longest = (size_t)(width > height ? width : height) + 2;
    *c = (w_canvas){.width = width, .height = height};
    /* paint is mixed with what is there */
    c->pixels = ms_mem_calloc(mem, MS_LEDGER_FRAMES, pixels, sizeof(*c->pixels));
    c->cover = ms_mem_calloc(mem, MS_LEDGER_FRAMES, cells, sizeof(float));
    c->clip = ms_mem_calloc(mem, MS_LEDGER_FRAMES, cells, sizeof(float));
    c->line = ms_mem_calloc(mem, MS_LEDGER_FRAMES, longest, sizeof(float));
    if (c->pixels && c->cover && c->clip && c->line)
        return MS_OK;
    w_canvas_free(c);
    return ms_fail_alloc(err, mem, pixels * sizeof(*c->pixels) + 2 * cells * sizeof(float), "a canvas");
}

void w_canvas_free(w_canvas *c) {
    ms_mem_free(c->pixels);
    ms_mem_free(c->cover);
    ms_mem_free(c->clip);
    ms_mem_free(c->line);
    *c = (w_canvas){0};
}

/* ---- paths */

static w_vec spline(w_vec a, w_vec b, w_vec c, w_vec d, float t) {
    w_vec r;
    float t2 = t * t, t3 = t2 * t;
    float wa = -t3 + 2 * t2 - t, wb = 3 * t3 - 5 * t2 + 2, wc = -3 * t3 + 4 * t2 + t, wd = t3 - t2;
    r.x = 0.5f * (wa * a.x + wb * b.x + wc * c.x + wd * d.x);
    r.y = 0.5f * (wa * a.y + wb * b.y + wc * c.y + wd * d.y);
    return r;
}

void w_path_curve(w_path *path, const w_vec *p, int count, bool closed) {
    int spans = closed ? count : count - 1;
    for (int i = 0; i < spans; i++) {
        w_vec a = p[i > 0 ? i - 1 : closed ? count - 1 : 0], b = p[i], c = p[(i + 1) % count];
        w_vec d = p[i + 2 < count ? i + 2 : closed ? (i + 2) % count : count - 1];
        for (int s = 0; s < CURVE_STEPS; s++)
            w_path_add(path, spline(a, b, c, d, (float)s / CURVE_STEPS));
    }
    if (!closed)
        w_path_add(path, p[count - 1]);
}

void w_path_ellipse(w_path *path, w_vec centre, w_vec a, w_vec b) {
    for (int i = 0; i < 48; i++) {
        float c = w_cos_turns((float)i / 48), s = w_sin_turns((float)i / 48);
        w_path_add(path, w_v(centre.x + c * a.x + s * b.x, centre.y + c * a.y + s * b.y));
    }
}

void w_path_stroke(w_path *path, const w_vec *points, int count, float width_a, float width_mid,
                   float width_b) {
    w_path middle = {0};
    w_path_curve(&middle, points, count, false);
    int n = middle.count;
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < n; k++) {
            int i = side ? n - 1 - k : k;
            w_vec along = w_sub(middle.at[i + 1 < n ? i + 1 : n - 1], middle.at[i > 0 ? i - 1 : 0]);
            float t = n > 1 ? (float)i / (float)(n - 1) : 0, length = w_length(along);
            float width = t < 0.5f ? w_mix(width_a, width_mid, w_smooth(0, 0.5f, t))
                                   : w_mix(width_mid, width_b, w_smooth(0.5f, 1, t));
            float s = length > 0 ? (side ? -0.5f : 0.5f) * width / length : 0;
            w_path_add(path, w_v(middle.at[i].x + along.y * s, middle.at[i].y - along.x * s));
        }
}

/* ---- coverage */

static size_t cell_of(const w_canvas *c, int x, int y) {
    return (size_t)y * (size_t)(c->width + 2) + (size_t)x;
}

static w_box box_around(const w_canvas *c, float x0, float y0, float x1, float y1) {
    w_box b;
    float w = (float)c->width, h = (float)c->height;
    b.x0 = (int)floorf(w_clamp(x0, 0, w));
    b.y0 = (int)floorf(w_clamp(y0, 0, h));
    b.x1 = (int)ceilf(w_clamp(x1, 0, w));
    b.y1 = (int)ceilf(w_clamp(y1, 0, h));
    return b;
}

static w_box box_of_path(const w_canvas *c, const w_path *path, float margin) {
    w_vec low = path->at[0], high = path->at[0];
    for (int i = 1; i < path->count; i++) {
        low = w_v(fminf(low.x, path->at[i].x), fminf(low.y, path->at[i].y));
        high = w_v(fmaxf(high.x, path->at[i].x), fmaxf(high.y, path->at[i].y));
    }
    return box_around(c, low.x - margin, low.y - margin, high.x + margin, high.y + margin);
}

static w_box box_within(w_box a, w_box b) {
    return (w_box){a.x0 > b.x0 ? a.x0 : b.x0, a.y0 > b.y0 ? a.y0 : b.y0, a.x1 < b.x1 ? a.x1 : b.x1,
                   a.y1 < b.y1 ? a.y1 : b.y1};
}

/* Part of an edge that lies in one row, from xa to xb, going down by `down` (signed) of the row's height:
   each cell gets what changes there in the covered area, so that a running sum along the row is the area. */
static void add_span(float *row, float xa, float xb, float down) {
    if (xa > xb) {
        float t = xa;
        xa = xb;
        xb = t;
    }
    float width = xb - xa;
    for (int x = (int)xa;; x++) {
        float from = fmaxf(xa, (float)x), to = fminf(xb, (float)(x + 1));
        float part = width > 0 ? down * (to - from) / width : down;
        float right_of = (from + to) * 0.5f - (float)x;
        row[x] += part * (1 - right_of);
        row[x + 1] += part * right_of;
        if (xb <= (float)(x + 1))
            break;
    }
}

static void add_edge(const w_canvas *c, float *cells, w_vec a, w_vec b) {
    float sign = 1;
    if (a.y > b.y) {
        w_vec t = a;
        a = b;
        b = t;
        sign = -1;
    }
    float top = fmaxf(a.y, 0), bottom = fminf(b.y, (float)c->height);
    if (!(top < bottom))
        return;
    float slope = (b.x - a.x) / (b.y - a.y), right = (float)c->width;
    for (int y = (int)top; (float)y < bottom; y++) {
        float from = fmaxf(top, (float)y), to = fminf(bottom, (float)(y + 1));
        float xa = w_clamp(a.x + (from - a.y) * slope, 0, right);
        float xb = w_clamp(a.x + (to - a.y) * slope, 0, right);
        add_span(cells + cell_of(c, 0, y), xa, xb, sign * (to - from));
    }
}

static void cover_path(const w_canvas *c, float *cells, const w_path *path, w_box box) {
    /* The path lies within the box: an edge writes one cell beyond the one that it ends in. */
    int beyond = box.x1 + 2 < c->width + 2 ? box.x1 + 2 : c->width + 2;
    for (int y = box.y0; y < box.y1; y++)
        memset(cells + cell_of(c, box.x0, y), 0, (size_t)(beyond - box.x0) * sizeof(float));
    for (int i = 0; i < path->count; i++)
        add_edge(c, cells, path->at[i], path->at[i + 1 < path->count ? i + 1 : 0]);
    for (int y = box.y0; y < box.y1; y++) {
        float *row = cells + cell_of(c, 0, y), sum = 0;
        for (int x = box.x0; x < box.x1; x++) {
            sum += row[x];
            float area = fabsf(sum);
            row[x] = area < 1 ? area : 1;
        }
    }
}

/* Running mean of 2 r + 1 values; beyond the ends the values are 0. */
static void blur_line(float *values, size_t step, int count, int r, float *line) {
    for (int i = 0; i < count; i++)
        line[i] = values[(size_t)i * step];
    float sum = 0, scale = 1.0f / (float)(2 * r + 1);
    for (int i = 0; i < r && i < count; i++)
        sum += line[i];
    for (int i = 0; i < count; i++) {
        sum += i + r < count ? line[i + r] : 0;
        values[(size_t)i * step] = fmaxf(sum * scale, 0);
        sum -= i - r >= 0 ? line[i - r] : 0;
    }
}

/* Two box filters in each direction. */
static void blur_cover(w_canvas *c, w_box box, float blur) {
    int r = (int)(blur * 0.5f + 0.5f), width = box.x1 - box.x0, height = box.y1 - box.y0;
    for (int pass = 0; pass < 2 && r > 0; pass++) {
        for (int y = box.y0; y < box.y1; y++)
            blur_line(c->cover + cell_of(c, box.x0, y), 1, width, r, c->line);
        for (int x = box.x0; x < box.x1; x++)
            blur_line(c->cover + cell_of(c, x, box.y0), (size_t)(c->width + 2), height, r, c->line);
    }
}

/* ---- painting */

static void blend(w_rgb *pixel, w_rgb colour, float a) {
    pixel->r += (colour.r - pixel->r) * a;
    pixel->g += (colour.g - pixel->g) * a;
    pixel->b += (colour.b - pixel->b) * a;
}

void w_fill(w_canvas *c, const w_path *path, const w_ink *ink) {
    if (path->count < 3)
        return;
    w_box box = box_of_path(c, path, 2 * ink->blur + 1);
    cover_path(c, c->cover, path, box);
    if (ink->blur > 0)
        blur_cover(c, box, ink->blur);
    if (c->clipped)
        box = box_within(box, c->clip_box);
    w_vec along = w_sub(ink->to_at, ink->from_at);
    float square = along.x * along.x + along.y * along.y, scale = square > 0 ? 1 / square : 0;
    for (int y = box.y0; y < box.y1; y++) {
        const float *cover = c->cover + cell_of(c, 0, y), *clip = c->clip + cell_of(c, 0, y);
        w_rgb *pixels = c->pixels + (size_t)y * (size_t)c->width;
        for (int x = box.x0; x < box.x1; x++) {
            float a = cover[x] * ink->alpha * (c->clipped ? clip[x] : 1);
            if (a <= 0)
                continue;
            float t =
                ((float)x + 0.5f - ink->from_at.x) * along.x + ((float)y + 0.5f - ink->from_at.y) * along.y;
            blend(&pixels[x], w_mix_rgb(ink->from, ink->to, w_clamp(t * scale, 0, 1)), a);
        }
    }
}

void w_glow(w_canvas *c, w_vec centre, w_vec a, w_vec b, w_rgb colour, float alpha) {
    float det = a.x * b.y - a.y * b.x;
    if (det == 0)
        return;
    float rx = sqrtf(a.x * a.x + b.x * b.x), ry = sqrtf(a.y * a.y + b.y * b.y);
    w_box box = box_around(c, centre.x - rx, centre.y - ry, centre.x + rx, centre.y + ry);
    if (c->clipped)
        box = box_within(box, c->clip_box);
    for (int y = box.y0; y < box.y1; y++) {
        const float *clip = c->clip + cell_of(c, 0, y);
        w_rgb *pixels = c->pixels + (size_t)y * (size_t)c->width;
        for (int x = box.x0; x < box.x1; x++) {
            float dx = (float)x + 0.5f - centre.x, dy = (float)y + 0.5f - centre.y;
            float u = (dx * b.y - dy * b.x) / det, v = (dy * a.x - dx * a.y) / det;
            float t = 1 - u * u - v * v;
            if (t > 0)
                blend(&pixels[x], colour, t * t * alpha * (c->clipped ? clip[x] : 1));
        }
    }
}

void w_clip_to(w_canvas *c, const w_path *path) {
    c->clipped = true;
    if (path->count < 3) {
        c->clip_box = (w_box){0, 0, 0, 0};
        return;
    }
    c->clip_box = box_of_path(c, path, 1);
    cover_path(c, c->clip, path, c->clip_box);
}

void w_clip_off(w_canvas *c) {
    c->clipped = false;
}
