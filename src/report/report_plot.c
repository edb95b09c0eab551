#include "report/report_plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/size.h"
#include "text/text.h"

/* Plot coordinates; the page stretches them to the room there is, so text stands
   beside the drawing, not in it. */
#define WIDTH 1000.0
#define HEIGHT 300.0
#define TABLE_ROWS 48

/* ---- text ---- */

static void escape(ms_buf *out, unsigned char c) {
    switch (c) {
    case '&':
        ms_buf_printf(out, "&amp;");
        return;
    case '<':
        ms_buf_printf(out, "&lt;");
        return;
    case '>':
        ms_buf_printf(out, "&gt;");
        return;
    case '"':
        ms_buf_printf(out, "&#34;");
        return;
    case '\'':
        ms_buf_printf(out, "&#39;");
        return;
    default:
        ms_buf_append(out, "\xef\xbf\xbd", 3); /* a control character */
    }
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c != 0x7f && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'';
}

/* U+FFFE and U+FFFF are UTF-8, but no XML. */
static bool is_noncharacter(const char *text, size_t left) {
    return left >= 3 && memcmp(text, "\xef\xbf", 2) == 0 && (unsigned char)text[2] >= 0xbe;
}

void ms_html_text(ms_buf *out, const char *text) {
    size_t left = strlen(text);
    while (left && !out->failed) {
        size_t valid = ms_utf8_valid_bytes(text, left), plain = 0;
        while (plain < valid && is_plain((unsigned char)text[plain]) &&
               !is_noncharacter(text + plain, left - plain))
            plain++;
        ms_buf_append(out, text, plain);
        text += plain;
        left -= plain;
        if (!left)
            return;
        size_t used = is_noncharacter(text, left) ? 3 : 1;
        escape(out, used == 3 || plain == valid ? 0 : (unsigned char)*text);
        text += used;
        left -= used;
    }
}

/* ---- scales ---- */

typedef struct plot {
    ms_buf *out;
    const ms_run_report *r;
    double top_bytes, end_s;
    bool shows_budget;
    bool shown[MS_LEDGER_COUNT]; /* the others hold next to nothing */
} plot;

static double x_of(const plot *p, double seconds) {
    return WIDTH * fmin(seconds / p->end_s, 1);
}

static double y_of(const plot *p, double bytes) {
    return HEIGHT * (1 - fmin(bytes / p->top_bytes, 1));
}

/* 1, 2 or 5 times a power of ten, so that at most `steps` of them make up the range. */
static double nice_step(double range, int steps) {
    double unit = pow(10, floor(log10(range / steps)));
    for (int i = 0; i < 4; i++) {
        static const double factors[] = {1, 2, 5, 10};
        if (range / (unit * factors[i]) <= steps)
            return unit * factors[i];
    }
    return unit * 10;
}

static double nice_bytes(double range, int steps) {
    double step = 1;
    while (range / step > steps)
        step *= 2;
    return step;
}

size_t ms_report_process_plan(const ms_run_report *r) {
    return r->host_budget_bytes ? r->host_planned_bytes : r->planned_bytes;
}

size_t ms_report_process_budget(const ms_run_report *r) {
    return r->host_budget_bytes ? r->host_budget_bytes : r->budget_bytes;
}

static double charged(const ms_memory_sample *sample) {
    double sum = 0;
    for (int i = 0; i < MS_LEDGER_COUNT; i++)
        sum += (double)sample->ledger_bytes[i];
    return sum;
}

static void measure(plot *p) {
    double most = fmax((double)p->r->peak_resident_bytes, (double)ms_report_process_plan(p->r));
    double ledgers[MS_LEDGER_COUNT] = {0};
    for (int i = 0; i < p->r->n_samples; i++) {
        most = fmax(most, fmax((double)p->r->sample[i].resident_bytes, charged(&p->r->sample[i])));
        for (int l = 0; l < MS_LEDGER_COUNT; l++)
            ledgers[l] = fmax(ledgers[l], (double)p->r->sample[i].ledger_bytes[l]);
    }
    const double budget = (double)ms_report_process_budget(p->r);
    p->shows_budget = budget > 0 && budget < 1.7 * most;
    if (p->shows_budget)
        most = fmax(most, budget);
    p->top_bytes = fmax(most, 1) * 1.06;
    p->end_s = fmax(p->r->sample[p->r->n_samples - 1].seconds, 1e-3);
    for (int l = 0; l < MS_LEDGER_COUNT; l++)
        p->shown[l] = ledgers[l] > 0.002 * p->top_bytes;
}

