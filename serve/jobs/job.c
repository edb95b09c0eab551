#include "jobs/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

job *job_create(void) {
    unsigned char bytes[JOB_ID_CHARS / 2];
    job *j = calloc(1, sizeof(*j));
    if (!j || getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        free(j);
        return NULL;
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(j->id + 2 * i, 3, "%02x", bytes[i]);
    job_options_init(&j->options);
    j->created_ms = job_now_ms();
    j->progress.fraction = j->progress.eta_s = -1;
    j->death_segment = -1;
    return j;
}

void job_destroy(job **jj) {
    if (!*jj)
        return;
    job *j = *jj;
    free(j->input);
    free(j->plan);
    free(j->warnings);
    free(j->error);
    free(j);
    *jj = NULL;
}

bool job_set(char **text, const char *value) {
    char *copy = value ? strdup(value) : NULL;
    if (value && !copy)
        return false;
    free(*text);
    *text = copy;
    return true;
}

const char *job_state_text(job_state state) {
    switch (state) {
#define X(name, value, text)                                                                                 \
    case JOB_##name:                                                                                         \
        return text;
        JOB_STATE_MAP(X)
#undef X
    case JOB_STATES:
        break;
    }
    return "?";
}

static const char *hook_text(job_hook_state state) {
    switch (state) {
#define X(name, value, text)                                                                                 \
    case JOB_HOOK_##name:                                                                                    \
        return text;
        JOB_HOOK_MAP(X)
#undef X
    case JOB_HOOK_STATES:
        break;
    }
    return "?";
}

void job_note_memory(job *j, int64_t time_ms, int64_t bytes) {
    job_progress *p = &j->progress;
    if (p->n_samples && time_ms - p->sample[p->n_samples - 1].time_ms < p->sample_ms)
        return;
    if (p->n_samples == 0)
        p->sample_ms = 1000;
    if (p->n_samples == JOB_SAMPLES) { /* every other one goes */
        for (int i = 0; 2 * i < JOB_SAMPLES; i++)
            p->sample[i] = p->sample[2 * i];
        p->n_samples = (JOB_SAMPLES + 1) / 2;
        p->sample_ms *= 2;
    }
    p->sample[p->n_samples++] = (job_sample){time_ms, bytes};
}

bool job_has_ended(const job *j) {
    return j->state == JOB_DONE || j->state == JOB_FAILED || j->state == JOB_CANCELLED;
}

bool job_is_id(const char *text) {
    return strlen(text) == JOB_ID_CHARS && strspn(text, "0123456789abcdef") == JOB_ID_CHARS;
}

static int64_t clock_ms(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t job_now_ms(void) {
    return clock_ms(CLOCK_REALTIME);
}

int64_t job_steady_ms(void) {
    return clock_ms(CLOCK_BOOTTIME);
}

void job_write_error(ms_buf *b, const char *code, const char *detail, int64_t needs_bytes) {
    ms_buf_printf(b, "{\"code\":\"%s\",\"detail\":", code);
    ms_buf_json_string(b, detail);
    if (needs_bytes > 0)
        ms_buf_printf(b, ",\"needs_bytes\":%" PRId64 "}", needs_bytes);
    else
        ms_buf_printf(b, ",\"needs_bytes\":null}");
}

void job_write_time(ms_buf *b, const char *name, int64_t ms) {
    struct tm t;
    time_t s = (time_t)(ms / 1000);
    char text[40];
    if (ms <= 0 || !gmtime_r(&s, &t) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &t) == 0)
        ms_buf_printf(b, "\"%s\":null", name);
    else
        ms_buf_printf(b, "\"%s\":\"%s.%03dZ\"", name, text, (int)(ms % 1000));
}

static void write_number(ms_buf *b, const char *name, double value) {
    ms_buf_printf(b, ",\"%s\":", name);
    if (value < 0)
        ms_buf_printf(b, "null");
    else
        ms_buf_json_number(b, value);
}

static void write_progress(ms_buf *b, const job_progress *p) {
    ms_buf_printf(b, ",\"progress\":{\"stage\":");
    ms_buf_json_string(b, p->stage);
    ms_buf_printf(b,
                  ",\"frames_done\":%" PRId64 ",\"frames_total\":%" PRId64 ",\"memory_bytes\":%" PRId64
                  ",\"peak_bytes\":%" PRId64 ",\"resumed\":%" PRId64,
                  p->frames_done, p->frames_total, p->memory_bytes, p->peak_bytes, p->resumed);
    write_number(b, "fraction", p->fraction);
    write_number(b, "eta_s", p->eta_s);
    ms_buf_printf(b, ",\"memory\":[");
    for (int i = 0; i < p->n_samples; i++)
        ms_buf_printf(b, "%s[%.3f,%" PRId64 "]", i ? "," : "", (double)p->sample[i].time_ms / 1000,
                      p->sample[i].bytes);
    ms_buf_printf(b, "]}");
}

static void write_hook(ms_buf *b, const job_hook *h) {
    if (h->state == JOB_HOOK_NONE) {
        ms_buf_printf(b, ",\"webhook\":null");
        return;
    }
    ms_buf_printf(b, ",\"webhook\":{\"state\":\"%s\",\"tries\":%" PRId64, hook_text(h->state), h->tries);
    ms_buf_printf(b, ",");
    job_write_time(b, "next", h->state == JOB_HOOK_PENDING ? h->next_ms : 0);
    ms_buf_printf(b, "}");
}

static void write_links(ms_buf *b, const job *j) {
    static const char *const names[][2] = {
        {"events", "events"}, {"preview", "preview"}, {"input_preview", "input-preview"},
        {"input", "input"},   {"result", "result"},   {"report", "report"}};
    ms_buf_printf(b, ",\"links\":{\"self\":\"/v1/jobs/%s\"", j->id);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ms_buf_printf(b, ",\"%s\":\"/v1/jobs/%s/%s\"", names[i][0], j->id, names[i][1]);
    ms_buf_printf(b, "}");
}

void job_write(ms_buf *b, const job *j, int64_t expires_ms) {
    ms_buf_printf(b, "{\"id\":\"%s\",\"state\":\"%s\",\"position\":", j->id, job_state_text(j->state));
    if (j->state == JOB_QUEUED)
        ms_buf_printf(b, "%d", j->position);
    else
        ms_buf_printf(b, "null");
    ms_buf_printf(b, ",\"priority\":%d", j->options.priority);
    ms_buf_printf(b, ",");
    job_write_time(b, "created", j->created_ms);
    ms_buf_printf(b, ",");
    job_write_time(b, "started", j->started_ms);
    ms_buf_printf(b, ",");
    job_write_time(b, "ended", j->ended_ms);
    ms_buf_printf(b, ",");
    job_write_time(b, "expires", expires_ms);
    ms_buf_printf(b, ",\"name\":");
    ms_buf_json_string(b, j->name);
    ms_buf_printf(b, ",\"model\":");
    ms_buf_json_string(b, j->options.model);
    ms_buf_printf(b, ",\"options\":");
    job_options_write(b, &j->options);
    ms_buf_printf(b, ",\"input\":%s,\"plan\":%s,\"warnings\":%s,\"error\":%s", j->input ? j->input : "null",
                  j->plan ? j->plan : "null", j->warnings ? j->warnings : "[]", j->error ? j->error : "null");
    write_progress(b, &j->progress);
    write_hook(b, &j->hook);
    write_links(b, j);
    ms_buf_printf(b, "}");
}
