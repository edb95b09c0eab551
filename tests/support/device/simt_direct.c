#include "support/device/simt_direct.h"

void simt_direct_open(simt_direct *direct, int arch, uint64_t seed) {
#if defined(__x86_64__)
    if (ms_isa_detect() < MS_ISA_AVX2)
        skip();
#endif
    memset(direct, 0, sizeof(*direct));
    direct->arch = arch;
    direct->processors = 60;
    direct->seed = seed;
    direct->emulator = simt_emulator_create();
    assert_non_null(direct->emulator);
    direct->dev.caps.host_memory = true;
    direct->dev.caps.activations = 1u << MS_F32 | 1u << MS_F16 | (arch >= 80 ? 1u << MS_BF16 : 0);
    direct->dev.caps.raw_weights = direct->dev.caps.computes = true;
    direct->dev.impl = direct;
    direct->queue.dev = &direct->dev;
}

void simt_direct_close(simt_direct *direct) {
    simt_emulator_destroy(&direct->emulator);
}

int cuda_processors(const ms_device *dev) {
    return ((const simt_direct *)dev->impl)->processors;
}

int cuda_form(const ms_device *dev) {
    return ((const simt_direct *)dev->impl)->form;
}

int cuda_arch(const ms_device *dev) {
    return ((const simt_direct *)dev->impl)->arch;
}

ms_status cuda_launch(ms_queue *queue, const simt_kernel *kernel, uint32_t x, uint32_t y, uint32_t z,
                      const void *param) {
    simt_direct *direct = queue->dev->impl;
    const simt_entry *entry = kernel->entry;
    assert_in_range(x, 1, INT32_MAX);
    assert_in_range(y, 1, 65535);
    assert_in_range(z, 1, 65535);
    assert_int_equal(kernel->param_bytes, entry->param_bytes);
    assert_in_range(kernel->param_bytes, 1, 4096);
    assert_in_range(kernel->shared_bytes, 0, simt_most_shared_bytes(direct->arch));
    /* A copy of exact size, that a reader of more is found. */
    void *copy = malloc(kernel->param_bytes);
    assert_non_null(copy);
    memcpy(copy, param, kernel->param_bytes);
    const simt_launch launch = {.name = kernel->name,
                                .entry = entry,
                                .param = copy,
                                .grid = {x, y, z},
                                .threads = kernel->threads,
                                .shared_bytes = kernel->shared_bytes,
                                .arch = direct->arch,
                                .seed = direct->seed};
    assert_true(simt_run(direct->emulator, &launch));
    free(copy);
    direct->launches++;
    direct->last = kernel->name;
    return MS_OK;
}
