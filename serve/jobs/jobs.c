#include "jobs/jobs_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "jobs/job_folder.h"

void jobs_lock(jobs *js) {
    pthread_mutex_lock(&js->lock);
}

void jobs_unlock(jobs *js) {
    pthread_mutex_unlock(&js->lock);
}

bool jobs_ending(jobs *js) {
    jobs_lock(js);
    bool ending = js->ending;
    jobs_unlock(js);
    return ending;
}

void jobs_wait_a_second(jobs *js) {
    const struct timespec t = ms_cond_deadline(1);
    pthread_cond_timedwait(&js->woken, &js->lock, &t);
}

const jobs_params *jobs_get_params(const jobs *js) {
    return &js->p;
}

int jobs_folder(const jobs *js) {
    return js->folder;
}

const jobs_model *jobs_find_model(const jobs *js, const char *name) {
    for (int i = 0; i < js->p.n_models; i++)
        if (!name[0] || strcmp(js->p.models[i].name, name) == 0)
            return &js->p.models[i];
    return NULL;
}

const char *jobs_error_code(ms_status status) {
    switch (status) {
    case MS_INVALID_ARGUMENT:
        return "invalid-option";
    case MS_BUDGET:
        return "does-not-fit";
    case MS_HOST_MEMORY:
    case MS_DEVICE_MEMORY:
        return "out-of-memory";
    case MS_DEVICE_LOST:
        return "device-lost";
    case MS_BAD_MEDIA:
        return "bad-media";
    case MS_NO_FACE:
        return "no-face";
    case MS_BAD_MODEL:
        return "bad-model";
    case MS_CANCELLED:
        return "cancelled";
    case MS_IO:
        return "io-error";
    case MS_UNSUPPORTED:
        return "unsupported";
    case MS_DAMAGED:
        return "damaged";
    case MS_OK:
    case MS_INTERNAL:
        break;
    }
    return "internal";
}

/* ---- the list ---- */

job *jobs_find(jobs *js, const char *id) {
    for (size_t i = js->count; i-- > 0;)
        if (strcmp(js->list[i]->id, id) == 0)
            return js->list[i]->deleting ? NULL : js->list[i];
    return NULL;
}

job *jobs_at(jobs *js, size_t n) {
    return n < js->count ? js->list[js->count - 1 - n] : NULL;
}

size_t jobs_count(const jobs *js) {
    return js->count - (js->current && js->current->deleting);
}

int jobs_waiting(const jobs *js) {
    int n = 0;
    for (size_t i = 0; i < js->count; i++)
        n += !job_has_ended(js->list[i]);
    return n;
}

uint64_t jobs_version(const jobs *js) {
    return js->version;
}

const job *jobs_changed_after(const jobs *js, uint64_t version) {
    const job *first = NULL;
    for (const job *j = js->newest; j && j->version > version; j = j->older)
        first = j;
    return first;
}

uint64_t jobs_places_version(const jobs *js) {
    return js->places_version;
}

const job *jobs_queued_at(const jobs *js, size_t n) {
    return n < js->n_queued ? js->queued[n] : NULL;
}

/* Out of the order of change. */
static void leave_order(jobs *js, job *j) {
    if (j->newer)
        j->newer->older = j->older;
    else if (js->newest == j)
        js->newest = j->older;
    if (j->older)
        j->older->newer = j->newer;
    j->older = j->newer = NULL;
}

void jobs_touch(jobs *js, job *j) {
    leave_order(js, j);
    j->version = ++js->version;
    j->older = js->newest;
    if (j->older)
        j->older->newer = j;
    js->newest = j;
}

uint64_t jobs_generation(const jobs *js) {
    return js->generation;
}

const char *jobs_gone(const jobs *js, size_t n, uint64_t version) {
    if (n >= js->n_gone || n >= JOBS_GONE)
        return NULL;
    const gone_job *g = &js->gone[(js->n_gone - 1 - n) % JOBS_GONE];
    return g->version > version ? g->id : NULL;
}

static void note_gone(jobs *js, const job *j) {
    gone_job *g = &js->gone[js->n_gone++ % JOBS_GONE];
    memcpy(g->id, j->id, sizeof(g->id));
    g->version = ++js->version;
    js->generation++;
}

static int64_t expires_ms(const jobs *js, const job *j) {
    return job_has_ended(j)       ? j->ended_ms + js->p.keep_ms
           : j->state == JOB_HELD ? j->created_ms + JOBS_HELD_MS
                                  : 0;
}

void jobs_write(ms_buf *b, jobs *js, const job *j) {
    job_write(b, j, expires_ms(js, j));
}

