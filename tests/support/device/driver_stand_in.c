/* Stands for the part of CUDA's driver that says whether the process has a card's context already:
   DRIVER_STAND_IN=active: it has. */
#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) int cuDevicePrimaryCtxGetState(int device, unsigned *flags,
                                                                      int *active);

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    const char *set = getenv("DRIVER_STAND_IN");
    *flags = 0;
    *active = set && strcmp(set, "active") == 0;
    return device == 0 ? 0 : 101;
}
