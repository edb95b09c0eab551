/* Pictures and clips for the media tests, made on the spot. */
#ifndef MS_TESTS_CLIP_H
#define MS_TESTS_CLIP_H

#include "media/write/video_writer.h"

struct AVFrame;

/* A moving, detailed RGB24 picture, tight rows; every frame number gives another one. */
void clip_picture(uint8_t *rgb, int width, int height, int64_t frame);

/* A folder of this process's own below TMPDIR or /tmp; removed with what is in it by clip_remove_folder(). */
const char *clip_folder(void);
void clip_remove_folder(void);

/* clip_folder() / name; one of eight static buffers in turn. */
const char *clip_path(const char *name);

/* Writes `frames` pictures with the writer under test. */
ms_status clip_write(const char *path, const ms_video_writer_params *params, int64_t frames, ms_error *err);

/* What the writer cannot make: written with libavcodec directly. Each source frame k holds clip_picture(k),
   or what `fill` puts there. A path like "p_%04d.png" makes files from p_0001.png on. */
typedef struct clip_raw {
    const char *encoder;      /* FFmpeg's name: "libx264", "ffv1", "mjpeg" ... */
    const char *pixel_format; /* its name; converted with swscale's defaults */
    const char *options;      /* "key=value:key=value" for the encoder, may be NULL */
    int width, height;
    int fps_num, fps_den;
    int64_t frames;
    /* Presentation times of the frames in 1/90000 s, NULL = at the constant rate. */
    const int64_t *times;
    int rotate;   /* degrees clockwise that a player shall turn the picture by, as a display matrix */
    bool mirror;  /* the display matrix mirrors as well */
    int matrix;   /* H.273 number, also of primaries and transfer; 0 = leave unspecified */
    int transfer; /* another one for that; 0 = as the matrix */
    bool full_range;
    bool silent_audio;    /* adds a PCM track as long as the video */
    bool subtitles;       /* adds a SubRip track with one line */
    const char *metadata; /* of the file: "title=A title:artist=Somebody", may be NULL */
    int chapters;         /* of equal length, called "Part 1" and so on */
    void (*fill)(struct AVFrame *frame, int64_t number, const void *context);
    const void *context;
} clip_raw;

void clip_write_raw(const char *path, const clip_raw *raw);

/* Sound with a cover picture and no video (mp4). */
void clip_write_cover(const char *path);

/* A 16-bit WAV file of `count` samples per channel; samples interleaved, NULL = silence. */
void clip_write_wav(const char *path, int rate, int channels, int64_t count, const int16_t *samples);

/* The same with `count` samples of noise, 16 kHz mono: speech enough for a run. */
void clip_write_noise(const char *path, int64_t count);

/* The whole file; *ret_bytes its size. Freed by the caller. */
uint8_t *clip_load(const char *path, size_t *ret_bytes);
void clip_save(const char *path, const uint8_t *data, size_t bytes);

/* Number of names in clip_folder(). */
int clip_files(void);

/* 10 log10(255^2 / mean squared difference); 200 for equal pictures. */
double clip_psnr(const uint8_t *a, const uint8_t *b, size_t bytes);

/* Writes a file of 100 frames, for being damaged: its bytes, to be freed. */
uint8_t *clip_hundred_frames(const char *name, size_t *ret_bytes);

#endif
