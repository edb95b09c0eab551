#include "job/run_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "files/new_file.h"
#include "job/job_mark.h"
#include "media/codec_memory.h"

#define POSES "poses"
/* An empty file that says that segments are made in any order. */
#define PARTS MS_PARTS_FILE

/* ---- opening ---- */

/* Poses before a place of the clip are as they were written. */
static ms_status count_good_poses(ms_run_store *s, int64_t wanted, int64_t *ret_good, ms_error *err) {
    int fd = -1;
    char path[MS_JOB_PATH_BYTES];
    *ret_good = 0;
    if (!ms_job_folder_has(&s->folder, POSES))
        return MS_OK;
    ms_job_folder_file(&s->folder, POSES, path);
    MS_TRY(ms_job_folder_read(&s->folder, POSES, !s->shared, &fd, err));
    const ms_pose_check_params poses = {
        .mem = s->mem, .fd = fd, .path = path, .count = wanted, .cancelled = s->cancelled, .arg = s->arg};
    return ms_pose_store_check(&poses, ret_good, err);
}

/* The last place before which all poses are good. */
static ms_status find_place(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    int64_t before = INT64_MAX, good = -1;
    int looked_at = 0;
    do {
        ms_resume_point place;
        MS_TRY(ms_journal_get(s->journal, before, &place, &s->has_place, err));
        if (!s->has_place)
            break;
        if (good < 0)
            MS_TRY(count_good_poses(s, place.clip_frames, &good, err));
        s->place = place;
        before = place.frame;
        looked_at++;
    } while (s->place.clip_frames > good);
    if (!s->has_place)
        s->place = (ms_resume_point){0};
    if (looked_at > s->has_place && !p->existing) /* so that it is told once */
        MS_TRY(ms_journal_forget_after(s->journal, s->has_place ? s->place.frame : -1, err));
    if (looked_at > s->has_place) /* the last one will do, unless poses are damaged */
        snprintf(s->note, sizeof(s->note), "the faces' positions (" POSES ") are damaged: found again");
    s->order = (ms_frame_order){
        .loop = p->loop, .wanted = p->wanted, .clip_frames = s->place.clip_frames, .known = s->place.known};
    bool complete = s->has_place && ms_frame_order_is_complete(&s->order);
    s->total = complete ? ms_frame_order_frames(&s->order) : 0;
    s->complete = s->total > 0;
    return MS_OK;
}

static int64_t segments_of(const ms_run_store *s, int64_t frames) {
    return ms_segments_of(frames, s->segment_frames);
}

static void note_segment(ms_run_store *s, int64_t number, const char *what) {
    char name[MS_JOB_NAME_BYTES];
    if (s->note[0])
        return;
    ms_job_segment_name(number, name);
    snprintf(s->note, sizeof(s->note), "%s %s", name, what);
}

static int64_t most_packet_bytes(const ms_video_writer_params *writer) {
    int width, height;
    ms_video_writer_size(writer, &width, &height);
    return ms_packet_most_bytes(width, height);
}

/* Of a job in parts segments are missing until they are made, and nothing is said of it. */
static ms_status find_segments(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    const ms_segment_set_params set = {.mem = s->mem,
                                       .folder = &s->folder,
                                       .job = {s->key_hash[0], s->key_hash[1]},
                                       .segment_frames = s->segment_frames,
                                       .total = s->total,
                                       .only = p->only,
                                       .n_only = p->n_only,
                                       .most_packet_bytes = most_packet_bytes(p->writer),
                                       .remove_damaged = !p->existing,
                                       .cancelled = p->cancelled,
                                       .arg = p->arg};
    bool in_parts = p->parts || ms_job_folder_has(&s->folder, PARTS);
    MS_TRY(ms_segment_set_find(&set, &s->before, err));
    const ms_segment_set *b = &s->before;
    if (b->first_damaged >= 0)
        note_segment(s, b->first_damaged, "is damaged: made again");
    else if (!in_parts && (b->count > b->first_missing ||
                           (!s->complete && (b->first_missing + 1) * s->segment_frames <= s->place.frame)))
        note_segment(s, b->first_missing, "is missing: made now");
    s->segments = b->count;
    s->frames = b->frames;
    return MS_OK;
}

