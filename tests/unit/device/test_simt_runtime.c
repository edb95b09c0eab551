/*
 * The emulated card's runtime by itself (src/device/simt/runtime/runtime.h): what the CUDA back end does not
 * get wrong today, so that it would be found out if it did.
 */
#include "test.h"

#include <pthread.h>

#include "device/cuda/memory/vmm.h"
#include "device/simt/runtime/runtime.h"
#include "support/device/forked.h"

static void open_card(void) {
    setenv("MEMSAFE_SIMT", "64M,sm_80", 1);
    assert_int_equal(cudaSetDevice(0), cudaSuccess);
}

/* ---- memory that is mapped ---- */

static CUresult map_first(cuda_vmm *v) {
    CUmemGenericAllocationHandle handle;
    if (v->create(&handle, v->granule_bytes, &v->prop, 0) != CUDA_SUCCESS)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult mapped = v->map(v->base, v->granule_bytes, 0, handle, 0);
    v->release(handle);
    return mapped;
}

static CUresult let_at_first(cuda_vmm *v) {
    const CUmemAccessDesc access = {.location = v->prop.location,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    return v->set_access(v->base, v->granule_bytes, &access, 1);
}

static void fill_first(void *arg) {
    const cuda_vmm *v = arg;
    void *block = (void *)(uintptr_t)v->base;
    cudaStream_t stream;
    if (!simt_watch_hold(block, 4096) ||
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess ||
        cudaMemsetAsync(block, 0, 4096, stream) != cudaSuccess)
        _exit(0);
    (void)cudaStreamSynchronize(stream);
}

/* A card faults at the first touch; here a block that lies so ends the program with a message. */
static void mapped_memory_is_not_accessible_by_that(void **state) {
    (void)state;
    cuda_vmm v;
    open_card();
    assert_true(cuda_vmm_open(&v, 0, 8 << 20));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(test_signal_of(fill_first, &v), SIGABRT); /* there is none */
        assert_int_equal(let_at_first(&v), CUDA_ERROR_INVALID_VALUE);
        assert_int_equal(map_first(&v), CUDA_SUCCESS);
        assert_int_equal(test_signal_of(fill_first, &v), SIGABRT);
        assert_int_equal(let_at_first(&v), CUDA_SUCCESS);
        assert_int_equal(test_signal_of(fill_first, &v), 0);
        assert_int_equal(v.unmap(v.base, v.granule_bytes), CUDA_SUCCESS);
    }
    assert_true(cuda_vmm_map(&v, 0, 2));
    assert_int_equal(test_signal_of(fill_first, &v), 0);
    cuda_vmm_unmap(&v, 0, 2);
    cuda_vmm_close(&v);
}

/* ---- captures ---- */

static void *device_block, *host_block;

static cudaError_t take_of_the_card(void) {
    void *taken = NULL;
    cudaError_t error = cudaMalloc(&taken, 100);
    assert_int_equal(error == cudaSuccess, taken != NULL);
    return taken ? cudaFree(taken) : error;
}

static cudaError_t take_of_the_host(void) {
    void *taken = NULL;
    cudaError_t error = cudaHostAlloc(&taken, 100, cudaHostAllocPortable);
    assert_int_equal(error == cudaSuccess, taken != NULL);
    return taken ? cudaFreeHost(taken) : error;
}

static cudaError_t give_to_the_card(void) {
    cudaError_t error = cudaFree(device_block);
    if (error == cudaSuccess)
        error = cudaMalloc(&device_block, 100);
    return error;
}

static cudaError_t give_to_the_host(void) {
    cudaError_t error = cudaFreeHost(host_block);
    if (error == cudaSuccess)
        error = cudaHostAlloc(&host_block, 100, cudaHostAllocPortable);
    return error;
}

static cudaError_t (*const calls[])(void) = {take_of_the_card, take_of_the_host, give_to_the_card,
                                             give_to_the_host};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void *all_calls(void *arg) {
    int *worked = arg;
    for (size_t i = 0; i < CALLS; i++)
        *worked += calls[i]() == cudaSuccess;
    return NULL;
}

static cudaStream_t begin_capture(void *filled) {
    cudaStream_t stream;
    assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    assert_int_equal(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(cudaMemsetAsync(filled, 0, 100, stream), cudaSuccess);
    return stream;
}

/* Each of them by the capturing thread fails and takes its capture with it; afterwards it works again. */
static void memory_breaks_a_capture_of_its_thread(void **state) {
    (void)state;
    void *filled = NULL;
    open_card();
    assert_int_equal(cudaMalloc(&filled, 100), cudaSuccess);
    assert_int_equal(cudaMalloc(&device_block, 100), cudaSuccess);
    assert_int_equal(cudaHostAlloc(&host_block, 100, cudaHostAllocPortable), cudaSuccess);
    for (size_t i = 0; i < CALLS; i++) {
        cudaStream_t stream = begin_capture(filled);
        cudaGraph_t graph = NULL;
        assert_int_equal(calls[i](), cudaErrorStreamCaptureUnsupported);
        assert_int_equal(cudaMemsetAsync(filled, 0, 100, stream), cudaErrorStreamCaptureInvalidated);
        assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
        assert_null(graph);
        assert_int_equal(calls[i](), cudaSuccess);
        assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
        assert_int_equal(calls[i](), cudaSuccess);
    }
    assert_int_equal(cudaFree(filled), cudaSuccess);
    assert_int_equal(cudaFree(device_block), cudaSuccess);
    assert_int_equal(cudaFreeHost(host_block), cudaSuccess);
}

static void *end_capture(void *stream) {
    cudaGraph_t graph = NULL;
    return (void *)(intptr_t)cudaStreamEndCapture(stream, &graph);
}

/* That is the mode in which the back end captures. Who began it ends it. */
static void other_threads_do_not_break_it(void **state) {
    (void)state;
    void *filled = NULL, *ended = NULL;
    int worked = 0;
    pthread_t thread;
    cudaGraph_t graph = NULL;
    open_card();
    assert_int_equal(cudaMalloc(&filled, 100), cudaSuccess);
    assert_int_equal(cudaMalloc(&device_block, 100), cudaSuccess);
    assert_int_equal(cudaHostAlloc(&host_block, 100, cudaHostAllocPortable), cudaSuccess);
    cudaStream_t stream = begin_capture(filled);
    assert_int_equal(pthread_create(&thread, NULL, all_calls, &worked), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(worked, CALLS);
    assert_int_equal(pthread_create(&thread, NULL, end_capture, stream), 0);
    assert_int_equal(pthread_join(thread, &ended), 0);
    assert_int_equal((intptr_t)ended, cudaErrorStreamCaptureWrongThread);
    assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    assert_non_null(graph);
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    /* A wait for what is captured breaks it as well. */
    assert_int_equal(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
    assert_int_equal(cudaFree(filled), cudaSuccess);
    assert_int_equal(cudaFree(device_block), cudaSuccess);
    assert_int_equal(cudaFreeHost(host_block), cudaSuccess);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_memory_is_not_accessible_by_that),
        cmocka_unit_test(memory_breaks_a_capture_of_its_thread),
        cmocka_unit_test(other_threads_do_not_break_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
