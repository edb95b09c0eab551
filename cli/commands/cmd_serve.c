/* `memsafe serve`: a server with a queue and a page. What it does is in serve/. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/budget_note.h"
#include "console/console.h"
#include "console/signals.h"
#include "files/new_file.h"
#include "options/device_option.h"
#include "options/history_file.h"
#include "options/model_choice.h"
#include "results/run_report.h"
#include "serve.h"

#define TOKEN_BYTES 512
#define LEAST_TOKEN 16
#define NAME_BYTES 64
#define WEBHOOK_BYTES 512

typedef struct serve_state {
    const char *listen, *data, *device, *token_file, *webhook_key_file, *keep;
    cli_list models, allow, webhook_to;
    uint64_t budget_bytes, host_budget_bytes, max_upload_bytes, keep_bytes, waiting_bytes;
    int waiting, keep_jobs;
    bool demo;
    cli_console_options console;
} serve_state;

static void serve_defaults(void *state) {
    serve_state *s = state;
    s->listen = "127.0.0.1:8080";
    s->keep = "7d";
    s->max_upload_bytes = (uint64_t)2 << 30;
    s->keep_bytes = (uint64_t)20 << 30;
    s->waiting = 1000;
    s->keep_jobs = 10000;
    s->waiting_bytes = (uint64_t)50 << 30;
}

/* What the server borrows. */
static struct {
    char data[CLI_PATH_BYTES], token[TOKEN_BYTES], webhook_key[TOKEN_BYTES];
    char path[CLI_LIST_MAX + 1][CLI_PATH_BYTES], name[CLI_LIST_MAX + 1][NAME_BYTES];
    char allow[CLI_LIST_MAX][PATH_MAX];
    serve_model model[CLI_LIST_MAX + 1];
    const char *allowed[CLI_LIST_MAX];
    char webhook[CLI_LIST_MAX][WEBHOOK_BYTES];
    const char *webhook_to[CLI_LIST_MAX];
    int n_models;
} own;

/* ---- options ---- */

/* "7d", "12h", "30m". */
static ms_status parse_keep(const char *text, int64_t *ret_s, ms_error *err) {
    char *end;
    double value = strtod(text, &end);
    int64_t unit = strcmp(end, "d") == 0   ? 86400
                   : strcmp(end, "h") == 0 ? 3600
                   : strcmp(end, "m") == 0 ? 60
                                           : 0;
    if (end == text || !unit || !(value > 0 && value <= 36500))
        return ms_fail(err, MS_INVALID_ARGUMENT, "--keep: \"%s\" is not like 7d, 12h or 30m", text);
    *ret_s = (int64_t)(value * (double)unit);
    return MS_OK;
}

static ms_status choose_data(const serve_state *s, ms_error *err) {
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n = s->data                  ? snprintf(own.data, sizeof(own.data), "%s", s->data)
            : data && data[0] == '/' ? snprintf(own.data, sizeof(own.data), "%s/memsafe/serve", data)
            : home && home[0] == '/'
                ? snprintf(own.data, sizeof(own.data), "%s/.local/share/memsafe/serve", home)
                : -1;
    return n > 0 && (size_t)n < sizeof(own.data)
               ? MS_OK
               : ms_fail(err, MS_INVALID_ARGUMENT,
                         "--data is missing, and there is no home folder to have it in");
}

/* Who else can read it can ask as its owner does. In a container nobody else is there, and its secrets have
   mode 444. */
static void warn_of_readers(const char *what, const char *file, FILE *f) {
    static const char secrets[] = "/run/secrets/";
    struct stat s;
    if (strncmp(file, secrets, sizeof(secrets) - 1) != 0 && f && fstat(fileno(f), &s) == 0 &&
        S_ISREG(s.st_mode) && (s.st_mode & (S_IRGRP | S_IROTH)))
        cli_warn("open-secret", "the %s in %s can be read by others (mode %03o): chmod go-rwx", what, file,
                 (unsigned)(s.st_mode & 0777));
}

