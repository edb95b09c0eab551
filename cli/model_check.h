/* A model folder, part by part: what is there and what is wrong with it. `memsafe models` and `memsafe doctor`. */
#ifndef MS_CLI_MODEL_CHECK_H
#define MS_CLI_MODEL_CHECK_H

#include "models/model_files.h"

/* Prints each part's files, formats and sizes, and holds every tensor's name and shape against the config; unless
   quick also its values, and the checksums that torch files hold. Goes on after what is wrong; the first of it
   is the result. */
ms_status cli_model_check(const ms_model_names *names, bool quick);

/* Whether its UNet's weights are random ones. */
bool cli_model_is_random(const ms_model_names *names);

#endif
