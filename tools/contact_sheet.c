/* contact_sheet: frames of two or three videos under each other, cut out around the
   face, with their numbers. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "faces/track_file.h"
#include "media/read/video_reader.h"
#include "memsafe/libav_log.h"
#include "options.h"
#include "png.h"

#define MAX_ROWS 3
#define MARGIN 6
#define LABEL 84 /* pixels at the left for the rows' names */
#define HEAD 24  /* pixels at the top for the frames' numbers */

typedef struct options {
    const char *video[MAX_ROWS], *track, *output;
    int columns, cell; /* cell: side of a cut-out, pixels */
} options;

static const char usage[] =
    "usage: contact_sheet --input FILE --output FILE [--truth FILE] [--track FILE] -o SHEET.png [OPTIONS]\n\n"
    "Rows: input, output, truth. Columns: frames at equal distances over the output.\n\n"
    "      --track FILE    faces of the input, to cut out around; without it frames are shown whole\n"
    "      --columns N     frames to show (default 8)\n"
    "      --cell PX       side of a picture (default 180)\n";

/* ---- text: 5x7 letters, a row a byte */

static const char letters[] = "0123456789INPUTORH";
static const uint8_t shapes[][7] = {
    {14, 17, 19, 21, 25, 17, 14}, {4, 12, 4, 4, 4, 4, 14},      {14, 17, 1, 6, 8, 16, 31},
    {14, 17, 1, 6, 1, 17, 14},    {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14},
    {6, 8, 16, 30, 17, 17, 14},   {31, 1, 2, 4, 8, 8, 8},       {14, 17, 17, 14, 17, 17, 14},
    {14, 17, 17, 15, 1, 2, 12},   {14, 4, 4, 4, 4, 4, 14},      {17, 25, 21, 21, 19, 17, 17},
    {30, 17, 17, 30, 16, 16, 16}, {17, 17, 17, 17, 17, 17, 14}, {31, 4, 4, 4, 4, 4, 4},
    {14, 17, 17, 17, 17, 17, 14}, {30, 17, 17, 30, 20, 18, 17}, {17, 17, 17, 31, 17, 17, 17}};

typedef struct sheet {
    uint8_t *rgb;
    int width, height;
} sheet;

/* Twice the size; the sheet is larger than any text on it. */
static void write_text(const sheet *s, int x, int y, const char *text) {
    for (; *text; text++, x += 12) {
        const char *found = strchr(letters, *text);
        for (int i = 0; found && i < 10 * 14; i++)
            if (shapes[found - letters][i / 20] >> (4 - i % 10 / 2) & 1)
                memset(s->rgb + ((size_t)(y + i / 10) * (size_t)s->width + (size_t)(x + i % 10)) * 3, 40, 3);
    }
}

/* ---- pictures */

typedef struct crop {
    float x, y, side; /* in the frame */
} crop;

/* Mean of the source pixels that each pixel of the cell covers, or the nearest one when enlarging. */
static void paste(const sheet *s, int x0, int y0, int cell, const uint8_t *rgb, int width, int height,
                  crop from) {
    float step = from.side / (float)cell;
    int taps = (int)step + 1;
    for (int y = 0; y < cell; y++)
        for (int x = 0; x < cell; x++) {
            unsigned sum[3] = {0};
            for (int k = 0; k < taps * taps; k++) {
                int sx = (int)(from.x + ((float)x + ((float)(k % taps) + 0.5f) / (float)taps) * step);
                int sy = (int)(from.y + ((float)y + ((float)(k / taps) + 0.5f) / (float)taps) * step);
                sx = sx < 0 ? 0 : sx >= width ? width - 1 : sx;
                sy = sy < 0 ? 0 : sy >= height ? height - 1 : sy;
                const uint8_t *p = rgb + ((size_t)sy * (size_t)width + (size_t)sx) * 3;
                for (int c = 0; c < 3; c++)
                    sum[c] += p[c];
            }
            uint8_t *to = s->rgb + ((size_t)(y0 + y) * (size_t)s->width + (size_t)(x0 + x)) * 3;
            for (int c = 0; c < 3; c++)
                to[c] = (uint8_t)(sum[c] / (unsigned)(taps * taps));
        }
}

/* The box of every column's frame, from the track; a square half as large again around the face. */
static ms_status find_crops(const char *path, const int64_t *frames, int columns, crop *crops,
                            ms_error *err) {
    ms_track_reader *reader = NULL;
    ms_face_record record;
    MS_TRY(ms_track_reader_open(NULL, path, &reader, err));
    bool got = true;
    ms_status status = MS_OK;
    while (got && (status = ms_track_reader_next(reader, &record, &got, err)) == MS_OK && got)
        for (int i = 0; i < columns; i++)
            if (frames[i] == record.frame) {
                float w = record.box[2] - record.box[0], h = record.box[3] - record.box[1],
                      side = 1.3f * (w > h ? w : h);
                crops[i] = (crop){(record.box[0] + record.box[2] - side) / 2,
                                  (record.box[1] + record.box[3] - side) / 2, side};
            }
    ms_track_reader_close(&reader);
    return status;
}

