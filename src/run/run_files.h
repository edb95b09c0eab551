/* Which files a run reads and keeps: nothing that it writes, and nothing that is written of it, replaces one
   of them. */
#ifndef MS_RUN_RUN_FILES_H
#define MS_RUN_RUN_FILES_H

#include "memsafe/run.h"

/* MS_INVALID_ARGUMENT: path, which is to be written, is one of them (files/in_use.h). what: "report", for the
   message. */
ms_status ms_run_spare(const ms_run_params *params, const char *path, const char *what, ms_error *err);

#endif
