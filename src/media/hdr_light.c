#include "media/hdr_light.h"

#include <stdio.h>

#include <libavutil/mastering_display_metadata.h>

/* In units of 1 / per, as SMPTE ST 2086's message has it; 0 for what makes no sense. */
static unsigned units(AVRational x, int per) {
    double value = x.den > 0 ? av_q2d(x) * per + 0.5 : 0;
    return value > 0 && value < 4e9 ? (unsigned)value : 0;
}

ms_hdr_light ms_hdr_light_of(const AVFrame *frame) {
    ms_hdr_light light = {0};
    const AVFrameSideData *sd = av_frame_get_side_data(frame, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA);
    const AVMasteringDisplayMetadata *m = sd ? (const AVMasteringDisplayMetadata *)sd->data : NULL;
    if (m && m->has_primaries && m->has_luminance) {
        light.has_display = true;
        for (int i = 0; i < 2; i++) {
            for (int c = 0; c < 3; c++)
                light.primaries[c][i] = units(m->display_primaries[c][i], 50000);
            light.white[i] = units(m->white_point[i], 50000);
        }
        light.max_luminance = units(m->max_luminance, 10000);
        light.min_luminance = units(m->min_luminance, 10000);
    }
    sd = av_frame_get_side_data(frame, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
    const AVContentLightMetadata *level = sd ? (const AVContentLightMetadata *)sd->data : NULL;
    if (level && level->MaxCLL <= 65535 && level->MaxFALL <= 65535) {
        light.max_content = level->MaxCLL;
        light.max_average = level->MaxFALL;
    }
    return light;
}

void ms_hdr_light_text(const ms_hdr_light *l, char text[MS_HDR_LIGHT_TEXT_BYTES]) {
    int n = 0;
    text[0] = 0;
    if (l->has_display)
        n = snprintf(text, MS_HDR_LIGHT_TEXT_BYTES,
                     ":master-display=G(%u,%u)B(%u,%u)R(%u,%u)WP(%u,%u)L(%u,%u)", l->primaries[1][0],
                     l->primaries[1][1], l->primaries[2][0], l->primaries[2][1], l->primaries[0][0],
                     l->primaries[0][1], l->white[0], l->white[1], l->max_luminance, l->min_luminance);
    if (l->max_content || l->max_average)
        snprintf(text + n, (size_t)(MS_HDR_LIGHT_TEXT_BYTES - n), ":max-cll=%u,%u", l->max_content,
                 l->max_average);
}
