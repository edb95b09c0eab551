/* The thread that gives the run worker one job after the other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "jobs/jobs_inside.h"

#define LOOK_MS 200       /* how soon a cancellation is passed on */
#define SILENT_S 600      /* a worker that says nothing for so long is ended */
#define CANCEL_S 60       /* likewise one that was told to stop */
#define SEGMENT_FRAMES 64 /* what a resumed run begins anew at most */
#define MOST_DEATHS 2
#define MOST_COUNT (INT64_C(1) << 53)
#define START_AGAIN_S 1.0 /* where no worker can be started */

/* ---- what the worker says: lock held ---- */

/* What it says is checked: a number that cannot be would make the list one that cannot be read. */
static int64_t count_in(const ms_json *line, const char *name) {
    int64_t value = ms_json_get_integer(line, name, 0);
    return value < 0 ? 0 : value > MOST_COUNT ? MOST_COUNT : value;
}

static double number_in(const ms_json *line, const char *name, double most) {
    double value = ms_json_get_number(line, name, -1);
    return value >= 0 && value <= most ? value : -1;
}

static void take_progress(jobs *js, job *j, const ms_json *line) {
    job_progress *p = &j->progress;
    snprintf(p->stage, sizeof(p->stage), "%s", ms_json_get_text(line, "stage"));
    p->frames_done = count_in(line, "frames_done");
    p->frames_total = count_in(line, "frames_total");
    p->memory_bytes = count_in(line, "memory_bytes");
    p->peak_bytes = count_in(line, "peak_bytes");
    p->fraction = number_in(line, "fraction", 1);
    p->eta_s = number_in(line, "eta_s", 1e9);
    js->counts.worker_bytes = p->memory_bytes;
    job_note_memory(j, jobs_now_ms(js), p->memory_bytes);
    jobs_touch(js, j);
}

static void fail(jobs *js, job *j, const char *code, const char *detail, int64_t needs_bytes) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    job_write_error(&b, code, detail, needs_bytes);
    if (!b.failed)
        job_set(&j->error, b.data);
    ms_buf_free(&b);
    jobs_end(js, j, JOB_FAILED);
}

bool jobs_take_line(jobs *js, job *j, const ms_json *line) {
    const char *event = ms_json_get_text(line, "event");
    if (strcmp(event, "progress") == 0) {
        take_progress(js, j, line);
    } else if (strcmp(event, "planned") == 0) {
        j->progress.resumed = count_in(line, "resumed");
        char *warnings = worker_json_text(ms_json_get(line, "warnings"));
        if (warnings) {
            free(j->warnings);
            j->warnings = warnings;
        }
        jobs_touch(js, j);
    } else if (strcmp(event, "preview") == 0) {
        jobs_touch(js, j);
    } else if (strcmp(event, "done") == 0) {
        j->progress.fraction = 1;
        j->progress.frames_done = j->progress.frames_total = count_in(line, "frames");
        int64_t peak = count_in(line, "peak_bytes");
        if (peak > j->progress.peak_bytes)
            j->progress.peak_bytes = peak;
        double seconds = number_in(line, "seconds", 1e9);
        js->counts.run_seconds += seconds > 0 ? seconds : 0;
        jobs_end(js, j, JOB_DONE);
        return true;
    } else if (strcmp(event, "failed") == 0) {
        ms_status status = ms_failure_named(ms_json_get_text(line, "status"));
        if (j->cancelling) /* that was told already, whatever else goes wrong with it */
            jobs_end(js, j, JOB_CANCELLED);
        else if (status == MS_BUDGET && js->worker_has_run)
            js->worker_is_full = true;
        else if (status == MS_DEVICE_LOST)
            ms_fail(&js->worker_lost, status, "%s", ms_json_get_text(line, "detail"));
        else
            fail(js, j, jobs_error_code(status), ms_json_get_text(line, "detail"),
                 count_in(line, "needs_bytes"));
        return true;
    }
    return false;
}

/* ---- a job ---- */

/* What the worker is told. Lock held: options can be changed by others. */
static void write_run(jobs *js, const job *j, ms_buf *b) {
    ms_buf_init(b, NULL);
    jobs_write_order(js, b, "run", j->id, &j->options, j->has_audio, j->has_track);
    ms_buf_printf(b, "}");
}

static ms_status order(jobs *js, ms_buf b, ms_error *err) {
    ms_status status = worker_lines_write(js->worker.fd, &b, err);
    ms_buf_free(&b);
    return status;
}

static void tell_cancel(jobs *js) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"do\":\"cancel\"}");
    worker_lines_write(js->worker.fd, &b, NULL);
    ms_buf_free(&b);
}

