/* draw_clip: a clip of a drawn talking head, its ground truth, and its speech. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "faces/track_file.h"
#include "media/write/video_writer.h"
#include "memsafe/libav_log.h"
#include "options.h"
#include "world/talk.h"
#include "world/voice.h"
#include "world/world.h"

typedef struct options {
    uint64_t seed, speech_seed;
    bool own_speech, own_length;
    int frames, width, height, fps, crf;
    const char *output, *track, *wav, *text;
    talk_synth synth;
} options;

static const char usage[] =
    "usage: draw_clip -o FILE [OPTIONS]\n\n"
    "Draws a talking head. Files that exist are replaced. What is drawn, and the format of the truth, is "
    "in "
    "docs/demo.md.\n\n"
    "  -o, --out FILE         video to write (.mp4, .mov, .mkv: H.264; .avi: FFV1), with its speech as "
    "sound\n"
    "      --track FILE       faces as JSON lines: box, 106 landmarks, opening and width of the mouth\n"
    "      --speech FILE      the speech as 16 kHz mono WAV\n"
    "      --seed N           who, where and how they move (default 1)\n"
    "      --speech-seed N    what is said (default: the seed)\n"
    "      --synth NAME       who speaks: babble (random syllables), espeak (English), mixed; babble is the "
    "default\n"
    "      --text WORDS       what espeak-ng says, in place of what the seed makes up; without --frames, the "
    "clip is as long\n"
    "      --frames N         length (default 75)\n"
    "      --size WxH         of the picture (default 384x384)\n"
    "      --fps N            frames a second (default 25)\n"
    "      --crf N            quality of H.264, 0 to 51 (default 16)\n";

/* ---- sound */

static void put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* RIFF with one block of 16-bit PCM. */
static ms_status write_wav(const char *path, const float *samples, int64_t count, ms_error *err) {
    uint8_t head[44] = "RIFF....WAVEfmt \20\0\0\0\1\0\1\0........\2\0\20\0data";
    put32(head + 4, (uint32_t)(36 + 2 * count));
    put32(head + 24, VOICE_RATE);
    put32(head + 28, VOICE_RATE * 2);
    put32(head + 40, (uint32_t)(2 * count));
    FILE *file = fopen(path, "wb");
    if (!file)
        return ms_fail(err, MS_IO, "%s: cannot be created: %s", path, strerror(errno));
    bool whole = fwrite(head, 1, sizeof(head), file) == sizeof(head);
    for (int64_t i = 0; i < count && whole; i++) {
        int v = (int)lrintf(samples[i] * 32767);
        whole = fputc(v & 255, file) != EOF && fputc(v >> 8 & 255, file) != EOF;
    }
    whole = fclose(file) == 0 && whole;
    if (whole)
        return MS_OK;
    ms_status status = ms_fail(err, MS_IO, "%s: cannot be written: %s", path, strerror(errno));
    unlink(path);
    return status;
}

typedef struct sound {
    float *samples;
    int64_t count, at;
} sound;

static ms_status feed(void *context, float *dst, int64_t max, int64_t *ret_count, ms_error *err) {
    sound *s = context;
    (void)err;
    int64_t n = s->count - s->at < max ? s->count - s->at : max;
    memcpy(dst, s->samples + s->at, (size_t)n * sizeof(float));
    s->at += n;
    *ret_count = n;
    return MS_OK;
}

/* ---- truth */

/* The record's line with the mouth as further members, which readers of tracks pass over. */
static ms_status write_truth(FILE *file, const char *path, const ms_face_record *record, const w_face *face,
                             ms_error *err) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_track_write_line(&b, record);
    if (!b.failed)
        b.length -= 2; /* the brace and the newline */
    ms_buf_printf(&b, ",\"mouth_opening\":%.2f,\"mouth_width\":%.2f}\n", (double)face->mouth_opening,
                  (double)face->mouth_width);
    ms_status status = MS_OK;
    if (b.failed)
        status = ms_fail_alloc(err, NULL, b.capacity, "a line of text");
    else if (fwrite(b.data, 1, b.length, file) != b.length)
        status = ms_fail(err, MS_IO, "%s: cannot be written: %s", path, strerror(errno));
    ms_buf_free(&b);
    return status;
}

/* ---- the clip */

static ms_status draw_frames(const options *o, int frames, world *w, const speech *said, uint8_t *rgb,
                             ms_video_writer *writer, FILE *track, ms_error *err) {
    for (int i = 0; i < frames; i++) {
        /* The middle of the time that the frame is shown. */
        double time_s = (i + 0.5) / o->fps;
        w_moment now;
        w_face face;
        ms_face_record record;
        world_moment(w, time_s, &now);
        now.mouth = speech_mouth(said, (float)time_s);
        world_draw(w, &now, i, rgb, &face);
        MS_TRY(ms_video_writer_write(writer, rgb, 0, err));
        w_face_record(&face, i, o->width, o->height, &record);
        if (track)
            MS_TRY(write_truth(track, o->track, &record, &face, err));
    }
    return MS_OK;
}

