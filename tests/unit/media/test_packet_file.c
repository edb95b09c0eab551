/* Files of segments whose checksums are right and whose numbers are not: each is refused by name, before
   anything follows from it. */
#include "test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "media/codec_memory.h"
#include "media/write/packet_file.h"
#include "support/cli.h"
#include "support/media/segment.h"

#define FRAMES 4
#define PACKET 1000
#define MOST 5000
#define STEP (sizeof(segment_packet) + PACKET)
#define SPARSE ((int64_t)1 << 30)

static ms_error err;
static uint8_t data[sizeof(segment_head) + (FRAMES + 1) * STEP];
static const uint64_t job[2] = {1, 2};

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static ms_packet_file_params params(size_t bytes) {
    const char *path = test_file("segment");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && lseek(fd, 0, SEEK_SET) == 0);
    return (ms_packet_file_params){.fd = fd,
                                   .path = path,
                                   .label = {.job = {1, 2}, .number = 7},
                                   .most_frames = FRAMES,
                                   .most_packet_bytes = MOST};
}

static ms_status check(size_t bytes) {
    int64_t frames = 0;
    const ms_packet_file_params p = params(bytes);
    ms_error_clear(&err);
    return ms_packet_file_check(&p, &frames, &err);
}

/* As it is joined: packet by packet into memory. */
static ms_status read_all(size_t bytes, int *ret_packets) {
    ms_packet_file file;
    const ms_packet_file_params p = params(bytes);
    AVPacket *packet = av_packet_alloc();
    bool got = true;
    *ret_packets = 0;
    ms_error_clear(&err);
    ms_status status = ms_packet_file_open(&file, &p, &err);
    while (status == MS_OK && got) {
        status = ms_packet_file_read(&file, packet, &got, &err);
        *ret_packets += status == MS_OK && got;
    }
    ms_packet_file_close(&file);
    av_packet_free(&packet);
    return status;
}

static void is_refused(size_t bytes, const char *says) {
    int packets;
    for (int reading = 0; reading < 2; reading++) {
        ms_status status = reading ? read_all(bytes, &packets) : check(bytes);
        if (status != MS_DAMAGED || !strstr(err.message, says) || !strstr(err.message, test_file("segment")))
            fail_msg("%s: wanted \"%s\": %s: %s", reading ? "reading" : "checking", says,
                     ms_status_name(status), err.message);
    }
}

static void a_whole_file_is_taken(void **state) {
    (void)state;
    int packets;
    size_t bytes = segment_make(job, 7, FRAMES, PACKET, data);
    assert_ms_ok(check(bytes), &err);
    assert_ms_ok(read_all(bytes, &packets), &err);
    assert_int_equal(packets, FRAMES);
    bytes = segment_make(job, 7, 2, MOST - 4000, data); /* a short last segment */
    assert_ms_ok(check(bytes), &err);
}

static segment_packet packet_at(int index) {
    segment_packet p;
    memcpy(&p, data + sizeof(segment_head) + (size_t)index * STEP, sizeof(p));
    return p;
}

/* With right checksums. */
static void put_packet(int index, const segment_packet *p, size_t bytes) {
    memcpy(data + sizeof(segment_head) + (size_t)index * STEP, p, sizeof(*p));
    segment_repair(data, bytes);
}

#define FIELD(field) offsetof(segment_packet, field), sizeof(((segment_packet *)0)->field)

