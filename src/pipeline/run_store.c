#include "pipeline/run_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/new_file.h"
#include "pipeline/job_mark.h"

/* ---- opening ---- */

static ms_status take_segment(ms_run_store *s, const ms_journal_segment *g, int64_t segment_frames,
                              ms_error *err) {
    char path[MS_JOB_PATH_BYTES];
    struct stat st;
    ms_job_folder_segment(&s->folder, g->number, path);
    if (s->whole || g->frames > segment_frames || (!g->last && g->frames != segment_frames))
        return ms_fail(err, MS_IO, "the journal in %s is damaged: segment %" PRId64 " makes no sense",
                       s->folder.path, g->number);
    if (!s->named) { /* a finished job's may be gone */
        if (stat(path, &st) < 0)
            return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
        if (st.st_size != g->bytes)
            return ms_fail(err, MS_IO, "%s has %lld bytes, not the %" PRId64 " that were written", path,
                           (long long)st.st_size, g->bytes);
    }
    s->segments++;
    s->frames += g->frames;
    s->whole = g->last;
    s->resume = g->resume;
    if (s->resume.frame > s->frames)
        return ms_fail(err, MS_IO, "the journal in %s is damaged: it goes on behind its end", s->folder.path);
    return MS_OK;
}

/* Is the output there already, by the name that the journal was about to give? */
static ms_status look_for_output(ms_run_store *s, const char *output, ms_error *err) {
    uint64_t device, inode;
    struct stat st;
    MS_TRY(ms_journal_get_joined(s->journal, &device, &inode, err));
    s->named =
        inode && stat(output, &st) == 0 && (uint64_t)st.st_dev == device && (uint64_t)st.st_ino == inode;
    return MS_OK;
}

static ms_status take_over(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    bool got = true;
    MS_TRY(look_for_output(s, p->output, err));
    while (got) {
        ms_journal_segment g;
        MS_TRY(ms_journal_get(s->journal, s->segments, &g, &got, err));
        if (got)
            MS_TRY(take_segment(s, &g, p->segment_frames, err));
    }
    s->whole |= s->named; /* the last segment may be a full one, which does not say so */
    s->resumed = s->segments > 0;
    ms_job_folder_clear(&s->folder, false);
    return MS_OK;
}

/* Whether the journal is this job's. Another's is emptied when the user says so or when nothing was finished of it. */
static ms_status claim_journal(ms_run_store *s, const ms_run_store_params *p, const char *path, bool *begun,
                               ms_error *err) {
    ms_journal_segment first;
    bool got = true;
    ms_status status = ms_journal_compare(s->journal, p->key, err);
    if (status != MS_INVALID_ARGUMENT)
        return status;
    if (!p->force && (ms_journal_get(s->journal, 0, &first, &got, NULL) != MS_OK || got))
        return status;
    ms_journal_close(&s->journal);
    ms_job_folder_clear(&s->folder, true);
    if (err)
        ms_error_clear(err);
    return ms_journal_open(s->mem, path, &s->journal, begun, err);
}

static ms_status open_journal(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    char path[MS_JOB_PATH_BYTES];
    bool begun = false;
    if (!p->resume || s->not_resumable) {
        ms_job_folder_clear(&s->folder, true);
        s->ours = true;
    }
    if (s->not_resumable)
        return MS_OK;
    ms_job_folder_file(&s->folder, "journal.db", path);
    MS_TRY(ms_journal_open(s->mem, path, &s->journal, &begun, err));
    if (begun)
        MS_TRY(claim_journal(s, p, path, &begun, err));
    if (begun)
        MS_TRY(take_over(s, p, err));
    else
        MS_TRY(ms_journal_begin(s->journal, p->key, err));
    s->ours = true;
    return MS_OK;
}

/* Whether the folder of before holds what a resumed run could take over. What cannot be read is not thrown away either. */
static bool holds_segments(ms_run_store *s) {
    char path[MS_JOB_PATH_BYTES];
    ms_journal *journal = NULL;
    ms_journal_segment first;
    bool begun = false, got = false;
    ms_job_folder_file(&s->folder, "journal.db", path);
    if (access(path, F_OK) != 0)
        return false;
    if (ms_journal_open(s->mem, path, &journal, &begun, NULL) != MS_OK)
        return true;
    bool read = !begun || ms_journal_get(journal, 0, &first, &got, NULL) == MS_OK;
    ms_journal_close(&journal);
    return got || !read;
}

static ms_status refuse_unfinished(const ms_run_store *s, ms_error *err) {
    return ms_fail(err, MS_IO, "%s: an unfinished job is there; %s--force begins anew", s->folder.path,
                   s->not_resumable ? "" : "--resume goes on with it, ");
}

static bool has_journal(const ms_run_store *s) {
    char path[MS_JOB_PATH_BYTES];
    ms_job_folder_file(&s->folder, "journal.db", path);
    return s->there && access(path, F_OK) == 0;
}

