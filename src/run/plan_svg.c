#include "run/plan_svg.h"

#include <string.h>

#include "base/error.h"
#include "text/json.h"
#include "text/size.h"

#define WIDTH 1200.0
#define HEIGHT 680.0
#define LEFT 90.0
#define TOP 96.0
#define FOOT 92.0
#define PHASE_GAP 8.0
#define SMALLEST_BOX 0.4 /* pixels: thinner ones are not drawn */
#define KEPT_SHARE 0.1   /* of a network's operations: what lives longer is kept for later layers */

/* What a box in the arena is, by the operation that made it. */
typedef enum box_kind {
    BOX_KEPT,
    BOX_CONV,
    BOX_LINEAR,
    BOX_ATTENTION,
    BOX_OTHER,
    BOX_WORKSPACE,
    BOX_KINDS
} box_kind;

static const struct {
    const char *colour, *name;
} kinds[BOX_KINDS] = {
    [BOX_KEPT] = {"#7d57c1", "kept for later layers"},
    [BOX_CONV] = {"#3b7dd8", "made by a convolution"},
    [BOX_LINEAR] = {"#2a9d6f", "by a linear layer"},
    [BOX_ATTENTION] = {"#e08a1e", "by attention"},
    [BOX_OTHER] = {"#8a94a3", "input, norm or sum"},
    [BOX_WORKSPACE] = {"#d1495b", "workspace of one operation"},
};

typedef struct drawing {
    ms_buf *out;
    double bytes_to_px, bottom;
} drawing;

static double y_of(const drawing *d, double bytes) {
    return d->bottom - bytes * d->bytes_to_px;
}

static void band(const drawing *d, double *bytes, size_t add, const char *colour, const char *label) {
    double height = (double)add * d->bytes_to_px;
    char size[MS_SIZE_TEXT_BYTES];
    if (add == 0)
        return;
    ms_buf_printf(d->out, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'/>\n", LEFT,
                  y_of(d, *bytes + (double)add), WIDTH, height, colour);
    if (height >= 12)
        ms_buf_printf(d->out, "<text x='%.1f' y='%.1f'>%s: %s</text>\n", LEFT + 6,
                      y_of(d, *bytes + (double)add / 2) + 4, label, ms_size_format(size, add));
    *bytes += (double)add;
}

/* A life as the planner sees it: a tensor that goes in or out of a sliced segment is there for all of it. */
static void life_of(const ms_graph *g, const ms_value_info *v, int *ret_first, int *ret_last) {
    const ms_segment *begin = ms_graph_get_segment(g, ms_graph_node(g, v->first)->segment);
    const ms_segment *end = ms_graph_get_segment(g, ms_graph_node(g, v->last)->segment);
    *ret_first = !v->local && !v->input && begin->axis != MS_AXIS_NONE ? begin->first : v->first;
    *ret_last = !v->local && end->axis != MS_AXIS_NONE ? end->last : v->last;
}

static box_kind kind_of(const ms_graph *g, const ms_value_info *v, int first, int last) {
    if (last - first > KEPT_SHARE * ms_graph_node_count(g))
        return BOX_KEPT;
    if (v->input)
        return BOX_OTHER;
    const char *op = ms_graph_node(g, v->first)->op->name;
    if (strcmp(op, "conv") == 0)
        return BOX_CONV;
    if (strcmp(op, "linear") == 0)
        return BOX_LINEAR;
    return strstr(op, "attention") ? BOX_ATTENTION : BOX_OTHER;
}

static void box(const drawing *d, double x, double width, double base, size_t offset, size_t bytes,
                box_kind kind, const char *title) {
    double height = (double)bytes * d->bytes_to_px;
    char size[MS_SIZE_TEXT_BYTES];
    if (height < SMALLEST_BOX)
        return;
    /* An outline tells neighbours apart where there is room for one. */
    const char *outline = height > 3 && width > 3 ? " stroke='white' stroke-width='.5'" : "";
    ms_buf_printf(d->out, "<rect x='%.1f' y='%.2f' width='%.2f' height='%.2f' fill='%s'%s>", x,
                  y_of(d, base + (double)offset + (double)bytes), width, height, kinds[kind].colour, outline);
    ms_buf_printf(d->out, "<title>%s: %s</title></rect>\n", title, ms_size_format(size, bytes));
}