/* The first line of a file, else a variable; "": neither is named. what: "token", for messages. */
static ms_status read_secret(const char *what, const char *file, const char *variable,
                             char ret_text[TOKEN_BYTES], ms_error *err) {
    char *given = getenv(variable);
    ret_text[0] = 0;
    if (file) {
        FILE *f = fopen(file, "r");
        if (!f || !fgets(ret_text, TOKEN_BYTES, f))
            ret_text[0] = 0;
        warn_of_readers(what, file, f);
        if (f)
            fclose(f);
        ret_text[strcspn(ret_text, "\r\n")] = 0;
        if (!f || !ret_text[0])
            return ms_fail(err, MS_IO, "no %s can be read from %s%s%s", what, file, f ? "" : ": ",
                           f ? "" : strerror(errno));
    } else if (given) {
        snprintf(ret_text, TOKEN_BYTES, "%s", given);
    }
    if (given) { /* the server's workers do not inherit it, and /proc does not show it */
        memset(given, 0, strlen(given));
        unsetenv(variable);
    }
    if (ret_text[0] && strlen(ret_text) < LEAST_TOKEN)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s has %zu characters; %d are the least", what,
                       strlen(ret_text), LEAST_TOKEN);
    return MS_OK;
}

/* An address begins with it where the host's name ends in it: "http://host" becomes "http://host/". */
static ms_status take_webhook(const char *text, char ret_text[WEBHOOK_BYTES], ms_error *err) {
    const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : "";
    if (!host[0] || host[0] == '/' || strpbrk(text, "@\\ ") || strlen(text) + 2 > WEBHOOK_BYTES)
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "--webhook-to: \"%.200s\" is not how an address begins, like https://example.org/hooks/", text);
    snprintf(ret_text, WEBHOOK_BYTES, "%s%s", text, strchr(host, '/') ? "" : "/");
    return MS_OK;
}

static ms_status find_webhooks(const serve_state *s, ms_error *err) {
    MS_TRY(read_secret("webhook key", s->webhook_key_file, "MEMSAFE_WEBHOOK_KEY", own.webhook_key, err));
    for (int i = 0; i < s->webhook_to.count; i++) {
        MS_TRY(take_webhook(s->webhook_to.items[i], own.webhook[i], err));
        own.webhook_to[i] = own.webhook[i];
    }
    if (s->webhook_to.count && !own.webhook_key[0])
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "--webhook-to needs --webhook-key-file: what is told is signed with it");
    if (s->webhook_key_file && !s->webhook_to.count)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "--webhook-key-file needs --webhook-to: who may be told of a job's end");
    return MS_OK;
}

static ms_status find_folders(const serve_state *s, ms_error *err) {
    for (int i = 0; i < s->allow.count; i++) {
        if (!realpath(s->allow.items[i], own.allow[i]))
            return ms_fail(err, MS_IO, "--allow %s: %s", s->allow.items[i], strerror(errno));
        own.allowed[i] = own.allow[i];
    }
    return MS_OK;
}

/* ---- models ---- */

/* Called by its folder's name; of two that are called the same the second has a number. */
static ms_status add_model(const char *path, ms_error *err) {
    const int i = own.n_models;
    char name[NAME_BYTES];
    if (!realpath(path, own.path[i]))
        return ms_fail(err, MS_BAD_MODEL, "%s: %s", path, strerror(errno));
    snprintf(name, sizeof(name), "%.58s", ms_name_in(own.path[i]));
    snprintf(own.name[i], sizeof(own.name[i]), "%s", name);
    for (int k = 0, number = 2; k < i; k++)
        if (strcmp(own.name[k], own.name[i]) == 0) {
            snprintf(own.name[i], sizeof(own.name[i]), "%.50s-%d", name, number++);
            k = -1;
        }
    own.model[i] = (serve_model){.name = own.name[i], .path = own.path[i]};
    own.n_models++;
    return MS_OK;
}

