/*
 * draw_faces: single frames of many people with their ground truth, for training
 * the face nets. Raw records on standard output, one after the other:
 *
 *   float32 box[4], points[106][2]   picture pixels, as drawn (not rounded)
 *   uint8 rgb[size][size][3]
 *
 * Little-endian machines only, as the reader says (tools/train_faces).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "world/speech.h"
#include "world/world.h"

#define SPEECH_S 4.0f

typedef struct job {
    uint64_t first;
    int people, frames, size;
} job;

/* Half of the mouths are from speech, half are any mouth, so that wide open ones are not rare. */
static w_mouth mouth_of(const speech *said, float time_s, const float dice[4]) {
    w_mouth m = {.open = dice[0], .wide = 2 * dice[1] - 1};
    if (dice[3] < 0.5f)
        return speech_mouth(said, time_s);
    m.round = dice[2] < 0.5f ? 0 : 2 * dice[2] - 1;
    m.press = dice[3] > 0.95f ? 1 : 0;
    return m;
}

static ms_status draw_person(const job *j, uint64_t seed, uint8_t *rgb, ms_error *err) {
    world *w = NULL;
    speech said = {0};
    ms_status status;
    size_t bytes = (size_t)j->size * (size_t)j->size * 3;
    MS_GOTO(world_create(NULL, seed, j->size, j->size, &w, err));
    MS_GOTO(speech_babble(NULL, seed, SPEECH_S, &said, err));
    for (int i = 0; i < j->frames; i++) {
        float dice[4], time_dice[4];
        w_moment now;
        w_face face;
        ms_face_record record;
        w_random4(seed, W_STREAM_MOTION, 900, (uint32_t)i, dice);
        w_random4(seed, W_STREAM_MOTION, 901, (uint32_t)i, time_dice);
        float time_s = SPEECH_S * time_dice[0];
        world_moment(w, 60.0 * (double)time_dice[1], &now);
        now.mouth = mouth_of(&said, time_s, dice);
        world_draw(w, &now, i, rgb, &face);
        w_face_record_exact(&face, i, j->size, j->size, &record);
        if (fwrite(record.box, 1, sizeof(record.box), stdout) != sizeof(record.box) ||
            fwrite(record.landmarks, 1, sizeof(record.landmarks), stdout) != sizeof(record.landmarks) ||
            fwrite(rgb, 1, bytes, stdout) != bytes) {
            status = ms_fail(err, MS_IO, "the output cannot be written: %s", strerror(errno));
            goto fail;
        }
    }
    status = MS_OK;
fail:
    speech_free(&said);
    world_destroy(&w);
    return status;
}

static bool number(const char *text, uint64_t low, uint64_t high, uint64_t *ret_value) {
    char *end;
    errno = 0;
    *ret_value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno && *ret_value >= low && *ret_value <= high;
}

int main(int argc, char **argv) {
    uint64_t value[4];
    static const uint64_t low[4] = {0, 1, 1, WORLD_MIN_PX},
                          high[4] = {UINT64_MAX, 1000000, 1000, WORLD_MAX_PX};
    bool good = argc == 5;
    for (int i = 0; i < 4 && good; i++)
        good = number(argv[1 + i], low[i], high[i], &value[i]);
    if (!good || isatty(STDOUT_FILENO)) {
        fputs("usage: draw_faces FIRST_SEED PEOPLE FRAMES_EACH SIZE > FILE\n", stderr);
        return ms_status_exit_code(MS_INVALID_ARGUMENT);
    }
    const job j = {value[0], (int)value[1], (int)value[2], (int)value[3]};
    ms_error err;
    ms_error_clear(&err);
    uint8_t *rgb = ms_alloc_array(NULL, MS_LEDGER_FRAMES, (size_t)j.size * (size_t)j.size, 3);
    ms_status status =
        rgb ? MS_OK : ms_fail_alloc(&err, NULL, (size_t)j.size * (size_t)j.size * 3, "a frame");
    for (int i = 0; i < j.people && status == MS_OK; i++)
        status = draw_person(&j, j.first + (uint64_t)i, rgb, &err);
    ms_mem_free(rgb);
    if (status == MS_OK && fflush(stdout) != 0)
        status = ms_fail(&err, MS_IO, "the output cannot be written: %s", strerror(errno));
    if (status != MS_OK)
        fprintf(stderr, "draw_faces: %s\n", err.message);
    return ms_status_exit_code(status);
}