static bool goes_before(const job *a, const job *b) {
    return a->options.priority != b->options.priority ? a->options.priority > b->options.priority
                                                      : a->seq < b->seq;
}

static int compare_turns(const void *a, const void *b) {
    const job *x = *(job *const *)a, *y = *(job *const *)b;
    return goes_before(x, y) ? -1 : goes_before(y, x);
}

/* After any change of a state or a priority. That others wait at other places is one piece of news, however
   many they are. */
static void settle(jobs *js) {
    size_t n = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < js->count; i++) {
        job *j = js->list[i];
        bytes += job_has_ended(j) ? 0 : j->bytes;
        if (j->state == JOB_QUEUED)
            js->queued[n++] = j;
        else
            j->position = 0;
    }
    atomic_store(&js->waiting_bytes, bytes);
    if (n > 1)
        qsort(js->queued, n, sizeof(job *), compare_turns);
    bool moved = false;
    for (size_t i = 0; i < n; i++) {
        job *j = js->queued[i];
        moved |= j->position && j->position != (int)i + 1;
        j->position = (int)i + 1;
    }
    js->n_queued = n;
    if (moved)
        js->places_version = ++js->version;
}

job *jobs_next(const jobs *js) {
    return js->n_queued ? js->queued[0] : NULL;
}

void jobs_save(jobs *js, job *j) {
    jobs_touch(js, j);
    settle(js);
    if (j->deleting) /* its row is gone */
        return;
    j->unsaved = job_store_put(js->store, j, NULL) != MS_OK;
    js->counts.store_failures += j->unsaved;
}

void jobs_changed(jobs *js, job *j) {
    jobs_save(js, j);
    pthread_cond_broadcast(&js->woken);
}

static ms_status append(void *arg, job *j, ms_error *err) {
    jobs *js = arg;
    if (js->count == js->room) {
        size_t room = js->room ? 2 * js->room : 64;
        job **list = realloc(js->list, room * sizeof(job *));
        if (!list) {
            job_destroy(&j);
            return ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs");
        }
        js->list = list;
        job **queued = realloc(js->queued, room * sizeof(job *));
        if (!queued) {
            job_destroy(&j);
            return ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs");
        }
        js->queued = queued;
        js->room = room;
    }
    js->list[js->count++] = j;
    js->next_seq = j->seq >= js->next_seq ? j->seq + 1 : js->next_seq;
    jobs_touch(js, j);
    js->generation++;
    return MS_OK;
}

static ms_status check_waiting(const jobs *js, ms_error *err) {
    return jobs_waiting(js) < js->p.most_waiting
               ? MS_OK
               : ms_fail(err, MS_CANCELLED, "%d jobs wait already; no more are taken", js->p.most_waiting);
}

ms_status jobs_add(jobs *js, job *j, ms_error *err) {
    MS_TRY(check_waiting(js, err));
    j->state = j->options.hold ? JOB_HELD : JOB_QUEUED;
    j->created_ms = jobs_now_ms(js); /* the clock may have been set while it came in */
    j->seq = js->next_seq;
    MS_TRY(job_store_put(js->store, j, err));
    char id[JOB_ID_BYTES];
    snprintf(id, sizeof(id), "%s", j->id);
    ms_status status = append(js, j, err);
    if (status != MS_OK) /* the job is gone */
        job_store_remove(js->store, id, NULL);
    settle(js);
    pthread_cond_broadcast(&js->woken);
    return status;
}

bool jobs_has_room(jobs *js, uint64_t bytes) {
    uint64_t taken = atomic_load(&js->waiting_bytes) + atomic_load(&js->coming_bytes);
    return taken <= js->p.most_waiting_bytes && bytes <= js->p.most_waiting_bytes - taken;
}

bool jobs_take_room(jobs *js, uint64_t bytes) {
    atomic_fetch_add(&js->coming_bytes, bytes);
    if (jobs_has_room(js, 0))
        return true;
    atomic_fetch_sub(&js->coming_bytes, bytes);
    return false;
}

void jobs_give_room(jobs *js, uint64_t bytes) {
    atomic_fetch_sub(&js->coming_bytes, bytes);
}

/* ---- what goes ---- */

/* A row that stays because the disk is full is tried again once there is room. Were the server killed before,
   the next one finds no folder, and takes it for gone (take_up()). */
static void remove_row_later(jobs *js, const char *id) {
    if (js->n_unremoved == js->unremoved_room) {
        size_t room = js->unremoved_room ? 2 * js->unremoved_room : 16;
        void *more = realloc(js->unremoved, room * sizeof(*js->unremoved));
        if (!more)
            return;
        js->unremoved = more;
        js->unremoved_room = room;
    }
    snprintf(js->unremoved[js->n_unremoved++], JOB_ID_BYTES, "%s", id);
}

