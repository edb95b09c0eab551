/* What reader and writer of safetensors agree on. */
#ifndef MS_FORMATS_SAFETENSORS_H
#define MS_FORMATS_SAFETENSORS_H

#include <stdint.h>

#define MS_SAFETENSORS_LENGTH_BYTES 8
#define MS_SAFETENSORS_MAX_HEADER_BYTES 100000000
#define MS_SAFETENSORS_METADATA "__metadata__"

/* What the first eight bytes of a file say. */
static inline uint64_t ms_safetensors_header_bytes(const unsigned char *length) {
    uint64_t bytes = 0;
    for (int i = 0; i < MS_SAFETENSORS_LENGTH_BYTES; i++)
        bytes |= (uint64_t)length[i] << (8 * i);
    return bytes;
}

#endif
