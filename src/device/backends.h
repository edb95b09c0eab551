/* The back ends that are compiled in. */
#ifndef MS_DEVICE_BACKENDS_H
#define MS_DEVICE_BACKENDS_H

#include "device/device.h"

extern const ms_backend ms_backend_cpu;
extern const ms_backend ms_backend_dummy;

#endif