static void remove_row(jobs *js, const char *id) {
    if (job_store_remove(js->store, id, NULL) == MS_OK)
        return;
    js->counts.store_failures++;
    remove_row_later(js, id);
}

/* All or none, as they wait for the disk once. */
static void retry_rows(jobs *js) {
    bool gone = true;
    if (!js->n_unremoved || job_store_begin(js->store, NULL) != MS_OK)
        return;
    for (size_t i = 0; gone && i < js->n_unremoved; i++)
        gone = job_store_remove(js->store, js->unremoved[i], NULL) == MS_OK;
    if (job_store_end(js->store, gone, NULL) == MS_OK && gone)
        js->n_unremoved = 0;
}

static void save_again(jobs *js) {
    bool kept = true, some = false;
    for (size_t i = 0; i < js->count; i++)
        some |= js->list[i]->unsaved;
    if (!some || job_store_begin(js->store, NULL) != MS_OK)
        return;
    for (size_t i = 0; kept && i < js->count; i++)
        kept = !js->list[i]->unsaved || job_store_put(js->store, js->list[i], NULL) == MS_OK;
    if (job_store_end(js->store, kept, NULL) != MS_OK || !kept)
        return;
    for (size_t i = 0; i < js->count; i++)
        js->list[i]->unsaved = false;
}

static void leave_list(jobs *js, job *j, void (*remove)(jobs *js, const char *id)) {
    size_t i = 0;
    while (i < js->count && js->list[i] != j)
        i++;
    memmove(&js->list[i], &js->list[i + 1], (js->count - i - 1) * sizeof(job *));
    js->count--;
    leave_order(js, j);
    if (!j->deleting) {
        note_gone(js, j);
        remove(js, j->id);
    }
    job_folder_hide(js->folder, j->id);
    js->has_trash = true;
    pthread_cond_broadcast(&js->woken);
    job_destroy(&j);
    settle(js);
}

void jobs_remove(jobs *js, job *j) {
    leave_list(js, j, remove_row);
}

void *jobs_remove_loop(void *arg) {
    jobs *js = arg;
    jobs_lock(js);
    while (!js->ending) {
        if (!js->has_trash) {
            jobs_wait_a_second(js);
            continue;
        }
        js->has_trash = false;
        jobs_unlock(js);
        job_folder_empty_trash(js->folder);
        jobs_lock(js);
        retry_rows(js);
    }
    jobs_unlock(js);
    return NULL;
}

/* ---- what clients ask for ---- */

static ms_status fail_state(const job *j, const char *what, ms_error *err) {
    return ms_fail(err, MS_INVALID_ARGUMENT, "a job that is %s cannot be %s", job_state_text(j->state), what);
}

ms_status jobs_start(jobs *js, job *j, ms_error *err) {
    if (j->state != JOB_HELD)
        return fail_state(j, "started", err);
    j->state = JOB_QUEUED;
    jobs_changed(js, j);
    return MS_OK;
}

ms_status jobs_cancel(jobs *js, job *j, ms_error *err) {
    if (job_has_ended(j))
        return fail_state(j, "cancelled", err);
    if (j->state == JOB_RUNNING) {
        j->cancelling = true;
        jobs_changed(js, j);
    } else {
        jobs_end(js, j, JOB_CANCELLED);
    }
    return MS_OK;
}

ms_status jobs_retry(jobs *js, job *j, ms_error *err) {
    if (j->state != JOB_FAILED && j->state != JOB_CANCELLED)
        return fail_state(j, "tried again", err);
    MS_TRY(check_waiting(js, err));
    if (!jobs_has_room(js, j->bytes))
        return ms_fail(err, MS_CANCELLED, "too many bytes wait already");
    j->state = JOB_QUEUED;
    j->started_ms = j->ended_ms = 0;
    j->deaths = 0;
    j->hook = (job_hook){.state = JOB_HOOK_NONE};
    j->death_segment = -1;
    job_set(&j->error, NULL);
    j->progress.fraction = j->progress.eta_s = -1;
    jobs_changed(js, j);
    return MS_OK;
}

void jobs_delete(jobs *js, job *j) {
    if (j == js->current) {
        j->deleting = j->cancelling = true;
        j->unsaved = false;
        note_gone(js, j);
        remove_row(js, j->id);
        pthread_cond_broadcast(&js->woken);
    } else {
        jobs_remove(js, j);
    }
}

