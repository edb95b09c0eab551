#include "session/pcm.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define BLOCK_SAMPLES ((int64_t)1 << 19)
#define MAX_BLOCKS 4096 /* 37 hours */
#define PIECE 1024      /* that the scan gets at a time */

struct ms_pcm {
    ms_mem *mem;
    ms_log_mel *mel;
    ms_mel_scan *scan;
    int64_t samples;
    int16_t *block[MAX_BLOCKS];
};

ms_status ms_pcm_create(ms_mem *mem, ms_pool *pool, ms_pcm **ret_pcm, ms_error *err) {
    ms_status status;
    ms_pcm *p = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*p));
    if (!p)
        return ms_fail_alloc(err, mem, sizeof(*p), "speech");
    p->mem = mem;
    MS_GOTO(ms_log_mel_create(mem, pool, &p->mel, err));
    MS_GOTO(ms_mel_scan_create(mem, p->mel, &p->scan, err));
    *ret_pcm = p;
    return MS_OK;
fail:
    ms_pcm_destroy(&p);
    return status;
}

void ms_pcm_destroy(ms_pcm **pcm) {
    if (!pcm || !*pcm)
        return;
    ms_pcm *p = *pcm;
    for (int i = 0; i < MAX_BLOCKS; i++)
        ms_mem_free(p->block[i]);
    ms_mel_scan_destroy(&p->scan);
    ms_log_mel_destroy(&p->mel);
    ms_mem_free(p);
    *pcm = NULL;
}

size_t ms_pcm_bytes(int64_t samples) {
    int64_t blocks = (samples + BLOCK_SAMPLES - 1) / BLOCK_SAMPLES;
    return (size_t)blocks * ms_mem_charged_bytes((size_t)BLOCK_SAMPLES * sizeof(int16_t));
}

/* The sample as it would be read from a file of 16 bits, which is what the reference hears. */
static int16_t rounded(float sample) {
    float value = rintf(sample * 32768.0f);
    return (int16_t)(value < -32768.0f ? -32768.0f : value > 32767.0f ? 32767.0f : value);
}

/* Makes room for so many samples more: for all of them, before any is taken. */
static ms_status room_for(ms_pcm *p, int64_t count, ms_error *err) {
    if (count > MAX_BLOCKS * BLOCK_SAMPLES - p->samples)
        return ms_fail(err, MS_INVALID_ARGUMENT, "speech of more than %lld samples",
                       (long long)(MAX_BLOCKS * BLOCK_SAMPLES));
    for (int64_t at = p->samples / BLOCK_SAMPLES; at * BLOCK_SAMPLES < p->samples + count; at++) {
        if (!p->block[at])
            p->block[at] = ms_mem_alloc(p->mem, MS_LEDGER_STAGING, (size_t)BLOCK_SAMPLES * sizeof(int16_t));
        if (!p->block[at])
            return ms_fail_alloc(err, p->mem, (size_t)BLOCK_SAMPLES * sizeof(int16_t), "speech");
    }
    return MS_OK;
}

ms_status ms_pcm_push(ms_pcm *p, const float *samples, int64_t count, ms_error *err) {
    float heard[PIECE];
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(samples[i]))
            return ms_fail(err, MS_INVALID_ARGUMENT, "sample %lld of the speech is no number",
                           (long long)(p->samples + i));
    MS_TRY(room_for(p, count, err));
    while (count > 0) {
        int64_t at = p->samples % BLOCK_SAMPLES, n = BLOCK_SAMPLES - at;
        n = n < count ? n : count;
        n = n < PIECE ? n : PIECE;
        int16_t *to = p->block[p->samples / BLOCK_SAMPLES] + at;
        for (int64_t i = 0; i < n; i++) {
            to[i] = rounded(samples[i]);
            heard[i] = (float)to[i] / 32768.0f;
        }
        ms_mel_scan_push(p->scan, heard, n);
        p->samples += n;
        samples += n;
        count -= n;
    }
    return MS_OK;
}

ms_status ms_pcm_end(ms_pcm *p, ms_mel_stats *ret_stats, ms_error *err) {
    return ms_mel_scan_finish(p->scan, ret_stats, err);
}

static ms_status read_samples(void *arg, int64_t first, int64_t count, float *ret_samples, ms_error *err) {
    const ms_pcm *p = arg;
    (void)err;
    for (int64_t i = 0; i < count; i++)
        ret_samples[i] = (float)p->block[(first + i) / BLOCK_SAMPLES][(first + i) % BLOCK_SAMPLES] / 32768.0f;
    return MS_OK;
}

ms_sample_source ms_pcm_source(ms_pcm *p) {
    return (ms_sample_source){.samples = p->samples, .read = read_samples, .arg = p};
}
