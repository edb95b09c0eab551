/*
 * Encoded video of one segment of an output, between its encoder and the file that all segments are joined
 * to: a head that says which segment of which job it is and how long, the codec's headers, then packet after
 * packet with exact timestamps in frames; all of it under checksums. The head is written last, so that a file
 * that was not finished is none. Not for players.
 */
#ifndef MS_MEDIA_WRITE_PACKET_FILE_H
#define MS_MEDIA_WRITE_PACKET_FILE_H

#include "base/crc32.h"
#include "media/av.h"

/* What a file is, by its head. */
typedef struct ms_packet_label {
    uint64_t job[2]; /* ms_job_key_hash() */
    int64_t number;  /* of the segment */
    int64_t frames;  /* in it */
} ms_packet_label;

typedef struct ms_packet_file {
    char *path;
    const char *shown_as; /* borrowed; what messages call the file when it is written, may be NULL */
    int fd;
    ms_packet_label label;
    int64_t bytes, at; /* of the file; reading: where the next packet begins */
    uint32_t extradata_bytes, extradata_crc;
    uint8_t *buffer; /* writing: what is not yet in the file */
    size_t held;
    ms_crc32_table *crc;
    int64_t packets, last_dts, most_packet_bytes; /* reading: packets so far, the last one's time, a limit */
    bool (*cancelled)(void *arg);
    void *arg;
} ms_packet_file;

/* fd: of an empty file, taken over whatever is returned; path: for messages. label: its frames are counted.
   extradata: of the encoder. MS_IO. */
ms_status ms_packet_file_create(ms_packet_file *file, ms_mem *mem, int fd, const char *path,
                                const char *shown_as, const ms_packet_label *label, const uint8_t *extradata,
                                int extradata_bytes, ms_error *err);
ms_status ms_packet_file_write(ms_packet_file *file, const AVPacket *packet, ms_error *err);

/* All is on the disk when it returns. */
ms_status ms_packet_file_finish(ms_packet_file *file, ms_error *err);

/* Reading. Whoever can write a job's folder may have made the file, checksums and all, so that every number
   in it is held against what the job says of itself before anything follows from it. */
typedef struct ms_packet_file_params {
    ms_mem *mem;
    int fd;                    /* taken over whatever is returned */
    const char *path;          /* for messages */
    ms_packet_label label;     /* job and number that the file must have */
    int64_t most_frames;       /* that it may have; 0 = any number */
    int64_t most_packet_bytes; /* of a picture, ms_packet_most_bytes(); 0 = as many as the file has */
    bool of_encoder;           /* its headers must be extradata */
    const uint8_t *extradata;
    int extradata_bytes;
    bool (*cancelled)(void *arg); /* asked every quarter of a MiB, and before each packet; NULL = never */
    void *arg;
} ms_packet_file_params;

/* file->label has the frames. MS_DAMAGED: it is another file, or was not finished; or another
   encoder made it. */
ms_status ms_packet_file_open(ms_packet_file *file, const ms_packet_file_params *params, ms_error *err);

/* *ret_got false: that was all. MS_DAMAGED names the packet and its field; MS_IO: it could not be read;
   MS_CANCELLED. */
ms_status ms_packet_file_read(ms_packet_file *file, AVPacket *packet, bool *ret_got, ms_error *err);

/* Reads a whole file, by pieces: however large a packet says it is, memory holds a quarter of a MiB.
   MS_DAMAGED unless all is as it was written; ret_frames is set once the head is good. Otherwise as above. */
ms_status ms_packet_file_check(const ms_packet_file_params *params, int64_t *ret_frames, ms_error *err);

/* Also after a failure; the file stays. */
void ms_packet_file_close(ms_packet_file *file);

#endif
