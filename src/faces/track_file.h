/*
 * Faces as JSON lines, one frame each, in rising order of frames:
 *
 *     {"frame":0,"bbox":[x1,y1,x2,y2],"landmarks106":[[x,y],...]}
 *
 * A frame without a line has no face. "mouth_opening", in pixels, may be there (drawn clips
 * have it, `memsafe score` reads it); other members are passed over. Both directions stream.
 */
#ifndef MS_FACES_TRACK_FILE_H
#define MS_FACES_TRACK_FILE_H

#include "faces/track.h"
#include "text/json.h"

#define MS_TRACK_MAX_LINE_BYTES ((size_t)64 << 10)
#define MS_TRACK_MAX_FRAME INT64_C(1000000000)
#define MS_TRACK_MAX_COORDINATE 1e6

typedef struct ms_track_reader ms_track_reader;
typedef struct ms_track_writer ms_track_writer;

ms_status ms_track_reader_open(ms_mem *mem, const char *path, ms_track_reader **ret_reader, ms_error *err);
void ms_track_reader_close(ms_track_reader **reader);

/* The next line's face; *ret_got false at the end. MS_BAD_MEDIA with path and line when
   a line is not what is said above: no integer frame above the last one, a box that is
   not four numbers (it may be absent: then it is that of the landmarks), other than 106
   landmarks, a mouth's opening that is no number, numbers beyond a million. */
ms_status ms_track_reader_next(ms_track_reader *reader, ms_face_record *ret_record, bool *ret_got,
                               ms_error *err);

/* Appends one line with its newline; check buf->failed. Whole numbers are written without a fraction. */
void ms_track_write_line(ms_buf *buf, const ms_face_record *record);

/* The file appears under its name with finish alone; abort, or a failure, leaves
   nothing behind. Without `replace` a file that is there stays: MS_IO. */
ms_status ms_track_writer_create(ms_mem *mem, const char *path, bool replace, ms_track_writer **ret_writer,
                                 ms_error *err);

/* Frames without a face are passed over. */
ms_status ms_track_writer_add(ms_track_writer *writer, const ms_face_record *record, ms_error *err);
ms_status ms_track_writer_finish(ms_track_writer **writer, ms_error *err);
void ms_track_writer_abort(ms_track_writer **writer);

#endif
