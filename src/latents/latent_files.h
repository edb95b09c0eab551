/*
 * A folder of latent blocks, shared by any number of runs at a time: a block a file,
 * MODEL-BLOCK.latents, both parts 16 hexadecimal digits. A file appears under its name only when
 * it is whole (a temporary name, then a rename), is never changed, and may disappear at any time.
 *
 *     0   "MSLC"                     4   u16 version (1)      6   u16 rows
 *     8   u64 model key, twice       24  f64 squared error    32  f32 lowest, f32 highest value
 *     40  u32 CRC-32 of the 40 bytes before and of the keys   44  u32 0
 *     48  keys: u64 twice a row; then a latent block. Integers are little-endian.
 *
 * The files of a folder are kept below a size: before one is written, those that were neither
 * read nor written since this run began go, the longest unused first (latent_room.h). What
 * this run itself uses stays, so that a clip that is larger than the folder may be is found
 * in part next time, where least recently used first would find nothing of it.
 */
#ifndef MS_LATENTS_LATENT_FILES_H
#define MS_LATENTS_LATENT_FILES_H

#include "base/mem.h"

typedef struct ms_latent_key {
    uint64_t word[2];
} ms_latent_key;

typedef struct ms_latent_files ms_latent_files;

/* What a file says besides its block. */
typedef struct ms_latent_file_head {
    int rows;
    double squared_error; /* 0 = exact */
    float low, high;
} ms_latent_file_head;

typedef struct ms_latent_files_params {
    ms_mem *mem;
    const char *dir;
    uint64_t most_bytes, model_key[2];
    /* asked now and then while the folder is looked through or emptied; NULL = never */
    bool (*stopped)(void *arg);
    void *arg;
} ms_latent_files_params;

/* Makes the folder if it is not there (its parent must be) and removes what killed
   runs left behind. MS_IO where files cannot be made in it. */
ms_status ms_latent_files_open(const ms_latent_files_params *params, ms_latent_files **ret_files,
                               ms_error *err);
void ms_latent_files_close(ms_latent_files **files);

/* Calls found for every file of this model with at most max_rows rows; false ends the search. */
void ms_latent_files_search(ms_latent_files *files, int max_rows,
                            bool (*found)(void *arg, uint64_t block, const ms_latent_file_head *head,
                                          const ms_latent_key *keys),
                            void *arg);

/* The latent block of a file, which must hold exactly these keys, to dst. MS_IO, MS_BAD_MEDIA. */
ms_status ms_latent_files_read(ms_latent_files *files, uint64_t block, const ms_latent_key *keys, int rows,
                               void *dst, size_t room, size_t *ret_bytes, ms_error *err);

/* MS_BUDGET: the folder is full of what this run uses. MS_CANCELLED: stopped while it was emptied. */
ms_status ms_latent_files_write(ms_latent_files *files, uint64_t block, const ms_latent_file_head *head,
                                const ms_latent_key *keys, const void *data, size_t bytes, ms_error *err);

/* Removes a file, so that nobody reads it again. */
void ms_latent_files_remove(ms_latent_files *files, uint64_t block);

#endif