static ms_status find_models(const serve_state *s, ms_error *err) {
    static cli_models found;
    static cli_model_choice choice;
    const char *model = NULL;
    for (int i = 0; i < s->models.count; i++)
        MS_TRY(add_model(s->models.items[i], err));
    if (!s->models.count && !s->demo) {
        cli_installed_models(CLI_NEEDS_ALL, &found);
        for (int i = 0; i < found.count && i < CLI_MODELS_MAX; i++)
            MS_TRY(add_model(found.path[i], err));
    }
    if (own.n_models && !s->demo)
        return MS_OK;
    MS_TRY(cli_choose_model(&model, s->demo, false, CLI_NEEDS_ALL, &choice, err));
    return add_model(model, err);
}

/* ---- running ---- */

static void tell_listening(void *arg, const char *address) {
    char members[256];
    (void)arg;
    snprintf(members, sizeof(members), "\"address\": \"%s\"", address);
    cli_event("listening", members);
    cli_say("memsafe serves at %s (Ctrl-C ends it)\n", address);
    cli_flush_now();
    fflush(stdout);
}

static void tell_warning(void *arg, const char *code, const char *text) {
    (void)arg;
    cli_warn(code, "%s", text);
}

static int serve_run(const void *state, char **arguments, int n_arguments) {
    const serve_state *s = state;
    ms_error err;
    ms_error_clear(&err);
    (void)arguments, (void)n_arguments;
    serve_params p = {.listen = s->listen,
                      .data = own.data,
                      .models = own.model,
                      .device = s->device,
                      .budget_bytes = s->budget_bytes,
                      .host_budget_bytes = s->host_budget_bytes,
                      .allow = own.allowed,
                      .n_allow = s->allow.count,
                      .webhook_to = own.webhook_to,
                      .n_webhook_to = s->webhook_to.count,
                      .webhook_key = own.webhook_key,
                      .max_upload_bytes = s->max_upload_bytes,
                      .keep_bytes = s->keep_bytes,
                      .keep_jobs = s->keep_jobs,
                      .most_waiting = s->waiting,
                      .most_waiting_bytes = s->waiting_bytes,
                      .listening = tell_listening,
                      .ended = cli_interrupted,
                      .warned = tell_warning};
    cli_console_begin(&s->console);
    if (serve_lacks())
        return serve(&p, &err), cli_fail(&err);
    if (parse_keep(s->keep, &p.keep_s, &err) != MS_OK || choose_data(s, &err) != MS_OK ||
        read_secret("token", s->token_file, "MEMSAFE_TOKEN", own.token, &err) != MS_OK ||
        find_webhooks(s, &err) != MS_OK || find_folders(s, &err) != MS_OK || find_models(s, &err) != MS_OK)
        return cli_fail(&err);
    p.n_models = own.n_models;
    p.token = own.token[0] ? own.token : NULL;
    p.history = cli_history_file();
    cli_note_budget("budget", s->budget_bytes);
    cli_note_budget("host budget", s->host_budget_bytes);
    cli_catch_signals();
    return serve(&p, &err) == MS_OK ? 0 : cli_fail(&err);
}

static ms_status write_report(const char *path, const ms_run_params *params, const ms_run_report *report,
                              ms_error *err) {
    const cli_run_state s = {.p = *params, .report = path, .replace_report = true};
    return cli_run_report_write(&s, report, NULL, err);
}

int cli_serve_worker(int argc, char **argv) {
    return serve_worker(argc, argv, write_report);
}

