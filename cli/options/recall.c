#include "options/recall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "commands/commands.h"
#include "files/new_file.h"
#include "memsafe/library.h"
#include "text/json.h"

#define FOLDER ".memsafe"
#define NAME "command"
#define MOST_BYTES (256 << 10)
#define MOST_WORDS 512
#define MOST_KEPT 64

/* What the state borrows until the program ends. */
static void *kept[MOST_KEPT];
static int n_kept;

/* NULL: no memory, or too much to keep. */
static void *keep(size_t bytes) {
    if (n_kept == MOST_KEPT)
        return NULL;
    void *block = calloc(1, bytes);
    if (block)
        kept[n_kept++] = block;
    return block;
}

static ms_status name_file(const char *output, char ret_path[PATH_MAX], ms_error *err) {
    int n = snprintf(ret_path, PATH_MAX, "%s" FOLDER "/" NAME, output);
    return n > 0 && n < PATH_MAX ? MS_OK : ms_fail(err, MS_INVALID_ARGUMENT, "the output's name is too long");
}

ms_status cli_run_remember(const char *output, ms_error *err) {
    char path[PATH_MAX], folder[PATH_MAX];
    int n_words;
    char *const *words = cli_typed_words(&n_words);
    ms_buf b;
    MS_TRY(name_file(output, path, err));
    if (!getcwd(folder, sizeof(folder)))
        return ms_fail(err, MS_IO, "the current folder has no name: %s", strerror(errno));
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "{\"memsafe\": \"%s\", \"folder\": ", ms_version());
    ms_buf_json_string(&b, folder);
    ms_buf_printf(&b, ",\n \"words\": [");
    for (int i = 0; i < n_words; i++) {
        ms_buf_printf(&b, "%s", i ? ", " : "");
        ms_buf_json_string(&b, words[i]);
    }
    ms_buf_printf(&b, "]}\n");
    ms_status status = b.failed ? ms_fail_alloc(err, NULL, b.length, "the command")
                                : ms_new_file_save(path, b.data, b.length, true, err);
    ms_buf_free(&b);
    return status;
}

/* ---- reading ---- */

bool cli_run_is_remembered(const char *output) {
    char path[PATH_MAX];
    return name_file(output, path, NULL) == MS_OK && access(path, R_OK) == 0;
}

bool cli_run_is_over(const char *output) {
    char path[PATH_MAX];
    struct stat st;
    const int n = snprintf(path, sizeof(path), "%s" FOLDER, output);
    return n > 0 && n < PATH_MAX && stat(output, &st) == 0 && S_ISREG(st.st_mode) && lstat(path, &st) != 0 &&
           errno == ENOENT;
}

static ms_status damaged(const char *path, const char *why, ms_error *err) {
    return ms_fail(err, MS_DAMAGED, "%s %s", path, why);
}

/* Neither the folder nor the file may be a link that somebody put there. */
static int open_kept(const char *path) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%.*s", (int)(strlen(path) - strlen("/" NAME)), path);
    int in = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0)
        return -1;
    int fd = openat(in, NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), error = errno;
    close(in);
    errno = error;
    return fd;
}

