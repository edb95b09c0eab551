/*
 * Encoded video of one segment of an output, between its encoder and the file that all segments are joined to: the
 * codec's headers, then packet after packet with exact timestamps in frames, each with a checksum. Not for players.
 */
#ifndef MS_MEDIA_WRITE_PACKET_FILE_H
#define MS_MEDIA_WRITE_PACKET_FILE_H

#include "base/crc32.h"
#include "media/av.h"

typedef struct ms_packet_file {
    char *path;
    const char *shown_as; /* borrowed; what messages call the file when it is written, may be NULL */
    int fd;
    int64_t bytes, at; /* of the file; reading: where the next packet begins */
    uint8_t *buffer;   /* writing: what is not yet in the file */
    size_t held;
    ms_crc32_table *crc;
} ms_packet_file;

/* fd: of an empty file, taken over whatever is returned; path: for messages. extradata: of the encoder. MS_IO. */
ms_status ms_packet_file_create(ms_packet_file *file, ms_mem *mem, int fd, const char *path,
                                const char *shown_as, const uint8_t *extradata, int extradata_bytes,
                                ms_error *err);
ms_status ms_packet_file_write(ms_packet_file *file, const AVPacket *packet, ms_error *err);

/* All is on the disk when it returns; file->bytes says how much. */
ms_status ms_packet_file_finish(ms_packet_file *file, ms_error *err);

/* fd: taken over, as above. bytes: that the file must have; extradata NULL: any. MS_DAMAGED: it is another file, or its headers
   are not the ones given. */
ms_status ms_packet_file_open(ms_packet_file *file, ms_mem *mem, int fd, const char *path, int64_t bytes,
                              const uint8_t *extradata, int extradata_bytes, ms_error *err);

/* *ret_got false: that was all. MS_DAMAGED; MS_IO: it could not be read. */
ms_status ms_packet_file_read(ms_packet_file *file, AVPacket *packet, bool *ret_got, ms_error *err);

/* Reads a whole file: MS_DAMAGED unless it is so long and of so many frames, all as they were written. fd: taken over. */
ms_status ms_packet_file_check(ms_mem *mem, int fd, const char *path, int64_t bytes, int64_t frames,
                               ms_error *err);

/* Also after a failure; the file stays. */
void ms_packet_file_close(ms_packet_file *file);

#endif
