/* What a back end says of itself is checked once, when it is found and when it is opened: the rest of the code trusts it. */
#ifndef MS_DEVICE_BACKEND_CHECK_H
#define MS_DEVICE_BACKEND_CHECK_H

#include "device/device.h"

/* Whether the table can be used at all, before any of its functions is called. name: that it must have. Else problem says what is
   wrong with it, in words that follow "it". */
bool ms_backend_is_sound(const ms_backend *backend, const char *name, char *problem, size_t size);

/* The same of an opened device: what it is, and that its table does what that asks for. */
bool ms_device_is_sound(const ms_device *dev, char *problem, size_t size);

#endif
