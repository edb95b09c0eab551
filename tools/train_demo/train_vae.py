"""Trains the autoencoder, mostly on crops around the mouth, which is where it will be looked at.

Stage `both`: encoder and decoder on crops of faces, in the end on whole faces. Then `freeze` fixes the encoder and scales the
latents; latents.py can run. Stage `finer` takes an autoencoder that is finished and trains all of it on for the sake of the teeth,
on pieces and whole faces with mostly open mouths; its latents stay close to what they were, so that a denoiser of the old ones
needs little to follow (train_unet.py). Stage `decoder`: the decoder goes on alone, on pieces of the latents of whole faces, in the end on
all of them. --whole says when the end begins. Stage `edges` goes on from there for the sake of the teeth: the part of the decoder
that draws what is small, on whole faces with mostly open mouths, from their own latents and from the denoiser's; the latents stay
what they are, so the denoiser stays valid.
"""

import argparse
import copy
import os

import numpy as np
import torch

from common import *
from latents import mask_of
from networks import SCALING, AutoencoderKL
from teeth import OPEN_PX, agreement, luma_in_mouth, upright_lines


def open_mouths(args, truth, count, often=4):
    """Clip, speech and frame of `count` pictures: those with an open mouth so many times as often as others."""
    wanted = 1 + (often - 1) * (truth[..., 6] > OPEN_PX).float()
    taken = torch.multinomial(wanted.flatten(), count, replacement=True, generator=args.random)
    return torch.unravel_index(taken, truth.shape[:3])


def crops(args, data, count, side=64):
    """Seven of ten around the mouth."""
    faces, _, _ = data.pick()
    near, roll = chance(args, 0.7, count), integers(args, -6, 7, (2, count))
    y = torch.where(near, 48 + roll[0], integers(args, 28, SIDE - side + 1, (count,)))
    x = torch.where(near, 32 + roll[1], integers(args, 0, SIDE - side + 1, (count,)))
    return any_faces(args, faces, count, y, x, side)


def any_faces(args, faces, count, y, x, side):
    clip, said, frame = any_of(args, faces.shape[:3], count)
    return pixels(pieces_of(faces, clip, said, frame, y, x, side, chance(args, 0.5, count)))


def whole_faces(args, data, count):
    faces, _, _ = data.pick()
    corner = torch.zeros(count, dtype=torch.int64, device=args.device)
    return any_faces(args, faces, count, corner, corner, SIDE)


def distance(y, x, weight=None):
    """Absolute and structural error."""
    apart, unlike = (y - x).abs(), 1 - ssim_map(y, x)
    if weight is not None:
        apart, unlike = apart * weight, unlike * weight[..., 3:-3, 3:-3]
    return apart.mean(), unlike.mean()


def loss_of_both(vae, x, weight=None):
    mean, logvar = vae.encode(x)
    y = vae.decode(mean + (0.5 * logvar).exp() * torch.randn_like(mean)).float()
    mean, logvar = mean.float(), logvar.float()
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    l1, unlike = distance(y, x, weight)
    return l1 + 0.35 * unlike + 1e-3 * kl, {"l1": l1, "unlike": unlike, "kl": kl, "spread": mean.std()}


class Pairs:
    """Latents of whole faces, or pieces of 8 x 8 cells of them, as wrong as a denoiser's may be, and the pixels there."""

    def __init__(self, args, kind="t", denoised=False):
        """denoised: every other picture is drawn from what the denoiser made of its speech (denoised.py)."""
        self.args, self.data = args, Faces(args, kind, ".denoised.pt" if denoised else ".latents.pt")
        load = lambda end, of: [torch.load(p + end, args.device)[of] for p in self.data.known]
        self.full, self.made = load(".latents.pt", "full"), None
        if denoised:
            self.made = list(zip(load(".denoised.pt", "denoised"), load(".denoised.pt", "mirrored")))
        if len(self.data.faces) == 1:
            self.full = [torch.cat(self.full, 1)]
            self.made = [tuple(torch.cat(v) for v in zip(*self.made))] if denoised else None

    def batch(self, count, whole, open=1):
        """open: how many times as often a frame is taken whose mouth is open."""
        args = self.args
        faces, truth, part = self.data.pick()
        full = self.full[part]  # [mirrored, clips, 2, frames, mean and spread, 4, 16, 16]
        clip, said, frame = open_mouths(args, truth, count, open)
        mirrored = integers(args, 0, 2, (count,))
        if self.made:
            made, sides = self.made[part]
            turn = torch.arange(count, device=args.device) % 2 == 1
            mirrored = torch.where(turn, sides[clip], mirrored)
        zero = torch.zeros(count, dtype=torch.int64, device=args.device)
        y, x = (zero, zero) if whole else (integers(args, 5, 9, (count,)), integers(args, 2, 7, (count,)))
        n = torch.arange(16 if whole else 8, device=args.device)
        rows, columns = (y[:, None] + n)[:, :, None], (x[:, None] + n)[:, None]
        m = full[mirrored, clip, said, frame].float()  # the cells of a piece: first index the picture, then row and column
        m = m.permute(0, 3, 4, 1, 2)[torch.arange(count, device=args.device)[:, None, None], rows, columns].permute(0, 3, 4, 1, 2)
        wrong = (m[:, 1] ** 2 + 0.0625 * torch.rand((count, 1, 1, 1), generator=args.random, device=args.device) ** 2).sqrt()
        z = (m[:, 0] + wrong * torch.randn_like(m[:, 0])) / SCALING
        if self.made:
            z = torch.where(turn[:, None, None, None], made[clip, said, frame].float() / SCALING, z)
        # The pixels of a mirrored face's cells are on the other side of the drawn one, and mirrored.
        left = torch.where(mirrored == 1, SIDE - 8 * (x + len(n)), 8 * x)
        return z, pixels(pieces_of(faces, clip, said, frame, 8 * y, left, 8 * len(n), mirrored == 1))


