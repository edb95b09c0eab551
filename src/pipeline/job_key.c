#include "pipeline/job_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"

#define SAMPLE_BYTES ((size_t)64 << 10)

static void add(ms_job_key *key, const char *name, const char *fmt, va_list ap) {
    if (key->n == MS_JOB_KEY_FIELDS)
        return;
    key->field[key->n].name = name;
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

ms_status ms_job_key_add_file(ms_job_key *key, const char *name, const char *path, ms_error *err) {
    if (!path || !*path) {
        ms_job_key_add(key, name, "none");
        return MS_OK;
    }
    uint8_t *buffer = ms_alloc(NULL, MS_LEDGER_STAGING, SAMPLE_BYTES);
    if (!buffer)
        return ms_fail_alloc(err, NULL, SAMPLE_BYTES, "looking at the inputs");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    uint64_t hash = 0;
    ms_status status = fd >= 0 && fstat(fd, &st) == 0 ? MS_OK : MS_IO;
    if (status == MS_OK && S_ISREG(st.st_mode)) {
        off_t tail = st.st_size > (off_t)SAMPLE_BYTES ? st.st_size - (off_t)SAMPLE_BYTES : 0;
        status = sample(fd, 0, buffer, &hash);
        if (status == MS_OK)
            status = sample(fd, tail, buffer, &hash);
    }
    if (status != MS_OK)
        ms_fail(err, status, "cannot read %s: %s", path, strerror(errno));
    else
        ms_job_key_add(key, name, "%lld bytes, changed %lld.%09ld, %016llx", (long long)st.st_size,
                       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (unsigned long long)hash);
    if (fd >= 0)
        close(fd);
    ms_free(buffer);
    return status;
}
