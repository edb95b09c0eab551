#include "frames/clip.h"

#include <string.h>

#include "base/error.h"
#include "pictures/image.h"

/* A letter box of 512 that the detector gets has no row left from 1024 on. */
#define MAX_ASPECT 256

struct ms_clip {
    ms_mem *mem;
    ms_video_reader *reader;
    size_t frame_bytes;
    uint8_t *block; /* frames block_first .. block_first + block_count - 1; made when first needed */
    int64_t block_first, block_count;
};

uint16_t *ms_clip_deep(const ms_clip *c, uint8_t *frame) {
    const ms_video_info *info = ms_clip_info(c);
    size_t samples = (size_t)info->width * (size_t)info->height * 3;
    return info->deep ? (uint16_t *)(void *)(frame + samples + (samples & 1)) : NULL;
}

void ms_clip_put_back(const ms_clip *c, uint8_t *frame) {
    uint16_t *deep = ms_clip_deep(c, frame);
    if (deep)
        ms_video_reader_put_back(c->reader, frame, deep);
}

/* The reader's next frame. */
static ms_status read_next(ms_clip *c, uint8_t *frame, bool *ret_got, ms_error *err) {
    return ms_video_reader_read_deep(c->reader, frame, 0, ms_clip_deep(c, frame), ret_got, err);
}

ms_status ms_clip_check_size(const ms_video_info *info, const char *path, ms_error *err) {
    int w = info->width, h = info->height, shorter = w < h ? w : h, longer = w < h ? h : w;
    if (shorter < 2 || longer > MS_IMAGE_MAX_PX || longer > MAX_ASPECT * shorter)
        return ms_fail(
            err, MS_BAD_MEDIA,
            "%s: pictures of %dx%d; sides must be 2 to %d pixels, none more than %d times the other", path, w,
            h, MS_IMAGE_MAX_PX, MAX_ASPECT);
    return MS_OK;
}

ms_status ms_clip_open(ms_mem *mem, const char *path, ms_rational fps, bool keep_hdr, ms_picture_room room,
                       ms_clip **ret_clip, ms_error *err) {
    ms_clip *c = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*c));
    if (!c)
        return ms_fail_alloc(err, mem, sizeof(*c), "reading video");
    c->mem = mem;
    ms_video_reader_params params = MS_VIDEO_READER_DEFAULTS;
    params.fps = fps;
    params.keep_hdr = keep_hdr;
    params.room = room;
    ms_status status = ms_video_reader_open(mem, path, &params, &c->reader, err);
    if (status == MS_OK)
        status = ms_clip_check_size(ms_video_reader_info(c->reader), path, err);
    if (status != MS_OK) {
        ms_clip_close(&c);
        return status;
    }
    const ms_video_info *info = ms_video_reader_info(c->reader);
    c->frame_bytes = ms_clip_picture_bytes(info->width, info->height, info->deep);
    *ret_clip = c;
    return MS_OK;
}

void ms_clip_close(ms_clip **clip) {
    if (!clip || !*clip)
        return;
    ms_video_reader_close(&(*clip)->reader);
    ms_mem_free((*clip)->block);
    ms_mem_free(*clip);
    *clip = NULL;
}

const ms_video_info *ms_clip_info(const ms_clip *c) {
    return ms_video_reader_info(c->reader);
}

size_t ms_clip_frame_bytes(const ms_clip *c) {
    return c->frame_bytes;
}

size_t ms_clip_growth_bytes(const ms_clip *c) {
    return ms_video_reader_growth_bytes(c->reader);
}

int64_t ms_clip_frames_lost(const ms_clip *c) {
    ms_video_damage_report damage;
    ms_video_reader_damage(c->reader, &damage);
    return damage.frames_lost;
}

void ms_clip_tags(const ms_clip *c, const struct AVFormatContext **ret_format, int *ret_stream) {
    ms_video_reader_tags(c->reader, ret_format, ret_stream);
}

int ms_clip_chapters_after(const ms_clip *c, double seconds) {
    return ms_video_reader_chapters_after(c->reader, seconds);
}

void ms_clip_save_place(const ms_clip *c, int64_t number, ms_video_place *ret_place) {
    ms_video_reader_save_place(c->reader, number, ret_place);
}

void ms_clip_go_on(ms_clip *c, const ms_video_place *place) {
    ms_video_reader_go_on(c->reader, place);
}

void ms_clip_add_mark(ms_clip *c, const ms_video_mark *mark) {
    ms_video_reader_add_mark(c->reader, mark);
}

ms_status ms_clip_reserve_block(ms_clip *c, ms_error *err) {
    if (c->block)
        return MS_OK;
    c->block = ms_alloc_array(c->mem, MS_LEDGER_FRAMES, MS_CLIP_BLOCK, c->frame_bytes);
    if (!c->block)
        return ms_fail_alloc(err, c->mem, MS_CLIP_BLOCK * c->frame_bytes, "reading video backwards");
    memset(c->block, 0, MS_CLIP_BLOCK * c->frame_bytes);
    return MS_OK;
}

/* Reads the block that ends with a frame. */
static ms_status fill_block(ms_clip *c, int64_t last, ms_error *err) {
    MS_TRY(ms_clip_reserve_block(c, err));
    int64_t first = last >= MS_CLIP_BLOCK ? last - MS_CLIP_BLOCK + 1 : 0;
    c->block_first = first;
    c->block_count = 0;
    MS_TRY(ms_video_reader_seek(c->reader, first, err));
    bool got = true;
    while (got && first + c->block_count <= last) {
        MS_TRY(read_next(c, c->block + (size_t)c->block_count * c->frame_bytes, &got, err));
        c->block_count += got;
    }
    return MS_OK;
}

int64_t ms_clip_tell(const ms_clip *c) {
    return ms_video_reader_tell(c->reader);
}

ms_status ms_clip_move_on(ms_clip *c, int64_t number, ms_error *err) {
    return ms_video_reader_seek(c->reader, number, err);
}

ms_status ms_clip_get(ms_clip *c, int64_t number, uint8_t *rgb, bool *ret_got, ms_error *err) {
    if (number >= c->block_first && number < c->block_first + c->block_count) {
        memcpy(rgb, c->block + (size_t)(number - c->block_first) * c->frame_bytes, c->frame_bytes);
        *ret_got = true;
        return MS_OK;
    }
    int64_t next = ms_video_reader_tell(c->reader);
    if (number == next)
        return read_next(c, rgb, ret_got, err);
    if (number > next) {
        MS_TRY(ms_video_reader_seek(c->reader, number, err));
        return read_next(c, rgb, ret_got, err);
    }
    MS_TRY(fill_block(c, number, err));
    *ret_got = number < c->block_first + c->block_count;
    if (*ret_got)
        memcpy(rgb, c->block + (size_t)(number - c->block_first) * c->frame_bytes, c->frame_bytes);
    return MS_OK;
}
