/*
 * Converts decoded pictures to RGB24, and RGB24 to what an encoder takes, by libswscale with its exact
 * settings: full chroma interpolation, accurate rounding, no code that depends on the CPU. Chroma is taken
 * to lie where the stream says; where it says nothing, left of the pixel pair, as in H.264 and HEVC.
 */
#ifndef MS_MEDIA_CONVERT_H
#define MS_MEDIA_CONVERT_H

#include "media/av.h"
#include "media/hdr.h"
#include "media/orient.h"

struct SwsContext;

/* What a frame's colours are, with what it leaves out filled in by the rules of docs/media.md. */
typedef struct ms_frame_colour {
    ms_colour colour;
    bool matrix_guessed, range_guessed;
} ms_frame_colour;

ms_frame_colour ms_frame_colour_of(const AVFrame *frame);

typedef struct ms_to_rgb {
    ms_mem *mem;
    int width, height; /* of the stored picture; a frame of another size is scaled to it */
    ms_orientation orientation;
    /* what sws was made for */
    struct SwsContext *sws;
    int format, src_width, src_height, chroma;
    ms_colour colour;
    /* [height][stride]: swscale may write past a row's end, so it never sees the caller's rows */
    uint8_t *rgb;
    ptrdiff_t stride;
    /* For HDR: the signal itself in 16 bits, and what makes the RGB24 picture of it. */
    uint16_t *deep; /* [height][deep_stride / 2] */
    ptrdiff_t deep_stride;
    ms_tonemap *tonemap;
    ms_hdr_view *view; /* in place of the tone mapping */
} ms_to_rgb;

ms_status ms_to_rgb_init(ms_to_rgb *c, ms_mem *mem, int width, int height, ms_orientation orientation,
                         ms_error *err);

/* After init: frames are HDR of that colour. keep: RGB24 is a view of it
   (media/hdr.h), else it is tone-mapped. */
ms_status ms_to_rgb_set_hdr(ms_to_rgb *c, ms_colour colour, bool keep, ms_error *err);
void ms_to_rgb_free(ms_to_rgb *c);

/* Converts into the internal picture. MS_UNSUPPORTED: a pixel format or matrix that
   libswscale does not know. */
ms_status ms_to_rgb_convert(ms_to_rgb *c, const AVFrame *frame, ms_error *err);

/* Copies the internal picture, turned, to dst, which has the shown size; stride in bytes. */
void ms_to_rgb_copy(const ms_to_rgb *c, uint8_t *dst, ptrdiff_t dst_stride);

/* Copies the signal behind the view, 16 bits each, turned as well; rows without gaps. */
void ms_to_rgb_copy_deep(const ms_to_rgb *c, uint16_t *dst);

typedef struct ms_from_rgb {
    int width, height; /* of the caller's frames */
    int pixel_bytes;   /* 3, or 6 for 16 bits a colour */
    AVFrame *rgb;      /* padded to the encoder's size */
    struct SwsContext *sws;
} ms_from_rgb;

/* deep: the caller's frames have 16 bits a colour. padded_*: at least width and
   height; the last column and row are repeated into the rest. */
ms_status ms_from_rgb_init(ms_from_rgb *c, int width, int height, int padded_width, int padded_height,
                           enum AVPixelFormat format, ms_colour colour, bool deep, ms_error *err);
void ms_from_rgb_free(ms_from_rgb *c);

/* frame: writable, of the padded size and the format given at init. */
ms_status ms_from_rgb_convert(ms_from_rgb *c, const uint8_t *src, ptrdiff_t src_stride, AVFrame *frame,
                              ms_error *err);

#endif
