/* A plug-in that is the back end `dummy` but for one fault, which MEMSAFE_FAULT
   names: "no_FUNCTION", or a word below. Its name is FAULTY_NAME. With "wrong_kernel" and "sound_kernels"
   it is the processor's back end instead, which computes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unistd.h>

#include "device/backend_check.h"
#include "device/backends.h"
#include "device/plugin.h"

static ms_backend table;
static const ms_backend *base;
static ms_kernels kernels;

static bool fault_is(const char *name) {
    const char *fault = getenv("MEMSAFE_FAULT");
    return fault && strcmp(fault, name) == 0;
}

/* Whoever loads it has run this. */
__attribute__((constructor)) static void loaded(void) {
    const char *trace = getenv("MEMSAFE_FAULT_TRACE");
    if (trace)
        (void)!symlink("loaded", trace);
    if (fault_is("crash"))
        _exit(77);
}

static void memory_of_more(const ms_device *dev, size_t *ret_free_bytes, size_t *ret_total_bytes) {
    ms_backend_dummy.memory(dev, ret_free_bytes, ret_total_bytes);
    *ret_free_bytes = *ret_total_bytes + 1;
}

static ms_status do_nothing(ms_queue *queue, const ms_unary_args *args) {
    (void)queue;
    (void)args;
    return MS_OK;
}

static ms_status open_faulty(const ms_device_params *params, ms_device **ret_dev, ms_error *err) {
    if (fault_is("opens_nothing"))
        return MS_OK;
    if (fault_is("opens_slowly"))
        sleep(600);
    ms_status status = base->open(params, ret_dev, err);
    if (status != MS_OK)
        return status;
    ms_device *dev = *ret_dev;
    kernels = *dev->kernels;
    dev->kernels = &kernels;
    dev->backend = &table;
    if (fault_is("no_arithmetic"))
        dev->caps.arithmetic = NULL;
    if (fault_is("no_float32"))
        dev->caps.activations = 1u << MS_F16;
    if (fault_is("odd_types"))
        dev->caps.activations |= 1u << 20;
    if (fault_is("packs_apart"))
        dev->caps.raw_weights = false;
    if (fault_is("odd_granularity"))
        dev->caps.granularity = 3000;
    if (fault_is("no_granularity"))
        dev->caps.granularity = 0;
    if (fault_is("huge_launches"))
        dev->caps.launch_bytes = SIZE_MAX / 4;
    if (fault_is("odd_forms") || fault_is("no_choice"))
        dev->caps.forms = fault_is("no_choice") ? 2 : -1;
    if (fault_is("huge_context"))
        dev->caps.own_bytes = SIZE_MAX / 4;
    if (base == &ms_backend_cpu) /* what has one is tested when it is opened */
        snprintf(dev->caps.identity, sizeof(dev->caps.identity), "%s", getenv("MEMSAFE_FAULT"));
    if (fault_is("wrong_kernel"))
        kernels.unary = do_nothing;
    if (fault_is("no_kernels"))
        dev->kernels = NULL;
    if (fault_is("no_kernel"))
        kernels.layer_norm = NULL;
    if (fault_is("no_last_kernel"))
        kernels.check_finite = NULL;
    if (fault_is("no_description"))
        dev->description[0] = 0;
    return MS_OK;
}

__attribute__((visibility("default"))) const ms_backend *ms_plugin_backend(uint32_t abi,
                                                                           const ms_host_services *host);

const ms_backend *ms_plugin_backend(uint32_t abi, const ms_host_services *host) {
    (void)host;
    base = fault_is("wrong_kernel") || fault_is("sound_kernels") ? &ms_backend_cpu : &ms_backend_dummy;
    table = *base;
    table.name = FAULTY_NAME;
    table.open = open_faulty;
    if (fault_is("other_version"))
        table.abi = abi + 1;
    if (fault_is("no_name"))
        table.name = NULL;
    if (fault_is("empty_name"))
        table.name = "";
    if (fault_is("other_name"))
        table.name = "cpu";
    if (fault_is("more_free_than_there_is"))
        table.memory = memory_of_more;
#define DROP(function)                                                                                       \
    if (fault_is("no_" #function))                                                                           \
        table.function = NULL;
    MS_BACKEND_FUNCTIONS(DROP)
    MS_CAPTURE_FUNCTIONS(DROP)
    DROP(weight_prepare)
    return fault_is("nothing") ? NULL : &table;
}
