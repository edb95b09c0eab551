/*
 * The input video as a sequence that can also be walked backwards: frames by number at the output's rate,
 * read in blocks when the order is not rising, so that ping-pong looping needs a bounded number of frames in
 * memory.
 */
#ifndef MS_FRAMES_CLIP_H
#define MS_FRAMES_CLIP_H

#include "media/read/video_reader.h"

#define MS_CLIP_BLOCK 16 /* frames of a block that is read ahead of walking backwards */

typedef struct ms_clip ms_clip;

/* fps num 0 = the source's own. keep_hdr: as in ms_video_reader_params. MS_BUDGET:
   there is no room for its pictures. MS_BAD_MEDIA also: ms_clip_check_size(). */
ms_status ms_clip_open(ms_mem *mem, const char *path, ms_rational fps, bool keep_hdr, ms_picture_room room,
                       ms_clip **ret_clip, ms_error *err);

/* Whether faces could be looked for, cut out and put back in pictures of that size.
   MS_BAD_MEDIA names the file. */
ms_status ms_clip_check_size(const ms_video_info *info, const char *path, ms_error *err);

void ms_clip_close(ms_clip **clip);

const ms_video_info *ms_clip_info(const ms_clip *clip);
size_t ms_clip_frame_bytes(const ms_clip *clip); /* as below */

/* width * height * 3 bytes of RGB24; deep: and behind them as many uint16_t, the
   signal of HDR that is kept. */
static inline size_t ms_clip_picture_bytes(int width, int height, bool deep) {
    size_t samples = (size_t)width * (size_t)height * 3;
    return deep ? samples + (samples & 1) + samples * sizeof(uint16_t) : samples;
}

/* The signal in a frame of the clip; NULL where frames are RGB24 alone. */
uint16_t *ms_clip_deep(const ms_clip *clip, uint8_t *frame);

/* What was redrawn in a frame's RGB24 goes into its signal, if it has one. From any thread. */
void ms_clip_put_back(const ms_clip *clip, uint8_t *frame);
int64_t ms_clip_frames_lost(const ms_clip *clip);

/* As ms_video_reader_tags(). */
void ms_clip_tags(const ms_clip *clip, const struct AVFormatContext **ret_format, int *ret_stream);

/* Chapters that begin at `seconds` or later. */
int ms_clip_chapters_after(const ms_clip *clip, double seconds);

/* Where a later reading of the same file goes on at once with frame `number`: saved
   while frames are read, given back before the first is. */
void ms_clip_save_place(const ms_clip *clip, int64_t number, ms_video_place *ret_place);
void ms_clip_go_on(ms_clip *clip, const ms_video_place *place);

/* Adds a place that may be jumped to, for reading backwards. */
void ms_clip_add_mark(ms_clip *clip, const ms_video_mark *mark);

/* How much more the decoder may come to hold than right after opening. */
size_t ms_clip_growth_bytes(const ms_clip *clip);

/* Makes the block for walking backwards now; otherwise the first step back does. */
ms_status ms_clip_reserve_block(ms_clip *clip, ms_error *err);

/* tell: the number of the frame that would be read next without a jump. move_on:
   goes to a later one by decoding all between. */
int64_t ms_clip_tell(const ms_clip *clip);
ms_status ms_clip_move_on(ms_clip *clip, int64_t number, ms_error *err);

/* Copies frame `number` to rgb, ms_clip_frame_bytes() of it. *ret_got false: the video has no such frame. */
ms_status ms_clip_get(ms_clip *clip, int64_t number, uint8_t *rgb, bool *ret_got, ms_error *err);

#endif
