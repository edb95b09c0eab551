/*
 * What is finished of a job, in an SQLite file: the parameters that decide its bits, and for each finished segment of
 * the output how to go on behind it. A line is in the journal only once what it speaks of is on the disk, and each is
 * one transaction, so that after a crash the journal is true. It is opened as a hostile file (files/trusted_db.h); rows are
 * checked for range and have a checksum: an odd one is MS_DAMAGED.
 *
 * In a build without SQLite ms_journal_available() is false, and the other functions say MS_UNSUPPORTED.
 */
#ifndef MS_JOB_JOURNAL_H
#define MS_JOB_JOURNAL_H

#include "base/state.h"
#include "job/job_folder.h"
#include "job/job_key.h"
#include "media/read/video_reader.h"

/* Where and how frames go on: at the beginning of a window. */
typedef struct ms_resume_point {
    int64_t frame;                               /* of the output */
    int64_t without_face, interpolated, windows; /* counts before it */
    int64_t clip_frames;                         /* poses before it */
    bool has_mark;
    ms_video_mark mark; /* a place of the clip that may be jumped to */
    ms_state state;     /* of the frame source */
} ms_resume_point;

typedef struct ms_journal_segment {
    int64_t number;
    int64_t frames, bytes;  /* of the segment; the last one may be short */
    ms_resume_point resume; /* frame: at most the segment's end */
    bool last;              /* the output ends with it */
} ms_journal_segment;

typedef struct ms_journal ms_journal;

bool ms_journal_available(void);

#define MS_JOURNAL_NAME "journal.db"

typedef struct ms_journal_params {
    ms_mem *mem;
    const ms_job_folder *folder; /* borrowed; open as long as the journal is */
    bool (*cancelled)(
        void *arg); /* asked while it is opened, for a large one is read for a while; NULL = never */
    void *arg;
} ms_journal_params;

/* Opens or makes the file. *ret_begun: it is a whole journal of an earlier run. MS_DAMAGED: it is damaged, holds what memsafe
   does not make, or is another program's. MS_IO: it could not be read or made; so of what follows. */
ms_status ms_journal_open(const ms_journal_params *params, ms_journal **ret_journal, bool *ret_begun,
                          ms_error *err);
void ms_journal_close(ms_journal **journal);

/* Of a fresh journal. */
ms_status ms_journal_begin(ms_journal *journal, const ms_job_key *key, ms_error *err);

/* MS_INVALID_ARGUMENT names the first field that is another one. */
ms_status ms_journal_compare(ms_journal *journal, const ms_job_key *key, ms_error *err);

ms_status ms_journal_add(ms_journal *journal, const ms_journal_segment *segment, ms_error *err);

/* MS_DAMAGED: its row is. *ret_got false: there is none. */
ms_status ms_journal_get(ms_journal *journal, int64_t number, ms_journal_segment *ret_segment, bool *ret_got,
                         ms_error *err);

/* Forgets the segments from a number on. */
ms_status ms_journal_cut(ms_journal *journal, int64_t number, ms_error *err);

/* The joined file, by the number that the file system knows it by; 0 = not yet. */
ms_status ms_journal_set_joined(ms_journal *journal, uint64_t device, uint64_t inode, ms_error *err);
ms_status ms_journal_get_joined(ms_journal *journal, uint64_t *ret_device, uint64_t *ret_inode,
                                ms_error *err);

#endif
