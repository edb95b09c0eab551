/* The video reader: colours of every coding. */
#include "test.h"

#include <libavutil/frame.h>

#include "support/media/video.h"

/* ---- colour */

static const uint8_t patches[][3] = {{255, 255, 255}, {0, 0, 0},       {255, 0, 0},   {0, 255, 0},
                                     {0, 0, 255},     {255, 255, 0},   {0, 255, 255}, {255, 0, 255},
                                     {128, 128, 128}, {200, 150, 120}, {90, 60, 45},  {16, 235, 128},
                                     {12, 34, 56},    {250, 240, 230}, {77, 77, 20},  {180, 20, 99}};
#define N_PATCHES ((int)(sizeof(patches) / sizeof(patches[0])))
#define PATCH 16

typedef struct coding {
    double kr, kb;
    bool full;
} coding;

/* Patches side by side in YUV by the definition in H.273; 8 or 10 bits, any chroma. */
static void fill_patches(AVFrame *frame, int64_t number, const void *context) {
    (void)number;
    const coding *c = context;
    bool ten = frame->format == AV_PIX_FMT_YUV420P10LE;
    bool half_x = frame->format != AV_PIX_FMT_YUV444P, half_y = half_x && frame->format != AV_PIX_FMT_YUV422P;
    for (int plane = 0; plane < 3; plane++) {
        int w = plane && half_x ? frame->width / 2 : frame->width;
        int h = plane && half_y ? frame->height / 2 : frame->height;
        int patch = plane && half_x ? PATCH / 2 : PATCH;
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                const uint8_t *rgb = patches[x / patch % N_PATCHES];
                double r = rgb[0] / 255.0, g = rgb[1] / 255.0, b = rgb[2] / 255.0;
                double luma = c->kr * r + (1 - c->kr - c->kb) * g + c->kb * b;
                double v = plane == 0   ? luma
                           : plane == 1 ? (b - luma) / (2 - 2 * c->kb)
                                        : (r - luma) / (2 - 2 * c->kr);
                double coded =
                    c->full ? v * 255 + (plane ? 128 : 0) : v * (plane ? 224 : 219) + (plane ? 128 : 16);
                coded = coded < 0 ? 0 : coded > 255 ? 255 : coded;
                uint8_t *row = frame->data[plane] + (ptrdiff_t)y * frame->linesize[plane];
                if (ten)
                    ((uint16_t *)row)[x] = (uint16_t)lrint(coded * 4);
                else
                    row[x] = (uint8_t)lrint(coded);
            }
        }
    }
}

/* Largest difference to the patches in their middles, where chroma does not mix. */
static int worst_patch(const uint8_t *rgb, int width, int y) {
    int worst = 0;
    for (int i = 0; i < N_PATCHES; i++) {
        const uint8_t *p = rgb + 3 * ((size_t)y * (size_t)width + (size_t)(i * PATCH + PATCH / 2));
        for (int c = 0; c < 3; c++) {
            int d = abs(p[c] - patches[i][c]);
            worst = d > worst ? d : worst;
        }
    }
    return worst;
}

static void colours_survive(void **state) {
    (void)state;
    static const coding bt601 = {0.299, 0.114, false}, bt601_full = {0.299, 0.114, true},
                        bt709 = {0.2126, 0.0722, false}, bt709_full = {0.2126, 0.0722, true},
                        bt2020 = {0.2627, 0.0593, false}, smpte240 = {0.212, 0.087, false};
    static const struct {
        const coding *coding;
        int matrix; /* as written in the file, 0 = not */
        int height;
        bool matrix_guessed;
        int expected;
    } cases[] = {
        {&bt601, 6, 32, false, 6},    {&bt601_full, 6, 32, false, 6}, {&bt601, 5, 32, false, 5},
        {&bt709, 1, 32, false, 1},    {&bt709_full, 1, 32, false, 1}, {&bt2020, 9, 32, false, 9},
        {&smpte240, 7, 32, false, 7}, {&bt601, 0, 32, true, 6},       {&bt601, 0, 718, true, 6},
        {&bt709, 0, 720, true, 1},
    };
    static const char *const formats[] = {"yuv420p", "yuv444p", "yuv422p", "yuv420p10le"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int f = 0; f < (cases[i].height > 100 ? 1 : 4); f++) {
            clip_raw raw = {.encoder = "ffv1",
                            .pixel_format = formats[f],
                            .width = N_PATCHES * PATCH,
                            .height = cases[i].height,
                            .fps_num = 25,
                            .fps_den = 1,
                            .frames = 1,
                            .matrix = cases[i].matrix,
                            .full_range = cases[i].coding->full,
                            .fill = fill_patches,
                            .context = cases[i].coding};
            clip_write_raw(clip_path("colour.mkv"), &raw);
            ms_video_reader *r = open_reader(clip_path("colour.mkv"), NULL);
            const ms_video_info *info = ms_video_reader_info(r);
            assert_int_equal(info->colour.matrix, cases[i].expected);
            assert_int_equal(info->matrix_guessed, cases[i].matrix_guessed);
            assert_int_equal(info->colour.full_range, cases[i].coding->full);
            int64_t count;
            uint8_t *all = read_all(r, &count);
            int worst = worst_patch(all, info->width, info->height / 2);
            if (worst > 2)
                fail_msg("case %d, %s: %d levels", (int)i, formats[f], worst);
            free(all);
            ms_video_reader_close(&r);
        }
    }
}

static void fill_ramp(AVFrame *frame, int64_t number, const void *context) {
    (void)number;
    (void)context;
    for (int y = 0; y < frame->height; y++)
        memset(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], 128, (size_t)frame->width);
    for (int y = 0; y < frame->height / 2; y++) {
        for (int x = 0; x < frame->width / 2; x++) {
            frame->data[1][(ptrdiff_t)y * frame->linesize[1] + x] = 128;
            frame->data[2][(ptrdiff_t)y * frame->linesize[2] + x] = (uint8_t)(64 + 2 * x);
        }
    }
}

/* A straight ramp in V: with chroma at the left of its pixel pair, red at pixel x
   follows 64 + x; taken for the middle, it would be half a level of V less. */
static void chroma_lies_on_the_left(void **state) {
    (void)state;
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "yuv420p",
                    .width = 128,
                    .height = 32,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 1,
                    .matrix = 6,
                    .fill = fill_ramp};
    clip_write_raw(clip_path("siting.mkv"), &raw);
    int64_t count;
    uint8_t *all = read_file(clip_path("siting.mkv"), NULL, &count);
    double sum = 0;
    for (int x = 16; x < 96; x++) { /* V = 64 + x runs to 160 there: no clipping */
        double exact = 255.0 / 219 * (128 - 16) + 255.0 / 224 * 1.402 * (64 + x - 128);
        exact = exact < 0 ? 0 : exact > 255 ? 255 : exact;
        sum += all[3 * (16 * 128 + x)] - exact;
    }
    assert_true(fabs(sum / 80) < 0.3); /* half a level of V would be 0.8 */
    free(all);
}

int main(void) {
    ms_libav_log_take(NULL); /* holes are counted by what libav says of them */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_survive),
        cmocka_unit_test(chroma_lies_on_the_left),
    };
    av_log_set_level(AV_LOG_QUIET); /* the clips' own encoders, before the reader's log takes over */
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
