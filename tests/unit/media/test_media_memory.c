/*
 * The codec memory estimates against what the process really grows by. Without arguments: the checks. With
 * arguments: one measurement, for the table in docs/media.md:
 *   test_media_memory encode CODEC WIDTH HEIGHT THREADS LOOKAHEAD FRAMES [PRESET]
 *   test_media_memory decode CODEC WIDTH HEIGHT THREADS FRAMES
 */
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "media/read/video_reader.h"
#include "support/media/clip.h"

/* A line of /proc/self/status in bytes. */
static size_t status_bytes(const char *name) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    size_t kib = 0, n = strlen(name);
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, name, n) == 0)
            kib = strtoull(line + n + 1, NULL, 10);
    if (f)
        fclose(f);
    return kib * 1024;
}

static void report(size_t estimate, size_t before) {
    size_t grown = status_bytes("VmHWM") - before;
    printf("%zu %zu\n", estimate, grown);
    fprintf(stderr, "estimate %.1f MiB, measured %.1f MiB\n", (double)estimate / 1048576,
            (double)grown / 1048576);
}

static int measure_encode(char **argv, const char *preset) {
    ms_error err;
    ms_video_writer_params p = MS_VIDEO_WRITER_DEFAULTS;
    p.deep = strcmp(argv[0], "hevc10") == 0;
    ms_video_codec_from_name(p.deep ? "hevc" : argv[0], &p.codec);
    p.width = atoi(argv[1]);
    p.height = atoi(argv[2]);
    p.threads = atoi(argv[3]);
    p.lookahead = atoi(argv[4]);
    p.preset = preset;
    p.force = true;
    p.expected_frames = atoi(argv[5]);
    const char *path = clip_path(p.codec == MS_VIDEO_FFV1 ? "m.mkv" : "m.mp4");
    size_t samples = (size_t)p.width * (size_t)p.height * 3;
    uint8_t *rgb = malloc(samples);
    uint16_t *deep = calloc(samples, sizeof(*deep));
    clip_picture(rgb, p.width, p.height, 0);
    memset(deep, 1, samples * sizeof(*deep));
    size_t before = status_bytes("VmRSS");
    ms_video_writer *w;
    ms_status status = ms_video_writer_open(NULL, path, &p, &w, &err);
    for (int f = 0; f < atoi(argv[5]) && status == MS_OK; f++) {
        clip_picture(rgb, p.width, p.height, f);
        for (size_t i = 0; p.deep && i < samples; i++)
            deep[i] = (uint16_t)(257 * rgb[i]);
        status = ms_video_writer_write(w, p.deep ? (const uint8_t *)deep : rgb, 0, &err);
    }
    if (status == MS_OK)
        status = ms_video_writer_finish(&w, &err);
    if (status)
        fprintf(stderr, "%s\n", err.message);
    report(ms_video_writer_memory(&p), before);
    free(rgb);
    free(deep);
    clip_remove_folder();
    return status != MS_OK;
}

static int measure_decode(char **argv) {
    ms_error err;
    int width = atoi(argv[1]), height = atoi(argv[2]), threads = atoi(argv[3]), frames = atoi(argv[4]);
    bool h26x = strcmp(argv[0], "libx264") == 0 || strcmp(argv[0], "libx265") == 0;
    bool av1 = strcmp(argv[0], "libaom-av1") == 0, vp9 = strcmp(argv[0], "libvpx-vp9") == 0;
    clip_raw raw = {.encoder = argv[0],
                    .pixel_format = strcmp(argv[0], "ffv1") == 0 ? "bgr0" : "yuv420p",
                    .options = h26x  ? "preset=ultrafast:bf=3:refs=4"
                               : av1 ? "cpu-used=8:usage=realtime"
                               : vp9 ? "deadline=realtime:cpu-used=8"
                                     : NULL,
                    .width = width,
                    .height = height,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = frames};
    const char *path = clip_path("m.mkv");
    pid_t child = fork(); /* the encoder's memory must not count */
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        clip_write_raw(path, &raw);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    memset(rgb, 1, (size_t)width * (size_t)height * 3);
    size_t before = status_bytes("VmRSS");
    ms_video_reader *r;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    p.threads = threads;
    ms_status status = ms_video_reader_open(NULL, path, &p, &r, &err);
    bool got = status == MS_OK;
    while (got && status == MS_OK)
        status = ms_video_reader_read(r, rgb, 0, &got, &err);
    if (status)
        fprintf(stderr, "%s\n", err.message);
    ms_mem_usage u;
    ms_mem_get_usage(NULL, &u);
    report(u.current_bytes, before);
    if (status == MS_OK)
        ms_video_reader_close(&r);
    free(rgb);
    clip_remove_folder();
    return status != MS_OK;
}

#ifndef SANITIZED /* whose memory is not what is measured */
static void run_self(const char *args, size_t *ret_estimate, size_t *ret_grown) {
    char command[512], self[256] = {0};
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        fail();
    snprintf(command, sizeof(command), "'%s' %s 2>/dev/null", self, args);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", ret_estimate, ret_grown), 2);
    assert_int_equal(pclose(f), 0);
}
#endif

/* The first `n` always, the others at length. */
static void check(const char *const *cases, size_t n, size_t all) {
#ifdef SANITIZED
    (void)cases;
    (void)n;
    (void)all;
    skip();
#else
    for (size_t i = 0; i < (test_at_length() ? all : n); i++) {
        size_t estimate, grown;
        run_self(cases[i], &estimate, &grown);
        if (grown > estimate)
            fail_msg("%s: estimate %zu, grown by %zu", cases[i], estimate, grown);
        /* A bound that is far too high would cost the caller memory that is there. */
        if (estimate > 3 * grown + (16u << 20))
            fail_msg("%s: estimate %zu is more than three times the %zu measured", cases[i], estimate, grown);
    }
#endif
}

static void encoders_stay_below_their_estimate(void **state) {
    (void)state;
    static const char *const cases[] = {
        "encode h264 640 360 2 20 60",  "encode h264 1280 720 1 0 30",  "encode hevc 640 360 2 20 40",
        "encode ffv1 640 360 2 20 20",  "encode ffv1 1280 720 4 0 10",  "encode hevc10 640 360 2 20 40",
        "encode hevc 1280 720 2 20 40", "encode h264 1280 720 4 40 60", "encode hevc10 1280 720 2 20 40",
    };
    check(cases, 6, sizeof(cases) / sizeof(cases[0]));
}

static void decoders_stay_below_their_estimate(void **state) {
    (void)state;
    static const char *const cases[] = {
        "decode libx264 640 360 1 40",  "decode libx264 1280 720 4 40",    "decode ffv1 640 360 2 10",
        "decode ffv1 1280 720 4 10",    "decode libvpx-vp9 640 360 2 20",  "decode libx265 640 360 2 20",
        "decode libx265 1280 720 2 20", "decode libvpx-vp9 1280 720 2 20",
    };
    check(cases, 6, sizeof(cases) / sizeof(cases[0]));
}

int main(int argc, char **argv) {
    if ((argc == 8 || argc == 9) && strcmp(argv[1], "encode") == 0)
        return measure_encode(argv + 2, argc == 9 ? argv[8] : "medium");
    if (argc == 7 && strcmp(argv[1], "decode") == 0)
        return measure_decode(argv + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoders_stay_below_their_estimate),
        cmocka_unit_test(decoders_stay_below_their_estimate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
