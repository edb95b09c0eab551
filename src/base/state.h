/*
 * Saving and restoring what goes on from frame to frame. One function visits a
 * part's fields for both directions, so that they cannot disagree. The bytes are
 * for the same build on the same machine type: a journal says which.
 */
#ifndef MS_BASE_STATE_H
#define MS_BASE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No video has so many, and sums and differences of such numbers do not overflow. */
#define MS_STATE_MOST_FRAMES ((int64_t)1 << 53)

#define MS_STATE_BYTES 4096 /* holds the whole front of a run: about 3.2 kB */

typedef struct ms_state {
    bool saving;
    bool failed;   /* saving: no room. Restoring: too short, or a value that cannot be */
    size_t length; /* of what is saved */
    size_t at;
    uint8_t bytes[MS_STATE_BYTES];
} ms_state;

void ms_state_begin_saving(ms_state *state);
void ms_state_begin_restoring(ms_state *state); /* of bytes and length */

/* Whether all was restored and nothing is left over. */
bool ms_state_whole(const ms_state *state);

void ms_state_visit(ms_state *state, void *field, size_t bytes);
void ms_state_bool(ms_state *state, bool *field); /* restoring takes 0 and 1 only */

/* Restoring: fails the state where one is not finite, and sets it to 0. */
void ms_state_floats(ms_state *state, float *field, size_t count);

/* Restoring: fails the state unless the value is within the bounds, and sets it to the lower one. */
void ms_state_int(ms_state *state, int *field, int lowest, int highest);
void ms_state_int64(ms_state *state, int64_t *field, int64_t lowest, int64_t highest);

#endif
