/*
 * The jobs of `memsafe batch`: lines of JSON, or the videos of a folder. Each becomes words as they are typed
 * behind `memsafe run`, over those that were typed for all.
 */
#ifndef CLI_BATCH_LIST_H
#define CLI_BATCH_LIST_H

#include "options/run_options.h"

typedef struct cli_batch_job {
    int line;     /* of the file, from 1; of a folder, its place in the order of names */
    char **words; /* [n_words]: those, and names that follow from them */
    int n_words;
    cli_run_state state; /* what is to be run; borrows from words */
} cli_batch_job;

typedef struct cli_batch_list {
    const char *path;
    bool is_folder;
    cli_batch_job *job; /* [count] */
    int count;
} cli_batch_list;

/*
 * path: a file of lines, "-" for the standard input, or a folder. common: what was typed for all jobs; its
 * output is the folder for results, its report the folder for reports, NULL = beside the results, and none.
 * All lines are looked at: MS_INVALID_ARGUMENT names the line, the option, and what is wrong with it; two
 * jobs of one output likewise. MS_IO, MS_HOST_MEMORY.
 */
ms_status cli_batch_read(const char *path, const cli_run_state *common, cli_batch_list *ret_list,
                         ms_error *err);
void cli_batch_free(cli_batch_list *list);

#endif
