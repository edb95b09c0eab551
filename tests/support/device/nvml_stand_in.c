/*
 * Stands for NVIDIA's management library: two cards. Compiled with NVML_OLD it lacks a function.
 *
 *   NVML_STAND_IN=lost   the second card answers no more
 *   NVML_STAND_IN=init   the driver is not loaded
 *   NVML_STAND_IN=none   there is no card
 *   NVML_STAND_IN=newer  another driver
 *   NVML_STAND_IN=unified  the second card has no memory but the host's
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef struct memory {
    unsigned long long total, free, used;
} memory;

static struct card {
    const char *name;
    memory memory;
    int major, minor;
} cards[2] = {{"NVIDIA GeForce RTX 3090", {25757220864, 25000000000, 757220864}, 8, 6},
              {"NVIDIA T4 \"quoted\"", {16106127360, 1048576, 16105078784}, 7, 5}};

static int is(const char *way) {
    const char *set = getenv("NVML_STAND_IN");
    return set && strcmp(set, way) == 0;
}

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int result);
EXPORT int nvmlSystemGetDriverVersion(char *version, unsigned length);
EXPORT int nvmlDeviceGetCount_v2(unsigned *count);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct card **device);
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *slot, struct card **device);
EXPORT int nvmlDeviceGetName(struct card *device, char *name, unsigned length);
EXPORT int nvmlDeviceGetMemoryInfo(struct card *device, memory *ret_memory);
EXPORT int nvmlDeviceGetCudaComputeCapability(struct card *device, int *major, int *minor);

int nvmlInit_v2(void) {
    return is("init") ? 9 : 0;
}

int nvmlShutdown(void) {
    return 0;
}

const char *nvmlErrorString(int result) {
    return result == 9 ? "Driver Not Loaded" : result == 15 ? "GPU is lost" : "Unknown Error";
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "%s", is("newer") ? "580.82.07" : "580.65.06");
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = is("none") ? 0 : 2;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct card **device) {
    *device = &cards[index];
    return index == 1 && is("lost") ? 15 : 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *slot, struct card **device) {
    (void)slot;
    *device = &cards[0];
    return 0;
}

int nvmlDeviceGetName(struct card *device, char *name, unsigned length) {
    snprintf(name, length, "%s", device->name);
    return 0;
}

int nvmlDeviceGetMemoryInfo(struct card *device, memory *ret_memory) {
    *ret_memory = device->memory;
    if (!is("unified") || device == cards)
        return 0;
    *ret_memory = (memory){0};
    return 3; /* NVML_ERROR_NOT_SUPPORTED */
}

#ifndef NVML_OLD
int nvmlDeviceGetCudaComputeCapability(struct card *device, int *major, int *minor) {
    *major = device->major;
    *minor = device->minor;
    return 0;
}
#endif
