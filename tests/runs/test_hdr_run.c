/* `memsafe run` on HDR: kept with ten bits in HEVC, made an ordinary picture when
   that is asked for, else refused. */
#include "test.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/mastering_display_metadata.h>

#include "support/cli.h"
#include "support/media/clip.h"
#include "support/media/track.h"

#define WIDTH 240
#define HEIGHT 160
#define LIGHT "master-display=G(8500\\,39850)B(6550\\,2300)R(35400\\,14600)WP(15635\\,16450)L(10000000\\,50)"

/* Steps of one ten-bit code, which eight bits would not hold; the top left corner
   is a white sheet of 203 cd/m2. */
static void fill(AVFrame *frame, int64_t number, const void *context) {
    (void)number, (void)context;
    for (int y = 0; y < HEIGHT; y++) {
        uint16_t *row = (uint16_t *)(void *)(frame->data[0] + y * frame->linesize[0]);
        for (int x = 0; x < WIDTH; x++)
            row[x] = (uint16_t)(x < 32 && y < 32 ? 573 : 300 + x + y / 2);
    }
    for (int p = 1; p < 3; p++)
        for (int y = 0; y < HEIGHT / 2; y++)
            for (int x = 0; x < WIDTH / 2; x++)
                ((uint16_t *)(void *)(frame->data[p] + y * frame->linesize[p]))[x] = 512;
}

static int setup(void **state) {
    (void)state;
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "yuv420p10le",
                    .width = WIDTH,
                    .height = HEIGHT,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 8,
                    .matrix = 9,
                    .transfer = 16,
                    .fill = fill};
    clip_write_raw(test_file("pq.mkv"), &raw);
    raw.transfer = 18;
    clip_write_raw(test_file("hlg.mkv"), &raw);
    raw.transfer = 16;
    raw.encoder = "libx265";
    raw.options = "preset=ultrafast:x265-params=log-level=none\\:crf=4\\:" LIGHT "\\:max-cll=1000\\,400";
    clip_write_raw(test_file("light.mp4"), &raw);
    test_write_track("in.jsonl", 8, 150, 90, 80, 0, 0);
    clip_write_noise(test_file("in.wav"), 8000);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

static int run(const char *clip, const char *out, const char *more) {
    return test_run(
        "run --model %s --video %s --audio %s --track %s -o %s --steps 1 --resolution 64 --force %s",
        test_file("model"), test_file(clip), test_file("in.wav"), test_file("in.jsonl"), test_file(out),
        more);
}

/* The frame of that number, as the decoder gives it. */
static AVFrame *decode(const char *path, int number) {
    AVFormatContext *format = NULL;
    assert_int_equal(avformat_open_input(&format, path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(format, NULL) >= 0);
    int n = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    assert_true(n >= 0);
    const AVCodecParameters *par = format->streams[n]->codecpar;
    AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_decoder(par->codec_id));
    assert_true(avcodec_parameters_to_context(codec, par) >= 0);
    assert_true(avcodec_open2(codec, NULL, NULL) >= 0);
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int rc = 0, got = -1;
    while (got < number && rc >= 0) {
        rc = av_read_frame(format, packet);
        if (rc >= 0 && packet->stream_index != n) {
            av_packet_unref(packet);
            continue;
        }
        assert_true(avcodec_send_packet(codec, rc >= 0 ? packet : NULL) >= 0);
        av_packet_unref(packet);
        while (got < number && avcodec_receive_frame(codec, frame) >= 0)
            got++;
    }
    assert_int_equal(got, number);
    av_packet_free(&packet);
    avcodec_free_context(&codec);
    avformat_close_input(&format);
    return frame;
}

static int luma(const AVFrame *frame, int x, int y) {
    return ((const uint16_t *)(const void *)(frame->data[0] + y * frame->linesize[0]))[x];
}

static void without_a_word_it_is_refused(void **state) {
    (void)state;
    static const char *const codecs[] = {"h264", "ffv1"};
    for (int i = 0; i < 2; i++) {
        char more[64];
        snprintf(more, sizeof(more), "--codec %s", codecs[i]);
        assert_true(run("pq.mkv", "refused.mkv", more) != 0);
        assert_non_null(strstr(test_output, "pq.mkv is HDR (PQ)"));
        assert_non_null(strstr(test_output, "--codec hevc keeps it"));
        assert_true(run("hlg.mkv", "refused.mkv", more) != 0);
        assert_non_null(strstr(test_output, "hlg.mkv is HDR (HLG)"));
    }
    assert_false(test_exists(test_file("refused.mkv")));
}

static void tone_mapping_makes_an_ordinary_picture(void **state) {
    (void)state;
    assert_int_equal(run("pq.mkv", "sdr.mp4", "--tonemap --crf 1"), 0);
    assert_non_null(strstr(test_output, "note: the video is HDR (PQ): it becomes an ordinary picture"));
    AVFrame *frame = decode(test_file("sdr.mp4"), 2);
    assert_int_equal(frame->format, AV_PIX_FMT_YUV420P);
    assert_int_equal(frame->colorspace, AVCOL_SPC_BT709);
    assert_int_equal(frame->color_trc, AVCOL_TRC_BT709);
    assert_int_equal(frame->color_primaries, AVCOL_PRI_BT709);
    /* 226 of 255 in limited range; as it is in the file it would be 143. */
    assert_true(abs(frame->data[0][12 * frame->linesize[0] + 12] - 210) <= 2);
    av_frame_free(&frame);
    assert_int_equal(run("hlg.mkv", "sdr.mp4", "--tonemap --codec hevc"), 0);
    frame = decode(test_file("sdr.mp4"), 0);
    assert_int_equal(frame->format, AV_PIX_FMT_YUV420P);
    assert_int_equal(frame->color_trc, AVCOL_TRC_BT709);
    av_frame_free(&frame);
}

