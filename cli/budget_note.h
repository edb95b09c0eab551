#ifndef CLI_BUDGET_NOTE_H
#define CLI_BUDGET_NOTE_H

#include <stdint.h>

/* A budget above what the machine has is kept, and gives no more than the machine: one line says so. 0 = no budget. */
void cli_note_budget(uint64_t budget_bytes);

#endif
