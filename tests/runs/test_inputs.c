/* `memsafe run` on inputs as people have them, and on those that are wrong: what comes out, what is said, and
   that nothing half-written stays behind. Clips are made here; the model is the tiny golden one with its fp16
   weights. */
#include "test.h"

#include "media/read/video_reader.h"
#include "support/cli.h"
#include "support/media/clip.h"
#include "support/golden.h"
#include "support/media/track.h"

#define RATE 16000

static char model[2560]; /* options that name the tiny model */

/* Speech-like noise; 40 ms is one frame. */
static const char *write_speech(const char *name, double seconds) {
    const char *path = test_file(name);
    int64_t count = (int64_t)(seconds * RATE);
    int16_t *samples = malloc((size_t)(count + 1) * sizeof(int16_t));
    uint64_t seed = 5;
    for (int64_t i = 0; i < count; i++)
        samples[i] = (int16_t)(6000 * sin((double)i * 0.03 * (1 + (double)(i / 1600 % 3))) +
                               (double)(test_rand(&seed) % 400));
    clip_write_wav(path, RATE, 1, count, samples);
    free(samples);
    return path;
}

/* A still picture: clip_picture()'s next frame would be a scene cut. */
static const char *write_clip(const char *name, int width, int height, int64_t frames) {
    ms_error err;
    const char *path = test_file(name);
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    ms_video_writer_params params = MS_VIDEO_WRITER_DEFAULTS;
    ms_video_writer *writer = NULL;
    params.width = width;
    params.height = height;
    params.preset = "ultrafast";
    params.force = true;
    clip_picture(rgb, width, height, 0);
    assert_ms_ok(ms_video_writer_open(NULL, path, &params, &writer, &err), &err);
    for (int64_t i = 0; i < frames; i++)
        assert_ms_ok(ms_video_writer_write(writer, rgb, 0, &err), &err);
    assert_ms_ok(ms_video_writer_finish(&writer, &err), &err);
    free(rgb);
    return path;
}

