#include "media/convert.h"

#include <string.h>

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

/* Bicubic is swscale's and ffmpeg's default; at equal sizes it touches chroma only. */
#define SWS_FLAGS (SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT)

int ms_colour_default_matrix(int height) {
    return height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}

const char *ms_colour_matrix_name(int matrix) {
    if (matrix == AVCOL_SPC_RGB)
        return "rgb";
    const char *name = matrix == AVCOL_SPC_UNSPECIFIED ? NULL : av_color_space_name(matrix);
    return name ? name : "unspecified";
}

/* The deprecated yuvj formats say by their name that the range is full. */
static enum AVPixelFormat plain_format(int format, bool *ret_full) {
    *ret_full = true;
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
        return AV_PIX_FMT_YUV411P;
    default:
        *ret_full = false;
        return format;
    }
}

static bool is_rgb(enum AVPixelFormat format) {
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    return desc && (desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL));
}

ms_frame_colour ms_frame_colour_of(const AVFrame *frame) {
    bool full;
    enum AVPixelFormat format = plain_format(frame->format, &full);
    ms_frame_colour fc = {.colour = {.matrix = frame->colorspace,
                                     .primaries = frame->color_primaries,
                                     .transfer = frame->color_trc,
                                     .full_range = full || frame->color_range == AVCOL_RANGE_JPEG}};
    if (is_rgb(format)) {
        fc.colour.matrix = AVCOL_SPC_RGB;
        fc.colour.full_range = true;
        return fc;
    }
    fc.range_guessed = !full && frame->color_range == AVCOL_RANGE_UNSPECIFIED;
    if (fc.colour.matrix == AVCOL_SPC_UNSPECIFIED || fc.colour.matrix == AVCOL_SPC_RGB ||
        fc.colour.matrix == AVCOL_SPC_RESERVED) {
        fc.colour.matrix = ms_colour_default_matrix(frame->height);
        fc.matrix_guessed = true;
    }
    return fc;
}

static bool matrix_known_to_sws(int matrix) {
    switch (matrix) {
    case AVCOL_SPC_RGB:
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_FCC:
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
    case AVCOL_SPC_SMPTE240M:
    case AVCOL_SPC_BT2020_NCL:
        return true;
    default:
        return false;
    }
}

/* Position of a subsampled chroma sample in 1/256 luma pixels; -513 is swscale's
   "centre, or not subsampled". */
static void chroma_position(enum AVPixelFormat format, int location, int *ret_h, int *ret_v) {
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    *ret_h = *ret_v = -513;
    if (desc->log2_chroma_w) {
        bool centre = location == AVCHROMA_LOC_CENTER || location == AVCHROMA_LOC_TOP ||
                      location == AVCHROMA_LOC_BOTTOM;
        if (!centre)
            *ret_h = 0;
    }
    if (desc->log2_chroma_h == 1) {
        if (location == AVCHROMA_LOC_TOPLEFT || location == AVCHROMA_LOC_TOP)
            *ret_v = 0;
        else if (location == AVCHROMA_LOC_BOTTOMLEFT || location == AVCHROMA_LOC_BOTTOM)
            *ret_v = 256;
        else
            *ret_v = 128;
    }
}

