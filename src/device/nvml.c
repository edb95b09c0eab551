#include "device/nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libnvidia-ml.so.1"
#define NOT_SUPPORTED 3 /* NVML_ERROR_NOT_SUPPORTED */

/* As NVIDIA documents them ("NVML API Reference Guide"); 0 is success. */
typedef struct nvml_device *nvml_device;

typedef struct nvml_memory {
    unsigned long long total, free, used;
} nvml_memory;

typedef struct nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*text)(int result);
    int (*driver)(char *version, unsigned length);
    int (*count)(unsigned *count);
    int (*by_index)(unsigned index, nvml_device *device);
    int (*by_slot)(const char *pci_bus_id, nvml_device *device);
    int (*name)(nvml_device device, char *name, unsigned length);
    int (*memory)(nvml_device device, nvml_memory *memory);
    int (*capability)(nvml_device device, int *major, int *minor);
} nvml;

static bool find(const nvml *n, const char *name, void *ret_function, char *problem, size_t size) {
    void *found = dlsym(n->library, name);
    memcpy(ret_function, &found, sizeof(found)); /* ISO C has no cast from an object to a function */
    if (!found)
        snprintf(problem, size, "%s has no %s", LIBRARY, name);
    return found != NULL;
}

/* false with no problem: there is no such library. The loader's message names a path only where a file was
   found. */
static bool load(nvml *n, char *problem, size_t size) {
    n->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!n->library) {
        const char *said = dlerror();
        if (said && strncmp(said, LIBRARY ":", sizeof(LIBRARY)) != 0)
            snprintf(problem, size, "%s", said);
        return false;
    }
    return find(n, "nvmlInit_v2", &n->init, problem, size) &&
           find(n, "nvmlShutdown", &n->shutdown, problem, size) &&
           find(n, "nvmlErrorString", &n->text, problem, size) &&
           find(n, "nvmlSystemGetDriverVersion", &n->driver, problem, size) &&
           find(n, "nvmlDeviceGetCount_v2", &n->count, problem, size) &&
           find(n, "nvmlDeviceGetHandleByIndex_v2", &n->by_index, problem, size) &&
           find(n, "nvmlDeviceGetHandleByPciBusId_v2", &n->by_slot, problem, size) &&
           find(n, "nvmlDeviceGetName", &n->name, problem, size) &&
           find(n, "nvmlDeviceGetMemoryInfo", &n->memory, problem, size) &&
           find(n, "nvmlDeviceGetCudaComputeCapability", &n->capability, problem, size);
}

static bool nvml_open(nvml *n, char *problem, size_t size) {
    *n = (nvml){0};
    if (load(n, problem, size)) {
        const int result = n->init();
        if (result == 0)
            return true;
        const char *said = n->text(result);
        snprintf(problem, size, "%s: %s", LIBRARY, said ? said : "an unknown error");
    }
    if (n->library)
        dlclose(n->library);
    return false;
}

static void nvml_close(nvml *n) {
    n->shutdown();
    dlclose(n->library);
}

bool ms_nvml_memory(const char *pci_bus_id, size_t *ret_free_bytes, size_t *ret_total_bytes) {
    nvml n;
    nvml_device device;
    nvml_memory memory = {0};
    char problem[160];
    if (!nvml_open(&n, problem, sizeof(problem)))
        return false;
    const bool known =
        n.by_slot(pci_bus_id, &device) == 0 && n.memory(device, &memory) == 0 && memory.free <= memory.total;
    nvml_close(&n);
    if (known) {
        *ret_free_bytes = (size_t)memory.free;
        *ret_total_bytes = (size_t)memory.total;
    }
    return known;
}

bool ms_nvml_driver(char *ret_text, size_t size) {
    nvml n;
    char problem[160], version[96] = "";
    if (!nvml_open(&n, problem, sizeof(problem)))
        return false;
    const bool known = n.driver(version, sizeof(version)) == 0;
    nvml_close(&n);
    if (known)
        snprintf(ret_text, size, "%.*s", (int)sizeof(version) - 1, version);
    return known;
}

/* ---- cards ---- */

/* A card that fell off the bus is still counted. */
static int ask(const nvml *n, unsigned index, ms_nvml_card *c) {
    nvml_device device;
    nvml_memory memory = {0};
    int major = 0, minor = 0, result = n->by_index(index, &device);
    if (result == 0)
        result = n->name(device, c->name, sizeof(c->name));
    if (result == 0)
        result = n->capability(device, &major, &minor);
    if (result == 0) {
        result = n->memory(device, &memory);
        if (result == NOT_SUPPORTED) /* the host's memory is its own */
            result = 0;
    }
    c->name[sizeof(c->name) - 1] = 0;
    c->arch = 10 * major + minor;
    c->total_bytes = (size_t)memory.total;
    c->free_bytes = (size_t)memory.free;
    return result;
}

static void look_at(const nvml *n, unsigned index, ms_nvml_card *ret_card) {
    ms_nvml_card c = {0};
    const int result = ask(n, index, &c);
    if (result != 0) {
        const char *said = n->text(result);
        c = (ms_nvml_card){0};
        snprintf(c.problem, sizeof(c.problem), "card %u: %s", index, said ? said : "an unknown error");
    }
    *ret_card = c;
}

int ms_nvml_cards(ms_nvml_card *ret_cards, int most) {
    nvml n;
    unsigned count = 0;
    ms_nvml_card none = {0};
    if (!nvml_open(&n, none.problem, sizeof(none.problem))) {
        if (none.problem[0] && most > 0)
            ret_cards[0] = none;
        return none.problem[0] && most > 0;
    }
    if (n.count(&count) != 0)
        count = 0;
    if (count > (unsigned)most)
        count = (unsigned)most;
    for (unsigned i = 0; i < count; i++)
        look_at(&n, i, &ret_cards[i]);
    nvml_close(&n);
    return (int)count;
}
