/* A run's report as one page: the four answers first, then what they rest on. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sized.h"
#include "memsafe/version.h"
#include "report/report_plot.h"
#include "text/duration.h"
#include "text/size.h"

typedef struct page {
    ms_buf *out;
    const ms_run_params *p;
    const ms_run_report *r;
} page;

/* Colours by role, once for light and once for dark; the ledgers' hues in the order of MS_LEDGER_MAP. */
static const char style[] =
    ":root{--page:#f9f9f7;--card:#fcfcfb;--ink:#0b0b0b;--soft:#52514e;--mute:#898781;--line:#e1e0d9;--edge:#"
    "c3c2b7;"
    "--bar:#2a78d6;--good:#006300;--bad:#b02a2a;--warn:#8a5a00;--c0:#2a78d6;--c1:#1baf7a;--c2:#e34948;--c3:#"
    "008300;"
    "--c4:#4a3aa7;--c5:#eda100;--c6:#e87ba4;--c7:#c3c2b7}\n"
    "@media "
    "(prefers-color-scheme:dark){:root{--page:#0d0d0d;--card:#1a1a19;--ink:#fff;--soft:#c3c2b7;--mute:#"
    "898781;"
    "--line:#2c2c2a;--edge:#383835;--bar:#3987e5;--good:#0ca30c;--bad:#e66767;--warn:#fab219;--c0:#3987e5;--"
    "c1:#199e70;"
    "--c2:#e66767;--c3:#008300;--c4:#9085e9;--c5:#c98500;--c6:#d55181;--c7:#52514e}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1080px;margin:0 auto;padding:24px 16px 48px}\n"
    "h1{font-size:24px;line-height:1.25;margin:0;overflow-wrap:anywhere}h2{font-size:17px;margin:0 0 4px}\n"
    "p{margin:0 0 12px;color:var(--soft)}header p{margin:4px 0 0}\n"
    "section{background:var(--card);border:1px solid "
    "var(--line);border-radius:8px;padding:16px;margin-top:16px}\n"
    ".answers{display:grid;grid-template-columns:repeat(auto-fit,minmax(230px,1fr));gap:16px;margin-top:16px}"
    "\n"
    ".answers section{margin:0}.answers h2{font-size:13px;font-weight:400;color:var(--soft)}\n"
    ".answers .big{font-size:24px;line-height:1.25;color:var(--ink);margin:0 0 8px;font-weight:600}\n"
    ".answers p:last-child{margin:0}\n"
    ".meter{height:8px;border-radius:4px;background:var(--line);margin:0 0 "
    "10px;position:relative;overflow:hidden}"
    ".meter i{display:block;height:100%;border-radius:4px;background:var(--bar)}.meter.over "
    "i{background:var(--bad)}\n"
    ".plot{display:grid;grid-template-columns:70px 1fr;grid-template-rows:auto 22px;margin-top:12px}\n"
    ".canvas{grid-column:2;grid-row:1;position:relative;border-left:1px solid var(--edge);border-bottom:1px "
    "solid "
    "var(--edge)}"
    ".canvas svg{display:block;width:100%;height:300px}\n"
    ".ylabels{grid-column:1;grid-row:1;position:relative}.xlabels{grid-column:2;grid-row:2;position:relative}"
    "\n"
    ".ylabels span,.xlabels span{position:absolute;font-size:12px;color:var(--mute);white-space:nowrap}\n"
    ".ylabels span{right:8px;transform:translateY(50%);line-height:1}.xlabels "
    "span{transform:translateX(-50%);top:4px}"
    ".xlabels span:first-child{transform:none}\n"
    "svg path{stroke:var(--card);stroke-width:1;vector-effect:non-scaling-stroke;opacity:.8}"
    "svg line,svg polyline{vector-effect:non-scaling-stroke;fill:none}\n"
    ".grid{stroke:var(--line)}.rss{stroke:var(--ink);stroke-width:2}.plan{stroke:var(--soft);stroke-width:1."
    "5;"
    "stroke-dasharray:2 4}"
    ".budget{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:8 "
    "4}.change{stroke:var(--warn);stroke-width:1.5}\n"
    ".hover{fill:transparent}.hover:hover{fill:var(--ink);fill-opacity:.12}\n"
    ".flag{position:absolute;top:-9px;transform:translateX(-50%);background:var(--warn);color:var(--card);"
    "font-size:11px;"
    "line-height:16px;min-width:16px;border-radius:8px;text-align:center}\n"
    ".l0,.k0{fill:var(--c0);background:var(--c0)}.l1,.k1{fill:var(--c1);background:var(--c1)}"
    ".l2,.k2{fill:var(--c2);background:var(--c2)}.l3,.k3{fill:var(--c3);background:var(--c3)}"
    ".l4,.k4{fill:var(--c4);background:var(--c4)}.l5,.k5{fill:var(--c5);background:var(--c5)}"
    ".l6,.k6{fill:var(--c6);background:var(--c6)}.l7,.k7{fill:var(--c7);background:var(--c7)}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:0;padding:0;font-size:13px;"
    "color:var(--soft)}"
    ".legend b{color:var(--ink);font-weight:600}.legend "
    "i{display:inline-block;width:12px;height:12px;border-radius:3px;"
    "margin-right:6px;vertical-align:-1px}\n"
    ".legend .k-rss,.legend .k-plan,.legend .k-budget{height:0;border-radius:0;vertical-align:4px;width:18px}"
    ".legend .k-rss{border-top:2px solid var(--ink)}.legend .k-plan{border-top:2px dotted var(--soft)}"
    ".legend .k-budget{border-top:2px dashed var(--bad)}\n"
    "table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}"
    "th{font-weight:400;color:var(--soft);text-align:left}th,td{padding:5px 14px 5px 0;border-bottom:1px "
    "solid "
    "var(--line);vertical-align:top}tr:last-child td{border-bottom:0}\n"
    ".wide{overflow-x:auto}.wide td{white-space:nowrap}td.text{white-space:normal;min-width:180px}"
    ".bar{width:45%;min-width:90px}.bar i{display:block;height:14px;margin-top:4px;background:var(--bar);"
    "border-radius:0 4px 4px 0;min-width:1px}\n"
    ".chosen td{font-weight:600}.yes{color:var(--good)}.no{color:var(--bad)}\n"
    "details{margin-top:12px}summary{cursor:pointer;color:var(--soft)}dl{display:grid;grid-template-columns:"
    "max-content 1fr;"
    "gap:4px 18px;margin:0;font-size:14px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    ".stages td{white-space:nowrap}\n"
    "@media (max-width:520px){.what{display:none}.plot{grid-template-columns:58px 1fr}.canvas "
    "svg{height:220px}.bar{min-width:60px}"
    "td,th{padding-right:8px}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}\n";

