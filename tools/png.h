/* An RGB24 picture to a PNG file, by FFmpeg's encoder. */
#ifndef TOOLS_PNG_H
#define TOOLS_PNG_H

#include <stdint.h>

#include "base/error.h"

/* Rows of width * 3 bytes, tight. The file appears when it is whole. */
ms_status png_write(const char *path, const uint8_t *rgb, int width, int height, ms_error *err);

#endif
