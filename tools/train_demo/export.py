"""Writes the trained networks as a model folder in the official formats, half precision."""

import json
import os

import numpy as np
import torch

from common import *


def yaml_lines(value, indent=0):
    pad = " " * indent
    for key, v in value.items():
        if isinstance(v, dict):
            yield f"{pad}{key}:"
            yield from yaml_lines(v, indent + 2)
        elif isinstance(v, list):
            yield f"{pad}{key}: [{', '.join(str(x) for x in v)}]"
        elif isinstance(v, bool):
            yield f"{pad}{key}: {str(v).lower()}"
        elif isinstance(v, float):
            yield f"{pad}{key}: {v:.6f}".rstrip("0")
        else:
            yield f"{pad}{key}: {v}"


def half(state):
    out = {k: v.detach().to(torch.float16).contiguous() for k, v in state.items()}
    for k, v in out.items():
        if not torch.isfinite(v).all():
            raise SystemExit(f"{k} does not fit into half precision")
    return out


def write_safetensors(path, tensors):
    """Eight bytes of length, JSON, data: see the safetensors format."""
    kinds = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32", np.dtype(np.uint8): "U8"}
    head, data, at = {}, [], 0
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name])
        raw = values.tobytes()
        head[name] = {"dtype": kinds[values.dtype], "shape": list(values.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(data))


def whisper_state(encoder):
    """With a text decoder of no layers: Whisper's own loader wants one, LatentSync has no use for it."""
    state = {"encoder." + k: v for k, v in encoder.items()}
    n = AUDIO["n_text_state"]
    state["decoder.token_embedding.weight"] = torch.zeros(AUDIO["n_vocab"], n)
    state["decoder.positional_embedding"] = torch.zeros(AUDIO["n_text_ctx"], n)
    state["decoder.ln.weight"], state["decoder.ln.bias"] = torch.ones(n), torch.zeros(n)
    return state


def main():
    p = arguments(__doc__, 20)
    p.add_argument("--out", default=os.path.join(ROOT, "models", "demo"))
    p.add_argument("--unet", default="unet_windows.pt")
    p.add_argument("--vae", default="vae.pt")
    args = p.parse_args()
    load = lambda name: torch.load(os.path.join(args.work, name), "cpu")
    for folder in ("vae", "whisper"):
        os.makedirs(os.path.join(args.out, folder), exist_ok=True)
    write_safetensors(os.path.join(args.out, "vae", "diffusion_pytorch_model.safetensors"), half(load(args.vae)["model"]))
    with open(os.path.join(args.out, "vae", "config.json"), "w") as f:
        json.dump(VAE, f, indent=2)
        f.write("\n")
    unet = load(args.unet)
    torch.save({"global_step": unet["step"], "state_dict": half(unet["ema"])},
               os.path.join(args.out, "latentsync_unet.pt"))
    run = {"guidance_scale": 1.5, "inference_steps": 20, "seed": 1247}
    with open(os.path.join(args.out, "unet.yaml"), "w") as f:
        f.write("\n".join(yaml_lines({"data": UNET_DATA, "run": run, "model": UNET})) + "\n")
    state = load("audio.pt")["model"]
    encoder = {k[len("encoder."):]: v for k, v in state.items() if k.startswith("encoder.")}
    torch.save({"dims": AUDIO, "model_state_dict": half(whisper_state(encoder))},
               os.path.join(args.out, "whisper", "tiny.pt"))


if __name__ == "__main__":
    main()
