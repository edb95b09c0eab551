/* Frame rates as people write them. */
#ifndef MS_CLI_FPS_H
#define MS_CLI_FPS_H

#include "memsafe/status.h"

/* "25", "29.97" (meant as 30000/1001), "30000/1001", or "source", which gives 0/1. */
ms_status cli_parse_fps(const char *text, int *ret_num, int *ret_den, ms_error *err);

#endif
