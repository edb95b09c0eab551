/*
 * Telling an address of a job's end: a POST by the rules of Standard Webhooks (standardwebhooks.com, 1.0.0),
 * signed, tried again after an answer that is not 2xx, and kept in the list of jobs meanwhile.
 */
#ifndef SERVE_WEBHOOK_H
#define SERVE_WEBHOOK_H

#include <stdbool.h>

#include "jobs/jobs.h"

/* Whether the server may tell an address: it begins with one of webhook_to, each of which goes beyond the
   host's name and its '/', so that no other host begins so; and no part of its path begins with a dot. */
bool webhook_is_allowed(const jobs_params *p, const char *address);

/* Of a job's end: the same at each try and for the next server, whatever becomes of the clock. */
#define WEBHOOK_ID_BYTES 64
void webhook_id(const job *j, char ret[WEBHOOK_ID_BYTES]);

#endif