static void packets_are_refused_by_field(void **state) {
    (void)state;
    static const struct {
        int packet;
        size_t offset, size;
        int64_t value;
        const char *says;
    } cases[] = {
        {0, FIELD(bytes), 0, "packet 0: bytes 0 is not within 1 to "},
        {0, FIELD(bytes), 1000000000, "packet 0: bytes 1000000000 is not within 1 to "},
        {2, FIELD(bytes), UINT32_MAX, "packet 2: bytes 4294967295 is not within 1 to "},
        {3, FIELD(bytes), PACKET + 1, "packet 3: bytes 1001 is not within 1 to 1000"},
        {1, FIELD(pts), -1, "packet 1: pts -1 is not within 0 to 3"},
        {1, FIELD(pts), FRAMES, "packet 1: pts 4 is not within 0 to 3"},
        {1, FIELD(pts), INT64_MAX, "packet 1: pts 9223372036854775807 is not within 0 to 3"},
        {1, FIELD(pts), INT64_MIN, "packet 1: pts -9223372036854775808 is not within 0 to 3"},
        {0, FIELD(dts), -17, "packet 0: dts -17 is not within -16 to 0"},
        {0, FIELD(dts), INT64_MIN, "packet 0: dts -9223372036854775808 is not within -16 to 0"},
        {2, FIELD(dts), 3, "packet 2: dts 3 is not within 2 to 2"},
        {2, FIELD(dts), 1, "packet 2: dts 1 is not within 2 to 2"},
        {0, FIELD(duration), -1, "packet 0: duration -1 is not within 0 to 4"},
        {3, FIELD(duration), (int64_t)1 << 40, "packet 3: duration 1099511627776 is not within 0 to 4"},
        {1, FIELD(flags), AV_PKT_FLAG_TRUSTED, "packet 1: flags 0x8, 0 are not those"},
        {1, FIELD(zero), 5, "packet 1: flags 0, 0x5 are not those"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t bytes = segment_make(job, 7, FRAMES, PACKET, data);
        segment_packet p = packet_at(cases[i].packet);
        memcpy((char *)&p + cases[i].offset, &cases[i].value, cases[i].size);
        put_packet(cases[i].packet, &p, bytes);
        is_refused(bytes, cases[i].says);
    }
    /* What a picture of the job cannot be is refused, be the file as large as that. */
    size_t bytes = segment_make(job, 7, 1, MOST - 500, data);
    assert_ms_ok(check(bytes), &err);
    ms_packet_file_params p = params(bytes);
    int64_t frames;
    p.most_packet_bytes = 4000;
    assert_int_equal(ms_packet_file_check(&p, &frames, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "is not within 1 to 4000"));
}

static void heads_are_refused_by_field(void **state) {
    (void)state;
    static const struct {
        size_t offset, size;
        int64_t value;
        const char *says;
    } cases[] = {
        {offsetof(segment_head, frames), 8, 0, "frames 0 is not within 1 to 4"},
        {offsetof(segment_head, frames), 8, -5, "frames -5 is not within 1 to 4"},
        {offsetof(segment_head, frames), 8, INT64_MAX, "frames 9223372036854775807 is not within 1 to 4"},
        {offsetof(segment_head, frames), 8, FRAMES - 1, "it goes on after its 3 frames"},
        {offsetof(segment_head, bytes), 8, INT64_MAX, "not the 9223372036854775807 that were written"},
        {offsetof(segment_head, bytes), 8, -1, "not the -1 that were written"},
        {offsetof(segment_head, number), 8, 8, "holds segment 8"},
        {offsetof(segment_head, job), 8, 3, "is of another job"},
        {offsetof(segment_head, extradata_bytes), 4, UINT32_MAX, "4294967295 bytes of codec headers"},
    };
    segment_head head;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t bytes = segment_make(job, 7, FRAMES, PACKET, data);
        memcpy(data + cases[i].offset, &cases[i].value, cases[i].size);
        segment_repair(data, bytes);
        is_refused(bytes, cases[i].says);
    }
    size_t bytes = segment_make(job, 7, FRAMES - 1, PACKET, data);
    memcpy(&head, data, sizeof(head));
    head.frames = FRAMES;
    memcpy(data, &head, sizeof(head));
    segment_repair(data, bytes);
    is_refused(bytes, "it ends after 3 of its 4 frames");
    bytes = segment_make(job, 7, FRAMES, PACKET, data);
    data[bytes - 1] ^= 1; /* a checksum that is wrong still tells */
    is_refused(bytes, "is damaged");
}

static bool after_eight(void *arg) {
    return ++*(int *)arg > 8;
}

/* A gigabyte by its length, a block on the disk: memory does not follow it, and whoever cancels is heard
   within the file. */
static void a_sparse_file_takes_neither_memory_nor_time(void **state) {
    (void)state;
    struct rusage before, after;
    int asked = 0;
    int64_t frames = 0;
    const segment_head head = {
        .magic = SEGMENT_MAGIC, .job = {1, 2}, .number = 7, .frames = 1, .bytes = SPARSE};
    const segment_packet packet = {.bytes = (uint32_t)(SPARSE - (int64_t)(sizeof(head) + sizeof(packet))),
                                   .duration = 1};
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), &packet, sizeof(packet));
    segment_repair(data, sizeof(head) + sizeof(packet));
    ms_packet_file_params p = params(sizeof(head) + sizeof(packet));
    int again = dup(p.fd);
    assert_true(again >= 0 && ftruncate(p.fd, (off_t)SPARSE) == 0);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(ms_packet_file_check(&p, &frames, &err), MS_DAMAGED);
    assert_non_null(strstr(err.message, "is not within 1 to 5000"));
    assert_int_equal(frames, 1);
    assert_int_equal(lseek(again, 0, SEEK_SET), 0);
    p.fd = again;
    p.most_packet_bytes = 0; /* any number: it is read, by pieces */
    p.cancelled = after_eight;
    p.arg = &asked;
    assert_int_equal(ms_packet_file_check(&p, &frames, &err), MS_CANCELLED);
    assert_non_null(strstr(err.message, "cancelled while "));
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(asked, 9);
    assert_true(after.ru_maxrss - before.ru_maxrss < 8 << 10); /* KiB */
}

/* The worst that the encoders made of noise, at several sizes; and what a job's folder may hold of it. */
static void no_picture_of_an_encoder_is_refused(void **state) {
    (void)state;
    static const struct {
        int width, height, measured;
    } worst[] = {{2, 2, 1134}, {16, 16, 1178}, {64, 64, 15938}, {256, 256, 224105}, {640, 360, 785964}};
    for (size_t i = 0; i < sizeof(worst) / sizeof(worst[0]); i++)
        assert_true(ms_packet_most_bytes(worst[i].width, worst[i].height) > 4 * worst[i].measured);
    for (int codec = 0; codec < 3; codec++) { /* four at once are within what the encoder is counted with */
        const ms_encoder_load load = {.codec = (ms_video_codec)codec,
                                      .preset = "medium",
                                      .width = 1280,
                                      .height = 720,
                                      .threads = 2,
                                      .lookahead = 20};
        assert_true((int64_t)ms_encoder_bytes(&load) > 4 * ms_packet_most_bytes(1280, 720));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_taken),
        cmocka_unit_test(packets_are_refused_by_field),
        cmocka_unit_test(heads_are_refused_by_field),
        cmocka_unit_test(a_sparse_file_takes_neither_memory_nor_time),
        cmocka_unit_test(no_picture_of_an_encoder_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