void jobs_end(jobs *js, job *j, job_state state) {
    j->state = state;
    j->ended_ms = jobs_now_ms(js);
    j->ends++;
    j->cancelling = false;
    j->progress.eta_s = state == JOB_DONE ? 0 : -1;
    j->progress.memory_bytes = 0;
    j->bytes = job_folder_bytes(js->folder, j->id);
    if (j->options.webhook[0] && !j->deleting)
        j->hook = (job_hook){.state = JOB_HOOK_PENDING, .next_ms = j->ended_ms};
    js->counts.ended[state]++;
    jobs_changed(js, j);
}

/* ---- what goes by itself ---- */

#define MOST_EXPIRED 100 /* at a time: who asks waits for the list meanwhile */
#define JUMP_MS (INT64_C(5) * 60 * 1000)

static job *oldest_ended(jobs *js, uint64_t *ret_bytes, int *ret_n) {
    job *oldest = NULL;
    *ret_bytes = 0;
    *ret_n = 0;
    for (size_t i = 0; i < js->count; i++) {
        job *j = js->list[i];
        if (!job_has_ended(j))
            continue;
        *ret_bytes += j->bytes;
        ++*ret_n;
        if (!oldest || j->ended_ms < oldest->ended_ms)
            oldest = j;
    }
    return oldest;
}

static job *expired_held(jobs *js, int64_t now_ms) {
    for (size_t i = 0; i < js->count; i++)
        if (js->list[i]->state == JOB_HELD && js->list[i]->created_ms + JOBS_HELD_MS <= now_ms)
            return js->list[i];
    return NULL;
}

/* *time_ms where it was taken before the clock, which had come to before_ms, was set. */
static void shift(int64_t *time_ms, int64_t before_ms, int64_t jump_ms) {
    if (*time_ms > 0 && *time_ms <= before_ms)
        *time_ms = *time_ms + jump_ms > 1 ? *time_ms + jump_ms : 1;
}

/* Who listens is not told of those that have ended: they are the most, and all else of them stays. */
static void shift_job(jobs *js, job *j, int64_t before_ms, int64_t jump_ms) {
    int64_t *const times[] = {&j->created_ms, &j->started_ms, &j->ended_ms};
    if (j->hook.state == JOB_HOOK_PENDING && j->ended_ms <= before_ms) /* the next try is still to come */
        shift(&j->hook.next_ms, INT64_MAX, jump_ms);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        shift(times[i], before_ms, jump_ms);
    for (int i = 0; i < j->progress.n_samples; i++)
        shift(&j->progress.sample[i].time_ms, before_ms, jump_ms);
    j->unsaved = !j->deleting;
    if (!job_has_ended(j))
        jobs_touch(js, j);
}

void jobs_follow_clock(jobs *js, int64_t wall_ms, int64_t steady_ms) {
    const int64_t jump_ms = js->steady_ms ? wall_ms - js->wall_ms - (steady_ms - js->steady_ms) : 0;
    js->wall_ms = wall_ms;
    js->steady_ms = steady_ms;
    if (jump_ms > -JUMP_MS && jump_ms < JUMP_MS)
        return;
    for (size_t i = 0; i < js->count; i++)
        shift_job(js, js->list[i], wall_ms - jump_ms, jump_ms);
}

int64_t jobs_now_ms(jobs *js) {
    const int64_t now_ms = job_now_ms();
    jobs_follow_clock(js, now_ms, job_steady_ms());
    return now_ms;
}

void jobs_tidy(jobs *js) {
    uint64_t bytes;
    int left = MOST_EXPIRED, n;
    const int64_t now_ms = jobs_now_ms(js);
    for (job *j; left > 0 && (j = expired_held(js, now_ms)) != NULL; left--)
        leave_list(js, j, remove_row_later);
    for (job *j; left > 0 && (j = oldest_ended(js, &bytes, &n)) != NULL; left--) {
        if (bytes <= js->p.keep_bytes && n <= js->p.keep_jobs && j->ended_ms + js->p.keep_ms > now_ms)
            break;
        leave_list(js, j, remove_row_later);
    }
    retry_rows(js);
    save_again(js);
}

void jobs_get_counts(jobs *js, jobs_counts *ret) {
    *ret = js->counts;
    for (size_t i = 0; i < js->count; i++)
        ret->by_state[js->list[i]->state]++;
}

/* ---- opening ---- */

static bool is_known(void *arg, const char *id) {
    return jobs_find(arg, id) != NULL;
}

