/* Buffers of one size that go from thread to thread and come back. The pool grows to the most buffers
   that were out at the same time, which the queues bound. It keeps them where it is told to. */
#ifndef MS_FRAMES_BUFFER_POOL_H
#define MS_FRAMES_BUFFER_POOL_H

#include "base/mem.h"

typedef struct ms_buffer_pool ms_buffer_pool;

/* kept: a buffer that is put back stays for the next taker; else it is freed, and none is made ahead. */
ms_status ms_buffer_pool_create(ms_mem *mem, size_t buffer_bytes, bool kept, ms_buffer_pool **ret_pool,
                                ms_error *err);

/* Makes so many buffers now and touches them: what a plan counts on cannot be lost
   to another program later. */
ms_status ms_buffer_pool_fill(ms_buffer_pool *pool, int64_t count, ms_error *err);

/* Every buffer must have come back. */
void ms_buffer_pool_destroy(ms_buffer_pool **pool);

/* NULL: no memory, and err says so. what: for the message. */
void *ms_buffer_pool_take(ms_buffer_pool *pool, const char *what, ms_error *err);
void ms_buffer_pool_put(ms_buffer_pool *pool, void *buffer); /* NULL does nothing */

#endif
