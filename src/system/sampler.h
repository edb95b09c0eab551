/* A thread that records how much memory the process holds, from a few to fifty times a second. */
#ifndef MS_SYSTEM_SAMPLER_H
#define MS_SYSTEM_SAMPLER_H

#include "system/series.h"

typedef struct ms_sampler ms_sampler;

/* mem: whose ledgers are recorded beside the resident set; must outlive the
   sampler. Time counts from here on. */
ms_status ms_sampler_create(ms_mem *mem, ms_sampler **ret_sampler, ms_error *err);

/* The thread is joined, at once. */
void ms_sampler_destroy(ms_sampler **sampler);

/* All samples so far, with one of this moment at the end. */
void ms_sampler_get(ms_sampler *sampler, ms_series *ret_series);

#endif
