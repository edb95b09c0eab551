#include "media/codec_memory.h"

#include <string.h>

#define MIB ((int64_t)1 << 20)

/* Pages of the codec libraries themselves, tables that do not depend on the size. */
#define DECODER_BASE (8 * MIB)
#define THREAD_BYTES (3 * MIB / 2)

/* Frames in the demuxer's and our own hands, and the pool's slack. */
#define EXTRA_FRAMES 6

/* Bytes of an mp4 muxer's index per video frame (94 measured) and per video frame for the sound's packets (at
   most two of AAC at 48 kHz). */
#define INDEX_VIDEO_BYTES 110
#define INDEX_AUDIO_BYTES 190
#define DEMUX_INDEX_BYTES 60

size_t ms_decoder_bytes(const ms_decoder_load *load) {
    int64_t frames = load->reference_frames + load->threads + EXTRA_FRAMES;
    return (size_t)(frames * (load->frame_bytes * 5 / 4 + MIB / 8) + load->threads * THREAD_BYTES +
                    DECODER_BASE + load->file_frames * DEMUX_INDEX_BYTES);
}

/* Reference frames and B frames beyond those of the preset "medium" (x264's and x265's tables). */
static int extra_frames(ms_video_codec codec, const char *preset) {
    if (!preset || codec == MS_VIDEO_FFV1)
        return 0;
    if (strcmp(preset, "slow") == 0)
        return 2;
    if (strcmp(preset, "slower") == 0)
        return codec == MS_VIDEO_H264 ? 5 : 6;
    if (strcmp(preset, "veryslow") == 0)
        return codec == MS_VIDEO_H264 ? 18 : 6;
    return 0;
}

size_t ms_encoder_bytes(const ms_encoder_load *load) {
    int64_t per_pixel10 = 0, base = 0; /* tenths of a byte */
    switch (load->codec) {
    case MS_VIDEO_H264:
        per_pixel10 = 34 * load->lookahead + 130 * load->threads + 620;
        base = 18 * MIB;
        break;
    case MS_VIDEO_HEVC:
        per_pixel10 = 43 * (load->lookahead < 5 ? 5 : load->lookahead) + 200 * load->threads + 900;
        base = 56 * MIB;
        break;
    case MS_VIDEO_FFV1: /* a packet of the worst size, 148 bytes a pixel, and its parts */
        per_pixel10 = 1800 + 10 * load->threads;
        base = 16 * MIB;
        break;
    }
    per_pixel10 += 80 * extra_frames(load->codec, load->preset);
    int64_t index = load->indexed_frames * (INDEX_VIDEO_BYTES + (load->audio ? INDEX_AUDIO_BYTES : 0));
    return (size_t)((int64_t)load->width * load->height * per_pixel10 / 10 + base + index +
                    (load->audio ? 4 * MIB : 0));
}
