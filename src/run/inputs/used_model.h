/* The files of the model that a run uses, as the job's key tells them from others. */
#ifndef MS_RUN_INPUTS_USED_MODEL_H
#define MS_RUN_INPUTS_USED_MODEL_H

#include "job/job_key.h"

typedef struct ms_used_file {
    const char *part; /* "UNet": as ms_run_model_file has it */
    const char *path; /* borrowed; the model's */
    char identity[MS_JOB_KEY_TEXT];
} ms_used_file;

#define MS_USED_FILES 5

typedef struct ms_used_model {
    int n;
    ms_used_file file[MS_USED_FILES];
} ms_used_model;

/* Those that the key has. */
void ms_used_model_take(ms_used_model *ret_model, const ms_job_key *key);

/* Once they are loaded. MS_IO: one is not as it was when the key was made. */
ms_status ms_used_model_check(const ms_used_model *model, ms_error *err);

#endif
