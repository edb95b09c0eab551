"""Trains the denoiser: the noise of a noisy face, given the masked face, a reference frame and the audio features, which
are left out in one of ten; all frames of a window have the same noise, as in a run.

Each clip of the drawn world has two speeches with the same movements of the head. The frame that gives mask and
reference says one thing, the target another, as in a run; in one of four the reference is another frame, as in the
official training. So the reference shows who it is, and never what the mouth has to do.
"""

import torch
from torch.optim.swa_utils import AveragedModel

from common import *
from diffusion import ALPHAS, sample
from latents import mask_of
from networks import UNet3D


def begin_near_identity(unet):
    """At the start the network's answer is the noisy latents themselves, which is nearly right where there is much
    noise: four pairs of channels carry them and their negatives from conv_in over the last skip connection to
    conv_out, where silu(x) - silu(-x) = x. The last group norm would divide them by their own size, and where
    there is much noise an error of it is all that is left in the answer: so each of its groups that has a pair also
    has two constants, which are most of what it divides by. All residual branches begin at nothing."""
    with torch.no_grad():
        for name, q in unet.named_parameters():
            if name.endswith(("conv2.weight", "proj_out.weight", "conv2.bias", "proj_out.bias")):
                q.mul_(0.1)
        last, n = unet.up_blocks[-1].resnets[-1], UNET["block_out_channels"][0]
        width, constant = n // UNET["norm_num_groups"], 4.0
        spread = math.sqrt((2 + 2 * constant**2 + 0.3 * (width - 4)) / width)
        unet.conv_out.weight.mul_(0.1)
        unet.conv_out.bias.zero_()
        for i in range(4):
            for sign in (1, -1):
                c = i * width + (sign < 0)  # the pair
                unet.conv_in.weight[c] = 0
                unet.conv_in.bias[c] = 0
                unet.conv_in.weight[c, i, 1, 1] = sign
                last.conv_shortcut.weight[c] = 0
                last.conv_shortcut.bias[c] = 0
                last.conv_shortcut.weight[c, n + c] = 1
                last.conv2.weight[c] = 0
                last.conv2.bias[c] = 0
                unet.conv_norm_out.weight[c] = spread
                unet.conv_out.weight[:, c] = 0
                unet.conv_out.weight[i, c, 1, 1] = sign
                last.conv_shortcut.weight[c + 2] = 0  # and its constants
                last.conv_shortcut.bias[c + 2] = sign * constant
                last.conv2.weight[c + 2] = 0
                last.conv2.bias[c + 2] = 0


class Data:
    """The latents of all shards of a kind, mirrored faces as further clips."""

    def __init__(self, args, kind):
        self.args = args
        parts = [torch.load(p + ".latents.pt", args.device) for p in shards(args.work, kind, ".latents.pt")]
        self.full, self.masked = (torch.cat([p[k].flatten(0, 1) for p in parts]) for k in ("full", "masked"))
        self.audio = torch.cat([torch.cat([p["audio"]] * 2) for p in parts])
        self.mask = mask_of(args.work)[1].to(args.device)

    def windows(self, random, clip, frames, training=True):
        """Of each clip: latents of the target [b f, 4, 16, 16], the nine fixed channels, audio [b f, tokens, width]."""
        count, device = len(clip), clip.device
        one_of = lambda n: torch.randint(n, (count, 1), generator=random, device=device)
        normal = lambda m: m[:, :, 0].float() + m[:, :, 1].float() * torch.randn(m[:, :, 0].shape, generator=random, device=device)
        clip, said = clip[:, None], one_of(2)
        span = one_of(FRAMES - frames + 1) + torch.arange(frames, device=device)
        other = span
        if training:  # in one of four the reference is another frame
            other = torch.where(one_of(4) == 0, (span + 1 + one_of(FRAMES - 1)) % FRAMES, span)
        fixed = torch.cat([self.mask.expand(count, frames, 1, 16, 16), normal(self.masked[clip, span]),
                           normal(self.full[clip, 1 - said, other])], 2)
        clean, audio = normal(self.full[clip, said, span]), self.audio[clip, said, span].float()
        return [v.flatten(0, 1) for v in (clean, fixed, audio)]


def cell_weights(mask):
    """Cells that are pasted back from the input hardly count; those of the mouth count most."""
    w = 0.1 + 0.9 * (1 - mask)
    w[..., 7:14, 3:13] = 1.5
    w[..., 8:13, 4:12] = 4.0
    return w / w.mean()


