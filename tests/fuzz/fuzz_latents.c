/* Blocks of latents, and the files that hold them: whatever the bytes, they are
   refused or they are values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32.h"
#include "base/error.h"
#include "fuzz/fuzz.h"
#include "latents/latent_block.h"

#define FRAMES 4
#define MAX_VALUES 4096

const fuzz_seeds fuzz_golden_seeds = {NULL, NULL};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static const struct {
        int frames, percent;
        int64_t values;
        bool lossy;
    } seeds[] = {
        {1, 0, 3, false}, {2, 50, 40, false}, {4, 50, 300, false}, {4, 75, 300, true}, {3, 90, 17, true}};
    static float rows[FRAMES][300];
    const float *at[FRAMES];
    ms_latent_codec *codec = NULL;
    ms_latent_block_stats stats;
    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    for (int f = 0; f < FRAMES; f++) {
        at[f] = rows[f];
        for (int v = 0; v < 300; v++)
            rows[f][v] = (float)(v * v % 17) + (float)((f * v) % 5) * 0.125f;
    }
    ms_latent_block_params p = {.frames = seeds[index].frames,
                                .values = seeds[index].values,
                                .rank_percent = seeds[index].percent,
                                .lossy = seeds[index].lossy};
    void *block = malloc(ms_latent_block_bound(p.frames, p.values));
    fuzz_require(block && ms_latent_codec_create(NULL, FRAMES, &codec, NULL) == MS_OK, "a codec");
    fuzz_require(ms_latent_block_encode(codec, &p, at, block, &stats, NULL) == MS_OK, "a block");
    fuzz_require(stats.bytes <= room, "room for a seed");
    memcpy(ret_data, block, stats.bytes);
    ms_latent_codec_destroy(&codec);
    free(block);
    return stats.bytes;
}

static void decode(ms_latent_codec *codec, const uint8_t *data, size_t size) {
    static float rows[FRAMES][MAX_VALUES];
    float *at[FRAMES];
    ms_latent_block_info info;
    ms_error err;
    for (int f = 0; f < FRAMES; f++)
        at[f] = f == 2 ? NULL : rows[f];
    ms_status status = ms_latent_block_info_read(data, size, &info, &err);
    fuzz_require(status == MS_OK || (status == MS_BAD_MEDIA && strlen(err.message) > 6), "known or refused");
    if (status != MS_OK)
        return;
    fuzz_require(info.frames >= 1 && info.components >= 0 && info.components < info.frames &&
                     info.values >= 1,
                 "a shape");
    if (info.frames > FRAMES || info.values > MAX_VALUES)
        return;
    status = ms_latent_block_decode(codec, data, size, at, &err);
    fuzz_require(status == MS_OK || status == MS_BAD_MEDIA || status == MS_UNSUPPORTED, "decoded or refused");
}

static uint32_t word_at(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_word(uint8_t *p, uint32_t x) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(x >> (8 * i));
}

/* Mutations do not make checksums: the header's and the size are put right, so that more is reached. */
static void mend(uint8_t *p, size_t size) {
    ms_crc32_table table;
    if (size < 40)
        return;
    put_word(p + 32, (uint32_t)size);
    put_word(p + 36, 0);
    uint64_t basis = 4 * (uint64_t)word_at(p + 8) * word_at(p + 12);
    ms_crc32_init(&table);
    uint32_t crc = ms_crc32(&table, 0, p, 28);
    put_word(p + 28, ms_crc32(&table, crc, p + 40, basis <= size - 40 ? (size_t)basis : 0));
}

static void parse(ms_mem *mem, const uint8_t *data, size_t size) {
    ms_latent_codec *codec = NULL;
    if (ms_latent_codec_create(mem, FRAMES, &codec, NULL) != MS_OK)
        return;
    decode(codec, data, size);
    uint8_t *mended = malloc(size + 1);
    fuzz_require(mended != NULL, "memory");
    memcpy(mended, data, size);
    mend(mended, size);
    decode(codec, mended, size);
    free(mended);
    ms_latent_codec_destroy(&codec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(parse, data, size);
}
