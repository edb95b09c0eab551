/* libav's log callback: memsafe's own messages are kept, the host's go on, and a
   host's codecs are left alone. */
#include "test.h"

#include "media/av.h"
#include "media/read/video_reader.h"
#include "memsafe/libav_log.h"
#include "memsafe/log.h"
#include "support/cli.h"
#include "support/media/clip.h"

static char heard[512];
static int lines;

static void host_callback(void *avcl, int level, const char *format, va_list arguments) {
    (void)avcl;
    (void)level;
    vsnprintf(heard, sizeof(heard), format, arguments);
    lines++;
}

static void messages_go_where_they_belong(void **state) {
    (void)state;
    ms_av_log log = {0};
    ms_libav_log_take(host_callback);
    av_log(NULL, AV_LOG_INFO, "of the host\n");
    assert_string_equal(heard, "of the host\n");
    ms_av_log *previous = ms_av_log_enter(&log);
    av_log(NULL, AV_LOG_ERROR, "of memsafe's\n");
    ms_av_log_leave(previous);
    assert_int_equal(lines, 1);
    assert_string_equal(log.line, "of memsafe's");
    assert_int_equal(ms_av_log_errors(&log), 1);
    av_log(NULL, AV_LOG_ERROR, "of the host again\n");
    assert_int_equal(lines, 2);
    assert_int_equal(ms_av_log_errors(&log), 1);
}

/* opaque of a host's codec is the host's: a number, or a struct that is no log of ours. */
static void codecs_of_the_host(void **state) {
    (void)state;
    const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_PNG);
    AVCodecContext *theirs = avcodec_alloc_context3(codec), *ours = avcodec_alloc_context3(codec);
    ms_av_log log = {0};
    assert_true(theirs && ours);
    ms_libav_log_take(host_callback);
    lines = 0;
    theirs->opaque = (void *)(intptr_t)3;
    ms_av_log_attach(&log, ours);
    av_log(theirs, AV_LOG_ERROR, "theirs\n");
    assert_int_equal(lines, 1);
    av_log(ours, AV_LOG_ERROR, "ours\n");
    assert_int_equal(lines, 1);
    assert_string_equal(log.line, "ours");
    ms_av_codec_free(&ours);
    theirs->opaque = &log; /* no longer a log that a codec of ours names */
    av_log(theirs, AV_LOG_ERROR, "theirs\n");
    assert_int_equal(lines, 2);
    assert_int_equal(ms_av_log_errors(&log), 1);
    avcodec_free_context(&theirs);
}

typedef struct told {
    int warnings, details;
    char text[512];
} told;

static void hear(void *arg, const ms_log_message *message) {
    told *t = arg;
    assert_string_equal(message->code, "libav");
    t->warnings += message->level == MS_LOG_WARNING;
    t->details += message->level == MS_LOG_DETAIL;
    snprintf(t->text, sizeof(t->text), "%s", message->text);
}

/* libav's messages of memsafe's own work reach memsafe's log, with the level that the codec gave them. */
static void own_messages_are_told(void **state) {
    (void)state;
    AVCodecContext *ours = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_PNG));
    ms_av_log log = {0};
    told t = {0};
    assert_non_null(ours);
    ms_libav_log_take(host_callback);
    ms_log_set(hear, &t, MS_LOG_DETAIL);
    lines = 0;
    ms_av_log_attach(&log, ours);
    av_log(ours, AV_LOG_ERROR, "an error\n");
    assert_int_equal(t.warnings, 1);
    assert_string_equal(t.text, "png: an error");
    av_log(ours, AV_LOG_WARNING, "a warning\n");
    av_log(ours, AV_LOG_INFO, "information\n");
    assert_int_equal(t.details, 2);
    av_log(ours, AV_LOG_VERBOSE, "too much\n");
    av_log(NULL, AV_LOG_ERROR, "of the host\n");
    assert_int_equal(t.warnings + t.details, 3);
    assert_int_equal(lines, 1);
    assert_int_equal(ms_av_log_errors(&log), 1);
    assert_int_equal(ms_av_log_warnings(&log), 2);
    ms_log_set(NULL, NULL, MS_LOG_DETAIL);
    ms_av_codec_free(&ours);
}