/* Is the output there already, by the name that the journal was about to give? */
static ms_status look_for_output(ms_run_store *s, const char *output, ms_error *err) {
    ms_journal_joined joined;
    struct stat st;
    MS_TRY(ms_journal_get_joined(s->journal, &joined, err));
    bool there = joined.inode && stat(output, &st) == 0;
    if (joined.inode && !there && errno != ENOENT)
        return ms_fail(err, MS_IO, "cannot look at %s: %s", output, strerror(errno));
    s->named = there && (uint64_t)st.st_dev == joined.device && (uint64_t)st.st_ino == joined.inode;
    if (s->named) {
        s->whole = true; /* its segments may be gone */
        s->total = s->frames = joined.frames;
        s->segments = segments_of(s, s->frames);
    }
    return MS_OK;
}

static ms_status take_over(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    MS_TRY(look_for_output(s, p->output, err));
    if (s->named)
        return MS_OK;
    MS_TRY(find_place(s, p, err));
    MS_TRY(find_segments(s, p, err));
    s->whole = s->complete && s->before.first_missing == segments_of(s, s->total);
    if (s->shared)
        return MS_OK;
    const ms_face_store_params faces = {.mem = s->mem,
                                        .folder = &s->folder,
                                        .floats = p->face_floats,
                                        .segment_frames = p->segment_frames,
                                        .cancelled = p->cancelled,
                                        .arg = p->arg};
    return s->whole ? MS_OK : ms_faces_left_behind(&faces, &s->faces_left, err);
}

static ms_status open_journal_file(ms_run_store *s, const ms_run_store_params *p, bool *ret_begun,
                                   ms_error *err) {
    const ms_journal_params params = {
        .mem = s->mem, .folder = &s->folder, .cancelled = p->cancelled, .arg = p->arg};
    return ms_journal_open(&params, &s->journal, ret_begun, err);
}

/* What a resumed run could take over: segments, windows, poses. */
static bool has_work(const ms_run_store *s) {
    ms_resume_point place;
    bool got = true;
    return ms_job_folder_has_any(&s->folder, MS_SEGMENT_FILES) ||
           ms_job_folder_has_any(&s->folder, MS_FACE_FILES) ||
           ms_journal_get(s->journal, INT64_MAX, &place, &got, NULL) != MS_OK || got;
}

/* Whether the journal is this job's. Another's is emptied when the user says so or when nothing was finished
   of it. */
static ms_status claim_journal(ms_run_store *s, const ms_run_store_params *p, bool *begun, ms_error *err) {
    ms_status status = ms_journal_compare(s->journal, p->key, err);
    if (p->existing && err) /* it is begun anew by who splits it */
        err->hints &= ~MS_HINT_BIT(MS_HINT_BEGIN_ANEW);
    if (status != MS_INVALID_ARGUMENT || p->existing || (!p->force && has_work(s)))
        return status;
    ms_journal_close(&s->journal);
    ms_job_folder_clear(&s->folder);
    ms_error_clear(err);
    return open_journal_file(s, p, begun, err);
}

/* Shows others on other machines, whom a lock on the folder may not reach, that somebody is at work there;
   and removes what the dead left half done. A join does that only when it has all segments: else who was only
   stopped for a while may still be making one. */
static ms_status enter(ms_run_store *s, ms_error *err) {
    if (!s->journal || s->named)
        return MS_OK;
    MS_TRY(ms_leases_open(s->mem, &s->folder, &s->leases, err));
    if (!s->shared && (!s->existing || s->whole))
        ms_leases_clear(s->leases);
    return MS_OK;
}

