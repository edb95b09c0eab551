/* What decides the bits of a run's output, as named texts: two runs with equal keys
   give equal files. Budget, threads and the ladder's rung are not among them. */
#ifndef MS_JOB_JOB_KEY_H
#define MS_JOB_JOB_KEY_H

#include "base/mem.h"

#define MS_JOB_KEY_FIELDS 48
#define MS_JOB_KEY_TEXT 128

typedef struct ms_job_key {
    int n;
    struct {
        const char *name;               /* static */
        const char *path;               /* borrowed; of a file, else NULL. Not part of the key */
        char identity[MS_JOB_KEY_TEXT]; /* of a file, with its time; not part of the key either */
        char text[MS_JOB_KEY_TEXT];
    } field[MS_JOB_KEY_FIELDS];
} ms_job_key;

void ms_job_key_add(ms_job_key *key, const char *name, const char *fmt, ...) MS_PRINTF(3, 4);

/* A file by its size, the time it was last changed, and a checksum of its first and last 64
   KiB; "none" for NULL or "". Of numbered files (files/numbered.h) all are in it. MS_IO. */
ms_status ms_job_key_add_file(ms_job_key *key, const char *name, const char *path, ms_error *err);

/* By its size and a checksum that a change anywhere in the file changes (model_sum.h): a copy of the file is
   the same. cancelled: NULL = never. MS_IO, MS_CANCELLED. */
ms_status ms_job_key_add_model(ms_job_key *key, const char *name, const char *path,
                               bool (*cancelled)(void *arg), void *arg, ms_error *err);

/* Whether a file is still the one whose identity a field has, by size and time, without
   reading it. A file that is gone counts as the same. */
bool ms_job_key_file_is_same(const char *identity, const char *path);

/* Says how the job that has `was` in place of the key's field differs.
   MS_INVALID_ARGUMENT. was: NULL = nothing. */
ms_status ms_job_key_explain(const ms_job_key *key, int field, const char *was, ms_error *err);

/* All of it in one number. */
void ms_job_key_hash(const ms_job_key *key, uint64_t ret_hash[2]);

#endif
