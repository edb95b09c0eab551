/* Jobs that somebody else put there: the folder of an interrupted run, with segments and poses whose
   checksums are right and whose contents are not. A run that goes on keeps its budget, and makes what it
   would have made. */
#include "test.h"

#include "support/media/segment.h"
#include "support/peak.h"
#include "support/resume.h"

#define BUDGET ((size_t)150 << 20)
#define JOB "hostile.mkv.memsafe"
#define GIB ((int64_t)1 << 30)

static ms_error err;

/* What an uninterrupted run makes, and an unfinished job of it. */
static void enter_with_a_job(void) {
    char arguments[512];
    int status = 0;
    enter_dir();
    if (!test_exists("want.mkv")) {
        assert_run_works(SHORT "--codec ffv1 -o want.mkv");
        snprintf(arguments, sizeof(arguments), SHORT "--codec ffv1 -o hostile.mkv");
        pid_t pid = start(arguments, "log");
        assert_true(await_file(pid, JOB "/segment-000002", &status));
        kill(pid, SIGINT);
        assert_int_equal(await_end(pid), ms_status_exit_code(MS_CANCELLED));
        shell("mv " JOB " saved");
    }
    shell("rm -rf hostile.mkv " JOB " && cp -r saved " JOB);
}

static void is_made_within_the_budget(const char *says) {
    assert_run_within(BUDGET, 0, says, SHORT "--codec ffv1 -o hostile.mkv --resume --budget 150M");
    assert_same_bytes("want.mkv", "hostile.mkv");
    assert_false(test_exists(JOB));
}

/* Of the job, by the head of a segment that is whole. */
static segment_head own_head(void) {
    segment_head head;
    FILE *f = fopen(JOB "/segment-000000", "rb");
    assert_non_null(f);
    assert_int_equal(fread(&head, sizeof(head), 1, f), 1);
    fclose(f);
    return head;
}

/* Sparse: one packet of nearly a GiB, of which the disk has a block. */
static void write_sparse(int64_t number) {
    char name[64];
    segment_head head = own_head();
    const segment_packet packet = {.bytes = 1000000000, .duration = 1};
    head.number = number;
    head.frames = 10;
    head.bytes = GIB;
    head.extradata_bytes = 0;
    head.crc = segment_head_crc(&head, NULL);
    snprintf(name, sizeof(name), JOB "/segment-%06d", (int)number);
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(&head, sizeof(head), 1, f) + fwrite(&packet, sizeof(packet), 1, f), 2);
    assert_int_equal(fclose(f) | truncate(name, (off_t)GIB), 0);
}

static void sparse_segments_take_no_memory(void **state) {
    (void)state;
    enter_with_a_job();
    write_sparse(1);
    is_made_within_the_budget("segment-000001 is damaged: made again");
    enter_with_a_job();
    for (int64_t i = 1; i < 6; i++)
        write_sparse(i);
    is_made_within_the_budget("segment-000001 is damaged: made again");
}

/* Larger than any picture of the job, on the disk as well. */
static void a_packet_that_is_no_picture_is_made_again(void **state) {
    (void)state;
    static uint8_t data[8 << 20];
    enter_with_a_job();
    const segment_head own = own_head();
    size_t bytes = segment_make(own.job, 1, 1, sizeof(data) - 4096, data);
    FILE *f = fopen(JOB "/segment-000001", "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, bytes, 1, f), 1);
    fclose(f);
    is_made_within_the_budget("segment-000001 is damaged: made again");
}

static void absurd_poses_are_found_again(void **state) {
    (void)state;
    static const float absurd[] = {1e38f, NAN, 0};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        enter_with_a_job();
        const int64_t index = 3;
        uint8_t r[32];
        FILE *f = fopen(JOB "/poses", "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, index * 32, SEEK_SET) | (fread(r, 32, 1, f) != 1), 0);
        r[0] = 1;
        for (int k = 0; k < 6; k++)
            memcpy(r + 4 + 4 * k, &absurd[i], 4);
        uint32_t crc = ms_crc32(segment_crc_table(), 0, &index, sizeof(index));
        crc = ms_crc32(segment_crc_table(), crc, r, 28);
        memcpy(r + 28, &crc, 4);
        assert_int_equal(fseek(f, index * 32, SEEK_SET) | (fwrite(r, 32, 1, f) != 1) | fclose(f), 0);
        is_made_within_the_budget("positions (poses) are damaged: found again");
    }
}

typedef struct asking {
    int asked, until;
} asking;

static bool in_time(void *arg) {
    asking *a = arg;
    return ++a->asked > a->until;
}

static ms_status join_job(asking *a) {
    ms_run_params p = test_job_params("in.avi", "joined.mkv", 10);
    p.frames = 30;
    p.work = MS_RUN_WORK_JOIN;
    p.cancelled = in_time;
    p.arg = a;
    a->asked = 0;
    return ms_run(&p, NULL, &err);
}

/* Between any two packets; and what is there stays good. */
static void joining_can_be_cancelled(void **state) {
    (void)state;
    asking a = {.until = 1 << 30};
    ms_run_params p;
    enter_dir();
    p = test_job_params("in.avi", "joined.mkv", 10);
    p.frames = 30;
    p.work = MS_RUN_WORK_SPLIT;
    assert_ms_ok(ms_run(&p, NULL, &err), &err);
    p.work = MS_RUN_WORK_PART;
    assert_ms_ok(ms_run(&p, NULL, &err), &err);
    shell("cp -r joined.mkv.memsafe parts");
    assert_ms_ok(join_job(&a), &err);
    const int all = a.asked;
    assert_true(all >= 2 * 30); /* once for each packet when the job is opened, and once when it is joined */
    shell("mv joined.mkv want-joined.mkv && mv parts joined.mkv.memsafe");
    for (a.until = all - 1; a.until > all - 30; a.until -= 7) {
        assert_int_equal(join_job(&a), MS_CANCELLED);
        assert_non_null(strstr(err.message, "cancelled while joined.mkv.memsafe/segment-00000"));
        assert_false(test_exists("joined.mkv"));
    }
    a.until = 1 << 30;
    assert_ms_ok(join_job(&a), &err);
    assert_same_bytes("want-joined.mkv", "joined.mkv");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_segments_take_no_memory),
        cmocka_unit_test(a_packet_that_is_no_picture_is_made_again),
        cmocka_unit_test(absurd_poses_are_found_again),
        cmocka_unit_test(joining_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