static ms_status fail_no_job(const ms_run_store *s, ms_error *err) {
    return ms_fail(err, MS_IO, "%s: no such job is there: it must be split first", s->folder.path);
}

/* Goes on with the job of before, or begins where there is none. */
static ms_status go_on(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    bool begun = false;
    MS_TRY(open_journal_file(s, p, &begun, err));
    if (begun)
        MS_TRY(claim_journal(s, p, &begun, err));
    if (!begun && p->existing)
        return fail_no_job(s, err);
    return begun ? take_over(s, p, err) : ms_journal_begin(s->journal, p->key, err);
}

/* What cannot be read: damaged, of another version of memsafe, not of memsafe at all. The user says whether
   it goes. */
static ms_status begin_anew(ms_run_store *s, const ms_run_store *before, const ms_run_store_params *p,
                            ms_error *err) {
    bool begun = false;
    ms_journal_close(&s->journal);
    *s = *before;
    ms_job_folder_clear(&s->folder);
    ms_error_clear(err);
    MS_TRY(open_journal_file(s, p, &begun, err));
    return ms_journal_begin(s->journal, p->key, err);
}

/* Later runs then know that what is missing was not there before. */
static ms_status note_parts(ms_run_store *s, ms_error *err) {
    int fd = -1;
    if (ms_job_folder_has(&s->folder, PARTS))
        return MS_OK;
    ms_status status = ms_job_folder_create(&s->folder, PARTS, &fd, err);
    if (status != MS_OK && ms_job_folder_has(&s->folder, PARTS)) { /* another part was quicker */
        ms_error_clear(err);
        return MS_OK;
    }
    if (status == MS_OK)
        close(fd);
    return status;
}

static ms_status open_journal(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    if (!p->resume || s->not_resumable) {
        ms_job_folder_clear(&s->folder);
        s->ours = true;
    }
    if (s->not_resumable)
        return MS_OK;
    const ms_run_store before = *s;
    ms_status status = go_on(s, p, err);
    if (status == MS_DAMAGED && p->resume && p->force && !p->existing)
        status = begin_anew(s, &before, p, err);
    else if (status == MS_DAMAGED && p->resume && !p->existing)
        ms_error_hint(err, MS_HINT_BEGIN_ANEW);
    else if (status == MS_IO && p->resume && s->there) /* the disk may read it the next time */
        ms_error_add(err, "; the job in %s stays as it is", s->folder.path);
    s->ours |= status == MS_OK;
    return status == MS_OK && p->parts ? note_parts(s, err) : status;
}

/* Whether the folder of before holds what a resumed run could take over. What cannot be read is not thrown
   away either. */
static bool holds_work(ms_run_store *s, const ms_run_store_params *p) {
    bool begun = false;
    if (!ms_job_folder_has(&s->folder, MS_JOURNAL_NAME))
        return false;
    if (open_journal_file(s, p, &begun, NULL) != MS_OK)
        return true;
    bool holds = begun && has_work(s);
    ms_journal_close(&s->journal);
    return holds;
}

static ms_status refuse_unfinished(const ms_run_store *s, ms_error *err) {
    ms_fail_hint(err, MS_IO, MS_HINT_BEGIN_ANEW, "%s: an unfinished job is there", s->folder.path);
    if (!s->not_resumable)
        ms_error_hint(err, MS_HINT_RESUME);
    return MS_IO;
}

/* By its mark. */
static bool is_this_jobs(ms_run_store *s, const char *output) {
    int64_t frames;
    if (!s->marked || !ms_job_mark_get(output, s->key_hash, &frames))
        return false;
    s->total = s->frames = frames;
    s->segments = segments_of(s, frames);
    s->finished = s->named = s->whole = true;
    return true;
}