static void draw_phase(const drawing *d, const ms_engine_phase *phase, double x, double width, double base) {
    const ms_graph *g = phase->network->graph;
    const ms_plan *plan = phase->network->plan;
    double step = width / ms_graph_node_count(g);
    for (int v = 0; v < ms_graph_value_count(g); v++) {
        int first, last;
        const ms_value_info *info = ms_graph_value(g, v);
        life_of(g, info, &first, &last);
        const char *title = info->input ? "input" : ms_graph_node(g, info->first)->name;
        box(d, x + first * step, (last + 1 - first) * step, base, plan->value_offset[v], plan->value_bytes[v],
            kind_of(g, info, first, last), title ? title : "tensor");
    }
    for (int n = 0; n < ms_graph_node_count(g); n++)
        if (plan->workspace_bytes[n])
            box(d, x + n * step, step, base, plan->workspace_offset[n], plan->workspace_bytes[n],
                BOX_WORKSPACE, "workspace");
}

/* Below the axis: name, arena, and for what it stands. */
static void name_phase(const drawing *d, const ms_plan_report *r, int i, double x, double width) {
    static const struct {
        const char *name, *what;
    } known[] = {{"audio", "speech features"},
                 {"encode", "faces to latents"},
                 {"denoise", "one step of the UNet"},
                 {"denoise, cached", "a cached step"},
                 {"decode", "latents to faces"}};
    double middle = x + width / 2;
    char size[MS_SIZE_TEXT_BYTES];
    const char *what = "";
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
        if (strcmp(known[k].name, r->phase[i].name) == 0)
            what = known[k].what;
    ms_buf_printf(d->out,
                  "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#444'/>\n<text x='%.1f' y='%.1f' "
                  "text-anchor='middle' font-weight='bold' font-size='13'>%s</text>\n",
                  x, d->bottom + 4, x + width, d->bottom + 4, middle, d->bottom + 22, r->phase[i].name);
    ms_buf_printf(d->out,
                  "<text x='%.1f' y='%.1f' text-anchor='middle'>%s</text>\n<text x='%.1f' y='%.1f' "
                  "text-anchor='middle'>%s</text>\n",
                  middle, d->bottom + 38, what, middle, d->bottom + 54,
                  ms_size_format(size, r->phase[i].arena_bytes));
}

/* Widths follow the number of operations, but every phase can be seen. */
static void draw_arena(const drawing *d, const ms_plan_report *r, const ms_engine *e,
                       const ms_engine_program *program, double base) {
    ms_engine_phase phases[MS_ENGINE_PHASES];
    int n = ms_engine_get_phases(e, program, phases);
    double sum = 0, x = LEFT, room = WIDTH - PHASE_GAP * (n - 1);
    for (int i = 0; i < n; i++)
        sum += 150 + r->phase[i].operations;
    for (int i = 0; i < n; i++) {
        double width = room * (150 + r->phase[i].operations) / sum;
        draw_phase(d, &phases[i], x, width, base);
        name_phase(d, r, i, x, width);
        x += width + PHASE_GAP;
    }
}

