/* Files that are small and want much: pictures and sound whose size has nothing to do with the file's. */
#ifndef MS_TESTS_SUPPORT_MEDIA_HOSTILE_H
#define MS_TESTS_SUPPORT_MEDIA_HOSTILE_H

#include <stdint.h>

/* Two grey pictures in a container by the path's name; encoder as clip_raw has it.
   Made in a process of its own: encoding takes the memory that reading shall not. */
void hostile_pictures(const char *path, const char *encoder, const char *pixel_format, int width, int height);

/* The same in Matroska, as PNG, and the container says that they have 64 x 64 pixels. */
void hostile_lying_pictures(const char *path, int width, int height);

/* 8-bit mono samples at any rate: at 1 Hz each lasts a second. */
void hostile_wav(const char *path, uint32_t rate, uint32_t samples);

#endif
