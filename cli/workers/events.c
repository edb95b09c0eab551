#include "workers/events.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

void cli_events_begin(cli_events *e) {
    *e = (cli_events){.begun_fraction = -1, .first_fraction = -1, .fraction = -1, .eta_s = -1};
}

static double part_between(double from, double to) {
    return from >= 0 && from < 1 && to > from ? (to - from) / (1 - from) : 0;
}

double cli_events_worked(const cli_events *e) {
    return part_between(e->first_fraction, e->fraction);
}

double cli_events_loaded(const cli_events *e) {
    return part_between(e->begun_fraction, e->first_fraction);
}

/* Of what was done before, finished segments stay; the rest is little. */
static void take_start(cli_events *e) {
    e->frames_earlier += e->frames_done;
    e->fraction_earlier += cli_events_worked(e);
    e->planned = e->done = false;
    e->frames_before = e->frames_done = 0;
    e->begun_fraction = e->first_fraction = e->fraction = e->eta_s = -1;
    e->stage[0] = 0;
    ms_error_clear(&e->err);
    e->starts++;
}

static void take_progress(cli_events *e, const ms_json *line) {
    snprintf(e->stage, sizeof(e->stage), "%s", ms_json_get_text(line, "stage"));
    int64_t frames = (int64_t)ms_json_get_number(line, "frames_done", 0) - e->frames_before;
    if (e->planned) /* before, what was there counts as done */
        e->frames_done = frames > 0 ? frames : 0;
    e->fraction = ms_json_get_number(line, "fraction", -1);
    e->eta_s = ms_json_get_number(line, "eta_s", -1);
    if (e->begun_fraction < 0)
        e->begun_fraction = e->fraction;
    if (e->first_fraction < 0 || (strcmp(e->stage, "load") == 0 && frames <= 0))
        e->first_fraction = e->fraction;
}

static void take_event(cli_events *e, const char *event, const ms_json *line) {
    if (strcmp(event, "start") == 0) {
        take_start(e);
    } else if (strcmp(event, "plan") == 0) {
        e->planned = true;
        e->frames_before = (int64_t)ms_json_get_number(line, "frames_resumed", 0);
    } else if (strcmp(event, "progress") == 0) {
        take_progress(e, line);
    } else if (strcmp(event, "done") == 0) {
        e->done = true;
        e->seconds = ms_json_get_number(line, "seconds", 0);
        e->peak_bytes = (int64_t)ms_json_get_number(line, "peak_resident_bytes", 0);
    } else if (strcmp(event, "error") == 0) {
        ms_fail(&e->err, ms_failure_named(ms_json_get_text(line, "name")), "%s",
                ms_json_get_text(line, "message"));
        e->frames_kept = (int64_t)ms_json_get_number(line, "frames_resumable", 0);
    }
}

static void take_line(cli_events *e, const char *text, size_t length) {
    ms_json_doc *doc = NULL;
    const ms_json *line = ms_json_parse(NULL, text, length, &doc, NULL) == MS_OK ? ms_json_root(doc) : NULL;
    const char *event = ms_json_get_text(line, "event");
    if (event[0]) {
        take_event(e, event, line);
        if (e->heard)
            e->heard(e->arg, event, line);
    } else if (length > 0) {
        snprintf(e->said, sizeof(e->said), "%.*s", length < sizeof(e->said) ? (int)length : 255, text);
    }
    ms_json_doc_destroy(&doc);
}

static void take_lines(cli_events *e) {
    size_t from = 0;
    for (char *end; (end = memchr(e->line + from, '\n', e->length - from)) != NULL;) {
        take_line(e, e->line + from, (size_t)(end - e->line) - from);
        from = (size_t)(end - e->line) + 1;
    }
    memmove(e->line, e->line + from, e->length - from);
    e->length -= from;
    if (e->length == sizeof(e->line)) /* too long to be an event */
        e->length = 0;
}

void cli_events_take(cli_events *e, const char *text, size_t length) {
    while (length > 0) {
        size_t room = sizeof(e->line) - e->length, n = length < room ? length : room;
        memcpy(e->line + e->length, text, n);
        e->length += n;
        text += n;
        length -= n;
        take_lines(e);
    }
}
