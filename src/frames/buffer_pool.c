#include "frames/buffer_pool.h"

#include <pthread.h>
#include <string.h>

#include "base/error.h"

/* A buffer that is not out holds the list of the others in its first bytes: putting one back cannot fail. */
typedef struct spare {
    struct spare *next;
} spare;

struct ms_buffer_pool {
    ms_mem *mem;
    size_t bytes;
    bool kept; /* for the next who asks */
    pthread_mutex_t lock;
    spare *spares;
};

ms_status ms_buffer_pool_create(ms_mem *mem, size_t buffer_bytes, bool kept, ms_buffer_pool **ret_pool,
                                ms_error *err) {
    ms_buffer_pool *p = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*p));
    if (!p)
        return ms_fail_alloc(err, mem, sizeof(*p), "a pool of buffers");
    p->mem = mem;
    p->kept = kept;
    p->bytes = buffer_bytes < sizeof(spare) ? sizeof(spare) : buffer_bytes;
    pthread_mutex_init(&p->lock, NULL);
    *ret_pool = p;
    return MS_OK;
}

void ms_buffer_pool_destroy(ms_buffer_pool **pool) {
    if (!pool || !*pool)
        return;
    for (spare *s = (*pool)->spares; s;) {
        spare *next = s->next;
        ms_mem_free(s);
        s = next;
    }
    pthread_mutex_destroy(&(*pool)->lock);
    ms_mem_free(*pool);
    *pool = NULL;
}

void *ms_buffer_pool_take(ms_buffer_pool *p, const char *what, ms_error *err) {
    pthread_mutex_lock(&p->lock);
    spare *s = p->spares;
    if (s)
        p->spares = s->next;
    pthread_mutex_unlock(&p->lock);
    if (s)
        return s;
    void *fresh = ms_mem_alloc(p->mem, MS_LEDGER_FRAMES, p->bytes);
    if (!fresh)
        ms_fail_alloc(err, p->mem, p->bytes, what);
    return fresh;
}

void ms_buffer_pool_put(ms_buffer_pool *p, void *buffer) {
    if (!buffer)
        return;
    if (!p->kept) {
        ms_mem_free(buffer);
        return;
    }
    spare *s = buffer;
    pthread_mutex_lock(&p->lock);
    s->next = p->spares;
    p->spares = s;
    pthread_mutex_unlock(&p->lock);
}

ms_status ms_buffer_pool_fill(ms_buffer_pool *p, int64_t count, ms_error *err) {
    for (int64_t i = 0; i < count && p->kept; i++) {
        void *fresh = ms_mem_alloc(p->mem, MS_LEDGER_FRAMES, p->bytes);
        if (!fresh)
            return ms_fail_alloc(err, p->mem, p->bytes, "frames and faces");
        memset(fresh, 0, p->bytes);
        ms_buffer_pool_put(p, fresh);
    }
    return MS_OK;
}
