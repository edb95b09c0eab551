#include "media/write/video_writer.h"

#include <inttypes.h>
#include <unistd.h>

#include "files/new_file.h"
#include "media/codec_memory.h"
#include "media/write/audio_track.h"
#include "media/write/packet_file.h"
#include "media/write/tags.h"
#include "media/write/video_encoder.h"

#include <libavutil/pixdesc.h>

struct ms_video_writer {
    ms_mem *mem;
    ms_av_log log;
    ms_video_writer_params params;
    char *audio_path;
    ms_mux mux;
    ms_video_encoder encoder;
    ms_audio_track audio;
    int index; /* of the video stream */
    size_t charged;
    bool appended;    /* it takes segments */
    ms_status failed; /* the first failure; nothing is written after it */
};

/* Charged to itself when the track has to be encoded anew. */
static size_t reader_bytes(const ms_video_writer_params *p) {
    return p->audio == MS_AUDIO_ORIGINAL ? MS_AUDIO_READER_BYTES : 0;
}

size_t ms_video_writer_memory(const ms_video_writer_params *p) {
    int width, height;
    ms_video_encoder_size(p, &width, &height);
    ms_encoder_load load = {.codec = p->codec,
                            .preset = p->preset,
                            .width = width,
                            .height = height,
                            .threads = p->threads,
                            .lookahead = p->lookahead,
                            .audio = p->audio != MS_AUDIO_NONE,
                            .deep = p->deep,
                            .frames = p->expected_frames,
                            .indexed = true};
    return ms_encoder_bytes(&load) + reader_bytes(p);
}

static const char *shown(const ms_video_writer *w) {
    return w->params.shown_as ? w->params.shown_as : w->mux.file.path;
}

static ms_status check_audio(const ms_video_writer_params *p, ms_error *err) {
    if (p->audio == MS_AUDIO_ORIGINAL && !p->audio_path)
        return ms_fail(err, MS_INVALID_ARGUMENT, "no file to take the audio from");
    if (p->audio == MS_AUDIO_FEED && !p->feed.read)
        return ms_fail(err, MS_INVALID_ARGUMENT, "no feed to take the audio from");
    if (p->audio_bits < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "audio bit rate %d", p->audio_bits);
    return MS_OK;
}

ms_status ms_video_writer_check(const char *path, const ms_video_writer_params *params, ms_error *err) {
    ms_container container;
    MS_TRY(ms_video_encoder_check(params, err));
    MS_TRY(check_audio(params, err));
    /* What it is says more than what its name lacks, and that a file is there only matters under a name that
       will do. */
    MS_TRY(ms_new_file_check(path, true, err));
    MS_TRY(ms_container_for(path, ms_video_codec_id(params->codec), &container, err));
    return ms_new_file_check(path, params->force, err);
}

const char *ms_video_writer_encodes_sound(const char *path, const ms_video_writer_params *params,
                                          const char *sound_codec) {
    ms_container container;
    const AVCodecDescriptor *sound = avcodec_descriptor_get_by_name(sound_codec);
    if (ms_container_for(path, ms_video_codec_id(params->codec), &container, NULL) != MS_OK)
        return NULL;
    bool copied = sound && ms_audio_track_copies(container, sound->id);
    return copied ? NULL : avcodec_get_name(ms_audio_track_encoder(container));
}

const char *ms_video_writer_pixel_format(const ms_video_writer_params *params) {
    return av_get_pix_fmt_name(ms_video_encoder_format(params));
}

bool ms_video_writer_stores(const ms_video_writer_params *params, const char *pixel_format) {
    return av_get_pix_fmt(pixel_format) == ms_video_encoder_format(params);
}

bool ms_video_writer_holds_chapters(const char *path) {
    ms_container container;
    return ms_container_for(path, AV_CODEC_ID_FFV1, &container, NULL) != MS_OK ||
           container != MS_CONTAINER_AVI;
}

void ms_video_writer_size(const ms_video_writer_params *params, int *ret_width, int *ret_height) {
    ms_video_encoder_size(params, ret_width, ret_height);
}

static void close_parts(ms_video_writer *w) {
    ms_audio_track_close(&w->audio);
    ms_video_encoder_close(&w->encoder);
    ms_mux_abort(&w->mux);
    if (w->charged)
        ms_mem_release(w->mem, MS_LEDGER_CODEC, w->charged);
    ms_mem_free(w->audio_path);
}

static ms_status open_parts(ms_video_writer *w, const char *path, ms_error *err) {
    const ms_video_writer_params *p = &w->params;
    size_t bytes = ms_video_writer_memory(p) - reader_bytes(p);
    if (!ms_mem_charge(w->mem, MS_LEDGER_CODEC, bytes))
        return ms_fail_alloc(err, w->mem, bytes, "the video encoder");
    w->charged = bytes;
    if (p->audio_path) {
        w->audio_path = ms_strdup(w->mem, p->audio_path);
        if (!w->audio_path)
            return ms_fail_alloc(err, w->mem, 1, "a file name");
        w->params.audio_path = w->audio_path;
    }
    MS_TRY(ms_mux_open(&w->mux, w->mem, path, ms_video_codec_id(p->codec), p->force, &w->log, err));
    w->mux.file.shown_as = p->shown_as;
    bool global = w->mux.format->oformat->flags & AVFMT_GLOBALHEADER;
    MS_TRY(ms_video_encoder_open(&w->encoder, p, global, &w->log, err));
    MS_TRY(ms_mux_add_encoder(&w->mux, w->encoder.codec, &w->index, err));
    if (p->audio != MS_AUDIO_NONE)
        MS_TRY(ms_audio_track_open(&w->audio, w->mem, &w->mux, p, err));
    int sound = p->audio != MS_AUDIO_NONE ? w->audio.index : -1;
    MS_TRY(ms_tags_put(&p->tags, w->mux.format, w->index, sound, err));
    return ms_mux_write_header(&w->mux, err);
}

