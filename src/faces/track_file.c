#include "faces/track_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "files/new_file.h"
#include "files/regular_file.h"

struct ms_track_reader {
    ms_mem *mem;
    FILE *file;
    char *path;
    int64_t line, last_frame;
    size_t start, end; /* unread part of text */
    bool file_done;
    char text[MS_TRACK_MAX_LINE_BYTES];
};

struct ms_track_writer {
    ms_new_file file;
    ms_buf line;
};

ms_status ms_track_reader_open(ms_mem *mem, const char *path, ms_track_reader **ret_reader, ms_error *err) {
    ms_track_reader *r = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*r));
    if (!r)
        return ms_fail_alloc(err, mem, sizeof(*r), "a track reader");
    r->mem = mem;
    r->last_frame = -1;
    ms_status status = MS_OK;
    if (!(r->path = ms_strdup(mem, path)))
        status = ms_fail_alloc(err, mem, strlen(path) + 1, "a path");
    else
        status = ms_regular_fopen(path, &r->file, err);
    if (status == MS_OK) {
        setvbuf(r->file, NULL, _IONBF, 0); /* text is the buffer */
        *ret_reader = r;
        return MS_OK;
    }
    ms_track_reader_close(&r);
    return status;
}

void ms_track_reader_close(ms_track_reader **reader) {
    ms_track_reader *r = *reader;
    if (!r)
        return;
    if (r->file)
        fclose(r->file);
    ms_mem_free(r->path);
    ms_mem_free(r);
    *reader = NULL;
}

/* The next line without its newline; NULL at the end of the file. */
static ms_status next_line(ms_track_reader *r, const char **ret_line, size_t *ret_length, ms_error *err) {
    for (;;) {
        char *line = r->text + r->start, *newline = memchr(line, '\n', r->end - r->start);
        size_t length = newline ? (size_t)(newline - line) : r->end - r->start;
        if (newline || r->file_done) {
            r->start += length + (newline ? 1 : 0);
            r->line++;
            *ret_line = newline || length ? line : NULL;
            *ret_length = length;
            return MS_OK;
        }
        memmove(r->text, line, length);
        r->start = 0;
        r->end = length;
        if (r->end == sizeof(r->text))
            return ms_fail(err, MS_BAD_MEDIA, "%s:%lld: line of more than %zu bytes", r->path,
                           (long long)r->line + 1, sizeof(r->text));
        size_t got = fread(r->text + r->end, 1, sizeof(r->text) - r->end, r->file);
        if (got == 0 && ferror(r->file))
            return ms_fail(err, MS_IO, "%s: cannot be read: %s", r->path, strerror(errno));
        r->file_done = got == 0;
        r->end += got;
    }
}

static bool is_blank(const char *line, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (!memchr(" \t\r", line[i], 3))
            return false;
    return true;
}

/* count numbers of an array, within the range of coordinates. */
static bool read_numbers(const ms_json *array, uint32_t count, float *ret_numbers) {
    if (!array || array->type != MS_JSON_ARRAY || array->count != count)
        return false;
    for (const ms_json *v = array->child; v; v = v->next) {
        if (v->type != MS_JSON_NUMBER || !(fabs(v->number) <= MS_TRACK_MAX_COORDINATE))
            return false;
        *ret_numbers++ = (float)v->number;
    }
    return true;
}

static void box_of(float landmarks[MS_LANDMARKS][2], float ret_box[4]) {
    memcpy(ret_box, landmarks[0], 2 * sizeof(float));
    memcpy(ret_box + 2, landmarks[0], 2 * sizeof(float));
    for (int i = 1; i < MS_LANDMARKS; i++)
        for (int c = 0; c < 2; c++) {
            ret_box[c] = fminf(ret_box[c], landmarks[i][c]);
            ret_box[2 + c] = fmaxf(ret_box[2 + c], landmarks[i][c]);
        }
}

static ms_status read_record(const ms_track_reader *r, const ms_json *root, ms_face_record *ret,
                             ms_error *err) {
    const ms_json *frame = ms_json_get(root, "frame"), *box = ms_json_get(root, "bbox");
    const ms_json *landmarks = ms_json_get(root, "landmarks106"), *mouth = ms_json_get(root, "mouth_opening");
    if (!frame || frame->type != MS_JSON_NUMBER || !frame->is_integer || frame->integer < 0 ||
        frame->integer > MS_TRACK_MAX_FRAME)
        return ms_fail(err, MS_BAD_MEDIA, "\"frame\" is no frame number");
    if (frame->integer <= r->last_frame)
        return ms_fail(err, MS_BAD_MEDIA, "frame %lld comes after frame %lld", (long long)frame->integer,
                       (long long)r->last_frame);
    if (!landmarks || landmarks->type != MS_JSON_ARRAY || landmarks->count != MS_LANDMARKS)
        return ms_fail(err, MS_BAD_MEDIA, "\"landmarks106\" is no array of %d points", MS_LANDMARKS);
    int i = 0;
    for (const ms_json *point = landmarks->child; point; point = point->next, i++)
        if (!read_numbers(point, 2, ret->landmarks[i]))
            return ms_fail(err, MS_BAD_MEDIA, "\"landmarks106\"[%d] is no pair of coordinates", i);
    if (!box)
        box_of(ret->landmarks, ret->box);
    else if (!read_numbers(box, 4, ret->box))
        return ms_fail(err, MS_BAD_MEDIA, "\"bbox\" is no array of 4 coordinates");
    if (mouth) {
        if (mouth->type != MS_JSON_NUMBER || !(fabs(mouth->number) <= MS_TRACK_MAX_COORDINATE))
            return ms_fail(err, MS_BAD_MEDIA, "\"mouth_opening\" is no length");
        ret->has_mouth_opening = true;
        ret->mouth_opening = (float)mouth->number;
    }
    ret->frame = frame->integer;
    ret->present = true;
    return MS_OK;
}

