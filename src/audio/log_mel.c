#include "audio/log_mel.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

#define TASK_COLUMNS 16  /* columns of one task: a few microseconds each */
#define SCAN_COLUMNS 512 /* columns of one block of the scan */
#define SCAN_SAMPLES (SCAN_COLUMNS * MS_MEL_HOP + MS_FFT_SIZE)
#define LOG_FLOOR 1e-10

struct ms_log_mel {
    ms_pool *pool;
    ms_fft_tables fft;
    double window[MS_FFT_SIZE];
    ms_mel_filter filter[MS_MEL_BINS];
};

/* Samples [first, first + count) of a file that has `total`. */
typedef struct piece {
    const float *samples;
    int64_t first, count, total;
} piece;

ms_status ms_log_mel_create(ms_mem *mem, ms_pool *pool, ms_log_mel **ret_mel, ms_error *err) {
    ms_log_mel *mel = ms_mem_alloc(mem, MS_LEDGER_GENERAL, sizeof(*mel));
    if (!mel)
        return ms_fail_alloc(err, mem, sizeof(*mel), "the log-mel tables");
    mel->pool = pool;
    ms_fft_init(&mel->fft);
    for (int i = 0; i < MS_FFT_SIZE; i++)
        mel->window[i] = 0.5 - 0.5 * mel->fft.cos[i]; /* periodic, as torch.hann_window */
    ms_mel_filters(mel->filter);
    *ret_mel = mel;
    return MS_OK;
}

void ms_log_mel_destroy(ms_log_mel **mel) {
    if (!mel || !*mel)
        return;
    ms_mem_free(*mel);
    *mel = NULL;
}

/* Reflection without repeating the edge sample. */
static int64_t reflect(int64_t i, int64_t total) {
    if (i < 0)
        i = -i;
    return i < total ? i : 2 * (total - 1) - i;
}

/* Energies of up to MS_FFT_LANES columns from `column`, [bin][lane]; lanes past count repeat the last one. */
static void energies(const ms_log_mel *mel, const piece *p, int64_t column, int count,
                     double (*ret)[MS_FFT_LANES]) {
    double signal[MS_FFT_SIZE][MS_FFT_LANES], power[MS_FFT_BINS][MS_FFT_LANES];
    ms_fft_work work;
    for (int lane = 0; lane < MS_FFT_LANES; lane++) {
        int64_t at = (column + (lane < count ? lane : count - 1)) * MS_MEL_HOP - MS_MEL_HALF_WINDOW;
        if (at >= 0 && at + MS_FFT_SIZE <= p->total) {
            const float *x = p->samples + (at - p->first);
            for (int i = 0; i < MS_FFT_SIZE; i++)
                signal[i][lane] = x[i] * mel->window[i];
        } else {
            for (int i = 0; i < MS_FFT_SIZE; i++)
                signal[i][lane] = p->samples[reflect(at + i, p->total) - p->first] * mel->window[i];
        }
    }
    ms_fft_power(&mel->fft, &work, (const double(*)[MS_FFT_LANES])signal, power);
    for (int b = 0; b < MS_MEL_BINS; b++) {
        const ms_mel_filter *f = &mel->filter[b];
        double sum[MS_FFT_LANES] = {0};
        for (int k = 0; k < f->count; k++) {
            for (int lane = 0; lane < MS_FFT_LANES; lane++)
                sum[lane] += f->weight[k] * power[f->first + k][lane];
        }
        memcpy(ret[b], sum, sizeof(sum));
    }
}

static float log_energy(double energy) {
    return (float)ms_log10(energy > LOG_FLOOR ? energy : LOG_FLOOR);
}

/* ---- the scan */

struct ms_mel_scan {
    const ms_log_mel *mel;
    int64_t first;  /* the buffer's first sample */
    int64_t count;  /* samples in the buffer */
    int64_t column; /* the next one */
    double max;
    double task_max[SCAN_COLUMNS / TASK_COLUMNS + 1];
    int64_t total, columns; /* of the block in work */
    float samples[SCAN_SAMPLES];
};

