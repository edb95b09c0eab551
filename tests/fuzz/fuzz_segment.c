/* Files of a job: a segment of its output, or, where the first byte is odd, the poses of its clip. Checksums
   are made right, and mostly the head's length and job, so that what is behind them is met. Read or refused;
   what is checked is what can be read. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "frames/pose_store.h"
#include "fuzz/fuzz.h"
#include "media/write/packet_file.h"
#include "support/media/segment.h"

#define MOST_FRAMES 8
#define MOST_PACKET_BYTES 2000
#define RECORD 32
#define AS_IT_IS 2 /* in the first byte: nothing but checksums is made right */

const fuzz_seeds fuzz_golden_seeds = {NULL, NULL};

static const uint64_t job[2] = {1, 2};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static const float affine[6] = {1, 0.1f, 3, -0.1f, 1, 4};
    static const struct {
        int frames;
        uint32_t packet_bytes;
    } segments[] = {{MOST_FRAMES, 30}, {3, 100}, {2, MOST_PACKET_BYTES + 1}};
    if (index > 3 || room < 16000)
        return 0;
    ret_data[0] = index == 3;
    if (index < 3)
        return 1 + segment_make(job, 7, segments[index].frames, segments[index].packet_bytes, ret_data + 1);
    for (int i = 0; i < 20; i++) {
        const uint8_t flags[4] = {i % 5 != 0, i % 3 == 0, i == 0, 0};
        memcpy(ret_data + 1 + i * RECORD, flags, 4);
        memcpy(ret_data + 5 + i * RECORD, affine, sizeof(affine));
    }
    return 1 + 20 * RECORD;
}

static int open_bytes(const uint8_t *data, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_require(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0, "a file");
    return fd;
}

static void check_status(ms_status status, const ms_error *err) {
    fuzz_require(status == MS_OK || status == MS_DAMAGED || status == MS_HOST_MEMORY, "read or refused");
    fuzz_require(status == MS_OK || strlen(err->message) > 6, "a reason");
}

/* ---- segments ---- */

static ms_status read_packets(const ms_packet_file_params *p, int64_t *ret_packets, ms_error *err) {
    ms_packet_file file;
    AVPacket *packet = av_packet_alloc();
    bool got = packet != NULL;
    int64_t dts = -17;
    *ret_packets = 0;
    ms_status status = ms_packet_file_open(&file, p, err);
    while (status == MS_OK && got) {
        status = ms_packet_file_read(&file, packet, &got, err);
        if (status != MS_OK || !got)
            break;
        fuzz_require(packet->size > 0 && packet->size <= MOST_PACKET_BYTES, "a packet's size");
        fuzz_require(packet->dts > dts && packet->pts >= packet->dts && packet->pts < MOST_FRAMES,
                     "a packet's times");
        dts = packet->dts;
        ++*ret_packets;
    }
    ms_packet_file_close(&file);
    av_packet_free(&packet);
    return status;
}

static void parse_segment(ms_mem *mem, uint8_t *data, size_t size, bool as_it_is) {
    int64_t frames = -1, packets;
    ms_error err;
    segment_head head;
    if (!as_it_is && size >= sizeof(head)) {
        memcpy(&head, data, sizeof(head));
        memcpy(head.magic, SEGMENT_MAGIC, sizeof(head.magic));
        memcpy(head.job, job, sizeof(job));
        head.number = 7;
        head.bytes = (int64_t)size;
        memcpy(data, &head, sizeof(head));
    }
    segment_repair(data, size);
    ms_packet_file_params p = {.mem = mem,
                               .fd = open_bytes(data, size),
                               .path = "segment",
                               .label = {.job = {job[0], job[1]}, .number = 7},
                               .most_frames = MOST_FRAMES,
                               .most_packet_bytes = MOST_PACKET_BYTES};
    ms_error_clear(&err);
    ms_status checked = ms_packet_file_check(&p, &frames, &err);
    check_status(checked, &err);
    p.fd = open_bytes(data, size);
    ms_error_clear(&err);
    ms_status read = read_packets(&p, &packets, &err);
    check_status(read, &err);
    if (checked == MS_HOST_MEMORY || read == MS_HOST_MEMORY)
        return;
    fuzz_require(checked == read, "what is checked is what can be read");
    fuzz_require(read != MS_OK || (packets == frames && frames >= 1 && frames <= MOST_FRAMES), "its frames");
}

/* ---- poses ---- */

static void parse_poses(ms_mem *mem, uint8_t *data, size_t size) {
    const int64_t count = (int64_t)(size / RECORD);
    int64_t good = 0;
    ms_pose_store *store = NULL;
    ms_error err;
    for (int64_t i = 0; i < count; i++) {
        uint32_t crc = ms_crc32(segment_crc_table(), 0, &i, sizeof(i));
        crc = ms_crc32(segment_crc_table(), crc, data + i * RECORD, RECORD - 4);
        memcpy(data + (i + 1) * RECORD - 4, &crc, sizeof(crc));
    }
    const ms_pose_check_params p = {
        .mem = mem, .fd = open_bytes(data, size), .path = "poses", .count = count + 1};
    ms_error_clear(&err);
    ms_status status = ms_pose_store_check(&p, &good, &err);
    check_status(status, &err);
    fuzz_require(status != MS_DAMAGED && good >= 0 && good <= count, "good poses are counted");
    if (status != MS_OK ||
        ms_pose_store_open(mem, open_bytes(data, size), "poses", count, &store, &err) != MS_OK)
        return;
    for (int64_t i = 0; i < count; i++) {
        ms_pose pose = {.present = false};
        status = ms_pose_store_get(store, i, &pose, &err);
        fuzz_require(i < good ? status == MS_OK : i > good || status == MS_DAMAGED, "the first bad one");
        for (int k = 0; k < 6 && status == MS_OK; k++)
            fuzz_require(pose.affine[k / 3][k % 3] >= -1e10f && pose.affine[k / 3][k % 3] <= 1e10f,
                         "a pose's numbers");
    }
    ms_pose_store_close(&store);
}

static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    static uint8_t copy[1 << 20];
    if (size < 1 || size > sizeof(copy))
        return;
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1)
        parse_poses(mem, copy, size - 1);
    else
        parse_segment(mem, copy, size - 1, data[0] & AS_IT_IS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(parse, data, size);
}
