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
#include "files/new_file.h"
#include "job/job_mark.h"
#include "media/write/packet_file.h"

#define POSES "poses"

/* ---- opening ---- */

static bool is_cancelled(const ms_run_store_params *p) {
    return p->cancelled && p->cancelled(p->arg);
}

/* Whether the segment is on the disk as it was written. What is no regular file of ours is an error. */
static ms_status check_segment(ms_run_store *s, const ms_journal_segment *g, bool *ret_good, ms_error *err) {
    char name[MS_JOB_NAME_BYTES], path[MS_JOB_PATH_BYTES];
    int fd = -1;
    ms_error why;
    ms_error_clear(&why);
    ms_job_segment_name(g->number, name);
    *ret_good = false;
    if (!ms_job_folder_has(&s->folder, name)) {
        snprintf(s->note, sizeof(s->note), "%s is missing", name);
        return MS_OK;
    }
    MS_TRY(ms_job_folder_read(&s->folder, name, false, &fd, err));
    ms_job_folder_file(&s->folder, name, path);
    ms_status status = ms_packet_file_check(s->mem, fd, path, g->bytes, g->frames, &why);
    *ret_good = status == MS_OK;
    if (status == MS_DAMAGED)
        snprintf(s->note, sizeof(s->note), "%s is damaged", name);
    else if (status != MS_OK && err)
        *err = why;
    return status == MS_DAMAGED ? MS_OK : status;
}

static ms_status take_segment(ms_run_store *s, const ms_journal_segment *g, int64_t segment_frames,
                              bool *ret_good, ms_error *err) {
    if (s->whole || g->frames > segment_frames || (!g->last && g->frames != segment_frames))
        return ms_fail(err, MS_DAMAGED, "the journal in %s is damaged: segment %" PRId64 " makes no sense",
                       s->folder.path, g->number);
    if (g->resume.frame > s->frames + g->frames)
        return ms_fail(err, MS_DAMAGED, "the journal in %s is damaged: it goes on behind its end",
                       s->folder.path);
    *ret_good = true;
    if (!s->named) /* a finished job's may be gone */
        MS_TRY(check_segment(s, g, ret_good, err));
    if (!*ret_good)
        return MS_OK;
    s->segments++;
    s->frames += g->frames;
    s->whole = g->last;
    s->resume = g->resume;
    return MS_OK;
}

static ms_status take_segments(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    bool got = true, good = true;
    while (got && good) {
        ms_journal_segment g;
        if (is_cancelled(p))
            return ms_fail(err, MS_CANCELLED, "cancelled while the unfinished job was read");
        MS_TRY(ms_journal_get(s->journal, s->segments, &g, &got, err));
        if (got)
            MS_TRY(take_segment(s, &g, p->segment_frames, &good, err));
    }
    return MS_OK;
}

/* Back to the last segment behind which there are poses enough to go on. */
static ms_status check_poses(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    int64_t good = 0;
    int fd = -1;
    char path[MS_JOB_PATH_BYTES];
    if (ms_job_folder_has(&s->folder, POSES)) {
        ms_job_folder_file(&s->folder, POSES, path);
        MS_TRY(ms_job_folder_read(&s->folder, POSES, true, &fd, err));
        MS_TRY(ms_pose_store_check(s->mem, fd, path, s->resume.clip_frames, &good, err));
    }
    while (s->segments > 0 && s->resume.clip_frames > good) {
        ms_journal_segment g = {0};
        bool got = true;
        snprintf(s->note, sizeof(s->note), "the faces' positions (" POSES ") are damaged");
        s->segments--;
        s->frames = s->segments * p->segment_frames;
        if (s->segments > 0)
            MS_TRY(ms_journal_get(s->journal, s->segments - 1, &g, &got, err));
        s->resume = g.resume;
    }
    return MS_OK;
}

/* Is the output there already, by the name that the journal was about to give? */
static ms_status look_for_output(ms_run_store *s, const char *output, ms_error *err) {
    uint64_t device, inode;
    struct stat st;
    MS_TRY(ms_journal_get_joined(s->journal, &device, &inode, err));
    bool there = inode && stat(output, &st) == 0;
    if (inode && !there && errno != ENOENT)
        return ms_fail(err, MS_IO, "cannot look at %s: %s", output, strerror(errno));
    s->named = there && (uint64_t)st.st_dev == device && (uint64_t)st.st_ino == inode;
    return MS_OK;
}

