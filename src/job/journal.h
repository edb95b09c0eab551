/*
 * What a job is, in an SQLite file: the parameters that decide its bits; places of its clip from which
 * finding faces can go on; the number of the joined file. What is finished of it are its segments' files
 * (segment_set.h). A place is in the journal only once the poses before it are on the disk, and each is one
 * transaction, so that after a crash the journal is true. It is opened as a hostile file
 * (files/trusted_db.h); rows are checked for range and have a checksum: an odd one is MS_DAMAGED.
 *
 * In a build without SQLite ms_journal_available() is false, and the other functions say MS_UNSUPPORTED.
 */
#ifndef MS_JOB_JOURNAL_H
#define MS_JOB_JOURNAL_H

#include "base/state.h"
#include "job/job_folder.h"
#include "job/job_key.h"
#include "media/read/video_reader.h"

/* Where and how finding faces goes on: at the beginning of a window. */
typedef struct ms_resume_point {
    int64_t frame;       /* of the output */
    int64_t clip_frames; /* poses before it */
    bool known;          /* the clip has ended: it has clip_frames */
    bool has_mark;
    ms_video_mark mark; /* a place of the clip that may be jumped to */
    ms_state state;     /* of the frame source */
} ms_resume_point;

typedef struct ms_journal ms_journal;

bool ms_journal_available(void);

#define MS_JOURNAL_NAME "journal.db"

typedef struct ms_journal_params {
    ms_mem *mem;
    const ms_job_folder *folder; /* borrowed; open as long as the journal is */
    /* asked while it is opened, for a large one is read for a while; NULL = never */
    bool (*cancelled)(void *arg);
    void *arg;
} ms_journal_params;

/* Opens or makes the file. *ret_begun: it is a whole journal of an earlier run. MS_DAMAGED: it is damaged,
   holds what memsafe does not make, or is another program's. MS_IO: it could not be read or made; so of what
   follows. */
ms_status ms_journal_open(const ms_journal_params *params, ms_journal **ret_journal, bool *ret_begun,
                          ms_error *err);
void ms_journal_close(ms_journal **journal);

/* Of a fresh journal. */
ms_status ms_journal_begin(ms_journal *journal, const ms_job_key *key, ms_error *err);

/* MS_INVALID_ARGUMENT names the first field that is another one. */
ms_status ms_journal_compare(ms_journal *journal, const ms_job_key *key, ms_error *err);

/* What a field of its key says, cut to the bytes; "" when it has none. */
ms_status ms_journal_get_field(ms_journal *journal, const char *name, char *ret_text, size_t bytes,
                               ms_error *err);

/* In place of one at the same frame. */
ms_status ms_journal_add(ms_journal *journal, const ms_resume_point *place, ms_error *err);

/* The last place before output frame `before`. *ret_got false: there is none. MS_DAMAGED: its row is. */
ms_status ms_journal_get(ms_journal *journal, int64_t before, ms_resume_point *ret_place, bool *ret_got,
                         ms_error *err);

/* Places behind output frame `frame` are none any more; -1: all of them. */
ms_status ms_journal_forget_after(ms_journal *journal, int64_t frame, ms_error *err);

/* The joined file, by the number that the file system knows it by (0 = not yet), and its length. */
typedef struct ms_journal_joined {
    uint64_t device, inode;
    int64_t frames;
} ms_journal_joined;
ms_status ms_journal_set_joined(ms_journal *journal, const ms_journal_joined *joined, ms_error *err);
ms_status ms_journal_get_joined(ms_journal *journal, ms_journal_joined *ret_joined, ms_error *err);

#endif