typedef struct reading {
    uint64_t frames_hash;
    int64_t count, lost;
} reading;

static reading read_damaged(const char *path) {
    reading got = {.frames_hash = 0xcbf29ce484222325u};
    uint8_t rgb[160 * 120 * 3];
    ms_error err;
    ms_video_reader *r = NULL;
    bool more;
    assert_ms_ok(ms_video_reader_open(NULL, path, NULL, &r, &err), &err);
    for (;; got.count++) {
        assert_ms_ok(ms_video_reader_read(r, rgb, 0, &more, &err), &err);
        if (!more)
            break;
        for (size_t i = 0; i < sizeof(rgb); i++)
            got.frames_hash = (got.frames_hash ^ rgb[i]) * 0x100000001b3u;
    }
    ms_video_damage_report damage;
    ms_video_reader_damage(r, &damage);
    got.lost = damage.frames_lost;
    ms_video_reader_close(&r);
    return got;
}

/* A video with holes. */
static const char *damaged_clip(void) {
    const char *path = clip_path("holes.mkv");
    uint64_t seed = 5;
    size_t bytes;
    uint8_t *data = clip_hundred_frames("holes.mkv", &bytes);
    for (int i = 0; i < 12; i++)
        memset(data + bytes / 8 + test_rand(&seed) % (bytes / 4 * 3), 0, 100 + test_rand(&seed) % 1500);
    clip_save(path, data, bytes);
    free(data);
    return path;
}

static int loud; /* lines that libav's default callback would print */

static void keep_level(void *avcl, int level, const char *format, va_list arguments) {
    host_callback(avcl, level, format, arguments);
    loud += level <= AV_LOG_INFO && avcl && strcmp((*(AVClass **)avcl)->class_name, "AVCodecContext") == 0;
}

/* In a process of its own, where nobody gave memsafe the log: a video is written and
   a damaged one read, and libav's callback is the host's still. The frames are those
   that are read with the log; the holes that only complaints tell are not counted. */
static void a_host_that_does_not_ask(void **state) {
    (void)state;
    const char *path = damaged_clip();
    int ends[2], status;
    reading with, without = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        ms_video_writer_params params = MS_VIDEO_WRITER_DEFAULTS;
        ms_error err;
        params.width = params.height = 64;
        av_log_set_callback(keep_level);
        bool wrote = clip_write(clip_path("out.mp4"), &params, 5, &err) == MS_OK;
        int loud_codecs = loud;
        reading got = read_damaged(path);
        lines = 0;
        av_log(NULL, AV_LOG_INFO, "mine\n");
        bool mine = lines == 1 && strcmp(heard, "mine\n") == 0;
        bool sent = write(ends[1], &got, sizeof(got)) == (ssize_t)sizeof(got);
        _exit(!wrote ? 1 : loud_codecs ? 2 : !mine ? 3 : !sent ? 4 : 0);
    }
    assert_int_equal(read(ends[0], &without, sizeof(without)), sizeof(without));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
    ms_libav_log_take(host_callback);
    with = read_damaged(path);
    assert_int_equal(with.count, without.count);
    assert_true(with.frames_hash == without.frames_hash);
    assert_true(without.lost < with.lost);
    clip_remove_folder();
}

/* In a process of its own: what comes without a word of the host goes to libav's callback, stderr. */
static void nothing_is_swallowed(void **state) {
    (void)state;
    const char *path = test_file("stderr");
    pid_t child = fork();
    if (child == 0) {
        ms_av_log log = {0};
        if (!freopen(path, "w", stderr))
            _exit(1);
        ms_libav_log_take(NULL);
        ms_av_log_leave(ms_av_log_enter(&log));
        av_log(NULL, AV_LOG_ERROR, "of the host\n");
        fflush(stderr);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    char text[64] = "";
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    assert_non_null(strstr(text, "of the host"));
    test_dir_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_does_not_ask), /* first: a child has the log as this process has it */
        cmocka_unit_test(messages_go_where_they_belong), cmocka_unit_test(codecs_of_the_host),
        cmocka_unit_test(own_messages_are_told),         cmocka_unit_test(nothing_is_swallowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