static int setup(void **state) {
    (void)state;
    char config[512], unet[512], vae[512], whisper[512];
    if (!golden_path(config, sizeof(config), "tiny/unet.yaml") ||
        !golden_path(unet, sizeof(unet), "tiny/latentsync_unet_fp16.pt") ||
        !golden_path(vae, sizeof(vae), "tiny/vae/config.json") ||
        !golden_path(whisper, sizeof(whisper), "tiny/whisper/tiny.pt"))
        return -1;
    *strrchr(vae, '/') = 0;
    snprintf(model, sizeof(model), "--config %s --unet %s --vae %s --whisper %s", config, unet, vae, whisper);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

typedef struct output_facts {
    int width, height;
    int64_t frames;
    double sound_s;
} output_facts;

static output_facts look_at(const char *path) {
    ms_error err;
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    params.fps = (ms_rational){0, 1};
    ms_video_reader *reader = NULL;
    output_facts facts = {0};
    assert_ms_ok(ms_video_reader_open(NULL, path, &params, &reader, &err), &err);
    const ms_video_info *info = ms_video_reader_info(reader);
    facts.width = info->width;
    facts.height = info->height;
    facts.sound_s = info->n_audio ? info->audio[0].duration_s : 0;
    assert_ms_ok(ms_video_reader_count(reader, &facts.frames, &err), &err);
    ms_video_reader_close(&reader);
    return facts;
}

/* Files in the test's folder whose name has this in it: outputs and what is left of temporary ones. */
static int files_with(const char *part) {
    char line[600];
    snprintf(line, sizeof(line), "ls -A %s | grep -c -- '%s'", test_dir(), part);
    FILE *pipe = popen(line, "r");
    int count = -1;
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    return count;
}

#define RUN(video, audio, track, out, more)                                                                  \
    "run %s --video %s --audio %s --track %s -o %s --steps 1 --resolution 64 %s", model, video, audio,       \
        track, out, more

/* ---- what people have ---- */

static void audio_shorter_and_longer_than_the_clip(void **state) {
    (void)state;
    const char *clip = write_clip("lengths.mp4", 160, 120, 10),
               *track = test_write_track("lengths.jsonl", 10, 80, 60, 80, 0, 0);
    /* rows / 2 + 2 frames: 0.2 s gives 10 rows, 7 frames; 1 s gives 27. */
    const char *shorter = write_speech("shorter.wav", 0.2), *longer = write_speech("longer.wav", 1.0);
    const char *out = test_file("lengths-out.mp4");
    assert_run_works(RUN(clip, shorter, track, out, "-y"));
    assert_int_equal(look_at(out).frames, 7);
    static const char *const loops[] = {"--loop pingpong", "--loop repeat", "--loop hold"};
    for (int i = 0; i < 3; i++) {
        char more[64];
        snprintf(more, sizeof(more), "-y %s", loops[i]);
        assert_run_works(RUN(clip, longer, track, out, more));
        output_facts facts = look_at(out);
        assert_int_equal(facts.frames, 27);
        assert_true(fabs(facts.sound_s - 1.0) < 0.1);
    }
    assert_run_works(RUN(clip, longer, track, out, "-y --loop none"));
    assert_int_equal(look_at(out).frames, 10);
    assert_run_works(RUN(clip, longer, track, out, "-y --frames 5 --audio-out speech"));
    assert_int_equal(look_at(out).frames, 5);
    assert_run_works(RUN(clip, longer, track, out, "-y --frames 5 --audio-out none"));
    assert_true(look_at(out).sound_s == 0);
}

static void one_frame_odd_sizes_and_turned_clips(void **state) {
    (void)state;
    const char *speech = write_speech("short.wav", 0.2), *out = test_file("shapes-out.mp4");
    assert_run_works(RUN(write_clip("one.mp4", 160, 120, 1), speech,
                         test_write_track("one.jsonl", 1, 80, 60, 80, 0, 0), out, "-y"));
    assert_int_equal(look_at(out).frames, 7);

    clip_raw raw = {.encoder = "ffv1",
                    .pixel_format = "bgr0",
                    .width = 853,
                    .height = 479,
                    .fps_num = 25,
                    .fps_den = 1,
                    .frames = 3};
    const char *odd = test_file("odd.mkv"),
               *odd_track = test_write_track("odd.jsonl", 3, 420, 240, 200, 0, 0);
    clip_write_raw(odd, &raw);
    assert_run_works(RUN(odd, speech, odd_track, out, "-y --frames 3"));
    output_facts facts = look_at(out); /* 4:2:0 needs even sides: the last column and row are repeated */
    assert_true(facts.width == 854 && facts.height == 480 && facts.frames == 3);
    const char *exact = test_file("odd-out.mkv");
    assert_run_works(RUN(odd, speech, odd_track, exact, "-y --frames 3 --codec ffv1"));
    facts = look_at(exact);
    assert_true(facts.width == 853 && facts.height == 479);

    raw = (clip_raw){.encoder = "libx264",
                     .pixel_format = "yuv420p",
                     .options = "preset=ultrafast",
                     .width = 160,
                     .height = 120,
                     .fps_num = 25,
                     .fps_den = 1,
                     .frames = 4,
                     .rotate = 90};
    const char *turned = test_file("turned.mp4");
    clip_write_raw(turned, &raw);
    assert_run_works(
        RUN(turned, speech, test_write_track("turned.jsonl", 4, 60, 80, 80, 0, 0), out, "-y --frames 4"));
    facts = look_at(out);
    assert_true(facts.width == 120 && facts.height == 160);
}

static void missing_faces_pass_through(void **state) {
    (void)state;
    const char *clip = write_clip("gaps.mp4", 160, 120, 40), *speech = write_speech("gaps.wav", 1.5);
    const char *out = test_file("gaps-out.mp4"), *report = test_file("gaps.json");
    char more[600];
    /* 6 frames are bridged, 20 are too many. */
    snprintf(more, sizeof(more), "-y --frames 40 --report %s", report);
    assert_run_works(RUN(clip, speech, test_write_track("bridged.jsonl", 40, 80, 60, 80, 10, 16), out, more));
    if (!strstr(test_output, "6 frames: face bridged"))
        fail_msg("bridged: %s", test_output);
    assert_run_works(RUN(clip, speech, test_write_track("gap.jsonl", 40, 80, 60, 80, 10, 30), out, more));
    assert_non_null(strstr(test_output, "20 frames without a usable face"));
    assert_int_equal(look_at(out).frames, 39);
    assert_run_works(RUN(clip, speech, test_write_track("none.jsonl", 40, 80, 60, 80, 10, 16), out,
                         "-y --frames 40 --max-gap 0"));
    assert_non_null(strstr(test_output, "6 frames without a usable face"));
}

/* ---- what is wrong ---- */

static void wrong_files_are_named(void **state) {
    (void)state;
    const char *clip = write_clip("good.mp4", 160, 120, 5),
               *track = test_write_track("good.jsonl", 5, 80, 60, 80, 0, 0);
    const char *speech = write_speech("good.wav", 0.3), *out = test_file("wrong-out.mp4"),
               *text = test_file("text.mp4");
    FILE *f = fopen(text, "w");
    fprintf(f, "this is no video\n");
    fclose(f);
    const char *empty = test_file("empty.mp4"), *silent = test_file("zero.wav");
    fclose(fopen(empty, "w"));
    clip_write_wav(silent, RATE, 1, 0, NULL);

    assert_run_fails(11, "nowhere.mp4", RUN("nowhere.mp4", speech, track, out, ""));
    assert_run_fails(7, "text.mp4", RUN(text, speech, track, out, ""));
    assert_run_fails(7, "empty.mp4", RUN(empty, speech, track, out, ""));
    assert_run_fails(7, "good.wav", RUN(speech, speech, track, out, "")); /* sound only */
    assert_run_fails(11, "nowhere.wav", RUN(clip, "nowhere.wav", track, out, ""));
    assert_run_fails(7, "good.mp4", RUN(clip, clip, track, out, "")); /* a clip without sound as audio */
    assert_run_fails(7, "zero.wav", RUN(clip, silent, track, out, ""));
    assert_run_fails(11, "nowhere.jsonl", RUN(clip, speech, "nowhere.jsonl", out, ""));
    assert_run_fails(7, "text.mp4", RUN(clip, speech, text, out, "")); /* a track that is none */
    assert_run_fails(8, "no usable face",
                     RUN(clip, speech, test_write_track("faceless.jsonl", 0, 0, 0, 0, 0, 0), out, ""));
    assert_run_fails(12, "download it first", RUN("https://example.org/a.mp4", speech, track, out, ""));
    assert_run_fails(12, "standard input is not read", RUN(clip, "-", track, out, ""));
    assert_run_fails(2, "does not write h264 video into .ts files", RUN(clip, speech, track, "out.ts", ""));
    assert_run_fails(11, "no-such-folder", RUN(clip, speech, track, "no-such-folder/out.mp4", ""));
    assert_run_fails(2, "out.xyz", RUN(clip, speech, track, "out.xyz", ""));
    assert_run_fails(2, "no option", RUN(clip, speech, track, out, "--no-such-option"));
    assert_run_fails(2, "--steps", RUN(clip, speech, track, out, "--steps 0"));
    assert_run_fails(2, "the speech (-a FILE)", "run %s --video %s --track %s -o %s", model, clip, track,
                     out);
    assert_run_fails(2, "resolution", RUN(clip, speech, track, out, "--resolution 100"));
    assert_int_equal(files_with("wrong-out"), 0);
}

/* Nobody writes to it, so whoever waits for it waits for ever. */
#define AT_ONCE "timeout 20 " MS_CLI_PATH

static void pipes_are_refused_at_once(void **state) {
    (void)state;
    static const char refused[] = "is not a regular file, but a pipe or device";
    const char *clip = write_clip("piped.mp4", 160, 120, 5),
               *track = test_write_track("piped.jsonl", 5, 80, 60, 80, 0, 0);
    const char *speech = write_speech("piped.wav", 0.3), *out = test_file("piped-out.mp4"),
               *fifo = test_file("fifo");
    char more[600], line[4096];
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_program_fails(AT_ONCE, 11, "fifo: it is a pipe or device", RUN(fifo, speech, track, out, ""));
    assert_program_fails(AT_ONCE, 11, refused, RUN(clip, speech, fifo, out, ""));
    static const char *const options[] = {"--pressure-trace", "--profile-file"};
    for (int i = 0; i < 2; i++) {
        snprintf(more, sizeof(more), "%s %s", options[i], fifo);
        assert_program_fails(AT_ONCE, 11, refused, RUN(clip, speech, track, out, more));
        assert_non_null(strstr(test_output, "/fifo: "));
    }
    snprintf(line, sizeof(line), "cat %s | " AT_ONCE, track);
    assert_program_fails(line, 11, "/dev/stdin: is not a regular file",
                         RUN(clip, speech, "/dev/stdin", out, ""));
    assert_program_fails(AT_ONCE, 11, "fifo: cannot be read", "probe --measure --disk-file %s", fifo);
    assert_int_equal(files_with("piped-out"), 0);
    snprintf(line, sizeof(line), "< %s " AT_ONCE, track); /* a file, by whatever name */
    assert_program_works(line, RUN(clip, speech, "/dev/stdin", out, ""));
}

/* `name` with a part of it gone. */
static const char *cut_off(const char *name, const char *path, double share) {
    size_t bytes;
    uint8_t *data = clip_load(path, &bytes);
    const char *cut = test_file(name);
    clip_save(cut, data, (size_t)((double)bytes * share));
    free(data);
    return cut;
}

static void inputs_that_are_cut_off_are_named(void **state) {
    (void)state;
    const char *track = test_write_track("cut.jsonl", 40, 80, 60, 80, 0, 0), *out = test_file("cut-out.mp4");
    const char *speech = write_speech("whole.wav", 1.5), *clip = write_clip("whole.mp4", 160, 120, 40);
    static const char *const names[] = {"part.mp4", "part.mkv"};
    for (int i = 0; i < 2; i++) {
        const char *whole = write_clip(i ? "whole.mkv" : "whole2.mp4", 160, 120, 40);
        const char *part = cut_off(names[i], whole, 0.8);
        assert_run_fails(ms_status_exit_code(MS_BAD_MEDIA), "is cut off: it should have",
                         RUN(part, speech, track, out, "--frames 40 --loop none"));
        assert_non_null(strstr(test_output, names[i]));
        assert_int_equal(files_with("cut-out"), 0);
        assert_run_fails(ms_status_exit_code(MS_BAD_MEDIA), "is cut off: it should have",
                         "detect --demo -i %s -o %s", part, test_file("cut-out.jsonl"));
        assert_int_equal(files_with("cut-out"), 0);
        /* What is there, if that is wanted; and it is said. */
        assert_run_works(RUN(part, speech, track, out, "-y --frames 40 --loop none --allow-truncated"));
        int64_t left = look_at(out).frames;
        assert_in_range(left, 1, 39);
        char line[100];
        snprintf(line, sizeof(line), "the input is damaged: %d of its frames", 40 - (int)left);
        if (!strstr(test_output, line))
            fail_msg("%s, wanted \"%s\": %s", names[i], line, test_output);
        unlink(out);
    }
    const char *voice = cut_off("part.wav", speech, 0.5);
    assert_run_fails(ms_status_exit_code(MS_BAD_MEDIA), "part.wav is cut off: it should have 48044 bytes",
                     RUN(clip, voice, track, out, "--frames 40"));
    assert_run_works(RUN(clip, voice, track, out, "--allow-truncated"));
    /* A header that leaves the length open, as of a pipe, is none that lies. */
    size_t bytes;
    uint8_t *data = clip_load(speech, &bytes);
    memset(data + 4, 0xff, 4);
    memset(data + 40, 0xff, 4);
    clip_save(test_file("pipe.wav"), data, bytes);
    free(data);
    assert_run_works(RUN(clip, test_file("pipe.wav"), track, out, "-y"));
    /* Nor is one that counts itself in, or a file that something was appended to. */
    data = clip_load(speech, &bytes);
    data[40] = (uint8_t)(data[40] + 44);
    clip_save(test_file("counted.wav"), data, bytes);
    free(data);
    data = clip_load(clip, &bytes);
    data = realloc(data, bytes + 15);
    assert_non_null(data);
    memcpy(data + bytes, "TAGxxxxxxxxxxxx", 15);
    clip_save(test_file("tagged.mp4"), data, bytes + 15);
    free(data);
    assert_run_works(RUN(test_file("tagged.mp4"), test_file("counted.wav"), track, out, "-y --frames 10"));
}

static void an_output_that_is_there_is_kept(void **state) {
    (void)state;
    const char *clip = write_clip("kept.mp4", 160, 120, 5),
               *track = test_write_track("kept.jsonl", 5, 80, 60, 80, 0, 0);
    const char *speech = write_speech("kept.wav", 0.2), *out = test_file("kept-out.mp4");
    FILE *f = fopen(out, "w");
    fprintf(f, "precious");
    fclose(f);
    assert_run_fails(11, "kept-out.mp4", RUN(clip, speech, track, out, ""));
    char text[16] = {0};
    f = fopen(out, "r");
    assert_int_equal(fread(text, 1, 15, f), 8);
    fclose(f);
    assert_string_equal(text, "precious");
    assert_run_works(RUN(clip, speech, track, out, "--force"));
    assert_int_equal(look_at(out).frames, 7);
}

/* A file-size limit is a full disk that a test can make. */
static void a_full_disk_leaves_nothing(void **state) {
    (void)state;
    const char *clip = write_clip("full.mp4", 320, 240, 30),
               *track = test_write_track("full.jsonl", 30, 160, 120, 120, 0, 0);
    const char *speech = write_speech("full.wav", 1.0), *out = test_file("full-out.mkv");
    char line[6000];
    snprintf(line, sizeof(line),
             "ulimit -f 64; %s " /* 64 blocks of 512 bytes */
             "run %s --video %s --audio %s --track %s -o %s --steps 1 --resolution 64 --codec ffv1 2>&1",
             MS_CLI_PATH, model, clip, speech, track, out);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t got = fread(test_output, 1, sizeof(test_output) - 1, pipe);
    test_output[got] = 0;
    int status = pclose(pipe);
    assert_int_equal(WEXITSTATUS(status), 11);
    assert_non_null(strstr(test_output, "full-out.mkv"));
    assert_int_equal(files_with("full-out"), 0);
}

static void an_interrupt_leaves_nothing(void **state) {
    (void)state;
    const char *clip = write_clip("stop.mp4", 160, 120, 60),
               *track = test_write_track("stop.jsonl", 60, 80, 60, 80, 0, 0);
    const char *speech = write_speech("stop.wav", 3.0), *out = test_file("stop-out.mp4");
    char line[6000];
    snprintf(line, sizeof(line),
             "%s run %s --video %s --audio %s --track %s -o %s --steps 500 2>&1 & pid=$!; sleep 1; kill -INT "
             "$pid; "
             "wait $pid; echo code $?",
             MS_CLI_PATH, model, clip, speech, track, out);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t got = fread(test_output, 1, sizeof(test_output) - 1, pipe);
    test_output[got] = 0;
    pclose(pipe);
    if (!strstr(test_output, "code 10"))
        fail_msg("interrupted: %s", test_output);
    assert_int_equal(files_with("stop-out"), 0);
}

/* ---- bad checkpoints ---- */

static void bad_checkpoints_are_named(void **state) {
    (void)state;
    /* In the order of the golden README; what the message must say besides the file's name. */
    static const struct {
        const char *file, *says;
    } bad[] = {
        {"empty.pt", "empty"},
        {"pickle_bare_eval.pt", ""},
        {"pickle_calls_os_system.pt", "system"},
        {"pickle_deep_nesting.pt", ""},
        {"pickle_string_length_lies.pt", ""},
        {"st_deep_json.safetensors", ""},
        {"st_duplicate_key.safetensors", ""},
        {"st_header_invalid_utf8.safetensors", "UTF-8"},
        {"st_header_length_past_file.safetensors", ""},
        {"st_header_not_json.safetensors", ""},
        {"st_hole.safetensors", ""},
        {"st_huge_header_length.safetensors", ""},
        {"st_negative_offset.safetensors", ""},
        {"st_out_of_range.safetensors", ""},
        {"st_overlap.safetensors", ""},
        {"st_reversed_offsets.safetensors", ""},
        {"st_seven_bytes.safetensors", ""},
        {"st_shape_disagrees_with_offsets.safetensors", ""},
        {"st_shape_overflow.safetensors", ""},
        {"st_unknown_dtype.safetensors", ""},
        {"st_good.safetensors", "no conv_in.weight"},
        {"three_tensors_good.pt", "is missing"},
        {"truncated_half.pt", ""},
        {"truncated_last_10_bytes.pt", ""},
        {"unet_all_nan.pt", "NaN"},
        {"unet_missing_tensor.pt", "is missing"},
        {"unet_no_state_dict.pt", "no conv_in.weight"},
        {"unet_wrong_cross_attention_dim.pt", "has shape"},
        {"unet_wrong_shape.pt", "has shape"},
        {"view_huge_shape.pt", ""},
        {"view_negative_offset.pt", ""},
        {"view_negative_stride.pt", ""},
        {"view_past_storage.pt", ""},
        {"zip_deflated.pt", ""},
        {"zip_directory_size_lies.pt", ""},
        {"zip_missing_storage.pt", ""},
        {"zip_no_data_pkl.pt", ""},
        {"zip_path_traversal_name.pt", ""},
        {"zip_short_storage.pt", ""},
    };
    char config[512], path[512], rel[128];
    assert_non_null(golden_path(config, sizeof(config), "tiny/unet.yaml"));
    const char *out = test_file("bad-out.safetensors");
    char cases[512];
    assert_non_null(golden_path(cases, sizeof(cases), "unet/case_f5.safetensors"));
    char seen[64][512];
    int count = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(rel, sizeof(rel), "bad/%s", bad[i].file);
        assert_non_null(golden_path(path, sizeof(path), rel));
        int code = test_program(MS_STAGE_PATH, "unet --config %s --unet %s --timesteps 1 --in %s --out %s",
                                config, path, cases, out);
        print_message("    %s", test_output);
        if (code != 9 || !strstr(test_output, bad[i].file) || !strstr(test_output, bad[i].says) ||
            strstr(test_output, "PICKLE-CODE-WAS-EXECUTED"))
            fail_msg("%s: exit %d: %s", bad[i].file, code, test_output);
        const char *message = strstr(test_output, bad[i].file) + strlen(bad[i].file);
        for (int k = 0; k < count; k++) /* but the two that are cut short say the same */
            if (strcmp(seen[k], message) == 0 && strncmp(bad[i].file, "truncated", 9) != 0)
                fail_msg("%s: says the same as another file: %s", bad[i].file, message);
        snprintf(seen[count++], sizeof(seen[0]), "%s", message);
        assert_false(test_exists(out));
    }
    snprintf(rel, sizeof(rel), "bad/unet_good_shared.pt");
    assert_non_null(golden_path(path, sizeof(path), rel));
    assert_program_works(MS_STAGE_PATH, "unet --config %s --unet %s --timesteps 1 --in %s --out %s", config,
                         path, cases, out);
    assert_true(test_exists(out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audio_shorter_and_longer_than_the_clip),
        cmocka_unit_test(one_frame_odd_sizes_and_turned_clips),
        cmocka_unit_test(missing_faces_pass_through),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(pipes_are_refused_at_once),
        cmocka_unit_test(inputs_that_are_cut_off_are_named),
        cmocka_unit_test(an_output_that_is_there_is_kept),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(an_interrupt_leaves_nothing),
        cmocka_unit_test(bad_checkpoints_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
