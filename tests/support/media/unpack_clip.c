/*
 * unpack_clip VIDEO FRAMES.ppm
 *     the pictures of a video as they are decoded, one behind the other
 * unpack_clip VIDEO FRAMES.ppm TRACK SPEECH FACES.txt SPEECH.raw
 *     also its faces and its speech, as examples/lipsync.c reads them
 */
#include <stdio.h>
#include <stdlib.h>

#include "faces/track_file.h"
#include "media/read/audio_reader.h"
#include "media/read/video_reader.h"

static ms_error err;

static void need(bool works) {
    if (works)
        return;
    fprintf(stderr, "unpack_clip: %s\n", err.message[0] ? err.message : "cannot write");
    exit(EXIT_FAILURE);
}

static FILE *open_out(const char *path) {
    FILE *out = fopen(path, "wb");
    need(out != NULL);
    return out;
}

static void frames(const char *from, const char *to) {
    ms_video_reader *reader = NULL;
    ms_video_reader_params p = MS_VIDEO_READER_DEFAULTS;
    FILE *out = open_out(to);
    need(ms_video_reader_open(NULL, from, &p, &reader, &err) == MS_OK);
    const ms_video_info *info = ms_video_reader_info(reader);
    size_t bytes = (size_t)info->width * (size_t)info->height * 3;
    uint8_t *rgb = malloc(bytes);
    for (bool got = rgb != NULL; got;) {
        need(ms_video_reader_read(reader, rgb, 0, &got, &err) == MS_OK);
        if (got)
            need(fprintf(out, "P6 %d %d 255\n", info->width, info->height) > 0 &&
                 fwrite(rgb, bytes, 1, out) == 1);
    }
    free(rgb);
    ms_video_reader_close(&reader);
    need(fclose(out) == 0);
}

static void faces(const char *from, const char *to) {
    ms_track_reader *reader = NULL;
    ms_face_record face;
    FILE *out = open_out(to);
    need(ms_track_reader_open(NULL, from, &reader, &err) == MS_OK);
    for (bool got = true; got;) {
        need(ms_track_reader_next(reader, &face, &got, &err) == MS_OK);
        for (int i = 0; got && i < MS_LANDMARKS; i++)
            need(fprintf(out, "%.9g %.9g%c", (double)face.landmarks[i][0], (double)face.landmarks[i][1],
                         i == MS_LANDMARKS - 1 ? '\n' : ' ') > 0);
    }
    ms_track_reader_close(&reader);
    need(fclose(out) == 0);
}

static void speech(const char *from, const char *to) {
    static float samples[65536];
    ms_audio_reader *reader = NULL;
    ms_audio_reader_params p = MS_AUDIO_READER_DEFAULTS;
    FILE *out = open_out(to);
    need(ms_audio_reader_open(NULL, from, &p, &reader, &err) == MS_OK);
    for (int64_t count = 1; count > 0;) {
        need(ms_audio_reader_read(reader, samples, 65536, &count, &err) == MS_OK);
        need(fwrite(samples, sizeof(float), (size_t)count, out) == (size_t)count);
    }
    ms_audio_reader_close(&reader);
    need(fclose(out) == 0);
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 7) {
        fprintf(stderr, "usage: unpack_clip VIDEO FRAMES.ppm [TRACK SPEECH FACES.txt SPEECH.raw]\n");
        return 2;
    }
    frames(argv[1], argv[2]);
    if (argc == 7) {
        faces(argv[3], argv[5]);
        speech(argv[4], argv[6]);
    }
    return 0;
}
