/* Where the golden data lies: a few small files in tests/golden, the rest beside the checkout or where the
   environment variable MEMSAFE_GOLDEN says. */
#ifndef MS_TESTS_SUPPORT_GOLDEN_H
#define MS_TESTS_SUPPORT_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The path of a file named relative to the golden folder ("tiny/unet.yaml"), NULL when it is not there. */
static inline const char *golden_path(char *buf, size_t n, const char *rel) {
    const char *const roots[] = {MS_SOURCE_DIR "/tests/golden", getenv("MEMSAFE_GOLDEN"),
                                 MS_SOURCE_DIR "/../shared/golden", MS_SOURCE_DIR "/../../shared/golden"};
    for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++)
        if (roots[i] && snprintf(buf, n, "%s/%s", roots[i], rel) < (int)n && access(buf, R_OK) == 0)
            return buf;
    return NULL;
}

#endif