static ms_status take_over(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    MS_TRY(look_for_output(s, p->output, err));
    MS_TRY(take_segments(s, p, err));
    s->whole |= s->named; /* the last segment may be a full one, which does not say so */
    if (!s->whole)
        MS_TRY(check_poses(s, p, err));
    if (s->note[0]) {
        size_t n = strlen(s->note);
        snprintf(s->note + n, sizeof(s->note) - n, ": made again from frame %" PRId64 " on", s->frames);
        MS_TRY(ms_journal_cut(s->journal, s->segments, err));
    }
    s->resumed = s->segments > 0;
    ms_job_folder_clear(&s->folder, false);
    const ms_face_store_params faces = {
        .mem = s->mem, .folder = &s->folder, .floats = p->face_floats, .segment_frames = p->segment_frames};
    return s->whole ? MS_OK : ms_faces_left_behind(&faces, s->frames, &s->left, err);
}

static ms_status open_journal_file(ms_run_store *s, const ms_run_store_params *p, bool *ret_begun,
                                   ms_error *err) {
    const ms_journal_params params = {
        .mem = s->mem, .folder = &s->folder, .cancelled = p->cancelled, .arg = p->arg};
    return ms_journal_open(&params, &s->journal, ret_begun, err);
}

/* Whether the journal is this job's. Another's is emptied when the user says so or when nothing was finished of it. */
static ms_status claim_journal(ms_run_store *s, const ms_run_store_params *p, bool *begun, ms_error *err) {
    ms_journal_segment first;
    bool got = true;
    ms_status status = ms_journal_compare(s->journal, p->key, err);
    if (status != MS_INVALID_ARGUMENT)
        return status;
    if (!p->force && (ms_journal_get(s->journal, 0, &first, &got, NULL) != MS_OK || got ||
                      ms_job_folder_has_any(&s->folder, MS_FACE_FILES)))
        return status;
    ms_journal_close(&s->journal);
    ms_job_folder_clear(&s->folder, true);
    ms_error_clear(err);
    return open_journal_file(s, p, begun, err);
}

/* Goes on with the job of before, or begins where there is none. */
static ms_status go_on(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    bool begun = false;
    MS_TRY(open_journal_file(s, p, &begun, err));
    if (begun)
        MS_TRY(claim_journal(s, p, &begun, err));
    return begun ? take_over(s, p, err) : ms_journal_begin(s->journal, p->key, err);
}

/* What cannot be read: damaged, of another version of memsafe, not of memsafe at all. The user says whether it goes. */
static ms_status begin_anew(ms_run_store *s, const ms_run_store *before, const ms_run_store_params *p,
                            ms_error *err) {
    bool begun = false;
    ms_journal_close(&s->journal);
    *s = *before;
    ms_job_folder_clear(&s->folder, true);
    ms_error_clear(err);
    MS_TRY(open_journal_file(s, p, &begun, err));
    return ms_journal_begin(s->journal, p->key, err);
}

static ms_status open_journal(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    if (!p->resume || s->not_resumable) {
        ms_job_folder_clear(&s->folder, true);
        s->ours = true;
    }
    if (s->not_resumable)
        return MS_OK;
    const ms_run_store before = *s;
    ms_status status = go_on(s, p, err);
    if (status == MS_DAMAGED && p->resume && p->force)
        status = begin_anew(s, &before, p, err);
    else if (status == MS_DAMAGED && p->resume)
        ms_error_hint(err, MS_HINT_BEGIN_ANEW);
    else if (status == MS_IO && p->resume && s->there) /* the disk may read it the next time */
        ms_error_add(err, "; the job in %s stays as it is", s->folder.path);
    s->ours |= status == MS_OK;
    return status;
}

/* Whether the folder of before holds what a resumed run could take over. What cannot be read is not thrown away either. */
static bool holds_work(ms_run_store *s, const ms_run_store_params *p) {
    ms_journal_segment first;
    bool begun = false, got = false;
    if (!ms_job_folder_has(&s->folder, MS_JOURNAL_NAME))
        return false;
    if (open_journal_file(s, p, &begun, NULL) != MS_OK)
        return true;
    bool read = !begun || ms_journal_get(s->journal, 0, &first, &got, NULL) == MS_OK;
    ms_journal_close(&s->journal);
    return got || !read || (begun && ms_job_folder_has_any(&s->folder, MS_FACE_FILES));
}

