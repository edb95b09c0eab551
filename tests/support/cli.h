/* Running the command from tests. */
#ifndef MS_TESTS_SUPPORT_CLI_H
#define MS_TESTS_SUPPORT_CLI_H

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* A fresh folder for the test program's files; the same one on every call. */
static inline const char *test_dir(void) {
    static char dir[256];
    if (!dir[0]) {
        snprintf(dir, sizeof(dir), "%s/memsafe-test.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
        if (!mkdtemp(dir))
            fail_msg("cannot make a folder for the test");
    }
    return dir;
}

static inline void test_dir_remove(void) {
    char line[300];
    snprintf(line, sizeof(line), "rm -rf %s", test_dir());
    if (system(line) != 0)
        print_message("could not remove %s\n", test_dir());
}

/* test_dir()/name, in one of a few buffers that are used in turn. */
static inline const char *test_file(const char *name) {
    static char paths[32][512];
    static int next;
    char *path = paths[next++ % 32];
    snprintf(path, 512, "%s/%s", test_dir(), name);
    return path;
}

/* FNV-1a of a file's bytes. */
static inline uint64_t test_hash_file(const char *path) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint64_t hash = 0xcbf29ce484222325u;
    for (int c; (c = fgetc(f)) != EOF;)
        hash = (hash ^ (uint64_t)c) * 0x100000001b3u;
    fclose(f);
    return hash;
}

/* The history that commands keep; a file of test_dir(), until a test names another one or "off". The user's
   stays as it is, and the machine's speed is measured once. */
static bool test_has_history;

static inline void test_set_history(const char *file) {
    test_has_history = true;
    setenv("MEMSAFE_HISTORY", file, 1);
}

/* What a command printed, cut to this size. */
static char test_output[16384];

/* Runs a line of shell; what it printed is in test_output afterwards. Returns the
   exit code, -1 after a signal. */
static inline int test_shell(const char *line) {
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t got = fread(test_output, 1, sizeof(test_output) - 1, pipe);
    test_output[got] = 0;
    char rest[4096];
    while (fread(rest, 1, sizeof(rest), pipe) > 0) {
    }
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Runs a line of shell, made as printf() makes it; a test whose line fails fails. */
__attribute__((format(printf, 1, 2))) static inline void shell(const char *format, ...) {
    char line[4096];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    if (system(line) != 0)
        fail_msg("failed: %s", line);
}

/* Runs a program through the shell; what it printed (both streams) is in
   test_output afterwards. Returns the exit code. */
static inline int test_program(const char *program, const char *fmt, ...) {
    char line[8192];
    va_list ap;
    if (!test_has_history)
        test_set_history(test_file("speed.db"));
    va_start(ap, fmt);
    int n = snprintf(line, sizeof(line), "%s ", program);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    snprintf(line + n, sizeof(line) - (size_t)n, " 2>&1");
    return test_shell(line);
}

/* The command. */
#define test_run(...) test_program(MS_CLI_PATH, __VA_ARGS__)

/* Runs it and checks its exit code and that the output has a text. */
#define assert_run_fails(code, text, ...) assert_program_fails(MS_CLI_PATH, code, text, __VA_ARGS__)
#define assert_program_fails(program, code, text, ...)                                                       \
    do {                                                                                                     \
        int run_code_ = test_program(program, __VA_ARGS__);                                                  \
        if (run_code_ != (code) || !strstr(test_output, text))                                               \
            fail_msg("exit %d (want %d), wanted \"%s\" in: %s", run_code_, code, text, test_output);         \
    } while (0)

#define assert_run_works(...) assert_program_works(MS_CLI_PATH, __VA_ARGS__)
#define assert_program_works(program, ...)                                                                   \
    do {                                                                                                     \
        int run_code_ = test_program(program, __VA_ARGS__);                                                  \
        if (run_code_ != 0)                                                                                  \
            fail_msg("exit %d: %s", run_code_, test_output);                                                 \
    } while (0)

/* Files in a folder whose name contains a text. */
static inline bool test_exists(const char *path) {
    return access(path, F_OK) == 0;
}

#endif
