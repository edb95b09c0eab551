/* What is put into the program by embed.cmake: texts that end with a zero, which is not counted. */
#ifndef SERVE_EMBEDDED_H
#define SERVE_EMBEDDED_H

#include <stddef.h>

extern const unsigned char serve_page[];
extern const size_t serve_page_bytes;
extern const unsigned char serve_openapi[];
extern const size_t serve_openapi_bytes;

#endif
