/* What the CUDA back end tells the emulated card besides, since it cuts its memory into blocks by itself. */
#ifndef MS_DEVICE_SIMT_RUNTIME_WATCH_H
#define MS_DEVICE_SIMT_RUNTIME_WATCH_H

#include <stdbool.h>
#include <stddef.h>

/* So many bytes of mapped memory are a block from here on: its bytes are NaNs, and what lies between
   blocks is poison for the address sanitizer. Work that was given bytes of no block ends the program.
   false: as if there were no memory left (MEMSAFE_SIMT_FAIL_ALLOC). */
bool simt_watch_hold(const void *block, size_t bytes);
/* The block is no more. If work that was given touches it, the program ends. */
void simt_watch_drop(const void *block);
/* For messages: what the calling thread launches next. */
void simt_watch_launch(const char *kernel);

#endif
