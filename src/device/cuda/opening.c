#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "device/cuda/cuda.h"
#include "device/cuda/kernel_list.h"
#include "device/nvml.h"
#include "files/own_file.h"

#define LEAST_ARCH 75
/* The most that is believed of a context and kernels where the management library cannot tell them from what
   other processes hold: the largest context that was published takes 612 MiB. */
#define MOST_OWN_BYTES ((size_t)1 << 30)
/* What is measured differs from opening to opening by what others take and give back, as a desktop does. The
   least budget that one process names is to be enough for the next one. */
#define OWN_STEP_BYTES ((size_t)16 << 20)

/* "12.2" of 12020. */
static void version_text(int version, char *text, size_t size) {
    snprintf(text, size, "%d.%d", version / 1000, version % 1000 / 10);
}

static ms_status no_cards(cudaError_t error, ms_error *err) {
    int driver = 0;
    char has[16], needs[16];
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return ms_fail_hint(err, MS_UNSUPPORTED, MS_HINT_DEVICE_AUTO,
                            "there is no CUDA card: this machine has no NVIDIA driver");
    version_text(driver, has, sizeof(has));
    version_text(CUDART_VERSION, needs, sizeof(needs));
    if (error == cudaErrorInsufficientDriver)
        return ms_fail(err, MS_UNSUPPORTED,
                       "the NVIDIA driver is too old: it knows CUDA %s, and this plug-in is of CUDA %s", has,
                       needs);
    if (error == cudaSuccess || error == cudaErrorNoDevice)
        return ms_fail_hint(err, MS_UNSUPPORTED, MS_HINT_DEVICE_AUTO,
                            "there is no CUDA card, though the driver is there (CUDA %s)", has);
    return ms_fail(err, MS_UNSUPPORTED, "CUDA cannot be used: %s (%s, driver of CUDA %s)",
                   cudaGetErrorString(error), cudaGetErrorName(error), has);
}

ms_status cuda_find_card(const ms_device_params *params, cuda_card *ret_card, ms_error *err) {
    int count = 0, major = 0, minor = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count < 1)
        return no_cards(error, err);
    MS_TRY(ms_device_only_number(params, count, err));
    struct cudaDeviceProp prop;
    error = cudaGetDeviceProperties(&prop, params->number);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, params->number);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, params->number);
    if (error != cudaSuccess)
        return ms_fail(err, MS_UNSUPPORTED, "card %d cannot be looked at: %s", params->number,
                       cudaGetErrorString(error));
    *ret_card = (cuda_card){.number = params->number,
                            .arch = 10 * major + minor,
                            .processors = prop.multiProcessorCount > 0 ? prop.multiProcessorCount : 1,
                            .total_bytes = prop.totalGlobalMem};
    snprintf(ret_card->name, sizeof(ret_card->name), "%.63s", prop.name);
    memcpy(ret_card->uuid, &prop.uuid, sizeof(ret_card->uuid));
    if (ret_card->arch < LEAST_ARCH)
        return ms_fail(err, MS_UNSUPPORTED,
                       "%s is of compute capability %d.%d; memsafe needs %d.%d (Turing) or later",
                       ret_card->name, major, minor, LEAST_ARCH / 10, LEAST_ARCH % 10);
    return MS_OK;
}

/* The emulated card is what tests are of, but where one asks for more. */
static bool is_to_be_tested(void) {
#ifdef MS_CUDA_EMULATED
    return getenv("MEMSAFE_SIMT_UUID") != NULL;
#else
    return true;
#endif
}

/* The build: this plug-in's. The driver: CUDA's version stays the same over many. */
void cuda_identify(const cuda_card *card, char *ret_text, size_t size) {
    char uuid[33] = "", own[32] = "", build[64];
    int driver = 0;
    ret_text[0] = 0;
    if (!is_to_be_tested())
        return;
    ms_own_build(build, sizeof(build));
    if (cudaDriverGetVersion(&driver) != cudaSuccess)
        driver = 0;
    if (!ms_nvml_driver(own, sizeof(own)))
        own[0] = 0;
    for (int i = 0; i < 16; i++)
        snprintf(uuid + 2 * i, 3, "%02x", card->uuid[i]);
    snprintf(ret_text, size, "%s sm_%d %zu driver %d %s runtime %d build %s", uuid, card->arch,
             card->total_bytes, driver, own, CUDART_VERSION, build);
}

/* ---- the context ---- */

/* Its code, and as much shared memory as it asks for: more than 48 KiB is given on demand only. Kernels that
   want more than the card has are for others. */
static bool load(void *arg, const simt_kernel *kernel) {
    cudaError_t *error = arg;
    struct cudaFuncAttributes attributes;
    int most = 0, device = 0;
    *error = cudaFuncGetAttributes(&attributes, kernel->entry);
    if (*error == cudaSuccess)
        *error = cudaGetDevice(&device);
    if (*error == cudaSuccess)
        *error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (*error == cudaSuccess && (size_t)attributes.maxDynamicSharedSizeBytes < kernel->shared_bytes &&
        kernel->shared_bytes <= (size_t)most)
        *error = cudaFuncSetAttribute(kernel->entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      (int)kernel->shared_bytes);
    return *error == cudaSuccess;
}

