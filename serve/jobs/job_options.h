/* What may be asked of a job: one table, by which fields of a form and members of JSON are read, checked and
   written, and become the library's parameters. */
#ifndef SERVE_JOB_OPTIONS_H
#define SERVE_JOB_OPTIONS_H

#include "memsafe/plan.h"
#include "memsafe/run.h"
#include "text/json.h"

#define JOB_MODEL_BYTES 64
#define JOB_WEBHOOK_BYTES 512
/* Sides of a video's pictures, as a run takes them. */
#define JOB_LEAST_SIDE 16
#define JOB_MOST_SIDE 16384

typedef struct job_options {
    char model[JOB_MODEL_BYTES]; /* a name of the server's models; "" = its first */
    char webhook[JOB_WEBHOOK_BYTES];
    double guidance, start_s, duration_s;
    int64_t seed, frames;
    int steps, resolution, crf, priority;
    int precision, paste, loop, rest, codec; /* of the library's enumerations */
    bool deepcache, hold;
} job_options;

/* The library's defaults. */
void job_options_init(job_options *ret_options);

/* Whether there is an option of that name. */
bool job_options_has(const char *name);

/* One option from the text of a form's field, or from a member of JSON. MS_INVALID_ARGUMENT names the option
   and what it may be. */
ms_status job_options_set_text(job_options *o, const char *name, const char *text, ms_error *err);
ms_status job_options_set_json(job_options *o, const ms_json *member, ms_error *err);

/* Whether a plan of the one is one of the other: all but priority, hold and webhook. */
bool job_options_same(const job_options *a, const job_options *b);

/* {"steps": 20, ...}: all of them. */
void job_options_write(ms_buf *b, const job_options *o);

/* Into parameters that were initialised; not the model. */
void job_options_to_run(const job_options *o, ms_run_params *p);
void job_options_to_plan(const job_options *o, ms_plan_params *p);

/* The output's name in the job's folder. */
const char *job_options_output(const job_options *o);

#endif
