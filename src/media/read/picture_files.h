/*
 * Numbered pictures as a video: what FFmpeg's image2 makes of them, read by
 * ourselves. The demuxer only says by the name which decoder they want; it opens
 * nothing. Each file is a packet and a key frame, numbered from 0.
 */
#ifndef MS_MEDIA_READ_PICTURE_FILES_H
#define MS_MEDIA_READ_PICTURE_FILES_H

#include "files/numbered.h"
#include "media/av.h"

/* The rate that a sequence has unless another is given. */
#define MS_PICTURE_FILES_RATE ((AVRational){25, 1})

/* As ms_av_input_open(). threads: of the decoder, each of which may hold a file.
   MS_UNSUPPORTED: no kind of picture that is read. MS_BUDGET: the largest file has no room. */
ms_status ms_picture_files_open(ms_av_input *in, const char *path, const ms_numbered *files, AVRational rate,
                                int threads, ms_picture_room room, ms_av_log *log, ms_error *err);

/* Reads the index-th of them, whole. MS_IO; MS_BAD_MEDIA: it is empty. */
ms_status ms_picture_files_read(const ms_numbered *files, int index, AVPacket *packet, ms_error *err);

#endif
