/* A model folder, part by part: what is there and what is wrong with it. `memsafe
   models` and `memsafe doctor`. */
#ifndef MS_CLI_MODEL_CHECK_H
#define MS_CLI_MODEL_CHECK_H

#include "memsafe/models.h"

/* Prints what ms_model_check() finds. The first error is the result. */
ms_status cli_model_check(const ms_model_check_params *params);

#endif