/* How the parser names the place in a text that is one line: the file's line is said in front. */
#define ONLY_LINE "line 1: "

ms_status ms_track_reader_next(ms_track_reader *r, ms_face_record *ret_record, bool *ret_got, ms_error *err) {
    const char *line = NULL;
    size_t length = 0;
    do {
        MS_TRY(next_line(r, &line, &length, err));
    } while (line && is_blank(line, length));
    if (!line) {
        *ret_got = false;
        return MS_OK;
    }
    ms_json_doc *doc = NULL;
    ms_face_record record = {0};
    ms_status status = ms_json_parse(r->mem, line, length, &doc, err);
    if (status == MS_INVALID_ARGUMENT)
        status = MS_BAD_MEDIA;
    if (status == MS_BAD_MEDIA && err && strncmp(err->message, ONLY_LINE, strlen(ONLY_LINE)) == 0)
        memmove(err->message, err->message + strlen(ONLY_LINE), strlen(err->message + strlen(ONLY_LINE)) + 1);
    if (status == MS_OK)
        status = read_record(r, ms_json_root(doc), &record, err);
    ms_json_doc_destroy(&doc);
    if (status != MS_OK)
        return ms_fail_prefix(err, status, "%s:%lld", r->path, (long long)r->line);
    r->last_frame = record.frame;
    *ret_record = record;
    *ret_got = true;
    return MS_OK;
}

static void write_numbers(ms_buf *buf, const float *numbers, int count) {
    ms_buf_append(buf, "[", 1);
    for (int i = 0; i < count; i++) {
        if (i)
            ms_buf_append(buf, ",", 1);
        if (rintf(numbers[i]) == numbers[i] && fabsf(numbers[i]) <= 1e9f)
            ms_buf_printf(buf, "%ld", lrintf(numbers[i]));
        else
            ms_buf_json_number(buf, (double)numbers[i]);
    }
    ms_buf_append(buf, "]", 1);
}

void ms_track_write_line(ms_buf *buf, const ms_face_record *record) {
    ms_buf_printf(buf, "{\"frame\":%lld,\"bbox\":", (long long)record->frame);
    write_numbers(buf, record->box, 4);
    ms_buf_printf(buf, ",\"landmarks106\":[");
    for (int i = 0; i < MS_LANDMARKS; i++) {
        if (i)
            ms_buf_append(buf, ",", 1);
        write_numbers(buf, record->landmarks[i], 2);
    }
    ms_buf_printf(buf, "]}\n");
}

static void writer_free(ms_track_writer **writer) {
    ms_track_writer *w = *writer;
    ms_new_file_abort(&w->file);
    ms_buf_free(&w->line);
    ms_mem_free(w);
    *writer = NULL;
}

ms_status ms_track_writer_create(ms_mem *mem, const char *path, bool replace, ms_track_writer **ret_writer,
                                 ms_error *err) {
    ms_track_writer *w = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, mem, sizeof(*w), "a track writer");
    ms_buf_init(&w->line, mem);
    ms_status status = ms_new_file_open(&w->file, mem, path, replace, err);
    if (status == MS_OK)
        *ret_writer = w;
    else
        writer_free(&w);
    return status;
}

ms_status ms_track_writer_add(ms_track_writer *w, const ms_face_record *record, ms_error *err) {
    if (!record->present)
        return MS_OK;
    w->line.length = 0;
    ms_track_write_line(&w->line, record);
    if (w->line.failed)
        return ms_fail_alloc(err, w->line.mem, w->line.capacity, "a line of text");
    return ms_new_file_write(&w->file, w->line.data, w->line.length, err);
}

ms_status ms_track_writer_finish(ms_track_writer **writer, ms_error *err) {
    ms_status status = ms_new_file_finish(&(*writer)->file, err);
    writer_free(writer);
    return status;
}

void ms_track_writer_abort(ms_track_writer **writer) {
    if (*writer)
        writer_free(writer);
}
