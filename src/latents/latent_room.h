/* Makes room in a folder of latent blocks. Blocks go that were unused for longest;
   one look at the folder finds them, however many there are. */
#ifndef MS_LATENTS_LATENT_ROOM_H
#define MS_LATENTS_LATENT_ROOM_H

#include <time.h>

#include "base/mem.h"

#define MS_LATENT_NAME_BYTES 64

/* A block's file name, made of the model's and the block's key; and the keys of a
   name: false for any other name. */
void ms_latent_name(uint64_t model, uint64_t block, char ret_name[MS_LATENT_NAME_BYTES]);
bool ms_latent_name_read(const char *name, uint64_t *ret_model, uint64_t *ret_block);

typedef struct ms_latent_room ms_latent_room;

typedef struct ms_latent_room_params {
    ms_mem *mem;
    int folder; /* borrowed */
    uint64_t most_bytes;
    time_t before;              /* blocks that were touched before then may go */
    bool (*stopped)(void *arg); /* asked often; NULL = never */
    void *arg;
} ms_latent_room_params;

ms_status ms_latent_room_create(const ms_latent_room_params *params, ms_latent_room **ret_room,
                                ms_error *err);
void ms_latent_room_destroy(ms_latent_room **room);

/* Memory that it takes. */
size_t ms_latent_room_bytes(void);

/* Removes blocks until so many bytes more fit. MS_BUDGET: the rest is in use. MS_CANCELLED. */
ms_status ms_latent_room_make(ms_latent_room *room, uint64_t bytes, ms_error *err);

/* How often the folder was looked through. */
int64_t ms_latent_room_looks(const ms_latent_room *room);

#endif
