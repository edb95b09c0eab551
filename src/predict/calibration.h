/*
 * What this machine's kernels reach, measured: the numbers that predicted times are
 * made of. Measured once for a machine and kept in the history (history.h).
 */
#ifndef MS_PREDICT_CALIBRATION_H
#define MS_PREDICT_CALIBRATION_H

#include "device/compute.h"
#include "memsafe/probe.h"

/* A second, each; all threads at once, fp16 weights. What a rate stands for is said at ms_calibrate(). */
typedef ms_probe_rates ms_calibration;

/* How long a measurement goes on, seconds: before a run that finds none, and when a person asks for one. */
#define MS_CALIBRATE_QUICK_S 0.25
#define MS_CALIBRATE_FULL_S 3.0

/*
 * Each rate is the best of rounds that take an equal share of `seconds`, one round
 * at least; where the device is the processor and other programs take it, the time
 * that our threads ran bounds it from below (the disk's rate excepted):
 * - conv_flops: a 3x3 convolution, 320 to 320 channels of 32x32 pixels (direct-equivalent operations)
 * - linear_flops: 1024 rows of 320 to 1280 channels
 * - attention_flops: 1024 tokens, 8 heads of 40 channels
 * - moved_bytes: an addition of two tensors, bytes read and written
 * - weight_bytes: what a convolution over 4x4 pixels takes besides its operations is taken to be reading its
 *   weights
 * - pack_bytes: float32 rows to packed fp16 panels, packed bytes
 * - disk_bytes: disk_file, past the page cache; as fast as packing where it cannot be read
 * - passes: linear layers so small that handing them out to the threads is most of it
 *
 * Holds some 15 MB meanwhile.
 */
ms_status ms_calibrate(const ms_compute *compute, const char *disk_file, double seconds,
                       ms_calibration *ret_calibration, ms_error *err);

/* Whether every rate is a positive number that a machine could have: a file may say anything. */
bool ms_calibration_is_sane(const ms_calibration *calibration);

#endif