static ms_status draw_row(const options *o, int row, const int64_t *frames, const crop *crops, const sheet *s,
                          ms_error *err) {
    static const char *const names[MAX_ROWS] = {"INPUT", "OUTPUT", "TRUTH"};
    ms_video_reader *reader = NULL;
    MS_TRY(ms_video_reader_open(NULL, o->video[row], NULL, &reader, err));
    const ms_video_info *info = ms_video_reader_info(reader);
    ms_status status = MS_OK;
    uint8_t *rgb = ms_alloc_array(NULL, MS_LEDGER_FRAMES, (size_t)info->width * (size_t)info->height, 3);
    if (!rgb)
        status = ms_fail_alloc(err, NULL, (size_t)info->width * (size_t)info->height * 3, "a frame");
    int top = HEAD + row * (o->cell + MARGIN);
    write_text(s, MARGIN, top + o->cell / 2 - 7, names[row]);
    for (int i = 0; i < o->columns && status == MS_OK; i++) {
        bool got = false;
        status = ms_video_reader_seek(reader, frames[i], err);
        if (status == MS_OK)
            status = ms_video_reader_read(reader, rgb, 0, &got, err);
        if (status != MS_OK || !got)
            continue; /* past this video's end the cell stays empty */
        float side = (float)(info->width > info->height ? info->width : info->height);
        crop from = crops[i].side > 0
                        ? crops[i]
                        : (crop){((float)info->width - side) / 2, ((float)info->height - side) / 2, side};
        paste(s, LABEL + i * (o->cell + MARGIN), top, o->cell, rgb, info->width, info->height, from);
    }
    ms_mem_free(rgb);
    ms_video_reader_close(&reader);
    return status;
}

static ms_status choose_frames(const options *o, int64_t *frames, ms_error *err) {
    ms_video_reader *reader = NULL;
    int64_t count = 0;
    MS_TRY(ms_video_reader_open(NULL, o->video[1], NULL, &reader, err));
    ms_status status = ms_video_reader_count(reader, &count, err);
    ms_video_reader_close(&reader);
    for (int i = 0; i < o->columns; i++)
        frames[i] = count * (2 * i + 1) / (2 * o->columns);
    return status;
}

static ms_status draw_sheet(const options *o, ms_error *err) {
    int64_t frames[64];
    crop crops[64] = {{0}};
    MS_TRY(choose_frames(o, frames, err));
    if (o->track)
        MS_TRY(find_crops(o->track, frames, o->columns, crops, err));
    int rows = o->video[2] ? 3 : 2;
    sheet s = {.width = LABEL + o->columns * (o->cell + MARGIN), .height = HEAD + rows * (o->cell + MARGIN)};
    size_t bytes = (size_t)s.width * (size_t)s.height * 3;
    s.rgb = ms_mem_alloc(NULL, MS_LEDGER_FRAMES, bytes);
    if (!s.rgb)
        return ms_fail_alloc(err, NULL, bytes, "a contact sheet");
    memset(s.rgb, 245, bytes);
    ms_status status = MS_OK;
    for (int i = 0; i < o->columns; i++) {
        char number[24];
        int length = snprintf(number, sizeof(number), "%lld", (long long)frames[i]);
        write_text(&s, LABEL + i * (o->cell + MARGIN) + o->cell / 2 - 6 * length, 5, number);
    }
    for (int row = 0; row < rows && status == MS_OK; row++)
        status = draw_row(o, row, frames, crops, &s, err);
    if (status == MS_OK)
        status = png_write(o->output, s.rgb, s.width, s.height, err);
    ms_mem_free(s.rgb);
    return status;
}

static bool take(void *state, int letter, const char *value) {
    options *o = state;
    switch (letter) {
    case 'i':
        o->video[0] = value;
        return true;
    case 'v':
        o->video[1] = value;
        return true;
    case 't':
        o->video[2] = value;
        return true;
    case 'k':
        o->track = value;
        return true;
    case 'o':
        o->output = value;
        return true;
    case 'c':
        return whole_number(value, 1, 64, &o->columns);
    case 's':
        return whole_number(value, 32, 1024, &o->cell);
    default:
        return false;
    }
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"input", 1, NULL, 'i'}, {"output", 1, NULL, 'v'}, {"truth", 1, NULL, 't'},
        {"track", 1, NULL, 'k'}, {"out", 1, NULL, 'o'},    {"columns", 1, NULL, 'c'},
        {"cell", 1, NULL, 's'},  {"help", 0, NULL, 'h'},   {NULL, 0, NULL, 0}};
    options o = {.columns = 8, .cell = 180};
    int exit_code;
    ms_libav_log_take(NULL);
    if (!read_options(argc, argv, names, usage, take, &o, &exit_code))
        return exit_code;
    if (!o.video[0] || !o.video[1] || !o.output) {
        fputs(usage, stderr);
        return ms_status_exit_code(MS_INVALID_ARGUMENT);
    }
    ms_error err;
    ms_error_clear(&err);
    ms_status status = draw_sheet(&o, &err);
    if (status != MS_OK)
        fprintf(stderr, "contact_sheet: %s\n", err.message);
    return ms_status_exit_code(status);
}
