/*
 * What a run may do: the profile that holds for it, the budget, and how much it takes at a time. The batch
 * sizes are the optimizer's answers (memsafe/optimizer.h) to the same questions that anybody may ask.
 */
#ifndef MS_PLANNER_RUN_POLICY_H
#define MS_PLANNER_RUN_POLICY_H

#include "device/compute.h"
#include "memsafe/run.h"
#include "models/model_files.h"
#include "planner/profile.h"

typedef struct ms_run_policy {
    ms_profile profile;
    ms_dtype precision;
    size_t budget_bytes;      /* that holds, of the device's memory */
    size_t host_budget_bytes; /* of the host's; where that is the device's, the same */
} ms_run_policy;

typedef struct ms_run_policy_params {
    const ms_profile_source *source;
    ms_precision precision;                 /* AUTO = the profile's */
    size_t budget_bytes, host_budget_bytes; /* 0 = the profile's */
    size_t device_bytes; /* of a device with memory of its own, here or not; 0 = this host is the device */
    size_t device_free_bytes; /* of it now */
    bool device_has_bf16;     /* it multiplies bfloat16; ms_run_policy_set_device() */
} ms_run_policy_params;

/* Whose weights have the type of that name (base/dtype.h); AUTO: nobody's. */
ms_precision ms_precision_of(const char *dtype_name);

/* What the device has, and has free now, where its memory is its own. What it takes itself counts as free:
   the budget is of that, too. */
void ms_run_policy_set_device(ms_run_policy_params *params, const ms_device *device);

/* Where the device's memory is the host's the lesser of the two budgets holds. Without one it is what is free
   now less the profile's margin. Of a device with memory of its own no budget is above what it has.
   Errors as ms_profile_load(). */
ms_status ms_run_policy_load(const ms_run_policy_params *params, ms_run_policy *ret_policy, ms_error *err);

/* In which type a device keeps activations at a precision: that of the weights where it can, else float32. */
ms_dtype ms_run_activation(const ms_device *device, ms_dtype precision);

/* The next lower one that --allow-downscale tries: a multiple of 64 from 128 on; 0 = there is none. */
int ms_run_lower_resolution(int resolution);

/* What the planner (run_plan.h) may choose among. */
typedef struct ms_run_rules {
    int64_t encode_batch, decode_batch; /* pictures at a time when memory is no matter */
    int64_t encode_fit, decode_fit;     /* as many as fit; at most those */
    int64_t unet_frames;                /* of the window that a layer sees at a time; 0 = all */
    int64_t unet_fit;                   /* likewise, as many as fit */
    int64_t attention_parts;            /* 0 = attention is not cut by itself */
    ms_vae_tiling tiling;
    ms_weight_offload offload;
} ms_run_rules;

typedef struct ms_run_batch_params {
    const ms_compute *compute;
    const ms_profile *profile;
    const ms_model_files *files;
    int resolution;    /* 0 = the config's */
    bool guided;       /* two branches */
    size_t free_bytes; /* that a batch may take: what the budget leaves besides weights and the rest */
} ms_run_batch_params;

/* What a run takes of so many pictures at a time for the VAE: no more than pay unless the user
   set the field (vae_encode_batch or vae_decode_batch), and never more than a window has. */
int64_t ms_run_vae_batch(const ms_profile *profile, ms_field_id field, int width, int64_t window,
                         int64_t batch);

/* Asks the optimizer. More pictures at a time than pay (ms_engine_paying_batch())
   are taken only where the user set the field. */
ms_status ms_run_rules_ask(const ms_run_batch_params *params, ms_run_rules *ret_rules, ms_error *err);

#endif
