#include "console/bar.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/duration.h"

#define LEAST_COLUMNS 20
/* Narrower terminals have none, wider ones always, and its length is the terminal's alone: it does not
   move with what stands beside it. From COLUMNS_TO_GROW on half of what more there is is the bar's. */
#define COLUMNS_WITH_BAR 60
#define COLUMNS_TO_GROW 80
#define LEAST_BAR 8
#define MOST_BAR 40
#define PIECE_BYTES 64
/* Lines in a log: so many in the whole, and not more often than so. */
#define LINE_PARTS 10
#define LINE_LEAST_S 60.0
#define LINE_UNKNOWN_S 600.0

/* In the order in which they stand; what the piece adds is two characters more than its text. */
enum { HOW_FAR, LEFT, STAGE, FRAMES, PIECES };

static void how_far(const cli_bar *b, char *text) {
    if (b->fraction < 0 && b->frames_done == 0)
        text[0] = 0;
    else if (b->fraction >= 0)
        snprintf(text, PIECE_BYTES, "%3d %%", (int)(100 * (b->fraction < 1 ? b->fraction : 1)));
    else
        snprintf(text, PIECE_BYTES, "%" PRId64 " frame%s", b->frames_done, b->frames_done == 1 ? "" : "s");
}

static void time_left(const cli_bar *b, char *text) {
    char time[MS_DURATION_TEXT_BYTES];
    if (b->left_s >= 0 && b->left_s < 10)
        snprintf(text, PIECE_BYTES, "%d s left", (int)(b->left_s + 0.5));
    else if (b->left_s >= 0)
        snprintf(text, PIECE_BYTES, "%s left", ms_duration_format(time, b->left_s));
    else
        snprintf(text, PIECE_BYTES, "%s so far", ms_duration_format(time, (int)b->seconds));
}

static void stage(const cli_bar *b, char *text) {
    if (b->part_of && b->parts > 0)
        snprintf(text, PIECE_BYTES, "%.24s, %s %" PRId64 " of %" PRId64, b->stage, b->part_of, b->part,
                 b->parts);
    else
        snprintf(text, PIECE_BYTES, "%.40s", b->stage);
}

static void frames(const cli_bar *b, char *text) {
    if (b->frames_total > 0 && b->fraction >= 0)
        snprintf(text, PIECE_BYTES, "%" PRId64 " of %" PRId64 " frames", b->frames_done, b->frames_total);
}

static int add(char *line, int at, const char *text) {
    int n = (int)strlen(text);
    if (n == 0)
        return at;
    if (at > 0) {
        memcpy(line + at, "  ", 2);
        at += 2;
    }
    memcpy(line + at, text, (size_t)n);
    return at + n;
}

static int bar_length(int columns) {
    if (columns < COLUMNS_WITH_BAR)
        return 0;
    int more = columns > COLUMNS_TO_GROW ? (columns - COLUMNS_TO_GROW) / 2 : 0;
    return LEAST_BAR + more < MOST_BAR ? LEAST_BAR + more : MOST_BAR;
}

/* Takes a piece away when it does not fit into what is left. */
static void fit(char *piece, int *room) {
    int n = (int)strlen(piece) + 2;
    if (n > *room)
        piece[0] = 0;
    else if (piece[0])
        *room -= n;
}

int cli_bar_text(const cli_bar *b, int columns, char ret_text[CLI_BAR_BYTES]) {
    char piece[PIECES][PIECE_BYTES] = {"", "", "", ""};
    int width = (columns < LEAST_COLUMNS          ? LEAST_COLUMNS
                 : columns > CLI_BAR_MOST_COLUMNS ? CLI_BAR_MOST_COLUMNS
                                                  : columns) -
                1;
    how_far(b, piece[HOW_FAR]);
    time_left(b, piece[LEFT]);
    stage(b, piece[STAGE]);
    frames(b, piece[FRAMES]);
    int bar = b->fraction >= 0 ? bar_length(columns) : 0, at = 0;
    int room = width - (int)strlen(piece[HOW_FAR]) - (bar ? bar + 4 : 0);
    if ((int)strlen(piece[LEFT]) + 2 > room && b->left_s >= 0) /* "2 min 5 s" alone says it too */
        piece[LEFT][strlen(piece[LEFT]) - strlen(" left")] = 0;
    fit(piece[LEFT], &room);
    if ((int)strlen(piece[STAGE]) + 2 > room) { /* without its parts it may */
        cli_bar shorter = *b;
        shorter.parts = 0;
        stage(&shorter, piece[STAGE]);
    }
    fit(piece[STAGE], &room);
    if (!bar) /* frames only beside a bar */
        piece[FRAMES][0] = 0;
    fit(piece[FRAMES], &room);
    if (bar) {
        int filled = (int)((b->fraction < 1 ? b->fraction : 1) * bar);
        ret_text[at++] = '[';
        for (int i = 0; i < bar; i++)
            ret_text[at++] = i < filled ? '#' : '.';
        ret_text[at++] = ']';
    }
    for (int i = 0; i < PIECES; i++)
        at = add(ret_text, at, piece[i]);
    ret_text[at] = 0;
    return at;
}

bool cli_bar_is_due(const cli_bar *b, const cli_bar *last) {
    const double waited = b->seconds - last->seconds;
    if (b->fraction < 0)
        return waited >= LINE_UNKNOWN_S;
    return waited >= LINE_LEAST_S && floor(LINE_PARTS * b->fraction) > floor(LINE_PARTS * last->fraction);
}
