#include "results/plan_html.h"

#include <inttypes.h>

#include "results/plan_times.h"
#include "results/stage_sum.h"
#include "text/duration.h"
#include "text/size.h"

static const char head[] =
    "<!doctype html>\n<html lang='en'><meta charset='utf-8'>\n<title>Memory plan</title>\n<style>\n"
    "body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 1320px; padding: 0 1em; color: #222 }\n"
    "h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin-top: 2em } p { max-width: 48em }\n"
    "table { border-collapse: collapse } td, th { padding: .2em .9em; border-bottom: 1px solid #ddd; "
    "text-align: left } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }\n"
    "tr.sum td { font-weight: bold; border-top: 2px solid #888 }\nsvg { width: 100%; height: auto "
    "}\n</style>\n";

static void escape(ms_buf *out, const char *text) {
    for (; *text; text++) {
        const char *entity = *text == '<' ? "&lt;" : *text == '&' ? "&amp;" : *text == '>' ? "&gt;" : NULL;
        if (entity)
            ms_buf_printf(out, "%s", entity);
        else
            ms_buf_append(out, text, 1);
    }
}

static void memory_row(ms_buf *out, const char *what, const char *why, size_t bytes, size_t whole) {
    char size[MS_SIZE_TEXT_BYTES];
    if (bytes)
        ms_buf_printf(out, "<tr><td>%s<td>%s<td class='n'>%s<td class='n'>%.0f %%</tr>\n", what, why,
                      ms_size_format(size, bytes), 100.0 * (double)bytes / (double)whole);
}

static void sum_row(ms_buf *out, const char *what, const char *why, size_t bytes) {
    char size[MS_SIZE_TEXT_BYTES];
    ms_buf_printf(out, "<tr class='sum'><td>%s<td>%s<td class='n'>%s<td></tr>\n", what, why,
                  ms_size_format(size, bytes));
}

static void host_rows(ms_buf *out, const ms_plan_report *r, size_t whole) {
    memory_row(out, "the program", "code, libraries, stacks", r->process_bytes, whole);
    memory_row(out, "codecs", "FFmpeg's decoder and encoder; an upper bound", r->codec_bytes, whole);
    memory_row(out, "pictures on their way", "frames between decoder and encoder; an upper bound",
               r->frame_bytes, whole);
    memory_row(out, "face networks",
               "detector and landmarks with their own arena: they run beside the others", r->face_bytes,
               whole);
    memory_row(out, "buffers", "pictures of a batch, speech features, the plans themselves", r->buffer_bytes,
               whole);
    memory_row(out, "cache of latents", "of a clip that goes round; given up first", r->cache_bytes, whole);
}

static void memory_table(ms_buf *out, const ms_plan_report *r) {
    ms_buf_printf(out, "<h2>Where the memory goes</h2>\n<table><tr><th>part<th>what it is<th class='n'>memory"
                       "<th class='n'>of the peak</tr>\n");
    if (!r->host_bytes)
        host_rows(out, r, r->peak_bytes);
    if (r->device_own_bytes)
        memory_row(out, "the device itself", "its context and the kernels' code", r->device_own_bytes,
                   r->peak_bytes);
    memory_row(out, "weights that stay", "read once, kept for the whole run", r->resident_bytes,
               r->peak_bytes);
    memory_row(out, "weights passing through", "room for any two matrices that are read when needed",
               r->stream_bytes, r->peak_bytes);
    if (r->launch_bytes)
        memory_row(out, "captured launches", "of each network once, to be launched again", r->launch_bytes,
                   r->peak_bytes);
    memory_row(out, "latents", "of a window, with its condition, speech and DeepCache's tensor",
               r->latent_bytes, r->peak_bytes);
    memory_row(out, "arena", "all tensors and workspaces; the networks take turns in it", r->arena_bytes,
               r->peak_bytes);
    sum_row(out, "peak", "never more than this", r->peak_bytes);
    sum_row(out, "budget", "the run may take this", r->budget_bytes);
    sum_row(out, "smallest budget that works", "on the last rung of the ladder", r->least_bytes);
    if (r->host_bytes) {
        ms_buf_printf(out, "</table>\n<h2>Besides the device, in host memory</h2>\n<table><tr><th>part"
                           "<th>what it is<th class='n'>memory<th class='n'>of it</tr>\n");
        host_rows(out, r, r->host_bytes);
        sum_row(out, "host", "", r->host_bytes);
    }
    ms_buf_printf(out, "</table>\n");
}

