/* What the emulated card is told so that it finds more; a card is not. */
#ifndef MS_DEVICE_CUDA_MEMORY_WATCH_H
#define MS_DEVICE_CUDA_MEMORY_WATCH_H

#ifdef MS_CUDA_EMULATED

#include "device/simt/runtime/watch.h"

/* Between blocks, so that what runs over a block's end hits nobody. */
#define CUDA_GAP_BYTES ((size_t)512)

#else

#include <stdbool.h>
#include <stddef.h>

#define CUDA_GAP_BYTES ((size_t)0)

static inline bool simt_watch_hold(const void *block, size_t bytes) {
    (void)block;
    (void)bytes;
    return true;
}

static inline void simt_watch_drop(const void *block) {
    (void)block;
}

static inline void simt_watch_launch(const char *kernel) {
    (void)kernel;
}

#endif

#endif
