/* The small model that comes with memsafe: trained on drawn faces, there so that a
   first run needs no download. */
#ifndef MS_CLI_DEMO_MODEL_H
#define MS_CLI_DEMO_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/status.h"

/*
 * Its folder: $MEMSAFE_DEMO_MODEL, or beside the program (where `make install` puts
 * it, or the source tree that a build folder lies in), or the data folder that the
 * build was configured for. MS_BAD_MODEL when none of them is a model.
 */
ms_status cli_demo_model(char *ret_path, size_t bytes, ms_error *err);

/* The folder that the running program lies in, links followed; false where that is not known. */
bool cli_program_folder(char *ret_dir, size_t bytes);

#endif
