/* Slurm, by its programs for users: sbatch, squeue, sacct, scancel. */
#ifndef CLI_SUBMIT_SLURM_H
#define CLI_SUBMIT_SLURM_H

#include "submit/asked.h"

#define CLI_SLURM_ID_BYTES 24
#define CLI_SLURM_CLUSTER_BYTES 64

#define CLI_SLURM_JOBS 4

/* Jobs of one cluster. */
typedef struct cli_slurm_jobs {
    const char *cluster;            /* whose numbers they are; "" = this machine's */
    const char *id[CLI_SLURM_JOBS]; /* [n]; "" is none */
    int n;
} cli_slurm_jobs;

/* "12,13,14", or with another sign between them. */
#define CLI_SLURM_IDS_BYTES (CLI_SLURM_JOBS * (CLI_SLURM_ID_BYTES + 1))
void cli_slurm_ids(const cli_slurm_jobs *jobs, char between, char ret_text[CLI_SLURM_IDS_BYTES]);

/* " -M NAME" as Slurm's programs need it for jobs of another cluster, else "". */
#define CLI_SLURM_OF_BYTES (CLI_SLURM_CLUSTER_BYTES + 4)
void cli_slurm_of(const char *cluster, char ret_text[CLI_SLURM_OF_BYTES]);

typedef struct cli_slurm_order {
    const char *name, *script;
    /* Where its log appears, a whole path; the log's name, in which %j, %A and %a stand for numbers. */
    const char *folder, *log;
    const char *after; /* what it waits for, "afterok:12"; NULL = nothing. What cannot be any more ends it */
    int array;         /* tasks 1 to this; 0 = it is none */
    /* Where it must be, because what it waits for is there; "" = wherever Slurm takes it */
    const char *cluster;
    const cli_submit_asked *asked;
} cli_slurm_order;

/* Whether it may be a cluster's name, or "". Such names go on command lines. */
bool cli_slurm_is_cluster(const char *name);

/* MS_IO: one of the programs that are needed is not there; the message says what to install. */
ms_status cli_slurm_check(ms_error *err);

/* ret_cluster: that has taken it; "" = Slurm names none. MS_IO: Slurm refuses it, or is not there; the
   message says why, or what to install. */
ms_status cli_slurm_submit(const cli_slurm_order *order, char ret_id[CLI_SLURM_ID_BYTES],
                           char ret_cluster[CLI_SLURM_CLUSTER_BYTES], ms_error *err);

/* What has ended already is no error. MS_IO. */
ms_status cli_slurm_cancel(const cli_slurm_jobs *jobs, ms_error *err);

/* Of an array the tasks that wait. MS_IO. */
ms_status cli_slurm_let_go(const char *cluster, const char *id, ms_error *err);

typedef enum cli_slurm_state {
    CLI_SLURM_UNKNOWN, /* nobody has told */
    CLI_SLURM_WAITS,
    CLI_SLURM_RUNS,
    CLI_SLURM_ENDED,  /* with code 0 */
    CLI_SLURM_FAILED, /* in whatever way */
} cli_slurm_state;

typedef struct cli_slurm_told {
    char id[CLI_SLURM_ID_BYTES];
    int place; /* in the array; 0 = it is none of one */
    cli_slurm_state state;
    char word[24]; /* Slurm's: "NODE_FAIL" */
    char reason[128];
    char name[32]; /* of the job; "" = accounting told it */
} cli_slurm_told;

typedef void (*cli_slurm_hear)(void *arg, const cli_slurm_told *told);

/* What squeue says of them; what it has forgotten is not told. MS_IO: nobody answers. */
ms_status cli_slurm_look(const cli_slurm_jobs *jobs, cli_slurm_hear hear, void *arg, ms_error *err);

/* What accounting says of them. False: there is none here. */
bool cli_slurm_look_back(const cli_slurm_jobs *jobs, cli_slurm_hear hear, void *arg);

#endif