static ms_status refuse_unfinished(const ms_run_store *s, ms_error *err) {
    ms_fail_hint(err, MS_IO, MS_HINT_BEGIN_ANEW, "%s: an unfinished job is there", s->folder.path);
    if (!s->not_resumable)
        ms_error_hint(err, MS_HINT_RESUME);
    return MS_IO;
}

/* A command that is repeated after it has finished, or was killed while it removed its folder. */
static ms_status look_for_finished(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    if (ms_job_mark_get(p->output, s->key_hash, &s->frames)) {
        s->finished = s->named = s->whole = true;
        return s->there ? ms_job_folder_open(&s->folder, err) : MS_OK;
    }
    return ms_fail_hint(
        err, MS_IO, MS_HINT_REPLACE,
        "cannot write %s: it exists already, and nothing says that it is what this run would make",
        p->output);
}

static const char *why_not_resumable(const ms_run_store_params *p) {
    return ms_journal_available() ? p->not_resumable
                                  : "this build keeps no journal, it was made without SQLite";
}

ms_status ms_run_store_open(const ms_run_store_params *p, ms_run_store *s, ms_error *err) {
    *s = (ms_run_store){.mem = p->mem, .not_resumable = why_not_resumable(p), .folder.fd = -1};
    s->marked = !p->not_resumable; /* else equal keys do not mean equal frames */
    ms_job_key_hash(p->key, s->key_hash);
    MS_TRY(ms_job_folder_find(&s->folder, p->output, &s->there, err));
    if (!ms_job_folder_has(&s->folder, MS_JOURNAL_NAME) && p->resume && !p->force && s->marked &&
        access(p->output, F_OK) == 0)
        return look_for_finished(s, p, err);
    if (!s->there || !p->resume || s->not_resumable)
        MS_TRY(ms_video_writer_check(p->output, p->writer, err));
    MS_TRY(ms_job_folder_open(&s->folder, err));
    bool goes_on = p->resume && !s->not_resumable;
    if (s->there && !goes_on && !p->force && holds_work(s, p))
        return p->resume
                   ? ms_fail_hint(err, MS_UNSUPPORTED, MS_HINT_BEGIN_ANEW,
                                  "%s: this run cannot be resumed: %s", s->folder.path, s->not_resumable)
                   : refuse_unfinished(s, err);
    MS_TRY(open_journal(s, p, err));
    return s->named ? MS_OK : ms_video_writer_check(p->output, p->writer, err);
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
    if (s->resume.clip_frames > 0)
        MS_TRY(ms_job_folder_read(&s->folder, POSES, true, &fd, err));
    else
        MS_TRY(ms_job_folder_create(&s->folder, POSES, &fd, err));
    return ms_pose_store_open(s->mem, fd, path, s->resume.clip_frames, &s->poses, err);
}

ms_status ms_run_store_open_faces(ms_run_store *s, size_t floats, int64_t segment_frames, ms_error *err) {
    const ms_face_store_params params = {
        .mem = s->mem, .folder = &s->folder, .floats = floats, .segment_frames = segment_frames};
    return s->journal ? ms_face_store_create(&params, &s->faces, err) : MS_OK;
}

ms_status ms_run_store_marks(ms_run_store *s, void (*take)(void *arg, const ms_video_mark *mark), void *arg,
                             ms_error *err) {
    for (int64_t i = 0; s->journal && i < s->segments; i++) {
        ms_journal_segment g;
        bool got = false;
        MS_TRY(ms_journal_get(s->journal, i, &g, &got, err));
        if (got && g.resume.has_mark)
            take(arg, &g.resume.mark);
    }
    return MS_OK;
}

/* ---- working ---- */

ms_status ms_run_store_add(ms_run_store *s, const ms_journal_segment *g, ms_error *err) {
    MS_TRY(ms_job_folder_sync(&s->folder, err));
    if (s->journal) {
        MS_TRY(ms_pose_store_sync(s->poses, err));
        MS_TRY(ms_journal_add(s->journal, g, err));
    }
    if (s->faces)
        ms_face_store_drop(s->faces, g->number);
    s->segments++;
    s->frames += g->frames;
    s->whole = g->last;
    return MS_OK;
}

