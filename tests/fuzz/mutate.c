/*
 * Runs a fuzz target without a fuzzer: every seed as it is, then RUNS mutations of seeds chosen by a fixed
 * random sequence, the same on every machine.
 *
 *     mutate_json RUNS               (the target's own seeds and golden ones)
 *     mutate_json --write FOLDER     (writes the seeds: a corpus for libFuzzer)
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "support/golden.h"

#define MAX_SEEDS 100
#define MAX_SEED_BYTES 20000 /* a mutation of a small file reaches as much, sooner */
#define MAX_INPUT_BYTES (2 * MAX_SEED_BYTES)

typedef struct seed {
    uint8_t *data;
    size_t bytes;
} seed;

static seed seeds[MAX_SEEDS];
static size_t seed_count;
static uint64_t rng = 20241;

static uint32_t random32(void) {
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng >> 33) ^ (uint32_t)(rng >> 13);
}

static size_t below(size_t n) {
    return n ? random32() % n : 0;
}

static void add_seed(const uint8_t *data, size_t bytes) {
    if (seed_count == MAX_SEEDS || bytes > MAX_SEED_BYTES)
        return;
    seed *s = &seeds[seed_count];
    s->data = malloc(bytes + 1);
    if (!s->data)
        exit(2);
    memcpy(s->data, data, bytes);
    s->bytes = bytes;
    seed_count++;
}

static void add_file(const char *path) {
    static uint8_t room[MAX_SEED_BYTES + 1];
    FILE *f = fopen(path, "rb");
    if (!f)
        return;
    size_t bytes = fread(room, 1, sizeof(room), f);
    fclose(f);
    add_seed(room, bytes);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the order of their names, so that the run is the same wherever the files lie. */
static void add_golden_seeds(void) {
    char folder[512], path[1024];
    struct dirent **names = NULL;
    if (!fuzz_golden_seeds.folder || !golden_path(folder, sizeof(folder), fuzz_golden_seeds.folder))
        return;
    int count = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        size_t length = strlen(name), ending = strlen(fuzz_golden_seeds.ending);
        if (length > ending && strcmp(name + length - ending, fuzz_golden_seeds.ending) == 0) {
            snprintf(path, sizeof(path), "%s/%s", folder, name);
            add_file(path);
        }
        free(names[i]);
    }
    free(names);
}

static void add_own_seeds(void) {
    static uint8_t room[MAX_SEED_BYTES];
    size_t bytes;
    for (size_t i = 0; (bytes = fuzz_own_seed(i, room, sizeof(room))) > 0; i++)
        add_seed(room, bytes);
}

/* ------------------------------------------------------------------ mutations */

typedef struct input {
    uint8_t data[MAX_INPUT_BYTES];
    size_t bytes;
} input;

static void remove_at(input *in, size_t at, size_t n) {
    memmove(in->data + at, in->data + at + n, in->bytes - at - n);
    in->bytes -= n;
}

static void insert_at(input *in, size_t at, const uint8_t *from, size_t n) {
    if (in->bytes + n > MAX_INPUT_BYTES)
        return;
    memmove(in->data + at + n, in->data + at, in->bytes - at);
    memmove(in->data + at, from, n);
    in->bytes += n;
}

/* A number at the edge of some type, in 1 to 8 bytes, either byte order. */
static void put_edge_number(input *in, size_t at) {
    static const uint64_t edges[] = {0,
                                     1,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x7fff,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0xffffffffffffffff};
    uint64_t value = edges[below(sizeof(edges) / sizeof(*edges))] + below(3) - 1;
    size_t width = (size_t)1 << below(4);
    int big_endian = (int)below(2);
    for (size_t i = 0; i < width && at + i < in->bytes; i++)
        in->data[at + i] = (uint8_t)(value >> (8 * (big_endian ? width - 1 - i : i)));
}

static void mutate_once(input *in) {
    uint8_t piece[64];
    size_t at = below(in->bytes), left = in->bytes - at, n = below(left < 64 ? left + 1 : 64);
    const seed *other = &seeds[below(seed_count)];
    size_t from = below(other->bytes);
    switch (below(10)) {
    case 0:
        if (left)
            in->data[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        if (left)
            in->data[at] = (uint8_t)random32();
        break;
    case 2:
        put_edge_number(in, at);
        break;
    case 3:
        remove_at(in, at, n);
        break;
    case 4: /* repeat a piece */
        memcpy(piece, in->data + at, n);
        insert_at(in, at, piece, n);
        break;
    case 5: /* move a piece elsewhere */
        memcpy(piece, in->data + at, n);
        insert_at(in, below(in->bytes + 1), piece, n);
        break;
    case 6: /* a piece of another seed */
        if (n > other->bytes - from)
            n = other->bytes - from;
        insert_at(in, at, other->data + from, n);
        break;
    case 7:
        for (size_t i = 0; i < n; i++)
            in->data[at + i] = (uint8_t)(below(2) ? 0xff : 0);
        break;
    case 8: /* another digit, bracket or quote */
        if (left)
            in->data[at] = (uint8_t) "0123456789-.eE[]{}\",:\\/ \n"[below(26)];
        break;
    default:
        if (below(8) == 0)
            in->bytes = at;
    }
}

static void run_mutations(long runs) {
    static input in;
    for (long run = 0; run < runs; run++) {
        const seed *s = &seeds[below(seed_count)];
        memcpy(in.data, s->data, s->bytes);
        in.bytes = s->bytes;
        for (size_t n = 1 + below(6); n > 0; n--)
            mutate_once(&in);
        uint8_t *exact = malloc(in.bytes ? in.bytes : 1); /* so that a sanitizer sees its end */
        if (!exact)
            exit(2);
        memcpy(exact, in.data, in.bytes);
        LLVMFuzzerTestOneInput(exact, in.bytes);
        free(exact);
    }
}

static int write_seeds(const char *folder) {
    for (size_t i = 0; i < seed_count; i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/seed-%02zu", folder, i);
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(seeds[i].data, 1, seeds[i].bytes, f) != seeds[i].bytes || fclose(f) != 0) {
            fprintf(stderr, "%s: cannot be written\n", path);
            return 2;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    add_own_seeds();
    add_golden_seeds();
    int status = 0;
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        status = write_seeds(argv[2]);
    } else if (argc == 2 && atol(argv[1]) > 0) {
        for (size_t i = 0; i < seed_count; i++)
            LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].bytes);
        run_mutations(atol(argv[1]));
        printf("%zu seeds, %s mutations\n", seed_count, argv[1]);
    } else {
        fprintf(stderr, "usage: %s RUNS | --write FOLDER\n", argv[0]);
        status = 2;
    }
    for (size_t i = 0; i < seed_count; i++)
        free(seeds[i].data);
    return status;
}
