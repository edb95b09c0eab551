"""Trains the autoencoder, mostly on crops around the mouth, which is where it will be looked at.

Stage `both`: encoder and decoder on crops of faces. Then `freeze` fixes the encoder and scales the latents; latents.py
can run. Stage `decoder`: the decoder goes on alone, on crops of the latents of whole faces, in the end on whole faces.
"""

import os

import numpy as np
import torch

from common import *
from networks import SCALING, AutoencoderKL


def crops(rng, data, count, side=64):
    out = np.empty((count, side, side, 3), np.uint8)
    for i in range(count):
        faces = data[rng.integers(len(data))][0]
        face = faces[rng.integers(len(faces)), rng.integers(2), rng.integers(FRAMES)]
        if rng.random() < 0.7:
            y, x = 48 + rng.integers(-6, 7), 32 + rng.integers(-6, 7)
        else:
            y, x = rng.integers(28, SIDE - side + 1), rng.integers(0, SIDE - side + 1)
        piece = face[y : y + side, x : x + side]
        out[i] = piece[:, ::-1] if rng.random() < 0.5 else piece
    return pixels(out)


def distance(y, x, weight=None):
    """Absolute and structural error."""
    apart, unlike = (y - x).abs(), 1 - ssim_map(y, x)
    if weight is not None:
        apart, unlike = apart * weight, unlike * weight[..., 3:-3, 3:-3]
    return apart.mean(), unlike.mean()


def whole_faces(rng, data, count):
    out = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for i in range(count):
        faces = data[rng.integers(len(data))][0]
        out[i] = faces[rng.integers(len(faces)), rng.integers(2), rng.integers(FRAMES)]
    return pixels(out)


def loss_of_both(vae, x, weight=None):
    mean, logvar = vae.encode(x)
    y = vae.decode(mean + (0.5 * logvar).exp() * torch.randn_like(mean)).float()
    kl = 0.5 * (mean.float() ** 2 + logvar.float().exp() - 1 - logvar.float()).mean()
    l1, unlike = distance(y, x, weight)
    return l1 + 0.35 * unlike + 1e-3 * kl, {"l1": l1, "unlike": unlike, "kl": kl, "spread": mean.float().std()}


def pairs(rng, work, count, whole):
    """Latents of whole faces, or pieces of 8 x 8 cells of them, as wrong as a denoiser's may be, and the pixels there."""
    z, x = [], []
    found = [(f, path + ".latents.pt") for f, _, path in shards(work) if os.path.exists(path + ".latents.pt")]
    for _ in range(count):
        faces, path = found[rng.integers(len(found))]
        if path not in pairs.known:
            pairs.known[path] = torch.load(path)["full"]
        full = pairs.known[path]
        c, k, i = rng.integers(len(full)), rng.integers(2), rng.integers(FRAMES)
        r, q = (0, 0) if whole else (rng.integers(5, 9), rng.integers(2, 7))
        n = 16 if whole else 8
        m = full[c, k, i, :, :, r : r + n, q : q + n].float()
        wrong = (m[1] ** 2 + float(rng.uniform(0, 0.25)) ** 2).sqrt()
        z.append((m[0] + wrong * torch.randn_like(m[0])) / SCALING)
        x.append(faces[c, k, i, 8 * r : 8 * (r + n), 8 * q : 8 * (q + n)])
    return torch.stack(z), pixels(np.stack(x))


pairs.known = {}


def loss_of_decoder(vae, z, x, weight):
    l1, unlike = distance(vae.decode(z).float(), x, weight)
    return l1 + 0.35 * unlike, {"l1": l1, "unlike": unlike}


