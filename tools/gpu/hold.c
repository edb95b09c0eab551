/*
 * hold DEVICE LEFT: opens a device as a run does, with the self-test where it was not done before; takes all
 * of its memory but LEFT (as 2G), says "held BYTES, left BYTES, open_s=SECONDS", and keeps it until its input
 * ends: the other process beside which a run has to manage, or how long an opening takes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "device/compute.h"
#include "device/self_test/self_test.h"
#include "text/size.h"

#define MOST_PIECES 4096

static ms_error err;

static void need(ms_status status) {
    if (status == MS_OK)
        return;
    fprintf(stderr, "hold: %s\n", err.message);
    exit(ms_status_exit_code(status));
}

static size_t free_bytes(const ms_device *dev) {
    size_t free_now = 0, total = 0;
    dev->backend->memory(dev, &free_now, &total);
    return free_now;
}

int main(int argc, char **argv) {
    static void *piece[MOST_PIECES];
    uint64_t left = 0;
    int pieces = 0;
    if (argc != 3 || !ms_size_parse(argv[2], &left)) {
        fprintf(stderr, "usage: hold DEVICE LEFT\n");
        return 2;
    }
    const ms_compute_params params = {.device = argv[1], .threads = 1, .must_compute = true};
    ms_compute compute = {0};
    const double start = ms_now_s();
    need(ms_compute_open_tested(&params, &compute, &err));
    const double open_s = ms_now_s() - start;
    ms_device *dev = compute.dev;
    size_t held = 0;
    /* Large pieces first. A device that maps memory on demand takes it at the block, others too. */
    for (size_t bytes = (size_t)1 << 30; bytes >= (size_t)8 << 20;) {
        void *block = NULL;
        if (pieces < MOST_PIECES && free_bytes(dev) >= left + bytes)
            block = dev->backend->alloc(dev, MS_LEDGER_GENERAL, bytes);
        if (block) {
            piece[pieces++] = block;
            held += bytes;
        } else {
            bytes /= 2;
        }
    }
    printf("held %zu, left %zu, open_s=%.2f\n", held, free_bytes(dev), open_s);
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    while (pieces > 0)
        ms_device_free(dev, piece[--pieces]);
    ms_compute_close(&compute);
    return 0;
}
