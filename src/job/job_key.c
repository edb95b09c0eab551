#include "job/job_key.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "files/numbered.h"
#include "files/regular_file.h"
#include "job/model_sum.h"

#define SAMPLE_BYTES ((size_t)64 << 10)
#define FILE_FORMAT "%lld bytes, changed %lld.%09ld, %016llx"
#define MODEL_FORMAT "%lld bytes, %016llx" /* all of it is summed, so a copy is the same */

static void add(ms_job_key *key, const char *name, const char *fmt, va_list ap) {
    if (key->n == MS_JOB_KEY_FIELDS)
        return;
    key->field[key->n].name = name;
    key->field[key->n].path = NULL;
    key->field[key->n].identity[0] = 0;
    vsnprintf(key->field[key->n].text, MS_JOB_KEY_TEXT, fmt, ap);
    key->n++;
}

void ms_job_key_add(ms_job_key *key, const char *name, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(key, name, fmt, ap);
    va_end(ap);
}

static ms_status sample(int fd, off_t offset, uint8_t *buffer, uint64_t *hash) {
    const uint64_t key[2] = {*hash, 0x6d656d73616665};
    ssize_t n = pread(fd, buffer, SAMPLE_BYTES, offset);
    if (n < 0)
        return MS_IO;
    *hash = ms_siphash(key, buffer, (size_t)n);
    return MS_OK;
}

static void add_file(ms_job_key *key, const char *name, const char *path, const struct stat *st,
                     uint64_t hash, bool whole) {
    int at = key->n;
    char identity[MS_JOB_KEY_TEXT];
    snprintf(identity, sizeof(identity), FILE_FORMAT, (long long)st->st_size, (long long)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec, (unsigned long long)hash);
    if (whole)
        ms_job_key_add(key, name, MODEL_FORMAT, (long long)st->st_size, (unsigned long long)hash);
    else
        ms_job_key_add(key, name, "%s", identity);
    if (key->n == at)
        return;
    key->field[at].path = path;
    memcpy(key->field[at].identity, identity, sizeof(identity));
}

static ms_status sample_ends(int fd, const struct stat *st, uint64_t *ret_hash, ms_error *err) {
    uint8_t *buffer = ms_mem_alloc(NULL, MS_LEDGER_STAGING, SAMPLE_BYTES);
    if (!buffer)
        return ms_fail_alloc(err, NULL, SAMPLE_BYTES, "looking at the inputs");
    off_t tail = st->st_size > (off_t)SAMPLE_BYTES ? st->st_size - (off_t)SAMPLE_BYTES : 0;
    ms_status status = sample(fd, 0, buffer, ret_hash);
    if (status == MS_OK)
        status = sample(fd, tail, buffer, ret_hash);
    ms_mem_free(buffer);
    return status == MS_OK ? MS_OK : ms_fail(err, status, "%s", strerror(errno));
}

/* What is to be summed, and how. */
typedef struct summing {
    bool whole;
    bool (*cancelled)(void *arg);
    void *arg;
} summing;

