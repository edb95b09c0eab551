/* Of the seconds that stages take. */
#ifndef MS_CLI_STAGE_SUM_H
#define MS_CLI_STAGE_SUM_H

#include "memsafe/run.h"

/* More than a run takes, since faces and write go on beside the rest. */
static inline double cli_stage_sum(const double stage_s[MS_STAGE_ROOM]) {
    double sum = 0;
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        sum += stage_s[i];
    return sum;
}

#endif
