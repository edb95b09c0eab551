/* Runs of the command that are killed and go on, in a folder of the test's own. */
#ifndef MS_TESTS_SUPPORT_RESUME_H
#define MS_TESTS_SUPPORT_RESUME_H

#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "support/run_inputs.h"

#define FRAMES 40 /* of the clip; FFV1, some 50 KB each, so that a reader's buffers hold few */

static inline int prepare(void **state) {
    (void)state;
    test_make_job_inputs(FRAMES, 280);
    return 0;
}

static inline int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* Everything but the output, in test_dir(). */
#define ARGUMENTS                                                                                            \
    "run --audio in.wav --model model --steps 1 --guidance 1 --resolution 64 --segment 10 --track in.jsonl "
#define SHORT ARGUMENTS "--video in.avi --frames 60 "
#define SHORTEST ARGUMENTS "--video in.avi --frames 8 "

static inline void enter_dir(void) {
    assert_int_equal(chdir(test_dir()), 0);
}

static inline void assert_same_bytes(const char *a, const char *b) {
    char line[1200];
    snprintf(line, sizeof(line), "cmp %s %s", a, b);
    assert_int_equal(system(line), 0);
}

/* The command in the background. */
static inline pid_t start(const char *arguments, const char *log) {
    char line[2048], *words[64];
    int n = 0;
    snprintf(line, sizeof(line), "memsafe %s", arguments);
    for (char *w = strtok(line, " "); w && n < 63; w = strtok(NULL, " "))
        words[n++] = w;
    words[n] = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(fd, 1);
        dup2(fd, 2);
        execv(MS_CLI_PATH, words);
        _exit(99);
    }
    return pid;
}

static inline void sleep_ms(int ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* Until a file is there; false: the process ended before. */
static inline bool await_file(pid_t pid, const char *path, int *ret_status) {
    while (!test_exists(path)) {
        if (waitpid(pid, ret_status, WNOHANG) == pid)
            return test_exists(path);
        sleep_ms(2);
    }
    return true;
}

/* The same until it has so many bytes, which it must come to. */
static inline void await_size(pid_t pid, const char *path, long long bytes) {
    struct stat st = {0};
    int status = 0;
    while (stat(path, &st) != 0 || st.st_size < bytes) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            fail_msg("it ended before %s had %lld bytes", path, bytes);
        sleep_ms(2);
    }
}

static inline int await_end(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void read_log(const char *path) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(test_output, 1, sizeof(test_output) - 1, f);
    test_output[n] = 0;
    fclose(f);
}

static inline void assert_log_says(const char *path, const char *text) {
    read_log(path);
    if (!strstr(test_output, text))
        fail_msg("wanted \"%s\" in: %s", text, test_output);
}

#endif
