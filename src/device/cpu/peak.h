/* What the machine's multipliers give: the yardstick of the benchmarks and of predicted times. */
#ifndef MS_DEVICE_CPU_PEAK_H
#define MS_DEVICE_CPU_PEAK_H

#include "device/device.h"

/* Floating-point operations a second of independent fused multiply-adds in registers, all threads of a cpu
   device at once: the best of several rounds that take about `seconds` together. 0 of any other device. */
double ms_cpu_peak_flops(ms_device *dev, double seconds);

#endif
