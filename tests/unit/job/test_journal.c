/* The journal of a job, as a file that somebody else may have made: whatever it holds, opening ends soon,
   takes little memory, touches nothing else, and says what is wrong; numbers that are out of range do not
   come out of it. */
#include "test.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "job/journal.h"
#include "support/cli.h"
#include "system/host.h"

#define PLACES 3

static ms_error err;
static ms_job_folder folder;
static int asked, cancel_at;

static bool cancelled(void *arg) {
    (void)arg;
    return ++asked >= cancel_at && cancel_at;
}

/* An empty job folder. */
static const char *fresh(void) {
    static int n;
    char name[64];
    bool there;
    ms_job_folder_close(&folder);
    snprintf(name, sizeof(name), "out%d.mkv", n++);
    assert_ms_ok(ms_job_folder_find(&folder, test_file(name), &there, &err), &err);
    assert_ms_ok(ms_job_folder_open(&folder, false, &err), &err);
    snprintf(name, sizeof(name), "out%d.mkv.memsafe/journal.db", n - 1);
    return test_file(name);
}

static ms_status open_journal(ms_mem *mem, ms_journal **ret, bool *begun) {
    const ms_journal_params params = {.mem = mem, .folder = &folder, .cancelled = cancelled};
    *ret = NULL;
    asked = 0;
    ms_error_clear(&err);
    return ms_journal_open(&params, ret, begun, &err);
}

static ms_resume_point place_of(int64_t number) {
    ms_resume_point p = {
        .frame = 10 * (number + 1),
        .clip_frames = 11 * (number + 1),
        .known = number == PLACES - 1,
        .has_mark = number % 2 == 0,
        .mark = {.timestamp = 7, .fingerprint = 8, .first_frame = 9, .rate_state = {1, 2, 3}}};
    p.state.length = 3000;
    memset(p.state.bytes, (int)number + 1, p.state.length);
    return p;
}

static ms_job_key *key_of(int seed) {
    static ms_job_key key;
    key.n = 0;
    ms_job_key_add(&key, "seed", "%d", seed);
    ms_job_key_add(&key, "codec", "ffv1");
    return &key;
}

static const char *filled(void) {
    const char *path = fresh();
    ms_journal *j;
    bool begun;
    assert_ms_ok(open_journal(NULL, &j, &begun), &err);
    assert_false(begun);
    assert_ms_ok(ms_journal_begin(j, key_of(5), &err), &err);
    for (int64_t i = 0; i < PLACES; i++) {
        ms_resume_point place = place_of(i);
        assert_ms_ok(ms_journal_add(j, &place, &err), &err);
    }
    ms_journal_close(&j);
    return path;
}

static void sql(const char *path, const char *text) {
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

static void what_goes_in_comes_out(void **state) {
    (void)state;
    ms_journal *j;
    ms_resume_point place;
    bool begun, got = true;
    filled();
    assert_ms_ok(open_journal(NULL, &j, &begun), &err);
    assert_true(begun);
    assert_ms_ok(ms_journal_compare(j, key_of(5), &err), &err);
    assert_int_equal(ms_journal_compare(j, key_of(6), &err), MS_INVALID_ARGUMENT);
    char text[3];
    assert_ms_ok(ms_journal_get_field(j, "codec", text, sizeof(text), &err), &err);
    assert_string_equal(text, "ff");
    assert_ms_ok(ms_journal_get_field(j, "precision", text, sizeof(text), &err), &err);
    assert_string_equal(text, "");
    int64_t before = INT64_MAX, i = PLACES;
    for (;;) { /* from the last one back */
        assert_ms_ok(ms_journal_get(j, before, &place, &got, &err), &err);
        if (!got)
            break;
        const ms_resume_point want = place_of(--i);
        assert_true(place.frame == want.frame && place.clip_frames == want.clip_frames);
        assert_true(place.known == want.known && place.has_mark == want.has_mark);
        assert_int_equal(place.state.length, want.state.length);
        assert_memory_equal(place.state.bytes, want.state.bytes, 3000);
        before = place.frame;
    }
    assert_int_equal(i, 0);
    place = place_of(1);
    place.clip_frames = 99; /* one at the same frame takes its place */
    assert_ms_ok(ms_journal_add(j, &place, &err), &err);
    assert_ms_ok(ms_journal_get(j, place.frame + 1, &place, &got, &err), &err);
    assert_true(got && place.clip_frames == 99);
    ms_journal_joined joined;
    assert_ms_ok(ms_journal_get_joined(j, &joined, &err), &err);
    assert_true(joined.inode == 0 && joined.frames == 0);
    assert_ms_ok(ms_journal_set_joined(j, &(ms_journal_joined){3, UINT64_MAX, 50}, &err), &err);
    assert_ms_ok(ms_journal_get_joined(j, &joined, &err), &err);
    assert_true(joined.device == 3 && joined.inode == UINT64_MAX && joined.frames == 50);
    ms_journal_close(&j);
}

/* Refused soon and with little memory, and named. */
static void assert_refused(const char *what, const char *said) {
    ms_mem *mem = NULL;
    ms_mem_usage usage;
    ms_journal *j;
    bool begun;
    assert_int_equal(ms_mem_create(4 << 20, &mem), MS_OK);
    size_t before = ms_host_resident_bytes();
    double began = ms_now_s();
    ms_status status = open_journal(mem, &j, &begun);
    if (status != MS_DAMAGED || !strstr(err.message, said) || !strstr(err.message, "journal.db"))
        fail_msg("%s: wanted \"%s\", got %s: %s", what, said, ms_status_name(status), err.message);
    assert_true(ms_now_s() - began < 20);
#ifndef SANITIZED
    assert_true(ms_host_resident_bytes() < before + ((size_t)24 << 20));
#else
    (void)before;
#endif
    ms_mem_get_usage(mem, &usage);
    assert_int_equal(usage.current_bytes, 0);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

static void what_memsafe_does_not_make_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *sql, *said;
    } kinds[] = {
        {"create view v as select 1", "holds a view \"v\""},
        {"drop table job; create view job as " ENDLESS "select i as field, i as value from n",
         "holds a view \"job\""},
        {"alter table place rename to s2; create view place as " ENDLESS "select i as frame from n",
         "holds a view \"place\""},
        {"create trigger t after insert on place begin delete from place; end", "holds a trigger \"t\""},
        {"create table a(x)", "holds a table \"a\""},
        {"create index i on place(clip_frames)", "holds a index \"i\""},
        {"drop table joined", "lacks the table \"joined\""},
        {"drop table joined; create table joined (device, inode)", "holds a table \"joined\""},
        {"drop table joined; create table joined (device integer, inode integer, frames as (abs(inode)) "
         "stored)",
         "holds a table \"joined\""},
        {"pragma application_id=0", "another program's"},
        {"pragma user_version=1", "older version"},
        {"pragma user_version=77", "newer version"},
        {"pragma journal_mode=wal", "unable to open database file"},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *path = filled();
        sql(path, kinds[i].sql);
        assert_refused(kinds[i].sql, kinds[i].said);
    }
}

