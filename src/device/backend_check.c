#include "device/backend_check.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The largest granularity, bytes of a captured call and of a context that are
   believed: far more than any device takes. */
#define MOST_GRANULARITY ((size_t)64 << 20)
#define MOST_LAUNCH_BYTES ((size_t)16 << 20)
#define MOST_FORMS 64

#define COUNT_ONE(name) +1
_Static_assert(sizeof(ms_kernels) == (1 MS_KERNELS(COUNT_ONE)) * sizeof(void (*)(void)),
               "every kernel is looked at");
_Static_assert(sizeof(ms_backend) == offsetof(ms_backend, open) +
                                         (MS_BACKEND_FUNCTIONS(COUNT_ONE) MS_CAPTURE_FUNCTIONS(COUNT_ONE)
                                              MS_WEIGHT_FUNCTIONS(COUNT_ONE)
                                                  MS_OPTIONAL_FUNCTIONS(COUNT_ONE)) *
                                             sizeof(void (*)(void)),
               "every function is looked at");

#define LACK(what) return snprintf(problem, size, "lacks %s", what), false
#define MUST_HAVE(function)                                                                                  \
    if (!b->function)                                                                                        \
        LACK("the function " #function);

bool ms_backend_is_sound(const ms_backend *b, const char *name, char *problem, size_t size) {
    if (!b->name || !*b->name)
        LACK("a name");
    if (strcmp(b->name, name) != 0)
        return snprintf(problem, size, "calls itself \"%.32s\", not \"%s\"", b->name, name), false;
    MS_BACKEND_FUNCTIONS(MUST_HAVE)
    if (!b->weight_prepare && !(b->weight_panels && b->weight_pack))
        LACK("the function weight_prepare, and weight_panels with weight_pack: weights cannot be made ready");
    return true;
}

bool ms_device_is_sound(const ms_device *dev, char *problem, size_t size) {
    const ms_device_caps *c = &dev->caps;
    const ms_backend *b = dev->backend;
    if (!b)
        LACK("its table");
    if (!c->arithmetic || !*c->arithmetic)
        LACK("a class of arithmetic");
    if (!memchr(dev->description, 0, sizeof(dev->description)) || !dev->description[0])
        LACK("a description");
    if (!memchr(c->identity, 0, sizeof(c->identity)))
        LACK("an end of its identity");
    if (!(c->activations & 1u << MS_F32))
        LACK("activations of type float32");
    if (c->activations & ~(1u << MS_F32 | 1u << MS_F16 | 1u << MS_BF16))
        return snprintf(problem, size, "has activations of types that there are not (%#x)", c->activations),
               false;
    if (c->granularity == 0 || (c->granularity & (c->granularity - 1)) || c->granularity > MOST_GRANULARITY)
        return snprintf(problem, size,
                        "has blocks of a multiple of %zu bytes, which is no power of two up to %zu",
                        c->granularity, MOST_GRANULARITY),
               false;
    const size_t launch_bytes =
        c->launch_bytes > c->workspace_launch_bytes ? c->launch_bytes : c->workspace_launch_bytes;
    if (launch_bytes > MOST_LAUNCH_BYTES)
        return snprintf(problem, size, "takes %zu bytes for each captured call, more than %zu", launch_bytes,
                        MOST_LAUNCH_BYTES),
               false;
    size_t free_bytes = 0, total_bytes = 0;
    b->memory(dev, &free_bytes, &total_bytes);
    if (free_bytes > total_bytes || c->own_bytes > total_bytes)
        return snprintf(problem, size, "has %zu bytes of memory, of which %zu are free and %zu its own",
                        total_bytes, free_bytes, c->own_bytes),
               false;
    if (!c->host_memory && !c->raw_weights)
        return snprintf(
                   problem, size,
                   "has memory apart and wants the host to pack weights into it (raw_weights is not set)"),
               false;
    if (c->raw_weights) {
        MUST_HAVE(weight_prepare)
    } else {
        MUST_HAVE(weight_panels)
        MUST_HAVE(weight_pack)
    }
    if (c->capture) {
        MS_CAPTURE_FUNCTIONS(MUST_HAVE)
    }
    if (c->forms < 0 || c->forms > MOST_FORMS)
        return snprintf(problem, size, "does a call in %d ways, not in 0 to %d", c->forms, MOST_FORMS), false;
    if (c->forms > 0)
        MUST_HAVE(choose_form)
    if (!dev->kernels)
        LACK("its kernels");
#define MUST_COMPUTE(kernel)                                                                                 \
    if (!dev->kernels->kernel)                                                                               \
        LACK("the kernel " #kernel);
    MUST_COMPUTE(conv2d_layout)
    MS_KERNELS(MUST_COMPUTE)
    return true;
}
