#include "media/codec_memory.h"

#include <string.h>

#define MIB ((int64_t)1 << 20)
#define MB ((int64_t)1000000)

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

/* Of a packet. Noise comes to 3.4 bytes a pixel with FFV1, 2.2 with x264 at crf 0 and 1.6 with x265, whose
   headers take a kilobyte more; small pictures are padded. */
#define PACKET_PIXEL_BYTES 16
#define PACKET_HEAD_BYTES ((int64_t)64 << 10)

/* An audio encoder and packets on their way; what reads the sound is charged on its own. */
#define AUDIO_TRACK_BYTES MIB

static int64_t frame_bytes(const ms_decoder_load *load) {
    return load->frame_bytes * 5 / 4 + MIB / 8;
}

size_t ms_decoder_growth_bytes(const ms_decoder_load *load) {
    return (size_t)((load->reference_frames + 1) * frame_bytes(load));
}

size_t ms_decoder_bytes(const ms_decoder_load *load) {
    int64_t frames = load->reference_frames + load->threads + EXTRA_FRAMES;
    return (size_t)(frames * frame_bytes(load) + load->threads * THREAD_BYTES + DECODER_BASE +
                    (load->threads + 1) * load->packet_bytes + load->file_frames * DEMUX_INDEX_BYTES);
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

/* Encoders pad their pictures on all sides, x265 more than x264. */
static int64_t padded_pixels(const ms_encoder_load *load, int border) {
    return (int64_t)(load->width + 2 * border) * (load->height + 2 * border);
}

/* Of what an encoder holds once it is under way, the part that a clip of so few frames makes it allocate, in
   thousandths: a share at once, the rest frame by frame until its lookahead is full. */
static int64_t filled(const ms_encoder_load *load, int at_once, int until) {
    if (load->frames <= 0 || load->frames >= until)
        return 1000;
    return at_once + (1000 - at_once) * load->frames / until;
}

/* Each constant within some 5 % above what was measured, noise as the picture included. */
size_t ms_encoder_bytes(const ms_encoder_load *load) {
    int64_t bytes = 0, extra = 8 * extra_frames(load->codec, load->preset);
    int64_t lookahead = load->codec == MS_VIDEO_HEVC && load->lookahead < 5 ? 5 : load->lookahead;
    switch (load->codec) {
    case MS_VIDEO_H264:
        bytes = padded_pixels(load, 32) * ((34 * lookahead + 130 * load->threads + 420) / 10 + extra);
        bytes = 8 * MB + (2 * MB + bytes) * filled(load, 310, load->lookahead + 7) / 1000;
        break;
    case MS_VIDEO_HEVC:
        bytes = padded_pixels(load, 80) * ((38 * lookahead + 180 * load->threads + 440) / 10 + extra);
        bytes = load->deep ? bytes * 7 / 4 : bytes; /* its samples have two bytes, its tables stay */
        /* x265 4.1 takes 4 MB more than 3.5 from the start. */
        bytes = 17 * MB + (12 * MB + bytes) * filled(load, 400, (int)lookahead + 9) / 1000;
        break;
    case MS_VIDEO_FFV1: /* a packet of the worst size, 148 bytes a pixel, and its parts */
        bytes = 183 * (int64_t)load->width * load->height + 11 * MB / 2;
        break;
    }
    int64_t index =
        load->indexed ? load->frames * (INDEX_VIDEO_BYTES + (load->audio ? INDEX_AUDIO_BYTES : 0)) : 0;
    return (size_t)(bytes + index + (load->audio ? AUDIO_TRACK_BYTES : 0));
}

int64_t ms_packet_most_bytes(int width, int height) {
    return PACKET_HEAD_BYTES + PACKET_PIXEL_BYTES * (int64_t)width * height;
}
