"""Turns the drawn clips into what the UNet is trained on: latents of faces and masked faces, as drawn and mirrored, and audio
features."""

import os

import numpy as np
import torch

from check_networks import read_safetensors
from common import *
from networks import SCALING, AutoencoderKL
from sound import features
from train_audio import Listener


def mask_of(work):
    """The fixed mask, 1 = kept: of the pixels and of the latents. `train` has memsafe write the file."""
    tensors = read_safetensors(os.path.join(work, "data", "mask.safetensors"))
    return tensors["out.mask"].float() / 255, (tensors["out.mask_latent"] > 0.5).float()


def encode(vae, x):
    """[..., 3, 128, 128] -> mean and spread [..., 2, 4, 16, 16]."""
    mean, logvar = vae.encode(x.flatten(0, -4))
    z = torch.stack([mean, (0.5 * logvar).exp()], 1) * SCALING
    return z.half().view(*x.shape[:-3], *z.shape[1:])


@torch.no_grad()
def main(args):
    torch.set_num_threads(1)
    vae, listener = AutoencoderKL(VAE).to(args.device), Listener().to(args.device)
    vae.load_state_dict(weights(args, args.vae))
    listener.load_state_dict(weights(args, "audio.pt"))
    mask = mask_of(args.work)[0].to(args.device)
    for kind in ("t", "val"):
        for path in shards(args.work, kind):
            if os.path.exists(path + ".latents.pt"):
                continue
            faces, truth = drawn_faces(path), drawn_truth(path)
            speech = torch.from_numpy(np.fromfile(path + ".speech", np.int16)).view(len(faces), 2, -1)
            full, masked, audio = [], [], []
            for c in range(0, len(faces), args.batch):
                x = pixels(faces[c : c + args.batch].to(args.device))
                both = torch.stack([x, x.flip(-1)])
                full.append(encode(vae, both))
                masked.append(encode(vae, both[:, :, 0] * mask))
                said = speech[c : c + args.batch].to(args.device) / 32768.0
                rows = features(listener.encoder, said.flatten(0, 1)).half().unflatten(0, said.shape[:2])
                for clip, first in zip(rows, truth[c : c + args.batch, 0, 0, 10].long()):
                    audio.append(clip[:, 2 * first : 2 * (first + FRAMES)])
            n = len(faces)
            save(path + ".latents.pt", full=torch.cat(full, 1).cpu(), masked=torch.cat(masked, 1).cpu(),
                 audio=torch.stack(audio).view(n, 2, FRAMES, -1, AUDIO["n_audio_state"]).cpu())


if __name__ == "__main__":
    p = arguments(__doc__, 0)
    p.add_argument("--vae", default="vae.pt")
    p.add_argument("--batch", type=int, help="clips at once; on a GPU 16, else 1")
    args = p.parse_args()
    args.batch = args.batch or (1 if args.device == "cpu" else 16)
    main(args)
