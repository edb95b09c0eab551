/*
 * What a file says of itself, carried into another: title, artist and such, chapters, the language
 * of its tracks. What is of the old file alone (who made it and when, its brands) stays behind.
 */
#ifndef MS_MEDIA_WRITE_TAGS_H
#define MS_MEDIA_WRITE_TAGS_H

#include "media/av.h"
#include "media/write/video_writer.h"

/* To be called before the header is written. audio: the sound's stream, -1 without.
   What a container has no place for, its muxer leaves out. MS_HOST_MEMORY. */
ms_status ms_tags_put(const ms_tags *tags, AVFormatContext *out, int video, int audio, ms_error *err);

#endif