/* ---- the stages ---- */

typedef struct stage {
    const char *name, *what;
    double seconds;
} stage;

static double stages_of(const ms_run_report *r, stage ret_stages[MS_STAGE_COUNT]) {
    const stage all[MS_STAGE_COUNT] = {
        {"load", "opening files, planning, reading weights", r->stage_s[MS_STAGE_LOAD]},
        {"audio", "speech features", r->stage_s[MS_STAGE_AUDIO]},
        {"faces", "reading frames, finding and aligning faces", r->stage_s[MS_STAGE_FACES]},
        {"encode", "pictures to latents", r->stage_s[MS_STAGE_ENCODE]},
        {"denoise", "the sampler's steps", r->stage_s[MS_STAGE_DENOISE]},
        {"decode", "latents to pictures", r->stage_s[MS_STAGE_DECODE]},
        {"write", "pasting back, encoding the video", r->stage_s[MS_STAGE_WRITE]},
    };
    double sum = 0;
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        sum += all[i].seconds;
    memcpy(ret_stages, all, sizeof(all));
    return sum;
}

static const stage *longest(const stage stages[MS_STAGE_COUNT]) {
    const stage *most = &stages[0];
    for (int i = 1; i < MS_STAGE_COUNT; i++)
        if (stages[i].seconds > most->seconds)
            most = &stages[i];
    return most;
}

