#include "console/signals.h"

#include <signal.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

void cli_catch_signals(void) {
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (signal(SIGHUP, on_signal) == SIG_IGN) /* nohup */
        signal(SIGHUP, SIG_IGN);
}

bool cli_interrupted(void *arg) {
    (void)arg;
    return interrupted != 0;
}
