/* Server-sent events: whoever listens sleeps (suspended) until a job has changed, at most five times a
   second. What it has not read yet stays in its text, so that is short: the rest follows when it was read. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "http/http_inside.h"

#define TICK_NS 200000000
#define ALIVE_S 15.0 /* something is sent so often, so that a client that has gone is noticed */
#define MOST_SUBSCRIBERS 200
#define MOST_TEXT ((size_t)16 << 10) /* of a look, and one job */
#define MOST_PLACES 256              /* that a look tells */
#define READ_S 30.0                  /* who has not taken what a look gave is let go */
#define BLOCK_BYTES 4096

struct subscriber {
    http *h;
    struct MHD_Connection *connection;
    char id[JOB_ID_BYTES]; /* "" = all */
    uint64_t seen, gone_seen;
    uint64_t generation;              /* of the list, when it last looked */
    uint64_t places_seen, places_now; /* of the queue: as it was told, as the round began that is told */
    size_t place;                     /* how many are told of this round */
    int position;                     /* of the one job */
    ms_buf text;
    size_t sent;
    double told_s;
    double busy_s; /* since when it reads what there is; under events_lock */
    bool begun, last, suspended;
    subscriber *next;
};

static void write_event(subscriber *s, const job *j) {
    ms_buf_printf(&s->text, "event: job\ndata: ");
    jobs_write(&s->text, s->h->p.jobs, j);
    ms_buf_printf(&s->text, "\n\n");
}

static void write_gone(subscriber *s, const char *id) {
    ms_buf_printf(&s->text, "event: gone\ndata: {\"id\":\"%s\"}\n\n", id);
}

static void look_at_one(subscriber *s) {
    const job *j = jobs_find(s->h->p.jobs, s->id);
    if (!j)
        write_gone(s, s->id);
    else if (!s->begun || j->version > s->seen || j->position != s->position)
        write_event(s, j);
    s->position = j ? j->position : 0;
    s->last = !j || job_has_ended(j);
    s->seen = jobs_version(s->h->p.jobs);
}

static void write_count(subscriber *s) {
    ms_buf_printf(&s->text, "event: jobs\ndata: {\"count\":%zu}\n\n", jobs_count(s->h->p.jobs));
    s->generation = jobs_generation(s->h->p.jobs);
}

/* A part of the queue. Who moves meanwhile is in the next round. */
static void write_places(subscriber *s) {
    const jobs *js = s->h->p.jobs;
    const job *j;
    if (s->place == 0)
        s->places_now = jobs_places_version(js);
    ms_buf_printf(&s->text, "event: positions\ndata: {\"from\":%zu,\"ids\":[", s->place + 1);
    for (int n = 0; n < MOST_PLACES && (j = jobs_queued_at(js, s->place)) != NULL; n++, s->place++)
        ms_buf_printf(&s->text, "%s\"%s\"", n ? "," : "", j->id);
    ms_buf_printf(&s->text, "]}\n\n");
    if (jobs_queued_at(js, s->place))
        return;
    s->place = 0;
    s->places_seen = s->places_now;
}

/* Those that went, those that changed, the oldest change first, and who waits where. What is too much is
   left to the next look. */
static void look_at_all(subscriber *s) {
    jobs *js = s->h->p.jobs;
    const char *id;
    if (!s->begun)
        write_count(s);
    for (size_t i = 0; (id = jobs_gone(js, i, s->gone_seen)) != NULL; i++)
        write_gone(s, id);
    s->gone_seen = jobs_version(js);
    const job *j = jobs_changed_after(js, s->seen);
    for (; j && s->text.length < MOST_TEXT; j = j->newer) {
        if (!j->deleting)
            write_event(s, j);
        s->seen = j->version;
    }
    if (j)
        return;
    s->seen = jobs_version(js);
    if (jobs_generation(js) != s->generation)
        write_count(s);
    if (s->places_seen != jobs_places_version(js))
        write_places(s);
}

/* What is new since it last looked, into its text. */
static void look(subscriber *s) {
    ms_buf_free(&s->text);
    s->sent = 0;
    jobs_lock(s->h->p.jobs);
    if (s->id[0])
        look_at_one(s);
    else
        look_at_all(s);
    jobs_unlock(s->h->p.jobs);
    s->begun = true;
    if (!s->text.length && ms_now_s() - s->told_s > ALIVE_S)
        ms_buf_printf(&s->text, ": alive\n\n");
    if (s->text.length)
        s->told_s = ms_now_s();
    pthread_mutex_lock(&s->h->events_lock);
    s->busy_s = ms_now_s();
    pthread_mutex_unlock(&s->h->events_lock);
}

