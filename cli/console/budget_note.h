#ifndef CLI_BUDGET_NOTE_H
#define CLI_BUDGET_NOTE_H

#include <stdint.h>

/* which: "budget" or "host budget". One above what the machine has is kept, and
   gives no more than the machine: one line says so. 0 = no budget. */
void cli_note_budget(const char *which, uint64_t budget_bytes);

#endif
