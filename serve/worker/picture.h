/* A decoded picture as a JPEG. What clip_look.c and picture_save.c share. */
#ifndef SERVE_PICTURE_H
#define SERVE_PICTURE_H

#include <libavutil/frame.h>

#include "memsafe/status.h"

ms_status picture_save_frame(const AVFrame *frame, int most_width, const char *path, ms_error *err);

#endif
