#include "latents/latent_block.h"

#include <math.h>
#include <string.h>

#include "base/crc32.h"
#include "base/error.h"
#include "latents/block_basis.h"
#include "latents/block_bytes.h"

#define HEADER_BYTES 40
#define CHECKED_BYTES 28 /* of the header */
#define CHUNK_HEADER_BYTES 12
#define CHUNK_WORDS ((int64_t)1 << 17)
#define VERSION 1
#define FLAG_LOSSY 1

struct ms_latent_codec {
    int max_frames;
    ms_crc32_table crc;
    ms_block_coder *coder;
    float *rows;           /* [frames][chunk]: the chunk, what is not finite as 0; decoded values */
    float *predicted;      /* [chunk] */
    int32_t *coefficients; /* [components][chunk] */
    double *gram;          /* [frames][frames] */
    float *basis;          /* [frames][components] */
    void *work;
};

/* ---- bytes ---- */

static void put32(uint8_t *p, uint32_t x) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(x >> (8 * i));
}

static void put64(uint8_t *p, uint64_t x) {
    put32(p, (uint32_t)x);
    put32(p + 4, (uint32_t)(x >> 32));
}

static uint32_t get32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p) {
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* ---- making it ---- */

int64_t ms_latent_block_chunk(int frames) {
    return CHUNK_WORDS / frames;
}

size_t ms_latent_block_bound(int frames, int64_t values) {
    size_t chunk = (size_t)ms_latent_block_chunk(frames), n = (size_t)frames;
    size_t chunks = ((size_t)values + chunk - 1) / chunk;
    size_t each =
        CHUNK_HEADER_BYTES + ms_block_coder_bound(n * chunk) + ms_block_coder_bound((n - 1) * chunk);
    return HEADER_BYTES + 4 * n * (n - 1) + chunks * each;
}

size_t ms_latent_codec_bytes(int max_frames) {
    size_t n = (size_t)max_frames, words = (size_t)CHUNK_WORDS;
    return sizeof(ms_latent_codec) + 12 * words + 12 * n * n + ms_block_basis_work_bytes(max_frames) +
           ms_block_coder_bytes(words) + 7 * (MS_MEM_ALIGN + (size_t)4096);
}

ms_status ms_latent_codec_create(ms_mem *mem, int max_frames, ms_latent_codec **ret_codec, ms_error *err) {
    if (max_frames < 1 || max_frames > MS_LATENT_BLOCK_MAX_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "blocks of %d frames: 1 to %d are possible", max_frames,
                       MS_LATENT_BLOCK_MAX_FRAMES);
    ms_latent_codec *c = ms_mem_calloc(mem, MS_LEDGER_CACHES, 1, sizeof(*c));
    if (!c)
        return ms_fail_alloc(err, mem, sizeof(*c), "the latents' codec");
    size_t n = (size_t)max_frames, words = (size_t)CHUNK_WORDS;
    c->max_frames = max_frames;
    ms_crc32_init(&c->crc);
    c->rows = ms_alloc_array(mem, MS_LEDGER_CACHES, words, sizeof(float));
    c->predicted = ms_alloc_array(mem, MS_LEDGER_CACHES, words, sizeof(float));
    c->coefficients = ms_alloc_array(mem, MS_LEDGER_CACHES, words, sizeof(int32_t));
    c->gram = ms_alloc_array(mem, MS_LEDGER_CACHES, n * n, sizeof(double));
    c->basis = ms_alloc_array(mem, MS_LEDGER_CACHES, n * n, sizeof(float));
    c->work = ms_mem_alloc(mem, MS_LEDGER_CACHES, ms_block_basis_work_bytes(max_frames));
    ms_status status = ms_block_coder_create(mem, words, &c->coder, err);
    if (status == MS_OK && !(c->rows && c->predicted && c->coefficients && c->gram && c->basis && c->work))
        status = ms_fail_alloc(err, mem, ms_latent_codec_bytes(max_frames), "the latents' codec");
    if (status != MS_OK) {
        ms_latent_codec_destroy(&c);
        return status;
    }
    *ret_codec = c;
    return MS_OK;
}

void ms_latent_codec_destroy(ms_latent_codec **codec) {
    if (!codec || !*codec)
        return;
    ms_latent_codec *c = *codec;
    ms_block_coder_destroy(&c->coder);
    ms_mem_free(c->rows);
    ms_mem_free(c->predicted);
    ms_mem_free(c->coefficients);
    ms_mem_free(c->gram);
    ms_mem_free(c->basis);
    ms_mem_free(c->work);
    ms_mem_free(c);
    *codec = NULL;
}

/* ---- encoding ---- */

typedef struct encoding {
    ms_latent_codec *c;
    const ms_latent_block_params *p;
    const float *const *rows;
    ms_latent_block_stats stats;
    float step;
    bool all_finite;
} encoding;

/* The chunk's rows side by side, with 0 for what no prediction can be made from. */
static void gather(encoding *e, int64_t first, size_t count) {
    for (int f = 0; f < e->p->frames; f++) {
        float *out = e->c->rows + (size_t)f * count;
        const float *in = e->rows[f] + first;
        for (size_t v = 0; v < count; v++)
            out[v] = isfinite(in[v]) ? in[v] : 0;
    }
}

static void look(encoding *e) {
    bool finite = true;
    float low = INFINITY, high = -INFINITY;
    for (int f = 0; f < e->p->frames; f++) {
        for (int64_t v = 0; v < e->p->values; v++) {
            float x = e->rows[f][v];
            bool good = isfinite(x);
            finite = finite && good;
            low = good && x < low ? x : low;
            high = good && x > high ? x : high;
        }
    }
    e->all_finite = finite;
    e->stats.low = low <= high ? low : 0;
    e->stats.high = low <= high ? high : 0;
}

static void choose_basis(encoding *e) {
    const ms_latent_block_params *p = e->p;
    int most = (p->frames * p->rank_percent + 99) / 100;
    if (p->rank_percent <= 0 || p->rank_percent >= 100 || p->frames < 2)
        return;
    int64_t chunk = ms_latent_block_chunk(p->frames);
    memset(e->c->gram, 0, (size_t)p->frames * (size_t)p->frames * sizeof(double));
    for (int64_t first = 0; first < p->values; first += chunk) {
        size_t count = (size_t)(p->values - first < chunk ? p->values - first : chunk);
        gather(e, first, count);
        ms_block_gram(e->c->rows, p->frames, count, count, e->c->gram);
    }
    ms_block_basis_params params = {.frames = p->frames,
                                    .values = (double)p->values,
                                    .max_components = most < p->frames ? most : p->frames - 1,
                                    .all = p->lossy};
    ms_block_basis(&params, e->c->gram, e->c->work, &e->stats.components, &e->step, e->c->basis);
}

/* Differences of one row's chunk, or what is lost without them. */
static void compare(encoding *e, const float *row, size_t count, uint32_t *words) {
    const float *predicted = e->c->predicted;
    double sum = 0;
    if (!e->stats.lossy) {
        for (size_t v = 0; v < count; v++)
            words[v] = ms_zigzag(ms_float_order(bits_of(row[v])) - ms_float_order(bits_of(predicted[v])));
        return;
    }
    for (size_t v = 0; v < count; v++) {
        double d = (double)row[v] - (double)predicted[v];
        sum += d * d;
    }
    e->stats.squared_error += sum;
}

static uint8_t *encode_chunk(encoding *e, int64_t first, size_t count, uint8_t *out) {
    ms_latent_codec *c = e->c;
    int k = e->stats.components;
    uint32_t *words = ms_block_coder_words(c->coder), crc = 0;
    uint8_t *header = out;
    out += CHUNK_HEADER_BYTES;
    gather(e, first, count);
    ms_block_project(c->rows, e->p->frames, count, c->basis, k, e->step, c->predicted, c->coefficients);
    for (size_t i = 0; i < (size_t)k * count; i++)
        words[i] = ms_zigzag((uint32_t)c->coefficients[i]);
    size_t bytes = k ? ms_block_coder_write(c->coder, (size_t)k * count, out) : 0;
    put32(header, (uint32_t)bytes);
    out += bytes;
    for (int f = 0; f < e->p->frames; f++) {
        const float *row = e->rows[f] + first;
        ms_block_predict(c->coefficients, k, count, c->basis + f * k, e->step, c->predicted);
        compare(e, row, count, words + (size_t)f * count);
        crc = ms_crc32(&c->crc, crc, e->stats.lossy ? c->predicted : row, count * sizeof(float));
    }
    bytes = e->stats.lossy ? 0 : ms_block_coder_write(c->coder, (size_t)e->p->frames * count, out);
    put32(header + 4, (uint32_t)bytes);
    put32(header + 8, crc);
    return out + bytes;
}

static uint8_t *encode_header(const encoding *e, uint8_t *out) {
    size_t n = (size_t)e->p->frames * (size_t)e->stats.components;
    memcpy(out, "MSLB", 4);
    out[4] = VERSION;
    out[5] = 0;
    out[6] = e->stats.lossy ? FLAG_LOSSY : 0;
    out[7] = 0;
    put32(out + 8, (uint32_t)e->p->frames);
    put32(out + 12, (uint32_t)e->stats.components);
    put64(out + 16, (uint64_t)e->p->values);
    put32(out + 24, bits_of(e->step));
    for (size_t i = 0; i < n; i++)
        put32(out + HEADER_BYTES + 4 * i, bits_of(e->c->basis[i]));
    uint32_t crc = ms_crc32(&e->c->crc, 0, out, CHECKED_BYTES);
    put32(out + 28, ms_crc32(&e->c->crc, crc, out + HEADER_BYTES, 4 * n));
    return out + HEADER_BYTES + 4 * n;
}

ms_status ms_latent_block_encode(ms_latent_codec *codec, const ms_latent_block_params *params,
                                 const float *const *rows, void *dst, ms_latent_block_stats *ret_stats,
                                 ms_error *err) {
    encoding e = {.c = codec, .p = params, .rows = rows};
    if (params->frames < 1 || params->frames > codec->max_frames || params->values < 1 ||
        params->values > MS_LATENT_BLOCK_MAX_VALUES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a block of %d rows of %lld values", params->frames,
                       (long long)params->values);
    look(&e);
    choose_basis(&e);
    e.stats.lossy = params->lossy && e.stats.components > 0 && e.all_finite;
    int64_t chunk = ms_latent_block_chunk(params->frames);
    uint8_t *out = encode_header(&e, dst);
    for (int64_t first = 0; first < params->values; first += chunk)
        out = encode_chunk(&e, first,
                           (size_t)(params->values - first < chunk ? params->values - first : chunk), out);
    e.stats.bytes = (size_t)(out - (uint8_t *)dst);
    e.stats.raw_bytes = (size_t)params->frames * (size_t)params->values * sizeof(float);
    put64((uint8_t *)dst + 32, e.stats.bytes);
    if (ret_stats)
        *ret_stats = e.stats;
    return MS_OK;
}

/* ---- decoding ---- */

/* Without the checksum. */
static ms_status read_header(const uint8_t *p, size_t bytes, ms_latent_block_info *ret, ms_error *err) {
    if (bytes < HEADER_BYTES || memcmp(p, "MSLB", 4) != 0)
        return ms_fail(err, MS_BAD_MEDIA, "not a block of latents");
    if (p[4] != VERSION || p[5] != 0)
        return ms_fail(err, MS_BAD_MEDIA, "a block of version %d, this program knows %d", p[4] | p[5] << 8,
                       VERSION);
    uint32_t frames = get32(p + 8), components = get32(p + 12);
    uint64_t values = get64(p + 16);
    if (frames < 1 || frames > MS_LATENT_BLOCK_MAX_FRAMES || components >= frames || values < 1 ||
        values > (uint64_t)MS_LATENT_BLOCK_MAX_VALUES || (p[6] & ~FLAG_LOSSY) || p[7] ||
        (p[6] && components == 0))
        return ms_fail(err, MS_BAD_MEDIA, "a block of %u rows of %llu values with %u components", frames,
                       (unsigned long long)values, components);
    if (get64(p + 32) != bytes || bytes - HEADER_BYTES < 4 * (size_t)frames * components)
        return ms_fail(err, MS_BAD_MEDIA, "a block of %llu bytes has %zu", (unsigned long long)get64(p + 32),
                       bytes);
    *ret = (ms_latent_block_info){.frames = (int)frames,
                                  .components = (int)components,
                                  .values = (int64_t)values,
                                  .lossy = p[6] == FLAG_LOSSY};
    return MS_OK;
}

static ms_status check_header(const ms_crc32_table *table, const uint8_t *p, size_t bytes,
                              ms_latent_block_info *ret, ms_error *err) {
    MS_TRY(read_header(p, bytes, ret, err));
    uint32_t crc = ms_crc32(table, 0, p, CHECKED_BYTES);
    crc = ms_crc32(table, crc, p + HEADER_BYTES, 4 * (size_t)ret->frames * (size_t)ret->components);
    if (crc != get32(p + 28))
        return ms_fail(err, MS_BAD_MEDIA, "a block's header is damaged");
    return MS_OK;
}

ms_status ms_latent_block_info_read(const void *block, size_t bytes, ms_latent_block_info *ret_info,
                                    ms_error *err) {
    ms_crc32_table table; /* 16 KiB */
    ms_crc32_init(&table);
    return check_header(&table, block, bytes, ret_info, err);
}

typedef struct decoding {
    ms_latent_codec *c;
    ms_latent_block_info info;
    float step;
    float *const *rows;
    const uint8_t *at, *end;
} decoding;

static ms_status decode_coefficients(decoding *d, size_t bytes, size_t count, ms_error *err) {
    size_t n = (size_t)d->info.components * count;
    if (n == 0)
        return bytes == 0 ? MS_OK : ms_fail(err, MS_BAD_MEDIA, "a block's data is damaged");
    MS_TRY(ms_block_coder_read(d->c->coder, d->at, bytes, n, err));
    const uint32_t *words = ms_block_coder_words(d->c->coder);
    for (size_t i = 0; i < n; i++)
        d->c->coefficients[i] = (int32_t)ms_unzigzag(words[i]);
    return MS_OK;
}

/* One row's chunk from its prediction and the differences. */
static void rebuild(const float *predicted, const uint32_t *words, size_t count, float *row) {
    for (size_t v = 0; v < count; v++)
        row[v] = float_of(ms_float_unorder(ms_float_order(bits_of(predicted[v])) + ms_unzigzag(words[v])));
}

static ms_status decode_chunk(decoding *d, int64_t first, size_t count, ms_error *err) {
    ms_latent_codec *c = d->c;
    size_t left = (size_t)(d->end - d->at);
    if (left < CHUNK_HEADER_BYTES)
        return ms_fail(err, MS_BAD_MEDIA, "a block ends too early");
    uint32_t bytes = get32(d->at), more = get32(d->at + 4), expected = get32(d->at + 8), crc = 0;
    d->at += CHUNK_HEADER_BYTES;
    left -= CHUNK_HEADER_BYTES;
    if (bytes > left || more > left - bytes || (d->info.lossy && more))
        return ms_fail(err, MS_BAD_MEDIA, "a block ends too early");
    MS_TRY(decode_coefficients(d, bytes, count, err));
    d->at += bytes;
    if (!d->info.lossy)
        MS_TRY(ms_block_coder_read(c->coder, d->at, more, (size_t)d->info.frames * count, err));
    d->at += more;
    for (int f = 0; f < d->info.frames; f++) {
        float *row = c->rows;
        ms_block_predict(c->coefficients, d->info.components, count, c->basis + f * d->info.components,
                         d->step, c->predicted);
        if (d->info.lossy)
            row = c->predicted;
        else
            rebuild(c->predicted, ms_block_coder_words(c->coder) + (size_t)f * count, count, row);
        crc = ms_crc32(&c->crc, crc, row, count * sizeof(float));
        if (d->rows[f])
            memcpy(d->rows[f] + first, row, count * sizeof(float));
    }
    return crc == expected ? MS_OK : ms_fail(err, MS_BAD_MEDIA, "a block's values are damaged");
}

ms_status ms_latent_block_decode(ms_latent_codec *codec, const void *block, size_t bytes,
                                 float *const *ret_rows, ms_error *err) {
    const uint8_t *p = block;
    decoding d = {.c = codec, .rows = ret_rows};
    MS_TRY(check_header(&codec->crc, p, bytes, &d.info, err));
    if (d.info.frames > codec->max_frames)
        return ms_fail(err, MS_BAD_MEDIA, "a block of %d frames, at most %d were expected", d.info.frames,
                       codec->max_frames);
    d.step = float_of(get32(p + 24));
    d.at = p + HEADER_BYTES;
    d.end = p + bytes;
    for (int i = 0; i < d.info.frames * d.info.components; i++, d.at += 4)
        codec->basis[i] = float_of(get32(d.at));
    int64_t chunk = ms_latent_block_chunk(d.info.frames);
    for (int64_t first = 0; first < d.info.values; first += chunk)
        MS_TRY(decode_chunk(&d, first,
                            (size_t)(d.info.values - first < chunk ? d.info.values - first : chunk), err));
    return d.at == d.end ? MS_OK : ms_fail(err, MS_BAD_MEDIA, "a block has more than its values");
}
