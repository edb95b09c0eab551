/* Published models by name, and ms_model_synthesize(). */
#include <string.h>

#include "base/sized.h"
#include "memsafe/models.h"
#include "models/synthesize/synthesize.h"

ms_status ms_synthetic_find(const char *name, ms_synthetic *ret_kind, ms_error *err) {
    static const char *const names[] = {[MS_SYNTHETIC_1_5] = "latentsync-1.5",
                                        [MS_SYNTHETIC_1_6] = "latentsync-1.6",
                                        [MS_SYNTHETIC_TINY] = "tiny"};
    for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_kind = (ms_synthetic)i;
            return MS_OK;
        }
    }
    return ms_fail(err, MS_INVALID_ARGUMENT,
                   "no model shape is called %s; there are latentsync-1.5, latentsync-1.6 and tiny",
                   name ? name : "(none)");
}

static const ms_model_synthesize_params defaults = {.seed = 1247};

void ms_model_synthesize_params_init_sized(ms_model_synthesize_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

ms_status ms_model_synthesize_sized(const ms_model_synthesize_params *params, size_t params_bytes,
                                    ms_error *err) {
    static const ms_dtype types[] = {[MS_PRECISION_AUTO] = MS_F16,
                                     [MS_PRECISION_FP32] = MS_F32,
                                     [MS_PRECISION_FP16] = MS_F16,
                                     [MS_PRECISION_BF16] = MS_BF16};
    ms_model_synthesize_params p = defaults;
    ms_synthesize_params make = {0};
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    if (!p.folder)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the folder to make is missing");
    if ((unsigned)p.precision >= sizeof(types) / sizeof(types[0]))
        return ms_fail(err, MS_INVALID_ARGUMENT, "precision %d is none", (int)p.precision);
    MS_TRY(ms_synthetic_find(p.shape, &make.kind, err));
    make.dtype = types[p.precision];
    make.seed = p.seed;
    make.dir = p.folder;
    return ms_synthesize(&make, err);
}
