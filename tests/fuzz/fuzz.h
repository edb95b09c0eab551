/*
 * A fuzz target is one file with the three things below. It is linked with libFuzzer (clang, MEMSAFE_FUZZ=ON)
 * or with mutate.c, which runs some thousand fixed mutations of the seeds with any compiler.
 */
#ifndef MS_TESTS_FUZZ_FUZZ_H
#define MS_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "formats/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Golden folder and file name ending of seeds; NULL when the target has only its own. */
typedef struct fuzz_seeds {
    const char *folder, *ending;
} fuzz_seeds;
extern const fuzz_seeds fuzz_golden_seeds;

/* The target's own seeds, so that there are some without golden files: writes number index, returns its
   bytes, 0 behind the last. */
size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room);

/* Helpers of the targets (fuzz.c). A broken promise ends the program, which is how libFuzzer is told. */

/* Runs parse(arg, data, size, mem) as it is and again with one allocation that fails, which one depending on
   the data; afterwards no byte may be left. */
typedef void (*fuzz_parse_fn)(ms_mem *mem, const uint8_t *data, size_t size);
int fuzz_run(fuzz_parse_fn parse, const uint8_t *data, size_t size);

/* Opens the bytes as a tensor file and reads parts of its tensors. */
void fuzz_tensor_file(ms_mem *mem, const uint8_t *data, size_t size);

void fuzz_require(int condition, const char *what);

#endif
