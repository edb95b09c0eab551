/*
 * What tells a finished output from any other file: an extended attribute with the hash of its job's key, so
 * that a command with --resume may be repeated after it has finished. Not part of the file's bytes, which are
 * the same without it. File systems that keep no such attributes, and copies made without them, have no mark.
 */
#ifndef MS_JOB_JOB_MARK_H
#define MS_JOB_JOB_MARK_H

#include <stdbool.h>
#include <stdint.h>

/* fd: of the file. Best effort. */
void ms_job_mark_put(int fd, const uint64_t key_hash[2], int64_t frames);

/* True when the file is as the job with this key left it, by its length. */
bool ms_job_mark_get(const char *path, const uint64_t key_hash[2], int64_t *ret_frames);

#endif
