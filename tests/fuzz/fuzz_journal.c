/* The journal of a job: the bytes are its file, or, where the first one is odd, what a transaction that was
   broken off left beside a good one. Opened and read, or refused; nothing else in the folder changes. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/error.h"
#include "fuzz/fuzz.h"
#include "job/journal.h"

const fuzz_seeds fuzz_golden_seeds = {NULL, NULL};

static ms_job_folder folder = {.fd = -1};
static uint8_t good[16384];
static size_t good_bytes;

static void write_file(const char *name, const uint8_t *data, size_t bytes) {
    int fd = -1;
    fuzz_require(ms_job_folder_create(&folder, name, &fd, NULL) == MS_OK, "a file");
    fuzz_require(write(fd, data, bytes) == (ssize_t)bytes, "its bytes");
    close(fd);
}

static size_t read_file(const char *name, uint8_t *ret_data, size_t room) {
    int fd = openat(folder.fd, name, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, ret_data, room) : 0;
    if (fd >= 0)
        close(fd);
    return n > 0 ? (size_t)n : 0;
}

static ms_status open_journal(ms_mem *mem, ms_journal **ret_journal, bool *ret_begun, ms_error *err) {
    const ms_journal_params params = {.mem = mem, .folder = &folder};
    *ret_journal = NULL;
    return ms_journal_open(&params, ret_journal, ret_begun, err);
}

static void clean_up(void) {
    ms_job_folder_remove(&folder);
}

/* Small pages, so that a mutation of few bytes meets what matters. */
static void make_good(void) {
    static ms_job_key key;
    static ms_resume_point place;
    ms_journal *j;
    bool there, begun;
    char output[300], path[MS_JOB_PATH_BYTES];
    sqlite3 *db;
    snprintf(output, sizeof(output), "%s/memsafe-fuzz-%ld", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (long)getpid());
    fuzz_require(ms_job_folder_find(&folder, output, &there, NULL) == MS_OK, "a name");
    fuzz_require(ms_job_folder_open(&folder, false, NULL) == MS_OK, "a folder");
    atexit(clean_up);
    fuzz_require(open_journal(NULL, &j, &begun, NULL) == MS_OK, "a journal");
    ms_job_key_add(&key, "seed", "5");
    fuzz_require(ms_journal_begin(j, &key, NULL) == MS_OK, "its key");
    for (int64_t i = 0; i < 4; i++) {
        place.frame = place.clip_frames = 10 * i + 10;
        place.has_mark = i % 2 == 0;
        place.state.length = 50;
        fuzz_require(ms_journal_add(j, &place, NULL) == MS_OK, "a place");
    }
    ms_journal_close(&j);
    ms_job_folder_file(&folder, MS_JOURNAL_NAME, path);
    fuzz_require(sqlite3_open(path, &db) == SQLITE_OK, "the file");
    fuzz_require(sqlite3_exec(db, "pragma page_size = 512; vacuum", 0, 0, 0) == SQLITE_OK, "small pages");
    sqlite3_close(db);
    good_bytes = read_file(MS_JOURNAL_NAME, good, sizeof(good));
    fuzz_require(good_bytes > 2000 && good_bytes < sizeof(good), "its size");
}

/* What is beside the file within a transaction. */
static size_t make_hot(uint8_t *ret_data, size_t room) {
    char path[MS_JOB_PATH_BYTES];
    sqlite3 *db;
    write_file(MS_JOURNAL_NAME, good, good_bytes);
    ms_job_folder_file(&folder, MS_JOURNAL_NAME, path);
    fuzz_require(sqlite3_open(path, &db) == SQLITE_OK, "the file");
    fuzz_require(sqlite3_exec(db,
                              "pragma cache_size = 1; pragma cache_spill = 1; begin; delete from place; "
                              "delete from job; insert into joined select 1, randomblob(9000), 3",
                              0, 0, 0) == SQLITE_OK,
                 "a transaction");
    size_t n = read_file(MS_JOURNAL_NAME "-journal", ret_data, room);
    sqlite3_close(db);
    return n;
}

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    if (folder.fd < 0)
        make_good();
    if (index > 1 || room < sizeof(good) + 1)
        return 0;
    ret_data[0] = (uint8_t)index;
    memcpy(ret_data + 1, good, good_bytes);
    return 1 + (index ? make_hot(ret_data + 1, room - 1) : good_bytes);
}

static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    static ms_resume_point place;
    ms_journal *j;
    ms_error err;
    bool begun = false, got = true;
    int64_t before = INT64_MAX;
    ms_journal_joined joined;
    if (size < 1)
        return;
    bool hot = data[0] & 1;
    write_file(MS_JOURNAL_NAME, hot ? good : data + 1, hot ? good_bytes : size - 1);
    ms_job_folder_unlink(&folder, MS_JOURNAL_NAME "-journal");
    if (hot)
        write_file(MS_JOURNAL_NAME "-journal", data + 1, size - 1);
    ms_error_clear(&err);
    ms_status status = open_journal(mem, &j, &begun, &err);
    fuzz_require(status == MS_OK || status == MS_IO || status == MS_DAMAGED || status == MS_HOST_MEMORY,
                 "opened or refused");
    fuzz_require(status == MS_OK || strlen(err.message) > 6, "a reason");
    for (int64_t i = 0; begun && j && i < 8 && got; i++) {
        status = ms_journal_get(j, before, &place, &got, &err);
        fuzz_require(status == MS_OK || status == MS_IO || status == MS_DAMAGED || status == MS_HOST_MEMORY,
                     "read or refused");
        if (status != MS_OK)
            break;
        fuzz_require(!got || (place.frame >= 0 && place.frame < before && place.clip_frames >= 0 &&
                              place.state.length > 0 && place.state.length <= MS_STATE_BYTES),
                     "a place");
        before = got ? place.frame : before;
    }
    if (begun && j) {
        ms_journal_get_joined(j, &joined, NULL);
        place.frame = place.clip_frames = 1000;
        place.state.length = 50;
        ms_journal_add(j, &place, NULL);
    }
    ms_journal_close(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (folder.fd < 0)
        make_good();
    return fuzz_run(parse, data, size);
}