def edge_errors(y, x, weight, inside):
    """Teeth are few pixels: so pixels count by how much the truth changes there, and changes count beside values. inside: 1 in the
    mouth."""
    detail = (x - F.avg_pool2d(x, 3, 1, 1)).abs().mean(1, keepdim=True)
    weight = weight * (1 + 6 * inside * (F.max_pool2d(detail, 3, 1, 1) / 0.15).clamp(max=1))
    l1, unlike = distance(y, x, weight)
    edges = sum((((y - x).diff(dim=d)).abs() * weight.narrow(d, 0, x.shape[d] - 1)).mean() for d in (-1, -2))
    of = lambda v: upright_lines(v.mean(1, keepdim=True)) * inside
    lines = (of(y) - of(x)).abs().sum() / inside.expand(len(x), -1, -1, -1).sum().clamp(min=1)
    return l1 + 0.35 * unlike + edges + 12 * lines, {"l1": l1, "unlike": unlike, "edges": edges, "lines": lines}


def loss_of_edges(vae, z, x, weight):
    return edge_errors(vae.decode(z).float(), x, weight, mouth_of_faces(weight))


def mouth_of_faces(like):
    inside = torch.zeros((1, 1, SIDE, SIDE), device=like.device)
    inside[..., MOUTH[0], MOUTH[1]] = 1
    return inside