def freeze(args):
    """From here on the latents' spread is 1 after the official scaling, and their means are 0."""
    vae = AutoencoderKL(VAE)
    vae.load_state_dict(torch.load(os.path.join(args.work, "vae_both.pt"))["model"])
    data = shards(args.work)
    with torch.no_grad():
        x = pixels(np.concatenate([d[0][::8, 0, ::8].reshape(-1, SIDE, SIDE, 3) for d in data])[:64])
        z = vae.encode(x)[0]
        shift, scale = z.mean((0, 2, 3)), 1 / (SCALING * z.std((0, 2, 3)))
        q, p = vae.quant_conv, vae.post_quant_conv
        q.weight[:4] *= scale[:, None, None, None]
        q.bias[:4] = (q.bias[:4] - shift) * scale
        q.bias[4:] += 2 * scale.log()
        p.bias += (p.weight[:, :, 0, 0] * shift).sum(1)
        p.weight /= scale[None, :, None, None]
    save(os.path.join(args.work, "vae.pt"), model=vae.state_dict())
    print("frozen; held out, mouth: SSIM %.4f PSNR %.2f" % validate(vae, shards(args.work, "val")))


def face_weights():
    """What is pasted back from the input hardly counts; the mouth counts most."""
    w = torch.full((1, 1, SIDE, SIDE), 0.15)
    w[..., 47:122, 4:124] = 1.0
    w[..., MOUTH[0], MOUTH[1]] = 3.0
    return w / w.mean()


@torch.no_grad()
def validate(vae, data):
    faces = np.concatenate([d[0][:, :, ::8].reshape(-1, SIDE, SIDE, 3) for d in data])[:48]
    x = pixels(faces)
    y = vae.decode(vae.encode(x)[0]).float().clamp(-1, 1)
    s = ssim_map(y[..., MOUTH[0], MOUTH[1]].mean(1, True), x[..., MOUTH[0], MOUTH[1]].mean(1, True)).mean().item()
    e = ((y - x)[..., MOUTH[0], MOUTH[1]] ** 2).mean().item()
    return s, 10 * np.log10(4 / e)


def options():
    p = arguments(__doc__, 2000)
    p.add_argument("--stage", choices=["both", "freeze", "decoder"], default="both")
    p.add_argument("--batch", type=int, default=10)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--whole", type=float, default=0.25, help="the last part of the steps sees whole faces")
    p.add_argument("--half", action="store_true", help="bfloat16 arithmetic")
    return p.parse_args()


def main(args):
    if args.stage == "freeze":
        return freeze(args)
    path = os.path.join(args.work, f"vae_{args.stage}.pt")
    vae = AutoencoderKL(VAE)
    best = list(vae.parameters())
    if args.stage == "decoder":
        vae.load_state_dict(torch.load(os.path.join(args.work, "vae.pt"))["model"])
        best = list(vae.decoder.parameters()) + list(vae.post_quant_conv.parameters())
    opt = torch.optim.AdamW(best, lr=args.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    first, log = 0, Log()
    state = saved(args, path, vae, opt)
    if state:
        first = state["step"]
    rng = begin(args, first)
    held_out, weight = shards(args.work, "val"), face_weights()
    for step in range(first, args.steps):
        if step == first or step % 100 == 0:
            data = shards(args.work)  # more may have been drawn
        for g in opt.param_groups:
            g["lr"] = rate(step, args.steps, args.rate)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.half):
            whole = step >= args.steps * (1 - args.whole)
            count = max(1, args.batch // 4) if whole else args.batch
            if args.stage == "both":
                x = (whole_faces if whole else crops)(rng, data, count)
                loss, shown = loss_of_both(vae, x, weight if whole else None)
            else:
                z, x = pairs(rng, args.work, count, whole)
                loss, shown = loss_of_decoder(vae, z, x, weight if whole else None)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(args, best)
        torch.nn.utils.clip_grad_norm_(best, 1.0)
        opt.step()
        if args.worker:
            continue
        log.add(step, **shown)
        if step % 250 == 249 or step == args.steps - 1:
            save(path, model=vae.state_dict(), opt=opt.state_dict(), step=step + 1)
            print("held out, mouth: SSIM %.4f PSNR %.2f" % validate(vae, held_out), flush=True)


if __name__ == "__main__":
    launch(main, options())
