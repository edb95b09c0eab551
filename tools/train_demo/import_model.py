"""Turns a model folder back into the checkpoints that a training goes on from: the opposite of export.py. The heads of the audio
encoder and the optimizers' memories are not in the folder and begin anew."""

import os

import torch

from check_networks import load, read_safetensors
from common import *
from networks import AutoencoderKL, UNet3D
from train_audio import Listener


def main():
    p = arguments(__doc__, 0)
    p.add_argument("--model", default=os.path.join(ROOT, "models", "demo"))
    args = p.parse_args()
    torch.manual_seed(args.seed)
    file = lambda *names: os.path.join(args.model, *names)
    vae, unet, listener = AutoencoderKL(VAE), UNet3D(UNET), Listener()
    load(vae, read_safetensors(file("vae", "diffusion_pytorch_model.safetensors")))
    held = torch.load(file("latentsync_unet.pt"), "cpu")
    load(unet, held["state_dict"])
    whisper = torch.load(file("whisper", "tiny.pt"), "cpu")["model_state_dict"]
    load(listener.encoder, {k[len("encoder."):]: v for k, v in whisper.items() if k.startswith("encoder.")})
    keep = lambda name, **parts: save(os.path.join(args.work, name + ".pt"), **parts)
    keep("vae", model=vae.state_dict())
    keep("audio", model=listener.state_dict())
    keep("unet_model", ema=unet.state_dict(), step=held["global_step"])


if __name__ == "__main__":
    main()
