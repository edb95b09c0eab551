/* DDIM (Song et al., ICLR 2021) as diffusers' DDIMScheduler runs it with LatentSync's scheduler_config.json:
   scaled-linear betas, leading timesteps with offset 1, set_alpha_to_one false, no clipping, eta 0, noise
   prediction. */
#ifndef MS_MODELS_DDIM_H
#define MS_MODELS_DDIM_H

#include <stdint.h>

#include "memsafe/status.h"

#define MS_DDIM_TRAIN_STEPS 1000

typedef struct ms_ddim {
    int steps;
    int32_t timesteps[MS_DDIM_TRAIN_STEPS]; /* first `steps` of them, descending */
    float alphas_cumprod[MS_DDIM_TRAIN_STEPS];
} ms_ddim;

/* steps: 1 to 999. */
ms_status ms_ddim_init(ms_ddim *ret_ddim, int steps, ms_error *err);

/* sample <- the sample one step below timesteps[step], in place. */
void ms_ddim_step(const ms_ddim *ddim, int step, const float *noise, float *sample, int64_t count);

/* n + s * (p - n). */
void ms_guide(const float *unconditional, const float *conditional, float scale, int64_t count,
              float *ret_noise);

#endif
