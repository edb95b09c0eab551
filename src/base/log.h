/* Tells the host's callback (memsafe/log.h) what is no error. */
#ifndef MS_BASE_LOG_H
#define MS_BASE_LOG_H

#include <stdbool.h>

#include "memsafe/log.h"

/* Whether anybody listens: for callers to whom finding out what to say is work. */
bool ms_log_wants(ms_log_level level);

/* Text over 511 bytes is cut. Holds the log's lock while the host is told: hold no
   lock that another teller may wait for. */
void ms_log_tell(ms_log_level level, const char *code, const char *fmt, ...) MS_PRINTF(3, 4);

#endif
