/* The small parts of a streaming run: queue, buffer pool, saved state, pose store, key, job folder. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32.h"
#include "frames/buffer_pool.h"
#include "frames/face_stage.h"
#include "frames/pose_store.h"
#include "frames/queue.h"
#include "job/job_folder.h"
#include "job/job_key.h"
#include "support/cli.h"
#include "support/media/clip.h"
#include "support/models/torch_archive.h"

#define ITEMS 20000

static void *produce(void *arg) {
    for (int64_t i = 0; i < ITEMS; i++)
        if (ms_queue_push(arg, &i, -1) != MS_QUEUE_DONE)
            return NULL;
    ms_queue_close(arg);
    return NULL;
}

static void a_queue_keeps_order_and_bounds(void **state) {
    (void)state;
    ms_error err;
    ms_queue *q;
    pthread_t thread;
    int64_t item, next = 0;
    assert_ms_ok(ms_queue_create(NULL, 3, sizeof(int64_t), &q, &err), &err);
    assert_int_equal(ms_queue_take(q, &item, 0.01), MS_QUEUE_TIMEOUT);
    assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
    while (ms_queue_take(q, &item, -1) == MS_QUEUE_DONE)
        assert_int_equal(item, next++);
    assert_int_equal(next, ITEMS);
    assert_int_equal(ms_queue_push(q, &item, -1), MS_QUEUE_ENDED);
    pthread_join(thread, NULL);
    ms_queue_destroy(&q);
}

static void a_full_queue_waits_and_an_aborted_one_does_not(void **state) {
    (void)state;
    ms_error err;
    ms_queue *q;
    pthread_t thread;
    int64_t item = 7;
    int left = 0;
    assert_ms_ok(ms_queue_create(NULL, 2, sizeof(int64_t), &q, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
    while (ms_queue_push(q, &item, 0.01) == MS_QUEUE_DONE) {
    }
    ms_queue_abort(q); /* the producer that waits for a place comes back */
    pthread_join(thread, NULL);
    assert_int_equal(ms_queue_take(q, &item, -1), MS_QUEUE_ENDED);
    while (ms_queue_take_left(q, &item))
        left++;
    assert_int_equal(left, 2);
    ms_queue_destroy(&q);
}

static void buffers_come_back(void **state) {
    (void)state;
    ms_error err;
    ms_buffer_pool *pool;
    assert_ms_ok(ms_buffer_pool_create(NULL, 1000, true, &pool, &err), &err);
    void *a = ms_buffer_pool_take(pool, "a buffer", &err), *b = ms_buffer_pool_take(pool, "a buffer", &err);
    assert_ptr_not_equal(a, b);
    ms_buffer_pool_put(pool, a);
    assert_ptr_equal(ms_buffer_pool_take(pool, "a buffer", &err), a);
    ms_mem_fail_after(1, false);
    assert_null(ms_buffer_pool_take(pool, "a buffer", &err));
    ms_mem_fail_after(0, false);
    assert_int_equal(err.code, MS_HOST_MEMORY);
    ms_buffer_pool_put(pool, a);
    ms_buffer_pool_put(pool, b);
    ms_buffer_pool_put(pool, NULL);
    ms_buffer_pool_destroy(&pool);
}

static void visit(ms_state *s, int *i, int64_t *l, bool *b, float f[2]) {
    ms_state_int(s, i, 0, 10);
    ms_state_int64(s, l, -5, 5);
    ms_state_bool(s, b);
    ms_state_visit(s, f, 2 * sizeof(*f));
}

