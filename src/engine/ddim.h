/* DDIM (Song et al., ICLR 2021) as diffusers' DDIMScheduler runs it with LatentSync's scheduler_config.json:
   scaled-linear betas, leading timesteps with offset 1, set_alpha_to_one false, no clipping, eta 0, noise
   prediction. */
#ifndef MS_ENGINE_DDIM_H
#define MS_ENGINE_DDIM_H

#include <stdint.h>

#include "graph/graph.h"

#define MS_DDIM_TRAIN_STEPS 1000

typedef struct ms_ddim {
    int steps;
    int32_t timesteps[MS_DDIM_TRAIN_STEPS]; /* first `steps` of them, descending */
    float alphas_cumprod[MS_DDIM_TRAIN_STEPS];
} ms_ddim;

/* steps: 1 to 999. */
ms_status ms_ddim_init(ms_ddim *ret_ddim, int steps, ms_error *err);

/* The factors that a step computes with (ms_ddim_args): the roots of alpha and of 1 - alpha, and those of the
   step below. */
void ms_ddim_factors(const ms_ddim *ddim, int step, float ret_factors[4]);

/* Output "latents": one frame of start noise, stream 0 of the seed, the same for all frames. */
ms_status ms_ddim_build_start(ms_graph *graph, uint64_t seed, ms_shape latents, ms_error *err);

/* Inputs "latents"; "noise", the UNet's, of both branches (the one without the condition
   first) or of the only one; "factors" [1, 1, 1, 4]. Outputs "next", which may lie where
   "latents" does, and "bad", one uint32_t: whether anything there is not finite. */
ms_status ms_ddim_build_step(ms_graph *graph, ms_shape latents, int branches, float guidance, ms_error *err);

#endif
