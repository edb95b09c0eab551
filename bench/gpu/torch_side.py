#!/usr/bin/env python3
"""A network of a model folder in PyTorch: its time, its memory, its result. bench/gpu/compare.py runs it.

    torch_side.py MODEL NETWORK --case IN.safetensors --out OUT.safetensors [--dtype float16] [--mode eager|compile]
                  [--device cuda] [--repeat 10] [--steps 20]

NETWORK is unet, vae-encode, vae-decode or window (encoding twice 16 pictures, the steps, decoding 16). The networks are those of
tools/train_demo/networks.py with attention by scaled_dot_product_attention, in channels-last order, which is PyTorch's fastest. IN and
OUT are cases of memsafe-stage. Prints one line of JSON. Needs torch and numpy.
"""
import argparse
import json
import os
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools/train_demo"))
import networks  # noqa: E402
from cases import read_case, write_case  # noqa: E402


def attend(self, x, context=None):
    context = x if context is None else context
    q, k, v = (
        f(y).view(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)
        for f, y in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
    )
    return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def time_embedding(self, t):
    """Angles are float32 whatever the network is, as in diffusers."""
    half = self.width // 2
    angle = t.float()[:, None] * torch.exp(-np.log(10000.0) * torch.arange(half, device=t.device) / half)
    wave = torch.cat([angle.cos(), angle.sin()], 1)
    return F.silu(self.time_embedding(wave.to(self.conv_in.weight.dtype)))


networks.Attention.forward = attend
networks.UNet3D.time = time_embedding


def load(module, state):
    missing, unexpected = module.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    missing = [k for k in missing if not k.endswith(".pe")]  # computed
    if missing or unexpected:
        raise SystemExit(f"missing {missing[:5]}, unexpected {unexpected[:5]}")
    return module.eval()


def load_unet(model):
    with open(os.path.join(model, "unet.json")) as file:
        config = json.load(file)["model"]
    checkpoint = torch.load(os.path.join(model, "latentsync_unet.pt"), map_location="cpu")
    return load(networks.UNet3D(config), checkpoint["state_dict"])


def load_vae(model):
    with open(os.path.join(model, "vae/config.json")) as file:
        config = json.load(file)
    state = {k: torch.from_numpy(v) for k, v in read_case(os.path.join(model, "vae/diffusion_pytorch_model.safetensors")).items()}
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        state = {k.replace(f"attentions.0.{old}.", f"attentions.0.{new}."): v for k, v in state.items()}
    return load(networks.AutoencoderKL(config), state)


def compiled(args, function):
    return torch.compile(function, dynamic=False) if args.mode == "compile" else function


def place(args, module):
    return module.to(args.device, getattr(torch, args.dtype)).to(memory_format=torch.channels_last)


def input_of(args, values):
    return torch.from_numpy(values).to(args.device, getattr(torch, args.dtype))


def make_unet(args, case):
    """Zero audio for the first half, as classifier-free guidance has it; memsafe-stage does the same."""
    unet = place(args, load_unet(args.model))
    x = input_of(args, case["in.sample"])[0].transpose(0, 1)
    audio = input_of(args, case["in.audio_embeds"])
    frames = x.shape[0]
    both = torch.cat([x, x]).contiguous(memory_format=torch.channels_last)
    heard = torch.cat([torch.zeros_like(audio), audio])
    t = torch.tensor([501, 501], device=args.device)
    call = compiled(args, unet.forward)

    def run():
        return call(both, t, heard, frames)

    def result(y):
        return {"out.t501": y.view(2, frames, *y.shape[1:]).transpose(1, 2)}

    return run, result


def make_vae(args, case):
    vae = place(args, load_vae(args.model))
    if args.network == "vae-encode":
        pictures = (torch.from_numpy(case["in.pixels_u8"]).float() / 255 - 0.5) / 0.5
        pictures = pictures.to(args.device, getattr(torch, args.dtype)).contiguous(memory_format=torch.channels_last)
        call = compiled(args, vae.encode)
        return lambda: call(pictures), lambda y: {"out.mean": y[0], "out.logvar": y[1]}
    latents = input_of(args, case["in.latent"] / networks.SCALING).contiguous(memory_format=torch.channels_last)
    call = compiled(args, vae.decode)
    return lambda: call(latents), lambda y: {"out.pixels": y}


def make_window(args, case):
    """What a window takes: random pictures and noise, for its time does not depend on them."""
    unet, vae = place(args, load_unet(args.model)), place(args, load_vae(args.model))
    with open(os.path.join(args.model, "unet.json")) as file:
        config = json.load(file)
    frames, side = config["data"]["num_frames"], config["data"]["resolution"]
    kind = {"device": args.device, "dtype": getattr(torch, args.dtype)}
    pictures = torch.rand(2 * frames, 3, side, side, **kind).contiguous(memory_format=torch.channels_last)
    audio = torch.randn(2 * frames, 50, config["model"]["cross_attention_dim"], **kind)
    step, encode, decode = compiled(args, unet.forward), compiled(args, vae.encode), compiled(args, vae.decode)

    def run():
        mean, _ = encode(pictures)
        z = torch.randn(frames, 4, side // 8, side // 8, **kind)
        mask = torch.zeros(frames, 1, side // 8, side // 8, **kind)
        for i in range(args.steps):
            x = torch.cat([z, mask, mean[:frames], mean[frames:]], 1)
            t = torch.full((2,), 1000 - 1000 * (i + 1) // args.steps, device=args.device)
            quiet, heard = step(torch.cat([x, x]), t, audio, frames).chunk(2)
            z = z - (quiet + 1.5 * (heard - quiet)) / args.steps
        return decode(z)

    return run, lambda y: {}


def measure(args, run):
    """Median of `repeat`, after one that may compile and two that warm up; by the card's events."""
    y = run()
    times = []
    if args.device == "cpu":
        for _ in range(args.repeat):
            start = time.perf_counter()
            y = run()
            times.append(time.perf_counter() - start)
        return y, statistics.median(times), 0
    for _ in range(2):
        run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(args.repeat):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        y = run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return y, statistics.median(times), torch.cuda.max_memory_reserved()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("network", choices=["unet", "vae-encode", "vae-decode", "window"])
    parser.add_argument("--case")
    parser.add_argument("--out")
    parser.add_argument("--dtype", default="float16", choices=["float16", "bfloat16", "float32"])
    parser.add_argument("--mode", default="eager", choices=["eager", "compile"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    torch.manual_seed(1)
    # Float32 is the reference: no TF32.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    case = read_case(args.case) if args.case else {}
    make = {"unet": make_unet, "window": make_window}.get(args.network, make_vae)
    run, result = make(args, case)
    y, seconds, peak = measure(args, run)
    if args.out:
        write_case(args.out, {k: v.float().cpu().contiguous().numpy() for k, v in result(y).items()})
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