/* Of each: its number, size and ends; and the time of change where there is more than the ends. */
static ms_status sum_numbered(const ms_numbered *files, uint64_t *hash, ms_error *err) {
    for (int i = 0; i < files->count; i++) {
        struct stat st;
        int fd;
        MS_TRY(ms_numbered_open(files, files->first + i, &fd, &st, err));
        bool all = st.st_size <= (off_t)(2 * SAMPLE_BYTES);
        const int64_t facts[] = {files->first + i, st.st_size, all ? 0 : st.st_mtim.tv_sec,
                                 all ? 0 : st.st_mtim.tv_nsec};
        const uint64_t key[2] = {*hash, 0x6d656d73616665};
        *hash = ms_siphash(key, (const uint8_t *)facts, sizeof(facts));
        ms_status status = sample_ends(fd, &st, hash, err);
        close(fd);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

static ms_status add_numbered(ms_job_key *key, const char *name, const char *path, ms_error *err) {
    ms_numbered files;
    uint64_t hash = 0;
    MS_TRY(ms_numbered_find(path, &files, err));
    MS_TRY(sum_numbered(&files, &hash, err));
    add_file(key, name, path, &(struct stat){.st_size = files.bytes, .st_mtim = files.changed}, hash, false);
    return MS_OK;
}

static ms_status add_summed(ms_job_key *key, const char *name, const char *path, const summing *how,
                            ms_error *err) {
    if (!path || !*path) {
        ms_job_key_add(key, name, "none");
        return MS_OK;
    }
    struct stat st = {0};
    uint64_t hash = 0;
    int fd = -1;
    ms_error why;
    ms_error_clear(&why);
    ms_status status = ms_regular_open(path, &fd, &st, err);
    if (status != MS_OK)
        return ms_fail_prefix(err, status, "%s", path);
    status = how->whole ? ms_model_sum(NULL, fd, how->cancelled, how->arg, &hash, &why)
                        : sample_ends(fd, &st, &hash, &why);
    close(fd);
    if (status == MS_IO)
        return ms_fail(err, status, "cannot read %s: %s", path, why.message);
    if (status != MS_OK && err)
        *err = why;
    if (status == MS_OK)
        add_file(key, name, path, &st, hash, how->whole);
    return status;
}

ms_status ms_job_key_add_file(ms_job_key *key, const char *name, const char *path, ms_error *err) {
    return ms_numbered_is(path) ? add_numbered(key, name, path, err)
                                : add_summed(key, name, path, &(summing){.whole = false}, err);
}

ms_status ms_job_key_add_model(ms_job_key *key, const char *name, const char *path,
                               bool (*cancelled)(void *arg), void *arg, ms_error *err) {
    return add_summed(key, name, path, &(summing){.whole = true, .cancelled = cancelled, .arg = arg}, err);
}

/* ---- another key ---- */

typedef struct file_facts {
    bool has_time;
    long long bytes, changed;
    long nanoseconds;
    unsigned long long hash;
} file_facts;

static bool read_identity(const char *text, file_facts *ret) {
    ret->has_time = sscanf(text, "%lld bytes, changed %lld.%9ld, %16llx", &ret->bytes, &ret->changed,
                           &ret->nanoseconds, &ret->hash) == 4;
    return ret->has_time;
}

static bool read_facts(const char *text, file_facts *ret) {
    *ret = (file_facts){0};
    return read_identity(text, ret) || sscanf(text, "%lld bytes, %16llx", &ret->bytes, &ret->hash) == 2;
}

bool ms_job_key_file_is_same(const char *identity, const char *path) {
    file_facts was;
    struct stat now;
    return !read_identity(identity, &was) || stat(path, &now) < 0 ||
           (was.bytes == (long long)now.st_size && was.changed == (long long)now.st_mtim.tv_sec &&
            was.nanoseconds == now.st_mtim.tv_nsec);
}

static void say_time(long long seconds, char ret_text[32]) {
    time_t t = (time_t)seconds;
    struct tm parts;
    if (!localtime_r(&t, &parts) || strftime(ret_text, 32, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(ret_text, 32, "an odd time");
}

static ms_status explain_file(const char *name, const char *path, const file_facts *was,
                              const file_facts *now, ms_error *err) {
    char then[32], since[32];
    if (was->bytes != now->bytes)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "the unfinished job was begun with another file as %s: it had %lld bytes, %.200s has %lld", name,
            was->bytes, path, now->bytes);
    if (was->has_time != now->has_time) /* nor are their checksums of the same */
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "the unfinished job was begun by another version of memsafe, which compares %s in "
                       "another way: %.200s is as long, but whether it is the same cannot be told",
                       name, path);
    if (was->hash != now->hash)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "the unfinished job was begun with other contents of %s: %.200s is as long, but not the same",
            name, path);
    say_time(was->changed, then);
    say_time(now->changed, since);
    return ms_fail(
        err, MS_INVALID_ARGUMENT,
        "the unfinished job was begun with %s of %s, and %.200s is of %s: size, beginning and end are the "
        "same, but it was written or copied since",
        name, then, path, since);
}

ms_status ms_job_key_explain(const ms_job_key *key, int field, const char *was, ms_error *err) {
    const char *name = key->field[field].name, *path = key->field[field].path, *text = key->field[field].text;
    file_facts before, now;
    if (path && was && read_facts(was, &before) && read_facts(text, &now))
        explain_file(name, path, &before, &now, err);
    else if (path)
        ms_fail(err, MS_INVALID_ARGUMENT, "the unfinished job has no %s, not %.200s", name, path);
    else
        ms_fail(err, MS_INVALID_ARGUMENT, "the unfinished job has %s %.60s, not %.60s", name,
                was ? was : "unset", text);
    ms_error_hint(err, MS_HINT_BEGIN_ANEW);
    return MS_INVALID_ARGUMENT;
}

void ms_job_key_hash(const ms_job_key *key, uint64_t ret_hash[2]) {
    const uint64_t seed[2] = {0x6d656d73616665, 0x6a6f62};
    ret_hash[0] = ret_hash[1] = 0;
    for (int i = 0; i < key->n; i++) {
        char line[MS_JOB_KEY_TEXT + 64 + 34];
        int n = snprintf(line, sizeof(line), "%016llx%016llx %.63s: %s", (unsigned long long)ret_hash[0],
                         (unsigned long long)ret_hash[1], key->field[i].name, key->field[i].text);
        ms_siphash_128(seed, line, (size_t)n, ret_hash);
    }
}
