#include "text/text.h"

#include <stdio.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at text, 0 when there is none (Unicode 15, table 3-7). */
static size_t sequence_bytes(const unsigned char *text, size_t length) {
    unsigned char lead = text[0];
    if (lead < 0x80)
        return 1;
    size_t bytes = lead >= 0xc2 && lead <= 0xdf   ? 2
                   : lead >= 0xe0 && lead <= 0xef ? 3
                   : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                  : 0;
    if (!bytes || bytes > length)
        return 0;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

size_t ms_utf8_valid_bytes(const char *text, size_t length) {
    size_t at = 0;
    while (at < length) {
        size_t bytes = sequence_bytes((const unsigned char *)text + at, length - at);
        if (!bytes)
            break;
        at += bytes;
    }
    return at;
}

size_t ms_utf8_encode(uint32_t code_point, char ret_bytes[4]) {
    if (code_point < 0x80) {
        ret_bytes[0] = (char)code_point;
        return 1;
    }
    size_t bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned char leads[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = bytes - 1; i > 0; i--, code_point >>= 6)
        ret_bytes[i] = (char)(0x80 | (code_point & 0x3f));
    ret_bytes[0] = (char)(leads[bytes] | code_point);
    return bytes;
}

const char *ms_quote(char ret_quoted[MS_QUOTE_BYTES], const char *text, size_t length) {
    size_t used = 0, at = 0;
    while (at < length) {
        const unsigned char *p = (const unsigned char *)text + at;
        size_t bytes = sequence_bytes(p, length - at);
        /* Besides the ASCII controls, U+0080 to U+009F can steer a terminal. */
        int plain = bytes && *p >= 0x20 && *p != 0x7f && !(*p == 0xc2 && p[1] < 0xa0);
        size_t need = plain ? bytes : 4;
        if (used + need + 4 > MS_QUOTE_BYTES) {
            memcpy(ret_quoted + used, "...", 3);
            used += 3;
            break;
        }
        if (plain)
            memcpy(ret_quoted + used, p, bytes);
        else
            snprintf(ret_quoted + used, 5, "\\x%02x", *p);
        used += need;
        at += plain ? bytes : 1;
    }
    ret_quoted[used] = 0;
    return ret_quoted;
}