static ms_status say(const options *o, const world *w, talk *ret_talk, ms_error *err) {
    talk_request request = {.synth = o->synth,
                            .text = o->text,
                            .seed = o->speech_seed,
                            .turn = w->person.voice_turn,
                            .seconds = o->own_length ? (float)o->frames / (float)o->fps : 0};
    if (talk_fallback(&request))
        fprintf(stderr, "draw_clip: %s\n", talk_fallback(&request));
    return talk_create(NULL, &request, ret_talk, err);
}

static ms_status draw_clip(const options *o, ms_error *err) {
    ms_status status;
    world *w = NULL;
    talk t = {0};
    FILE *track = NULL;
    ms_video_writer *writer = NULL;
    size_t picture = (size_t)o->width * (size_t)o->height;
    uint8_t *rgb = ms_alloc_array(NULL, MS_LEDGER_FRAMES, picture, 3);
    if (!rgb) {
        status = ms_fail_alloc(err, NULL, picture * 3, "a picture");
        goto fail;
    }
    MS_GOTO(world_create(NULL, o->seed, o->width, o->height, &w, err));
    MS_GOTO(say(o, w, &t, err));
    sound pcm = {t.samples, t.count, 0};
    int frames = o->own_length ? o->frames : (int)(t.count * o->fps / VOICE_RATE);
    if (o->wav)
        MS_GOTO(write_wav(o->wav, pcm.samples, pcm.count, err));
    if (o->track && !(track = fopen(o->track, "wb"))) {
        status = ms_fail(err, MS_IO, "%s: cannot be created: %s", o->track, strerror(errno));
        goto fail;
    }
    ms_video_writer_params params = MS_VIDEO_WRITER_DEFAULTS;
    size_t length = strlen(o->output);
    bool lossless = length > 4 && strcmp(o->output + length - 4, ".avi") == 0;
    params.width = o->width;
    params.height = o->height;
    params.fps = (ms_rational){o->fps, 1};
    params.codec = lossless ? MS_VIDEO_FFV1 : MS_VIDEO_H264;
    params.crf = o->crf;
    params.force = true;
    params.audio = MS_AUDIO_FEED;
    params.feed = (ms_audio_feed){feed, &pcm, VOICE_RATE, 1};
    params.expected_frames = frames;
    MS_GOTO(ms_video_writer_open(NULL, o->output, &params, &writer, err));
    MS_GOTO(draw_frames(o, frames, w, &t.said, rgb, writer, track, err));
    MS_GOTO(ms_video_writer_finish(&writer, err));
fail:
    if (writer)
        ms_video_writer_abort(&writer);
    if (track && fclose(track) != 0 && status == MS_OK)
        status = ms_fail(err, MS_IO, "%s: cannot be written: %s", o->track, strerror(errno));
    if (track && status != MS_OK)
        unlink(o->track);
    talk_free(&t);
    world_destroy(&w);
    ms_mem_free(rgb);
    return status;
}

/* ---- options */

static bool picture_size(const char *text, int *ret_width, int *ret_height) {
    int used = 0;
    return sscanf(text, "%dx%d%n", ret_width, ret_height, &used) == 2 && !text[used] &&
           *ret_width >= WORLD_MIN_PX && *ret_width <= WORLD_MAX_PX && *ret_height >= WORLD_MIN_PX &&
           *ret_height <= WORLD_MAX_PX;
}

static bool take(void *state, int letter, const char *value) {
    options *o = state;
    switch (letter) {
    case 'o':
        o->output = value;
        return true;
    case 't':
        o->track = value;
        return true;
    case 'w':
        o->wav = value;
        return true;
    case 's':
        return seed_number(value, &o->seed);
    case 'p':
        o->own_speech = true;
        return seed_number(value, &o->speech_seed);
    case 'y':
        return talk_synth_of(value, &o->synth);
    case 'x':
        o->text = value;
        return *value != 0;
    case 'n':
        o->own_length = true;
        return whole_number(value, 1, 1000000, &o->frames);
    case 'z':
        return picture_size(value, &o->width, &o->height);
    case 'r':
        return whole_number(value, 1, 240, &o->fps);
    case 'q':
        return whole_number(value, 0, 51, &o->crf);
    default:
        return false;
    }
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"out", 1, NULL, 'o'},   {"track", 1, NULL, 't'},       {"speech", 1, NULL, 'w'},
        {"seed", 1, NULL, 's'},  {"speech-seed", 1, NULL, 'p'}, {"frames", 1, NULL, 'n'},
        {"synth", 1, NULL, 'y'}, {"text", 1, NULL, 'x'},        {"size", 1, NULL, 'z'},
        {"fps", 1, NULL, 'r'},   {"crf", 1, NULL, 'q'},         {"help", 0, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    options o = {.seed = 1, .frames = 75, .width = 384, .height = 384, .fps = 25, .crf = 16};
    int exit_code;
    ms_libav_log_take(NULL);
    if (!read_options(argc, argv, names, usage, take, &o, &exit_code))
        return exit_code;
    if (!o.output) {
        fputs(usage, stderr);
        return ms_status_exit_code(MS_INVALID_ARGUMENT);
    }
    if (!o.own_speech)
        o.speech_seed = o.seed;
    o.own_length |= !o.text;
    ms_error err;
    ms_error_clear(&err);
    ms_status status = draw_clip(&o, &err);
    if (status != MS_OK)
        fprintf(stderr, "draw_clip: %s\n", err.message);
    return ms_status_exit_code(status);
}
