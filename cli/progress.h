/* Progress of a run: a bar with the time left on a terminal, JSON lines for programs. Goes to stderr. */
#ifndef MS_CLI_PROGRESS_H
#define MS_CLI_PROGRESS_H

#include "memsafe/run.h"

typedef enum cli_progress_mode {
    CLI_PROGRESS_AUTO,
    CLI_PROGRESS_BAR,
    CLI_PROGRESS_JSON,
    CLI_PROGRESS_NONE,
} cli_progress_mode;

typedef struct cli_progress {
    cli_progress_mode mode; /* BAR, JSON or NONE */
    double last_s;          /* when something was shown */
    double started_s;
    bool drawn;
} cli_progress;

cli_progress cli_progress_begin(cli_progress_mode mode);
void cli_progress_show(void *arg, const ms_run_progress *progress);
void cli_progress_end(cli_progress *progress);

/* Since cli_progress_begin(). */
double cli_progress_seconds(const cli_progress *progress);

/* SIGINT and SIGTERM make cli_interrupted() true; a file-size limit becomes a write error. */
void cli_catch_signals(void);
bool cli_interrupted(void *arg);

/* Of a command whose only stage goes by frames. */
void cli_progress_frames(cli_progress *progress, const char *stage, int64_t frames_done,
                         int64_t frames_total);

#endif
