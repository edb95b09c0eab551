/*
 * Whisper's log-mel spectrogram (Radford et al. 2022; the reference's latentsync/whisper/whisper/audio.py):
 * 16 kHz mono in [-1, 1), Hann window of 400, hop 160, centred with reflection at both ends, power spectrum,
 * 80 mel bins, log10 of at least 1e-10, floor at the whole file's maximum less 8, (x + 4) / 4. A file of n
 * samples has n / 160 columns: the transform's last one is dropped.
 *
 * The floor needs the whole file, so it takes two readings of the samples: a scan in blocks finds the
 * maximum, then any columns are made from the samples around them. Neither holds more than a block.
 *
 * Arithmetic is double up to the logarithm and free of the C library's functions: the same bits everywhere.
 */
#ifndef MS_AUDIO_LOG_MEL_H
#define MS_AUDIO_LOG_MEL_H

#include "audio/mel_filters.h"
#include "base/mem.h"
#include "base/pool.h"

#define MS_MEL_HOP 160
#define MS_MEL_HALF_WINDOW (MS_FFT_SIZE / 2)

/* Reflection needs a sample beyond the half window. */
#define MS_MEL_MIN_SAMPLES (MS_MEL_HALF_WINDOW + 1)

typedef struct ms_log_mel ms_log_mel;

/* Tables of about 20 KB. pool is borrowed, may be NULL; columns are shared out over it. */
ms_status ms_log_mel_create(ms_mem *mem, ms_pool *pool, ms_log_mel **ret_mel, ms_error *err);
void ms_log_mel_destroy(ms_log_mel **mel);

/* What a file's columns have in common. */
typedef struct ms_mel_stats {
    int64_t samples, columns;
    float max; /* the largest log10 energy, before the shift and scale */
} ms_mel_stats;

typedef struct ms_mel_scan ms_mel_scan;

/* mel is borrowed. Holds about 350 KB whatever the file's length. */
ms_status ms_mel_scan_create(ms_mem *mem, const ms_log_mel *mel, ms_mel_scan **ret_scan, ms_error *err);
void ms_mel_scan_destroy(ms_mel_scan **scan);

/* The file's next samples, any number at a time. */
void ms_mel_scan_push(ms_mel_scan *scan, const float *samples, int64_t count);

/* Once, after the last push. MS_BAD_MEDIA when there were fewer than MS_MEL_MIN_SAMPLES. */
ms_status ms_mel_scan_finish(ms_mel_scan *scan, ms_mel_stats *ret_stats, ms_error *err);

/* The samples that columns first .. first+count-1 read. */
void ms_log_mel_span(const ms_mel_stats *stats, int64_t first, int64_t count, int64_t *ret_first_sample,
                     int64_t *ret_samples);

typedef struct ms_mel_request {
    int64_t first, count; /* columns; those at or past stats->columns come out as 0, which is how
                                      the reference fills up a file's last 30 s segment */
    const float *samples; /* at least what ms_log_mel_span() says */
    int64_t first_sample, n_samples;
    float *dst; /* bin b of column first + c goes to dst[c * column_stride + b * bin_stride] */
    int64_t column_stride, bin_stride;
} ms_mel_request;

/* MS_INVALID_ARGUMENT when the samples do not cover the columns. Safe to call from several threads unless mel
   has a pool. */
ms_status ms_log_mel_columns(const ms_log_mel *mel, const ms_mel_stats *stats, const ms_mel_request *request,
                             ms_error *err);

#endif
