/* Slicing: M. Kounavis and F. Berry, "Novel table lookup-based algorithms for high-performance CRC
   generation", IEEE Transactions on Computers 57(11), 2008. */
#include "base/crc32.h"

#define POLYNOMIAL 0xedb88320u

void ms_crc32_init(ms_crc32_table *ret_table) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (POLYNOMIAL & -(crc & 1));
        ret_table->at[0][i] = crc;
    }
    for (int slice = 1; slice < 16; slice++) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = ret_table->at[slice - 1][i];
            ret_table->at[slice][i] = crc >> 8 ^ ret_table->at[0][crc & 0xff];
        }
    }
}

uint32_t ms_crc32(const ms_crc32_table *table, uint32_t crc, const void *data, size_t bytes) {
    const unsigned char *p = data;
    crc = ~crc;
    for (; bytes >= 16; bytes -= 16, p += 16) {
        uint32_t next = 0;
        for (int i = 0; i < 16; i++)
            next ^= table->at[15 - i][i < 4 ? p[i] ^ (crc >> (8 * i) & 0xff) : p[i]];
        crc = next;
    }
    for (; bytes; bytes--, p++)
        crc = crc >> 8 ^ table->at[0][(crc ^ *p) & 0xff];
    return ~crc;
}
