/* Between run_params.c, which every build has, and run.c, which needs FFmpeg's libraries. */
#ifndef MS_RUN_RUN_INTERNAL_H
#define MS_RUN_RUN_INTERNAL_H

#include "memsafe/run.h"

/* params are checked, and so is report_bytes. */
ms_status ms_run_media(const ms_run_params *params, ms_run_report *ret_report, size_t report_bytes,
                       ms_error *err);

#endif