/* Listens until the job has ended (MS_OK), the server ends (MS_CANCELLED), or the worker is of no use. */
static ms_status listen_to(jobs *js, job *j, ms_error *err) {
    double heard = ms_now_s(), told = 0, tidied = heard;
    for (;;) {
        ms_json_doc *doc = NULL;
        ms_status status = worker_lines_read(&js->worker.lines, LOOK_MS, &doc, err);
        double now = ms_now_s();
        jobs_lock(js);
        if (now - tidied >= 1) { /* before it may have ended: this one stays until it is let go */
            jobs_tidy(js);
            tidied = now;
        }
        bool ended = doc && jobs_take_line(js, j, ms_json_root(doc));
        bool cancelling = j->cancelling, ending = js->ending;
        jobs_unlock(js);
        if (doc)
            heard = now;
        ms_json_doc_destroy(&doc);
        if (ended)
            return MS_OK;
        if (ending)
            return MS_CANCELLED;
        if (status != MS_OK)
            return status;
        if (cancelling && told == 0) {
            tell_cancel(js);
            told = now;
        }
        if (now - heard > SILENT_S || (told > 0 && now - told > CANCEL_S))
            return ms_fail(err, MS_INTERNAL, "the worker said nothing for %.0f s", now - heard);
    }
}

/* The worker is gone, or of no use: it is silent, or has lost its device. Once in a segment the job goes on
   where its segments ended. */
static void bury(jobs *js, job *j, const ms_error *err) {
    char how[128] = "", text[768];
    const bool lost = err->code == MS_DEVICE_LOST, said = lost || err->code == MS_INTERNAL;
    worker_process_end(&js->worker, said ? NULL : how, sizeof(how));
    jobs_lock(js);
    js->counts.worker_deaths++;
    js->counts.worker_bytes = 0;
    int64_t segment = j->progress.frames_done / SEGMENT_FRAMES;
    j->deaths = segment == j->death_segment ? j->deaths + 1 : 1;
    j->death_segment = segment;
    if (j->cancelling) {
        jobs_end(js, j, JOB_CANCELLED);
    } else if (j->deaths >= MOST_DEATHS) {
        snprintf(text, sizeof(text), "the worker %s twice at the same place, after frame %" PRId64 ": %s",
                 lost ? "ended" : "died", j->progress.frames_done, said ? err->message : how);
        fail(js, j, lost ? jobs_error_code(err->code) : "worker-died", text, 0);
    } else {
        j->state = JOB_QUEUED;
        jobs_changed(js, j);
    }
    jobs_unlock(js);
}

/* Pages of libraries and pieces of the heap stay with a worker that has run a job, some MiB. What a job
   needs was planned without them, so it is tried once more in a new worker. There the job fails for good, for
   a new worker has not run anything. */
static void renew(jobs *js, job *j) {
    worker_process_end(&js->worker, NULL, 0);
    jobs_lock(js);
    js->counts.worker_bytes = 0;
    if (j->cancelling) {
        jobs_end(js, j, JOB_CANCELLED);
    } else {
        j->state = JOB_QUEUED;
        jobs_changed(js, j);
    }
    jobs_unlock(js);
}

static void run_job(jobs *js, job *j, ms_buf line) {
    ms_error err;
    ms_error_clear(&err);
    js->worker_is_full = false;
    ms_error_clear(&js->worker_lost);
    ms_status status = order(js, line, &err);
    if (status == MS_OK)
        status = listen_to(js, j, &err);
    js->worker_has_run = true;
    if (status == MS_OK && js->worker_lost.code != MS_OK)
        bury(js, j, &js->worker_lost);
    else if (status == MS_OK && js->worker_is_full)
        renew(js, j);
    else if (status != MS_OK && status != MS_CANCELLED)
        bury(js, j, &err);
}

/* Whether there is a worker. A job waits where none can be started: it has done nothing wrong. Lock held, and
   given back meanwhile. */
static bool have_worker(jobs *js, double *next_try_s) {
    ms_error err;
    if (js->worker.pid)
        return true;
    if (ms_now_s() < *next_try_s)
        return false;
    jobs_unlock(js);
    ms_status status = jobs_start_worker(
        js, &js->worker, js->p.place.device_bytes ? WORKER_DEVICE : WORKER_RUN, NULL, jobs_ending, &err);
    jobs_lock(js);
    js->worker_has_run = false;
    if (status == MS_OK)
        return true;
    js->counts.worker_start_failures += status != MS_CANCELLED;
    *next_try_s = ms_now_s() + START_AGAIN_S;
    return false;
}

void *jobs_run_loop(void *arg) {
    jobs *js = arg;
    ms_buf line;
    double next_try_s = 0;
    jobs_lock(js);
    while (!js->ending) {
        jobs_tidy(js);
        if (!jobs_next(js) || !have_worker(js, &next_try_s)) {
            jobs_wait_a_second(js);
            continue;
        }
        job *j = jobs_next(js);
        if (!j || js->ending) /* it was cancelled, while the worker started */
            continue;
        j->state = JOB_RUNNING;
        if (!j->started_ms)
            j->started_ms = jobs_now_ms(js);
        js->current = j;
        jobs_save(js, j);
        write_run(js, j, &line);
        jobs_unlock(js);
        run_job(js, j, line);
        jobs_lock(js);
        if (j->deleting && js->ending) { /* it may write still */
            jobs_unlock(js);
            worker_process_end(&js->worker, NULL, 0);
            jobs_lock(js);
        }
        js->current = NULL;
        if (j->deleting)
            jobs_remove(js, j);
    }
    jobs_unlock(js);
    worker_process_end(&js->worker, NULL, 0);
    return NULL;
}
