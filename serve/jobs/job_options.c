#include "jobs/job_options.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* SIDE: 0, or a multiple of SIDE_STEP, as the networks want it. */
typedef enum kind { TEXT, INT, SIDE, INT64, NUMBER, FLAG, CHOICE } kind;
#define SIDE_STEP 8
#define SIDE_LEAST 64

static const char *const precisions[] = {"auto", "fp32", "fp16", "bf16", NULL};
static const char *const pastes[] = {"face", "mouth", NULL};
static const char *const loops[] = {"pingpong", "repeat", "hold", "none", NULL};
static const char *const rests[] = {"cut", "keep", NULL};
static const char *const codecs[] = {"h264", "hevc", "ffv1", NULL};

static const struct option {
    const char *name;
    kind kind;
    size_t offset;
    double min, max; /* of TEXT: max is the room */
    const char *const *choices;
} options[] = {
#define F(field) offsetof(job_options, field)
    {"model", TEXT, F(model), 0, JOB_MODEL_BYTES, NULL},
    {"steps", INT, F(steps), 1, 999, NULL},
    {"guidance", NUMBER, F(guidance), 0, 100, NULL},
    {"seed", INT64, F(seed), 0, 9007199254740991.0, NULL},
    {"resolution", SIDE, F(resolution), SIDE_LEAST, 2048, NULL},
    {"precision", CHOICE, F(precision), 0, 0, precisions},
    {"paste", CHOICE, F(paste), 0, 0, pastes},
    {"deepcache", FLAG, F(deepcache), 0, 0, NULL},
    {"loop", CHOICE, F(loop), 0, 0, loops},
    {"start_s", NUMBER, F(start_s), 0, 1e6, NULL},
    {"duration_s", NUMBER, F(duration_s), 0, 1e6, NULL},
    {"rest", CHOICE, F(rest), 0, 0, rests},
    {"frames", INT64, F(frames), 0, 2147483647.0, NULL},
    {"codec", CHOICE, F(codec), 0, 0, codecs},
    {"crf", INT, F(crf), 0, 51, NULL},
    {"priority", INT, F(priority), -10, 10, NULL},
    {"hold", FLAG, F(hold), 0, 0, NULL},
    {"webhook", TEXT, F(webhook), 0, JOB_WEBHOOK_BYTES, NULL},
#undef F
};
#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static const struct option *find(const char *name) {
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

bool job_options_has(const char *name) {
    return find(name) != NULL;
}

void job_options_init(job_options *o) {
    ms_run_params p;
    ms_run_params_init(&p);
    *o = (job_options){.guidance = p.guidance,
                       .seed = (int64_t)p.seed,
                       .steps = p.steps,
                       .crf = p.crf,
                       .precision = p.precision,
                       .paste = p.paste,
                       .loop = p.loop,
                       .rest = p.rest,
                       .codec = p.codec};
}

/* What was given, for a message: its begin, and printable. */
#define SHOWN_BYTES 44
static const char *shown(const char *text, char ret[SHOWN_BYTES]) {
    const size_t most = SHOWN_BYTES - 4;
    size_t n = 0;
    for (; n < most && text[n]; n++)
        ret[n] = (unsigned char)text[n] >= 0x20 && (unsigned char)text[n] < 0x7f ? text[n] : '?';
    snprintf(ret + n, SHOWN_BYTES - n, "%s", text[n] ? "..." : "");
    return ret;
}

static ms_status refuse_number(const struct option *t, const char *given, ms_error *err) {
    char text[SHOWN_BYTES];
    if (t->kind == SIDE)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be 0 or a multiple of %d from %d to %.0f, not %s",
                       t->name, SIDE_STEP, SIDE_LEAST, t->max, shown(given, text));
    return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be a %snumber from %.16g to %.16g, not %s", t->name,
                   t->kind == NUMBER ? "" : "whole ", t->min, t->max, shown(given, text));
}

/* given: the same number as it was written. */
static ms_status set_number(job_options *o, const struct option *t, double value, bool whole,
                            const char *given, ms_error *err) {
    void *field = (char *)o + t->offset;
    const bool none = t->kind == SIDE && value == 0;
    if ((!none && !(value >= t->min && value <= t->max)) || (t->kind != NUMBER && !whole) ||
        (t->kind == SIDE && (int)value % SIDE_STEP != 0))
        return refuse_number(t, given, err);
    if (t->kind == INT || t->kind == SIDE)
        *(int *)field = (int)value;
    else if (t->kind == INT64)
        *(int64_t *)field = (int64_t)value;
    else
        *(double *)field = value;
    return MS_OK;
}

static ms_status set_choice(job_options *o, const struct option *t, const char *text, ms_error *err) {
    char all[128] = "", given[SHOWN_BYTES];
    for (int i = 0; t->choices[i]; i++) {
        if (strcmp(t->choices[i], text) == 0) {
            *(int *)((char *)o + t->offset) = i;
            return MS_OK;
        }
        size_t n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", t->choices[i]);
    }
    return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be one of: %s; not \"%s\"", t->name, all,
                   shown(text, given));
}

static ms_status set_string(job_options *o, const struct option *t, const char *text, ms_error *err) {
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s has a control character", t->name);
    if (strlen(text) >= (size_t)t->max)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s has %zu bytes; %.0f are the most", t->name, strlen(text),
                       t->max - 1);
    snprintf((char *)o + t->offset, (size_t)t->max, "%s", text);
    return MS_OK;
}