bool ms_run_store_was_finished(ms_run_store *s, const char *output) {
    const bool over = !ms_job_folder_is_there(&s->folder) || !ms_job_folder_has(&s->folder, MS_JOURNAL_NAME);
    return (over || s->whole) && is_this_jobs(s, output);
}

/* A command that is repeated after it has finished, or was killed while it removed its folder. */
static ms_status look_for_finished(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    if (is_this_jobs(s, p->output))
        return s->there ? ms_job_folder_open(&s->folder, false, err) : MS_OK;
    return ms_fail_hint(
        err, MS_IO, MS_HINT_REPLACE,
        "cannot write %s: it exists already, and nothing says that it is what this run would make",
        p->output);
}

static const char *why_not_resumable(const ms_run_store_params *p) {
    return ms_journal_available() ? p->not_resumable
                                  : "this build keeps no journal, it was made without SQLite";
}

static ms_status fail_not_split(const ms_run_store *s, ms_error *err) {
    return ms_fail_hint(err, MS_IO, MS_HINT_RESUME,
                        "%s: the job's faces are not all found: it must be split first", s->folder.path);
}

/* To make segments of a job that somebody has cut, beside others who do the same. */
static ms_status open_shared(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    if (s->not_resumable)
        return ms_fail(err, MS_UNSUPPORTED, "this job cannot be made in parts: %s", s->not_resumable);
    if (!ms_job_folder_has(&s->folder, MS_JOURNAL_NAME))
        return fail_no_job(s, err);
    MS_TRY(ms_job_folder_open(&s->folder, true, err));
    MS_TRY(go_on(s, p, err));
    s->ours = true;
    if (!s->named && !s->complete)
        return fail_not_split(s, err);
    if (s->named)
        return MS_OK;
    MS_TRY(note_parts(s, err));
    return enter(s, err);
}

static ms_status open_alone(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    if (!ms_job_folder_has(&s->folder, MS_JOURNAL_NAME) && p->resume && !p->existing && !p->force &&
        s->marked && access(p->output, F_OK) == 0)
        return look_for_finished(s, p, err);
    if (p->existing && !ms_job_folder_has(&s->folder, MS_JOURNAL_NAME))
        return fail_no_job(s, err);
    if (!s->there || !p->resume || s->not_resumable)
        MS_TRY(ms_video_writer_check(p->output, p->writer, err));
    MS_TRY(ms_job_folder_open(&s->folder, false, err));
    bool goes_on = p->resume && !s->not_resumable;
    if (s->there && !goes_on && !p->force && holds_work(s, p))
        return p->resume
                   ? ms_fail_hint(err, MS_UNSUPPORTED, MS_HINT_BEGIN_ANEW,
                                  "%s: this run cannot be resumed: %s", s->folder.path, s->not_resumable)
                   : refuse_unfinished(s, err);
    MS_TRY(open_journal(s, p, err));
    if (p->existing && !s->named && !s->complete)
        return fail_not_split(s, err);
    MS_TRY(enter(s, err));
    return s->named ? MS_OK : ms_video_writer_check(p->output, p->writer, err);
}

/* Whether what is in the folder is nobody's job any more, and this run has its lock alone. */
static bool has_remains_alone(ms_run_store *s) {
    return ms_job_folder_open(&s->folder, false, NULL) == MS_OK &&
           !ms_job_folder_has(&s->folder, MS_JOURNAL_NAME);
}

/* In a folder that this run has not locked somebody may begin anew, and have no journal yet. */
static void leave_to_others(ms_run_store *s) {
    if (s->folder.fd >= 0 && !s->folder.locked && !has_remains_alone(s))
        ms_job_folder_close(&s->folder);
}