static ms_status make_sws(struct SwsContext **ret, const int size[4], enum AVPixelFormat src_format,
                          enum AVPixelFormat dst_format, int chroma, ms_colour colour, ms_error *err) {
    struct SwsContext *sws = sws_alloc_context();
    if (!sws)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the colour conversion");
    bool to_rgb = dst_format == AV_PIX_FMT_RGB24 || dst_format == AV_PIX_FMT_RGB48;
    int h, v;
    chroma_position(to_rgb ? src_format : dst_format, chroma, &h, &v);
    av_opt_set_int(sws, "srcw", size[0], 0);
    av_opt_set_int(sws, "srch", size[1], 0);
    av_opt_set_int(sws, "dstw", size[2], 0);
    av_opt_set_int(sws, "dsth", size[3], 0);
    av_opt_set_int(sws, "src_format", src_format, 0);
    av_opt_set_int(sws, "dst_format", dst_format, 0);
    av_opt_set_int(sws, "sws_flags", SWS_FLAGS, 0);
    av_opt_set_int(sws, to_rgb ? "src_h_chr_pos" : "dst_h_chr_pos", h, 0);
    av_opt_set_int(sws, to_rgb ? "src_v_chr_pos" : "dst_v_chr_pos", v, 0);
    const int *table = sws_getCoefficients(colour.matrix);
    if (colour.matrix != AVCOL_SPC_RGB) /* before init: it picks its functions by the ranges */
        sws_setColorspaceDetails(sws, table, to_rgb ? colour.full_range : 1, table,
                                 to_rgb ? 1 : colour.full_range, 0, 1 << 16, 1 << 16);
    int rc = sws_init_context(sws, NULL, NULL);
    if (rc < 0) {
        sws_freeContext(sws);
        return ms_fail_av(err, rc == AVERROR(ENOMEM) ? MS_HOST_MEMORY : MS_UNSUPPORTED, NULL, rc,
                          "cannot convert %dx%d %s to %dx%d %s", size[0], size[1],
                          av_get_pix_fmt_name(src_format), size[2], size[3], av_get_pix_fmt_name(dst_format));
    }
    *ret = sws;
    return MS_OK;
}

ms_status ms_to_rgb_init(ms_to_rgb *c, ms_mem *mem, int width, int height, ms_orientation orientation,
                         ms_error *err) {
    *c = (ms_to_rgb){.mem = mem, .width = width, .height = height, .orientation = orientation};
    c->stride = ((ptrdiff_t)width * 3 + 127) / 64 * 64; /* at least 64 bytes of slack */
    size_t bytes = (size_t)c->stride * (size_t)height;
    c->rgb = ms_mem_alloc(mem, MS_LEDGER_FRAMES, bytes);
    return c->rgb ? MS_OK : ms_fail_alloc(err, mem, bytes, "a decoded RGB frame");
}

ms_status ms_to_rgb_set_hdr(ms_to_rgb *c, ms_colour colour, bool keep, ms_error *err) {
    c->deep_stride = ((ptrdiff_t)c->width * 6 + 127) / 64 * 64;
    size_t bytes = (size_t)c->deep_stride * (size_t)c->height;
    c->deep = ms_mem_alloc(c->mem, MS_LEDGER_FRAMES, bytes);
    if (!c->deep)
        return ms_fail_alloc(err, c->mem, bytes, "a decoded HDR frame");
    if (keep)
        return ms_hdr_view_create(c->mem, colour.transfer, &c->view, err);
    return ms_tonemap_create(c->mem, colour.transfer, colour.primaries, &c->tonemap, err);
}

void ms_to_rgb_free(ms_to_rgb *c) {
    ms_tonemap_destroy(&c->tonemap);
    ms_hdr_view_destroy(&c->view);
    ms_mem_free(c->deep);
    c->deep = NULL;
    sws_freeContext(c->sws);
    c->sws = NULL;
    ms_mem_free(c->rgb);
    c->rgb = NULL;
}

static bool same_colour(const ms_colour *a, const ms_colour *b) {
    return a->matrix == b->matrix && a->full_range == b->full_range;
}

static void show_deep(ms_to_rgb *c) {
    size_t pixels = (size_t)c->width;
    for (int y = 0; y < c->height; y++) {
        const uint16_t *src = c->deep + y * (c->deep_stride / 2);
        uint8_t *dst = c->rgb + y * c->stride;
        if (c->view)
            ms_hdr_view_row(c->view, src, dst, 3 * pixels);
        else
            ms_tonemap_row(c->tonemap, src, dst, pixels);
    }
}

