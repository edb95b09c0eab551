/* Running the command and measuring the most memory that it held. */
#ifndef MS_TESTS_SUPPORT_PEAK_H
#define MS_TESTS_SUPPORT_PEAK_H

#include <sys/resource.h>

#include "support/cli.h"

/* As test_run(), with the peak of the resident set. */
static inline int test_run_peak(size_t *ret_bytes, const char *fmt, ...) {
    char line[4096];
    va_list ap;
    struct rusage usage;
    int status = 0;
    setenv("MEMSAFE_HISTORY", "off", 0);
    int n = snprintf(line, sizeof(line), "exec %s ", MS_CLI_PATH);
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    snprintf(line + n, sizeof(line) - (size_t)n, " >%s 2>&1", test_file("peak.out"));
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0 && wait4(child, &status, 0, &usage) == child);
    FILE *out = fopen(test_file("peak.out"), "r");
    assert_non_null(out);
    test_output[fread(test_output, 1, sizeof(test_output) - 1, out)] = 0;
    fclose(out);
    *ret_bytes = (size_t)usage.ru_maxrss * 1024;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The command ends with that code and text, within so many bytes (sanitizers have memory of their own). */
#ifdef SANITIZED
#define TEST_PEAK_COUNTS 0
#else
#define TEST_PEAK_COUNTS 1
#endif
#define assert_run_within(limit, code, text, ...)                                                            \
    do {                                                                                                     \
        size_t peak_;                                                                                        \
        int peak_code_ = test_run_peak(&peak_, __VA_ARGS__);                                                 \
        if (peak_code_ != (code) || !strstr(test_output, text))                                              \
            fail_msg("exit %d (want %d), wanted \"%s\" in: %s", peak_code_, code, text, test_output);        \
        if (TEST_PEAK_COUNTS && peak_ > (size_t)(limit))                                                     \
            fail_msg("held %zu bytes of %zu: %s", peak_, (size_t)(limit), test_output);                      \
    } while (0)

#endif
