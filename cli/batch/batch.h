/* A batch: its list, the model that its clips share, and what has become of them. */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include "batch/batch_list.h"
#include "batch/batch_totals.h"
#include "memsafe/model.h"
#include "options/model_choice.h"
#include "workers/device_list.h"

typedef struct cli_batch {
    cli_run_state common; /* what was typed for all */
    cli_batch_list list;
    cli_model_choice model;
    cli_device_list devices;
    ms_model *loaded;
    int part, parts; /* of the list; parts 0 = all of it */
    cli_batch_totals totals;
    ms_status first; /* of the failures */
    bool noted;      /* what is to be said of the model was said */
    bool untold;     /* there was no memory to say what became of a clip */
} cli_batch;

/* Reads the list, chooses the model, makes the folders. state: a cli_run_state. The batch borrows from it. */
ms_status cli_batch_prepare(cli_batch *b, const void *state, const char *path, ms_error *err);
ms_status cli_batch_open_model(cli_batch *b, ms_error *err);
void cli_batch_close(cli_batch *b);

/* place: in the list, from 0. */
bool cli_batch_is_ours(const cli_batch *b, int place);

/* "jobs.jsonl:3: c.mp4". Returns ret_name. */
const char *cli_batch_name(const cli_batch *b, int place, char *ret_name, size_t bytes);

/* A clip with the model that is open; MS_CANCELLED among the errors. */
ms_status cli_batch_make(cli_batch *b, int place, ms_run_report *ret_report, ms_error *err);

/* That it begins. device: where, of several; NULL = there is one. */
void cli_batch_say_begin(const cli_batch *b, int place, const char *device);

/* What has become of it, for people and programs, and for the totals. err: NULL = all went well. */
void cli_batch_say_end(cli_batch *b, int place, const ms_run_report *report, const ms_error *err);

#endif
