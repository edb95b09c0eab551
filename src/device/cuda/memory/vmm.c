#include "device/cuda/memory/vmm.h"

#include <cuda_runtime_api.h>
#include <string.h>

#define WITH_MAPPING 10020 /* the version of CUDA that these functions came with */

static bool find(const char *name, void *ret_function) {
    enum cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
    void *found = NULL;
    if (cudaGetDriverEntryPointByVersion(name, &found, WITH_MAPPING, cudaEnableDefault, &result) !=
            cudaSuccess ||
        result != cudaDriverEntryPointSuccess || !found) {
        cudaGetLastError(); /* nobody is to find it later */
        return false;
    }
    memcpy(ret_function, &found, sizeof(found)); /* ISO C has no cast from an object to a function */
    return true;
}

bool cuda_vmm_open(cuda_vmm *v, int device, size_t bytes) {
    *v = (cuda_vmm){.prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                             .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}}};
    if (!find("cuMemAddressReserve", &v->reserve) || !find("cuMemAddressFree", &v->unreserve) ||
        !find("cuMemGetAllocationGranularity", &v->granularity) || !find("cuMemCreate", &v->create) ||
        !find("cuMemRelease", &v->release) || !find("cuMemMap", &v->map) ||
        !find("cuMemSetAccess", &v->set_access) || !find("cuMemUnmap", &v->unmap))
        return false;
    size_t granule = 0;
    if (v->granularity(&granule, &v->prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM) != CUDA_SUCCESS || granule == 0)
        return false; /* also of a card that maps nothing */
    v->granule_bytes = granule;
    v->bytes = (bytes + granule - 1) / granule * granule;
    return v->reserve(&v->base, v->bytes, 0, 0, 0) == CUDA_SUCCESS;
}

void cuda_vmm_close(cuda_vmm *v) {
    v->unreserve(v->base, v->bytes);
}

/* Without the handle, which the mapping does not need. */
static bool map_one(cuda_vmm *v, size_t granule) {
    CUmemGenericAllocationHandle handle;
    if (v->create(&handle, v->granule_bytes, &v->prop, 0) != CUDA_SUCCESS)
        return false;
    CUresult mapped = v->map(v->base + granule * v->granule_bytes, v->granule_bytes, 0, handle, 0);
    v->release(handle);
    return mapped == CUDA_SUCCESS;
}

bool cuda_vmm_map(cuda_vmm *v, size_t first, size_t end) {
    size_t at = first;
    while (at < end && map_one(v, at))
        at++;
    const CUmemAccessDesc access = {.location = v->prop.location,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    const CUdeviceptr begin = v->base + first * v->granule_bytes;
    if (at == end &&
        (first == end || v->set_access(begin, (end - first) * v->granule_bytes, &access, 1) == CUDA_SUCCESS))
        return true;
    cuda_vmm_unmap(v, first, at);
    return false;
}

/* As they were mapped: the driver promises nothing of ranges that are several mappings. */
void cuda_vmm_unmap(cuda_vmm *v, size_t first, size_t end) {
    for (size_t granule = first; granule < end; granule++)
        v->unmap(v->base + granule * v->granule_bytes, v->granule_bytes);
}
