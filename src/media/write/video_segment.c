#include "media/write/video_segment.h"

#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "media/write/video_encoder.h"

struct ms_video_segment {
    ms_mem *mem;
    ms_av_log log;
    ms_video_writer_params params;
    ms_video_encoder encoder;
    ms_packet_file file;
    size_t charged;
};

/* Until the file has it, the descriptor is to be closed here. */
static ms_status open_parts(ms_video_segment *s, int *fd, const char *path, const ms_packet_label *label,
                            ms_error *err) {
    size_t bytes = ms_video_writer_memory(&s->params);
    if (!ms_mem_charge(s->mem, MS_LEDGER_CODEC, bytes))
        return ms_fail_alloc(err, s->mem, bytes, "the video encoder");
    s->charged = bytes;
    /* Headers apart, as the containers of H.264 and HEVC want them; FFV1's are apart always. */
    MS_TRY(ms_video_encoder_open(&s->encoder, &s->params, true, &s->log, err));
    int file = *fd;
    *fd = -1;
    return ms_packet_file_create(&s->file, s->mem, file, path, s->params.shown_as, label,
                                 s->encoder.codec->extradata, s->encoder.codec->extradata_size, err);
}

ms_status ms_video_segment_open(ms_mem *mem, int fd, const char *path, const ms_video_writer_params *params,
                                const ms_packet_label *label, ms_video_segment **ret_segment, ms_error *err) {
    ms_video_segment *s = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*s));
    if (!s) {
        close(fd);
        return ms_fail_alloc(err, mem, sizeof(*s), "a segment of the output");
    }
    s->mem = mem;
    s->params = *params;
    s->file.fd = -1;
    ms_av_log *previous = ms_av_log_enter(&s->log);
    ms_status status = open_parts(s, &fd, path, label, err);
    ms_av_log_leave(previous);
    if (fd >= 0)
        close(fd);
    if (status != MS_OK) {
        ms_error_where(err, "encode", -1);
        ms_video_segment_abort(&s);
        return status;
    }
    *ret_segment = s;
    return MS_OK;
}

static ms_status send(ms_video_segment *s, const uint8_t *rgb, ptrdiff_t stride, ms_error *err) {
    bool got = true;
    MS_TRY(ms_video_encoder_send(&s->encoder, rgb, stride, &s->log, err));
    for (;;) {
        MS_TRY(ms_video_encoder_receive(&s->encoder, &got, &s->log, err));
        if (!got)
            return MS_OK;
        MS_TRY(ms_packet_file_write(&s->file, s->encoder.packet, err));
    }
}

ms_status ms_video_segment_write(ms_video_segment *s, const uint8_t *rgb, ptrdiff_t stride, ms_error *err) {
    ms_av_log *previous = ms_av_log_enter(&s->log);
    ms_status status = send(s, rgb, stride ? stride : ms_video_encoder_row_bytes(&s->params), err);
    ms_av_log_leave(previous);
    return status;
}

int64_t ms_video_segment_frames(const ms_video_segment *s) {
    return s->encoder.frames;
}

ms_status ms_video_segment_finish(ms_video_segment **segment, ms_error *err) {
    ms_video_segment *s = *segment;
    ms_av_log *previous = ms_av_log_enter(&s->log);
    ms_status status = send(s, NULL, 0, err);
    if (status == MS_OK)
        status = ms_packet_file_finish(&s->file, err);
    ms_av_log_leave(previous);
    ms_video_segment_abort(segment);
    return status;
}

/* An encoder leaves holes that the next one does not quite fit: without this a run's second segment adds 5 %
   to a small run's peak. */
static void give_back_pages(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

void ms_video_segment_abort(ms_video_segment **segment) {
    if (!segment || !*segment)
        return;
    ms_video_segment *s = *segment;
    ms_av_log *previous = ms_av_log_enter(&s->log);
    ms_video_encoder_close(&s->encoder);
    ms_av_log_leave(previous);
    ms_packet_file_close(&s->file);
    if (s->charged)
        ms_mem_release(s->mem, MS_LEDGER_CODEC, s->charged);
    ms_mem_free(s);
    give_back_pages();
    *segment = NULL;
}
