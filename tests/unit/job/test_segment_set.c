/* Which segments of a job are finished: read whole where they are one's own, and never removed by name where
   others are at work. */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/face_store.h"
#include "job/segment_set.h"
#include "media/write/packet_file.h"
#include "support/cli.h"

#define SEGMENT 2 /* frames */

static ms_error err;
static ms_job_folder folder;

static int prepare(void **state) {
    (void)state;
    bool there;
    assert_ms_ok(ms_job_folder_find(&folder, test_file("out.mkv"), &there, &err), &err);
    assert_ms_ok(ms_job_folder_open(&folder, true, &err), &err);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    ms_job_folder_close(&folder);
    test_dir_remove();
    return 0;
}

/* As a part does it: under a name of its own, then the segment's. */
static void make(int64_t number, int frames) {
    char name[MS_JOB_NAME_BYTES];
    const ms_packet_label label = {.job = {1, 2}, .number = number};
    ms_packet_file file;
    int fd;
    assert_ms_ok(ms_job_folder_begin_segment(&folder, number, name, &fd, &err), &err);
    assert_ms_ok(ms_packet_file_create(&file, NULL, fd, name, NULL, &label, NULL, 0, &err), &err);
    for (int i = 0; i < frames; i++) {
        AVPacket *packet = av_packet_alloc();
        assert_int_equal(av_new_packet(packet, 100), 0);
        memset(packet->data, i, 100);
        packet->pts = packet->dts = i;
        packet->duration = 1;
        packet->flags = i == 0 ? AV_PKT_FLAG_KEY : 0;
        assert_ms_ok(ms_packet_file_write(&file, packet, &err), &err);
        av_packet_free(&packet);
    }
    assert_ms_ok(ms_packet_file_finish(&file, &err), &err);
    ms_packet_file_close(&file);
    assert_ms_ok(ms_job_folder_end_segment(&folder, name, number, &err), &err);
}

static void damage(int64_t number) {
    char name[MS_JOB_NAME_BYTES];
    ms_job_segment_name(number, name);
    int fd = openat(folder.fd, name, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 150), 1);
    close(fd);
}

static bool is_there(int64_t number) {
    char name[MS_JOB_NAME_BYTES];
    ms_job_segment_name(number, name);
    return ms_job_folder_has(&folder, name);
}

static ms_segment_set_params params(void) {
    return (ms_segment_set_params){
        .folder = &folder, .job = {1, 2}, .segment_frames = SEGMENT, .total = 4 * SEGMENT + 1};
}

static void five_segments(void) {
    for (int64_t i = 0; i < 5; i++)
        make(i, i < 4 ? SEGMENT : 1);
}

/* While a part holds one for damaged, another has made it: the good one has the name, and stays. */
static void a_good_one_that_took_the_name_stays(void **state) {
    (void)state;
    ms_segment_set set;
    const ms_segment_set_params p = params();
    five_segments();
    damage(1);
    make(3, 1); /* whole, and too short */
    assert_ms_ok(ms_segment_set_find(&p, &set, &err), &err);
    assert_true(set.count == 3 && set.first_damaged == 1 && set.first_missing == 1 && set.n_damaged == 2);
    assert_true(is_there(1) && is_there(3));
    assert_false(ms_segment_set_has_now(&set, &folder, 1));
    assert_false(ms_segment_set_has_now(&set, &folder, 3));
    assert_true(ms_segment_set_has_now(&set, &folder, 0));
    make(1, SEGMENT);
    assert_true(ms_segment_set_has_now(&set, &folder, 1));
    assert_false(ms_segment_set_has(&set, 1));
    ms_segment_set_free(&set);
    assert_ms_ok(ms_segment_set_find(&p, &set, &err), &err);
    assert_true(set.count == 4 && set.first_damaged == 3 && set.frames == 3 * SEGMENT + 1);
    ms_segment_set_free(&set);
}

/* Alone at work, so that no name is left to what is none. */
static void whoever_is_alone_removes_them(void **state) {
    (void)state;
    ms_segment_set set;
    ms_segment_set_params p = params();
    five_segments();
    damage(2);
    p.remove_damaged = true;
    assert_ms_ok(ms_segment_set_find(&p, &set, &err), &err);
    assert_true(set.count == 4 && set.first_damaged == 2 && !is_there(2));
    assert_false(ms_segment_set_has_now(&set, &folder, 2));
    ms_segment_set_free(&set);
}

static void others_count_by_their_names(void **state) {
    (void)state;
    ms_segment_set set;
    ms_segment_set_params p = params();
    static const int64_t own[] = {1, 3};
    five_segments();
    damage(0);
    damage(3);
    make(7, SEGMENT); /* behind the job's end */
    p.only = own;
    p.n_only = 2;
    assert_ms_ok(ms_segment_set_find(&p, &set, &err), &err);
    assert_true(set.count == 4 && set.frames == 3 * SEGMENT + 1 && set.n_damaged == 1 &&
                set.first_damaged == 3);
    assert_true(ms_segment_set_has(&set, 0) && !ms_segment_set_has(&set, 3) && !ms_segment_set_has(&set, 7));
    ms_segment_set_free(&set);
    p.n_only = 0;
    assert_ms_ok(ms_segment_set_find(&p, &set, &err), &err);
    assert_true(set.count == 5 && set.n_damaged == 0);
    ms_segment_set_free(&set);
}

static bool after_two(void *arg) {
    return ++*(int *)arg > 2;
}

/* Within a file as well as between them, be they segments or kept faces. */
static void whoever_cancels_is_heard(void **state) {
    (void)state;
    ms_segment_set set;
    ms_segment_set_params p = params();
    int asked = 0, fd;
    int64_t faces;
    five_segments();
    p.cancelled = after_two;
    p.arg = &asked;
    assert_int_equal(ms_segment_set_find(&p, &set, &err), MS_CANCELLED);
    assert_int_equal(asked, 3); /* before the first file, and before its packets */
    assert_non_null(strstr(err.message, "out.mkv.memsafe/segment-00000"));

    const ms_face_store_params f = {
        .folder = &folder, .floats = 1000, .segment_frames = 100, .cancelled = after_two, .arg = &asked};
    assert_ms_ok(ms_job_folder_create(&folder, MS_FACE_FILES "000050", &fd, &err), &err);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    asked = 0;
    assert_int_equal(ms_faces_left_behind(&f, &faces, &err), MS_CANCELLED);
    assert_int_equal(asked, 3);
}

/* What a picture of the job cannot be is no part of it, and is found so without reading it. */
static void what_is_no_picture_is_damaged(void **state) {
    (void)state;
    ms_segment_set set;
    ms_segment_set_params p = params();
    five_segments();
    p.most_packet_bytes = 99; /* they have 100 */
    assert_ms_ok(ms_segment_set_find(&p, &set, &err), &err);
    assert_true(set.count == 0 && set.first_damaged == 0 && set.n_damaged >= 5);
    ms_segment_set_free(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_that_took_the_name_stays),
        cmocka_unit_test(whoever_is_alone_removes_them),
        cmocka_unit_test(others_count_by_their_names),
        cmocka_unit_test(whoever_cancels_is_heard),
        cmocka_unit_test(what_is_no_picture_is_damaged),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
