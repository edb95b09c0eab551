#include "support/media/hostile.h"

#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

#include <libavutil/frame.h>

#include "support/media/clip.h"

static void fill_grey(AVFrame *frame, int64_t number, const void *context) {
    (void)context;
    for (int p = 0; p < AV_NUM_DATA_POINTERS && frame->buf[p]; p++)
        memset(frame->buf[p]->data, 100 + (int)number, frame->buf[p]->size);
}

void hostile_pictures(const char *path, const char *encoder, const char *pixel_format, int width,
                      int height) {
    const clip_raw raw = {.encoder = encoder,
                          .pixel_format = pixel_format,
                          .width = width,
                          .height = height,
                          .fps_num = 1,
                          .fps_den = 1,
                          .frames = 2,
                          .fill = fill_grey};
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        clip_write_raw(path, &raw);
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* PixelWidth and PixelHeight are two-byte numbers: id, length 0x82, big-endian value. */
static void patch(uint8_t *data, size_t bytes, uint8_t id, int from, int to) {
    const uint8_t want[4] = {id, 0x82, (uint8_t)(from >> 8), (uint8_t)from};
    uint8_t *at = memmem(data, bytes, want, sizeof(want));
    assert_non_null(at);
    at[2] = (uint8_t)(to >> 8);
    at[3] = (uint8_t)to;
}

void hostile_lying_pictures(const char *path, int width, int height) {
    size_t bytes;
    hostile_pictures(path, "png", "gray", width, height);
    uint8_t *data = clip_load(path, &bytes);
    patch(data, bytes, 0xb0, width, 64);
    patch(data, bytes, 0xba, height, 64);
    clip_save(path, data, bytes);
    free(data);
}

static void put_le(FILE *f, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        fputc((int)(value >> 8 * i & 255), f);
}

void hostile_wav(const char *path, uint32_t rate, uint32_t samples) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs("RIFF", f);
    put_le(f, 36 + samples, 4);
    fputs("WAVEfmt ", f);
    put_le(f, 16, 4);
    put_le(f, 1, 2); /* PCM */
    put_le(f, 1, 2); /* channel */
    put_le(f, rate, 4);
    put_le(f, rate, 4);
    put_le(f, 1, 2);
    put_le(f, 8, 2);
    fputs("data", f);
    put_le(f, samples, 4);
    for (uint32_t i = 0; i < samples; i++)
        fputc(128 + (int)(i % 40), f);
    fclose(f);
}
