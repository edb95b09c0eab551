#include "submit/ending.h"

#include <string.h>

#include "base/error.h"

/* A log may be seen later than Slurm's word, on a network file system: what is added to it soon, for each
   look asks the server; that there is one when the folder is looked at anew. */
#define LOG_LATE_S 6
#define LOG_MISSING_S 60
/* Not in squeue, nor in accounting: for so long it may be on its way from one to the other. */
#define GONE_S 15

/* What never began has no log: who is cancelled in the queue, or whose dependency cannot be any more. */
static bool needs_no_log(const cli_task *t) {
    return t->heard.err.code != MS_OK || (t->read == 0 && strcmp(t->word, "CANCELLED") == 0);
}

cli_ending cli_task_ending(const cli_task *t, double now_s) {
    if (t->heard.done || t->let_go)
        return CLI_ENDING_WELL;
    const double wait_s = t->read > 0 ? LOG_LATE_S : LOG_MISSING_S,
                 gone_wait_s = t->read > 0 ? GONE_S : LOG_MISSING_S;
    const bool late = t->ended_s > 0 && now_s - t->ended_s >= wait_s;
    if (t->state == CLI_SLURM_FAILED)
        return late || needs_no_log(t) ? CLI_ENDING_BADLY : CLI_ENDING_NONE;
    if (t->state == CLI_SLURM_ENDED)
        return late ? CLI_ENDING_WELL : CLI_ENDING_NONE;
    return t->gone_s > 0 && now_s - t->gone_s >= gone_wait_s ? CLI_ENDING_BADLY : CLI_ENDING_NONE;
}

/* Of Slurm's words those that say more than that it failed. */
static ms_status fail_by_word(const cli_task *t, const char *name, ms_error *err) {
    if (strcmp(t->word, "OUT_OF_MEMORY") == 0)
        return ms_fail(err, MS_HOST_MEMORY,
                       "%s took more memory than Slurm gave it; -b SIZE bounds it, --sbatch=--mem=SIZE asks "
                       "for more",
                       name);
    if (strcmp(t->word, "TIMEOUT") == 0)
        return ms_fail_hint(err, MS_CANCELLED, MS_HINT_RESUME, "%s came to its limit of time (--time-limit)",
                            name);
    if (strcmp(t->word, "CANCELLED") == 0)
        return ms_fail_hint(err, MS_CANCELLED, MS_HINT_RESUME, "%s was cancelled", name);
    if (t->word[0] && strcmp(t->word, "FAILED") != 0)
        return ms_fail_hint(err, MS_IO, MS_HINT_RESUME, "%s was ended by Slurm: %s", name, t->word);
    return MS_OK;
}

ms_status cli_task_error(const cli_job *j, const cli_task *t, ms_error *err) {
    char name[CLI_TASK_NAME_BYTES];
    cli_task_name(j, t, name);
    ms_error_clear(err);
    /* Who is ended by Slurm says that it was cancelled; Slurm says why. */
    if (t->heard.err.code != MS_OK && t->heard.err.code != MS_CANCELLED) {
        *err = t->heard.err;
        return err->code;
    }
    ms_status status = fail_by_word(t, name, err);
    if (status != MS_OK)
        return status;
    if (t->heard.err.code != MS_OK) {
        *err = t->heard.err;
        return err->code;
    }
    if (t->gone_s > 0)
        return ms_fail(err, MS_IO, "%s: Slurm does not know it any more, and it has not said how it ended",
                       name);
    const bool reason = !t->heard.said[0] && t->reason[0] && strcmp(t->reason, "None") != 0;
    const char *said = reason ? t->reason : t->heard.said;
    return ms_fail(err, MS_INTERNAL, "%s failed%s%s", name, said[0] ? ": " : " and said nothing", said);
}
