/* Name, threads of a block and bytes of shared memory of every kernel, separated by tabs. */
#include <stdio.h>

#include "device/cuda/kernel_list.h"

static bool print(void *arg, const simt_kernel *kernel) {
    (void)arg;
    printf("%s\t%u\t%zu\n", kernel->name, kernel->threads, kernel->shared_bytes);
    return true;
}

int main(void) {
    return cuda_each_kernel(print, NULL) ? 0 : 1;
}
