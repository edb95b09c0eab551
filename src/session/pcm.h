/* Speech that is pushed in pieces, kept with 16 bits in blocks, and what the
   log-mel needs to know of all of it. */
#ifndef MS_SESSION_PCM_H
#define MS_SESSION_PCM_H

#include "engine/features.h"

typedef struct ms_pcm ms_pcm;

ms_status ms_pcm_create(ms_mem *mem, ms_pool *pool, ms_pcm **ret_pcm, ms_error *err);
void ms_pcm_destroy(ms_pcm **pcm);

/* The most bytes that so many samples take. */
size_t ms_pcm_bytes(int64_t samples);

/* MS_INVALID_ARGUMENT: a sample is no number, or there are too many. On failure none of them is taken. */
ms_status ms_pcm_push(ms_pcm *pcm, const float *samples, int64_t count, ms_error *err);

/* To be called once, when no more comes. MS_BAD_MEDIA: too short. */
ms_status ms_pcm_end(ms_pcm *pcm, ms_mel_stats *ret_stats, ms_error *err);

/* Valid as long as the speech is. */
ms_sample_source ms_pcm_source(ms_pcm *pcm);

#endif
