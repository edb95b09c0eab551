#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/simt/runtime/runtime.h"

card the_card;
pthread_mutex_t card_lock = PTHREAD_MUTEX_INITIALIZER;

void card_die(const char *fmt, ...) {
    va_list ap;
    fputs("simt: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

static _Atomic uint64_t failures;

uint64_t simt_failures(void) {
    return failures;
}

void card_count_failure(void) {
    failures++;
}

bool card_fails(const char *variable, _Atomic long *count) {
    const char *wanted = getenv(variable);
    const bool fails = wanted && ++*count == strtol(wanted, NULL, 10);
    failures += fails;
    return fails;
}

/* ---- what it is ---- */

static size_t read_size(const char **text) {
    char *end;
    double number = strtod(*text, &end);
    int shift = *end == 'G' ? 30 : *end == 'M' ? 20 : *end == 'K' ? 10 : 0;
    *text = end + (shift > 0);
    return (size_t)(number * (double)((size_t)1 << shift));
}

static void read_card(const char *text) {
    card *c = &the_card;
    c->none = strcmp(text, "none") == 0;
    c->old = strcmp(text, "old") == 0;
    c->limit_bytes = (size_t)8 << 30;
    c->arch = 86;
    c->seed = 0;
    if (c->none || c->old)
        return;
    if (*text && *text != ',')
        c->limit_bytes = read_size(&text);
    if (strncmp(text, ",sm_", 4) == 0) {
        char *end;
        c->arch = (int)strtol(text + 4, &end, 10);
        text = end;
    }
    if (*text == ',')
        c->seed = strtoull(text + 1, NULL, 10);
}

/* Nothing is held: the next one to ask sees the card that is stated then. */
static bool is_idle(void) {
    const card *c = &the_card;
    return c->stream_count + c->event_count + c->graph_count == 0 && card_memory_is_idle();
}

static void look(void) {
    card *c = &the_card;
    if (c->there && !is_idle())
        return;
    if (c->there)
        card_memory_close();
    free(c->function);
    const char *text = getenv("MEMSAFE_SIMT"), *vmm = getenv("MEMSAFE_SIMT_VMM"),
               *skips = getenv("MEMSAFE_SIMT_SKIP");
    *c = (card){
        .there = true, .vmm = !vmm || strcmp(vmm, "0") != 0, .skips = skips && strcmp(skips, "1") == 0};
    read_card(text ? text : "");
    c->random = c->seed;
}

static __thread bool bound;

bool card_is_bound(void) {
    return bound;
}

cudaError_t card_enter(void) {
    card *c = &the_card;
    pthread_mutex_lock(&card_lock);
    if (!c->there)
        look();
    if (c->none)
        return cudaErrorNoDevice;
    if (c->old)
        return cudaErrorInsufficientDriver;
    if (!c->context) {
        if (c->limit_bytes < CARD_CONTEXT_BYTES || !card_memory_open())
            return cudaErrorMemoryAllocation;
        c->used_bytes = CARD_CONTEXT_BYTES;
        c->context = true;
    }
    bound = true;
    return c->lost;
}

void card_leave(void) {
    pthread_mutex_unlock(&card_lock);
}

bool card_take(size_t bytes) {
    card *c = &the_card;
    if (bytes > c->limit_bytes - c->used_bytes)
        return false;
    c->used_bytes += bytes;
    return true;
}

/* ---- devices ---- */

cudaError_t cudaDriverGetVersion(int *version) {
    pthread_mutex_lock(&card_lock);
    look();
    *version = the_card.none ? 0 : the_card.old ? 12020 : CUDART_VERSION;
    card_leave();
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
    pthread_mutex_lock(&card_lock);
    look();
    cudaError_t error = the_card.none  ? cudaErrorNoDevice
                        : the_card.old ? cudaErrorInsufficientDriver
                                       : cudaSuccess;
    *count = error == cudaSuccess;
    card_leave();
    return error;
}

cudaError_t cudaSetDevice(int device) {
    cudaError_t error = card_enter();
    card_leave();
    return device == 0 ? error : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}

int card_most_shared_bytes(int arch) {
    return (int)simt_most_shared_bytes(arch);
}

/* Properties cost no context. */
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device) {
    const card *c = &the_card;
    if (device != 0)
        return cudaErrorInvalidDevice;
    *value = attr == cudaDevAttrComputeCapabilityMajor   ? c->arch / 10
             : attr == cudaDevAttrComputeCapabilityMinor ? c->arch % 10
                                                         : card_most_shared_bytes(c->arch);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    if (device != 0)
        return cudaErrorInvalidDevice;
    const char *processors = getenv("MEMSAFE_SIMT_PROCESSORS");
    *prop = (struct cudaDeviceProp){.totalGlobalMem = the_card.limit_bytes,
                                    .multiProcessorCount = processors ? atoi(processors) : 2};
    snprintf(prop->name, sizeof(prop->name), "emulated card");
    const char *uuid = getenv("MEMSAFE_SIMT_UUID");
    for (size_t i = 0; uuid && uuid[i] && i < sizeof(prop->uuid.bytes); i++)
        prop->uuid.bytes[i] = uuid[i];
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int len, int device) {
    if (device != 0)
        return cudaErrorInvalidDevice;
    snprintf(id, (size_t)len, "0000:51:4D.0");
    return cudaSuccess;
}

static _Atomic uint64_t limits;

uint64_t simt_limits(void) {
    return limits;
}

cudaError_t cudaDeviceSetLimit(enum cudaLimit limit, size_t value) {
    (void)limit;
    (void)value;
    limits++;
    cudaError_t error = card_enter();
    card_leave();
    return error;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function, unsigned version,
                                             unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *result) {
    (void)version;
    (void)flags;
    *function = the_card.vmm ? card_driver_function(symbol) : NULL;
    *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

/* ---- errors ---- */

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define NAME(e)                                                                                              \
    case e:                                                                                                  \
        return #e;
        NAME(cudaSuccess)
        NAME(cudaErrorInvalidValue)
        NAME(cudaErrorMemoryAllocation)
        NAME(cudaErrorInitializationError)
        NAME(cudaErrorInvalidConfiguration)
        NAME(cudaErrorInvalidDevicePointer)
        NAME(cudaErrorInsufficientDriver)
        NAME(cudaErrorDevicesUnavailable)
        NAME(cudaErrorInvalidDeviceFunction)
        NAME(cudaErrorNoDevice)
        NAME(cudaErrorInvalidDevice)
        NAME(cudaErrorNoKernelImageForDevice)
        NAME(cudaErrorUnsupportedPtxVersion)
        NAME(cudaErrorInvalidResourceHandle)
        NAME(cudaErrorSymbolNotFound)
        NAME(cudaErrorNotReady)
        NAME(cudaErrorIllegalAddress)
        NAME(cudaErrorLaunchOutOfResources)
        NAME(cudaErrorLaunchFailure)
        NAME(cudaErrorNotSupported)
        NAME(cudaErrorStreamCaptureUnsupported)
        NAME(cudaErrorStreamCaptureInvalidated)
        NAME(cudaErrorStreamCaptureWrongThread)
        NAME(cudaErrorUnknown)
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
    return cudaGetErrorName(error);
}

cudaError_t cudaGetLastError(void) {
    return the_card.lost;
}
