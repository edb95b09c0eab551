#include "job/job_mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>

#define NAME "user.memsafe.job"

void ms_job_mark_put(int fd, const uint64_t key_hash[2], int64_t frames) {
    char text[128];
    struct stat st;
    if (fstat(fd, &st) < 0)
        return;
    int n = snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64 " %lld %lld.%09ld %" PRId64, key_hash[0],
                     key_hash[1], (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                     frames);
    (void)!fsetxattr(fd, NAME, text, (size_t)n, 0);
}

bool ms_job_mark_get(const char *path, const uint64_t key_hash[2], int64_t *ret_frames) {
    char text[128];
    struct stat st;
    uint64_t hash[2];
    long long bytes, seconds;
    long nanoseconds;
    int64_t frames;
    ssize_t n = getxattr(path, NAME, text, sizeof(text) - 1);
    if (n <= 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    text[n] = 0;
    if (sscanf(text, "%16" SCNx64 "%16" SCNx64 " %lld %lld.%9ld %" SCNd64, &hash[0], &hash[1], &bytes,
               &seconds, &nanoseconds, &frames) != 6)
        return false;
    if (hash[0] != key_hash[0] || hash[1] != key_hash[1] || bytes != st.st_size || frames < 1 ||
        seconds != st.st_mtim.tv_sec || nanoseconds != st.st_mtim.tv_nsec)
        return false;
    *ret_frames = frames;
    return true;
}
