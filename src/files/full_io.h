/* Reads and writes a block whole, though a call may be interrupted or do a part of it. */
#ifndef MS_FILES_FULL_IO_H
#define MS_FILES_FULL_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* False: errno says why; 0 = the file ends before. What was read until then is in dst. */
bool ms_read_full(int fd, void *dst, size_t bytes);
bool ms_read_full_at(int fd, void *dst, size_t bytes, off_t at);

/* False: errno says why. */
bool ms_write_full(int fd, const void *src, size_t bytes);
bool ms_write_full_at(int fd, const void *src, size_t bytes, off_t at);

#endif
