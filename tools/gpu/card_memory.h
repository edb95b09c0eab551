/* How much of a card's memory is used while something goes on, asked of NVIDIA's management library. */
#ifndef MS_TOOLS_GPU_CARD_MEMORY_H
#define MS_TOOLS_GPU_CARD_MEMORY_H

#include <stddef.h>

typedef struct card_memory card_memory;

/* Begins to ask, every few milliseconds, on a thread of its own. NULL for no slot, or where the library is
   not there. slot: as nvidia-smi writes it, "00000000:01:00.0". */
card_memory *card_memory_watch(const char *slot);
/* Bytes that were used at the most besides those when it began; all processes count. 0 for NULL. */
size_t card_memory_most(card_memory *watch);
void card_memory_end(card_memory **watch);

#endif
