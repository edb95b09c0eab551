#include "console/signals.h"

#include <signal.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

static void on_hangup(void (*act)(int)) {
    if (signal(SIGHUP, act) == SIG_IGN) /* nohup */
        signal(SIGHUP, SIG_IGN);
}

void cli_catch_signals(void) {
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    on_hangup(on_signal);
}

void cli_let_hangup_end(void) {
    on_hangup(SIG_DFL);
}

bool cli_interrupted(void *arg) {
    (void)arg;
    return interrupted != 0;
}