/* So many objects, or such long ones, that reading the schema alone would take minutes and gigabytes. */
static void a_huge_schema_is_not_read(void **state) {
    (void)state;
    const char *path = filled();
    sqlite3 *db;
    char text[100];
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "pragma synchronous=off; begin", NULL, NULL, NULL);
    for (int i = 0; i < 4000; i++) {
        snprintf(text, sizeof(text), "create table t%d(a, b, c, d, e, f, g, h)", i);
        assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    }
    sqlite3_exec(db, "commit", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_refused("4000 tables", "holds more tables");

    path = filled();
    char *statement = malloc(400000);
    assert_non_null(statement);
    int n = sprintf(statement, "create view v as select 1");
    for (int i = 0; i < 1900; i++)
        n += sprintf(statement + n, ", %d+%d /* %0100d */", i, i, i);
    sql(path, statement);
    free(statement);
    assert_refused("a long view", "too big");
}

static void rows_are_checked(void **state) {
    (void)state;
    static const char *const changes[] = {
        "frame = -5",
        "frame = 9223372036854775806",
        "clip_frames = 0",
        "clip_frames = -1",
        "clip_frames = 'ten'",
        "clip_frames = 1.5",
        "clip_frames = 9223372036854775807",
        "known = 2",
        "known = -1",
        "known = 1 - known",
        "mark = x'00'",
        "mark = 5",
        "mark = zeroblob(64)",
        "state = zeroblob(5000)",
        "state = x''",
        "state = 'text'",
        "state = zeroblob(60000)",
        "sum = sum + 1",
        "sum = 'none'",
        "clip_frames = clip_frames + 1",
        "state = zeroblob(3000)",
        "mark = null",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char text[200];
        ms_journal *j;
        ms_resume_point place;
        bool begun, got = true;
        const char *path = filled();
        snprintf(text, sizeof(text), "delete from place where frame < 30; update place set %s", changes[i]);
        sql(path, text);
        ms_status status = open_journal(NULL, &j, &begun);
        if (status == MS_OK) /* some are found as not fitting their column */
            status = ms_journal_get(j, INT64_MAX, &place, &got, &err);
        if (status != MS_DAMAGED)
            fail_msg("%s: %s", changes[i], ms_status_name(status));
        ms_journal_close(&j);
    }
}

/* Beside a journal, a transaction that was broken off and says which other file is to be deleted when it is
   taken back. */
