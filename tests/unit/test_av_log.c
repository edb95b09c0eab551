/* libav's log callback: memsafe's own messages are kept, the host's go on, and a host's codecs are left alone. */
#include "test.h"

#include "media/av.h"
#include "memsafe/libav_log.h"
#include "support/cli.h"

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
    ms_libav_log_chain(host_callback);
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
    ms_libav_log_chain(host_callback);
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

/* In a process of its own: what comes without a word of the host goes to libav's callback, stderr. */
static void nothing_is_swallowed(void **state) {
    (void)state;
    const char *path = test_file("stderr");
    pid_t child = fork();
    if (child == 0) {
        ms_av_log log = {0};
        if (!freopen(path, "w", stderr))
            _exit(1);
        ms_libav_log_chain(NULL);
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
        cmocka_unit_test(messages_go_where_they_belong),
        cmocka_unit_test(codecs_of_the_host),
        cmocka_unit_test(nothing_is_swallowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
