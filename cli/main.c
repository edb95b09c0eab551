/* The `memsafe` command: finds the sub-command and hands over. */
#include <stdio.h>
#include <string.h>

#include "commands/commands.h"
#include "memsafe/library.h"
#include "console/program.h"

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
    if (strcmp(name, "serve-worker") == 0) /* not typed by anybody: serve/worker */
        return cli_serve_worker(argc - 1, argv + 1);
    if (strcmp(name, "run-worker") == 0) /* likewise: workers/ */
        return cli_run_worker(argc - 1, argv + 1);
    if (strcmp(name, "batch-worker") == 0) /* likewise: batch/ */
        return cli_batch_worker(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        argv[1] = help[0];
    return cli_dispatch(cli_commands, argc - 1, argv + 1);
}

int main(int argc, char **argv) {
    return cli_program(argc, argv, run);
}
