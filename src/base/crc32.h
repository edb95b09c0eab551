/* CRC-32 as zip and PNG have it (polynomial 0xedb88320, reflected), sixteen bytes a step. */
#ifndef MS_BASE_CRC32_H
#define MS_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

typedef struct ms_crc32_table {
    uint32_t at[16][256];
} ms_crc32_table;

void ms_crc32_init(ms_crc32_table *ret_table);

/* crc is 0 at the start, then what the last call returned. */
uint32_t ms_crc32(const ms_crc32_table *table, uint32_t crc, const void *data, size_t bytes);

#endif
