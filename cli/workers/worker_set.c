#include "workers/worker_set.h"

#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "console/console.h"

#define LOOK_MS 200
#define END_S 60

ms_status cli_worker_set_add(cli_worker_set *s, const cli_worker_order *order,
                             void (*heard)(void *arg, const char *event, const ms_json *line), void *arg,
                             ms_error *err) {
    cli_worker *w = &s->worker[s->count];
    ms_status status = cli_worker_start(w, order, err);
    if (status != MS_OK) {
        cli_worker_set_end(s);
        return status;
    }
    w->heard.heard = heard;
    w->heard.arg = arg;
    s->count++;
    return MS_OK;
}

int cli_worker_set_alive(const cli_worker_set *s) {
    int n = 0;
    for (int i = 0; i < s->count; i++)
        n += s->worker[i].pid != 0;
    return n;
}

void cli_worker_set_listen(cli_worker_set *s) {
    struct pollfd fds[CLI_MAX_WORKERS];
    bool lived[CLI_MAX_WORKERS] = {false};
    for (int i = 0; i < s->count; i++) {
        fds[i] = (struct pollfd){.fd = s->worker[i].fd, .events = POLLIN};
        lived[i] = s->worker[i].pid != 0;
    }
    poll(fds, (nfds_t)s->count, LOOK_MS);
    for (int i = 0; i < s->count; i++) {
        cli_worker_listen(&s->worker[i]);
        if (lived[i] && !s->worker[i].pid)
            s->died(s->arg, i);
    }
}

void cli_worker_set_end(cli_worker_set *s) {
    const double told_s = ms_now_s();
    for (int i = 0; i < s->count; i++) {
        cli_worker_close(&s->worker[i]);
        cli_worker_signal(&s->worker[i], SIGTERM);
    }
    while (cli_worker_set_alive(s) && ms_now_s() - told_s < END_S)
        cli_worker_set_listen(s);
    for (int i = 0; i < s->count; i++)
        cli_worker_kill(&s->worker[i]);
}

void cli_worker_tell_end(const cli_worker *w, const ms_error *err, bool others) {
    cli_warn("worker", "the worker on %s ended: %s%s", w->order.device, err->message,
             others ? "; the others go on" : "");
}