static ssize_t read_events(void *arg, uint64_t position, char *bytes, size_t room) {
    subscriber *s = arg;
    (void)position;
    if (s->sent == s->text.length) {
        if (s->last)
            return MHD_CONTENT_READER_END_OF_STREAM;
        look(s);
    }
    if (s->text.failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = s->text.length - s->sent;
    if (n == 0) {
        pthread_mutex_lock(&s->h->events_lock);
        bool ending = s->h->ending;
        if (!ending) {
            s->suspended = true;
            MHD_suspend_connection(s->connection);
        }
        pthread_mutex_unlock(&s->h->events_lock);
        return ending ? MHD_CONTENT_READER_END_OF_STREAM : 0;
    }
    n = n < room ? n : room;
    memcpy(bytes, s->text.data + s->sent, n);
    s->sent += n;
    return (ssize_t)n;
}

static void forget(void *arg) {
    subscriber *s = arg;
    pthread_mutex_lock(&s->h->events_lock);
    for (subscriber **at = &s->h->subscribers; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            s->h->n_subscribers--;
            break;
        }
    pthread_mutex_unlock(&s->h->events_lock);
    ms_buf_free(&s->text);
    free(s);
}

/* Into the list; false: it is full, or the server ends. */
static bool enlist(http *h, subscriber *s) {
    pthread_mutex_lock(&h->events_lock);
    bool full = h->n_subscribers >= MOST_SUBSCRIBERS || h->ending;
    if (!full) {
        s->next = h->subscribers;
        h->subscribers = s;
        h->n_subscribers++;
    }
    pthread_mutex_unlock(&h->events_lock);
    return !full;
}

/* NULL: refused. What changes from here on is told, though the first look is later. */
static subscriber *subscribe(request *r) {
    http *h = r->h;
    jobs_lock(h->p.jobs);
    const bool there = !r->id[0] || jobs_find(h->p.jobs, r->id);
    const uint64_t version = jobs_version(h->p.jobs), places = jobs_places_version(h->p.jobs);
    jobs_unlock(h->p.jobs);
    if (!there || peers_are_full(h)) {
        if (there)
            refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "too many are connected");
        else
            refuse_no_job(r);
        return NULL;
    }
    subscriber *s = calloc(1, sizeof(*s));
    if (!s) {
        refuse(r, 500, "out-of-memory", "out of memory");
        return NULL;
    }
    *s = (subscriber){.h = h,
                      .connection = r->connection,
                      .seen = version,
                      .gone_seen = version,
                      .places_seen = places,
                      .told_s = ms_now_s(),
                      .busy_s = ms_now_s()};
    memcpy(s->id, r->id, sizeof(s->id));
    ms_buf_init(&s->text, NULL);
    if (enlist(h, s))
        return s;
    free(s);
    refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "too many listen already");
    return NULL;
}

http_result answer_events(request *r) {
    subscriber *s = subscribe(r);
    if (!s)
        return answer_problem(r);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_events, s, forget);
    if (!response) {
        forget(s);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    return answer_response(r, MHD_HTTP_OK, response, NULL);
}

/* ---- the thread that wakes them, and lets slow clients go ---- */

/* Its connection is closed after it has left the list. Lock held. */
static void let_go(subscriber *s) {
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(s->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (fd)
        shutdown(fd->connect_fd, SHUT_RDWR);
}

static void wake(http *h, bool all) {
    jobs_lock(h->p.jobs);
    uint64_t now = jobs_version(h->p.jobs);
    jobs_unlock(h->p.jobs);
    double time = ms_now_s();
    pthread_mutex_lock(&h->events_lock);
    for (subscriber *s = h->subscribers; s; s = s->next) {
        if (s->suspended && (all || now > s->seen || time - s->told_s > ALIVE_S)) {
            s->suspended = false;
            s->busy_s = time;
            MHD_resume_connection(s->connection);
        } else if (!s->suspended && time - s->busy_s > READ_S) {
            let_go(s);
        }
    }
    pthread_mutex_unlock(&h->events_lock);
}

static void *pump(void *arg) {
    http *h = arg;
    double looked_s = 0;
    for (bool ending = false; !ending;) {
        const struct timespec tick = {.tv_nsec = TICK_NS};
        nanosleep(&tick, NULL);
        pthread_mutex_lock(&h->events_lock);
        ending = h->ending;
        pthread_mutex_unlock(&h->events_lock);
        wake(h, ending);
        if (ms_now_s() - looked_s >= 1) {
            peers_look(h);
            looked_s = ms_now_s();
        }
    }
    return NULL;
}

bool events_begin(http *h) {
    h->has_pump = pthread_create(&h->pump, NULL, pump, h) == 0;
    return h->has_pump;
}

void events_end(http *h) {
    pthread_mutex_lock(&h->events_lock);
    h->ending = true;
    pthread_mutex_unlock(&h->events_lock);
    if (h->has_pump)
        pthread_join(h->pump, NULL);
    h->has_pump = false;
}