/* Text that begins a sentence. */
static void capitalised(ms_buf *out, const char *text) {
    char first[2] = {text[0] >= 'a' && text[0] <= 'z' ? (char)(text[0] - 'a' + 'A') : text[0], 0};
    ms_html_text(out, first);
    if (text[0])
        ms_html_text(out, text + 1);
}

static double percent(double part, double whole) {
    return whole > 0 ? 100 * part / whole : 0;
}

/* ---- the four answers ---- */

static void slicing(const page *g) {
    const ms_run_report *r = g->r;
    ms_buf_printf(g->out, "Windows of %d frames, %d %s at a time through the VAE", r->window_frames,
                  r->vae_decode_batch, r->vae_decode_batch == 1 ? "picture" : "pictures");
    if (r->stripe_rows)
        ms_buf_printf(g->out, " in stripes of %" PRId64 " rows", r->stripe_rows);
    ms_buf_printf(g->out, ", ");
    if (g->p->guidance > 1)
        ms_buf_printf(g->out, "both branches of guidance %s, ",
                      r->serial_branches ? "one after the other" : "together");
    if (r->slice_frames || r->slice_pixels)
        ms_buf_printf(g->out, "layers over %" PRId64 " %s or %" PRId64 " pixels at a time, ", r->slice_frames,
                      r->slice_frames == 1 ? "frame" : "frames", r->slice_pixels);
    else
        ms_buf_printf(g->out, "layers whole, ");
    if (r->planned_streamed_bytes)
        ms_buf_printf(g->out, "%.0f %% of the weights read when they are needed.",
                      percent((double)r->planned_streamed_bytes, (double)r->weight_bytes));
    else
        ms_buf_printf(g->out, "all weights in memory.");
}