static const cli_option serve_options[] = {
    CLI_GROUP("Most used"),
    {"listen", 0, CLI_TEXT, offsetof(serve_state, listen), "ADDRESS:PORT",
     "where it listens (default 127.0.0.1:8080, which only this machine can reach); port 0: any that is free",
     0, 0},
    {"data", 0, CLI_TEXT, offsetof(serve_state, data), "DIR",
     "where jobs, uploads and results are kept (default ~/.local/share/memsafe/serve)", 0, 0},
    {"model", "m", CLI_LIST, offsetof(serve_state, models), "DIR",
     "a model folder that jobs may name; may be given several times, the first is what they have otherwise "
     "(default: all that are installed)",
     0, 0},
    CLI_DEMO_OPTION(serve_state, demo),
    {"budget", "b", CLI_BYTES, offsetof(serve_state, budget_bytes), "SIZE",
     "memory that the process of a run may come to hold, of the device's where that has its own (default: "
     "what is free at the start less a margin)",
     0, 0},
    CLI_GROUP("Who may ask"),
    {"token-file", 0, CLI_TEXT, offsetof(serve_state, token_file), "FILE",
     "its first line is what clients must show; needed where others than this machine can reach it "
     "(MEMSAFE_TOKEN says it, too)",
     0, 0},
    {"allow", 0, CLI_LIST, offsetof(serve_state, allow), "DIR",
     "clients may name files of this machine below this folder in place of uploading them; may be given "
     "several times",
     0, 0},
    CLI_GROUP("Telling of a job's end"),
    {"webhook-to", 0, CLI_LIST, offsetof(serve_state, webhook_to), "URL",
     "jobs may name a webhook that begins so (https://example.org/hooks/); may be given several times "
     "(default: none may be told)",
     0, 0},
    {"webhook-key-file", 0, CLI_TEXT, offsetof(serve_state, webhook_key_file), "FILE",
     "its first line signs what is told (MEMSAFE_WEBHOOK_KEY says it, too)", 0, 0},
    CLI_GROUP("Limits"),
    {"max-upload", 0, CLI_BYTES, offsetof(serve_state, max_upload_bytes), "SIZE",
     "most that one upload may have (default 2G)", 0, 0},
    {"max-waiting", 0, CLI_INT, offsetof(serve_state, waiting), "N", "most jobs that wait (default 1000)", 1,
     100000},
    {"max-waiting-bytes", 0, CLI_BYTES, offsetof(serve_state, waiting_bytes), "SIZE",
     "most that uploads of jobs which have not ended may take (default 50G)", 0, 0},
    {"keep", 0, CLI_TEXT, offsetof(serve_state, keep), "TIME",
     "how long results are kept, like 7d, 12h or 30m (default 7d)", 0, 0},
    {"keep-bytes", 0, CLI_BYTES, offsetof(serve_state, keep_bytes), "SIZE",
     "most that jobs which have ended may take; the oldest go first (default 20G)", 0, 0},
    {"keep-jobs", 0, CLI_INT, offsetof(serve_state, keep_jobs), "N",
     "most jobs which have ended that are kept; the oldest go first (default 10000)", 1, 1000000},
    CLI_GROUP("Memory and speed"),
    CLI_DEVICE_OPTION(serve_state, device),
    {"host-budget", 0, CLI_BYTES, offsetof(serve_state, host_budget_bytes), "SIZE",
     "of the host's memory, where the device has its own (default: what is free at the start less a margin)",
     0, 0},
    CLI_GROUP("What is shown"),
    CLI_CONSOLE_OPTIONS(serve_state, console, "say nothing but errors"),
};

const cli_command cli_serve_command = {
    .name = "serve",
    .summary = "Serve a page and an HTTP interface with a queue of jobs",
    .usage = "[--listen ADDRESS:PORT] [--data DIR] [-m MODEL]... [-b SIZE] [OPTIONS]",
    .text = "Jobs survive a restart. Uploads are opened by processes that may do little else.\n"
            "docs/serve.md has the interface, /openapi.json its description.",
    .examples = {{"memsafe serve --demo", "open http://127.0.0.1:8080/ and try the demo model"},
                 {"memsafe serve -m models/latentsync-1.5 -b 8G", "runs take at most 8 GiB"},
                 {"memsafe serve --listen 0.0.0.0:8080 --token-file token",
                  "for others, who know the token"}},
    .options = serve_options,
    .n_options = CLI_COUNT(serve_options),
    .state_bytes = sizeof(serve_state),
    .defaults = serve_defaults,
    .run = serve_run,
};