/* Where nothing is kept, what is put back is free at once, and nothing is made ahead. */
static void buffers_that_are_not_kept_go(void **state) {
    (void)state;
    ms_mem *mem = NULL;
    ms_buffer_pool *pool;
    ms_error err;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    for (int kept = 0; kept < 2; kept++) {
        ms_mem_usage usage;
        assert_ms_ok(ms_buffer_pool_create(mem, 100000, kept, &pool, &err), &err);
        assert_ms_ok(ms_buffer_pool_fill(pool, 3, &err), &err);
        ms_mem_get_usage(mem, &usage);
        assert_int_equal(usage.ledger_current[MS_LEDGER_FRAMES] >= 300000, kept);
        assert_int_equal(usage.ledger_current[MS_LEDGER_FRAMES] > 0, kept);
        void *a = ms_buffer_pool_take(pool, "a buffer", &err);
        assert_non_null(a);
        ms_buffer_pool_put(pool, a);
        ms_mem_get_usage(mem, &usage);
        assert_int_equal(usage.ledger_current[MS_LEDGER_FRAMES] > 0, kept);
        ms_buffer_pool_destroy(&pool);
    }
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

static void state_comes_back_and_odd_bytes_are_refused(void **state) {
    (void)state;
    static ms_state s;
    int i = 7;
    int64_t l = -5;
    bool b = true;
    float f[2] = {1, 2};
    ms_state_begin_saving(&s);
    visit(&s, &i, &l, &b, f);
    assert_true(ms_state_whole(&s));
    i = 0, l = 0, b = false, f[1] = 0;
    ms_state_begin_restoring(&s);
    visit(&s, &i, &l, &b, f);
    assert_true(ms_state_whole(&s));
    assert_true(i == 7 && l == -5 && b && f[1] == 2);
    size_t length = s.length;
    s.length = length - 1; /* too short */
    ms_state_begin_restoring(&s);
    visit(&s, &i, &l, &b, f);
    assert_false(ms_state_whole(&s));
    s.length = length + 1; /* something is left over */
    ms_state_begin_restoring(&s);
    visit(&s, &i, &l, &b, f);
    assert_false(ms_state_whole(&s));
    s.length = length;
    s.bytes[0] = 11; /* out of range: the lower bound is taken */
    ms_state_begin_restoring(&s);
    visit(&s, &i, &l, &b, f);
    assert_false(ms_state_whole(&s));
    assert_int_equal(i, 0);
    s.bytes[0] = 1;
    s.bytes[16] = 2; /* neither true nor false */
    ms_state_begin_restoring(&s);
    visit(&s, &i, &l, &b, f);
    assert_false(ms_state_whole(&s));
}

/* A stage's state with frames that wait, as a journal may have it; false when it is refused. */
static bool restores_with_waiting(ms_face_stage *stage, int64_t frames) {
    static ms_state s;
    ms_state_begin_saving(&s);
    ms_face_stage_visit(stage, &s);
    /* ended, next, then the gap filler's max_gap, next_frame, pushed */
    memcpy(s.bytes + 1, &frames, sizeof(frames));
    memcpy(s.bytes + 1 + 8 + 8 + 8, &frames, sizeof(frames));
    ms_state_begin_restoring(&s);
    ms_face_stage_visit(stage, &s);
    return ms_state_whole(&s);
}

static void a_stage_with_too_many_waiting_frames_is_refused(void **state) {
    (void)state;
    enum { MAX_GAP = 3 };
    ms_error err;
    ms_clip *clip;
    ms_video_writer_params writer = MS_VIDEO_WRITER_DEFAULTS;
    writer.width = writer.height = 64;
    writer.preset = "ultrafast";
    assert_ms_ok(clip_write(clip_path("waiting.mp4"), &writer, 2, &err), &err);
    assert_ms_ok(ms_clip_open(NULL, clip_path("waiting.mp4"), (ms_rational){25, 1}, false,
                              (ms_picture_room){0}, &clip, &err),
                 &err);
    for (int64_t frames = 0; frames <= MAX_GAP + 4; frames++) {
        ms_face_stage_params params = {.clip = clip, .max_gap = MAX_GAP};
        ms_face_stage *stage;
        assert_ms_ok(ms_face_stage_create(&params, &stage, &err), &err);
        /* Max_gap and the frame that shows why; the ring's last place is for the frame that is read next. */
        assert_int_equal(restores_with_waiting(stage, frames), frames <= MAX_GAP + 1);
        ms_face_stage_destroy(&stage);
    }
    ms_clip_close(&clip);
}

static ms_pose pose_of(int64_t i) {
    ms_pose p = {.present = i % 3 != 0, .interpolated = i % 5 == 0, .begins = i % 7 == 0};
    const float affine[2][3] = {{(float)i + 1, -0.5f, (float)i * 6}, {0.5f, (float)i + 1, (float)i * 6 + 1}};
    memcpy(p.affine, affine, sizeof(affine));
    return p;
}

static void check_pose(ms_pose_store *store, int64_t i) {
    ms_error err;
    ms_pose got, want = pose_of(i);
    assert_ms_ok(ms_pose_store_get(store, i, &got, &err), &err);
    assert_int_equal(got.present, want.present);
    assert_int_equal(got.interpolated, want.interpolated);
    assert_int_equal(got.begins, want.begins);
    assert_memory_equal(got.affine, want.affine, sizeof(want.affine));
}

static int open_file(const char *path, int flags) {
    int fd = open(path, O_RDWR | flags, 0666);
    assert_true(fd >= 0);
    return fd;
}

static int64_t good_poses(const char *path, int64_t count) {
    ms_error err;
    int64_t good = -1;
    const ms_pose_check_params p = {.fd = open_file(path, 0), .path = path, .count = count};
    assert_ms_ok(ms_pose_store_check(&p, &good, &err), &err);
    return good;
}

static void poses_are_kept_in_a_file(void **state) {
    (void)state;
    enum { N = 1300 };
    ms_error err;
    ms_pose_store *store;
    const char *path = test_file("poses");
    assert_ms_ok(ms_pose_store_open(NULL, open_file(path, O_CREAT), path, 0, &store, &err), &err);
    for (int64_t i = 0; i < N; i++) {
        ms_pose p = pose_of(i);
        assert_ms_ok(ms_pose_store_append(store, &p, &err), &err);
    }
    for (int64_t i = N - 1; i >= 0; i -= 37)
        check_pose(store, i);
    ms_pose none;
    assert_int_equal(ms_pose_store_get(store, N, &none, &err), MS_INTERNAL);
    assert_ms_ok(ms_pose_store_sync(store, &err), &err);
    ms_pose_store_close(&store);
    /* Going on from an earlier place: what lies behind it is written anew. */
    assert_ms_ok(ms_pose_store_open(NULL, open_file(path, 0), path, 700, &store, &err), &err);
    assert_int_equal(ms_pose_store_count(store), 700);
    for (int64_t i = 700; i < N; i++) {
        ms_pose p = pose_of(i);
        assert_ms_ok(ms_pose_store_append(store, &p, &err), &err);
    }
    for (int64_t i = 0; i < N; i += 13)
        check_pose(store, i);
    ms_pose_store_close(&store);
    assert_int_equal(ms_pose_store_open(NULL, open_file(path, 0), path, 5000, &store, &err), MS_DAMAGED);
}

/* A byte of any kind, a pose in another's place, an end that is missing: the poses before it are good. */
static void damaged_poses_are_found(void **state) {
    (void)state;
    enum { N = 1300, BYTES = 32 };
    ms_error err;
    ms_pose_store *store;
    ms_pose got;
    const char *path = test_file("poses2");
    assert_ms_ok(ms_pose_store_open(NULL, open_file(path, O_CREAT), path, 0, &store, &err), &err);
    for (int64_t i = 0; i < N; i++) {
        ms_pose p = pose_of(i);
        assert_ms_ok(ms_pose_store_append(store, &p, &err), &err);
    }
    assert_ms_ok(ms_pose_store_sync(store, &err), &err);
    ms_pose_store_close(&store);
    assert_int_equal(good_poses(path, N), N);
    assert_int_equal(good_poses(path, 40), 40);
    assert_int_equal(good_poses(path, N + 1), N);
    int fd = open_file(path, 0);
    for (int at = 0; at < BYTES; at++) {
        uint8_t byte, other;
        off_t place = (off_t)(600 + at) * BYTES + at;
        assert_int_equal(pread(fd, &byte, 1, place), 1);
        other = byte ^ (uint8_t)(1 << at % 8);
        assert_int_equal(pwrite(fd, &other, 1, place), 1);
        assert_int_equal(good_poses(path, N), 600 + at);
        if (at == 5) {
            assert_ms_ok(ms_pose_store_open(NULL, dup(fd), path, N, &store, &err), &err);
            assert_int_equal(ms_pose_store_get(store, 605, &got, &err), MS_DAMAGED);
            assert_non_null(strstr(err.message, "pose 605"));
            ms_pose_store_close(&store);
        }
        assert_int_equal(pwrite(fd, &byte, 1, place), 1);
    }
    char one[BYTES], two[BYTES];
    assert_int_equal(pread(fd, one, BYTES, 7 * BYTES), BYTES);
    assert_int_equal(pread(fd, two, BYTES, 8 * BYTES), BYTES);
    assert_int_equal(pwrite(fd, two, BYTES, 7 * BYTES) + pwrite(fd, one, BYTES, 8 * BYTES), 2 * BYTES);
    assert_int_equal(good_poses(path, N), 7);
    assert_int_equal(ftruncate(fd, 5 * BYTES + 3), 0);
    assert_int_equal(good_poses(path, N), 5);
    close(fd);
}

/* Who can write the folder can make checksums, too. */
static void write_record(int fd, int64_t index, const uint8_t bytes[4], const float affine[6]) {
    static ms_crc32_table table;
    uint8_t r[32];
    ms_crc32_init(&table);
    memcpy(r, bytes, 4);
    memcpy(r + 4, affine, 24);
    uint32_t crc = ms_crc32(&table, ms_crc32(&table, 0, &index, sizeof(index)), r, 28);
    memcpy(r + 28, &crc, 4);
    assert_int_equal(pwrite(fd, r, 32, (off_t)index * 32), 32);
}

static void poses_with_good_checksums_and_bad_fields_are_refused(void **state) {
    (void)state;
    static const struct {
        uint8_t bytes[4];
        float affine[6];
        const char *says; /* NULL: it is a good one */
    } cases[] = {{{1, 0, 0, 0}, {1, 0, 3, 0, 1, 4}, NULL},
                 {{0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, NULL},
                 {{1, 1, 1, 0}, {900, 100, 1e9f, -100, 900, -1e9f}, NULL},
                 {{2, 0, 0, 0}, {1, 0, 3, 0, 1, 4}, "present is 2"},
                 {{1, 255, 0, 0}, {1, 0, 3, 0, 1, 4}, "interpolated is 255"},
                 {{1, 0, 3, 0}, {1, 0, 3, 0, 1, 4}, "begins is 3"},
                 {{1, 0, 0, 9}, {1, 0, 3, 0, 1, 4}, "the fourth byte is 9"},
                 {{1, 0, 0, 0}, {1, 0, 1e38f, 0, 1, 4}, "affine[0][2] is 1e+38"},
                 {{1, 0, 0, 0}, {1, 0, 3, 0, -1e38f, 4}, "affine[1][1] is -1e+38"},
                 {{1, 0, 0, 0}, {1, NAN, 3, 0, 1, 4}, "affine[0][1] is nan"},
                 {{1, 0, 0, 0}, {1, 0, 3, 0, 1, -INFINITY}, "affine[1][2] is -inf"},
                 {{1, 0, 0, 0}, {1e20f, 0, 3, 0, 1e-20f, 4}, "affine[0][0] is 1e+20"},
                 {{0, 0, 0, 0}, {1, 0, INFINITY, 0, 1, 4}, "affine[0][2] is inf"},
                 {{1, 0, 0, 0}, {2, 1, 3, 2, 1, 4}, "the determinant of affine is 0"},
                 {{1, 0, 0, 0}, {0, 0, 3, 0, 0, 4}, "the determinant of affine is 0"}};
    ms_error err;
    ms_pose_store *store;
    ms_pose got;
    char want[600];
    const char *path = test_file("poses3");
    for (int64_t i = 0; i < (int64_t)(sizeof(cases) / sizeof(cases[0])); i++) {
        int fd = open_file(path, O_CREAT | O_TRUNC);
        for (int64_t k = 0; k < 3; k++)
            write_record(fd, k, cases[k == 1 ? i : 0].bytes, cases[k == 1 ? i : 0].affine);
        assert_int_equal(good_poses(path, 3), cases[i].says ? 1 : 3);
        assert_ms_ok(ms_pose_store_open(NULL, fd, path, 3, &store, &err), &err);
        assert_int_equal(ms_pose_store_get(store, 1, &got, &err), cases[i].says ? MS_DAMAGED : MS_OK);
        snprintf(want, sizeof(want), "%s is damaged: pose 1: %s", path, cases[i].says ? cases[i].says : "");
        if (cases[i].says)
            assert_string_equal(err.message, want);
        ms_pose_store_close(&store);
    }
}

static bool always(void *arg) {
    ++*(int *)arg;
    return true;
}

static void reading_poses_can_be_cancelled(void **state) {
    (void)state;
    int asked = 0;
    int64_t good = -1;
    ms_error err;
    const char *path = test_file("poses");
    const ms_pose_check_params p = {
        .fd = open_file(path, 0), .path = path, .count = 1300, .cancelled = always, .arg = &asked};
    assert_int_equal(ms_pose_store_check(&p, &good, &err), MS_CANCELLED);
    assert_non_null(strstr(err.message, path));
    assert_true(asked == 1 && good == -1);
}

static void files_are_known_by_their_contents(void **state) {
    (void)state;
    ms_error err;
    static ms_job_key key;
    const char *path = test_file("input");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("some input", f);
    fclose(f);
    assert_ms_ok(ms_job_key_add_file(&key, "a", path, &err), &err);
    assert_ms_ok(ms_job_key_add_file(&key, "b", path, &err), &err);
    assert_string_equal(key.field[0].text, key.field[1].text);
    f = fopen(path, "r+");
    assert_non_null(f);
    fputs("some other", f);
    fclose(f);
    assert_ms_ok(ms_job_key_add_file(&key, "c", path, &err), &err);
    assert_string_not_equal(key.field[0].text, key.field[2].text);
    ms_job_key_explain(&key, 2, key.field[0].text, &err);
    assert_non_null(strstr(err.message, "begun with other contents of c: "));
    assert_int_equal(truncate(path, 3), 0);
    assert_ms_ok(ms_job_key_add_file(&key, "c2", path, &err), &err);
    ms_job_key_explain(&key, 3, key.field[0].text, &err);
    assert_non_null(strstr(err.message, "another file as c2: it had 10 bytes, "));
    key.n--;
    assert_ms_ok(ms_job_key_add_file(&key, "d", "", &err), &err);
    assert_string_equal(key.field[3].text, "none");
    assert_int_equal(ms_job_key_add_file(&key, "e", test_file("nothing"), &err), MS_IO);
}

/* With the time that it had. */
static void change_byte(const char *path, off_t at) {
    struct stat st;
    char byte;
    int fd = open_file(path, 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

/* So many members that the directory alone is longer than what is looked at of other inputs' ends. One of
   them may hold something else. */
static void write_archive(const char *path, int other) {
    archive a = {0};
    uint8_t data[100] = {0};
    for (int i = 0; i < 4000; i++) {
        char name[40];
        snprintf(name, sizeof(name), "archive/data/%06d", i);
        data[50] = i == other;
        archive_add(&a, name, data, sizeof(data));
    }
    archive_end(&a);
    int fd = open_file(path, O_CREAT);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(write(fd, a.file.data, a.file.length), a.file.length);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    archive_free(&a);
}

static bool all_cancelled(void *arg) {
    (void)arg;
    return true;
}

/* A model of another content is another one, wherever the change is: of an archive its directory is looked
   at, which holds its members' checksums, of other files every byte. */
static void a_model_that_changed_in_its_middle_is_another(void **state) {
    (void)state;
    enum { MEMBERS = 3, MEMBER = 300000 };
    ms_error err;
    static ms_job_key key;
    static uint8_t data[MEMBER];
    const char *path = test_file("model.safetensors");
    int fd = open_file(path, O_CREAT);
    for (int i = 0; i < MEMBERS; i++)
        assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
    close(fd);
    assert_ms_ok(ms_job_key_add_model(&key, "the VAE", path, NULL, NULL, &err), &err);
    static const off_t places[] = {0, 70000, 450000, 830000, 899999};
    for (int i = 0; i < 5; i++) {
        change_byte(path, places[i]);
        assert_ms_ok(ms_job_key_add_model(&key, "the VAE", path, NULL, NULL, &err), &err);
        assert_string_not_equal(key.field[0].text, key.field[key.n - 1].text);
        assert_int_equal(ms_job_key_explain(&key, key.n - 1, key.field[0].text, &err), MS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "begun with other contents of the VAE"));
        change_byte(path, places[i]);
        key.n--;
    }
    assert_ms_ok(ms_job_key_add_model(&key, "the VAE", path, NULL, NULL, &err), &err);
    assert_string_equal(key.field[0].text, key.field[1].text);
    assert_int_equal(ms_job_key_add_model(&key, "the VAE", path, all_cancelled, NULL, &err), MS_CANCELLED);
    /* An archive: the checksum of a member in the middle, 100 KB before the end, and nothing else but its
       data. */
    key.n = 0;
    for (int kind = 0; kind < 2; kind++) {
        write_archive(path, kind ? 900 : -1);
        assert_ms_ok(ms_job_key_add_model(&key, "the UNet", path, NULL, NULL, &err), &err);
    }
    assert_string_not_equal(key.field[0].text, key.field[1].text);
    ms_job_key_explain(&key, 1, key.field[0].text, &err);
    assert_non_null(strstr(err.message, "begun with other contents of the UNet"));
}

static void other_files_in_a_job_folder_stay(void **state) {
    (void)state;
    ms_error err;
    ms_job_folder folder, second;
    char path[MS_JOB_PATH_BYTES];
    bool there;
    assert_ms_ok(ms_job_folder_find(&folder, test_file("out.mkv"), &there, &err), &err);
    assert_false(there);
    assert_ms_ok(ms_job_folder_open(&folder, false, &err), &err);
    assert_ms_ok(ms_job_folder_find(&second, test_file("out.mkv"), &there, &err), &err);
    assert_true(there);
    assert_int_equal(ms_job_folder_open(&second, false, &err), MS_IO);
    assert_non_null(strstr(err.message, "another run"));
    static const char *const names[] = {"journal.db", "poses", "segment-000003", "joined.mkv", "mine.txt"};
    for (int i = 0; i < 5; i++) {
        ms_job_folder_file(&folder, names[i], path);
        fclose(fopen(path, "w"));
    }
    ms_job_folder_remove(&folder);
    for (int i = 0; i < 5; i++) {
        ms_job_folder_file(&folder, names[i], path);
        assert_int_equal(test_exists(path), i == 4);
    }
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    clip_remove_folder();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_keeps_order_and_bounds),
        cmocka_unit_test(a_full_queue_waits_and_an_aborted_one_does_not),
        cmocka_unit_test(buffers_come_back),
        cmocka_unit_test(buffers_that_are_not_kept_go),
        cmocka_unit_test(state_comes_back_and_odd_bytes_are_refused),
        cmocka_unit_test(a_stage_with_too_many_waiting_frames_is_refused),
        cmocka_unit_test(poses_are_kept_in_a_file),
        cmocka_unit_test(damaged_poses_are_found),
        cmocka_unit_test(poses_with_good_checksums_and_bad_fields_are_refused),
        cmocka_unit_test(reading_poses_can_be_cancelled),
        cmocka_unit_test(files_are_known_by_their_contents),
        cmocka_unit_test(a_model_that_changed_in_its_middle_is_another),
        cmocka_unit_test(other_files_in_a_job_folder_stay),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
