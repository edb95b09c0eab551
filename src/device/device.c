#include "device/device.h"

#include <stdio.h>

#include "base/error.h"
#include "device/backend_check.h"
#include "device/backends.h"
#include "device/plugin.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

const ms_backend *const *ms_backends(void) {
    static const ms_backend *const all[] = {&ms_backend_cpu, &ms_backend_dummy, NULL};
    return all;
}

const ms_backend *ms_backend_built_in(const char *name) {
    const ms_backend *const *b = ms_backends();
    while (*b && strcmp((*b)->name, name) != 0)
        b++;
    return *b;
}

static ms_status open_checked(const ms_backend *backend, const ms_device_params *params, ms_device **ret_dev,
                              ms_error *err) {
    char problem[256];
    ms_device *dev = NULL;
    MS_TRY(backend->open(params, &dev, err));
    if (!dev)
        return ms_fail(err, MS_UNSUPPORTED, "the back end %s opened no device", backend->name);
    if (!ms_device_is_sound(dev, problem, sizeof(problem))) {
        backend->close(&dev);
        return ms_fail(err, MS_UNSUPPORTED, "the back end %s %s", backend->name, problem);
    }
    size_t own = dev->caps.own_bytes;
    if (own && params->device_mem && !ms_mem_charge(params->device_mem, MS_LEDGER_GENERAL, own)) {
        backend->close(&dev);
        return ms_fail(err, MS_DEVICE_MEMORY,
                       "the back end %s takes %zu bytes of the device itself, more than its budget has",
                       backend->name, own);
    }
    dev->device_mem = params->device_mem;
    *ret_dev = dev;
    return MS_OK;
}

ms_status ms_device_open(const ms_device_params *params, ms_device **ret_dev, ms_error *err) {
    const char *name = params->backend ? params->backend : "cpu";
    const ms_backend *backend = ms_backend_built_in(name);
    char known[128] = "";
    ms_error problem;
    ms_error_clear(&problem);
    if (backend || ms_plugin_find(name, &backend, &problem) == MS_OK)
        return open_checked(backend, params, ret_dev, err);
    for (const ms_backend *const *b = ms_backends(); *b; b++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", (*b)->name);
    }
    return ms_fail_hint(err, MS_UNSUPPORTED, MS_HINT_DEVICE_AUTO,
                        "there is no back end \"%s\"; this build has %s; %s", name, known, problem.message);
}

void ms_device_close(ms_device **dev) {
    if (!dev || !*dev)
        return;
    ms_mem *mem = (*dev)->device_mem;
    size_t own = (*dev)->caps.own_bytes;
    (*dev)->backend->close(dev);
    if (mem && own)
        ms_mem_release(mem, MS_LEDGER_GENERAL, own);
}

ms_status ms_device_only_number(const ms_device_params *params, int count, ms_error *err) {
    if (params->number >= 0 && params->number < count)
        return MS_OK;
    return ms_fail(err, MS_INVALID_ARGUMENT, "there is no device %s:%d: there %s %d", params->backend,
                   params->number, count == 1 ? "is" : "are", count);
}

ms_status ms_device_alloc(ms_device *dev, ms_ledger ledger, size_t bytes, const char *what, void **ret_block,
                          ms_error *err) {
    *ret_block = dev->backend->alloc(dev, ledger, bytes);
    if (*ret_block)
        return MS_OK;
    if (dev->caps.host_memory)
        return ms_fail_alloc(err, dev->mem, bytes, what);
    size_t free_bytes = 0, total_bytes = 0;
    dev->backend->memory(dev, &free_bytes, &total_bytes);
    return ms_fail(err, MS_DEVICE_MEMORY, "cannot allocate %zu bytes for %s on %s, which has %zu free", bytes,
                   what, dev->description, free_bytes);
}

void ms_device_free(ms_device *dev, void *block) {
    if (block)
        dev->backend->free(dev, block);
}

const char *ms_isa_name(ms_isa isa) {
    switch (isa) {
    case MS_ISA_AVX2:
        return "avx2";
    case MS_ISA_AVX512:
        return "avx512";
    case MS_ISA_C:
    case MS_ISA_COUNT:
        break;
    }
    return "c";
}

#if defined(__x86_64__)
/* gcc and clang check the operating system's side (XCR0) in __builtin_cpu_supports; F16C it does not know
   everywhere. */
ms_isa ms_isa_detect(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C))
        return MS_ISA_C;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return MS_ISA_C;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return MS_ISA_AVX512;
    return MS_ISA_AVX2;
}
#else
ms_isa ms_isa_detect(void) {
    return MS_ISA_C;
}
#endif