ms_status ms_mel_scan_create(ms_mem *mem, const ms_log_mel *mel, ms_mel_scan **ret_scan, ms_error *err) {
    ms_mel_scan *scan = ms_mem_alloc(mem, MS_LEDGER_GENERAL, sizeof(*scan));
    if (!scan)
        return ms_fail_alloc(err, mem, sizeof(*scan), "the log-mel scan");
    scan->mel = mel;
    scan->first = scan->count = scan->column = 0;
    scan->max = 0;
    *ret_scan = scan;
    return MS_OK;
}

void ms_mel_scan_destroy(ms_mel_scan **scan) {
    if (!scan || !*scan)
        return;
    ms_mem_free(*scan);
    *scan = NULL;
}

static void scan_task(void *arg, int64_t task, int worker) {
    (void)worker;
    ms_mel_scan *scan = arg;
    piece p = {scan->samples, scan->first, scan->count, scan->total};
    double max = 0, energy[MS_MEL_BINS][MS_FFT_LANES];
    int64_t begin = task * TASK_COLUMNS, end = begin + TASK_COLUMNS;
    if (end > scan->columns)
        end = scan->columns;
    for (int64_t c = begin; c < end; c += MS_FFT_LANES) {
        int count = end - c < MS_FFT_LANES ? (int)(end - c) : MS_FFT_LANES;
        energies(scan->mel, &p, scan->column + c, count, energy);
        for (int b = 0; b < MS_MEL_BINS; b++)
            for (int lane = 0; lane < MS_FFT_LANES; lane++)
                max = energy[b][lane] > max ? energy[b][lane] : max;
    }
    scan->task_max[task] = max;
}

/* Takes columns up to `end` and drops the samples that later ones do not read. */
static void scan_columns(ms_mel_scan *scan, int64_t end, int64_t total) {
    if (end <= scan->column)
        return;
    scan->columns = end - scan->column;
    scan->total = total;
    int64_t tasks = (scan->columns + TASK_COLUMNS - 1) / TASK_COLUMNS;
    ms_pool_run(scan->mel->pool, tasks, scan_task, scan);
    for (int64_t i = 0; i < tasks; i++)
        scan->max = scan->task_max[i] > scan->max ? scan->task_max[i] : scan->max;
    scan->column = end;
    int64_t keep = end * MS_MEL_HOP - MS_MEL_HALF_WINDOW;
    if (keep > scan->first) {
        int64_t drop = keep - scan->first;
        scan->count -= drop;
        memmove(scan->samples, scan->samples + drop, (size_t)scan->count * sizeof(float));
        scan->first = keep;
    }
}

void ms_mel_scan_push(ms_mel_scan *scan, const float *samples, int64_t count) {
    while (count > 0) {
        int64_t n = SCAN_SAMPLES - scan->count;
        n = n < count ? n : count;
        memcpy(scan->samples + scan->count, samples, (size_t)n * sizeof(float));
        scan->count += n;
        samples += n;
        count -= n;
        /* Column c reads up to sample 160 c + 199, and sample 200 by reflection at the
           start. The last columns wait for the end of the file: they may reflect there. */
        int64_t have = scan->first + scan->count;
        if (scan->count == SCAN_SAMPLES)
            scan_columns(scan, (have - MS_MEL_MIN_SAMPLES) / MS_MEL_HOP + 1, INT64_MAX);
    }
}

ms_status ms_mel_scan_finish(ms_mel_scan *scan, ms_mel_stats *ret_stats, ms_error *err) {
    int64_t total = scan->first + scan->count;
    if (total < MS_MEL_MIN_SAMPLES)
        return ms_fail(err, MS_BAD_MEDIA,
                       "the audio has %" PRId64 " samples at 16 kHz, at least %d are needed", total,
                       MS_MEL_MIN_SAMPLES);
    scan_columns(scan, total / MS_MEL_HOP, total);
    *ret_stats =
        (ms_mel_stats){.samples = total, .columns = total / MS_MEL_HOP, .max = log_energy(scan->max)};
    return MS_OK;
}