/* ---- drawing ---- */

static double below(const ms_memory_sample *sample, int ledger) {
    double sum = 0;
    for (int i = ledger; i < MS_LEDGER_COUNT; i++) /* the last one, the program itself, is at the bottom */
        sum += (double)sample->ledger_bytes[i];
    return sum;
}

static void area(const plot *p, int ledger) {
    const ms_memory_sample *s = p->r->sample;
    ms_buf_printf(p->out, "<path class='l%d' d='M", ledger);
    for (int i = 0; i < p->r->n_samples; i++)
        ms_buf_printf(p->out, "%s%.1f %.1f", i ? "L" : "", x_of(p, s[i].seconds),
                      y_of(p, below(&s[i], ledger)));
    for (int i = p->r->n_samples - 1; i >= 0; i--)
        ms_buf_printf(p->out, "L%.1f %.1f", x_of(p, s[i].seconds), y_of(p, below(&s[i], ledger + 1)));
    ms_buf_printf(p->out, "Z'/>\n");
}

static void resident_line(const plot *p) {
    ms_buf_printf(p->out, "<polyline class='rss' points='");
    for (int i = 0; i < p->r->n_samples; i++)
        ms_buf_printf(p->out, "%.1f,%.1f ", x_of(p, p->r->sample[i].seconds),
                      y_of(p, (double)p->r->sample[i].resident_bytes));
    ms_buf_printf(p->out, "'/>\n");
}

static void level(const plot *p, const char *kind, double bytes) {
    ms_buf_printf(p->out, "<line class='%s' x1='0' x2='%.0f' y1='%.1f' y2='%.1f'/>\n", kind, WIDTH,
                  y_of(p, bytes), y_of(p, bytes));
}

/* What a pointer shows that rests on a moment. */
static void hover(const plot *p) {
    char text[MS_SIZE_TEXT_BYTES];
    for (int i = 0; i < p->r->n_samples; i++) {
        const ms_memory_sample *s = &p->r->sample[i];
        double x = x_of(p, s->seconds);
        double next = i + 1 < p->r->n_samples ? x_of(p, s[1].seconds) : WIDTH;
        ms_buf_printf(p->out, "<rect class='hover' x='%.1f' y='0' width='%.1f' height='%.0f'><title>", x,
                      fmax(next - x, 1), HEIGHT);
        ms_buf_printf(p->out, "%.2f s: resident %s", s->seconds, ms_size_format(text, s->resident_bytes));
        for (int l = 0; l < MS_LEDGER_COUNT; l++)
            if (p->shown[l])
                ms_buf_printf(p->out, ", %s %s", ms_ledger_name((ms_ledger)l),
                              ms_size_format(text, s->ledger_bytes[l]));
        ms_buf_printf(p->out, "</title></rect>\n");
    }
}

static void drawing(const plot *p) {
    double step = nice_bytes(p->top_bytes, 5);
    ms_buf_printf(p->out,
                  "<svg viewBox='0 0 %.0f %.0f' preserveAspectRatio='none' role='img' aria-label='"
                  "Memory over time'>\n",
                  WIDTH, HEIGHT);
    for (double b = step; b < p->top_bytes; b += step)
        level(p, "grid", b);
    for (int l = MS_LEDGER_COUNT - 1; l >= 0; l--)
        if (p->shown[l])
            area(p, l);
    level(p, "plan", (double)ms_report_process_plan(p->r));
    if (p->shows_budget)
        level(p, "budget", (double)ms_report_process_budget(p->r));
    for (int i = 0; i < p->r->n_changes; i++)
        ms_buf_printf(p->out, "<line class='change' x1='%.1f' x2='%.1f' y1='0' y2='%.0f'/>\n",
                      x_of(p, p->r->change[i].seconds), x_of(p, p->r->change[i].seconds), HEIGHT);
    resident_line(p);
    hover(p);
    ms_buf_printf(p->out, "</svg>\n");
}

