#include "gpu/card_memory.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/nvml.h"

struct card_memory {
    char slot[32];
    pthread_t thread;
    atomic_bool ended;
    atomic_size_t most;
    size_t before;
    void *library; /* held, so that a question does not start it anew */
};

static bool ask(card_memory *m, size_t *ret_used) {
    size_t free_bytes = 0, total_bytes = 0;
    if (!ms_nvml_memory(m->slot, &free_bytes, &total_bytes))
        return false;
    *ret_used = total_bytes - free_bytes;
    return true;
}

static void note(card_memory *m) {
    size_t used = 0;
    if (ask(m, &used) && used > atomic_load(&m->most))
        atomic_store(&m->most, used);
}

static void *watch(void *arg) {
    card_memory *m = arg;
    while (!atomic_load(&m->ended)) {
        note(m);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return NULL;
}

/* The library counts who has begun with it. */
static void call(void *library, const char *name) {
    int (*function)(void) = NULL;
    void *found = library ? dlsym(library, name) : NULL;
    memcpy(&function, &found, sizeof(function));
    if (function)
        function();
}

card_memory *card_memory_watch(const char *slot) {
    if (!slot || strlen(slot) >= sizeof(((card_memory *)NULL)->slot))
        return NULL;
    card_memory *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    memcpy(m->slot, slot, strlen(slot) + 1);
    m->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    call(m->library, "nvmlInit_v2");
    if (!ask(m, &m->before) || pthread_create(&m->thread, NULL, watch, m) != 0) {
        if (m->library)
            dlclose(m->library);
        free(m);
        return NULL;
    }
    atomic_store(&m->most, m->before);
    return m;
}

size_t card_memory_most(card_memory *m) {
    if (!m)
        return 0;
    note(m);
    const size_t most = atomic_load(&m->most);
    return most > m->before ? most - m->before : 0;
}

void card_memory_end(card_memory **watch_of) {
    card_memory *m = *watch_of;
    *watch_of = NULL;
    if (!m)
        return;
    atomic_store(&m->ended, true);
    pthread_join(m->thread, NULL);
    call(m->library, "nvmlShutdown");
    dlclose(m->library);
    free(m);
}
