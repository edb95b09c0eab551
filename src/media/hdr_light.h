/* What an HDR stream says of the display that it was graded on and of its brightest
   pictures, from frames to x265. */
#ifndef MS_MEDIA_HDR_LIGHT_H
#define MS_MEDIA_HDR_LIGHT_H

#include "media/av.h"

ms_hdr_light ms_hdr_light_of(const AVFrame *frame);

/* As x265's parameters, each with a colon before it; "" when nothing is known. */
#define MS_HDR_LIGHT_TEXT_BYTES 200
void ms_hdr_light_text(const ms_hdr_light *light, char ret_text[MS_HDR_LIGHT_TEXT_BYTES]);

#endif
