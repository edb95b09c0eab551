/* 8-bit pictures as rows of interleaved samples (RGB is R, G, B). Views do not own their pixels. */
#ifndef MS_PICTURES_IMAGE_H
#define MS_PICTURES_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No side of a picture may be longer: keeps every index and fixed-point position inside 32 bits. */
#define MS_IMAGE_MAX_PX 16384

typedef struct ms_image {
    uint8_t *data;
    int width, height, channels;
    size_t stride_bytes; /* from row to row, at least width * channels */
} ms_image;

typedef struct ms_image_view {
    const uint8_t *data;
    int width, height, channels;
    size_t stride_bytes;
} ms_image_view;

static inline ms_image_view ms_image_as_view(const ms_image *image) {
    return (ms_image_view){image->data, image->width, image->height, image->channels, image->stride_bytes};
}

/* Of RGB pixels without gaps between their rows. */
static inline ms_image ms_image_rgb(uint8_t *data, int width, int height) {
    return (ms_image){data, width, height, 3, (size_t)width * 3};
}

static inline ms_image_view ms_image_view_rgb(const uint8_t *data, int width, int height) {
    return (ms_image_view){data, width, height, 3, (size_t)width * 3};
}

static inline bool ms_image_view_valid(const ms_image_view *view, int channels) {
    return view->data && view->width > 0 && view->height > 0 && view->width <= MS_IMAGE_MAX_PX &&
           view->height <= MS_IMAGE_MAX_PX && view->channels == channels &&
           view->stride_bytes >= (size_t)view->width * (size_t)channels;
}

static inline bool ms_image_valid(const ms_image *image, int channels) {
    ms_image_view view = ms_image_as_view(image);
    return ms_image_view_valid(&view, channels);
}

#endif
