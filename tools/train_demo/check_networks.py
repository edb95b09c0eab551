"""Holds networks.py against the golden data: the same tensors by name, the same outputs as the official code.

    check_networks.py GOLDEN     GOLDEN: the folder of the golden cases
"""

import json
import os
import sys

import numpy as np
import torch

from networks import SCALING, AudioEncoder, AutoencoderKL, UNet3D

DTYPES = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I32": np.int32, "I64": np.int64}


def read_safetensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    n = int.from_bytes(raw[:8], "little")
    out = {}
    for name, t in json.loads(raw[8 : 8 + n]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            values = np.frombuffer(raw[8 + n + a : 8 + n + b], DTYPES[t["dtype"]]).copy()
            out[name] = torch.from_numpy(values.reshape(t["shape"]))
    return out


def unet_config(path):
    """The golden config's `model` section; its YAML is plain enough for this."""
    import yaml

    return yaml.safe_load(open(path))["model"]


def load(module, state):
    state = {k: v.float() for k, v in state.items()}
    missing, unexpected = module.load_state_dict(state, strict=False)
    if missing or unexpected:
        raise SystemExit(f"missing {missing}, unexpected {unexpected}")
    return module.eval()


def report(what, found, wanted, tolerance):
    apart = float((found - wanted).abs().max())
    print(f"{what}: {apart:.2e} (tolerance {tolerance:g})")
    if not apart <= tolerance:
        raise SystemExit(1)


@torch.no_grad()
def main(golden):
    tiny = os.path.join(golden, "tiny")
    unet = load(UNet3D(unet_config(os.path.join(tiny, "unet.yaml"))),
                torch.load(os.path.join(tiny, "latentsync_unet.pt"))["state_dict"])
    case = read_safetensors(os.path.join(golden, "unet", "case_f5.safetensors"))
    x, audio = case["in.sample"][0].transpose(0, 1), case["in.audio_embeds"]
    frames = len(x)
    both = torch.cat([torch.zeros_like(audio), audio])
    for t in (1, 501, 981):
        y = unet(torch.cat([x, x]), torch.tensor([t, t]), both, frames)
        report(f"unet, step {t}", y.view(2, frames, 4, 16, 16).transpose(1, 2), case[f"out.t{t}"], 2e-5)

    config = json.load(open(os.path.join(tiny, "vae", "config.json")))
    state = read_safetensors(os.path.join(tiny, "vae", "diffusion_pytorch_model.safetensors"))
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        state = {k.replace(f"attentions.0.{old}.", f"attentions.0.{new}."): v for k, v in state.items()}
    vae = load(AutoencoderKL(config), state)
    case = read_safetensors(os.path.join(golden, "vae", "encode_128x128.safetensors"))
    mean, logvar = vae.encode((case["in.pixels_u8"].float() / 255 - 0.5) / 0.5)
    report("vae, mean", mean, case["out.mean"], 2e-4)
    report("vae, log variance", logvar, case["out.logvar"], 2e-4)
    case = read_safetensors(os.path.join(golden, "vae", "decode_128x128.safetensors"))
    report("vae, pixels", vae.decode(case["in.latent"] / SCALING)[0], case["out.pixels_0"], 2e-4)

    checkpoint = torch.load(os.path.join(tiny, "whisper", "tiny.pt"))
    state = {k[8:]: v for k, v in checkpoint["model_state_dict"].items() if k.startswith("encoder.")}
    load(AudioEncoder(checkpoint["dims"]), state)
    print("whisper: the same tensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