ms_status ms_to_rgb_convert(ms_to_rgb *c, const AVFrame *frame, ms_error *err) {
    bool full;
    enum AVPixelFormat format = plain_format(frame->format, &full);
    ms_colour colour = ms_frame_colour_of(frame).colour;
    if (!c->sws || c->format != format || c->src_width != frame->width || c->src_height != frame->height ||
        c->chroma != (int)frame->chroma_location || !same_colour(&c->colour, &colour)) {
        if (!sws_isSupportedInput(format))
            return ms_fail(err, MS_UNSUPPORTED, "pixel format %s", av_get_pix_fmt_name(frame->format));
        if (!matrix_known_to_sws(colour.matrix))
            return ms_fail(err, MS_UNSUPPORTED, "colour matrix %s (%d)", ms_colour_matrix_name(colour.matrix),
                           colour.matrix);
        sws_freeContext(c->sws);
        c->sws = NULL;
        const int size[4] = {frame->width, frame->height, c->width, c->height};
        MS_TRY(make_sws(&c->sws, size, format, c->deep ? AV_PIX_FMT_RGB48 : AV_PIX_FMT_RGB24,
                        frame->chroma_location, colour, err));
        c->format = format;
        c->src_width = frame->width;
        c->src_height = frame->height;
        c->chroma = frame->chroma_location;
        c->colour = colour;
    }
    uint8_t *dst[4] = {c->deep ? (uint8_t *)c->deep : c->rgb};
    const int dst_stride[4] = {(int)(c->deep ? c->deep_stride : c->stride)};
    int rc = sws_scale(c->sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, dst,
                       dst_stride);
    if (rc < 0)
        return ms_fail_av(err, MS_INTERNAL, NULL, rc, "converting a frame to RGB");
    if (c->deep)
        show_deep(c);
    return MS_OK;
}

void ms_to_rgb_copy(const ms_to_rgb *c, uint8_t *dst, ptrdiff_t dst_stride) {
    ms_orient_rgb(c->orientation, 3, c->rgb, c->stride, c->width, c->height, dst, dst_stride);
}

void ms_to_rgb_copy_deep(const ms_to_rgb *c, uint16_t *dst) {
    int shown_width = c->orientation.transpose ? c->height : c->width;
    ms_orient_rgb(c->orientation, 6, (const uint8_t *)c->deep, c->deep_stride, c->width, c->height,
                  (uint8_t *)dst, 6 * (ptrdiff_t)shown_width);
}

/* ---- the other way */

ms_status ms_from_rgb_init(ms_from_rgb *c, int width, int height, int padded_width, int padded_height,
                           enum AVPixelFormat format, ms_colour colour, bool deep, ms_error *err) {
    *c = (ms_from_rgb){.width = width, .height = height, .pixel_bytes = deep ? 6 : 3};
    c->rgb = av_frame_alloc();
    if (!c->rgb)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for an encoder frame");
    c->rgb->format = deep ? AV_PIX_FMT_RGB48 : AV_PIX_FMT_RGB24;
    c->rgb->width = padded_width;
    c->rgb->height = padded_height;
    if (av_frame_get_buffer(c->rgb, 0) < 0)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for an encoder frame of %dx%d", padded_width,
                       padded_height);
    const int size[4] = {padded_width, padded_height, padded_width, padded_height};
    return make_sws(&c->sws, size, c->rgb->format, format, AVCHROMA_LOC_LEFT, colour, err);
}

void ms_from_rgb_free(ms_from_rgb *c) {
    sws_freeContext(c->sws);
    c->sws = NULL;
    av_frame_free(&c->rgb);
}

static void pad(const ms_from_rgb *c, const uint8_t *src, ptrdiff_t src_stride) {
    const AVFrame *rgb = c->rgb;
    const size_t pixel = (size_t)c->pixel_bytes, row = pixel * (size_t)c->width;
    for (int y = 0; y < rgb->height; y++) {
        uint8_t *dst = rgb->data[0] + (ptrdiff_t)y * rgb->linesize[0];
        memcpy(dst, src + (y < c->height ? y : c->height - 1) * src_stride, row);
        for (int x = c->width; x < rgb->width; x++)
            memcpy(dst + pixel * (size_t)x, dst + row - pixel, pixel);
    }
}

ms_status ms_from_rgb_convert(ms_from_rgb *c, const uint8_t *src, ptrdiff_t src_stride, AVFrame *frame,
                              ms_error *err) {
    pad(c, src, src_stride);
    int rc = sws_scale(c->sws, (const uint8_t *const *)c->rgb->data, c->rgb->linesize, 0, c->rgb->height,
                       frame->data, frame->linesize);
    return rc < 0 ? ms_fail_av(err, MS_INTERNAL, NULL, rc, "converting a frame for the encoder") : MS_OK;
}
