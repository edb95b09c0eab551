#include "latents/block_bytes.h"

#include <string.h>

#include "base/error.h"
#include "memsafe_have.h"

#if MS_HAVE_ZSTD
/* Contexts in memory of ours: zstd then allocates nothing. Stable since 1.4. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#endif

/* What repeats in planes are bytes, not strings: levels above gain less than 1 %
   and take several times as long. */
#define LEVEL 1

struct ms_block_coder {
    size_t max_words;
    uint32_t *words;
    uint8_t *planes;
    void *encoder, *decoder; /* zstd's contexts lie at their beginnings */
};

bool ms_block_has_zstd(void) {
    return MS_HAVE_ZSTD;
}

static size_t encoder_bytes(void) {
#if MS_HAVE_ZSTD
    return ZSTD_estimateCCtxSize(LEVEL);
#else
    return 0;
#endif
}

static size_t decoder_bytes(void) {
#if MS_HAVE_ZSTD
    return ZSTD_estimateDCtxSize();
#else
    return 0;
#endif
}

size_t ms_block_coder_bytes(size_t max_words) {
    return sizeof(ms_block_coder) + 8 * max_words + encoder_bytes() + decoder_bytes() +
           5 * (MS_MEM_ALIGN + (size_t)4096);
}

static ms_status open_contexts(ms_block_coder *c, ms_error *err) {
#if MS_HAVE_ZSTD
    if (!ZSTD_initStaticCCtx(c->encoder, encoder_bytes()) ||
        !ZSTD_initStaticDCtx(c->decoder, decoder_bytes()))
        return ms_fail(err, MS_INTERNAL, "zstd wants more memory than it said");
#else
    (void)c, (void)err;
#endif
    return MS_OK;
}

ms_status ms_block_coder_create(ms_mem *mem, size_t max_words, ms_block_coder **ret_coder, ms_error *err) {
    ms_block_coder *c = ms_mem_calloc(mem, MS_LEDGER_CACHES, 1, sizeof(*c));
    if (!c)
        return ms_fail_alloc(err, mem, sizeof(*c), "a coder");
    c->max_words = max_words;
    c->words = ms_alloc_array(mem, MS_LEDGER_CACHES, max_words, 4);
    c->planes = ms_alloc_array(mem, MS_LEDGER_CACHES, max_words, 4);
    c->encoder = ms_mem_alloc(mem, MS_LEDGER_CACHES, encoder_bytes());
    c->decoder = ms_mem_alloc(mem, MS_LEDGER_CACHES, decoder_bytes());
    ms_status status = MS_HOST_MEMORY;
    if (c->words && c->planes && c->encoder && c->decoder)
        status = open_contexts(c, err);
    else
        ms_fail_alloc(err, mem, 8 * max_words + encoder_bytes(), "a coder");
    if (status != MS_OK) {
        ms_block_coder_destroy(&c);
        return status;
    }
    *ret_coder = c;
    return MS_OK;
}

void ms_block_coder_destroy(ms_block_coder **coder) {
    if (!coder || !*coder)
        return;
    ms_block_coder *c = *coder;
    ms_mem_free(c->words);
    ms_mem_free(c->planes);
    ms_mem_free(c->encoder);
    ms_mem_free(c->decoder);
    ms_mem_free(c);
    *coder = NULL;
}

uint32_t *ms_block_coder_words(ms_block_coder *c) {
    return c->words;
}

size_t ms_block_coder_bound(size_t count) {
#if MS_HAVE_ZSTD
    return ZSTD_compressBound(4 * count);
#else
    return 4 * count;
#endif
}

/* Shorter than the planes, or 0. */
static size_t compress(ms_block_coder *c, size_t count, void *dst) {
#if MS_HAVE_ZSTD
    size_t bytes = ZSTD_compressCCtx((ZSTD_CCtx *)c->encoder, dst, ms_block_coder_bound(count), c->planes,
                                     4 * count, LEVEL);
    return !ZSTD_isError(bytes) && bytes < 4 * count ? bytes : 0;
#else
    (void)c, (void)count, (void)dst;
    return 0;
#endif
}

size_t ms_block_coder_write(ms_block_coder *c, size_t count, void *dst) {
    for (int p = 0; p < 4; p++) {
        uint8_t *plane = c->planes + (size_t)p * count;
        for (size_t i = 0; i < count; i++)
            plane[i] = (uint8_t)(c->words[i] >> (8 * p));
    }
    size_t bytes = compress(c, count, dst);
    if (bytes)
        return bytes;
    memcpy(dst, c->planes, 4 * count);
    return 4 * count;
}

static ms_status decompress(ms_block_coder *c, const void *src, size_t bytes, size_t count, ms_error *err) {
#if MS_HAVE_ZSTD
    size_t got = ZSTD_decompressDCtx((ZSTD_DCtx *)c->decoder, c->planes, 4 * count, src, bytes);
    if (ZSTD_isError(got))
        return ms_fail(err, MS_BAD_MEDIA, "a block's data is damaged (zstd: %s)", ZSTD_getErrorName(got));
    if (got != 4 * count)
        return ms_fail(err, MS_BAD_MEDIA, "a block's data has %zu bytes in place of %zu", got, 4 * count);
    return MS_OK;
#else
    (void)c, (void)src, (void)bytes, (void)count;
    return ms_fail(err, MS_UNSUPPORTED, "a block is compressed, and this build was made without zstd");
#endif
}

ms_status ms_block_coder_read(ms_block_coder *c, const void *src, size_t bytes, size_t count, ms_error *err) {
    if (bytes > 4 * count)
        return ms_fail(err, MS_BAD_MEDIA, "a block's data has %zu bytes, more than its %zu values need",
                       bytes, count);
    const uint8_t *planes = src;
    if (bytes < 4 * count) {
        MS_TRY(decompress(c, src, bytes, count, err));
        planes = c->planes;
    }
    for (size_t i = 0; i < count; i++)
        c->words[i] = (uint32_t)planes[i] | (uint32_t)planes[count + i] << 8 |
                      (uint32_t)planes[2 * count + i] << 16 | (uint32_t)planes[3 * count + i] << 24;
    return MS_OK;
}
