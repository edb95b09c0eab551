/* What the output says of itself: the video's titles and chapters, the language of
   the sound, and how it was made. */
#include "test.h"

#include <libavformat/avformat.h>

#include "memsafe/version.h"
#include "support/cli.h"
#include "support/media/clip.h"
#include "support/media/track.h"

static int setup(void **state) {
    (void)state;
    assert_run_works("models --synthesize tiny -o %s", test_file("talker"));
    clip_raw raw = {.encoder = "libx264",
                    .pixel_format = "yuv420p",
                    .options = "preset=ultrafast",
                    .width = 160,
                    .height = 120,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 50,
                    .chapters = 5,
                    .metadata = "title=A title:artist=Some Body:date=2021-03-04:comment=Mine."};
    clip_write_raw(test_file("in.mkv"), &raw);
    test_write_track("in.jsonl", 50, 80, 60, 80, 0, 0);
    clip_write_noise(test_file("in.wav"), 16000);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

static void run(const char *out, const char *more) {
    assert_run_works("run --model %s --video %s --audio %s --track %s -o %s --steps 1 --resolution 64 -y %s",
                     test_file("talker"), test_file("in.mkv"), test_file("in.wav"), test_file("in.jsonl"),
                     out, more);
}

static AVFormatContext *open_file(const char *path) {
    AVFormatContext *format = NULL;
    assert_int_equal(avformat_open_input(&format, path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(format, NULL) >= 0);
    return format;
}

static const char *tag(const AVDictionary *tags, const char *key) {
    const AVDictionaryEntry *e = av_dict_get(tags, key, NULL, 0);
    return e ? e->value : "";
}

#define OURS                                                                                                 \
    "memsafe " MS_VERSION_TEXT "; model talker, 64 px, float32; seed 7, 1 steps, guidance 1.5; h264 crf 18"

static void titles_and_chapters_are_kept(void **state) {
    (void)state;
    static const char *const names[] = {"out.mp4", "out.mov", "out.mkv"};
    for (int i = 0; i < 3; i++) {
        const char *out = test_file(names[i]);
        run(out, "--frames 15 --seed 7 --precision fp32");
        AVFormatContext *format = open_file(out);
        assert_string_equal(tag(format->metadata, "title"), "A title");
        assert_string_equal(tag(format->metadata, "artist"), "Some Body");
        assert_string_equal(tag(format->metadata, "date"), "2021-03-04");
        assert_string_equal(tag(format->metadata, "comment"), "Mine.\n" OURS);
        /* Of five chapters of 0.4 s, 0.6 s hold one and a half. */
        assert_int_equal(format->nb_chapters, 2);
        for (unsigned c = 0; c < 2; c++) {
            const AVChapter *chapter = format->chapters[c];
            double start = (double)chapter->start * av_q2d(chapter->time_base),
                   end = (double)chapter->end * av_q2d(chapter->time_base);
            assert_string_equal(tag(chapter->metadata, "title"), c ? "Part 2" : "Part 1");
            assert_true(fabs(start - 0.4 * c) < 0.002 && fabs(end - (c ? 0.6 : 0.4)) < 0.002);
        }
        avformat_close_input(&format);
    }
    assert_non_null(
        strstr(test_output, "note: 3 of the video's 5 chapters are dropped: the output ends before"));
}

/* A run over an output of ours says it once, and --no-metadata nothing at all. */
static void comments_of_before_are_replaced(void **state) {
    (void)state;
    const char *first = test_file("first.mkv"), *second = test_file("second.mkv");
    run(first, "--frames 15 --seed 7 --precision fp32");
    assert_run_works("run --model %s --video %s --audio %s --track %s -o %s --steps 1 --resolution 64 -y "
                     "--frames 5 --seed 8",
                     test_file("talker"), first, test_file("in.wav"), test_file("in.jsonl"), second);
    AVFormatContext *format = open_file(second);
    const char *comment = tag(format->metadata, "comment");
    assert_int_equal(strncmp(comment, "Mine.\nmemsafe ", 14), 0);
    assert_non_null(strstr(comment, "seed 8"));
    assert_null(strstr(comment, "seed 7"));
    avformat_close_input(&format);
}

static void no_metadata_leaves_all_of_it_out(void **state) {
    (void)state;
    const char *out = test_file("bare.mp4");
    run(out, "--frames 15 --no-metadata");
    assert_null(strstr(test_output, "chapters"));
    AVFormatContext *format = open_file(out);
    assert_string_equal(tag(format->metadata, "title"), "");
    assert_string_equal(tag(format->metadata, "comment"), "");
    assert_int_equal(format->nb_chapters, 0);
    avformat_close_input(&format);
}

/* Neither the day nor the place of the files is in the output. */
static void the_same_run_elsewhere_gives_the_same_bytes(void **state) {
    (void)state;
    const char *here = test_file("here.mp4"), *there = test_file("moved");
    char line[2600];
    size_t a, b;
    run(here, "--frames 10");
    snprintf(line, sizeof(line), "mkdir %s && cp -r %s %s %s %s %s", there, test_file("talker"),
             test_file("in.mkv"), test_file("in.wav"), test_file("in.jsonl"), there);
    assert_int_equal(system(line), 0);
    assert_run_works("run --model %s/talker/ --video %s/in.mkv --audio %s/in.wav --track %s/in.jsonl "
                     "-o %s/out.mp4 --steps 1 --resolution 64 --frames 10 --threads 1",
                     there, there, there, there, there);
    snprintf(line, sizeof(line), "%s/out.mp4", there);
    uint8_t *one = clip_load(here, &a), *other = clip_load(line, &b);
    assert_true(a == b && memcmp(one, other, a) == 0);
    one[a] = 0;
    for (size_t i = 0; i + 4 < a; i++)
        assert_true(memcmp(one + i, "/tmp", 4) != 0);
    free(one);
    free(other);
}

/* The language is the speech's, copied or encoded. */
static void the_sound_keeps_its_language(void **state) {
    (void)state;
    const char *speech = test_file("speech.mkv"), *out = test_file("language.mp4");
    AVFormatContext *in = open_file(test_file("in.wav")), *made = NULL;
    assert_true(avformat_alloc_output_context2(&made, NULL, NULL, speech) >= 0);
    AVStream *st = avformat_new_stream(made, NULL);
    assert_true(avcodec_parameters_copy(st->codecpar, in->streams[0]->codecpar) >= 0);
    st->codecpar->codec_tag = 0;
    st->time_base = in->streams[0]->time_base;
    assert_true(av_dict_set(&st->metadata, "language", "deu", 0) >= 0);
    assert_true(avio_open(&made->pb, speech, AVIO_FLAG_WRITE) >= 0);
    assert_true(avformat_write_header(made, NULL) >= 0);
    AVPacket *packet = av_packet_alloc();
    while (av_read_frame(in, packet) >= 0) {
        av_packet_rescale_ts(packet, in->streams[0]->time_base, st->time_base);
        assert_true(av_interleaved_write_frame(made, packet) >= 0);
    }
    av_packet_free(&packet);
    assert_true(av_write_trailer(made) >= 0);
    avio_closep(&made->pb);
    avformat_free_context(made);
    avformat_close_input(&in);
    static const char *const sounds[] = {"original", "speech"};
    for (int i = 0; i < 2; i++) {
        assert_run_works(
            "run --model %s --video %s --audio %s --track %s -o %s --steps 1 --resolution 64 -y --frames 5 "
            "--audio-out %s",
            test_file("talker"), test_file("in.mkv"), speech, test_file("in.jsonl"), out, sounds[i]);
        AVFormatContext *format = open_file(out);
        int n = av_find_best_stream(format, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);
        assert_true(n >= 0);
        assert_string_equal(tag(format->streams[n]->metadata, "language"), "deu");
        avformat_close_input(&format);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(titles_and_chapters_are_kept),
        cmocka_unit_test(comments_of_before_are_replaced),
        cmocka_unit_test(no_metadata_leaves_all_of_it_out),
        cmocka_unit_test(the_same_run_elsewhere_gives_the_same_bytes),
        cmocka_unit_test(the_sound_keeps_its_language),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
