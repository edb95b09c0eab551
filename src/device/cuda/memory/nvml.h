/* NVIDIA's management library, where the driver has installed it: it knows a card's memory without a
   context. */
#ifndef MS_DEVICE_CUDA_MEMORY_NVML_H
#define MS_DEVICE_CUDA_MEMORY_NVML_H

#include <stdbool.h>
#include <stddef.h>

/* Of the card in that slot ("0000:01:00.0"). false: there is no such library, or it does not know. */
bool cuda_nvml_memory(const char *pci_bus_id, size_t *ret_free_bytes, size_t *ret_total_bytes);

#endif
