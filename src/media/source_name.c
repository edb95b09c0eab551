#include "media/source_name.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "files/numbered.h"

/* As RFC 3986 has schemes; one letter alone is a drive to some, and nothing here. */
static bool is_address(const char *path) {
    const char *end = strstr(path, "://");
    if (!end || end - path < 2 || !isalpha((unsigned char)path[0]))
        return false;
    for (const char *c = path; c < end; c++)
        if (!isalnum((unsigned char)*c) && *c != '+' && *c != '-' && *c != '.')
            return false;
    return true;
}

static bool is_standard_input(const char *path) {
    return strcmp(path, "-") == 0 || strcmp(path, "pipe:") == 0 || strcmp(path, "pipe:0") == 0;
}

ms_status ms_source_fail_pipe(const char *path, ms_error *err) {
    return ms_fail(
        err, MS_IO,
        "cannot read %s: it is a pipe or device, and media is read more than once; save it to a file "
        "first: ffmpeg -i %s -c copy in.mkv",
        path, path);
}

/* No file has the name. */
static ms_status check_kind(const char *path, ms_error *err) {
    if (is_address(path))
        return ms_fail(err, MS_UNSUPPORTED,
                       "%s is an address: memsafe reads files and never the network; download it first",
                       path);
    if (is_standard_input(path))
        return ms_fail(err, MS_UNSUPPORTED,
                       "%s: standard input is not read, for media is read more than once; save it to a file "
                       "first: ffmpeg -i - -c copy in.mkv",
                       path);
    if (strncmp(path, "file:", 5) == 0 && access(path + 5, F_OK) == 0)
        return ms_fail(err, MS_UNSUPPORTED, "%s: give the file's name alone, without \"file:\"", path);
    return MS_OK;
}

ms_status ms_source_name_check(const char *path, ms_error *err) {
    if (access(path, F_OK) == 0)
        return MS_OK;
    MS_TRY(check_kind(path, err));
    if (ms_numbered_is(path))
        return ms_fail(err, MS_UNSUPPORTED,
                       "%s: numbered pictures are read as a video alone, they have no sound", path);
    return MS_OK;
}

ms_status ms_source_name_numbered(const char *path, bool *ret_numbered, ms_error *err) {
    *ret_numbered = ms_numbered_is(path);
    return *ret_numbered ? check_kind(path, err) : MS_OK;
}
