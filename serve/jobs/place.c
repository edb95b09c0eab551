#include "jobs/place.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "files/full_io.h"
#include "memsafe/plan.h"
#include "memsafe/probe.h"
#include "system/host.h"

#define LOOK_MS 200

/* What the process that looks says. */
typedef struct found {
    jobs_place place;
    ms_status status;
    ms_error err;
} found;

static ms_status free_budget(const char *device, size_t budget_bytes, size_t *ret_bytes, ms_error *err) {
    ms_plan_params p;
    ms_plan_params_init(&p);
    p.device = device;
    p.budget_bytes = budget_bytes;
    return ms_plan_budget(&p, ret_bytes, err);
}

/* Plans know the cards of an architecture by their maker's figures. */
static bool is_known(int arch, size_t device_bytes) {
    char text[16];
    size_t bytes;
    ms_plan_params p;
    ms_plan_params_init(&p);
    snprintf(text, sizeof(text), "sm_%d", arch);
    p.device = "cuda";
    p.device_bytes = device_bytes;
    p.arch = text;
    return ms_plan_budget(&p, &bytes, NULL) == MS_OK;
}

static ms_status look(jobs_place *p, ms_error *err) {
    ms_probe *probe = NULL;
    ms_probe_device d;
    const ms_probe_params params = {.device = p->device, .must_compute = true};
    const size_t before = ms_host_resident_bytes();
    MS_TRY(ms_probe_create(&params, &probe, err));
    const size_t after = ms_host_resident_bytes();
    ms_probe_get_device(probe, &d);
    if (strcmp(p->device, "auto") == 0)
        snprintf(p->device, sizeof(p->device), "%s", d.backend);
    ms_probe_destroy(&probe);
    if (!d.own_memory) { /* the lesser of the two holds */
        if (p->host_budget_bytes && (!p->budget_bytes || p->host_budget_bytes < p->budget_bytes))
            p->budget_bytes = p->host_budget_bytes;
        p->host_budget_bytes = 0;
        return p->budget_bytes ? MS_OK : free_budget(p->device, 0, &p->budget_bytes, err);
    }
    p->device_bytes = d.nominal_bytes;
    p->host_own_bytes = after > before ? after - before : 0;
    p->arch = d.arch && is_known(d.arch, d.nominal_bytes) ? d.arch : 0;
    if (!p->host_budget_bytes)
        MS_TRY(free_budget("cpu", 0, &p->host_budget_bytes, err));
    return free_budget(p->device, p->budget_bytes, &p->budget_bytes, err); /* not more than there is */
}

/* It ends with the server, and at once where it is told to: an opening may take minutes. */
static _Noreturn void look_and_tell(int fd, pid_t server, int lock, const jobs_place *place) {
    found f = {.place = *place};
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    close(lock);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != server)
        _exit(1);
    ms_error_clear(&f.err);
    f.status = look(&f.place, &f.err);
    fflush(NULL); /* what the library warned of */
    _exit(ms_write_full(fd, &f, sizeof(f)) ? 0 : 1);
}

/* All of it, which is written at once, or false: the process has ended, or is not wanted any more. */
static bool hear(int fd, const jobs_place_params *p, found *f) {
    struct pollfd look = {.fd = fd, .events = POLLIN};
    do {
        if (p->ended(p->arg))
            return false;
    } while (poll(&look, 1, LOOK_MS) <= 0);
    return ms_read_full(fd, f, sizeof(*f));
}

static ms_status fail_to_look(const char *device, const char *why, ms_error *err) {
    return ms_fail(err, MS_IO, "the device %s cannot be looked at: %s", device, why);
}

static ms_status listen_to(pid_t pid, int fd, const jobs_place_params *p, const char *device,
                           jobs_place *ret_place, ms_error *err) {
    found f;
    int status = 0;
    const bool told = hear(fd, p, &f), ended = !told && p->ended(p->arg);
    if (ended)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (ended)
        return ms_fail(err, MS_CANCELLED, "cancelled while the device %s was looked at", device);
    if (!told)
        return fail_to_look(
            device, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "the process that did ended", err);
    if (f.status != MS_OK && err)
        *err = f.err;
    *ret_place = f.place;
    return f.status;
}

ms_status jobs_place_find(const jobs_place_params *p, jobs_place *ret_place, ms_error *err) {
    jobs_place asked = {.budget_bytes = p->budget_bytes, .host_budget_bytes = p->host_budget_bytes};
    const char *device = p->device ? p->device : "auto";
    const pid_t server = getpid();
    int pair[2];
    if (snprintf(asked.device, sizeof(asked.device), "%s", device) >= PLACE_DEVICE_BYTES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" is no device", device);
    if (pipe(pair) != 0)
        return fail_to_look(device, strerror(errno), err);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        look_and_tell(pair[1], server, p->lock, &asked);
    const int no_process = errno;
    close(pair[1]);
    ms_status status = pid > 0 ? listen_to(pid, pair[0], p, device, ret_place, err)
                               : fail_to_look(device, strerror(no_process), err);
    close(pair[0]);
    return status;
}