/* Labels stand at per cent of the drawing's sides. */
static void axes(const plot *p) {
    char text[MS_SIZE_TEXT_BYTES];
    double step = nice_bytes(p->top_bytes, 5);
    ms_buf_printf(p->out, "<div class='ylabels'>");
    for (double b = 0; b < p->top_bytes; b += step)
        ms_buf_printf(p->out, "<span style='bottom:%.2f%%'>%s</span>", 100 * b / p->top_bytes,
                      b > 0 ? ms_size_format(text, (uint64_t)b) : "0");
    ms_buf_printf(p->out, "</div>\n<div class='xlabels'>");
    step = nice_step(p->end_s, 5);
    for (double s = 0; s <= p->end_s * 1.0001; s += step)
        ms_buf_printf(p->out, "<span style='left:%.2f%%'>%g s</span>", 100 * s / p->end_s, s);
    ms_buf_printf(p->out, "</div>\n");
}

static void flags(const plot *p) {
    for (int i = 0; i < p->r->n_changes; i++)
        ms_buf_printf(p->out, "<span class='flag' style='left:%.2f%%'>%d</span>",
                      x_of(p, p->r->change[i].seconds) / WIDTH * 100, i + 1);
}

static void key(const plot *p, const char *kind, const char *name, double bytes) {
    char text[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(p->out, "<li><i class='%s'></i>%s <b>%s</b></li>\n", kind, name,
                  ms_size_format(text, (uint64_t)bytes));
}

static void legend(const plot *p) {
    ms_buf_printf(p->out, "<ul class='legend'>\n");
    key(p, "k-rss", "resident set, highest", (double)p->r->peak_resident_bytes);
    key(p, "k-plan", "plan", (double)ms_report_process_plan(p->r));
    key(p, "k-budget", p->shows_budget ? "budget" : "budget (far above the drawing)",
        (double)ms_report_process_budget(p->r));
    for (int l = 0; l < MS_LEDGER_COUNT; l++) {
        char kind[8];
        snprintf(kind, sizeof(kind), "k%d", l);
        if (p->shown[l])
            key(p, kind, l == MS_LEDGER_GENERAL ? "program and buffers" : ms_ledger_name((ms_ledger)l),
                (double)p->r->ledger_peak_bytes[l]);
    }
    ms_buf_printf(p->out, "</ul>\n");
}

static void numbers(const plot *p) {
    char a[MS_SIZE_TEXT_BYTES], b[MS_SIZE_TEXT_BYTES];
    int every = (p->r->n_samples + TABLE_ROWS - 1) / TABLE_ROWS;
    ms_buf_printf(p->out,
                  "<details><summary>The numbers</summary><div class='wide'><table><thead><tr>"
                  "<th>time</th><th>resident set</th><th>charged to ledgers</th></tr></thead><tbody>\n");
    for (int i = 0; i < p->r->n_samples; i += every)
        ms_buf_printf(p->out, "<tr><td>%.2f s</td><td>%s</td><td>%s</td></tr>\n", p->r->sample[i].seconds,
                      ms_size_format(a, p->r->sample[i].resident_bytes),
                      ms_size_format(b, (uint64_t)charged(&p->r->sample[i])));
    ms_buf_printf(p->out, "</tbody></table></div></details>\n");
}

void ms_report_memory_plot(ms_buf *out, const ms_run_report *r) {
    plot p = {.out = out, .r = r};
    if (r->n_samples < 2)
        return;
    measure(&p);
    ms_buf_printf(
        out, "<section><h2>Memory over time</h2>\n<p>The line is what the process holds. The areas are "
             "what was charged to ledgers: upper bounds that are held before they are touched. Memory that "
             "was given back may stay with the process for a while.</p>\n");
    legend(&p);
    ms_buf_printf(out, "<div class='plot'><div class='canvas'>");
    flags(&p);
    drawing(&p);
    ms_buf_printf(out, "</div>\n");
    axes(&p);
    ms_buf_printf(out, "</div>\n");
    numbers(&p);
    ms_buf_printf(out, "</section>\n");
}
