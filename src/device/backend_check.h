/* What a back end says of itself is checked once, when it is found and when it is
   opened: the rest of the code trusts it. */
#ifndef MS_DEVICE_BACKEND_CHECK_H
#define MS_DEVICE_BACKEND_CHECK_H

#include "device/device.h"

/* The functions of a back end's table by what they are needed for: always, to
   capture, and to make weights ready (one way of two). */
#define MS_BACKEND_FUNCTIONS(X)                                                                              \
    X(open)                                                                                                  \
    X(close)                                                                                                 \
    X(alloc)                                                                                                 \
    X(free)                                                                                                  \
    X(host_alloc)                                                                                            \
    X(host_free)                                                                                             \
    X(memory)                                                                                                \
    X(queue_create)                                                                                          \
    X(queue_destroy)                                                                                         \
    X(event_create)                                                                                          \
    X(event_destroy)                                                                                         \
    X(record)                                                                                                \
    X(wait)                                                                                                  \
    X(finish)                                                                                                \
    X(upload)                                                                                                \
    X(download)                                                                                              \
    X(fill)                                                                                                  \
    X(weight_bytes)

#define MS_CAPTURE_FUNCTIONS(X)                                                                              \
    X(capture_begin)                                                                                         \
    X(capture_end)                                                                                           \
    X(launch)                                                                                                \
    X(launches_destroy)

#define MS_WEIGHT_FUNCTIONS(X)                                                                               \
    X(weight_prepare)                                                                                        \
    X(weight_panels)                                                                                         \
    X(weight_pack)

#define MS_OPTIONAL_FUNCTIONS(X)                                                                             \
    X(predicted_bits)                                                                                        \
    X(choose_form)

/* Whether the table can be used at all, before any of its functions is called. name: the one that
   it must have. If it cannot, problem says what is wrong with it, in words that follow "it". */
bool ms_backend_is_sound(const ms_backend *backend, const char *name, char *problem, size_t size);

/* The same of an opened device: whether what it says of itself can be, and its
   table has the functions for it. */
bool ms_device_is_sound(const ms_device *dev, char *problem, size_t size);

#endif
