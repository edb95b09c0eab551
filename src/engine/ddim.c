#include "engine/ddim.h"

#include <math.h>

#include "base/error.h"
#include "graph/ops.h"

#define BETA_START 0.00085
#define BETA_END 0.012
#define STEPS_OFFSET 1

/* torch.linspace in float32: from the start for the first half, from the end for the second. */
static float linspace(float start, float end, int count, int i) {
    float step = (end - start) / (float)(count - 1);
    return i < count / 2 ? start + step * (float)i : end - step * (float)(count - 1 - i);
}

ms_status ms_ddim_init(ms_ddim *d, int steps, ms_error *err) {
    if (steps < 1 || steps >= MS_DDIM_TRAIN_STEPS) /* with 1000, the offset would leave the table */
        return ms_fail(err, MS_INVALID_ARGUMENT, "steps must be 1 to %d, not %d", MS_DDIM_TRAIN_STEPS - 1,
                       steps);
    float product = 1;
    for (int i = 0; i < MS_DDIM_TRAIN_STEPS; i++) {
        float root = linspace((float)sqrt(BETA_START), (float)sqrt(BETA_END), MS_DDIM_TRAIN_STEPS, i);
        product *= 1.0f - root * root;
        d->alphas_cumprod[i] = product;
    }
    int ratio = MS_DDIM_TRAIN_STEPS / steps;
    d->steps = steps;
    for (int i = 0; i < steps; i++)
        d->timesteps[i] = (steps - 1 - i) * ratio + STEPS_OFFSET;
    return MS_OK;
}

void ms_ddim_factors(const ms_ddim *d, int step, float ret_factors[4]) {
    int t = d->timesteps[step], below = t - MS_DDIM_TRAIN_STEPS / d->steps;
    float alpha = d->alphas_cumprod[t], alpha_below = d->alphas_cumprod[below >= 0 ? below : 0];
    ret_factors[0] = sqrtf(alpha);
    ret_factors[1] = sqrtf(1 - alpha);
    ret_factors[2] = sqrtf(alpha_below);
    ret_factors[3] = sqrtf(1 - alpha_below);
}

ms_status ms_ddim_build_start(ms_graph *g, uint64_t seed, ms_shape latents, ms_error *err) {
    ms_value one = ms_op_noise(g, "start", seed, MS_NO_VALUE, (ms_shape){1, latents.h, latents.w, latents.c});
    ms_graph_output(g, ms_op_join(g, "repeat", &one, 1, latents.n), "latents");
    return ms_graph_finish(g, err);
}

ms_status ms_ddim_build_step(ms_graph *g, ms_shape latents, int branches, float guidance, ms_error *err) {
    ms_shape all = latents;
    all.n *= branches;
    ms_value sample = ms_graph_input(g, "latents", latents, false),
             factors = ms_graph_input(g, "factors", (ms_shape){1, 1, 1, 4}, true),
             noise = ms_graph_input(g, "noise", all, false);
    if (branches == 2)
        noise = ms_op_guide(g, "guide", noise, guidance);
    ms_value next = ms_op_ddim(g, "ddim", sample, noise, factors);
    ms_graph_output(g, next, "next");
    ms_graph_output(g, ms_op_finite(g, "finite", next), "bad");
    return ms_graph_finish(g, err);
}
