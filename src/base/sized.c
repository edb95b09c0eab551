#include "base/sized.h"

#include "memsafe/version.h"

ms_status ms_sized_check(const char *function, const char *name, size_t bytes, size_t known_bytes,
                         ms_error *err) {
    const int length = ms_error_name_length(function);
    if (bytes == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%.*s(): %s has a size of 0 bytes", length, function, name);
    if (bytes > known_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%.*s(): %s has %zu bytes, of which memsafe %s knows %zu: the program was compiled "
                       "against a newer memsafe",
                       length, function, name, bytes, MS_VERSION_TEXT, known_bytes);
    return MS_OK;
}

void ms_sized_fill(void *to, size_t bytes, const void *from, size_t known_bytes) {
    if (!to)
        return;
    memcpy(to, from, bytes < known_bytes ? bytes : known_bytes);
    if (bytes > known_bytes)
        memset((char *)to + known_bytes, 0, bytes - known_bytes);
}