static void what_it_chose(const page *g) {
    const ms_run_report *r = g->r;
    char weights[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(g->out, "<section><h2>What did it choose?</h2><p class='big'>Rung %s, ",
                  ms_rung_name(r->rung));
    ms_html_text(g->out, r->precision);
    ms_buf_printf(g->out, "</p><p>");
    capitalised(g->out, ms_rung_text(r->rung));
    ms_buf_printf(g->out, ". ");
    slicing(g);
    ms_buf_printf(g->out, " Faces of %d px; %s of weights.", r->resolution,
                  ms_size_format(weights, r->weight_bytes));
    if (r->n_changes)
        ms_buf_printf(g->out, " It changed %d %s on the way.", r->n_changes,
                      r->n_changes == 1 ? "time" : "times");
    ms_buf_printf(g->out, "</p></section>\n");
}

static int count_fitting(const ms_run_report *r) {
    int n = 0;
    for (int i = 0; i < r->n_choices; i++)
        n += r->choice[i].fits;
    return n;
}

static void why_that_rung(const page *g) {
    const ms_run_report *r = g->r;
    char whole[MS_SIZE_TEXT_BYTES];
    if (g->p->rung != MS_RUNG_AUTO) {
        ms_buf_printf(g->out, " The rung was asked for.");
        return;
    }
    ms_buf_printf(g->out, " %d of the %d layouts that were compared %s it, ", count_fitting(r), r->n_choices,
                  count_fitting(r) == 1 ? "fits" : "fit");
    ms_buf_printf(g->out, r->fell_back ? "but memory for the one that was chosen was not to be had when it "
                                         "began: this is the least there is."
                                       : "and this one was predicted to be the fastest.");
    if (r->n_choices && r->choice[0].whole_bytes > r->budget_bytes)
        ms_buf_printf(g->out, " Uncut it would take %s.", ms_size_format(whole, r->choice[0].whole_bytes));
}

static void why(const page *g) {
    const ms_run_report *r = g->r;
    char budget[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(g->out, "<section><h2>Why?</h2><p class='big'>");
    capitalised(g->out, r->tier);
    ms_buf_printf(g->out, " tier, %s</p><p>The tier follows from the memory: ",
                  ms_size_format(budget, r->budget_bytes));
    ms_html_text(g->out, r->tier_reason);
    ms_buf_printf(g->out, ". The budget is ");
    ms_html_text(g->out, r->budget_reason);
    ms_buf_printf(g->out, ". The precision %s.",
                  g->p->precision == MS_PRECISION_AUTO ? "is the tier's" : "was asked for");
    why_that_rung(g);
    ms_buf_printf(g->out, "</p></section>\n");
}

static void how_close_is(const page *g, const char *who, size_t peak_bytes, size_t budget_bytes,
                         size_t planned_bytes) {
    char a[MS_SIZE_TEXT_BYTES], b[MS_SIZE_TEXT_BYTES], c[MS_SIZE_TEXT_BYTES], d[MS_SIZE_TEXT_BYTES];
    const double peak = (double)peak_bytes, budget = (double)budget_bytes, plan = (double)planned_bytes,
                 share = percent(peak, budget);
    const bool over = peak > budget;
    ms_buf_printf(g->out, "<p class='big'>%.0f %% %s</p>", share, over ? "&#8211; over the budget" : "of it");
    ms_buf_printf(g->out, "<div class='meter%s'><i style='width:%.1f%%'></i></div>", over ? " over" : "",
                  fmin(share, 100));
    ms_buf_printf(g->out,
                  "<p>The %s held %s at most, of a budget of %s. The plan had said %s: the run stayed %s "
                  "%s it.</p>",
                  who, ms_size_format(a, peak_bytes), ms_size_format(b, budget_bytes),
                  ms_size_format(c, planned_bytes), ms_size_format(d, (uint64_t)fabs(plan - peak)),
                  peak > plan ? "above" : "below");
}

static void how_close(const page *g) {
    const ms_run_report *r = g->r;
    ms_buf_printf(g->out, "<section><h2>How close to the budget?</h2>");
    if (r->host_budget_bytes)
        how_close_is(g, "device", r->device_peak_bytes, r->budget_bytes, r->planned_bytes);
    how_close_is(g, "process", r->peak_resident_bytes, ms_report_process_budget(r),
                 ms_report_process_plan(r));
    ms_buf_printf(g->out, "</section>\n");
}

static void where_time_went(const page *g) {
    const ms_run_report *r = g->r;
    stage stages[MS_STAGE_COUNT];
    double sum = stages_of(r, stages);
    const stage *most = longest(stages);
    char work[MS_DURATION_TEXT_BYTES], whole[MS_DURATION_TEXT_BYTES], frame[MS_DURATION_TEXT_BYTES],
        window[MS_DURATION_TEXT_BYTES];
    double model = r->stage_s[MS_STAGE_ENCODE] + r->stage_s[MS_STAGE_DENOISE] + r->stage_s[MS_STAGE_DECODE];
    ms_buf_printf(g->out,
                  "<section><h2>Where did the time go?</h2><p class='big'>%s, %.0f %%</p><p>%s of work "
                  "for %" PRId64 " frames in %s: %s a frame, %s a window of %d.",
                  most->name, percent(most->seconds, sum), ms_duration_format(work, sum), r->frames,
                  ms_duration_format(whole, r->seconds),
                  ms_duration_format(frame, r->seconds / (double)(r->frames > 0 ? r->frames : 1)),
                  ms_duration_format(window, model / (double)(r->windows > 0 ? r->windows : 1)),
                  r->window_frames);
    if (!r->n_changes) /* the prediction was for the layout that it began with */
        ms_buf_printf(g->out, " A window was predicted to take %s.",
                      ms_duration_format(window, r->planned_window_s));
    if (sum > 1.02 * r->seconds)
        ms_buf_printf(g->out, " Stages ran side by side.");
    ms_buf_printf(g->out, "</p></section>\n");
}

/* ---- what they rest on ---- */

static void time_section(const page *g) {
    stage stages[MS_STAGE_COUNT];
    double sum = stages_of(g->r, stages), most = longest(stages)->seconds;
    char text[MS_DURATION_TEXT_BYTES];
    ms_buf_printf(g->out, "<section><h2>Time per stage</h2>\n<table class='stages'><tbody>\n");
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ms_buf_printf(g->out,
                      "<tr><td>%s</td><td class='bar'><i style='width:%.1f%%'></i></td><td>%s</td><td>%.1f "
                      "%%</td><td class='text what'>%s</td></tr>\n",
                      stages[i].name, percent(stages[i].seconds, most),
                      ms_duration_format(text, stages[i].seconds), percent(stages[i].seconds, sum),
                      stages[i].what);
    ms_buf_printf(g->out, "</tbody></table></section>\n");
}

static void cut_cell(ms_buf *out, const ms_run_choice *c) {
    ms_buf_printf(out, "<td>");
    if (c->slice_frames)
        ms_buf_printf(out, "%" PRId64 " frame%s or %" PRId64 " pixels", c->slice_frames,
                      c->slice_frames == 1 ? "" : "s", c->slice_pixels);
    else
        ms_buf_printf(out, "everything");
    if (c->stripe_rows)
        ms_buf_printf(out, "; %" PRId64 " rows of pictures", c->stripe_rows);
    ms_buf_printf(out, "</td>");
}

static void layouts_section(const page *g) {
    const ms_run_report *r = g->r;
    char a[MS_SIZE_TEXT_BYTES], b[MS_SIZE_TEXT_BYTES], window[MS_DURATION_TEXT_BYTES];
    ms_buf_printf(
        g->out,
        "<section><h2>The layouts</h2>\n<p>Each rung of the ladder gives the same bits in less memory "
        "and more time. A rung may keep only some of the weights in memory.</p>\n<div class='wide'>"
        "<table><thead><tr><th>rung</th><th>pictures at a time</th><th>layers see at a time</th><th>with all "
        "weights</th>"
        "<th>planned</th><th>a window takes</th><th>fits</th></tr></thead><tbody>\n");
    for (int i = 0; i < r->n_choices; i++) {
        const ms_run_choice *c = &r->choice[i];
        ms_buf_printf(g->out, "<tr%s><td>%s%s</td><td>%d</td>", c->taken ? " class='chosen'" : "",
                      ms_rung_name(c->rung), c->taken ? " (taken)" : "", c->vae_batch);
        cut_cell(g->out, c);
        ms_buf_printf(g->out, "<td>%s</td><td>%s</td><td>%s</td><td class='%s'>%s</td></tr>\n",
                      ms_size_format(a, c->whole_bytes), ms_size_format(b, c->peak_bytes),
                      ms_duration_format(window, c->window_s), c->fits ? "yes" : "no",
                      c->fits ? "yes" : "no");
    }
    ms_buf_printf(g->out, "</tbody></table></div></section>\n");
}

static void changes_section(const page *g) {
    const ms_run_report *r = g->r;
    ms_buf_printf(g->out, "<section><h2>Changes on the way</h2>\n");
    if (!r->n_changes) {
        ms_buf_printf(g->out,
                      "<p>None: nobody else needed the memory, and no allocation failed.</p></section>\n");
        return;
    }
    ms_buf_printf(
        g->out, "<div class='wide'><table><thead><tr><th></th><th>time</th><th>before frame</th><th>pressure"
                "</th><th>from then on</th><th>because</th></tr></thead><tbody>\n");
    for (int i = 0; i < r->n_changes; i++) {
        const ms_run_change *c = &r->change[i];
        char at[MS_DURATION_TEXT_BYTES];
        ms_buf_printf(g->out, "<tr><td>%d</td><td>%s</td><td>%" PRId64 "</td><td>", i + 1,
                      ms_duration_format(at, c->seconds), c->frame);
        ms_html_text(g->out, c->level);
        ms_buf_printf(g->out, "</td><td>%s</td><td class='text'>", ms_rung_name(c->rung));
        ms_html_text(g->out, c->reason);
        ms_buf_printf(g->out, "</td></tr>\n");
    }
    ms_buf_printf(g->out, "</tbody></table></div></section>\n");
}

static void frames_section(const page *g) {
    const ms_run_report *r = g->r;
    ms_buf_printf(g->out,
                  "<section><h2>Frames</h2>\n<dl><dt>written</dt><dd>%" PRId64
                  " of %dx%d at %g a second, in %" PRId64 " windows</dd>\n",
                  r->frames, r->width, r->height, r->fps, r->windows);
    if (r->range_first || r->frames_kept)
        ms_buf_printf(g->out,
                      "<dt>the range</dt><dd>from frame %" PRId64 " of the video on; %" PRId64
                      " frames outside it passed through unchanged</dd>\n",
                      r->range_first, r->frames_kept);
    if (r->whole_s > 0)
        ms_buf_printf(g->out,
                      "<dt>a preview</dt><dd>the whole, %" PRId64 " frames, would take about %s</dd>\n",
                      r->whole_frames, ms_duration_format((char[MS_DURATION_TEXT_BYTES]){0}, r->whole_s));
    ms_buf_printf(g->out, "<dt>without a face</dt><dd>%" PRId64 "%s</dd>\n", r->frames_without_face,
                  r->frames_without_face ? ": passed through unchanged" : "");
    if (r->faces.doubt[0]) {
        ms_buf_printf(g->out, "<dt>the faces are doubtful</dt><dd>");
        ms_html_text(g->out, r->faces.doubt);
        ms_buf_printf(g->out, "</dd>\n");
    }
    ms_buf_printf(g->out, "<dt>face bridged</dt><dd>%" PRId64 "%s</dd>\n", r->frames_interpolated,
                  r->frames_interpolated ? ": from the frames around them" : "");
    ms_buf_printf(g->out, "<dt>of the input</dt><dd>%" PRId64 " frames used", r->video_frames);
    if (r->source_frames_lost)
        ms_buf_printf(g->out, ", %" PRId64 " more are damaged or not there", r->source_frames_lost);
    ms_buf_printf(g->out, "</dd></dl></section>\n");
}

static void named(const page *g, const char *name, const char *value) {
    if (!value)
        return;
    ms_buf_printf(g->out, "<dt>%s</dt><dd>", name);
    ms_html_text(g->out, value);
    ms_buf_printf(g->out, "</dd>\n");
}

static void settings_section(const page *g) {
    const ms_run_params *p = g->p;
    const ms_run_report *r = g->r;
    const struct {
        const char *name;
        size_t bytes;
    } parts[] = {{"arena", r->arena_bytes},
                 {"weights that stay", r->resident_bytes},
                 {"weights passing through", r->stream_bytes},
                 {"buffers and plans", r->buffer_bytes},
                 {"program, codecs, pictures on their way", r->other_bytes}};
    ms_buf_printf(g->out, "<section><h2>The plan and the settings</h2>\n<dl>");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        ms_buf_printf(g->out, "<dt>%s</dt><dd>%s</dd>\n", parts[i].name,
                      ms_size_format((char[MS_SIZE_TEXT_BYTES]){0}, parts[i].bytes));
    ms_buf_printf(g->out, "<dt>sampler</dt><dd>%d steps, guidance %g, seed %" PRIu64 "%s</dd>\n", p->steps,
                  p->guidance, p->seed, p->deepcache ? ", DeepCache" : "");
    named(g, "pasted back",
          p->paste == MS_PASTE_MOUTH ? "what was redrawn, the lower half of the face" : "the whole face");
    named(g, "video", p->video);
    named(g, "audio", p->audio);
    named(g, "output", p->output);
    named(g, "model", p->model);
    for (int i = 0; i < r->n_model_files; i++) {
        char text[sizeof(r->model_file[i].path) + sizeof(r->model_file[i].identity) + 8];
        snprintf(text, sizeof(text), "%s (%s)", r->model_file[i].path, r->model_file[i].identity);
        named(g, r->model_file[i].part, text);
    }
    named(g, "encoder", r->video_codec[0] ? r->video_codec : NULL);
    named(g, "made by", "memsafe " MS_VERSION_TEXT);
    ms_buf_printf(g->out, "</dl></section>\n");
}

/* ---- the page ---- */

static void head(const page *g) {
    const ms_run_report *r = g->r;
    char whole[MS_DURATION_TEXT_BYTES];
    const char *title = g->p->output ? g->p->output : "frames to a sink";
    ms_buf_printf(g->out,
                  "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
                  "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, "
                  "initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
    ms_html_text(g->out, title);
    ms_buf_printf(g->out, " - memsafe</title>\n<style>\n");
    ms_buf_append(g->out, style, sizeof(style) - 1);
    ms_buf_printf(g->out, "</style>\n</head>\n<body>\n<main>\n<header><h1>");
    ms_html_text(g->out, title);
    ms_buf_printf(g->out, "</h1>\n<p>%" PRId64 " frames of %dx%d at %g a second in %s", r->frames, r->width,
                  r->height, r->fps, ms_duration_format(whole, r->seconds));
    if (r->frames_without_face)
        ms_buf_printf(g->out, "; %" PRId64 " without a face", r->frames_without_face);
    ms_buf_printf(g->out, "</p></header>\n");
}

static void write_page(const page *g) {
    head(g);
    ms_buf_printf(g->out, "<div class='answers'>\n");
    what_it_chose(g);
    why(g);
    how_close(g);
    where_time_went(g);
    ms_buf_printf(g->out, "</div>\n");
    ms_report_memory_plot(g->out, g->r);
    time_section(g);
    changes_section(g);
    layouts_section(g);
    frames_section(g);
    settings_section(g);
    ms_buf_printf(g->out, "</main>\n</body>\n</html>\n");
}

static ms_status make_page(const ms_run_params *p, const ms_run_report *r, char **ret_html, ms_error *err) {
    ms_buf out;
    ms_buf_init(&out, NULL);
    write_page(&(page){.out = &out, .p = p, .r = r});
    if (out.failed) {
        size_t length = out.length;
        ms_buf_free(&out);
        return ms_fail_alloc(err, NULL, length, "the report");
    }
    *ret_html = out.data;
    return MS_OK;
}

ms_status ms_run_report_html_sized(const ms_run_params *params, size_t params_bytes,
                                   const ms_run_report *report, size_t report_bytes, char **ret_html,
                                   ms_error *err) {
    ms_run_params p;
    ms_error_clear(err);
    ms_run_params_init(&p);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(report, err);
    MS_CHECK_SIZED(report, report_bytes, err);
    MS_NEED(ret_html, err);
    ms_run_report *r = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, sizeof(*r)); /* large for a stack */
    if (!r)
        return ms_fail_alloc(err, NULL, sizeof(*r), "the report");
    ms_sized_fill(r, sizeof(*r), report, report_bytes);
    ms_status status = make_page(&p, r, ret_html, err);
    ms_mem_free(r);
    return status;
}
