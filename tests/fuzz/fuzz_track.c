/* Track files: faces as JSON lines. What is read, written and read again is the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "faces/track_file.h"
#include "fuzz/fuzz.h"

const fuzz_seeds fuzz_golden_seeds = {NULL, NULL};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    size_t n = 0;
    if (index >= 3)
        return 0;
    for (int frame = 0; frame < 3; frame++) {
        n += (size_t)snprintf((char *)ret_data + n, room - n, "{\"frame\":%d,", frame * ((int)index + 1));
        if (index != 1) /* without a box it is that of the landmarks */
            n += (size_t)snprintf((char *)ret_data + n, room - n, "\"bbox\":[1,2.5,300,4e2],\"x\":null,");
        n += (size_t)snprintf((char *)ret_data + n, room - n, "\"landmarks106\":[");
        for (int i = 0; i < MS_LANDMARKS; i++)
            n += (size_t)snprintf((char *)ret_data + n, room - n, "%s[%d,%g]", i ? "," : "", i, i * 0.5 - 7);
        n += (size_t)snprintf((char *)ret_data + n, room - n, index == 2 ? "]}\r\n\n" : "]}\n");
    }
    return n;
}

/* The reader wants a path: the bytes lie in a file without a name. */
static int file_of(const void *data, size_t size, char path[64]) {
    FILE *f = tmpfile();
    fuzz_require(f && fwrite(data, 1, size, f) == size && fflush(f) == 0, "a temporary file");
    int fd = dup(fileno(f));
    fclose(f);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* By value: minus zero is written as 0. */
static bool same_face(const ms_face_record *a, const ms_face_record *b) {
    bool same = a->frame == b->frame;
    for (int i = 0; i < 4; i++)
        same = same && a->box[i] == b->box[i];
    for (int i = 0; i < MS_LANDMARKS; i++)
        same = same && a->landmarks[i][0] == b->landmarks[i][0] && a->landmarks[i][1] == b->landmarks[i][1];
    return same;
}

static void check_written(ms_mem *mem, const ms_face_record *record) {
    ms_track_reader *reader = NULL;
    ms_face_record again;
    ms_error err;
    ms_buf line;
    char path[64];
    bool got = false;
    ms_buf_init(&line, mem);
    ms_track_write_line(&line, record);
    if (!line.failed) {
        int fd = file_of(line.data, line.length, path);
        ms_status status = ms_track_reader_open(mem, path, &reader, &err);
        if (status == MS_OK)
            status = ms_track_reader_next(reader, &again, &got, &err);
        fuzz_require(status == MS_HOST_MEMORY || (got && same_face(record, &again)),
                     "what was written reads as the same face");
        ms_track_reader_close(&reader);
        close(fd);
    }
    ms_buf_free(&line);
}

static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    ms_track_reader *reader = NULL;
    ms_face_record record;
    ms_error err;
    char path[64];
    bool got = true;
    int64_t last = -1;
    int fd = file_of(data, size, path);
    ms_status status = ms_track_reader_open(mem, path, &reader, &err);
    fuzz_require(status == MS_OK || status == MS_HOST_MEMORY, "a file can be opened");
    while (status == MS_OK && got) {
        status = ms_track_reader_next(reader, &record, &got, &err);
        fuzz_require(status == MS_OK || status == MS_BAD_MEDIA || status == MS_HOST_MEMORY,
                     "the status is one of three");
        fuzz_require(status == MS_OK || strlen(err.message) > 6, "a refusal has a message");
        if (status != MS_OK || !got)
            break;
        fuzz_require(record.frame > last && record.frame <= MS_TRACK_MAX_FRAME, "frames rise");
        if (last < 0)
            check_written(mem, &record);
        last = record.frame;
    }
    ms_track_reader_close(&reader);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(parse, data, size);
}
