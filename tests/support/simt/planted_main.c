/*
 * planted NAME ARCH SEED      runs a kernel with its fault
 * planted sound ARCH SEED     runs all of them without
 *
 * Exits with 0 if the numbers are right, with 3 if they are wrong; what the emulator or a sanitizer finds
 * ends the program. Built three times: as it is, for addresses, for threads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/simt/emulator.h"
#include "support/simt/planted.h"

#define T PLANTED_THREADS

static uint32_t given(int t) {
    return 1000003u * (uint32_t)(t + 1);
}

static int run(simt_emulator *e, const planted_bug *bug, bool broken, int arch, uint64_t seed) {
    const simt_kernel *k = bug->kernel;
    /* Blocks of exact size: what lies behind them is somebody else's. */
    uint32_t *in = aligned_alloc(16, 4 * T * sizeof(*in)), *out = calloc(T, sizeof(*out));
    int wrong = 0;
    if (!in || !out)
        exit(2);
    for (int i = 0; i < 4 * T; i++)
        in[i] = given(i / 4) + (uint32_t)(i % 4);
    const planted_args args = {in, out, broken};
    const simt_launch launch = {
        .name = k->name,
        .entry = k->entry,
        .param = &args,
        .grid = {bug->blocks, 1, 1},
        .threads = k->threads,
        .shared_bytes = broken && bug->broken_shared_bytes ? bug->broken_shared_bytes : k->shared_bytes,
        .arch = arch,
        .seed = seed,
    };
    if (!simt_run(e, &launch))
        exit(2);
    for (int t = 0; t < T; t++)
        wrong |= out[t] != given((t + 32) % T) + 1;
    if (wrong)
        printf("%s: the numbers are wrong\n", k->name);
    free(in);
    free(out);
    return wrong ? 3 : 0;
}

int main(int argc, char **argv) {
    simt_emulator *e = simt_emulator_create();
    int result = 2;
    if (argc != 4 || !e)
        return 2;
    for (int i = 0; i < planted_bug_count; i++) {
        const planted_bug *bug = &planted_bugs[i];
        if (!strcmp(argv[1], "sound") && result != 3)
            result = run(e, bug, false, atoi(argv[2]), strtoull(argv[3], NULL, 10));
        else if (!strcmp(argv[1], bug->kernel->name))
            result = run(e, bug, true, atoi(argv[2]), strtoull(argv[3], NULL, 10));
    }
    simt_emulator_destroy(&e);
    return result;
}