/* A command that is repeated after it has finished, or was killed while it removed its folder. */
static ms_status look_for_finished(ms_run_store *s, const ms_run_store_params *p, ms_error *err) {
    if (ms_job_mark_get(p->output, s->key_hash, &s->frames)) {
        s->finished = s->named = s->whole = true;
        return s->there ? ms_job_folder_open(&s->folder, err) : MS_OK;
    }
    return ms_fail(
        err, MS_IO,
        "cannot write %s: it exists already, and nothing says that it is what this run would make; "
        "--force replaces it",
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
    if (!has_journal(s) && p->resume && !p->force && s->marked && access(p->output, F_OK) == 0)
        return look_for_finished(s, p, err);
    if (!s->there || !p->resume || s->not_resumable)
        MS_TRY(ms_video_writer_check(p->output, p->writer, err));
    MS_TRY(ms_job_folder_open(&s->folder, err));
    bool goes_on = p->resume && !s->not_resumable;
    if (s->there && !goes_on && !p->force && holds_segments(s))
        return p->resume
                   ? ms_fail(err, MS_UNSUPPORTED, "%s: this run cannot be resumed: %s; --force begins anew",
                             s->folder.path, s->not_resumable)
                   : refuse_unfinished(s, err);
    MS_TRY(open_journal(s, p, err));
    return s->named ? MS_OK : ms_video_writer_check(p->output, p->writer, err);
}

/* A run without an output has no folder; its poses are in a file without a name. */
static ms_status open_unnamed_poses(ms_run_store *s, ms_error *err) {
    char path[MS_JOB_PATH_BYTES];
    const char *dir = getenv("TMPDIR");
    int n = snprintf(path, sizeof(path), "%s/memsafe-poses.XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = n > 0 && (size_t)n < sizeof(path) ? mkstemp(path) : -1;
    if (fd < 0)
        return ms_fail(err, MS_IO, "cannot make a temporary file (TMPDIR): %s", strerror(errno));
    close(fd);
    ms_status status = ms_pose_store_open(s->mem, path, 0, &s->poses, err);
    unlink(path);
    return status;
}

ms_status ms_run_store_open_poses(ms_run_store *s, ms_error *err) {
    char path[MS_JOB_PATH_BYTES];
    if (s->folder.fd < 0)
        return open_unnamed_poses(s, err);
    ms_job_folder_file(&s->folder, "poses", path);
    return ms_pose_store_open(s->mem, path, s->resumed ? s->resume.clip_frames : 0, &s->poses, err);
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
    s->segments++;
    s->frames += g->frames;
    s->whole = g->last;
    return MS_OK;
}

static ms_status append_segments(ms_run_store *s, ms_video_writer *w, ms_error *err) {
    for (int64_t i = 0; i < s->segments; i++) {
        char path[MS_JOB_PATH_BYTES];
        struct stat st;
        ms_job_folder_segment(&s->folder, i, path);
        if (stat(path, &st) < 0)
            return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
        MS_TRY(ms_video_writer_append(w, path, st.st_size, err));
    }
    return MS_OK;
}

/* The number of the file is noted before it gets its name: a run that dies in between finds out that the name is
   its own. */
static ms_status note_joined(ms_run_store *s, const char *path, ms_error *err) {
    struct stat st;
    if (!s->journal)
        return MS_OK;
    if (stat(path, &st) < 0)
        return ms_fail(err, MS_IO, "cannot read %s: %s", path, strerror(errno));
    return ms_journal_set_joined(s->journal, (uint64_t)st.st_dev, (uint64_t)st.st_ino, err);
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
    MS_TRY(ms_video_writer_open(s->mem, path, &p, &w, err));
    ms_status status = append_segments(s, w, err);
    if (status == MS_OK)
        status = ms_video_writer_finish(&w, err);
    ms_video_writer_abort(&w);
    if (status != MS_OK)
        return status;
    if (s->marked)
        ms_job_mark_put(path, s->key_hash, s->frames);
    MS_TRY(note_joined(s, path, err));
    MS_TRY(ms_new_file_take_name(path, output, params->force, err));
    s->named = true;
    return MS_OK;
}

/* ---- closing ---- */

static void say_how_to_go_on(const ms_run_store *s, ms_error *err) {
    if (!err)
        return;
    char total[32] = "";
    if (s->expected_frames > 0)
        snprintf(total, sizeof(total), " of %" PRId64, s->expected_frames);
    size_t n = strlen(err->message);
    snprintf(err->message + n, sizeof(err->message) - n,
             "; %" PRId64 "%s frames are kept in %s, --resume goes on from there", s->frames, total,
             s->folder.path);
}

static void say_what_is_lost(const ms_run_store *s, ms_error *err) {
    if (!err || s->segments == 0 || !s->not_resumable)
        return;
    size_t n = strlen(err->message);
    snprintf(err->message + n, sizeof(err->message) - n, "; the %" PRId64 " finished frames are not kept: %s",
             s->frames, s->not_resumable);
}

void ms_run_store_close(ms_run_store *s, ms_status status, ms_error *err) {
    ms_pose_store_close(&s->poses);
    ms_journal_close(&s->journal);
    if (s->folder.fd < 0)
        return;
    struct stat st;
    bool done = status == MS_OK && s->named;
    bool worthless = s->segments == 0 || status == MS_NO_FACE || s->not_resumable;
    if (stat(s->folder.path, &st) < 0) {
        ms_job_folder_close(&s->folder); /* somebody removed it */
    } else if (done || (s->ours && worthless) || (s->folder.created && !s->ours)) {
        if (status != MS_OK && status != MS_NO_FACE)
            say_what_is_lost(s, err);
        ms_job_folder_remove(&s->folder);
    } else if (s->ours) {
        s->kept_frames = s->frames;
        say_how_to_go_on(s, err);
    }
    ms_job_folder_close(&s->folder);
}
