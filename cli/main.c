/* The `memsafe` command: finds the sub-command and hands over. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/error.h"
#include "commands.h"
#include "console.h"
#include "memsafe/libav_log.h"
#include "memsafe/library.h"

/* One heap for all threads: with one for each, the peaks of equal small runs lay up to 2 MB apart, by which thread happened to
   allocate first. Kernels and networks allocate nothing under way. */
static void share_the_heap(void) {
#if defined(__GLIBC__)
    mallopt(M_ARENA_MAX, 1);
#endif
}

/* "memsafe 0.1.0", then what this build has and what it has not. */
static void print_version(void) {
    printf("memsafe %s\n", ms_version());
    for (int have = 1; have >= 0; have--) {
        int listed = 0;
        for (int f = 0; ms_feature_name((ms_feature)f); f++)
            if (ms_has_feature((ms_feature)f) == have)
                printf("%s %s", listed++ ? "" : have ? "with" : "without", ms_feature_name((ms_feature)f));
        printf("%s", listed ? "\n" : "");
    }
}

static int run(int argc, char **argv) {
    char *help[] = {"help", NULL};
    if (argc < 2) {
        cli_dispatch(cli_commands, 1, help);
        return ms_status_exit_code(MS_INVALID_ARGUMENT);
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-version") == 0 || strcmp(name, "version") == 0 ||
        strcmp(name, "-V") == 0) {
        print_version();
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        argv[1] = help[0];
    return cli_dispatch(cli_commands, argc - 1, argv + 1);
}

/* What was printed and could not be written (a full disk) must not look like success. Whoever closed the pipe had read
   enough. */
static int close_output(int code) {
    int error = cli_flush_output();
    if (!error || error == EPIPE)
        return code;
    ms_error err;
    ms_error_clear(&err);
    ms_fail(&err, MS_IO, "cannot write to the standard output%s%s", error > 0 ? ": " : "",
            error > 0 ? strerror(error) : "");
    int failed_code = cli_fail(&err);
    return code ? code : failed_code;
}

static char output[1 << 16];

int main(int argc, char **argv) {
    share_the_heap();
    ms_libav_log_take(
        NULL); /* the process is the command's own: damage is counted by all that libav says of it */
    signal(SIGPIPE, SIG_IGN);   /* a reader of progress that ends does not end the run */
    if (!isatty(STDOUT_FILENO)) /* what fits is written at the end, where an error has its number */
        setvbuf(stdout, output, _IOFBF, sizeof(output));
    cli_console_look(argc, argv);
    int code = close_output(run(argc, argv));
    cli_console_end(code);
    return code;
}
