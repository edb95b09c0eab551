/*
 * The bytes of a segment's file (media/write/packet_file.h), as somebody would write them who knows the
 * format: the checksums are right, whatever else is said.
 */
#ifndef MS_TESTS_SUPPORT_MEDIA_SEGMENT_H
#define MS_TESTS_SUPPORT_MEDIA_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/crc32.h"

typedef struct segment_head {
    char magic[8];
    uint32_t crc, extradata_bytes;
    uint64_t job[2];
    int64_t number, frames, bytes;
} segment_head;

typedef struct segment_packet {
    uint32_t bytes, crc;
    int64_t pts, dts, duration;
    uint32_t flags, zero;
} segment_packet;

#define SEGMENT_MAGIC "MSPACK2"

static inline const ms_crc32_table *segment_crc_table(void) {
    static ms_crc32_table table;
    if (!table.at[0][1])
        ms_crc32_init(&table);
    return &table;
}

static inline uint32_t segment_head_crc(const segment_head *head, const uint8_t *extradata) {
    segment_head h = *head;
    h.crc = h.extradata_bytes ? ms_crc32(segment_crc_table(), 0, extradata, h.extradata_bytes) : 0;
    return ms_crc32(segment_crc_table(), 0, &h, sizeof(h));
}

static inline uint32_t segment_packet_crc(const segment_packet *packet, const uint8_t *data) {
    segment_packet p = *packet;
    p.crc = 0;
    return ms_crc32(segment_crc_table(), ms_crc32(segment_crc_table(), 0, &p, sizeof(p)), data, p.bytes);
}

/* Makes the checksums of a file right, as far as heads and data lie in it. */
static inline void segment_repair(uint8_t *data, size_t bytes) {
    segment_head head;
    segment_packet packet;
    if (bytes < sizeof(head))
        return;
    memcpy(&head, data, sizeof(head));
    size_t at = sizeof(head);
    if (head.extradata_bytes > bytes - at)
        return;
    head.crc = segment_head_crc(&head, data + at);
    memcpy(data, &head, sizeof(head));
    for (at += head.extradata_bytes; bytes - at >= sizeof(packet); at += packet.bytes) {
        memcpy(&packet, data + at, sizeof(packet));
        uint8_t *place = data + at;
        at += sizeof(packet);
        if (packet.bytes > bytes - at)
            return;
        packet.crc = segment_packet_crc(&packet, data + at);
        memcpy(place, &packet, sizeof(packet));
    }
}

/* A file of as many packets as frames, each with so many bytes, without extradata. Returns its bytes. */
static inline size_t segment_make(const uint64_t job[2], int64_t number, int frames, uint32_t packet_bytes,
                                  uint8_t *ret_data) {
    size_t bytes = sizeof(segment_head) + (size_t)frames * (sizeof(segment_packet) + packet_bytes),
           at = sizeof(segment_head);
    const segment_head head = {.magic = SEGMENT_MAGIC,
                               .job = {job[0], job[1]},
                               .number = number,
                               .frames = frames,
                               .bytes = (int64_t)bytes};
    memcpy(ret_data, &head, sizeof(head));
    for (int i = 0; i < frames; i++) {
        const segment_packet packet = {
            .bytes = packet_bytes, .pts = i, .dts = i, .duration = 1, .flags = i == 0};
        memcpy(ret_data + at, &packet, sizeof(packet));
        memset(ret_data + at + sizeof(packet), i, packet_bytes);
        at += sizeof(packet) + packet_bytes;
    }
    segment_repair(ret_data, bytes);
    return bytes;
}

#endif