/* The label stands above the line, at its left or right end. */
static void line(const drawing *d, size_t bytes, const char *colour, bool left, const char *label) {
    double y = y_of(d, (double)bytes);
    char size[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(d->out,
                  "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='1.5' "
                  "stroke-dasharray='6 4'/>\n<text x='%.1f' y='%.1f' text-anchor='%s'>%s %s</text>\n",
                  LEFT, y, LEFT + WIDTH, y, colour, left ? LEFT + 4 : LEFT + WIDTH - 4, y - 4,
                  left ? "start" : "end", label, ms_size_format(size, bytes));
}

static void legend(const drawing *d) {
    double x = LEFT;
    ms_buf_printf(d->out, "<text x='%.1f' y='68' font-weight='bold'>In the arena:</text>\n", x);
    x += 96;
    for (int i = 0; i < BOX_KINDS; i++) {
        ms_buf_printf(
            d->out,
            "<rect x='%.1f' y='58' width='12' height='12' fill='%s'/>\n<text x='%.1f' y='68'>%s</text>\n", x,
            kinds[i].colour, x + 17, kinds[i].name);
        x += 40 + 6.6 * (double)strlen(kinds[i].name);
    }
}

static void headings(const drawing *d, const ms_plan_report *r) {
    ms_buf_printf(
        d->out,
        "<text x='%.1f' y='26' font-size='18' font-weight='bold'>%s memory of a run: rung %s, %d px, "
        "%s weights</text>\n",
        LEFT, r->host_bytes ? "Device" : "The", ms_rung_name(r->rung), r->resolution, r->precision);
    ms_buf_printf(d->out,
                  "<text x='%.1f' y='46'>Bottom up: what stays for the whole run, then the arena, which the "
                  "networks take in turn. From left to right: their operations in the order in which they "
                  "run.</text>\n",
                  LEFT);
    ms_buf_printf(
        d->out,
        "<text x='%.1f' y='%.1f' fill='#555'>Each box is a tensor: as wide as it lives, as high as it is "
        "large. Point at one to see its layer.</text>\n",
        LEFT, d->bottom + 80);
    legend(d);
}

static void scale(const drawing *d, double top_bytes) {
    double unit = 0x1p20;
    char size[MS_SIZE_TEXT_BYTES];
    while (top_bytes / unit > 12)
        unit *= 2;
    for (double b = 0; b <= top_bytes; b += unit)
        ms_buf_printf(d->out,
                      "<text x='%.1f' y='%.1f' text-anchor='end'>%s</text>\n<line x1='%.1f' y1='%.1f' "
                      "x2='%.1f' y2='%.1f' stroke='#444'/>\n",
                      LEFT - 8, y_of(d, b) + 4, b > 0 ? ms_size_format(size, (uint64_t)b) : "0", LEFT - 5,
                      y_of(d, b), LEFT, y_of(d, b));
}

ms_status ms_plan_draw(const ms_plan_report *r, const ms_engine *engine, const ms_engine_program *program,
                       char **ret_svg, ms_error *err) {
    ms_buf out;
    ms_buf_init(&out, NULL);
    bool show_budget = (double)r->budget_bytes < 1.6 * (double)r->peak_bytes;
    double top =
        (double)(show_budget && r->budget_bytes > r->peak_bytes ? r->budget_bytes : r->peak_bytes) * 1.04;
    drawing d = {.out = &out, .bottom = TOP + HEIGHT, .bytes_to_px = HEIGHT / top};
    double base = 0;
    char size[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(&out,
                  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' font-family='sans-serif' "
                  "font-size='12'>\n<rect width='100%%' height='100%%' fill='white'/>\n",
                  LEFT + WIDTH + 20, TOP + HEIGHT + FOOT);
    headings(&d, r);
    if (!r->host_bytes) {
        band(&d, &base, r->process_bytes, "#d9d9d9", "the program and its libraries");
        band(&d, &base, r->codec_bytes, "#c9d7e8", "video decoder and encoder (upper bound)");
        band(&d, &base, r->frame_bytes, "#d5e8c9", "pictures on their way (upper bound)");
        band(&d, &base, r->face_bytes, "#e3d1e8", "networks that find faces");
        band(&d, &base, r->cache_bytes, "#d1e3e8", "cache of latents");
        band(&d, &base, r->buffer_bytes, "#e8dcc9", "buffers and plans");
    }
    band(&d, &base, r->device_own_bytes, "#cfd8dc", "the device itself");
    band(&d, &base, r->resident_bytes, "#f0e3a8", "weights that stay");
    band(&d, &base, r->stream_bytes, "#f0c9a8", "weights passing through");
    band(&d, &base, r->latent_bytes, "#d1e8dd", "latents and DeepCache's tensor");
    band(&d, &base, r->launch_bytes, "#d8d8e8", "captured launches");
    ms_buf_printf(&out, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='#f3f3f8'/>\n", LEFT,
                  y_of(&d, base + (double)r->arena_bytes), WIDTH, (double)r->arena_bytes * d.bytes_to_px);
    draw_arena(&d, r, engine, program, base);
    ms_buf_printf(&out, "<text x='%.1f' y='%.1f'>arena: %s</text>\n", LEFT + 6,
                  y_of(&d, base + (double)r->arena_bytes) + 16, ms_size_format(size, r->arena_bytes));
    line(&d, r->peak_bytes, "#444", true, "peak");
    if (show_budget)
        line(&d, r->budget_bytes, "#c00", false, "budget");
    else
        ms_buf_printf(&out, "<text x='%.1f' y='%.1f' text-anchor='end'>the budget, %s, is far above</text>\n",
                      LEFT + WIDTH - 4, TOP + 14, ms_size_format(size, r->budget_bytes));
    scale(&d, top);
    ms_buf_printf(&out, "</svg>\n");
    if (out.failed) {
        ms_buf_free(&out);
        return ms_fail_alloc(err, NULL, out.length, "the drawing");
    }
    *ret_svg = out.data;
    return MS_OK;
}
