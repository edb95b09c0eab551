/* The bytes of asynchronous copies. Unlike the rest of the emulator this is compiled with all sanitizers. */
#include <stdbool.h>
#include <string.h>

void simt_poison16(void *shared);
void simt_land16(void *shared, const void *global, bool valid);

void simt_poison16(void *shared) {
    memset(shared, 0xff, 16); /* NaNs, in every type */
}

void simt_land16(void *shared, const void *global, bool valid) {
    if (valid)
        memcpy(shared, global, 16);
    else
        memset(shared, 0, 16);
}