static void make_hot(const char *path, const char *victim) {
    char journal[600], page[4096];
    snprintf(journal, sizeof(journal), "%s-journal", path);
    FILE *f = fopen(victim, "w");
    assert_non_null(f);
    fputs("somebody's", f);
    fclose(f);
    int db = open(path, O_RDONLY), fd = open(journal, O_RDWR | O_CREAT, 0666);
    assert_int_equal(pread(db, page, sizeof(page), 0), sizeof(page));
    struct stat st;
    assert_int_equal(fstat(db, &st), 0);
    close(db);
    /* Header: magic, one page, nonce 0, pages of the database before, sector and page size. */
    uint8_t head[512] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 1};
    head[19] = (uint8_t)(st.st_size / 4096);
    head[22] = 2; /* sectors of 512 */
    head[26] = 16;
    assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
    uint8_t number[4] = {0, 0, 0, 1};
    uint32_t sum = 0;
    for (int i = 4096 - 200; i > 0; i -= 200)
        sum += (uint8_t)page[i];
    uint8_t check[4] = {(uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8), (uint8_t)sum};
    off_t at = 512;
    at += pwrite(fd, number, 4, at);
    at += pwrite(fd, page, sizeof(page), at);
    at += pwrite(fd, check, 4, at);
    /* The name of the other file, behind a page number that there is not. */
    uint8_t tail[20] = {0};
    uint32_t locked = 0x40000000 / 4096 + 1, length = (uint32_t)strlen(victim), name_sum = 0;
    for (uint32_t i = 0; i < length; i++)
        name_sum += (uint32_t)(signed char)victim[i];
    for (int i = 0; i < 4; i++) {
        tail[i] = (uint8_t)(locked >> (24 - 8 * i));
        tail[4 + i] = (uint8_t)(length >> (24 - 8 * i));
        tail[8 + i] = (uint8_t)(name_sum >> (24 - 8 * i));
    }
    memcpy(tail + 12, head, 8);
    at += pwrite(fd, tail, 4, at);
    at += pwrite(fd, victim, length, at);
    pwrite(fd, tail + 4, 16, at);
    close(fd);
}

static void no_other_file_is_touched(void **state) {
    (void)state;
    const char *path = filled(), *victim = test_file("victim");
    char journal[600];
    ms_journal *j;
    bool begun;
    snprintf(journal, sizeof(journal), "%s-journal", path);
    make_hot(path, victim);
    assert_ms_ok(open_journal(NULL, &j, &begun), &err); /* it belongs to a transaction that is over */
    ms_journal_close(&j);
    assert_true(test_exists(victim) && !test_exists(journal));
    make_hot(path, victim);
    sql(path, "select * from job");
    assert_false(test_exists(victim)); /* SQLite by itself does as it is told: else this would show nothing */
}

/* A table whose pages lead to each other in rounds has no end. */
static void pages_that_are_used_twice_are_refused(void **state) {
    (void)state;
    const char *path = filled();
    sql(path, "with recursive n(i) as (select 10 union all select i + 1 from n where i < 4000) insert into "
              "place select i + 100, 1, 0, null, x'00', 0 from n");
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_prepare_v2(db, "select rootpage from sqlite_master where name = 'place'", -1, &q, NULL);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    off_t root = (off_t)(sqlite3_column_int(q, 0) - 1) * 4096;
    sqlite3_finalize(q);
    sqlite3_close(db);
    uint8_t page[4096];
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, page, sizeof(page), root), sizeof(page));
    assert_int_equal(page[0], 5); /* an inner page: all of its cells come to lead to the first one's page */
    int cells = page[3] * 256 + page[4];
    assert_true(cells > 3);
    const uint8_t *first = page + (page[12] * 256 + page[13]);
    for (int i = 1; i < cells; i++)
        memcpy(page + (page[12 + 2 * i] * 256 + page[13 + 2 * i]), first, 4);
    assert_int_equal(pwrite(fd, page, sizeof(page), root), sizeof(page));
    close(fd);
    assert_refused("a table in rounds", "is damaged");
}

static void opening_can_be_cancelled(void **state) {
    (void)state;
    ms_journal *j;
    bool begun;
    const char *path = filled();
    sql(path, "with recursive n(i) as (select 10 union all select i + 1 from n where i < 30000) insert into "
              "place select i + 100, 1, 0, null, x'00', 0 from n");
    cancel_at = 0;
    assert_ms_ok(open_journal(NULL, &j, &begun), &err);
    ms_journal_close(&j);
    int all = asked;
    assert_true(all > 1);
    for (cancel_at = 1; cancel_at <= all; cancel_at += 1 + all / 5)
        assert_int_equal(open_journal(NULL, &j, &begun), MS_CANCELLED);
    cancel_at = 0;
}

static void sizes_are_bounded(void **state) {
    (void)state;
    const char *path = filled();
    assert_int_equal(truncate(path, (off_t)2 << 30), 0); /* with holes */
    assert_refused("2 GiB", "more than the 1073741824 that it may have");
    path = filled();
    char journal[600];
    snprintf(journal, sizeof(journal), "%s-journal", path);
    int fd = open(journal, O_RDWR | O_CREAT, 0666);
    assert_int_equal(ftruncate(fd, (off_t)2 << 30), 0);
    close(fd);
    assert_refused("2 GiB of a broken-off transaction", "more than the");
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    folder.fd = -1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),    cmocka_unit_test(what_memsafe_does_not_make_is_refused),
        cmocka_unit_test(a_huge_schema_is_not_read), cmocka_unit_test(rows_are_checked),
        cmocka_unit_test(no_other_file_is_touched),  cmocka_unit_test(pages_that_are_used_twice_are_refused),
        cmocka_unit_test(opening_can_be_cancelled),  cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
