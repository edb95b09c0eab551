/* What a worker made, as it says it at its end, and as the report of the whole has it of all of them. */
#ifndef CLI_MADE_H
#define CLI_MADE_H

#include <stdbool.h>

#include "memsafe/run.h"
#include "text/json.h"

/* A worker's: the events `layout`, one for each that was compared, and `made`. */
void cli_made_tell(const ms_run_report *report);

/* Such an event, checked: numbers that cannot be become 0. Others change nothing. ret_report: its own, which
   begins as 0. True: it was `made`, the last. */
bool cli_made_take(const char *event, const ms_json *line, ms_run_report *ret_report);

/* A worker's, as ms_run_report has them. */
typedef struct cli_made_memory {
    size_t budget_bytes, planned_bytes, host_budget_bytes, host_planned_bytes;
} cli_made_memory;

/* One more. Beside a device with memory of its own, which host_budget_bytes says, what the processor alone
   has is the host's. In sum these four begin as 0. */
void cli_made_add_memory(const cli_made_memory *one, ms_run_report *sum);

/* Of so many workers, NULL for one that has not said what it made. Work, memory and weights are summed up;
   predicted seconds are shares of the whole work, as large as each is fast; the choice and its reasons are
   the first one's. What nobody said is left as it is. */
void cli_made_sum(const ms_run_report *const *made, int count, ms_run_report *report);

#endif
