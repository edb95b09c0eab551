/* Text that came from outside: UTF-8 checks, and making it fit for an error message. */
#ifndef MS_TEXT_TEXT_H
#define MS_TEXT_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes of text are valid UTF-8 (RFC 3629: no surrogates, no overlong forms); length if all are. */
size_t ms_utf8_valid_bytes(const char *text, size_t length);

/* The UTF-8 form of a code point up to 0x10ffff that is no surrogate; returns its length, 1 to 4. */
size_t ms_utf8_encode(uint32_t code_point, char ret_bytes[4]);

#define MS_QUOTE_BYTES 160

/* Text for a message: control characters and bytes that are not UTF-8 become \xNN, a long text ends in "...".
   Returns ret_quoted. */
const char *ms_quote(char ret_quoted[MS_QUOTE_BYTES], const char *text, size_t length);

#endif