/* ---- columns */

void ms_log_mel_span(const ms_mel_stats *stats, int64_t first, int64_t count, int64_t *ret_first_sample,
                     int64_t *ret_samples) {
    int64_t last = first + count < stats->columns ? first + count : stats->columns;
    if (first >= last) {
        *ret_first_sample = *ret_samples = 0;
        return;
    }
    int64_t begin = first * MS_MEL_HOP - MS_MEL_HALF_WINDOW;
    int64_t end = (last - 1) * MS_MEL_HOP + MS_MEL_HALF_WINDOW; /* one past */
    if (begin < 0) {
        end = end > -begin + 1 ? end : -begin + 1;
        begin = 0;
    }
    if (end > stats->samples) {
        int64_t back = reflect(end - 1, stats->samples);
        begin = begin < back ? begin : back;
        end = stats->samples;
    }
    *ret_first_sample = begin;
    *ret_samples = end - begin;
}

typedef struct columns_job {
    const ms_log_mel *mel;
    const ms_mel_stats *stats;
    const ms_mel_request *request;
    int64_t real; /* columns that are not padding */
} columns_job;

static void columns_task(void *arg, int64_t task, int worker) {
    (void)worker;
    const columns_job *job = arg;
    const ms_mel_request *r = job->request;
    piece p = {r->samples, r->first_sample, r->n_samples, job->stats->samples};
    const float floor = job->stats->max - 8.0f;
    double energy[MS_MEL_BINS][MS_FFT_LANES];
    int64_t begin = task * TASK_COLUMNS, end = begin + TASK_COLUMNS;
    if (end > job->real)
        end = job->real;
    for (int64_t c = begin; c < end; c += MS_FFT_LANES) {
        int count = end - c < MS_FFT_LANES ? (int)(end - c) : MS_FFT_LANES;
        energies(job->mel, &p, r->first + c, count, energy);
        for (int lane = 0; lane < count; lane++) {
            float *dst = r->dst + (c + lane) * r->column_stride;
            for (int b = 0; b < MS_MEL_BINS; b++) {
                float x = log_energy(energy[b][lane]);
                x = x > floor ? x : floor;
                dst[b * r->bin_stride] = (x + 4.0f) / 4.0f;
            }
        }
    }
}

ms_status ms_log_mel_columns(const ms_log_mel *mel, const ms_mel_stats *stats, const ms_mel_request *request,
                             ms_error *err) {
    int64_t first_sample, n_samples;
    if (request->first < 0 || request->count < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "log-mel columns %" PRId64 " + %" PRId64, request->first,
                       request->count);
    ms_log_mel_span(stats, request->first, request->count, &first_sample, &n_samples);
    if (request->first_sample > first_sample ||
        request->first_sample + request->n_samples < first_sample + n_samples)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "log-mel columns %" PRId64 " + %" PRId64 " need samples %" PRId64 " + %" PRId64
                       ", given %" PRId64 " + %" PRId64,
                       request->first, request->count, first_sample, n_samples, request->first_sample,
                       request->n_samples);
    int64_t real = stats->columns - request->first;
    real = real < 0 ? 0 : real > request->count ? request->count : real;
    columns_job job = {mel, stats, request, real};
    ms_pool_run(mel->pool, (real + TASK_COLUMNS - 1) / TASK_COLUMNS, columns_task, &job);
    for (int64_t c = real; c < request->count; c++)
        for (int b = 0; b < MS_MEL_BINS; b++)
            request->dst[c * request->column_stride + b * request->bin_stride] = 0;
    return MS_OK;
}
