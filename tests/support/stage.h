/* Running `memsafe-stage` in tests, and comparing what it writes with golden files. */
#ifndef MS_TESTS_SUPPORT_STAGE_H
#define MS_TESTS_SUPPORT_STAGE_H

#include <sys/wait.h>

#include "support/models/tensors.h"

/* Put behind the words of every run: the device, where it is not the processor. */
static const char *stage_device = "";

/* Runs the program; words are split at blanks, so paths with blanks will not do. */
static inline int run(const char *fmt, ...) {
    char line[8192];
    va_list ap;
    va_start(ap, fmt);
    int n = snprintf(line, sizeof(line), "%s ", MS_STAGE_PATH);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    snprintf(line + n, sizeof(line) - (size_t)n, " %s", stage_device);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline const char *out_path(void) {
    static char path[256];
    snprintf(path, sizeof(path), "%s/stage-out.%d.safetensors", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid());
    return path;
}

/* Skips the test when a golden file is not there. */
static inline void need(char path[512], const char *rel) {
    if (!golden_path(path, 512, rel)) {
        print_message("    skipped: %s is not there\n", rel);
        skip();
    }
}

/* The folder of a golden file that may be in the bare clone's set or only in the whole one. */
static inline void need_model(char dir[512], const char *file) {
    need(dir, file);
    *strrchr(dir, '/') = 0;
}

typedef struct pair {
    ms_tensor_file *golden, *actual;
} pair;

static inline pair open_pair(const char *golden) {
    ms_error err;
    pair p = {0};
    assert_ms_ok(ms_tensor_file_open(NULL, golden, &p.golden, &err), &err);
    assert_ms_ok(ms_tensor_file_open(NULL, out_path(), &p.actual, &err), &err);
    return p;
}

static inline void close_pair(pair *p) {
    ms_tensor_file_close(&p->golden);
    ms_tensor_file_close(&p->actual);
    unlink(out_path());
}

static inline void compare(const pair *p, const char *actual, const char *golden,
                           const test_selection *selection, test_tolerance tolerance) {
    test_tensor a = test_tensor_read(p->actual, actual), g = test_tensor_read(p->golden, golden);
    if (!selection)
        assert_int_equal(a.elements, g.elements);
    test_compare(golden, &a, &g, selection, tolerance);
    free(a.data);
    free(g.data);
}

#endif
