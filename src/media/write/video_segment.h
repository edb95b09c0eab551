/*
 * A stretch of an output video, encoded for itself: a fresh encoder, so that its bits depend on its frames
 * alone, and a key frame first. ms_video_writer_append() puts segments together.
 */
#ifndef MS_MEDIA_WRITE_VIDEO_SEGMENT_H
#define MS_MEDIA_WRITE_VIDEO_SEGMENT_H

#include "media/write/packet_file.h"
#include "media/write/video_writer.h"

typedef struct ms_video_segment ms_video_segment;

/* params: of the whole output; its sound is not looked at. fd: of an empty file, taken over whatever is
   returned; path: for messages; label: job and number. The codec ledger is charged with the encoder's
   estimate. */
ms_status ms_video_segment_open(ms_mem *mem, int fd, const char *path, const ms_video_writer_params *params,
                                const ms_packet_label *label, ms_video_segment **ret_segment, ms_error *err);
ms_status ms_video_segment_write(ms_video_segment *segment, const uint8_t *rgb, ptrdiff_t stride,
                                 ms_error *err);
int64_t ms_video_segment_frames(const ms_video_segment *segment);

/* All of it is on the disk when it returns. The segment is gone whatever is returned; its file stays. */
ms_status ms_video_segment_finish(ms_video_segment **segment, ms_error *err);
void ms_video_segment_abort(ms_video_segment **segment);

#endif
