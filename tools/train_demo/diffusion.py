"""The schedule of the official scheduler (DDIM, scaled linear betas) and its sampling, as memsafe does it."""

import torch

STEPS = 1000
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
ALPHAS = (1 - BETAS).cumprod(0).float()


@torch.no_grad()
def sample(unet, noise, fixed, audio, frames, steps=20, guidance=1.5):
    """noise [b f, 4, h, w]; fixed [b f, 9, h, w]: mask, masked and reference latents."""
    x, windows = noise, len(noise) // frames
    silent = torch.zeros_like(audio)
    for t in range((steps - 1) * (STEPS // steps) + 1, 0, -(STEPS // steps)):
        time = torch.full((2 * windows,), t, device=x.device)
        both = torch.cat([torch.cat([x, fixed], 1)] * 2)
        n, p = unet(both, time, torch.cat([silent, audio]), frames).float().chunk(2)
        eps = n + guidance * (p - n)
        a = ALPHAS[t]
        before = ALPHAS[t - STEPS // steps] if t - STEPS // steps >= 0 else ALPHAS[0]
        clean = (x - (1 - a).sqrt() * eps) / a.sqrt()
        x = before.sqrt() * clean + (1 - before).sqrt() * eps
    return x
