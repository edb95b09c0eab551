/*
 * How many items our own pipeline would take at a time, task by task: an optimizer (memsafe/optimizer.h)
 * that knows exactly what a batch of a model costs. Of the model only the configs are read.
 */
#ifndef MEMSAFE_BATCHES_H
#define MEMSAFE_BATCHES_H

#include "memsafe/optimizer.h"
#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_batches_params {
    /* A folder, or the shape of a published model ("latentsync-1.5",
       "latentsync-1.6", "tiny"): not both. Neither: latentsync-1.5. */
    const char *model, *shape;
    /* Folder of the ONNX files; NULL = the folder's, else their networks are not counted */
    const char *faces;
    const char *device; /* as ms_run_params has it; "dummy" is one of device_bytes that is not here */
    int threads;        /* that will compute; 0 = all */
    bool serial;        /* guidance branches one after the other */
    ms_profile_source profile;
    /* What weights and batches may take; 0 = by the profile, else what is free less its margin */
    size_t budget_bytes;
    /* Nominal memory of a device that is not here; 0 = its own, on the CPU this machine's */
    size_t device_bytes;
    size_t free_bytes; /* free memory once the weights are there; 0 = what they leave */
} ms_batches_params;

/* MEMSAFE_* variables are looked at; otherwise all zero. */
MS_API void ms_batches_params_init_sized(ms_batches_params *ret_params, size_t params_bytes);
static inline void ms_batches_params_init(ms_batches_params *ret_params) {
    ms_batches_params_init_sized(ret_params, sizeof(*ret_params));
}

typedef struct ms_batches ms_batches;

/* Text in params is copied or not needed afterwards. MS_INVALID_ARGUMENT,
   MS_BAD_MODEL, MS_IO, MS_UNSUPPORTED (the device), MS_HOST_MEMORY. */
MS_API ms_status ms_batches_create_sized(const ms_batches_params *params, size_t params_bytes,
                                         ms_batches **ret_batches, ms_error *err);
static inline ms_status ms_batches_create(const ms_batches_params *params, ms_batches **ret_batches,
                                          ms_error *err) {
    return ms_batches_create_sized(params, sizeof(*params), ret_batches, err);
}
MS_API void ms_batches_destroy(ms_batches **batches);

typedef struct ms_batches_info {
    /* "compact"; "the device has 23.54 GiB". Valid as long as the ms_batches */
    const char *tier, *tier_reason;
    const char *precision;         /* "float16" */
    int margin_percent;            /* of what is free, left alone */
    size_t memory_bytes;           /* that is divided up: the budget, else the device's */
    size_t weight_bytes;           /* of UNet and VAE */
    size_t free_bytes;             /* for batches */
    int resolution, window_frames; /* of the model */
} ms_batches_info;

/* batches NULL: all zero, texts are "". */
MS_API void ms_batches_get_info_sized(const ms_batches *batches, ms_batches_info *ret_info,
                                      size_t info_bytes);
static inline void ms_batches_get_info(const ms_batches *batches, ms_batches_info *ret_info) {
    ms_batches_get_info_sized(batches, ret_info, sizeof(*ret_info));
}

/* The optimizer to ask; borrowed. NULL for NULL. */
MS_API const ms_optimizer *ms_batches_optimizer(const ms_batches *batches);

/*
 * The same costs for an optimizer of your own (another device, asked for what is free): an ms_batch_cost_fn
 * whose arg is the ms_batches. It knows pictures whose sides the model's VAE can divide.
 */
MS_API ms_status ms_batches_cost(void *batches, ms_task task, const ms_batch_request *request, int items,
                                 ms_batch_bytes *ret_bytes, ms_error *err);

/* What a run would take at a time of that answer: fewer where more do not pay. width: of an
   item, pixels; frames: that there are to do, 0 = not known. 0 for a task that is none. */
MS_API int ms_batches_in_a_run(const ms_batches *batches, ms_task task, int width, int frames, int batch);

/* Where the cap of a task comes from ("tier compact", "memsafe.yaml, line 3"); ""
   where the profile has none, and for a task that is none. */
#define MS_BATCHES_TEXT_BYTES 160
MS_API const char *ms_batches_cap_origin(const ms_batches *batches, ms_task task,
                                         char ret_text[MS_BATCHES_TEXT_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
