#include "options/model_choice.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "console/console.h"
#include "files/same_file.h"
#include "options/demo_model.h"
#include "options/options.h"

#define DEMO_CODE "demo-model"

static bool has_file(const char *dir, const char *const *names) {
    char path[CLI_PATH_BYTES];
    for (int i = 0; names[i]; i++) {
        int n = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (n > 0 && n < CLI_PATH_BYTES && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

static bool is_model(const char *dir, cli_model_need need) {
    static const char *const configs[] = {"unet.yaml", "config.yaml", "unet.json", NULL};
    static const char *const weights[] = {"latentsync_unet.pt", "latentsync_unet.safetensors", NULL};
    static const char *const detector[] = {"auxiliary/models/buffalo_l/det_10g.onnx", NULL};
    static const char *const landmarks[] = {"auxiliary/models/buffalo_l/2d106det.onnx", NULL};
    if (need == CLI_NEEDS_FACES)
        return has_file(dir, detector) && has_file(dir, landmarks);
    return has_file(dir, configs) && has_file(dir, weights);
}

static void add(cli_models *m, const char *path, cli_model_need need) {
    char demo[CLI_PATH_BYTES];
    if (!is_model(path, need))
        return;
    if (cli_demo_model(demo, sizeof(demo), NULL) == MS_OK && ms_same_file(path, demo))
        return;
    int listed = m->count < CLI_MODELS_MAX ? m->count : CLI_MODELS_MAX;
    for (int i = 0; i < listed; i++)
        if (ms_same_file(path, m->path[i]))
            return;
    if (m->count < CLI_MODELS_MAX)
        snprintf(m->path[m->count], CLI_PATH_BYTES, "%s", path);
    m->count++;
}

/* A model that is called demo is one, whichever this program would take. */
static int worth_a_look(const struct dirent *entry) {
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "demo") != 0;
}

static void add_all(cli_models *m, const char *root, const char *below, cli_model_need need) {
    char dir[CLI_PATH_BYTES], path[CLI_PATH_BYTES];
    struct dirent **entries = NULL;
    int n = snprintf(dir, sizeof(dir), "%s%s", root, below);
    if (n < 0 || n >= CLI_PATH_BYTES)
        return;
    int count = scandir(dir, &entries, worth_a_look, alphasort);
    for (int i = 0; i < count; i++) {
        n = snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
        if (n > 0 && n < CLI_PATH_BYTES)
            add(m, path, need);
        free(entries[i]);
    }
    free(entries);
}

void cli_installed_models(cli_model_need need, cli_models *ret_models) {
    const char *named = getenv("MEMSAFE_MODEL"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char program[CLI_PATH_BYTES];
    memset(ret_models, 0, sizeof(*ret_models));
    if (named && *named) {
        snprintf(ret_models->path[0], CLI_PATH_BYTES, "%s", named);
        ret_models->count = 1;
        return;
    }
    add_all(ret_models, "models", "", need);
    if (data && *data)
        add_all(ret_models, data, "/memsafe/models", need);
    else if (home && *home)
        add_all(ret_models, home, "/.local/share/memsafe/models", need);
    char *slash = cli_program_folder(program, sizeof(program)) ? strrchr(program, '/') : NULL;
    if (slash) {
        *slash = 0; /* the folder above */
        add_all(ret_models, program, "/share/memsafe/models", need);
        add_all(ret_models, program, "/models", need);
    }
    add_all(ret_models, MS_DATA_DIR, "/models", need);
}

static bool in_path(const char *dir) {
    const char *at = getenv("PATH");
    size_t length = strlen(dir);
    while (at && *at) {
        size_t n = strcspn(at, ":");
        if (n == length && strncmp(at, dir, n) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

/* Without "..", and from here on where it lies below. */
static void short_path(const char *path, char *ret, size_t bytes) {
    char *whole = realpath(path, NULL), *here = realpath(".", NULL);
    size_t length = here ? strlen(here) : 0;
    bool below = whole && length && strncmp(whole, here, length) == 0 && whole[length] == '/';
    snprintf(ret, bytes, "%s", below ? whole + length + 1 : whole ? whole : path);
    free(whole);
    free(here);
}

/* Installed it lies beside the program, in the source tree in scripts/. */
void cli_fetch_models(char *ret, size_t bytes) {
    char program[CLI_PATH_BYTES], path[CLI_PATH_BYTES + 32];
    snprintf(ret, bytes, "memsafe-fetch-models");
    if (!cli_program_folder(program, sizeof(program)))
        return;
    snprintf(path, sizeof(path), "%s/memsafe-fetch-models", program);
    if (access(path, X_OK) == 0) {
        if (!in_path(program))
            snprintf(ret, bytes, "%s", path);
        return;
    }
    snprintf(path, sizeof(path), "%s/../scripts/fetch-models", program);
    if (access(path, X_OK) == 0)
        short_path(path, ret, bytes);
}

void cli_explain_no_face(const cli_model_choice *choice, ms_error *err) {
    char fetch[CLI_PATH_BYTES];
    if (err->code != MS_NO_FACE || !choice->code || strcmp(choice->code, DEMO_CODE) != 0)
        return;
    cli_fetch_models(fetch, sizeof(fetch));
    ms_error_add(err, " (the demo model knows drawn faces only; %.200s gets the official weights)", fetch);
}

static ms_status take_demo(cli_model_choice *c, ms_error *err) {
    char fetch[CLI_PATH_BYTES], shown[CLI_PATH_BYTES];
    MS_TRY(cli_demo_model(c->path, sizeof(c->path), err));
    cli_fetch_models(fetch, sizeof(fetch));
    short_path(c->path, shown, sizeof(shown));
    snprintf(c->path, sizeof(c->path), "%s", shown);
    c->code = DEMO_CODE;
    c->asked = true;
    snprintf(c->note, sizeof(c->note),
             "the demo model, which knows drawn faces only (%.1500s); %.1500s gets the official weights for "
             "real ones",
             c->path, fetch);
    return MS_OK;
}

/* "a, b and 3 more" */
static void list(const cli_models *m, char *ret, size_t bytes) {
    size_t at = 0;
    ret[0] = 0;
    for (int i = 0; i < m->count && i < CLI_MODELS_MAX && at < bytes; i++)
        at += (size_t)snprintf(ret + at, bytes - at, "%s%.120s", i ? ", " : "", m->path[i]);
    if (m->count > CLI_MODELS_MAX && at < bytes)
        snprintf(ret + at, bytes - at, " and %d more", m->count - CLI_MODELS_MAX);
}

static ms_status take_installed(cli_model_need need, cli_model_choice *c, ms_error *err) {
    cli_models found;
    char text[CLI_MODELS_MAX * 128];
    cli_installed_models(need, &found);
    if (found.count == 0) {
        cli_fetch_models(text, sizeof(text));
        return ms_fail(
            err, MS_INVALID_ARGUMENT,
            "no --model was named and none is installed: \"%s 1.5\" downloads the official weights, which "
            "real faces need; --demo takes the small model that comes with memsafe and knows drawn faces "
            "only",
            text);
    }
    list(&found, text, sizeof(text));
    if (found.count > 1)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d models are installed; name one with --model: %s",
                       found.count, text);
    if (!is_model(found.path[0], need))
        return ms_fail(err, MS_BAD_MODEL, "MEMSAFE_MODEL is %s, where there is no model", found.path[0]);
    c->code = "installed-model";
    snprintf(c->path, sizeof(c->path), "%s", found.path[0]);
    snprintf(c->note, sizeof(c->note), "no --model: using the one that is installed, %s", c->path);
    return MS_OK;
}

ms_status cli_choose_model(const char **model, bool demo, bool named, cli_model_need need,
                           cli_model_choice *choice, ms_error *err) {
    choice->path[0] = choice->note[0] = 0;
    choice->code = NULL;
    choice->asked = false;
    if (demo && (*model || named))
        return ms_fail(err, MS_INVALID_ARGUMENT, "--demo and %s name two models",
                       *model                    ? "--model"
                       : need == CLI_NEEDS_FACES ? "--faces"
                                                 : "--unet");
    if (*model || named)
        return MS_OK;
    MS_TRY(demo ? take_demo(choice, err) : take_installed(need, choice, err));
    *model = choice->path;
    return MS_OK;
}

ms_status cli_name_model(const char **model, char **arguments, int n_arguments, ms_error *err) {
    if (n_arguments && *model)
        return ms_fail(err, MS_INVALID_ARGUMENT, "two folders are the model: -m %s and %s", *model,
                       arguments[0]);
    if (n_arguments)
        *model = arguments[0];
    return MS_OK;
}

ms_status cli_no_shape(const char *model, ms_error *err) {
    static const char *const shapes[] = {"latentsync-1.5", "latentsync-1.6", "tiny"};
    for (int i = 0; i < CLI_COUNT(shapes) && model; i++)
        if (strcmp(model, shapes[i]) == 0 && access(model, F_OK) != 0)
            return ms_fail(err, MS_IO,
                           "there is no folder %s here; the published model's shape is --shape %s", model,
                           model);
    return MS_OK;
}

ms_status cli_spare_model(const ms_model_check_params *model, const char *path, const char *what,
                          ms_error *err) {
    if (ms_model_has_file(model, path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the %s %s is a file that is read", what, path);
    return MS_OK;
}

void cli_say_choice(const cli_model_choice *choice) {
    if (choice->note[0] && (!choice->asked || cli_console_is_verbose() || cli_console_is_json()))
        cli_warn(choice->code, "%s", choice->note);
}