ms_status ms_run_store_open(const ms_run_store_params *p, ms_run_store *s, ms_error *err) {
    *s = (ms_run_store){.mem = p->mem,
                        .not_resumable = why_not_resumable(p),
                        .shared = p->shared,
                        .existing = p->existing,
                        .segment_frames = p->segment_frames,
                        .cancelled = p->cancelled,
                        .arg = p->arg,
                        .before = {.first_damaged = -1},
                        .folder.fd = -1};
    s->marked = !p->not_resumable; /* else equal keys do not mean equal frames */
    ms_job_key_hash(p->key, s->key_hash);
    MS_TRY(ms_job_folder_find(&s->folder, p->output, &s->there, err));
    ms_status status = p->shared ? open_shared(s, p, err) : open_alone(s, p, err);
    if (status != MS_IO || !p->existing || !ms_run_store_was_finished(s, p->output))
        return status;
    ms_error_clear(err); /* who joins or makes a part comes late */
    leave_to_others(s);
    return MS_OK;
}

/* A run without an output has no folder; its poses are in a file without a name. */
static ms_status open_unnamed_poses(ms_run_store *s, ms_error *err) {
    char path[MS_JOB_PATH_BYTES];
    const char *dir = getenv("TMPDIR");
    int n = snprintf(path, sizeof(path), "%s/memsafe-poses.XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = n > 0 && (size_t)n < sizeof(path) ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0)
        return ms_fail(err, MS_IO, "cannot make a temporary file (TMPDIR): %s", strerror(errno));
    unlink(path);
    return ms_pose_store_open(s->mem, fd, path, 0, &s->poses, err);
}

ms_status ms_run_store_open_poses(ms_run_store *s, ms_error *err) {
    char path[MS_JOB_PATH_BYTES];
    int fd = -1;
    if (s->folder.fd < 0)
        return open_unnamed_poses(s, err);
    ms_job_folder_file(&s->folder, POSES, path);
    if (s->place.clip_frames > 0)
        MS_TRY(ms_job_folder_read(&s->folder, POSES, !s->shared, &fd, err));
    else
        MS_TRY(ms_job_folder_create(&s->folder, POSES, &fd, err));
    MS_TRY(ms_pose_store_open(s->mem, fd, path, s->place.clip_frames, &s->poses, err));
    s->order.poses = s->poses;
    return MS_OK;
}

ms_status ms_run_store_open_faces(ms_run_store *s, size_t floats, int64_t segment_frames, ms_error *err) {
    const ms_face_store_params params = {
        .mem = s->mem, .folder = &s->folder, .floats = floats, .segment_frames = segment_frames};
    return s->journal ? ms_face_store_create(&params, &s->faces, err) : MS_OK;
}

ms_status ms_run_store_marks(ms_run_store *s, void (*take)(void *arg, const ms_video_mark *mark), void *arg,
                             ms_error *err) {
    int64_t before = INT64_MAX;
    bool got = s->journal != NULL;
    while (got) {
        ms_resume_point place;
        MS_TRY(ms_journal_get(s->journal, before, &place, &got, err));
        if (got && place.has_mark)
            take(arg, &place.mark);
        before = got ? place.frame : 0;
    }
    return MS_OK;
}

/* ---- working ---- */

static ms_packet_label label_of(const ms_run_store *s, int64_t number) {
    return (ms_packet_label){.job = {s->key_hash[0], s->key_hash[1]}, .number = number};
}

ms_status ms_run_store_begin_segment(const ms_run_store *s, int64_t number, char ret_name[MS_JOB_NAME_BYTES],
                                     int *ret_fd, ms_packet_label *ret_label, ms_error *err) {
    *ret_label = label_of(s, number);
    return ms_job_folder_begin_segment(&s->folder, number, ret_name, ret_fd, err);
}

bool ms_run_store_lost_segment(ms_run_store *s, const char *name, int64_t number) {
    if (!s->shared || !ms_job_folder_is_there(&s->folder) ||
        !ms_job_folder_has(&s->folder, MS_JOURNAL_NAME) || ms_job_folder_has(&s->folder, name))
        return false;
    note_segment(s, number, "was removed while it was made: made again");
    if (s->leases)
        ms_leases_give_back(s->leases, number);
    return true;
}

ms_status ms_run_store_end_segment(ms_run_store *s, const char *name, int64_t number, int64_t frames,
                                   ms_error *err) {
    ms_status status = ms_job_folder_end_segment(&s->folder, name, number, err);
    /* A network file system may ask twice for one renaming, and say of the second that no such file is there;
       or another part has finished the segment. */
    if (status == MS_IO && ms_segment_set_has_now(&s->before, &s->folder, number)) {
        ms_error_clear(err);
        status = ms_job_folder_sync(&s->folder, err);
    }
    MS_TRY(status);
    if (s->faces)
        ms_face_store_drop(s->faces, number);
    if (s->leases)
        ms_leases_give_back(s->leases, number);
    s->segments++;
    s->frames += frames;
    return MS_OK;
}

ms_status ms_run_store_note_place(ms_run_store *s, const ms_resume_point *place, ms_error *err) {
    if (!s->journal)
        return MS_OK;
    MS_TRY(ms_pose_store_sync(s->poses, err));
    MS_TRY(ms_journal_add(s->journal, place, err));
    s->has_place = true;
    return MS_OK;
}

ms_status ms_run_store_check_whole(ms_run_store *s, int64_t total, ms_error *err) {
    int64_t segments = segments_of(s, total);
    for (int64_t i = 0; i < segments; i++) {
        char name[MS_JOB_NAME_BYTES];
        ms_job_segment_name(i, name);
        if (!ms_job_folder_has(&s->folder, name))
            return ms_fail(err, MS_IO, "%s/%s is missing: %" PRId64 " of %" PRId64 " segments are there",
                           s->folder.path, name, s->segments, segments);
    }
    s->total = total;
    s->whole = true;
    return MS_OK;
}

static ms_status append_segments(ms_run_store *s, ms_video_writer *w, ms_error *err) {
    for (int64_t i = 0; i < segments_of(s, s->total); i++) {
        char name[MS_JOB_NAME_BYTES], path[MS_JOB_PATH_BYTES];
        int fd = -1;
        ms_job_segment_name(i, name);
        ms_job_folder_file(&s->folder, name, path);
        MS_TRY(ms_job_folder_read(&s->folder, name, false, &fd, err));
        const ms_packet_file_params segment = {.fd = fd,
                                               .path = path,
                                               .label = label_of(s, i),
                                               .most_frames = s->segment_frames,
                                               .cancelled = s->cancelled,
                                               .arg = s->arg};
        MS_TRY(ms_video_writer_append(w, &segment, err));
    }
    if (ms_video_writer_frames(w) != s->total)
        return ms_fail(err, MS_DAMAGED, "the segments in %s hold %" PRId64 " frames, not %" PRId64,
                       s->folder.path, ms_video_writer_frames(w), s->total);
    return MS_OK;
}

/* The number of the file is noted before it gets its name: a run that dies in between finds out that the name
   is its own. */
static ms_status mark_and_note(ms_run_store *s, const char *name, ms_error *err) {
    struct stat st;
    int fd = -1;
    ms_status status = MS_OK;
    MS_TRY(ms_job_folder_read(&s->folder, name, true, &fd, err));
    if (s->marked)
        ms_job_mark_put(fd, s->key_hash, s->total);
    if (fstat(fd, &st) < 0)
        status = ms_fail(err, MS_IO, "cannot read %s/%s: %s", s->folder.path, name, strerror(errno));
    else if (s->journal)
        status = ms_journal_set_joined(
            s->journal, &(ms_journal_joined){(uint64_t)st.st_dev, (uint64_t)st.st_ino, s->total}, err);
    close(fd);
    return status;
}

ms_status ms_run_store_join(ms_run_store *s, const char *output, const ms_video_writer_params *params,
                            ms_error *err) {
    char path[MS_JOB_PATH_BYTES], name[MS_JOB_NAME_BYTES];
    uint64_t chance[2];                     /* for another may join on another machine */
    const char *dot = strrchr(output, '.'); /* checked: it names the container */
    ms_siphash_random_key(chance);
    snprintf(name, sizeof(name), MS_JOINED_FILES "-%016llx%.32s", (unsigned long long)chance[0],
             dot ? dot : "");
    ms_job_folder_file(&s->folder, name, path);
    ms_video_writer_params p = *params;
    ms_video_writer *w = NULL;
    p.force = true;
    MS_TRY(ms_job_folder_sync(&s->folder, err));
    MS_TRY(ms_video_writer_open(s->mem, path, &p, &w, err));
    ms_status status = append_segments(s, w, err);
    if (status == MS_OK)
        status = ms_video_writer_finish(&w, err);
    ms_video_writer_abort(&w);
    if (status != MS_OK)
        return status;
    status = mark_and_note(s, name, err);
    if (status == MS_OK)
        status = ms_new_file_take_name(path, output, params->force, err);
    if (status != MS_OK)
        ms_job_folder_unlink(&s->folder, name);
    s->named = status == MS_OK;
    return status;
}

/* ---- closing ---- */

/* Frames that a later run need not redraw: of finished segments, and those whose faces are kept. What an
   earlier run left counts as it did when the job was opened, unless this run's own says more. */
static int64_t kept_frames(const ms_run_store *s) {
    return s->frames + (s->faces ? ms_face_store_kept(s->faces) : s->faces_left);
}

static void say_how_to_go_on(const ms_run_store *s, ms_error *err) {
    char total[32] = "";
    if (s->expected_frames > 0)
        snprintf(total, sizeof(total), " of %" PRId64, s->expected_frames);
    if (s->kept_frames > 0)
        ms_error_add(err, "; %" PRId64 "%s frames are kept in %s", s->kept_frames, total, s->folder.path);
    else
        ms_error_add(err, "; the faces that were found are kept in %s", s->folder.path);
    if (!s->existing) /* a join is repeated */
        ms_error_hint(err, MS_HINT_RESUME);
}

static void say_what_is_lost(const ms_run_store *s, ms_error *err) {
    if (s->segments > 0 && s->not_resumable)
        ms_error_add(err, "; the %" PRId64 " finished frames are not kept: %s", s->frames, s->not_resumable);
}

static void close_folder(ms_run_store *s, ms_status status, ms_error *err) {
    bool done = status == MS_OK && s->named;
    bool worthless = ((kept_frames(s) == 0 && !s->has_place) || status == MS_NO_FACE || s->not_resumable) &&
                     !s->existing; /* which another may be splitting */
    if (s->shared && s->finished) {
        /* Whoever joined it could not remove it, for files were being made in it. Other parts may still be at
           work, or somebody who begins anew. */
        if (has_remains_alone(s))
            ms_job_folder_remove(&s->folder);
    } else if (s->shared || !ms_job_folder_is_there(&s->folder)) {
        s->kept_frames = s->shared ? s->frames : 0; /* others are at work in it, or somebody removed it */
    } else if ((done && s->folder.locked) || (s->ours && worthless) || (s->folder.created && !s->ours)) {
        if (status != MS_OK && status != MS_NO_FACE)
            say_what_is_lost(s, err);
        ms_job_folder_remove(&s->folder);
    } else if (s->ours) {
        s->kept_frames = kept_frames(s);
        if (status != MS_OK)
            say_how_to_go_on(s, err);
    }
    ms_job_folder_close(&s->folder);
}

void ms_run_store_close(ms_run_store *s, ms_status status, ms_error *err) {
    ms_leases_close(&s->leases);
    ms_pose_store_close(&s->poses);
    ms_journal_close(&s->journal);
    if (s->folder.fd >= 0)
        close_folder(s, status, err);
    ms_face_store_close(&s->faces);
    ms_segment_set_free(&s->before);
}