static void time_table(ms_buf *out, const ms_plan_report *r) {
    static const char *const what[MS_STAGE_COUNT] = {[MS_STAGE_LOAD] =
                                                         "open the files, read and pack the weights",
                                                     [MS_STAGE_AUDIO] = "speech features (Whisper)",
                                                     [MS_STAGE_FACES] = "decode frames, find and align faces",
                                                     [MS_STAGE_ENCODE] = "faces to latents (VAE)",
                                                     [MS_STAGE_DENOISE] = "all steps of the UNet",
                                                     [MS_STAGE_DECODE] = "latents to faces (VAE)",
                                                     [MS_STAGE_WRITE] = "paste faces back, encode the video"};
    if (r->total_s <= 0)
        return;
    double work = cli_stage_sum(r->stage_s);
    char text[MS_DURATION_TEXT_BYTES], whose[CLI_WHOSE_TIMES_BYTES];
    ms_buf_printf(out,
                  "<h2>Where the time goes: %s</h2>\n<table><tr><th>stage<th>"
                  "what it does<th class='n'>time<th class='n'>of the work</tr>\n",
                  cli_whose_times(r, whose));
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ms_buf_printf(out, "<tr><td>%s<td>%s<td class='n'>%s<td class='n'>%.0f %%</tr>\n",
                      ms_stage_name((ms_stage)i), what[i], ms_duration_format(text, r->stage_s[i]),
                      100 * r->stage_s[i] / work);
    ms_buf_printf(
        out,
        "<tr class='sum'><td>all<td>faces and write go on beside the rest<td class='n'>%s<td></tr>\n"
        "</table>\n",
        ms_duration_format(text, r->total_s));
}

static void network_table(ms_buf *out, const ms_plan_report *r) {
    ms_buf_printf(out,
                  "<h2>The networks' share of the arena</h2>\n<p>The lower bound is the most that is in use "
                  "at once: no layout can do with less.</p>\n<table><tr><th>network<th class='n'>arena"
                  "<th class='n'>lower bound<th class='n'>ratio<th class='n'>operations"
                  "<th class='n'>TFLOP</tr>\n");
    for (int i = 0; i < r->n_phases; i++) {
        const ms_plan_phase *p = &r->phase[i];
        char arena[MS_SIZE_TEXT_BYTES], bound[MS_SIZE_TEXT_BYTES];
        ms_buf_printf(out,
                      "<tr><td>%s<td class='n'>%s<td class='n'>%s<td class='n'>%.3f<td class='n'>%d"
                      "<td class='n'>%.2f</tr>\n",
                      p->name, ms_size_format(arena, p->arena_bytes),
                      ms_size_format(bound, p->lower_bound_bytes),
                      (double)p->arena_bytes / (double)p->lower_bound_bytes, p->operations, p->tflop);
    }
    ms_buf_printf(out, "</table>\n");
}

void cli_plan_html(const ms_plan_params *p, const ms_plan_report *r, const char *svg, ms_buf *out) {
    ms_buf_append(out, head, sizeof(head) - 1);
    ms_buf_printf(out, "<h1>Memory plan: ");
    escape(out, p->model ? p->model : p->shape);
    ms_buf_printf(out,
                  "</h1>\n<p>%" PRId64
                  " frames of %dx%d, faces of %d px, %s weights, %s tier. Rung <b>%s</b> of the ladder: %s.",
                  p->frames, p->width, p->height, r->resolution, r->precision, r->tier, ms_rung_name(r->rung),
                  ms_rung_text(r->rung));
    ms_buf_printf(out, " The VAE takes %d picture%s at a time, guidance %s", r->vae_decode_batch,
                  r->vae_decode_batch == 1 ? "" : "s",
                  r->serial_branches ? "runs one branch after the other" : "runs both branches together");
    if (r->slice_frames)
        ms_buf_printf(out, ", layers take %" PRId64 " frame%s or %" PRId64 " pixels at a time",
                      r->slice_frames, r->slice_frames == 1 ? "" : "s", r->slice_pixels);
    ms_buf_printf(out, ". Every rung gives the same output, bit for bit.</p>\n%s", svg);
    memory_table(out, r);
    time_table(out, r);
    network_table(out, r);
    ms_buf_printf(out, "</html>\n");
}