/* To be freed. */
static ms_status read_text(const char *output, const char *path, char **ret_text, size_t *ret_bytes,
                           ms_error *err) {
    struct stat st;
    int fd = open_kept(path);
    if (fd < 0) {
        ms_fail(
            err, MS_IO,
            "the video (-i FILE) is missing, and no command is kept in %s: %s (split keeps it, and it goes "
            "with the job when that is joined)",
            path, strerror(errno));
        if (cli_run_is_over(output))
            ms_error_add(err, "; %s is there: it is joined already, or it is of another job", output);
        return MS_IO;
    }
    char *text = malloc(MOST_BYTES);
    ssize_t n = -1;
    if (text && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = read(fd, text, MOST_BYTES);
    close(fd);
    if (n > 0 && n < MOST_BYTES) {
        *ret_text = text;
        *ret_bytes = (size_t)n;
        return MS_OK;
    }
    free(text);
    return text ? damaged(path, "is not the command that split a job", err)
                : ms_fail(err, MS_HOST_MEMORY, "out of memory for the command");
}

/* A path as it was meant in the folder where it was typed. NULL: no memory. */
static const char *in_folder(const char *folder, const char *path) {
    if (!path || path[0] == '/' || !path[0])
        return path;
    size_t bytes = strlen(folder) + strlen(path) + 2;
    char *whole = keep(bytes);
    if (whole)
        snprintf(whole, bytes, "%s/%s", folder, path);
    return whole;
}

static ms_status place_paths(cli_run_state *s, const char *folder, ms_error *err) {
    const char **const paths[] = {&s->p.audio,   &s->p.model, &s->p.config, &s->p.unet,      &s->p.vae,
                                  &s->p.whisper, &s->p.faces, &s->p.track,  &s->profile.file};
    bool whole = true;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (*paths[i])
            whole = (*paths[i] = in_folder(folder, *paths[i])) != NULL && whole;
    for (int i = 0; i < s->inputs.count; i++)
        whole = (s->inputs.items[i] = in_folder(folder, s->inputs.items[i])) != NULL && whole;
    return whole ? MS_OK : ms_fail(err, MS_HOST_MEMORY, "out of memory for the command");
}

/* What holds on one machine, or for one call, is what a command without these words has. */
static void forget_machine(cli_run_state *s) {
    ms_run_params none;
    ms_run_params_init(&none);
    s->p.output = none.output;
    s->p.force = none.force;
    s->p.resume = none.resume;
    s->p.device = none.device;
    s->p.threads = none.threads;
    s->p.budget_bytes = none.budget_bytes;
    s->p.host_budget_bytes = none.host_budget_bytes;
    s->p.pressure_trace = none.pressure_trace;
    s->p.latent_cache_dir = none.latent_cache_dir;
    s->p.latent_cache_bytes = none.latent_cache_bytes;
    s->rung = 0;
    s->report = s->part = NULL;
    s->console = (cli_console_options){0};
}

/* Words are moved about by parsing, so it is given a copy. */
static ms_status parse(const char *const *words, int n, cli_run_state *s, char ***ret_arguments,
                       int *ret_count, ms_error *err) {
    char **copy = keep(((size_t)n + 1) * sizeof(char *));
    if (!copy)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the command");
    for (int i = 0; i < n; i++)
        copy[i] = (char *)(uintptr_t)words[i];
    *ret_arguments = copy;
    return cli_parse(&cli_run_command, n, copy, s, ret_count, err);
}

static ms_status take_document(const ms_json *root, const char *path, cli_run_state *s, ms_error *err) {
    const ms_json *folder = root->type == MS_JSON_OBJECT ? ms_json_get(root, "folder") : NULL,
                  *list = root->type == MS_JSON_OBJECT ? ms_json_get(root, "words") : NULL;
    const char *words[MOST_WORDS];
    char **arguments;
    int n = 0, count;
    bool ours = folder && folder->type == MS_JSON_STRING && folder->string[0] == '/' && list &&
                list->type == MS_JSON_ARRAY && list->count <= MOST_WORDS;
    for (const ms_json *w = ours ? list->child : NULL; w && ours; w = w->next) {
        ours = w->type == MS_JSON_STRING;
        words[n++] = ours ? w->string : NULL;
    }
    if (!ours)
        return damaged(path, "is not the command that split a job", err);
    ms_status status = parse(words, n, s, &arguments, &count, err);
    if (status != MS_OK)
        return status == MS_CANCELLED ? damaged(path, "asks for help", err) : status;
    forget_machine(s);
    return place_paths(s, folder->string, err);
}

ms_status cli_run_recall(const char *output, cli_run_state *s, char ***ret_arguments, int *ret_count,
                         ms_error *err) {
    static ms_json_doc *doc; /* the state borrows from it until the program ends */
    char path[PATH_MAX], *text = NULL;
    size_t bytes = 0;
    int n_typed;
    MS_TRY(name_file(output, path, err));
    MS_TRY(read_text(output, path, &text, &bytes, err));
    ms_status status = ms_json_parse(NULL, text, bytes, &doc, err);
    free(text);
    if (status != MS_OK)
        return status == MS_HOST_MEMORY ? status : damaged(path, "is not the command that split a job", err);
    *s = (cli_run_state){0};
    cli_run_command.defaults(s);
    MS_TRY(take_document(ms_json_root(doc), path, s, err));
    char *const *typed = cli_typed_words(&n_typed);
    return parse((const char *const *)typed, n_typed, s, ret_arguments, ret_count, err);
}