/* What CUDA makes when a thing is done for the first time. */
static cudaError_t warm_up(void) {
    cudaStream_t stream;
    void *block = NULL;
    cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (error != cudaSuccess)
        return error;
    error = cudaMalloc(&block, 4096);
    if (error == cudaSuccess)
        error = cudaMemsetAsync(block, 0, 4096, stream);
    cudaError_t done = cudaStreamSynchronize(stream);
    if (block)
        cudaFree(block);
    cudaStreamDestroy(stream);
    return error == cudaSuccess ? done : error;
}

/* Whether the process has the card's context already: of a program that uses it too, as PyTorch does, or from
   an earlier opening. The driver is asked past the runtime, which could make one in order to answer. */
static bool is_in_use(int number) {
    int (*state)(int device, unsigned *flags, int *active) = NULL;
    unsigned flags = 0;
    int active = 0;
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (!driver)
        return false;
    void *found = dlsym(driver, "cuDevicePrimaryCtxGetState");
    memcpy(&state, &found, sizeof(found)); /* ISO C has no cast from an object to a function */
    const bool is = state && state(number, &flags, &active) == 0 && active;
    dlclose(driver);
    return is;
}

/* Of a program that has no other use for a card, as the command is. */
static bool is_whole_process(void) {
    const char *limits = getenv("MEMSAFE_CUDA_LIMITS");
    return limits && strcmp(limits, "least") == 0;
}

static cudaError_t make(int number) {
    const bool shared = is_in_use(number);
    cudaError_t error = cudaSetDevice(number);
    if (error != cudaSuccess)
        return error;
    /* Kernels use no stack, print nothing and allocate nothing; others' may. Where these cannot be set, what
       is taken is measured all the same. */
    if (!shared && is_whole_process() &&
        (cudaDeviceSetLimit(cudaLimitStackSize, 256) != cudaSuccess ||
         cudaDeviceSetLimit(cudaLimitPrintfFifoSize, 4096) != cudaSuccess ||
         cudaDeviceSetLimit(cudaLimitMallocHeapSize, 4096) != cudaSuccess))
        cudaGetLastError();
    cuda_each_kernel(load, &error);
    return error == cudaSuccess ? warm_up() : error;
}

static ms_status told(cudaError_t error, const cuda_card *card, ms_error *err) {
    switch ((int)error) {
    case cudaSuccess:
        return MS_OK;
    case cudaErrorMemoryAllocation:
        return ms_fail(err, MS_DEVICE_MEMORY, "%s has no memory left for a context and kernels", card->name);
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
        return ms_fail(err, MS_UNSUPPORTED, "this plug-in has no kernels for %s (sm_%d)", card->name,
                       card->arch);
    default:
        return ms_fail(err, MS_UNSUPPORTED, "%s cannot be used: %s (%s)", card->name,
                       cudaGetErrorString(error), cudaGetErrorName(error));
    }
}

static ms_status measure(const cuda_card *card, size_t *ret_own_bytes, ms_error *err) {
    char slot[32];
    size_t before = 0, after = 0, total = 0, of_card = 0;
    bool known = cudaDeviceGetPCIBusId(slot, sizeof(slot), card->number) == cudaSuccess &&
                 ms_nvml_memory(slot, &before, &of_card);
    cudaError_t error = make(card->number);
    if (error == cudaSuccess)
        error = cudaMemGetInfo(&after, &total);
    MS_TRY(told(error, card, err));
    if (of_card / 8 * 7 > total) /* this is a part of it (MIG), and what the library said is of the whole */
        known = false;
    /* Whoever gave memory back meanwhile has hidden what was taken. */
    const size_t own = ms_align_up(known && before >= after ? before - after : total - after, OWN_STEP_BYTES);
    *ret_own_bytes = own < MOST_OWN_BYTES ? own : MOST_OWN_BYTES;
    return MS_OK;
}

#define MOST_CARDS 16

/* A context is made once in a process, and stays: what it took is measured then. */
static struct {
    pthread_mutex_t lock;
    struct {
        size_t total_bytes, own_bytes; /* total 0: not yet */
        int arch;
    } card[MOST_CARDS];
} measured = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock. */
static ms_status make_context(const cuda_card *card, size_t *ret_own_bytes, ms_error *err) {
    const int i = card->number;
    if (i >= MOST_CARDS)
        return measure(card, ret_own_bytes, err);
    if (measured.card[i].total_bytes != card->total_bytes || measured.card[i].arch != card->arch) {
        MS_TRY(measure(card, ret_own_bytes, err));
        measured.card[i].total_bytes = card->total_bytes;
        measured.card[i].arch = card->arch;
        measured.card[i].own_bytes = *ret_own_bytes;
    }
    *ret_own_bytes = measured.card[i].own_bytes;
    return told(make(card->number), card, err); /* the emulated card's is gone when nobody holds it */
}

ms_status cuda_make_context(const cuda_card *card, size_t *ret_own_bytes, ms_error *err) {
    pthread_mutex_lock(&measured.lock);
    ms_status status = make_context(card, ret_own_bytes, err);
    pthread_mutex_unlock(&measured.lock);
    return status;
}
