#include "device/plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "device/backend_check.h"
#include "device/plugin_folders.h"
#include "files/full_io.h"
#include "memsafe/probe.h"

#define PREFIX "memsafe-"
#define SUFFIX ".so"
#define MAX_PLUGINS 8
#define MAX_PATH MS_PLUGIN_FOLDER_BYTES

static const ms_host_services services = {ms_mem_alloc, ms_mem_free, ms_mem_charge, ms_mem_release};

static struct {
    pthread_mutex_t lock;
    const ms_backend *table[MAX_PLUGINS]; /* loaded; never unloaded: devices may be open */
    int count;
} loaded = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock. Why it cannot be used is written into problem. */
static const ms_backend *load(const char *path, const char *name, char *problem, size_t size) {
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!file) {
        snprintf(problem, size, "%s", dlerror());
        return NULL;
    }
    ms_plugin_entry entry = NULL;
    void *symbol = dlsym(file, MS_PLUGIN_ENTRY);
    memcpy(&entry, &symbol, sizeof(entry)); /* ISO C has no cast from an object to a function */
    const ms_backend *backend = entry ? entry(MS_BACKEND_ABI, &services) : NULL;
    char fault[256];
    bool ours = backend && backend->abi == MS_BACKEND_ABI;
    if (ours && ms_backend_is_sound(backend, name, fault, sizeof(fault)))
        return backend;
    if (!entry)
        snprintf(problem, size, "it has no function " MS_PLUGIN_ENTRY);
    else if (ours)
        snprintf(problem, size, "it %s", fault);
    else
        snprintf(problem, size,
                 "it was built for another version of memsafe (this one has back end interface %d)",
                 MS_BACKEND_ABI);
    dlclose(file);
    return NULL;
}

static const ms_backend *known(const char *name) {
    for (int i = 0; i < loaded.count; i++)
        if (strcmp(loaded.table[i]->name, name) == 0)
            return loaded.table[i];
    return NULL;
}

static bool is_a_name(const char *name) {
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static ms_status find(const char *name, const ms_backend **ret_backend, ms_error *err) {
    const ms_backend *backend = known(name);
    char folder[MAX_PATH], path[MAX_PATH + 64], problem[512] = "";
    for (int i = 0; !backend && ms_plugin_folder(i, folder, sizeof(folder)); i++) {
        snprintf(path, sizeof(path), "%s/" PREFIX "%.32s" SUFFIX, folder, name);
        if (access(path, F_OK) != 0 &&
            (errno == ENOENT || errno == ENOTDIR)) /* the command may have that name */
            continue;
        backend = load(path, name, problem, sizeof(problem));
        if (!backend)
            return ms_fail(err, MS_UNSUPPORTED, "%s: cannot be loaded: %s", path, problem);
        if (loaded.count == MAX_PLUGINS)
            return ms_fail(err, MS_UNSUPPORTED, "%s: more than %d plug-ins", path, MAX_PLUGINS);
        loaded.table[loaded.count++] = backend;
    }
    if (!backend) {
        char folders[400];
        ms_plugin_folders_text(folders, sizeof(folders));
        return ms_fail_hint(err, MS_UNSUPPORTED, MS_HINT_DEVICE_AUTO,
                            "there is no plug-in " PREFIX "%s" SUFFIX " in %s%s", name, folders,
                            strcmp(name, "cuda") == 0 ? " (docs/cuda.md says how it is built)" : "");
    }
    *ret_backend = backend;
    return MS_OK;
}

ms_status ms_plugin_find(const char *name, const ms_backend **ret_backend, ms_error *err) {
    if (!is_a_name(name))
        return ms_fail(err, MS_UNSUPPORTED, "\"%s\" is no back end's name", name);
    pthread_mutex_lock(&loaded.lock);
    ms_status status = find(name, ret_backend, err);
    pthread_mutex_unlock(&loaded.lock);
    return status;
}

#define SILENT "it ends the process when it is loaded"
#define SLOW_MS 10000

/* Whoever lists plug-ins has asked for none of them: each is tried in a process of its own. NULL: it can be
   used. */
static const char *try_apart(const char *path, const char *name, char problem[512]) {
    int ends[2];
    pid_t child = -1;
    if (pipe(ends) != 0)
        return "it cannot be tried: no pipe";
    child = fork();
    if (child == 0) {
        char why[400] = "", text[MAX_PATH + 512];
        if (load(path, name, why, sizeof(why))) {
            ms_write_full(ends[1], "", 1);
        } else {
            snprintf(text, sizeof(text), "%s: cannot be loaded: %s", path, why);
            ms_write_full(ends[1], text, strlen(text));
        }
        _exit(0);
    }
    close(ends[1]);
    size_t got = 0;
    bool slow = false;
    for (ssize_t n = 1; n != 0 && got<511; got += n> 0 ? (size_t)n : 0) {
        struct pollfd there = {.fd = ends[0], .events = POLLIN};
        slow = child > 0 && poll(&there, 1, SLOW_MS) == 0;
        if (slow)
            kill(child, SIGKILL);
        n = read(ends[0], problem + got, 511 - got);
        if (n < 0 && errno != EINTR)
            break;
    }
    close(ends[0]);
    problem[got] = 0;
    if (child < 0)
        return "it cannot be tried: no process";
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    if (slow)
        return "it does not come to an end when it is loaded";
    return got == 0 ? SILENT : problem[0] ? problem : NULL;
}

static void list_folder(const char *folder, void (*tell)(void *arg, const char *path, const char *problem),
                        void *arg) {
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name), fixed = strlen(PREFIX) + strlen(SUFFIX);
        char name[33], path[MAX_PATH + 256];
        if (length <= fixed || length - fixed >= sizeof(name) ||
            strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(length - fixed), entry->d_name + strlen(PREFIX));
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        char problem[512];
        tell(arg, path,
             ms_backend_built_in(name) ? "a back end of that name is built in"
                                       : try_apart(path, name, problem));
    }
    if (dir)
        closedir(dir);
}

void ms_plugin_list(void (*tell)(void *arg, const char *path, const char *problem), void *arg) {
    char folder[MAX_PATH];
    for (int i = 0; tell && ms_plugin_folder(i, folder, sizeof(folder)); i++)
        list_folder(folder, tell, arg);
}