class Finer:
    """Pictures for stage `finer`, and what its latents were."""

    def __init__(self, args, vae, weight):
        self.args, self.data, self.weight = args, Faces(args), weight
        self.was = copy.deepcopy(vae).requires_grad_(False)
        self.mask = mask_of(args.work)[0].to(args.device)

    def loss(self, vae, done):
        args = self.args
        whole = done >= 1 - args.whole
        count, side = (max(1, args.batch // 3), SIDE) if whole else (args.batch, 64)
        faces, truth, _ = self.data.pick()
        clip, said, frame = open_mouths(args, truth, count)
        zero = torch.zeros(count, dtype=torch.int64, device=args.device)
        # Pieces begin at cells of the latents, as those of whole faces do.
        y, x = (zero, zero) if whole else (8 * integers(args, 6, 8, (count,)), 8 * integers(args, 2, 7, (count,)))
        picture = pixels(pieces_of(faces, clip, said, frame, y, x, side, chance(args, 0.5, count)))
        inside, weight = mouth_of_faces(self.weight), self.weight
        if not whole:
            piece = lambda v: torch.stack([v[0, :, a : a + side, b : b + side] for a, b in zip(y.tolist(), x.tolist())])
            inside, weight = piece(inside), piece(weight)
        mean, logvar = vae.encode(picture)
        seen = vae.decode(mean + (0.5 * logvar).exp() * torch.randn_like(mean)).float()
        with torch.no_grad():
            before = self.was.encode(picture)
        pull = (mean.float() - before[0].float()).pow(2).mean() * SCALING**2
        pull = pull + 0.1 * (logvar.float() - before[1].float()).pow(2).mean()
        if whole:  # and what the denoiser is told of the rest of the face
            masked = picture * self.mask
            with torch.no_grad():
                before = self.was.encode(masked)[0].float()
            pull = pull + (vae.encode(masked)[0].float() - before).pow(2).mean() * SCALING**2
        loss, shown = edge_errors(seen, picture, weight, inside)
        return loss + args.pull * pull, {**shown, "pull": pull}


def loss_of_decoder(vae, z, x, weight):
    l1, unlike = distance(vae.decode(z).float(), x, weight)
    return l1 + 0.35 * unlike, {"l1": l1, "unlike": unlike}


@torch.no_grad()
def freeze(args):
    """From here on the latents' spread is 1 after the official scaling, and their means are 0."""
    vae = AutoencoderKL(VAE).to(args.device)
    vae.load_state_dict(weights(args, "vae_both.pt"))
    args.random = random_numbers(args)
    data = Faces(args)
    z = vae.encode(torch.cat([whole_faces(args, data, 12) for _ in range(8)]))[0]
    shift, scale = z.mean((0, 2, 3)), 1 / (SCALING * z.std((0, 2, 3)))
    q, p = vae.quant_conv, vae.post_quant_conv
    q.weight[:4] *= scale[:, None, None, None]
    q.bias[:4] = (q.bias[:4] - shift) * scale
    q.bias[4:] += 2 * scale.log()
    p.bias += (p.weight[:, :, 0, 0] * shift).sum(1)
    p.weight /= scale[None, :, None, None]
    save(os.path.join(args.work, "vae.pt"), model=vae.state_dict())
    print("frozen; held out, mouth: SSIM %.4f PSNR %.2f" % validate(vae, Faces(args, "val"))[:2])


def face_weights():
    """What is pasted back from the input hardly counts; the mouth counts most."""
    w = torch.full((1, 1, SIDE, SIDE), 0.15)
    w[..., 47:122, 4:124] = 1.0
    w[..., MOUTH[0], MOUTH[1]] = 3.0
    return w / w.mean()


def validate(vae, data):
    x = pixels(torch.cat([f[:, :, ::8].reshape(-1, SIDE, SIDE, 3) for f in data.faces])[:96])
    y = vae.decode(vae.encode(x)[0]).float().clamp(-1, 1)
    s = ssim_map(y[..., MOUTH[0], MOUTH[1]].mean(1, True), x[..., MOUTH[0], MOUTH[1]].mean(1, True)).mean().item()
    e = ((y - x)[..., MOUTH[0], MOUTH[1]] ** 2).mean().item()
    return s, 10 * np.log10(4 / e), *agreement(luma_in_mouth(y), luma_in_mouth(x))


@torch.no_grad()
def validate_teeth(args, vae, data, count=96):
    """Of people that are not trained on, mouths open: from their own latents, which is the best that this decoder can do, and
    from the denoiser's."""
    data.args = argparse.Namespace(**{**vars(args), "random": torch.Generator(args.device).manual_seed(5)})
    z, x = data.batch(2 * count, True, open=1e6)
    y = torch.cat([vae.decode(part).float().clamp(-1, 1) for part in z.split(16)])
    for name, a, b in (("their own", y[::2], x[::2]), ("the denoiser's", y[1::2], x[1::2])):
        p, q = luma_in_mouth(a), luma_in_mouth(b)
        psnr = 10 * math.log10(4 / (a - b)[..., MOUTH[0], MOUTH[1]].pow(2).mean())
        print("held out, from %s latents: SSIM %.4f PSNR %.2f, upright lines: correlation %.4f, strength %.3f" % (
            name, ssim_map(p, q).mean(), psnr, *agreement(p, q)), flush=True)


def options():
    p = arguments(__doc__, 2000)
    p.add_argument("--stage", choices=["both", "freeze", "finer", "decoder", "edges"], default="both")
    p.add_argument("--start", default="vae.pt", help="checkpoint that the stages after `freeze` begin with")
    p.add_argument("--batch", type=int, default=10)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--whole", type=float, default=0.25, help="the last part of the steps sees whole faces, a quarter as many")
    p.add_argument("--pull", type=float, default=0.03, help="`finer`: how much the latents are held to what they were")
    return p.parse_args()


def main(args):
    if args.stage == "freeze":
        return freeze(args)
    vae = AutoencoderKL(VAE).to(args.device)
    learning = list(vae.parameters())
    if args.stage != "both":
        vae.load_state_dict(weights(args, args.start))
        if args.stage != "finer":
            learning = list(vae.decoder.parameters()) + list(vae.post_quant_conv.parameters())
    if args.stage == "edges":  # from 32 x 32 pixels on: what lies below has nothing as small as a tooth
        vae.requires_grad_(False)
        top = vae.decoder
        learning = [q for m in (*top.up_blocks[1:], top.conv_norm_out, top.conv_out) for q in m.requires_grad_(True).parameters()]
    if args.stage == "finer":
        finer = Finer(args, vae, face_weights().to(args.device))
    elif args.stage == "edges":
        data, watched = Pairs(args, denoised=True), Pairs(args, "val", denoised=True)
    else:
        data = (Faces if args.stage == "both" else Pairs)(args)

    held_out, weight = Faces(args, "val"), face_weights().to(args.device)

    def loss_of(done):
        if args.stage == "edges":
            return loss_of_edges(vae, *data.batch(args.batch, True, open=4), weight)
        if args.stage == "finer":
            return finer.loss(vae, done)
        whole = done >= 1 - args.whole
        count = max(1, args.batch // 4) if whole else args.batch
        if args.stage == "both":
            return loss_of_both(vae, (whole_faces if whole else crops)(args, data, count), weight if whole else None)
        return loss_of_decoder(vae, *data.batch(count, whole), weight if whole else None)

    def show():
        if args.stage == "edges":
            return validate_teeth(args, vae, watched)
        print("held out, mouth: SSIM %.4f PSNR %.2f; upright lines: correlation %.4f, strength %.3f" % validate(vae, held_out),
              flush=True)

    if args.stage in ("finer", "edges") and not args.worker:
        show()  # what it begins with
    fit(args, "vae_" + args.stage, vae, learning, loss_of, show)


if __name__ == "__main__":
    launch(main, options())
