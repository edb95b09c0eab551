#include "console/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/error.h"
#include "console/console.h"
#include "memsafe/libav_log.h"
#include "memsafe/log.h"

/* One heap for all threads: with one for each, the peaks of equal small runs lay up to 2 MB apart,
   by which thread happened to allocate first. Kernels and networks allocate nothing under way. */
static void share_the_heap(void) {
#if defined(__GLIBC__)
    mallopt(M_ARENA_MAX, 1);
#endif
}

/* What was printed and could not be written (a full disk) must not look like
   success. Whoever closed the pipe had read enough. */
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

/* A file that took the place of a stream that was closed would get what is printed, or be a worker's. */
static void fill_streams(void) {
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd > STDERR_FILENO)
        close(fd);
}

/* Cards are numbered as `nvidia-smi` and `memsafe probe` number them, and nobody else in this process needs a
   card's stack and heap: docs/cuda.md. */
static void set_up_cuda(void) {
    setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0);
    setenv("MEMSAFE_CUDA_LIMITS", "least", 0);
}

/* Why it is not the card that does the work. Commands report the rest themselves, or do without. */
static void tell_of_device(void *arg, const ms_log_message *m) {
    static bool told; /* of as many as are opened; the log calls one at a time */
    (void)arg;
    if (told || strcmp(m->code, "device") != 0)
        return;
    told = true;
    cli_warn(m->code, "%s", m->text);
}

static char output[1 << 16];

int cli_program(int argc, char **argv, int (*run)(int argc, char **argv)) {
    share_the_heap();
    fill_streams();
    set_up_cuda();
    /* the process is the command's own: damage is counted by all that libav says of it */
    ms_libav_log_take(NULL);
    signal(SIGPIPE, SIG_IGN);   /* a reader of progress that ends does not end the run */
    signal(SIGXFSZ, SIG_IGN);   /* a limit of the size of files is an error of what writes them */
    if (!isatty(STDOUT_FILENO)) /* what fits is written at the end, where an error has its number */
        setvbuf(stdout, output, _IOFBF, sizeof(output));
    ms_log_set(tell_of_device, NULL, MS_LOG_WARNING);
    cli_console_look(argc, argv);
    int code = close_output(run(argc, argv));
    cli_console_end(code);
    return code;
}

static const cli_command *the_group[2];

static int run_group(int argc, char **argv) {
    return cli_dispatch(the_group, argc, argv);
}

int cli_program_of(const cli_command *group, int argc, char **argv) {
    char name[64];
    snprintf(name, sizeof(name), "%s", group->name);
    the_group[0] = group;
    argv[0] = name;
    return cli_program(argc, argv, run_group);
}