ms_status ms_video_writer_open(ms_mem *mem, const char *path, const ms_video_writer_params *params,
                               ms_video_writer **ret_writer, ms_error *err) {
    MS_TRY(ms_video_writer_check(path, params, err));
    ms_video_writer *w = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*w));
    if (!w)
        return ms_fail_alloc(err, mem, sizeof(*w), "a video writer");
    w->mem = mem;
    w->params = *params;
    w->mux.file = MS_NEW_FILE_NONE;
    w->audio.in.fd = -1;
    ms_av_log *previous = ms_av_log_enter(&w->log);
    ms_status status = open_parts(w, path, err);
    if (status) {
        close_parts(w);
        ms_error_where(err, "encode", -1);
    }
    ms_av_log_leave(previous);
    if (status) {
        ms_mem_free(w);
        return status;
    }
    *ret_writer = w;
    return MS_OK;
}

/* The encoder's packet, followed by the sound up to it: that keeps the two close in the file and the muxer's
   queue short. */
static ms_status move_packet(ms_video_writer *w, ms_error *err) {
    int64_t dts = w->encoder.packet->dts;
    MS_TRY(ms_mux_write(&w->mux, w->encoder.packet, w->index, w->encoder.codec->time_base, err));
    if (w->params.audio != MS_AUDIO_NONE && dts + 1 > 0)
        MS_TRY(ms_audio_track_advance(&w->audio, dts + 1, false, err));
    return MS_OK;
}

static ms_status move_packets(ms_video_writer *w, ms_error *err) {
    bool got;
    for (;;) {
        MS_TRY(ms_video_encoder_receive(&w->encoder, &got, &w->log, err));
        if (!got)
            return MS_OK;
        MS_TRY(move_packet(w, err));
    }
}

ms_status ms_video_writer_write(ms_video_writer *w, const uint8_t *rgb, ptrdiff_t stride, ms_error *err) {
    if (w->failed)
        return ms_fail(err, w->failed, "%s: writing failed before", shown(w));
    if (stride == 0)
        stride = ms_video_encoder_row_bytes(&w->params);
    int64_t frame = w->encoder.frames;
    ms_av_log *previous = ms_av_log_enter(&w->log);
    ms_status status = ms_video_encoder_send(&w->encoder, rgb, stride, &w->log, err);
    if (status == MS_OK)
        status = move_packets(w, err);
    ms_av_log_leave(previous);
    if (status)
        ms_error_where(err, "encode", frame);
    w->failed = status;
    return status;
}

/* A segment counts its frames from 0. */
static ms_status append(ms_video_writer *w, ms_packet_file *file, ms_error *err) {
    int64_t first = w->encoder.frames;
    bool got = true;
    while (got) {
        MS_TRY(ms_packet_file_read(file, w->encoder.packet, &got, err));
        if (!got)
            break;
        w->encoder.packet->pts += first;
        w->encoder.packet->dts += first;
        w->encoder.frames++;
        MS_TRY(move_packet(w, err));
    }
    return MS_OK;
}

ms_status ms_video_writer_append(ms_video_writer *w, const ms_packet_file_params *segment, ms_error *err) {
    ms_packet_file file;
    const AVCodecContext *codec = w->encoder.codec;
    ms_packet_file_params p = *segment;
    if (w->failed) {
        close(p.fd);
        return ms_fail(err, w->failed, "%s: writing failed before", shown(w));
    }
    p.mem = w->mem;
    p.of_encoder = true;
    p.extradata = codec->extradata;
    p.extradata_bytes = codec->extradata_size;
    p.most_packet_bytes = ms_packet_most_bytes(codec->width, codec->height);
    w->appended = true;
    ms_av_log *previous = ms_av_log_enter(&w->log);
    ms_status status = ms_packet_file_open(&file, &p, err);
    if (status == MS_OK)
        status = append(w, &file, err);
    ms_packet_file_close(&file);
    ms_av_log_leave(previous);
    w->failed = status;
    return status;
}

int64_t ms_video_writer_frames(const ms_video_writer *w) {
    return w->encoder.frames;
}

static ms_status finish(ms_video_writer *w, ms_error *err) {
    if (w->failed)
        return ms_fail(err, w->failed, "%s: writing failed before", shown(w));
    if (w->encoder.frames == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: a video needs at least one frame", shown(w));
    if (!w->appended) {
        MS_TRY(ms_video_encoder_send(&w->encoder, NULL, 0, &w->log, err));
        MS_TRY(move_packets(w, err));
    }
    if (w->params.audio != MS_AUDIO_NONE)
        MS_TRY(ms_audio_track_advance(&w->audio, w->encoder.frames, true, err));
    return ms_mux_finish(&w->mux, err);
}

ms_status ms_video_writer_finish(ms_video_writer **writer, ms_error *err) {
    ms_video_writer *w = *writer;
    ms_av_log *previous = ms_av_log_enter(&w->log);
    ms_status status = finish(w, err);
    ms_av_log_leave(previous);
    if (status)
        ms_error_where(err, "encode", w->encoder.frames);
    ms_video_writer_abort(writer);
    return status;
}

void ms_video_writer_abort(ms_video_writer **writer) {
    if (!writer || !*writer)
        return;
    ms_video_writer *w = *writer;
    ms_av_log *previous = ms_av_log_enter(&w->log);
    close_parts(w);
    ms_av_log_leave(previous);
    ms_mem_free(w);
    *writer = NULL;
}
