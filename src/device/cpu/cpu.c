#include "device/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "device/backends.h"
#include "device/immediate.h"
#include "device/weight.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* ---- memory ---- */

static ms_status cpu_copy(ms_queue *queue, void *dst, const void *src, size_t bytes) {
    (void)queue;
    if (bytes && (!dst || !src))
        return MS_INVALID_ARGUMENT;
    if (bytes)
        memcpy(dst, src, bytes);
    return MS_OK;
}

static ms_status cpu_fill(ms_queue *queue, void *dst, int byte, size_t bytes) {
    (void)queue;
    if (bytes && !dst)
        return MS_INVALID_ARGUMENT;
    if (bytes)
        memset(dst, byte, bytes);
    return MS_OK;
}

/* The machine's memory, or what the budget leaves of it. */
static void cpu_memory(const ms_device *dev, size_t *ret_free_bytes, size_t *ret_total_bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t total = (size_t)sysconf(_SC_PHYS_PAGES) * page,
           free_bytes = (size_t)sysconf(_SC_AVPHYS_PAGES) * page;
    ms_mem_usage usage;
    ms_mem_get_usage(dev->mem, &usage);
    if (usage.budget_bytes && usage.budget_bytes < total)
        total = usage.budget_bytes;
    if (usage.budget_bytes && usage.budget_bytes - usage.current_bytes < free_bytes)
        free_bytes = usage.budget_bytes - usage.current_bytes;
    *ret_free_bytes = free_bytes;
    *ret_total_bytes = total;
}

/* ---- kernels ---- */

static size_t linear_workspace(const ms_device *dev, const ms_linear_args *args) {
    return ms_linear_workspace_bytes(args, ms_pool_threads(ms_cpu_threads(dev)));
}

static size_t conv2d_workspace(const ms_device *dev, const ms_conv2d_args *args) {
    return ms_conv2d_workspace_bytes(args, ms_pool_threads(ms_cpu_threads(dev)));
}

static size_t attention_workspace(const ms_device *dev, const ms_attention_args *args) {
    return ms_attention_workspace_bytes(args, ms_pool_threads(ms_cpu_threads(dev)));
}

#define CHECKED_WITH_WORKSPACE(name)                                                                         \
    static ms_status name(ms_queue *queue, const ms_##name##_args *args, void *workspace) {                  \
        MS_TRY_KERNEL_ARGS(queue->dev, name, args);                                                          \
        if (!workspace && name##_workspace(queue->dev, args) > 0)                                            \
            return MS_INVALID_ARGUMENT;                                                                      \
        ms_cpu_##name(queue->dev, args, workspace);                                                          \
        return MS_OK;                                                                                        \
    }
CHECKED_WITH_WORKSPACE(linear)
CHECKED_WITH_WORKSPACE(conv2d)
CHECKED_WITH_WORKSPACE(attention)

#define CHECKED(name)                                                                                        \
    static ms_status name(ms_queue *queue, const ms_##name##_args *args) {                                   \
        MS_TRY_KERNEL_ARGS(queue->dev, name, args);                                                          \
        ms_cpu_##name(queue->dev, args);                                                                     \
        return MS_OK;                                                                                        \
    }
CHECKED(norm_partials)
CHECKED(norm_tables)
CHECKED(norm_apply)
CHECKED(layer_norm)
CHECKED(binary)
CHECKED(unary)
CHECKED(pool)
CHECKED(resize)
CHECKED(copy)
CHECKED(noise)
CHECKED(posterior)
CHECKED(rescale)
CHECKED(guide)
CHECKED(ddim)
CHECKED(check_finite)

static const ms_kernels cpu_kernels = MS_KERNELS_BY_NAME;

/* ---- opening ---- */

/* The best instruction set that the machine has, the caller allows and MEMSAFE_ISA names. */
static ms_status choose_isa(ms_isa limit, ms_isa *ret_isa, ms_error *err) {
    ms_isa isa = ms_isa_detect();
    if (limit < isa)
        isa = limit;
    const char *name = getenv("MEMSAFE_ISA");
    if (name && *name) {
        int wanted = 0;
        while (wanted < MS_ISA_COUNT && strcmp(name, ms_isa_name((ms_isa)wanted)) != 0)
            wanted++;
        if (wanted == MS_ISA_COUNT)
            return ms_fail(err, MS_INVALID_ARGUMENT, "MEMSAFE_ISA must be c, avx2 or avx512, not \"%s\"",
                           name);
        if ((ms_isa)wanted < isa)
            isa = (ms_isa)wanted;
    }
    *ret_isa = isa;
    return MS_OK;
}

/* The processor's name as it states it (48 characters), or "cpu". */
static void cpu_brand(char brand[49]) {
    strcpy(brand, "cpu");
#if defined(__x86_64__)
    unsigned words[12], a, b, c, d;
    if (!__get_cpuid(0x80000000u, &a, &b, &c, &d) || a < 0x80000004u)
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    memcpy(brand, words, 48);
    brand[48] = 0;
    for (size_t n = strlen(brand); n > 0 && brand[n - 1] == ' '; n--)
        brand[n - 1] = 0;
#endif
}

static void cpu_close(ms_device **dev) {
    ms_cpu *cpu = (*dev)->impl;
    ms_mem_free(cpu);
    *dev = NULL;
}

static ms_status cpu_open(const ms_device_params *params, ms_device **ret_dev, ms_error *err) {
    MS_TRY(ms_device_only_number(params, 1, err));
    ms_isa isa = MS_ISA_C;
    MS_TRY(choose_isa(params->isa_limit, &isa, err));
    ms_cpu *cpu = ms_mem_calloc(params->mem, MS_LEDGER_GENERAL, 1, sizeof(*cpu));
    if (!cpu)
        return ms_fail_alloc(err, params->mem, sizeof(*cpu), "the cpu device");
    cpu->base.backend = &ms_backend_cpu;
    cpu->base.caps = (ms_device_caps){.arithmetic = "cpu",
                                      .activations = 1u << MS_F32,
                                      .host_memory = true,
                                      .granularity = 1,
                                      .computes = true};
    cpu->base.kernels = &cpu_kernels;
    cpu->base.mem = params->mem;
    cpu->pool = params->pool;
    cpu->isa = isa;
    cpu->base.impl = cpu;
    ms_cpu_ops_c(&cpu->ops);
#if defined(__x86_64__)
    if (isa >= MS_ISA_AVX2)
        ms_cpu_ops_avx2(&cpu->ops);
    if (isa >= MS_ISA_AVX512)
        ms_cpu_ops_avx512(&cpu->ops);
#endif
    char brand[49];
    cpu_brand(brand);
    snprintf(cpu->base.description, sizeof(cpu->base.description), "%s, %s", brand, ms_isa_name(isa));
    *ret_dev = &cpu->base;
    return MS_OK;
}

const ms_backend ms_backend_cpu = {
    .abi = MS_BACKEND_ABI,
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = ms_plain_host_alloc,
    .free = ms_plain_host_free,
    .host_alloc = ms_plain_host_alloc,
    .host_free = ms_plain_host_free,
    .memory = cpu_memory,
    MS_IMMEDIATE_QUEUES,
    .upload = cpu_copy,
    .download = cpu_copy,
    .fill = cpu_fill,
    .weight_bytes = ms_weight_bytes,
    .weight_panels = ms_weight_panels,
    .weight_pack = ms_weight_pack,
};
