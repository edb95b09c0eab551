"""Trains the denoiser with the official objective: the noise of a noisy face, given the masked face, a reference
frame and the audio features, which are left out in one of ten; all frames of a window have the same noise.

Each clip of the drawn world has two speeches with the same movements of the head. The frame that gives mask and
reference says one thing, the target another, as in a run; in one of four the reference is another frame, as in the
official training. So the reference shows who it is, and never what the mouth has to do.
"""

import os

import numpy as np
import torch

from common import *
from diffusion import ALPHAS, STEPS, sample
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
    def __init__(self, work, kind):
        self.work, self.kind, self.parts, self.seen = work, kind, [], set()
        self.mask = mask_of(work)[1][None, None]

    def refresh(self):
        for path in sorted(glob.glob(os.path.join(self.work, "data", self.kind + "*.latents.pt"))):
            if path not in self.seen:
                self.seen.add(path)
                self.parts.append(torch.load(path))

    @property
    def clips(self):
        return sum(len(p["full"]) for p in self.parts)

    def window(self, rng, frames, clip=None):
        """Latents of the target [f, 4, 16, 16], the nine fixed channels, audio [f, tokens, width]."""
        i = int(rng.integers(self.clips)) if clip is None else clip
        for part in self.parts:
            if i < len(part["full"]):
                break
            i -= len(part["full"])
        said = int(rng.integers(2))
        at = int(rng.integers(FRAMES - frames + 1))
        span = slice(at, at + frames)
        other = torch.arange(at, at + frames)
        if clip is None and rng.random() < 0.25:
            other = (other + int(rng.integers(1, FRAMES))) % FRAMES
        draw = lambda m: m[:, 0].float() + m[:, 1].float() * torch.from_numpy(rng.standard_normal(m[:, 0].shape, np.float32))
        full = part["full"][i]
        fixed = torch.cat([self.mask.expand(frames, 1, 16, 16), draw(part["masked"][i][span]), draw(full[1 - said][other])], 1)
        return draw(full[said][span]), fixed, part["audio"][i][said][span].float(), part["truth"][i][said][span]

    def batch(self, rng, windows, frames):
        parts = [self.window(rng, frames) for _ in range(windows)]
        return [torch.cat([p[k] for p in parts]) for k in range(4)]


def cell_weights(mask):
    """Cells that are pasted back from the input hardly count; those of the mouth count most."""
    w = 0.1 + 0.9 * (1 - mask)
    w[..., 7:14, 3:13] = 1.5
    w[..., 8:13, 4:12] = 4.0
    return w / w.mean()


def loss_of(unet, data, rng, args, weights):
    clean, fixed, audio, _ = data.batch(rng, args.batch, args.frames)
    t = torch.from_numpy((980 * rng.random(args.batch) ** 0.7).astype(np.int64))  # most of the work is where there is much noise
    noise = torch.from_numpy(rng.standard_normal((args.batch, 1, 4, 16, 16), np.float32))
    noise = noise.expand(-1, args.frames, -1, -1, -1).reshape(clean.shape)
    kept = torch.from_numpy(rng.random(args.batch) >= 0.1).float().repeat_interleave(args.frames)
    a = ALPHAS[t].repeat_interleave(args.frames)[:, None, None, None]
    noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
    with torch.autocast("cpu", torch.bfloat16, enabled=args.half):
        found = unet(torch.cat([noisy, fixed], 1), t, audio * kept[:, None, None], args.frames)
    # The error of the clean latents that follows from the noise's is sqrt((1 - a) / a) times as large.
    err = (found.float() - noise) ** 2 * weights
    rise = ((1 - a) / a).clamp(0.3, 25)
    return (err * rise).mean(), err.mean()


@torch.no_grad()
def validate(unet, data, decode=None, windows=6, steps=20, guidance=1.5, frames=FRAMES, seed=7):
    """Whole sampling on held-out people: error of the latents in the mouth, beside that of the reference frame."""
    rng = np.random.default_rng(seed)
    parts = [data.window(rng, frames, clip) for clip in range(min(windows, data.clips))]
    clean, fixed, audio, truth = (torch.cat([p[k] for p in parts]) for k in range(4))
    noise = torch.from_numpy(rng.standard_normal((1, 4, 16, 16), np.float32)).expand(clean.shape)
    found = sample(unet, noise, fixed, audio, frames, steps, guidance)
    box = (..., slice(8, 13), slice(4, 12))
    apart = lambda a, b: float((a[box] - b[box]).pow(2).mean())
    return apart(found, clean), apart(fixed[:, 5:], clean), (found, clean, fixed, truth)


def options():
    p = arguments(__doc__, 2000)
    p.add_argument("--batch", type=int, default=16, help="windows of one worker")
    p.add_argument("--frames", type=int, default=1, help="of a window; the motion modules learn from 2 on")
    p.add_argument("--rate", type=float, default=1.5e-3)
    p.add_argument("--name", default="unet")
    p.add_argument("--start", help="checkpoint whose weights (EMA) to begin with")
    p.add_argument("--every", type=int, default=250, help="steps from one checkpoint to the next")
    p.add_argument("--minutes", type=float, help="ends after so long, whatever --steps says")
    p.add_argument("--half", action="store_true", help="bfloat16 arithmetic")
    return p.parse_args()


def main(args):
    path = os.path.join(args.work, args.name + ".pt")
    torch.manual_seed(args.seed)
    unet = UNet3D(UNET)
    begin_near_identity(unet)
    first, log = 0, Log()
    if args.start:
        unet.load_state_dict(torch.load(os.path.join(args.work, args.start))["ema"])
    params = list(unet.parameters()) if args.frames > 1 else [q for n, q in unet.named_parameters() if "motion" not in n]
    opt = torch.optim.AdamW(params, lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01)
    ema = {k: v.clone() for k, v in unet.state_dict().items()}
    state = saved(args, path, unet, opt)
    if state:
        ema, first = state["ema"], state["step"]
    rng = begin(args, first)
    data, held_out = Data(args.work, "t"), Data(args.work, "val")
    weights = cell_weights(data.mask)
    step, begun, done = first, time.time(), first / args.steps
    while done < 1:
        if step == first or step % 50 == 0:
            data.refresh()
        for g in opt.param_groups:
            g["lr"] = rate(step if step < 50 else max(50, int(done * 5000)), 5000, args.rate)
        loss, plain = loss_of(unet, data, rng, args, weights)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        step += 1
        done = average_gradients(args, params, (time.time() - begun) / 60 / args.minutes if args.minutes else step / args.steps)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        if args.worker:
            continue
        with torch.no_grad():
            keep = min(0.998, step / (step + 9))
            for k, v in unet.state_dict().items():
                ema[k].lerp_(v, 1 - keep) if v.is_floating_point() else ema[k].copy_(v)
        log.add(step - 1, loss=loss, noise=plain)
        if step % args.every == 0 or done >= 1:
            save(path, model=unet.state_dict(), ema=ema, opt=opt.state_dict(), step=step)
            held_out.refresh()
            probe = UNet3D(UNET)
            probe.load_state_dict(ema)
            print("held out, mouth latents: error %.4f, of the reference frame %.4f" % validate(probe.eval(), held_out, windows=4, steps=10, frames=min(args.frames * 4, FRAMES))[:2], flush=True)


if __name__ == "__main__":
    launch(main, options())
