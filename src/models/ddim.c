#include "models/ddim.h"

#include <math.h>

#include "base/error.h"

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

void ms_ddim_step(const ms_ddim *d, int step, const float *noise, float *sample, int64_t count) {
    int t = d->timesteps[step], below = t - MS_DDIM_TRAIN_STEPS / d->steps;
    float alpha = d->alphas_cumprod[t], alpha_below = d->alphas_cumprod[below >= 0 ? below : 0];
    float root_alpha = sqrtf(alpha), root_beta = sqrtf(1 - alpha);
    float root_alpha_below = sqrtf(alpha_below), root_beta_below = sqrtf(1 - alpha_below);
    for (int64_t i = 0; i < count; i++) {
        float original = (sample[i] - root_beta * noise[i]) / root_alpha;
        sample[i] = root_alpha_below * original + root_beta_below * noise[i];
    }
}

void ms_guide(const float *n, const float *p, float scale, int64_t count, float *ret_noise) {
    for (int64_t i = 0; i < count; i++)
        ret_noise[i] = n[i] + scale * (p[i] - n[i]);
}
