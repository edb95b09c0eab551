/*
 * Whether a device computes what it should: every family of kernels runs on small inputs, and its result is
 * compared with the processor's, within what its types can hold, and bit by bit with what was predicted for
 * the device's class of arithmetic, where its back end has predictions. So a card that nobody has seen cannot
 * give a wrong picture silently.
 */
#ifndef MS_DEVICE_SELF_TEST_SELF_TEST_H
#define MS_DEVICE_SELF_TEST_SELF_TEST_H

#include "base/error.h"
#include "device/compute.h"

typedef struct ms_self_test_result {
    const char *family; /* "linear", "attention", ...; with what is special about it */
    ms_dtype dtype;     /* of the activations */
    double error;       /* the largest one; a result that is no number is infinitely wrong */
    double allowed;
    uint64_t hash;      /* of the result's bytes */
    uint64_t predicted; /* 0 = nothing was predicted, or forms_differ */
    bool forms_differ;  /* ms_device_caps.forms: two gave different bits; the hash is of one of them */
    bool agrees;        /* in all of this */
} ms_self_test_result;

/* Called after each case. */
typedef void (*ms_self_test_fn)(void *arg, const ms_self_test_result *result);

/*
 * Takes some MiB of the device, which must compute, and gives them back. seeds: of inputs, 1 or more; the
 * first is what predictions are of. each may be NULL. MS_UNSUPPORTED: a family disagrees; the message names
 * the first one. Where none is wrong, and some have other bits than were predicted, MEMSAFE_DEVICE_BITS=own
 * lets it pass: caps.arithmetic is then by its bits, and a warning is logged. Errors of the device and of
 * memory.
 */
ms_status ms_self_test(ms_device *dev, int seeds, ms_self_test_fn each, void *arg, ms_error *err);

/*
 * The same, unless it was done before for this device, driver and plug-in (ms_device_caps.identity) by this
 * build of the library, and is noted in a file of the user's cache folder
 * ($XDG_CACHE_HOME/memsafe/tested-devices). A file that cannot be read or written only means that it is done
 * again.
 */
ms_status ms_self_test_once(ms_device *dev, ms_error *err);

/*
 * As ms_compute_open(), of a device that passes. params->device NULL or "auto": the first CUDA card, if its
 * plug-in is there and it passes, else the processor. Why it is the processor is logged: as a warning where a
 * card is there, as a detail where there is none. A device that is named is opened or the call fails.
 */
ms_status ms_compute_open_tested(const ms_compute_params *params, ms_compute *ret_compute, ms_error *err);

#endif
