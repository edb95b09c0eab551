#include "device/cuda/memory/nvml.h"

#include <dlfcn.h>
#include <string.h>

/* As NVIDIA documents them ("NVML API Reference Guide"); 0 is success. */
typedef struct nvml_device *nvml_device;

typedef struct nvml_memory {
    unsigned long long total, free, used;
} nvml_memory;

typedef struct nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    int (*by_slot)(const char *pci_bus_id, nvml_device *device);
    int (*memory)(nvml_device device, nvml_memory *memory);
} nvml;

static bool find(const nvml *n, const char *name, void *ret_function) {
    void *found = dlsym(n->library, name);
    memcpy(ret_function, &found, sizeof(found)); /* ISO C has no cast from an object to a function */
    return found != NULL;
}

static bool ask(const nvml *n, const char *slot, nvml_memory *ret_memory) {
    nvml_device device;
    return n->by_slot(slot, &device) == 0 && n->memory(device, ret_memory) == 0 &&
           ret_memory->free <= ret_memory->total;
}

bool cuda_nvml_memory(const char *pci_bus_id, size_t *ret_free_bytes, size_t *ret_total_bytes) {
    nvml n = {.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)};
    nvml_memory memory = {0};
    if (!n.library)
        return false;
    bool known = find(&n, "nvmlInit_v2", &n.init) && find(&n, "nvmlShutdown", &n.shutdown) &&
                 find(&n, "nvmlDeviceGetHandleByPciBusId_v2", &n.by_slot) &&
                 find(&n, "nvmlDeviceGetMemoryInfo", &n.memory) && n.init() == 0;
    if (known) {
        known = ask(&n, pci_bus_id, &memory);
        n.shutdown();
    }
    dlclose(n.library);
    if (known) {
        *ret_free_bytes = (size_t)memory.free;
        *ret_total_bytes = (size_t)memory.total;
    }
    return known;
}