/* What an earlier server left: what ran waits again; what is nobody's goes, and a row whose folder went. */
static void take_up(jobs *js) {
    for (size_t i = js->count; i-- > 0;) {
        job *j = js->list[i];
        if (j->state == JOB_RUNNING)
            j->state = JOB_QUEUED;
        j->bytes = job_folder_bytes(js->folder, j->id);
        if (!job_folder_is_there(js->folder, j->id))
            jobs_remove(js, j);
    }
    settle(js);
    job_folder_sweep(js->folder, is_known, js);
    js->has_trash = true;
}

static ms_status open_folder(jobs *js, ms_error *err) {
    int n = snprintf(js->folder_path, sizeof(js->folder_path), "%s/jobs", js->p.folder_path);
    if (n < 0 || (size_t)n >= sizeof(js->folder_path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the data folder's name is too long");
    if (mkdirat(js->p.folder, "jobs", 0700) != 0 && errno != EEXIST)
        return ms_fail(err, MS_IO, "%s cannot be made: %s", js->folder_path, strerror(errno));
    js->folder = openat(js->p.folder, "jobs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return js->folder >= 0 ? MS_OK
                           : ms_fail(err, MS_IO, "%s cannot be opened: %s", js->folder_path, strerror(errno));
}

static ms_status begin_threads(jobs *js, ms_error *err) {
    if (pthread_create(&js->runner, NULL, jobs_run_loop, js) != 0)
        return ms_fail(err, MS_HOST_MEMORY, "a thread cannot be started");
    js->has_runner = true;
    if (pthread_create(&js->remover, NULL, jobs_remove_loop, js) != 0)
        return ms_fail(err, MS_HOST_MEMORY, "a thread cannot be started");
    js->has_remover = true;
    if (js->p.n_webhook_to && pthread_create(&js->teller, NULL, jobs_webhook_loop, js) != 0)
        return ms_fail(err, MS_HOST_MEMORY, "a thread cannot be started");
    js->has_teller = js->p.n_webhook_to > 0;
    for (; js->n_lookers < LOOK_THREADS; js->n_lookers++)
        if (pthread_create(&js->lookers[js->n_lookers], NULL, jobs_look_loop, js) != 0)
            return ms_fail(err, MS_HOST_MEMORY, "a thread cannot be started");
    return MS_OK;
}

ms_status jobs_open(const jobs_params *params, jobs **ret_jobs, ms_error *err) {
    jobs *js = calloc(1, sizeof(*js));
    if (!js)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs");
    js->p = *params;
    js->folder = -1;
    js->next_seq = 1;
    pthread_mutex_init(&js->lock, NULL);
    ms_cond_init(&js->woken);
    pthread_mutex_init(&js->look_lock, NULL);
    ms_cond_init(&js->look_woken);
    ms_status status = open_folder(js, err);
    if (status == MS_OK)
        status = job_store_open(params->folder, params->folder_path, &js->store, err);
    if (status == MS_OK)
        status = job_store_load(js->store, append, js, err);
    if (status == MS_OK) {
        take_up(js);
        status = begin_threads(js, err);
    }
    if (status != MS_OK)
        jobs_close(&js);
    else
        *ret_jobs = js;
    return status;
}

void jobs_stop(jobs *js) {
    jobs_lock(js);
    js->ending = true;
    pthread_cond_broadcast(&js->woken);
    jobs_unlock(js);
    pthread_mutex_lock(&js->look_lock);
    js->look_ending = true;
    pthread_cond_broadcast(&js->look_woken);
    pthread_mutex_unlock(&js->look_lock);
    if (js->has_runner)
        pthread_join(js->runner, NULL);
    if (js->has_remover)
        pthread_join(js->remover, NULL);
    if (js->has_remover)
        job_folder_empty_trash(js->folder);
    if (js->has_teller)
        pthread_join(js->teller, NULL);
    for (int i = 0; i < js->n_lookers; i++)
        pthread_join(js->lookers[i], NULL);
    js->has_runner = js->has_teller = js->has_remover = false;
    js->n_lookers = 0;
}

void jobs_close(jobs **jjs) {
    if (!*jjs)
        return;
    jobs *js = *jjs;
    jobs_stop(js);
    for (size_t i = 0; i < js->count; i++)
        job_destroy(&js->list[i]);
    free(js->list);
    free(js->queued);
    free(js->unremoved);
    job_store_close(&js->store);
    if (js->folder >= 0)
        close(js->folder);
    pthread_mutex_destroy(&js->lock);
    pthread_cond_destroy(&js->woken);
    pthread_mutex_destroy(&js->look_lock);
    pthread_cond_destroy(&js->look_woken);
    free(js);
    *jjs = NULL;
}
