"""Turns the drawn clips into what the UNet is trained on: latents of faces and masked faces, and audio features."""

import os

import numpy as np
import torch

from check_networks import read_safetensors
from common import *
from networks import SCALING, AudioEncoder, AutoencoderKL
from sound import features
from train_audio import Listener


def mask_of(work):
    """The fixed mask, 1 = kept: of the pixels and of the latents. `train` has memsafe write the file."""
    tensors = read_safetensors(os.path.join(work, "data", "mask.safetensors"))
    return tensors["out.mask"].float() / 255, (tensors["out.mask_latent"] > 0.5).float()


@torch.no_grad()
def encode(vae, x, batch=16):
    out = []
    for i in range(0, len(x), batch):
        mean, logvar = vae.encode(x[i : i + batch])
        out.append((torch.stack([mean, (0.5 * logvar).exp()], 1) * SCALING).half())
    return torch.cat(out)


def main():
    p = arguments(__doc__, 0)
    p.add_argument("--shard", default="t0")
    p.add_argument("--clips", type=int, default=1000)
    args = p.parse_args()
    torch.set_num_threads(1)
    vae = AutoencoderKL(VAE)
    vae.load_state_dict(torch.load(os.path.join(args.work, "vae.pt"))["model"])
    listener = Listener()
    listener.load_state_dict(torch.load(os.path.join(args.work, "audio.pt"))["model"])
    encoder, mask = listener.encoder.eval(), mask_of(args.work)[0]
    for faces, truth, path in shards(args.work, args.shard):
        target = path + ".latents.pt"
        if os.path.exists(target):
            continue
        speech = np.fromfile(path + ".speech", np.int16).reshape(len(faces), 2, -1)
        full, masked, audio = [], [], []
        for c in range(min(len(faces), args.clips)):
            x = pixels(faces[c])
            full.append(encode(vae, x.flatten(0, 1)).view(2, FRAMES, 2, 4, 16, 16))
            masked.append(encode(vae, x[0] * mask))
            first = int(truth[c, 0, 0, 10])
            rows = [features(encoder, s / 32768.0) for s in speech[c]]
            audio.append(torch.stack([r[2 * first : 2 * (first + FRAMES)] for r in rows]).half())
        n = len(full)
        save(target, full=torch.stack(full), masked=torch.stack(masked), truth=torch.from_numpy(truth[:n].copy()),
             audio=torch.stack(audio).view(n, 2, FRAMES, -1, AUDIO["n_audio_state"]))
        print(target, n, flush=True)


if __name__ == "__main__":
    main()
