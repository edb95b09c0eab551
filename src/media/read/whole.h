/*
 * Whether a media file is as long as its own headers say: a download or a recording that was
 * cut off shows before hours of work and not at their end. Looks at the outermost lengths
 * only: Matroska's segment, RIFF's and its data chunk's (WAV, AVI), boxes of mp4 and mov (that
 * begin with ftyp). Other formats, and headers that leave the length open, count as whole.
 */
#ifndef MS_MEDIA_READ_WHOLE_H
#define MS_MEDIA_READ_WHOLE_H

#include "memsafe/status.h"

/* MS_BAD_MEDIA: it is cut off; the message has the path and both lengths. MS_IO: cannot be read. */
ms_status ms_check_whole_file(const char *path, ms_error *err);

#endif