/* Outside the face the ten bits are those of the input; inside something else. */
static void hevc_keeps_ten_bits(void **state) {
    (void)state;
    static const char *const clips[] = {"pq.mkv", "hlg.mkv"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run(clips[i], "kept.mkv", "--codec hevc --crf 1"), 0);
        assert_null(strstr(test_output, "bits a colour"));
        AVFrame *in = decode(test_file(clips[i]), 3), *out = decode(test_file("kept.mkv"), 3);
        assert_int_equal(out->format, AV_PIX_FMT_YUV420P10);
        assert_int_equal(out->colorspace, AVCOL_SPC_BT2020_NCL);
        assert_int_equal(out->color_trc, i ? AVCOL_TRC_ARIB_STD_B67 : AVCOL_TRC_SMPTE2084);
        assert_int_equal(out->color_primaries, AVCOL_PRI_BT2020);
        int outside = 0, n_outside = 0, inside = 0;
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < 60; x++, n_outside++)
                outside += abs(luma(in, x, y) - luma(out, x, y));
        for (int y = 80; y < 110; y++)
            for (int x = 140; x < 170; x++)
                inside += abs(luma(in, x, y) - luma(out, x, y));
        /* Eight bits would be one code off on average. */
        if ((double)outside / n_outside > 0.5 || inside < 900 * 4)
            fail_msg("%s: %g codes off outside the face, %g inside", clips[i], (double)outside / n_outside,
                     inside / 900.0);
        av_frame_free(&in);
        av_frame_free(&out);
    }
}

static void what_is_said_of_its_light_is_kept(void **state) {
    (void)state;
    assert_int_equal(run("light.mp4", "light-out.mp4", "--codec hevc"), 0);
    AVFrame *frame = decode(test_file("light-out.mp4"), 0);
    const AVFrameSideData *sd = av_frame_get_side_data(frame, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA);
    assert_non_null(sd);
    const AVMasteringDisplayMetadata *display = (const AVMasteringDisplayMetadata *)(const void *)sd->data;
    assert_true(display->has_primaries && display->has_luminance);
    assert_true(fabs(av_q2d(display->max_luminance) - 1000) < 1e-6);
    assert_true(fabs(av_q2d(display->min_luminance) - 0.005) < 1e-6);
    assert_true(fabs(av_q2d(display->display_primaries[0][0]) - 0.708) < 1e-6);
    assert_true(fabs(av_q2d(display->display_primaries[1][1]) - 0.797) < 1e-6);
    assert_true(fabs(av_q2d(display->white_point[0]) - 0.3127) < 1e-6);
    sd = av_frame_get_side_data(frame, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
    assert_non_null(sd);
    const AVContentLightMetadata *level = (const AVContentLightMetadata *)(const void *)sd->data;
    assert_true(level->MaxCLL == 1000 && level->MaxFALL == 400);
    av_frame_free(&frame);
}

static double number_of(const char *json, const char *name) {
    const char *at = strstr(json, name);
    assert_non_null(at);
    return strtod(at + strlen(name), NULL);
}

/* The walk backwards and the joining of segments know the larger frames too; what is planned holds. */
static void it_may_be_looped_and_cut(void **state) {
    (void)state;
    char more[600];
    size_t bytes;
    snprintf(more, sizeof(more), "--codec hevc --segment 4 --report %s", test_file("whole.json"));
    assert_int_equal(run("pq.mkv", "whole.mp4", more), 0);
    char *json = (char *)clip_load(test_file("whole.json"), &bytes);
    json[bytes] = 0;
#ifndef SANITIZED /* whose memory is not planned */
    assert_true(number_of(json, "\"peak_resident_bytes\": ") <= number_of(json, "\"planned_bytes\": "));
#else
    assert_true(number_of(json, "\"planned_bytes\": ") > 0);
#endif
    free(json);
    assert_int_equal(
        run("pq.mkv", "cut.mp4", "--codec hevc --segment 4 --force-rung single-frame --threads 1"), 0);
    size_t a, b;
    uint8_t *one = clip_load(test_file("whole.mp4"), &a), *other = clip_load(test_file("cut.mp4"), &b);
    assert_true(a == b && memcmp(one, other, a) == 0);
    free(one);
    free(other);
    AVFrame *in = decode(test_file("pq.mkv"), 0), *out = decode(test_file("whole.mp4"), 13);
    double off = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 40; x < 60; x++)
            off += abs(luma(in, x, y) - luma(out, x, y));
    assert_true(off / (20 * HEIGHT) < 3);
    av_frame_free(&in);
    av_frame_free(&out);
}

int main(void) {
    if (!avcodec_find_encoder_by_name("libx265")) {
        print_message("    skipped: this FFmpeg has no libx265\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_word_it_is_refused),
        cmocka_unit_test(tone_mapping_makes_an_ordinary_picture),
        cmocka_unit_test(hevc_keeps_ten_bits),
        cmocka_unit_test(what_is_said_of_its_light_is_kept),
        cmocka_unit_test(it_may_be_looped_and_cut),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
