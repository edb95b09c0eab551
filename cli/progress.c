#include "progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 28
#define BAR_INTERVAL_S 0.2
#define JSON_INTERVAL_S 0.5

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

void cli_catch_signals(void) {
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGXFSZ, SIG_IGN);
}

bool cli_interrupted(void *arg) {
    (void)arg;
    return interrupted != 0;
}

cli_progress cli_progress_begin(cli_progress_mode mode) {
    if (mode == CLI_PROGRESS_AUTO)
        mode = isatty(STDERR_FILENO) ? CLI_PROGRESS_BAR : CLI_PROGRESS_NONE;
    return (cli_progress){.mode = mode, .last_s = -1, .started_s = now_s()};
}

double cli_progress_seconds(const cli_progress *progress) {
    return now_s() - progress->started_s;
}

static const char *clock_text(double seconds, char text[32]) {
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600 % 1000, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
    return text;
}

static void show_bar(const ms_run_progress *p) {
    char spent[32], left[32], bar[BAR_WIDTH + 1];
    double share = p->frames_total > 0 ? (double)p->frames_done / (double)p->frames_total : 0;
    int filled = (int)(share * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r[%s] %3.0f%% %" PRId64 "/%" PRId64 " frames  %s", bar, 100 * share, p->frames_done,
            p->frames_total, clock_text(p->seconds, spent));
    if (p->eta_s >= 0)
        fprintf(stderr, ", %s left", clock_text(p->eta_s, left));
    if (p->parts > 0)
        fprintf(stderr, "  %s %" PRId64 "/%" PRId64, p->stage, p->part, p->parts);
    else
        fprintf(stderr, "  %s", p->stage);
    fprintf(stderr, "\033[K");
    fflush(stderr);
}

static void show_json(const ms_run_progress *p) {
    fprintf(stderr,
            "{\"stage\": \"%s\", \"frames_done\": %" PRId64 ", \"frames_total\": %" PRId64
            ", \"part\": %" PRId64 ", \"parts\": %" PRId64
            ", \"seconds\": %.2f, \"eta_s\": %.1f, \"fraction\": %.4f}\n",
            p->stage, p->frames_done, p->frames_total, p->part, p->parts, p->seconds, p->eta_s, p->fraction);
}

void cli_progress_show(void *arg, const ms_run_progress *progress) {
    cli_progress *c = arg;
    if (c->mode == CLI_PROGRESS_NONE)
        return;
    double interval = c->mode == CLI_PROGRESS_BAR ? BAR_INTERVAL_S : JSON_INTERVAL_S;
    bool last = progress->frames_total > 0 && progress->frames_done == progress->frames_total;
    if (c->last_s >= 0 && progress->seconds - c->last_s < interval && !last)
        return;
    c->last_s = progress->seconds;
    if (c->mode == CLI_PROGRESS_BAR)
        show_bar(progress);
    else
        show_json(progress);
    c->drawn = true;
}

void cli_progress_frames(cli_progress *c, const char *stage, int64_t frames_done, int64_t frames_total) {
    ms_run_progress p = {.stage = stage,
                         .frames_done = frames_done,
                         .frames_total = frames_total,
                         .seconds = cli_progress_seconds(c),
                         .eta_s = -1};
    if (frames_total > frames_done)
        p.eta_s = p.seconds / (double)frames_done * (double)(frames_total - frames_done);
    cli_progress_show(c, &p);
}

void cli_progress_end(cli_progress *c) {
    if (c->mode == CLI_PROGRESS_BAR && c->drawn)
        fputc('\n', stderr);
}