static ms_status append_segments(ms_run_store *s, ms_video_writer *w, ms_error *err) {
    for (int64_t i = 0; i < s->segments; i++) {
        char name[MS_JOB_NAME_BYTES], path[MS_JOB_PATH_BYTES];
        struct stat st;
        int fd = -1;
        ms_job_segment_name(i, name);
        ms_job_folder_file(&s->folder, name, path);
        MS_TRY(ms_job_folder_read(&s->folder, name, false, &fd, err));
        if (fstat(fd, &st) < 0) {
            close(fd);
            return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
        }
        MS_TRY(ms_video_writer_append(w, fd, path, st.st_size, err));
    }
    return MS_OK;
}

/* The number of the file is noted before it gets its name: a run that dies in between finds out that the name is
   its own. */
static ms_status mark_and_note(ms_run_store *s, const char *name, ms_error *err) {
    struct stat st;
    int fd = -1;
    ms_status status = MS_OK;
    MS_TRY(ms_job_folder_read(&s->folder, name, true, &fd, err));
    if (s->marked)
        ms_job_mark_put(fd, s->key_hash, s->frames);
    if (fstat(fd, &st) < 0)
        status = ms_fail(err, MS_IO, "cannot read %s/%s: %s", s->folder.path, name, strerror(errno));
    else if (s->journal)
        status = ms_journal_set_joined(s->journal, (uint64_t)st.st_dev, (uint64_t)st.st_ino, err);
    close(fd);
    return status;
}

ms_status ms_run_store_join(ms_run_store *s, const char *output, const ms_video_writer_params *params,
                            ms_error *err) {
    char path[MS_JOB_PATH_BYTES], name[64];
    const char *dot = strrchr(output, '.'); /* checked: it names the container */
    snprintf(name, sizeof(name), "joined%.32s", dot ? dot : "");
    ms_job_folder_file(&s->folder, name, path);
    ms_video_writer_params p = *params;
    ms_video_writer *w = NULL;
    p.force = true;
    ms_job_folder_unlink(&s->folder, name);
    MS_TRY(ms_job_folder_sync(&s->folder, err));
    MS_TRY(ms_video_writer_open(s->mem, path, &p, &w, err));
    ms_status status = append_segments(s, w, err);
    if (status == MS_OK)
        status = ms_video_writer_finish(&w, err);
    ms_video_writer_abort(&w);
    if (status != MS_OK)
        return status;
    MS_TRY(mark_and_note(s, name, err));
    MS_TRY(ms_new_file_take_name(path, output, params->force, err));
    s->named = true;
    return MS_OK;
}

/* ---- closing ---- */

/* Frames that a later run need not redraw. */
static int64_t kept_frames(const ms_run_store *s) {
    int64_t redrawn = s->faces ? ms_face_store_frames(s->faces) : 0;
    bool given_up = s->faces && ms_face_store_note(s->faces);
    if (redrawn < s->left.end && !given_up) /* it ended before it came to those of before */
        redrawn = s->left.end;
    return redrawn > s->frames ? redrawn : s->frames;
}

static void say_how_to_go_on(const ms_run_store *s, ms_error *err) {
    char total[32] = "";
    if (s->expected_frames > 0)
        snprintf(total, sizeof(total), " of %" PRId64, s->expected_frames);
    ms_error_add(err, "; %" PRId64 "%s frames are kept in %s", s->kept_frames, total, s->folder.path);
    ms_error_hint(err, MS_HINT_RESUME);
}

static void say_what_is_lost(const ms_run_store *s, ms_error *err) {
    if (s->segments > 0 && s->not_resumable)
        ms_error_add(err, "; the %" PRId64 " finished frames are not kept: %s", s->frames, s->not_resumable);
}

static void close_folder(ms_run_store *s, ms_status status, ms_error *err) {
    bool done = status == MS_OK && s->named;
    bool worthless = kept_frames(s) == 0 || status == MS_NO_FACE || s->not_resumable;
    if (!ms_job_folder_is_there(&s->folder)) {
        ms_job_folder_close(&s->folder); /* somebody removed it */
    } else if (done || (s->ours && worthless) || (s->folder.created && !s->ours)) {
        if (status != MS_OK && status != MS_NO_FACE)
            say_what_is_lost(s, err);
        ms_job_folder_remove(&s->folder);
    } else if (s->ours) {
        s->kept_frames = kept_frames(s);
        say_how_to_go_on(s, err);
    }
    ms_job_folder_close(&s->folder);
}

void ms_run_store_close(ms_run_store *s, ms_status status, ms_error *err) {
    ms_pose_store_close(&s->poses);
    ms_journal_close(&s->journal);
    if (s->folder.fd >= 0)
        close_folder(s, status, err);
    ms_face_store_close(&s->faces);
}