def loss_of(unet, data, args, cells):
    rand = lambda *shape: torch.rand(shape, generator=args.random, device=args.device)
    clip = integers(args, 0, len(data.full), (args.batch,))
    clean, fixed, audio = data.windows(args.random, clip, args.frames)
    t = (980 * rand(args.batch) ** 0.7).long()  # most of the work is where there is much noise
    noise = torch.randn((args.batch, 1, 4, 16, 16), generator=args.random, device=args.device)
    noise = noise.expand(-1, args.frames, -1, -1, -1).reshape(clean.shape)
    kept = (rand(args.batch) >= 0.1).float().repeat_interleave(args.frames)
    a = data.alphas[t].repeat_interleave(args.frames)[:, None, None, None]
    # What differs from frame to frame is then free of noise, so that the movement could be read from it; but in a run the noisy
    # latents hold what the step before took for the clean ones, and at first nothing. So here they hold them blended with nothing,
    # one frame of theirs or the other speech's, and what is asked for is the noise that leads to the clean ones.
    still = clean.unflatten(0, (-1, args.frames))[:, int(torch.randint(args.frames, ()))].repeat_interleave(args.frames, 0)
    which = integers(args, 0, 3, (args.batch,)).repeat_interleave(args.frames)[:, None, None, None]
    instead = torch.where(which == 0, 0.0, torch.where(which == 1, still, fixed[:, 5:]))
    wrong = rand(args.batch) * torch.where(t >= 850, 1.0, 0.5 * t / 850)
    off = (instead - clean) * wrong.repeat_interleave(args.frames)[:, None, None, None]
    noisy = a.sqrt() * (clean + off) + (1 - a).sqrt() * noise
    wanted = noise + (a / (1 - a)).sqrt() * off
    found = unet(torch.cat([noisy, fixed], 1), t, audio * kept[:, None, None], args.frames)
    # The error of the clean latents that follows from the noise's is sqrt((1 - a) / a) times as large.
    err = (found.float() - wanted) ** 2 * cells
    rise = ((1 - a) / a).clamp(0.3, 25)
    loss = (err * rise).mean()
    return loss, {"loss": loss, "noise": err.mean()}


def follow(averages, latest, count):
    """An exponential average that does not remember where it began."""
    keep = min(0.998, float(count) / (float(count) + 9))
    for a, w in zip(averages, latest):
        a.lerp_(w, 1 - keep)


def validate(unet, data, count, steps=20, guidance=1.5, frames=FRAMES, seed=7):
    """Whole sampling on held-out people: error of the latents in the mouth, beside that of the reference frame."""
    random = torch.Generator(data.full.device).manual_seed(seed)
    clip = torch.arange(0, len(data.full), max(1, len(data.full) // count), device=data.full.device)[:count]
    clean, fixed, audio = data.windows(random, clip, frames, training=False)
    noise = torch.randn((1, 4, 16, 16), generator=random, device=clean.device).expand(clean.shape)
    found = sample(unet, noise, fixed, audio, frames, steps, guidance)
    box = (..., slice(8, 13), slice(4, 12))
    apart = lambda a, b: float((a[box] - b[box]).pow(2).mean())
    return apart(found, clean), apart(fixed[:, 5:], clean)


def options():
    p = arguments(__doc__, 2000)
    p.add_argument("--batch", type=int, default=16, help="windows of one worker")
    p.add_argument("--frames", type=int, default=1, help="of a window; the motion modules learn from 2 on")
    p.add_argument("--rate", type=float, default=1.5e-3)
    p.add_argument("--name", default="unet")
    p.add_argument("--start", help="checkpoint whose weights (EMA) to begin with")
    return p.parse_args()


def main(args):
    torch.manual_seed(args.seed)
    unet = UNet3D(UNET)
    begin_near_identity(unet)
    unet.to(args.device)
    if args.start:
        unet.load_state_dict(weights(args, args.start, "ema"))
    params = [q for n, q in unet.named_parameters() if args.frames > 1 or "motion" not in n]
    average = AveragedModel(unet, multi_avg_fn=follow)
    data, held_out = Data(args, "t"), Data(args, "val")
    data.alphas, cells = ALPHAS.to(args.device), cell_weights(data.mask)

    def show():
        found = validate(average.module, held_out, 16 if args.device != "cpu" else 4, steps=10, frames=min(args.frames * 4, FRAMES))
        print("held out, mouth latents: error %.4f, of the reference frame %.4f" % found, flush=True)

    fit(args, args.name, unet, params, lambda done: loss_of(unet, data, args, cells), show, decay=0.01, average=average)


if __name__ == "__main__":
    launch(main, options())
