/* Memory that the driver maps to reserved addresses. */
#ifndef MS_DEVICE_CUDA_MEMORY_VMM_H
#define MS_DEVICE_CUDA_MEMORY_VMM_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct cuda_vmm {
    CUresult (*reserve)(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
    CUresult (*unreserve)(CUdeviceptr, size_t);
    CUresult (*granularity)(size_t *, const CUmemAllocationProp *, CUmemAllocationGranularity_flags);
    CUresult (*create)(CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *,
                       unsigned long long);
    CUresult (*release)(CUmemGenericAllocationHandle);
    CUresult (*map)(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long);
    CUresult (*set_access)(CUdeviceptr, size_t, const CUmemAccessDesc *, size_t);
    CUresult (*unmap)(CUdeviceptr, size_t);
    CUmemAllocationProp prop;
    size_t granule_bytes;
    CUdeviceptr base; /* of the reservation */
    size_t bytes;
} cuda_vmm;

/* Reserves so many bytes of addresses, rounded up to granules. false: the driver does not, and nothing is
   held. The device is the calling thread's. */
bool cuda_vmm_open(cuda_vmm *vmm, int device, size_t bytes);
void cuda_vmm_close(cuda_vmm *vmm);
/* Granules first .. end - 1 of the reservation: all of them, or none (false). */
bool cuda_vmm_map(cuda_vmm *vmm, size_t first, size_t end);
void cuda_vmm_unmap(cuda_vmm *vmm, size_t first, size_t end);

#endif
