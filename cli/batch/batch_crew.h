/*
 * A batch on several devices: a process for each, of the same program, has the model to itself and takes one
 * clip after the other, so the faster makes more. A clip whose worker dies is begun once more by another, and
 * goes on where it was; one that a device has not the memory for is another's.
 */
#ifndef CLI_BATCH_CREW_H
#define CLI_BATCH_CREW_H

#include "batch/batch.h"

/* All clips of this part; what becomes of them is told and added to the totals. An error: no worker could
   begin. */
ms_status cli_batch_crew(cli_batch *b, ms_error *err);

/* The worker's side: makes the clips that it is told on its standard input, until that ends. */
ms_status cli_batch_take_clips(cli_batch *b, ms_error *err);

#endif