static const char *const type_names[] = {
    [MS_JSON_NULL] = "null",     [MS_JSON_BOOL] = "boolean", [MS_JSON_NUMBER] = "number",
    [MS_JSON_STRING] = "string", [MS_JSON_ARRAY] = "array",  [MS_JSON_OBJECT] = "object"};

ms_status job_options_set_json(job_options *o, const ms_json *m, ms_error *err) {
    const struct option *t = find(m->key);
    char number[32];
    if (!t)
        return ms_fail(err, MS_INVALID_ARGUMENT, "there is no option \"%.60s\"", m->key);
    ms_json_type wanted = t->kind == FLAG                        ? MS_JSON_BOOL
                          : t->kind == TEXT || t->kind == CHOICE ? MS_JSON_STRING
                                                                 : MS_JSON_NUMBER;
    if (m->type != wanted)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be a %s, not %s", t->name, type_names[wanted],
                       type_names[m->type]);
    if (t->kind == FLAG)
        *(bool *)((char *)o + t->offset) = m->boolean;
    else if (t->kind == TEXT)
        return set_string(o, t, m->string, err);
    else if (t->kind == CHOICE)
        return set_choice(o, t, m->string, err);
    else {
        snprintf(number, sizeof(number), "%.16g", m->number);
        return set_number(o, t, m->number, m->is_integer, number, err);
    }
    return MS_OK;
}

ms_status job_options_set_text(job_options *o, const char *name, const char *text, ms_error *err) {
    const struct option *t = find(name);
    char given[SHOWN_BYTES];
    if (!t)
        return ms_fail(err, MS_INVALID_ARGUMENT, "there is no option \"%.60s\"", name);
    if (t->kind == TEXT)
        return set_string(o, t, text, err);
    if (t->kind == CHOICE)
        return set_choice(o, t, text, err);
    if (t->kind == FLAG) {
        bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcmp(text, "on") == 0;
        if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be true or false, not \"%s\"", t->name,
                           shown(text, given));
        *(bool *)((char *)o + t->offset) = yes;
        return MS_OK;
    }
    ms_json number = {.type = MS_JSON_NUMBER};
    if (!ms_json_set_number(&number, text, strlen(text)))
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s must be a number, not \"%s\"", t->name,
                       shown(text, given));
    return set_number(o, t, number.number, number.is_integer, text, err);
}

static size_t bytes_of(const struct option *t) {
    return t->kind == INT64 || t->kind == NUMBER ? 8 : t->kind == FLAG ? sizeof(bool) : sizeof(int);
}

bool job_options_same(const job_options *a, const job_options *b) {
    static const char *const apart[] = {"priority", "hold", "webhook"};
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *t = &options[i];
        const char *x = (const char *)a + t->offset, *y = (const char *)b + t->offset;
        bool counts = true;
        for (size_t k = 0; k < sizeof(apart) / sizeof(apart[0]); k++)
            counts &= strcmp(apart[k], t->name) != 0;
        if (counts && (t->kind == TEXT ? strcmp(x, y) : memcmp(x, y, bytes_of(t))) != 0)
            return false;
    }
    return true;
}

void job_options_write(ms_buf *b, const job_options *o) {
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *t = &options[i];
        const void *field = (const char *)o + t->offset;
        ms_buf_printf(b, "%s\"%s\":", i ? "," : "{", t->name);
        switch (t->kind) {
        case TEXT:
            ms_buf_json_string(b, field);
            break;
        case INT:
        case SIDE:
            ms_buf_printf(b, "%d", *(const int *)field);
            break;
        case INT64:
            ms_buf_printf(b, "%" PRId64, *(const int64_t *)field);
            break;
        case NUMBER:
            ms_buf_json_number(b, *(const double *)field);
            break;
        case FLAG:
            ms_buf_printf(b, *(const bool *)field ? "true" : "false");
            break;
        case CHOICE:
            ms_buf_printf(b, "\"%s\"", t->choices[*(const int *)field]);
            break;
        }
    }
    ms_buf_printf(b, "}");
}

void job_options_to_run(const job_options *o, ms_run_params *p) {
    p->steps = o->steps;
    p->guidance = o->guidance;
    p->seed = (uint64_t)o->seed;
    p->resolution = o->resolution;
    p->paste = (ms_paste)o->paste;
    p->deepcache = o->deepcache;
    p->loop = (ms_loop_mode)o->loop;
    p->start_us = (int64_t)(o->start_s * 1e6 + 0.5);
    p->duration_us = (int64_t)(o->duration_s * 1e6 + 0.5);
    p->rest = (ms_rest)o->rest;
    p->frames = o->frames;
    p->codec = (ms_output_codec)o->codec;
    p->crf = o->crf;
}

void job_options_to_plan(const job_options *o, ms_plan_params *p) {
    p->steps = o->steps;
    p->guidance = o->guidance;
    p->resolution = o->resolution;
    p->paste = (ms_paste)o->paste;
    p->deepcache = o->deepcache;
    p->precision = (ms_precision)o->precision;
    p->codec = (ms_output_codec)o->codec;
}

const char *job_options_output(const job_options *o) {
    return o->codec == MS_OUTPUT_FFV1 ? "out.mkv" : "out.mp4";
}
