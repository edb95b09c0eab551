/* ms_latents_*: a block for callers whose latents are their own. */
#include "memsafe/latents.h"

#include <math.h>

#include "base/error.h"
#include "base/sized.h"
#include "latents/latent_block.h"

static double psnr(const ms_latent_block_stats *s, double n_values) {
    double range = (double)s->high - (double)s->low, mean = s->squared_error / n_values;
    return mean > 0 ? 10 * log10(range * range / mean) : (double)INFINITY;
}

static ms_status check(const ms_latents_params *p, ms_error *err) {
    if (p->frames < 1 || p->frames > MS_LATENTS_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frames must be 1 to %d, not %d", MS_LATENTS_FRAMES,
                       p->frames);
    if (p->values < 1 || p->values > MS_LATENTS_VALUES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "values must be 1 to %lld, not %lld",
                       (long long)MS_LATENTS_VALUES, (long long)p->values);
    if (p->rank_percent < 0 || p->rank_percent > 100)
        return ms_fail(err, MS_INVALID_ARGUMENT, "rank_percent must be 0 to 100, not %d", p->rank_percent);
    return MS_OK;
}

ms_status ms_latents_compress_sized(const ms_latents_params *params, size_t params_bytes, const float *rows,
                                    void **ret_block, ms_latents_report *ret_report, size_t report_bytes,
                                    ms_error *err) {
    ms_latents_params p = {0};
    ms_latent_codec *codec = NULL;
    ms_latent_block_stats stats;
    ms_status status;
    void *block = NULL;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(rows, err);
    MS_NEED(ret_block, err);
    MS_CHECK_SIZED(ret_report, report_bytes, err);
    MS_TRY(check(&p, err));
    const float *at[MS_LATENTS_FRAMES];
    for (int f = 0; f < p.frames; f++)
        at[f] = rows + f * p.values;
    const ms_latent_block_params how = {
        .frames = p.frames, .values = p.values, .rank_percent = p.rank_percent, .lossy = p.lossy};
    size_t bound = ms_latent_block_bound(p.frames, p.values);
    MS_TRY(ms_latent_codec_create(p.mem, p.frames, &codec, err));
    block = ms_mem_alloc(p.mem, MS_LEDGER_CACHES, bound);
    status = block ? ms_latent_block_encode(codec, &how, at, block, &stats, err)
                   : ms_fail_alloc(err, p.mem, bound, "a block of latents");
    ms_latent_codec_destroy(&codec);
    if (status != MS_OK) {
        ms_mem_free(block);
        return status;
    }
    *ret_block = block;
    const ms_latents_report report = {.raw_bytes = stats.raw_bytes,
                                      .block_bytes = stats.bytes,
                                      .components = stats.components,
                                      .lossy = stats.lossy,
                                      .squared_error = stats.squared_error,
                                      .low = stats.low,
                                      .high = stats.high,
                                      .psnr_db = psnr(&stats, (double)p.frames * (double)p.values)};
    ms_sized_fill(ret_report, report_bytes, &report, sizeof(report));
    return MS_OK;
}

ms_status ms_latents_read_sized(const void *block, size_t block_bytes, ms_latents_info *ret_info,
                                size_t info_bytes, ms_error *err) {
    ms_latent_block_info info;
    ms_error_clear(err);
    MS_NEED(block, err);
    MS_NEED(ret_info, err);
    MS_CHECK_SIZED(ret_info, info_bytes, err);
    MS_TRY(ms_latent_block_info_read(block, block_bytes, &info, err));
    const ms_latents_info said = {
        .frames = info.frames, .values = info.values, .components = info.components, .lossy = info.lossy};
    ms_sized_fill(ret_info, info_bytes, &said, sizeof(said));
    return MS_OK;
}

ms_status ms_latents_decompress(ms_mem *mem, const void *block, size_t block_bytes, float *ret_rows,
                                int64_t n_values, ms_error *err) {
    ms_latent_block_info info;
    ms_latent_codec *codec = NULL;
    ms_error_clear(err);
    MS_NEED(block, err);
    MS_NEED(ret_rows, err);
    MS_TRY(ms_latent_block_info_read(block, block_bytes, &info, err));
    if (info.frames * info.values != n_values)
        return ms_fail(err, MS_BAD_MEDIA,
                       "a block of %d rows of %lld values, where %lld values were expected", info.frames,
                       (long long)info.values, (long long)n_values);
    float *at[MS_LATENTS_FRAMES];
    for (int f = 0; f < info.frames; f++)
        at[f] = ret_rows + f * info.values;
    MS_TRY(ms_latent_codec_create(mem, info.frames, &codec, err));
    ms_status status = ms_latent_block_decode(codec, block, block_bytes, at, err);
    ms_latent_codec_destroy(&codec);
    return status;
}
